pub(super) mod account;
pub(super) mod models;
pub(super) mod runs;
pub(super) mod state;
pub(super) mod totals;
