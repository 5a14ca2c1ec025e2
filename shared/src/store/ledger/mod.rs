//! The ledger of the account: cuts through the books, owners of foreign keys and admins' acts on them, the statements between cuts,
//! and the invoices that statements are held against.

pub(super) mod cuts;
pub(super) mod foreign_acts;
pub(super) mod invoices;
mod mailed;
pub(super) mod owners;
mod statements;
