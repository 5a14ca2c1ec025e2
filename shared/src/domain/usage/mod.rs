//! Use of keys by day, window and model, and what follows from it: crossings, forecasts, and whether the
//! account adds up.

pub mod balance;
pub mod closeout;
pub mod credit;
pub mod crossing;
pub mod days;
pub mod forecast;
pub mod free;
pub mod lots;
pub mod models;
pub mod pilot;
pub mod reading;
pub mod reconciliation;
pub mod report;
pub mod span;
