//! The ledger of the account: cuts through the books, and the invoices that statements are held against.

pub(super) mod cuts;
pub(super) mod invoices;
