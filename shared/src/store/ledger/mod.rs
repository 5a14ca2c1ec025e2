//! The ledger of the account: cuts through the books, the statements between them, and the invoices that statements are held
//! against.

pub(super) mod cuts;
pub(super) mod invoices;
mod mailed;
pub(super) mod owners;
mod statements;
