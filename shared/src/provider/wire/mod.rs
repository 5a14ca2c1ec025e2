//! The transport below the provider's calls: their table with time-outs and retries, sending,
//! reading of long lists, and lenient JSON. What is asked is up to the files of `provider`.

pub mod calls;
pub mod error;
pub(super) mod json;
pub mod pages;
pub(super) mod send;
