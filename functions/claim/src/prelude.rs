//! What many files of the function use.

pub(crate) use askama::Template;
pub(crate) use axum::extract::State;
pub(crate) use axum::http::StatusCode;
pub(crate) use axum::response::IntoResponse;
pub(crate) use bursar_core::clock::Moment;
pub(crate) use bursar_core::deadline::Deadline;
pub(crate) use bursar_core::domain::audit::Actor;
pub(crate) use bursar_core::domain::grant::{
    BeginRefused, ChangeRefused, GrantState, HoldKind, KeyRequest, KeyRequestKind, NextGuardrail, Stopped, Tell, View,
};
pub(crate) use bursar_core::domain::programme::guardrail::{ConfirmedRules, Guardrail, GuardrailOwner};
pub(crate) use bursar_core::domain::programme::rules::Rules;
pub(crate) use bursar_core::domain::programme::{Settings, TermsHash};
pub(crate) use bursar_core::domain::values::format::{column_time, end_time, long_date, time_in};
pub(crate) use bursar_core::domain::values::id::{Epoch, KeyHash, Nonce, ProgrammeId};
pub(crate) use bursar_core::domain::values::money::Usd;
pub(crate) use bursar_core::domain::values::term::Term;
pub(crate) use bursar_core::domain::values::window::{Reset, utc_date};
pub(crate) use bursar_core::provider::ProviderError;
pub(crate) use bursar_core::settle::NotSettled;
pub(crate) use bursar_core::store::{ActContext, ActOutcome, StoreError};
pub(crate) use bursar_core::web::{
    Answer, AppError, Fields, Flash, Frame, Posted, Reply, RequestDeadline, Site, Visitor,
};

pub(crate) use crate::my;
pub(crate) use crate::my::rules::StudentRules;
