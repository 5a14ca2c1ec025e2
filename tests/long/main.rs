//! The suite's explorations at their full size: many seeds, every call of every sweep, and what is
//! tried before a release alone. It is built by `cargo xtask long` only; `cargo test` plays a fixed
//! sample of it.

// As in the suite's own binary, where these are at the root.
#[cfg(test)]
use suite::{changes, claim, console, mail, sync, watch};

#[cfg(test)]
mod coding_agents;
#[cfg(test)]
mod second_engine;
#[cfg(test)]
#[path = "../suite"]
mod suite {
    mod alerts;
    pub(crate) mod changes;
    pub(crate) mod claim;
    pub(crate) mod console;
    mod digest;
    mod folders;
    pub(crate) mod mail;
    mod promises;
    mod statements;
    mod sweeps;
    pub(crate) mod sync;
    pub(crate) mod watch;
}
