//! Notifications that nobody asked for: crossings, alarms, digests and shortages, each sent once.

pub(super) mod alarms;
pub(super) mod broadcast;
pub(super) mod caps;
pub(super) mod crossings;
pub(super) mod digests;
pub(super) mod resend;
pub(super) mod shortage;
