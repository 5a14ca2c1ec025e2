//! Programmes: their settings and budgets, their rosters, and the jobs that work on them.

pub(super) mod jobs;
pub(super) mod programme;
pub(super) mod rules;
