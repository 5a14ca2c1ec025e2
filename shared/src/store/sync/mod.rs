pub(super) mod books;
pub(super) mod state;
