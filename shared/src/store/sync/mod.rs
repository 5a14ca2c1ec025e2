//! Items of the sync: its lease-fenced writes, its checkpoint, and the books of the account.

pub(super) mod books;
pub(super) mod fenced;
pub(super) mod state;
