pub(super) mod act;
pub(super) mod view;
