//! Programmes: their settings and pots, and the work on them that takes longer than a request.

pub(super) mod imports;
pub(super) mod jobs;
pub(super) mod programme;
pub(super) mod reads;
pub(super) mod requests;
pub(super) mod rules;
