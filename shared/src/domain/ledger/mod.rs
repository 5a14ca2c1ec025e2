//! The ledger of the account: cuts through the books, and statements, which are the differences of two cuts.

pub mod cut;
pub mod invoice;
pub mod mailed;
mod notes;
pub mod owner;
pub mod statement;
