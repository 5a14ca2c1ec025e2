pub(super) mod jobs;
pub(super) mod programme;
pub(super) mod rules;
