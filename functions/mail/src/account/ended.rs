//! The words of the mail that says that an alarm has ended.

use bursar_core::domain::mail::alarm::Cause;
use bursar_core::domain::mail::failure::FailureText;
use jiff::Timestamp;

use crate::account::{AccountPlace, AlarmText, NamedAccount, moment};

impl AlarmText {
    /// The mail about an alarm's end, for causes whose end can be seen.
    pub(super) fn over(
        ended: &Cause,
        alerted_at: Timestamp,
        shown_at: Option<Timestamp>,
        named: &NamedAccount,
    ) -> AlarmText {
        let complete = || shown_at.map(|at| format!("A sync was complete; it began on {}.", moment(at)));
        let (subject, what, leads_to) = match ended {
            Cause::Silent { .. } => ("a sync was complete".to_owned(), complete(), AccountPlace::Account),
            Cause::ManagementKey => ("the management key works".to_owned(), complete(), AccountPlace::Account),
            Cause::Balance { .. } => {
                let what = "The balance that was read last is enough for all that programmes can still cost, and for other keys until the last of them ends.";
                ("the balance is enough".to_owned(), Some(what.to_owned()), AccountPlace::Account)
            }
            Cause::MailRefused { code, .. } => {
                let since = shown_at.map(|at| format!(" since {}", moment(at))).unwrap_or_default();
                let what = format!("SES has refused no mail for this reason{since} ({}).", FailureText::of(code).what);
                ("mail is sent".to_owned(), Some(what), AccountPlace::Mail)
            }
            Cause::MailWaits { urgent, .. } => {
                let which = if *urgent {
                    "link, alert or notice"
                } else {
                    "roster mail, digest, statement or notice about a cap or rule"
                };
                let what = format!("No {which} waits for longer than it should.");
                ("no mail waits too long".to_owned(), Some(what), AccountPlace::Mail)
            }
            Cause::NothingHeard { .. } => (
                "SES reports again".to_owned(),
                Some("SES has reported of yesterday's mails.".to_owned()),
                AccountPlace::Mail,
            ),
            Cause::BulkStopped { mail_day, .. } => {
                let kind = mail_day.mail.in_words();
                let what = format!("Another day has begun: {kind} that waited are sent, and judged anew.");
                (format!("{kind} go on"), Some(what), AccountPlace::Mail)
            }
            Cause::Stuck { programme, .. } => {
                let what = "It is being carried on, or has ended. The programme's page says how it stands.";
                let subject = format!("the work on {} does not stand still", named.programme);
                (subject, Some(what.to_owned()), AccountPlace::Programme(programme.clone()))
            }
            // No other cause has a mail about its end.
            _ => ("what you were told of".to_owned(), None, AccountPlace::Account),
        };
        AlarmText {
            subject: format!("It is over: {subject}"),
            facts: vec![("You were told on", moment(alerted_at))],
            next: format!("{} There is nothing to do.", what.unwrap_or_default()).trim().to_owned(),
            leads_to,
        }
    }
}
