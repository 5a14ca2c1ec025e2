//! The stages of a run, one a file, in the order of [`Stage`]. Each keeps its results and its remaining work in
//! a state of its own, but for one that finds done what it did.

use crate::prelude::*;

pub(crate) mod act;
pub(crate) mod begin;
pub(crate) mod foreign;
pub(crate) mod list;
pub(crate) mod models;
pub(crate) mod reconcile;
pub(crate) mod rules;
pub(crate) mod scan;
pub(crate) mod sum_up;

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
