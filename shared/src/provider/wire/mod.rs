//! The transport below the provider's calls: their table with time-outs and retries, sending, pacing, reading
//! of long lists, and lenient JSON. What is asked is up to the files of `provider`.

pub mod calls;
pub mod error;
pub(super) mod json;
pub(super) mod pace;
pub mod pages;
pub mod patience;
pub(super) mod send;
pub mod text;
