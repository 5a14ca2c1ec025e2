//! The rules, as types that cannot be wrong and pure functions over them. No input or output and no type of AWS or the
//! provider appears here, and no clock is read: `now` is an argument.

pub mod address;
pub mod alarm;
pub mod audit;
pub mod balance;
pub mod crossing;
pub mod days;
pub mod digest;
pub mod forecast;
pub mod format;
pub mod grant;
pub mod id;
pub mod key;
pub mod mail_class;
pub mod mail_day;
pub mod mail_failure;
pub mod mail_kind;
pub mod models;
pub mod money;
pub mod programme;
pub mod reading;
pub mod reconciliation;
pub mod request;
pub mod restriction;
pub mod role;
pub mod rules;
pub mod session;
pub mod sign_in;
pub mod span;
pub mod term;
pub mod terms;
pub mod token;
pub mod window;
