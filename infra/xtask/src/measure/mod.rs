//! The recipes that measure or explore for longer than CI may.

pub(crate) mod bench;
pub(crate) mod histories;
