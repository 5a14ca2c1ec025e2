//! The core that the functions of Bursar share. Nothing here listens, schedules or prints: a
//! function's own crate holds its use case, and `infra/local` the stand-ins.

pub mod aws;
pub mod clock;
pub mod config;
pub mod deadline;
pub mod domain;
pub mod event;
pub mod log;
mod named;
pub mod provider;
pub mod schema;
pub mod secrets;
pub mod settle;
pub mod start;
pub mod store;
pub mod tls;
pub mod version;
pub mod web;

#[cfg(test)]
mod tests;
