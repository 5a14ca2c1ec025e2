//! The ledger of the account: cuts through the books, and statements, which are the differences of
//! two cuts; and what admins do to keys that nobody here made.

pub mod cut;
pub mod foreign;
pub mod mailed;
pub mod statement;
