pub(super) mod delivery;
pub(super) mod limits;
pub(super) mod outbox;
