#![warn(clippy::wildcard_enum_match_arm)]

pub(super) mod delivery;
pub(super) mod limits;
pub(super) mod outbox;
