//! Mail: the outbox, the delivery of each mail, and what stops it.

pub(super) mod days;
pub(super) mod dead_mails;
pub(super) mod outbox;
pub(super) mod outbox_row;
pub(super) mod outcomes;
pub(super) mod refusals;
pub(super) mod undeliverable;
