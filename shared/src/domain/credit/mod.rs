//! The account's credit: whether the balance covers what is to come, what to buy and by when, which purchases could lapse, and the
//! day's free models.

pub mod balance;
pub mod free;
pub mod lots;
pub mod purchase;
