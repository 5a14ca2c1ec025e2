//! What the unit tests share.

pub(crate) mod scripted;
pub(crate) mod values;
