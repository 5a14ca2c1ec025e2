//! What many files of the sync use.

pub(crate) use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
pub(crate) use std::time::Duration;

pub(crate) use anyhow::{Context, Result};
pub(crate) use bursar_core::clock::Moment;
pub(crate) use bursar_core::deadline::Deadline;
pub(crate) use bursar_core::domain::grant::{Grant, View};
pub(crate) use bursar_core::domain::mail::alarm::Cause;
pub(crate) use bursar_core::domain::programme::Programme;
pub(crate) use bursar_core::domain::usage::reading::DailyUse;
pub(crate) use bursar_core::domain::values::id::{Epoch, GrantId, KeyHash, KeyName, ProgrammeId};
pub(crate) use bursar_core::domain::values::money::Usd;
pub(crate) use bursar_core::domain::values::window::utc_date;
pub(crate) use bursar_core::provider::ProviderError;
pub(crate) use bursar_core::store::{ActContext, HeldBack, StoreError, Table};
pub(crate) use jiff::SignedDuration;
pub(crate) use serde::{Deserialize, Serialize};

pub(crate) use crate::journal::Journal;
pub(crate) use crate::obstacle::RunObstacle;
pub(crate) use crate::runner::{Baseline, Runner, StageEnd, ensure_written};
pub(crate) use crate::scan::finding::Finding;
pub(crate) use crate::scan::outcome::FindingOutcome;
pub(crate) use crate::scan::row::KeyRow;
pub(crate) use crate::scan::rows::Rows;
