//! The command `bursar`: arguments, stack, data folder, demonstration, control routes and the list
//! of keys.

mod arguments;
pub mod control;
pub mod copies;
pub mod demo;
pub mod folder;
pub mod keys;
mod serve;
mod servers;
pub mod settle;
pub mod stack;

pub use self::arguments::Command;

/// All that keeps a command from what it was asked, a line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Refused(pub Vec<String>);
