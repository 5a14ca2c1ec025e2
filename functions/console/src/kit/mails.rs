//! Mails and their states, as the console's pages show them.

use bursar_core::clock::Moment;
use bursar_core::domain::mail::failure::FailureText;
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::store::{MailRefusal, MailState, OutboxRow, QueuedMail, Undeliverable};
use bursar_core::web::{AppError, Result, Site};
use futures_util::future::try_join_all;
use jiff::tz::TimeZone;

use crate::kit::listing::{Cell, Column, Listing, Part, Press, column};
use crate::kit::show::utc;

/// A mail, or a request for one that led to none.
pub(crate) struct MailRow {
    pub(crate) kind: &'static str,
    /// The page that says more, in a list about several programmes, and its programme's name.
    pub(crate) about: Option<(String, String)>,
    /// What an alert is of: the name of its threshold, and that in words.
    pub(crate) threshold: Option<(String, String)>,
    /// Whom it went to, in a list of mails to several.
    pub(crate) recipient: Option<String>,
    pub(crate) written_at: Moment,
    pub(crate) outcome: MailStatus,
    /// The form that sends it again.
    pub(crate) resend: Option<Press>,
}

/// The state of a mail, since when, and the reason where the state does not say it.
pub(crate) struct MailStatus {
    /// The state as the page's test hook spells it.
    pub(crate) word: &'static str,
    /// The state as a person reads it.
    text: String,
    pub(crate) badge: &'static str,
    pub(crate) since: Moment,
    pub(crate) why: Vec<String>,
}

/// The list of these mails, each of which tests find by this hook.
pub(crate) fn listing(
    testid: &'static str,
    rows: Vec<MailRow>,
    zone: &TimeZone,
) -> Listing<MailRow> {
    let are_to_several = rows.iter().any(|row| row.recipient.is_some());
    let may_be_sent_again = rows.iter().any(|row| row.resend.is_some());
    let columns: [Column<MailRow>; 7] = [
        column("Mail").hook("kind").cell(|mail| {
            let what = mail.threshold.clone().map(|(_, words)| Part::Small(words));
            let about = mail.about.iter().flat_map(|(page, name)| {
                [
                    Part::Text(" of ".to_owned()),
                    Part::Link(page.clone(), name.clone()),
                ]
            });
            let parts = [Part::Text(mail.kind.to_owned())]
                .into_iter()
                .chain(about)
                .chain(what);
            Cell::Shown(Some(mail.kind.to_owned()), parts.collect())
        }),
        column("")
            .hook("threshold")
            .cell(|mail| Cell::exact(mail.threshold.as_ref().map(|(name, _)| name))),
        column("To")
            .hook("recipient")
            .show_if(are_to_several)
            .cell(|mail| Cell::text(mail.recipient.as_deref())),
        column("Written")
            .class("date")
            .cell(|mail| Cell::At(Some(mail.written_at))),
        column("Status").hook("outcome").cell(|mail| {
            let badge = Part::Badge(mail.outcome.badge, mail.outcome.text.clone());
            let why = mail.outcome.why.iter().cloned().map(Part::Small);
            Cell::Shown(
                Some(mail.outcome.word.to_owned()),
                [badge].into_iter().chain(why).collect(),
            )
        }),
        column("Since")
            .class("date")
            .cell(|mail| Cell::At(Some(mail.outcome.since))),
        column("Again")
            .show_if(may_be_sent_again)
            .cell(|mail| Cell::Shown(None, mail.resend.iter().cloned().map(Part::Press).collect())),
    ];
    Listing::new(("Mail", testid), columns, rows, zone)
}

impl MailRow {
    pub(crate) fn new(row: &OutboxRow) -> MailRow {
        let threshold = if let QueuedMail::Alert {
            scope,
            threshold,
            of_limit,
            ..
        } = &row.mail
        {
            Some((
                scope.threshold_name(*threshold),
                scope.to_words(*threshold, *of_limit),
            ))
        } else {
            None
        };
        let kind = row.mail.facts().words;
        let written_at = row.written_at;
        MailRow {
            kind,
            about: None,
            threshold,
            recipient: None,
            written_at,
            outcome: MailStatus::from_row(row),
            resend: None,
        }
    }
}

impl MailStatus {
    pub(crate) fn new(
        word: &'static str,
        badge: &'static str,
        since: Moment,
        why: Option<String>,
    ) -> MailStatus {
        MailStatus {
            word,
            text: word.to_owned(),
            badge,
            since,
            why: why.into_iter().collect(),
        }
    }

    fn from_row(row: &OutboxRow) -> MailStatus {
        let mut status = match &row.state {
            MailState::Waiting { .. } | MailState::Planned { .. } | MailState::Sending { .. } => {
                let tried = match row.tries {
                    0 => None,
                    1 => Some("tried once, and tried again later".to_owned()),
                    tries => Some(format!("tried {tries} times, and tried again later")),
                };
                MailStatus::new("waiting", "info", row.written_at, tried)
            }
            MailState::Sent { sent_at, .. } => MailStatus::new("sent", "", *sent_at, None),
            MailState::Delivered { event_at, .. } => {
                MailStatus::new("delivered", "good", *event_at, None)
            }
            MailState::Bounced {
                event_at, bounce, ..
            } => MailStatus::new(
                "bounced",
                "wrong",
                *event_at,
                Some(bounce.to_words().to_owned()),
            ),
            MailState::Complained { event_at, .. } => MailStatus::new(
                "complained",
                "wrong",
                *event_at,
                Some("the recipient, or a program of theirs, marked it as unwanted".to_owned()),
            ),
            MailState::Dropped { ended_at, why } => {
                // An alert that reached nobody must be visible as failed.
                let word = if row.mail.facts().kind == MailKind::Alert {
                    "failed"
                } else {
                    "not sent"
                };
                MailStatus::new(word, "", *ended_at, Some(why.clone()))
            }
            MailState::Failed { ended_at, why } => MailStatus::new(
                "failed",
                "wrong",
                *ended_at,
                Some(FailureText::from_code(why).what),
            ),
        };
        if let Some(server) = row.state.handed_to() {
            status.text = format!("handed to {server}");
        }
        status
            .why
            .extend(row.again_at.map(|_| "sent again by hand".to_owned()));
        status
    }
}

/// Why the mail server takes no mail, or not some.
pub(crate) fn refused(refusal: &MailRefusal) -> String {
    let why = FailureText::from_code(&refusal.code);
    format!(
        "Mail waits since {}: {}. {}",
        utc(refusal.since),
        why.what,
        why.to_do
    )
}

/// Those of these people whom not all mail reaches, with the mark.
pub(crate) async fn list_unreached<'a>(
    site: &Site,
    people: impl Iterator<Item = &'a EmailAddress>,
    now: Moment,
) -> Result<Vec<(EmailAddress, Undeliverable)>> {
    let marked = people.map(async |address| {
        let mark = site.table.undeliverable(address.matched(), now).await?;
        Ok::<_, AppError>(mark.map(|mark| (address.clone(), mark)))
    });
    Ok(try_join_all(marked).await?.into_iter().flatten().collect())
}
