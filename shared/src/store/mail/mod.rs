//! Mail: the outbox, the delivery of each mail, and what stops it.

pub(super) mod delivery;
pub(super) mod limits;
pub(super) mod outbox;
