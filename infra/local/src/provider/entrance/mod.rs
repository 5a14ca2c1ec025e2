//! The checks that every request passes before its call: account, rate and key.

pub(crate) mod access;
pub(crate) mod accounts;
pub(crate) mod rate;
