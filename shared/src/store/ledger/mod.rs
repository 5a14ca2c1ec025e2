//! The ledger of the account: cuts through the books, the statements between them, owners of foreign keys, and admins' acts on them.

pub(super) mod cuts;
pub(super) mod foreign_acts;
pub(super) mod owners;
