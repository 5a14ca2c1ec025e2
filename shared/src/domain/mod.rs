//! The rules, as types that cannot be wrong and pure functions over them. There is no input or
//! output here, no type of AWS or the provider, and no clock: `now` is an argument.

pub mod values;

pub mod audit;
pub mod held;
pub mod programme;

pub mod sign_in;
pub mod usage;

pub mod credit;
pub mod ledger;

pub mod grant;
pub mod mail;
pub mod sign_on;
