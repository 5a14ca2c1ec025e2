//! How a mail and what became of it look on the console's pages.

use bursar_core::domain::grant::Notice;
use bursar_core::domain::mail_failure::InWords;
use bursar_core::store::items::{Bounce, MailState, OutboxRow, OwedMail, Why};
use jiff::Timestamp;

use crate::show;

/// A mail with what became of it.
pub(crate) struct Mailed {
    pub(crate) kind: &'static str,
    pub(crate) written: String,
    pub(crate) outcome: Outcome,
}

/// What became of a mail, since when, and why where that is not plain.
pub(crate) struct Outcome {
    /// As the hook says it.
    pub(crate) word: &'static str,
    pub(crate) badge: &'static str,
    pub(crate) since: String,
    pub(crate) why: Option<String>,
}

impl Mailed {
    pub(crate) fn of(row: &OutboxRow, zone: &str) -> Mailed {
        Mailed {
            kind: kind(&row.mail),
            written: show::time(row.written_at, zone),
            outcome: Outcome::of(row, |at| show::time(at, zone)),
        }
    }
}

impl Outcome {
    pub(crate) fn of(row: &OutboxRow, time: impl Fn(Timestamp) -> String) -> Outcome {
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
                // Of an alert that nobody got, somebody has to know.
                let word = if matches!(row.mail, OwedMail::Alert { .. }) { "failed" } else { "not needed" };
                (word, "", *at, Some(format!("not sent: {why}")))
            }
            MailState::Failed { at, why } => ("failed", "wrong", *at, Some(InWords::of(why).what)),
        };
        Outcome { word, badge, since: time(at), why }
    }

    /// Of a row that is not kept any more: the mail server had it, or it would have been given up and told.
    pub(crate) fn forgotten() -> Outcome {
        Outcome { word: "sent", badge: "", since: "before the last 90 days".to_owned(), why: None }
    }
}

fn came_back(bounce: Bounce) -> &'static str {
    match bounce {
        Bounce::Hard => "it came back for good",
        Bounce::Suppressed => "the mail server did not try, since the address came back to one of its customers before",
        Bounce::Soft => "it came back for now, as from a full mailbox",
        Bounce::Reply => "it came back, or a machine answered that somebody is away",
    }
}

/// Why nothing is mailed to an address.
pub(crate) fn why(why: Why) -> &'static str {
    match why {
        Why::Bounced => "mail to it came back for good.",
        Why::Suppressed => {
            "SES did not try: the address came back to one of its customers before. It forgets that after some days."
        }
        Why::Complained => "the recipient, or a machine on their behalf, marked a mail as unwanted.",
    }
}

/// Which mail it is.
pub(crate) fn kind(mail: &OwedMail) -> &'static str {
    match mail {
        OwedMail::Link { .. } => "link to sign in",
        OwedMail::Roster { .. } => "roster mail",
        OwedMail::KeyShown { .. } => "a key was shown",
        OwedMail::KeyLeaked { .. } => "a key was reported leaked",
        OwedMail::ByRule { notice: Notice::Unused | Notice::TooOld, .. } => "a rule ended a key",
        OwedMail::ByRule { notice: Notice::TermEndSoon, .. } => "the term will end",
        OwedMail::ByRule { .. } => "a rule will end a key",
        OwedMail::CapUsed { .. } => "how much of a cap is used",
        OwedMail::Alert { .. } => "alert",
        OwedMail::Request { .. } => "request to admins",
        OwedMail::Digest { .. } => "digest",
        OwedMail::AccountDigest { .. } => "digest of the account",
        OwedMail::Account { .. } => "alarm of the account",
    }
}
