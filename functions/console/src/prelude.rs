//! What many files of the function use.

pub(crate) use std::borrow::Borrow;
pub(crate) use std::collections::{BTreeMap, BTreeSet, HashMap};
pub(crate) use std::time::Duration;

pub(crate) use askama::Template;
pub(crate) use axum::extract::{Path, Query, State};
pub(crate) use axum::http::StatusCode;
pub(crate) use axum::response::IntoResponse;
pub(crate) use bursar_core::clock::Moment;
pub(crate) use bursar_core::deadline::Deadline;
pub(crate) use bursar_core::domain::audit::{Act, Actor};
pub(crate) use bursar_core::domain::grant::{Grant, Person};
pub(crate) use bursar_core::domain::programme::role::Role;
pub(crate) use bursar_core::domain::programme::{Budget, Programme, Settings};
pub(crate) use bursar_core::domain::usage::days::{Days, Sum};
pub(crate) use bursar_core::domain::usage::reading::DailyUse;
pub(crate) use bursar_core::domain::usage::span::Span;
pub(crate) use bursar_core::domain::values::address::EmailAddress;
pub(crate) use bursar_core::domain::values::format::{column_time, date_range};
pub(crate) use bursar_core::domain::values::id::{GrantId, KeyHash, ProgrammeId, new_ulid, ulid_for};
pub(crate) use bursar_core::domain::values::money::{Usd, each_in_cents};
pub(crate) use bursar_core::domain::values::window::utc_date;
pub(crate) use bursar_core::store::{
    AccountDay, ActContext, Author, Import, Job, JobState, OutboxRow, RulesSource, StoreError, Undeliverable,
    UnreachableReason, Work,
};
pub(crate) use bursar_core::web::{Answer, AppError, Fields, Flash, Reply, Site, Visitor};
pub(crate) use jiff::SignedDuration;
pub(crate) use jiff::civil::Date;
pub(crate) use jiff::tz::TimeZone;
pub(crate) use serde::Deserialize;
pub(crate) use ulid::Ulid;

pub(crate) use crate::kit::access::{AdminAccess, Admins, Faculty, PageFrame, Post, ProgrammeAccess};
pub(crate) use crate::kit::form::{Field, FieldKind, Form, FormValue};
pub(crate) use crate::kit::listing::{Cell, Column, Listing, ON_A_PAGE, column};
pub(crate) use crate::kit::show::{long_date, utc};
pub(crate) use crate::money::spending::spans::{Figure, SpanContext, SpanQuery};
pub(crate) use crate::{kit::paths, kit::show};
