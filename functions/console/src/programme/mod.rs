//! The pages of a programme: overview, settings, groups, alerts, audit, requests, and its end.

pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod close;
pub(crate) mod copy;
pub(crate) mod decide;
pub(crate) mod groups;
pub(crate) mod home;
pub(crate) mod overview;
pub(crate) mod requests;
pub(crate) mod settings;
pub(crate) mod tiers;
pub(crate) mod waiting;
