//! What is mailed and why: the kinds of mail, how they fare, alarms for admins and the digests of a week.

pub mod alarm;
pub mod class;
pub mod day;
pub mod digest;
pub mod failure;
pub mod kind;
