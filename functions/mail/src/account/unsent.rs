//! The mails that an alarm is about, given up or returned: how many, and the recipient of the first.
//! Students are not named.

use bursar_core::domain::mail::failure::{BOUNCED, COMPLAINED, FailureText, RETURNED, SUPPRESSED};
use bursar_core::domain::usage::crossing::Scope;
use bursar_core::domain::values::format::named_month;
use bursar_core::store::MailTo;

use super::AlarmText;
use crate::prelude::*;

/// The number of newest dead letters that are counted.
const MOST_COUNTED: usize = 500;

/// The mails behind an alarm.
#[derive(Default)]
pub(super) struct UnsentMails {
    /// The mails given up since the alarm's day began.
    mails: u64,
    /// Whether there were more dead letters than were read.
    at_least: bool,
    first: Option<FirstUnsent>,
    kind: Option<MailKind>,
}

struct FirstUnsent {
    what: String,
    to: String,
}

impl App {
    /// Counts the dead letters of this kind, programme and reason since the alarm's day began. A returned mail is
    /// no dead letter, so there only the first is known.
    pub(super) async fn unsent(
        &self,
        day: Date,
        kind: Option<MailKind>,
        programme: Option<&ProgrammeId>,
        code: &str,
        first: Ulid,
    ) -> Result<UnsentMails, StoreError> {
        let since = day.to_zoned(TimeZone::UTC).map_or(Moment::MIN, |midnight| midnight.timestamp().into());
        let (mails, at_least) = if is_bounce(code) {
            (1, false)
        } else {
            let dead = self.table.dead_mails(since, MOST_COUNTED).await?;
            let is_it = |row: &&OutboxRow| {
                let Facts { kind: of, to, .. } = row.mail.facts();
                let is_of_programme = programme.is_none() || to.programme() == programme;
                row.given_up().0 == code && Some(of) == kind && is_of_programme
            };
            let count = if kind.is_none() { dead.unreadable } else { dead.newest.iter().filter(is_it).count() };
            (u64::try_from(count).unwrap_or(u64::MAX).max(1), dead.in_all > dead.newest.len() + dead.unreadable)
        };
        let first = match self.table.get(OutboxRow::key_of(first)).await {
            Ok(Some(row)) => Some(self.described(&row.mail).await?),
            Ok(None) | Err(StoreError::Corrupt { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(UnsentMails { mails, at_least, first, kind })
    }

    async fn described(&self, mail: &QueuedMail) -> Result<FirstUnsent, StoreError> {
        let to = mail.facts().to;
        let name = match to.programme() {
            Some(programme) => self.name_of(programme).await?,
            None => String::new(),
        };
        let what = match mail {
            QueuedMail::Link { .. } => "a link to sign in".to_owned(),
            QueuedMail::Roster { .. } => format!("the invitation to {name}"),
            QueuedMail::FormerAddress { .. } => format!("the notice to a former address, {name}"),
            QueuedMail::Notice { .. } => format!("the notice to a student of {name}: {}", mail.facts().words),
            QueuedMail::CapUsed { threshold, .. } => {
                format!("the notice that {threshold}% of a cap is used, {name}")
            }
            QueuedMail::Alert { scope: Scope::Reserved, .. } => {
                format!("the alert that {name} has no room for more keys")
            }
            QueuedMail::Alert { threshold, .. } => format!("the alert of {name} at {threshold}%"),
            QueuedMail::TestAlert { .. } => format!("a test alert of {name}"),
            QueuedMail::Request { .. } => format!("a request of the faculty of {name}"),
            QueuedMail::RequestDecided { .. } => format!("the answer to a request of the faculty of {name}"),
            QueuedMail::More { .. } => format!("a student's request for more, {name}"),
            QueuedMail::Import { .. } => format!("the news of the registrar's file for {name}"),
            QueuedMail::Digest { .. } => format!("the digest of {name}"),
            QueuedMail::Statement { month, .. } => format!("the statement of {}", named_month(*month)),
            QueuedMail::Account { .. } => "a mail to admins about the account".to_owned(),
        };
        let to = match to {
            MailTo::Staff(_, recipient) => self.address_of(recipient).await?,
            MailTo::Student(..) => format!("a student of {name}"),
            MailTo::Asker => "the person who asked for it".to_owned(),
        };
        Ok(FirstUnsent { what, to })
    }
}

impl UnsentMails {
    pub(super) fn text(&self, code: &str) -> AlarmText {
        let why = FailureText::of(code);
        let kind = self.kind.map_or("a mail that cannot be read", MailKind::in_words);
        let what = self.first.as_ref().map_or(kind, |first| &first.what);
        let count = if self.at_least { format!("at least {}", self.mails) } else { self.mails.to_string() };
        let subject = match (code, self.mails) {
            (COMPLAINED, _) => format!("Somebody complained about {what}"),
            (_, 1) if !self.at_least => format!("A mail did not arrive: {what}"),
            _ => format!("{count} mails did not arrive, the first: {what}"),
        };
        let mut facts = match (is_bounce(code), count.as_str()) {
            (true, _) => vec![("Mail", what.to_owned())],
            // The alarm is sent with the first dead letter, and more may follow.
            (false, "1") => vec![("Given up so far", format!("1: {what}"))],
            (false, _) => vec![("Given up so far", format!("{count}, the first: {what}"))],
        };
        facts.extend(self.first.as_ref().map(|first| ("To", first.to.clone())));
        facts.push(("Why", format!("{} ({code})", why.what)));
        AlarmText { subject, facts, next: why.to_do.to_owned() }
    }
}

/// Whether the code is of a mail that the mail server accepted and reported on later.
fn is_bounce(code: &str) -> bool {
    [RETURNED, BOUNCED, SUPPRESSED, COMPLAINED].contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(mails: u64, at_least: bool, first: Option<FirstUnsent>, code: &str) -> String {
        let told = UnsentMails { mails, at_least, first, kind: Some(MailKind::Alert) }.text(code);
        let facts: String = told.facts.into_iter().map(|(name, fact)| format!("{name}: {fact}\n")).collect();
        format!("{}\n{facts}{}", told.subject, told.next)
    }

    #[test]
    fn mails_that_did_not_arrive_are_counted_and_the_first_is_named() {
        let first =
            || Some(FirstUnsent { what: "the alert of CS pilot at 80%".to_owned(), to: "fay@x.edu".to_owned() });
        insta::assert_snapshot!(told(1, false, first(), "MessageRejected"), @r#"
        A mail did not arrive: the alert of CS pilot at 80%
        Given up so far: 1: the alert of CS pilot at 80%
        To: fay@x.edu
        Why: the mail server refused the message (MessageRejected)
        SES would refuse it as often as it is tried. The log of the function mail names the row, and the SES console may say more. Once the reason is fixed, press "Send again" in the section "Mail" of the account page.
        "#);
        let rejected = |mails, at_least, first| told(mails, at_least, first, "MessageRejected");
        let three = rejected(3, false, first());
        assert!(three.starts_with(
            "3 mails did not arrive, the first: the alert of CS pilot at 80%\nGiven up so far: 3, the first: the"
        ));
        assert!(rejected(500, true, first()).starts_with("at least 500 mails did not arrive, the first: "));
        let says = "A mail did not arrive: alerts\nGiven up so far: 1: alerts\nWhy: ";
        assert!(rejected(1, false, None).starts_with(says));
        let complained = told(1, false, first(), COMPLAINED);
        let says = "Somebody complained about the alert of CS pilot at 80%\nMail: the alert of CS pilot at 80%\n";
        assert!(complained.starts_with(says), "how many more is not known: {complained}");
    }
}
