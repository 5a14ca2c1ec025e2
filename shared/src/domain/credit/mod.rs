//! The account's credit: whether the balance covers what is to come, and what to buy and by when.

pub mod balance;
pub mod purchase;
