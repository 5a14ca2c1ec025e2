//! What many files of the function use.

pub(crate) use bursar_core::clock::Moment;
pub(crate) use bursar_core::config::Config;
pub(crate) use bursar_core::deadline::Deadline;
pub(crate) use bursar_core::domain::grant::Grant;
pub(crate) use bursar_core::domain::mail::alarm::{Alarm, Cause};
pub(crate) use bursar_core::domain::mail::kind::{MailClass, MailKind};
pub(crate) use bursar_core::domain::programme::role::is_among;
pub(crate) use bursar_core::domain::programme::{Programme, Settings};
pub(crate) use bursar_core::domain::usage::crossing::per_cent;
pub(crate) use bursar_core::domain::values::address::EmailAddress;
pub(crate) use bursar_core::domain::values::format::{counted, end_time_in, long_date, time_in, utc};
pub(crate) use bursar_core::domain::values::id::{GrantId, PersonId, ProgrammeId};
pub(crate) use bursar_core::domain::values::money::Usd;
pub(crate) use bursar_core::domain::values::window::{Reset, utc_date};
pub(crate) use bursar_core::store::{Facts, MailState, OutboxRow, QueuedMail, StaffPerson, StoreError};
pub(crate) use jiff::SignedDuration;
pub(crate) use jiff::civil::Date;
pub(crate) use ulid::Ulid;

pub(crate) use crate::App;
pub(crate) use crate::compose::{GONE, NoMail};
pub(crate) use crate::letter::words::{Words, said};
pub(crate) use crate::letter::{Letter, LetterPart, plain};
