//! stub
pub mod expression;
