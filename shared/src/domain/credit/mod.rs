//! The account's credit: whether the balance covers what is to come, what to buy and by when, and which purchases could
//! lapse.

pub mod balance;
pub mod lots;
pub mod purchase;
