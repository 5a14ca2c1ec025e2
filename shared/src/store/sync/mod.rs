pub(super) mod books;
pub(super) mod fenced;
pub(super) mod state;
