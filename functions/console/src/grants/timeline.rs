//! The history of a grant, as its page shows it.

use bursar_core::domain::audit::{Act, Entry};
use bursar_core::domain::values::format::column_time;
use bursar_core::web::{AppError, Site};
use jiff::tz::TimeZone;

use crate::show;

pub(super) struct TimelineEntry {
    pub(super) at: String,
    pub(super) who: String,
    pub(super) what: &'static str,
    pub(super) change: Option<String>,
    pub(super) note: Option<String>,
}

impl TimelineEntry {
    pub(super) async fn of(site: &Site, entry: Entry, zone: &TimeZone) -> Result<TimelineEntry, AppError> {
        let change = match (entry.what.from, entry.what.to) {
            (Some(from), Some(to)) => Some(format!("{} → {}", or_none(&from), or_none(&to))),
            _ => None,
        };
        Ok(TimelineEntry {
            at: column_time(entry.at, zone),
            who: show::actor(&site.table, &entry.by).await?,
            what: words(entry.what.act),
            change,
            note: entry.what.note,
        })
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// The act in words.
fn words(act: Act) -> &'static str {
    match act {
        Act::Created => "created",
        Act::Edited => "edited",
        Act::PotChanged => "budget changed",
        Act::Closed => "closed",
        Act::Invited => "put on the roster",
        Act::Begun => "asked for a key",
        Act::Shown => "was shown a key",
        Act::Refused => "an attempt was refused",
        Act::Unknown => "nobody knows what became of an attempt",
        Act::Lost => "an attempt was overtaken",
        Act::Swept => "an attempt was swept",
        Act::Held => "held",
        Act::Released => "a hold was taken off",
        Act::Stopped => "the key was stopped",
        Act::Revoked => "revoked",
        Act::Ended => "ended",
        Act::CapChanged => "cap changed",
        Act::ReplacementAllowed => "one more replacement allowed",
        Act::PlaceGivenBack => "the place in the budget was given back",
        Act::Described => "the roster's line changed",
        Act::Moved => "moved to another group",
        Act::TierEdited => "tier edited",
        Act::GuardrailSet => "guardrail set",
        Act::RulesSent => "the key was put under other rules at the provider",
        Act::LimitSent => "another limit was set at the provider",
        Act::Recovered => "keys that the provider had were recorded again",
        Act::Purged => "a key was deleted at the provider",
        Act::Reopened => "the term was extended after it had ended",
        Act::Asked => "asked of the admins",
        Act::GuardReleased => "what the guard held back was released",
        Act::KeysAssigned => "keys made elsewhere were given to the programme",
        Act::KeysTakenBack => "keys made elsewhere were taken back from the programme",
        Act::ForeignActBegun => "an admin pressed to change a key that nobody here made",
        Act::ForeignActConcluded => "the provider answered that",
        Act::AccountConfirmed => "another management key is of the account",
        Act::MailSentAgain => "mail that was given up was sent again",
        Act::MailAllowed => "mail to the address is tried again",
        Act::AlertResent => "an alert was sent again",
    }
}
