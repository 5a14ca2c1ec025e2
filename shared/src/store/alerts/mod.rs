//! Notifications that nobody asked for: crossings, alarms, digests and the balance, each sent once.

pub(super) mod alarms;
pub(super) mod broadcast;
pub(super) mod caps;
pub(super) mod credit;
pub(super) mod crossings;
pub(super) mod digests;
pub(super) mod resend;
