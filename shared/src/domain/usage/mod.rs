//! Use of keys by day, window and model, and what follows from it: crossings, forecasts, and
//! whether the account adds up.

pub mod burn;
pub mod crossing;
pub mod days;
pub mod forecast;
pub mod models;
pub mod pilot;
pub mod reading;
pub mod report;
pub mod span;
