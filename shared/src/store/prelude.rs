//! What many files of the store use, beside what those of the core do.

pub(crate) use aws_sdk_dynamodb::types::AttributeValue;
pub(crate) use futures_util::future::try_join_all;

pub(crate) use crate::domain::mail::alarm::Alarm;
pub(crate) use crate::domain::mail::kind::MailClass;
pub(crate) use crate::domain::programme::Byok;
pub(crate) use crate::domain::programme::role::Roles;
pub(crate) use crate::domain::programme::unreserved::Unreserved;
pub(crate) use crate::domain::values::partition::address_partition;
pub(crate) use crate::prelude::*;
pub(crate) use crate::schema::{ItemKey, Range, SHARDS, Stored};
pub(crate) use crate::store::alerts::MAILS_AT_ONCE;
pub(crate) use crate::store::items;
pub(crate) use crate::store::table::found_by;
pub(crate) use crate::store::table::write::{
    Audited, Pauses, Round, Transaction, Unaudited, Writes, instant, number, text,
};
pub(crate) use crate::store::{
    ActContext, Author, Enrolment, Job, MailState, OutboxRow, QueuedMail, Undeliverable, Work,
};
