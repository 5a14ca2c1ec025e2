//! Spending as several pages show it: over spans of time, and by model.

pub(crate) mod by_model;
pub(crate) mod spans;
