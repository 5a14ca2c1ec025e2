//! How anything is asked of the provider: the table of calls with their time-outs and retries, sending, pacing, reading long lists by
//! pages, and reading its JSON. What is asked stands in the room above.

pub mod calls;
pub mod error;
pub(super) mod json;
pub(super) mod pace;
pub mod pages;
mod patience;
pub(super) mod send;
pub(super) mod text;
