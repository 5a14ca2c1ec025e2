//! What the black-box tests are written with. Which calls fail, and how, is the fault layer's business (`bursar_local::gate`).

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on should say where")]

pub mod aws;
pub mod invariants;
pub mod journey;
mod left;
pub mod office;
pub mod plain_words;
pub mod process;
pub mod seeds;
pub mod stack;
pub mod visitor;
