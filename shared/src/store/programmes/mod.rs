pub(super) mod budget;
pub(super) mod imports;
pub(super) mod jobs;
pub(super) mod overview;
pub(super) mod previews;
pub(super) mod programme;
pub(super) mod rules;
