//! What many files of the function use.

pub(crate) use std::borrow::Borrow;
pub(crate) use std::collections::{BTreeMap, HashMap};
pub(crate) use std::time::Duration;

pub(crate) use askama::Template;
pub(crate) use axum::extract::{Query, State};
pub(crate) use axum::http::StatusCode;
pub(crate) use axum::response::{IntoResponse, Redirect, Response};
pub(crate) use bursar_core::clock::Moment;
pub(crate) use bursar_core::deadline::Deadline;
pub(crate) use bursar_core::domain::audit::Act;
pub(crate) use bursar_core::domain::grant::Grant;
pub(crate) use bursar_core::domain::programme::role::Role;
pub(crate) use bursar_core::domain::programme::{Budget, Programme, Settings};
pub(crate) use bursar_core::domain::usage::days::Days;
pub(crate) use bursar_core::domain::usage::reading::DailyUse;
pub(crate) use bursar_core::domain::usage::span::Span;
pub(crate) use bursar_core::domain::values::address::EmailAddress;
pub(crate) use bursar_core::domain::values::format::column_time;
pub(crate) use bursar_core::domain::values::id::{GrantId, KeyHash, ProgrammeId, new_ulid};
pub(crate) use bursar_core::domain::values::money::Usd;
pub(crate) use bursar_core::domain::values::window::utc_date;
pub(crate) use bursar_core::store::{ActContext, Job, JobState, RulesSource, UnreachableReason, Work};
pub(crate) use bursar_core::web::{Answer, AppError, Fields, Site, Visitor};
pub(crate) use jiff::SignedDuration;
pub(crate) use jiff::civil::Date;
pub(crate) use serde::Deserialize;

pub(crate) use crate::access::{AdminAccess, Admins, Faculty, PageFrame, Post, ProgrammeAccess};
pub(crate) use crate::show::utc;
pub(crate) use crate::spending::spans::{Figure, SpanContext, SpanQuery};
pub(crate) use crate::{paths, show};
