//! What the black-box tests share: clients for a running stack, `bursar` as a process.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on should say where")]

pub mod aws;
pub mod office;
pub mod process;
pub mod stack;
