//! Items of the sync: its lease-fenced writes, its checkpoint, and the books of the account.

pub(super) mod account;
pub(super) mod checkpoints;
pub(super) mod fenced;
pub(super) mod held_back;
pub(super) mod missing;
pub(super) mod models;
pub(super) mod runs;
pub(super) mod state;
pub(super) mod totals;
