//! The command `bursar`: arguments, stack, data folder, demonstration, control routes and the list of keys.

mod arguments;
pub mod control;
pub mod demo;
pub mod folder;
pub mod keys;
mod servers;
pub mod settle;
pub mod stack;

pub use self::arguments::Command;
