//! What many files of the sync use.

pub(crate) use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
pub(crate) use std::time::Duration;

pub(crate) use anyhow::{Context, Result};
pub(crate) use bursar_core::clock::Moment;
pub(crate) use bursar_core::deadline::Deadline;
pub(crate) use bursar_core::domain::grant::{Grant, View};
pub(crate) use bursar_core::domain::mail::alarm::Cause;
pub(crate) use bursar_core::domain::programme::Programme;
pub(crate) use bursar_core::domain::usage::reading::{DailyUse, Reading};
pub(crate) use bursar_core::domain::values::id::{Epoch, GrantId, KeyHash, KeyName, ProgrammeId};
pub(crate) use bursar_core::domain::values::money::Usd;
pub(crate) use bursar_core::domain::values::window::utc_date;
pub(crate) use bursar_core::provider::ProviderError;
pub(crate) use bursar_core::store::{ActContext, StoreError, Table};
pub(crate) use futures_util::stream::{StreamExt, TryStreamExt, iter};
pub(crate) use jiff::SignedDuration;

pub(crate) use crate::compare::row::{Finding, FindingKind, ForeignRow, KeyRow};
pub(crate) use crate::list::KeyListing;
pub(crate) use crate::runner::RunContext;
