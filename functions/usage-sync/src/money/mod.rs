//! Sums of use: of a programme, of all keys, and in comparison with the account's money.

pub(crate) mod account_use;
pub(crate) mod books;
pub(crate) mod sums;
