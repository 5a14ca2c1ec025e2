//! What happened to a person's grants and which mails went to them, in the export's words.

use bursar_core::domain::audit::{Act, Actor, Entry};
use bursar_core::domain::grant::Notice;
use bursar_core::store::{MailState, OutboxRow, QueuedMail};
use jiff::Timestamp;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct HistoryData {
    at: Timestamp,
    by: &'static str,
    what: &'static str,
    from: Option<String>,
    to: Option<String>,
    note: Option<String>,
}

#[derive(Serialize)]
pub(super) struct MailData {
    mail: &'static str,
    written_at: Timestamp,
    outcome: &'static str,
    outcome_at: Option<Timestamp>,
    why: Option<String>,
}

pub(super) fn history_entry(entry: Entry) -> HistoryData {
    let by = match entry.by {
        Actor::Student => "you",
        Actor::Person(_) => "the staff",
        Actor::Sync => "Bursar, on what the provider says",
        Actor::Rule => "Bursar, by a rule of the programme",
    };
    let what = match entry.what.act {
        Act::Begun => "asked for a key",
        Act::Shown => "was shown a key",
        Act::Refused => "an attempt to make a key was refused",
        Act::Unknown => "nobody knows whether an attempt made a key, which nobody saw",
        Act::Lost => "an attempt to make a key was overtaken",
        Act::Swept => "an attempt to make a key was cleared away",
        Act::Held => "the key was switched off, or may not be made",
        Act::Released => "the key may work again",
        Act::Stopped => "the key was ended",
        Act::Revoked => "the place in the programme was withdrawn",
        Act::Ended => "the place ended with its programme",
        Act::Reopened => "the place goes on, since the term was extended",
        Act::LimitSent => "the key's limit was set anew",
        Act::RulesSent => "the key was put under other rules",
        Act::Recovered => "keys were found that were not on record",
        Act::Purged => "a key of no use any more was deleted at the provider",
        Act::CapChanged => "the cap was changed",
        Act::ReplacementAllowed => "one more replacement was allowed",
        Act::PlaceGivenBack => "what was held for the key went back to the programme's budget",
        Act::Described => "the roster's line was changed",
        Act::Moved => "moved to another group",
        Act::Invited => "put on the roster",
        Act::MailAllowed => "mail to the address, which came back before, was tried again",
        Act::Created | Act::Edited | Act::PotChanged | Act::Closed | Act::GuardrailSet | Act::Asked => {
            "the programme was changed"
        }
        Act::GuardReleased
        | Act::TierEdited
        | Act::KeysAssigned
        | Act::KeysTakenBack
        | Act::AccountConfirmed
        | Act::MailSentAgain
        | Act::AlertResent
        | Act::ForeignActBegun
        | Act::ForeignActConcluded => "something was done that does not concern you",
    };
    HistoryData { at: entry.at, by, what, from: entry.what.from, to: entry.what.to, note: entry.what.note }
}

pub(super) fn mail(row: OutboxRow) -> MailData {
    let mail = match row.mail {
        QueuedMail::Link { .. } => "a link to sign in",
        QueuedMail::Roster { .. } => "you are on the roster",
        QueuedMail::Notice { notice, .. } => match notice {
            Notice::KeyShown => "a key of yours was shown",
            Notice::KeyLeaked => "a key of yours was reported leaked",
            Notice::Unused | Notice::TooOld => "a rule of the programme ended the use of a key",
            Notice::TermEndSoon => "the term will end, and the key with it",
            Notice::UnusedSoon | Notice::TooOldSoon => "a rule of the programme will end the use of a key",
        },
        QueuedMail::CapUsed { .. } => "how much of your cap you have used",
        QueuedMail::Alert { .. } => "an alert about a programme",
        QueuedMail::Request { .. } => "a request about a programme",
        QueuedMail::Account { .. } => "an alert about the account",
        QueuedMail::Digest { .. } => "the digest of a programme",
        QueuedMail::AccountDigest { .. } => "the digest of the account",
        QueuedMail::Statement { .. } => "the statement of a month",
    };
    let (outcome, outcome_at, why) = match row.state {
        MailState::Waiting { .. } | MailState::Sending { .. } => ("waiting", None, None),
        MailState::Sent { at, .. } => ("sent", Some(at), None),
        MailState::Delivered { at, .. } => ("delivered", Some(at), None),
        MailState::Bounced { at, .. } => ("bounced", Some(at), None),
        MailState::Complained { at, .. } => ("complained", Some(at), None),
        MailState::Dropped { why, at } => ("not owed after all", Some(at), Some(why)),
        MailState::Failed { why, at } => ("failed", Some(at), Some(why)),
    };
    MailData { mail, written_at: row.written_at, outcome, outcome_at, why }
}
