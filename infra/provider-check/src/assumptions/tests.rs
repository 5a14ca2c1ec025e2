//! The table of assumptions as a whole.

use std::collections::BTreeSet;

use super::*;

#[test]
fn each_assumption_is_in_the_table_once_and_those_that_are_unsure_come_first() {
    let declared = include_str!("../assumptions.rs").lines();
    let declared = declared.filter(|line| line.starts_with("pub const ") && line.contains(": Assumption =")).count();
    let ids: BTreeSet<&str> = ALL.iter().map(|assumption| assumption.id).collect();
    assert_eq!((declared, ids.len()), (ALL.len(), ALL.len()));
    assert!(ALL.is_sorted_by_key(|assumption| assumption.source));
}
