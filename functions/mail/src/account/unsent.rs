//! The mail that an alarm is about, given up or returned, and its recipient. Students are not
//! named.

use bursar_core::domain::mail::failure::{COMPLAINED, FailureText};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::values::format::month_name;
use bursar_core::store::{Facts, MailTo, OutboxRow, QueuedMail, StoreError};
use ulid::Ulid;

use super::AlarmText;
use crate::App;

/// The mail behind an alarm.
#[derive(Default)]
pub(super) struct UnsentMail {
    /// The kind of mail, where no more is known.
    what: String,
    recipient: Option<String>,
}

impl App {
    /// The first mail that an alarm is of, as far as it can still be read.
    pub(super) async fn unsent(
        &self,
        kind: Option<MailKind>,
        first: Ulid,
    ) -> Result<UnsentMail, StoreError> {
        let kind = kind.map_or("a mail that cannot be read", MailKind::to_words);
        match self.table.get(OutboxRow::key_of(first)).await {
            Ok(Some(row)) => self.described(&row.mail).await,
            Ok(None) | Err(StoreError::Corrupt { .. }) => Ok(UnsentMail {
                what: kind.to_owned(),
                recipient: None,
            }),
            Err(error) => Err(error),
        }
    }

    async fn described(&self, mail: &QueuedMail) -> Result<UnsentMail, StoreError> {
        let Facts {
            words, recipient, ..
        } = mail.facts();
        let mut what = format!("the {words}");
        if let Some(programme) = recipient.programme() {
            what += &format!(" of {}", self.name_of(programme).await?);
        }
        if let QueuedMail::Alert {
            scope,
            threshold,
            of_limit,
            ..
        } = mail
        {
            what += &format!(": {}", scope.to_words(*threshold, *of_limit));
        }
        if let QueuedMail::Statement { month, .. } = mail {
            what += &format!(" of {}", month_name(*month));
        }
        let name = match recipient {
            MailTo::Staff(_, recipient) => self.address_of(recipient).await?,
            MailTo::Student(..) => "a student".to_owned(),
            MailTo::Asker => "the person who asked for it".to_owned(),
        };
        Ok(UnsentMail {
            what,
            recipient: Some(name),
        })
    }
}

impl UnsentMail {
    pub(super) fn text(&self, code: &str) -> AlarmText {
        let why = FailureText::from_code(code);
        let what = &self.what;
        let subject = match code {
            COMPLAINED => format!("A mail was marked as unwanted: {what}"),
            _ => format!("A mail did not arrive: {what}"),
        };
        let mut facts = vec![("Mail", what.clone())];
        facts.extend(self.recipient.clone().map(|recipient| ("To", recipient)));
        facts.push(("Why", format!("{} ({code})", why.what)));
        AlarmText {
            subject,
            facts,
            next: why.to_do.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_that_did_not_arrive_is_named() {
        let alert = UnsentMail {
            what: "the alert of CS pilot: 80% of $4,000".to_owned(),
            recipient: Some("fay@x.edu".to_owned()),
        };
        let AlarmText {
            subject,
            facts,
            next,
        } = alert.text("MessageRejected");
        let facts: String = facts
            .into_iter()
            .map(|(name, fact)| format!("{name}: {fact}\n"))
            .collect();
        insta::assert_snapshot!(format!("{subject}\n{facts}{next}"), @r#"
        A mail did not arrive: the alert of CS pilot: 80% of $4,000
        Mail: the alert of CS pilot: 80% of $4,000
        To: fay@x.edu
        Why: the mail server refused the message (MessageRejected)
        SES would refuse it as often as it is tried. The log of the function mail names the row, and the SES console may say more. Once the reason is fixed, press "Send again" in the section "Mail" of the account page.
        "#);
        assert_eq!(
            alert.text(COMPLAINED).subject,
            "A mail was marked as unwanted: the alert of CS pilot: 80% of $4,000"
        );
    }
}
