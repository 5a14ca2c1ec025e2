//! What every request passes before its call: whose account it is of, how fast calls come, and whose key it carries.

pub(crate) mod access;
pub(crate) mod accounts;
pub(crate) mod rate;
