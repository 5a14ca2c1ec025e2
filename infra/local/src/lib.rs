//! The whole bundle on one machine: stand-ins for AWS and the provider, and the command that runs
//! it. `bursar` and the tests build their stack from it.

pub mod aws;
pub mod base;
pub mod command;
pub mod provider;
pub mod sign_on;

pub use aws::{engine, inbox, invoke, schedules, secrets_manager, ses, tidy, wiring};
pub use base::{serve, state_file};
pub use bursar_visitor as visitor;
pub use command::{copies, demo, folder, settle, stack};
