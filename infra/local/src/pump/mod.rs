//! stub
pub mod filter;
