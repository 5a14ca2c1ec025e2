//! The rules, as types that cannot be wrong and pure functions over them. No input or output and no type of AWS or the
//! provider appears here, and no clock is read: `now` is an argument. Each room uses those named before it.

pub mod values;

pub mod audit;
pub mod programme;

pub mod people;
pub mod usage;

pub mod grant;
pub mod mail;
