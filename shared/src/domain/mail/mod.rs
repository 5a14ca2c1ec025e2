//! Mail and its causes: the kinds of mail, their delivery, alarms for admins and the weekly digests.

pub mod alarm;
pub mod digest;
pub mod failure;
pub mod kind;
