//! The stages of a run, one a file, numbered in their order. Each keeps its results and its remaining work in
//! a state of its own, but for one that finds done what it did.

use crate::prelude::*;

#[path = "1_begin.rs"]
pub(crate) mod begin;

#[path = "2_models.rs"]
pub(crate) mod models;

#[path = "3_list.rs"]
pub(crate) mod list;

#[path = "4_scan.rs"]
pub(crate) mod scan;

#[path = "5_foreign.rs"]
pub(crate) mod foreign;

#[path = "6_rules.rs"]
pub(crate) mod rules;

#[path = "7_act.rs"]
pub(crate) mod act;

#[path = "8_sum_up.rs"]
pub(crate) mod sum_up;

#[path = "9_reconcile.rs"]
pub(crate) mod reconcile;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    Begin,
    Models,
    List,
    Scan,
    Foreign,
    Rules,
    Act,
    SumUp,
    Reconcile,
    Over,
}

impl Stage {
    pub(crate) fn next(self) -> Stage {
        match self {
            Stage::Begin => Stage::Models,
            Stage::Models => Stage::List,
            Stage::List => Stage::Scan,
            Stage::Scan => Stage::Foreign,
            Stage::Foreign => Stage::Rules,
            Stage::Rules => Stage::Act,
            Stage::Act => Stage::SumUp,
            Stage::SumUp => Stage::Reconcile,
            Stage::Reconcile | Stage::Over => Stage::Over,
        }
    }
}
