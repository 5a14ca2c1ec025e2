//! Sums of what keys used: of a programme, of all keys, and held against the account's money.

pub(crate) mod account_use;
pub(crate) mod books;
pub(crate) mod sums;
