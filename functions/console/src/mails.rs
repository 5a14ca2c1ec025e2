//! Mails and their states, as the console's pages show them.

use bursar_core::domain::grant::Notice;
use bursar_core::domain::mail::failure::FailureText;
use bursar_core::store::{Bounce, MailRefusal, MailState, OutboxRow, QueuedMail, Undeliverable};
use futures_util::future::try_join_all;
use jiff::tz::TimeZone;

use crate::prelude::*;

/// A mail, or a request for one that led to none.
pub(crate) struct MailRow {
    pub(crate) kind: &'static str,
    /// The grant that it is about, in a list about several: the address of its page, and its programme's name.
    pub(crate) about: Option<(String, String)>,
    pub(crate) written_at: Moment,
    pub(crate) outcome: MailStatus,
}

/// The state of a mail, since when, and the reason where the state does not say it.
pub(crate) struct MailStatus {
    /// The state as the page's test hook spells it.
    pub(crate) word: &'static str,
    pub(crate) badge: &'static str,
    pub(crate) since: String,
    pub(crate) why: Option<String>,
}

impl MailRow {
    pub(crate) fn of(row: &OutboxRow, zone: &TimeZone) -> MailRow {
        MailRow {
            kind: kind(&row.mail),
            about: None,
            written_at: row.written_at,
            outcome: MailStatus::of(row, |at| column_time(at, zone)),
        }
    }
}

impl MailStatus {
    pub(crate) fn of(row: &OutboxRow, time: impl Fn(Moment) -> String) -> MailStatus {
        let (word, badge, at, why) = match &row.state {
            MailState::Waiting { .. } | MailState::Sending { .. } => {
                let tried = match row.tries {
                    0 => None,
                    1 => Some("tried once, and tried again later".to_owned()),
                    tries => Some(format!("tried {tries} times, and tried again later")),
                };
                ("waiting", "info", row.written_at, tried)
            }
            MailState::Sent { at, .. } => ("sent", "", *at, None),
            MailState::Delivered { at, .. } => ("delivered", "good", *at, None),
            MailState::Bounced { at, bounce, .. } => ("bounced", "wrong", *at, Some(came_back(*bounce).to_owned())),
            MailState::Complained { at, .. } => (
                "complained",
                "wrong",
                *at,
                Some("the recipient, or a machine of theirs, marked it as unwanted".to_owned()),
            ),
            MailState::Dropped { at, why } => {
                // An alert that reached nobody must be visible as failed.
                let word = if matches!(row.mail, QueuedMail::Alert { .. }) { "failed" } else { "not sent" };
                (word, "", *at, Some(why.clone()))
            }
            MailState::Failed { at, why } => ("failed", "wrong", *at, Some(FailureText::of(why).what)),
        };
        MailStatus { word, badge, since: time(at), why }
    }

    /// The state of a mail whose row has expired. The mail server accepted it, or it would be a dead
    /// letter.
    pub(crate) fn forgotten() -> MailStatus {
        MailStatus { word: "sent", badge: "", since: "before the last 90 days".to_owned(), why: None }
    }
}

/// Why the mail server takes no mail, or not some.
pub(crate) fn refused(refusal: &MailRefusal) -> String {
    let why = FailureText::of(&refusal.code);
    format!("Mail waits since {}: {}. {}", utc(refusal.since), why.what, why.to_do)
}

fn came_back(bounce: Bounce) -> &'static str {
    match bounce {
        Bounce::Hard => "it came back for good",
        Bounce::Suppressed => "the mail server did not try, since the address came back to one of its customers before",
        Bounce::Soft => "it came back for now, as from a full mailbox",
        Bounce::Reply => "it came back, or a machine answered that somebody is away",
    }
}

/// Those of these people whom not all mail reaches, with the mark.
pub(crate) async fn unreached<'a>(
    site: &Site,
    people: impl Iterator<Item = &'a EmailAddress>,
    now: Moment,
) -> Result<Vec<(EmailAddress, Undeliverable)>, AppError> {
    let marked = people.map(async |one| {
        let mark = site.table.undeliverable(one.matched(), now).await?;
        Ok::<_, AppError>(mark.map(|mark| (one.clone(), mark)))
    });
    Ok(try_join_all(marked).await?.into_iter().flatten().collect())
}

pub(crate) fn why(why: impl Borrow<UnreachableReason>) -> &'static str {
    match why.borrow() {
        UnreachableReason::Bounced => "mail to it came back for good.",
        UnreachableReason::Suppressed => {
            "SES did not try: the address came back to one of its customers before. It forgets that after some days."
        }
        UnreachableReason::Complained => "the recipient, or a machine on their behalf, marked a mail as unwanted.",
    }
}

pub(crate) fn kind(mail: &QueuedMail) -> &'static str {
    match mail {
        QueuedMail::Link { .. } => "link to sign in",
        QueuedMail::Roster { .. } => "roster mail",
        QueuedMail::FormerAddress { .. } => "notice to the former address",
        QueuedMail::Notice { notice, .. } => match notice {
            Notice::KeyShown => "a key was shown",
            Notice::KeyLeaked => "a key was reported leaked",
            Notice::Unused | Notice::TooOld => "a rule ended a key",
            Notice::TermEndSoon => "the term will end",
            Notice::UnusedSoon | Notice::TooOldSoon => "a rule will end a key",
        },
        QueuedMail::CapUsed { .. } => "how much of a cap is used",
        QueuedMail::Alert { .. } => "alert",
        QueuedMail::TestAlert { .. } => "test alert",
        QueuedMail::Request { .. } => "request to admins",
        QueuedMail::More { .. } => "request for more",
        QueuedMail::Digest { .. } => "digest",
        QueuedMail::AccountDigest { .. } => "digest of the account",
        QueuedMail::Statement { .. } => "statement",
        QueuedMail::Account { .. } => "alarm of the account",
    }
}
