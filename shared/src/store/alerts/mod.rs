//! What people are told unasked: crossings, alarms, digests and shortages, each once.

pub(super) mod alarms;
pub(super) mod broadcast;
pub(super) mod caps;
pub(super) mod crossings;
pub(super) mod digests;
pub(super) mod resend;
pub(super) mod shortage;
