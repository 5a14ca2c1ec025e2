//! What many rules use: no clock, no table, nothing that waits.

pub(crate) use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
pub(crate) use std::fmt;
pub(crate) use std::time::Duration;

pub(crate) use jiff::civil::Date;
pub(crate) use jiff::tz::TimeZone;
pub(crate) use jiff::{SignedDuration, ToSpan};
pub(crate) use serde::{Deserialize, Serialize};
pub(crate) use ulid::Ulid;

pub(crate) use crate::clock::Moment;
pub(crate) use crate::domain::audit::{Act, Actor, AuditDetail, AuditEntry};
pub(crate) use crate::domain::grant::{Grant, GrantState, View};
pub(crate) use crate::domain::programme::{Budget, Programme, Settings};
pub(crate) use crate::domain::usage::days::Days;
pub(crate) use crate::domain::usage::reading::DailyUse;
pub(crate) use crate::domain::values::address::{EmailAddress, MatchedAddress};
pub(crate) use crate::domain::values::id::{DeploymentId, Epoch, GrantId, KeyHash, PersonId, ProgrammeId, new_ulid};
pub(crate) use crate::domain::values::money::Usd;
pub(crate) use crate::domain::values::partition::{grant_partition, grant_partition_of, programme_partition};
pub(crate) use crate::domain::values::window::{Reset, Window, utc_date};
pub(crate) use crate::schema::{ACCOUNT, Queue, begin, key, overview, stored};
