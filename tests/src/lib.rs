//! The harness of the black-box tests: stacks, visitors, acts on the table, and the invariants.
//! Which calls fail, and how, is left to the fault layer (`crate::faults`).

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

pub mod aws;
pub mod binary;
pub mod campus;
pub mod faults;
pub mod invariants;
pub mod office;
pub mod permissions;
pub mod picture;
mod raw_table;
pub mod seeds;
pub mod stack;
pub mod sweep;
pub mod visitor;
