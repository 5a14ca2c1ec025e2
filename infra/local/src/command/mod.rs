//! The command `bursar`: its arguments, the stack that it runs, the folder that the stack lies in, the demonstration, the calls that
//! steer it, and the list of keys.

mod arguments;
pub mod control;
pub mod demo;
pub mod folder;
pub mod keys;
mod servers;
pub mod settle;
pub mod stack;

pub use self::arguments::Command;
