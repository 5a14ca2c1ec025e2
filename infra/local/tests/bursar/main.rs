//! `bursar` as a process, as its users have it, and the demonstration that it builds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[cfg(test)]
mod command;
#[cfg(test)]
mod demonstration;
#[cfg(test)]
mod journey;
#[cfg(test)]
mod process;
