//! Programmes: their settings and budgets, their rosters, and the jobs that work on them.

pub(super) mod edit;
pub(super) mod guardrails;
pub(super) mod imports;
pub(super) mod jobs;
pub(super) mod programme;
pub(super) mod reads;
pub(super) mod requests;
pub(super) mod tiers;
