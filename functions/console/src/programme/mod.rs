//! The pages of a programme: overview, settings, groups, alerts, audit, what faculty ask of the
//! admins, and its end.

pub(crate) mod alerts;
pub(crate) mod ask;
pub(crate) mod audit;
pub(crate) mod close;
pub(crate) mod groups;
pub(crate) mod home;
pub(crate) mod overview;
pub(crate) mod settings;
pub(crate) mod tiers;
pub(crate) mod waiting;
