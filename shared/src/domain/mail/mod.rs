//! Mail and its causes: the kinds of mail, their delivery, alarms for admins and the weekly
//! digests.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod alarm;
pub mod digest;
pub mod failure;
pub mod kind;
