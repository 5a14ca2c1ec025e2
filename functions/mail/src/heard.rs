//! What SES says became of a mail. It may be said twice, late and in any order: a row only moves to what is worse, so the end is the
//! same. Which row it was stands in a header of the mail, since the row is gone sooner than the last event may come.

use bursar_core::domain::address::EmailAddress;
use bursar_core::store::StoreError;
use bursar_core::store::items::{MailState, Undeliverable, Why};
use jiff::Timestamp;
use serde::Deserialize;
use ulid::Ulid;

use crate::App;
use crate::letter::ROW_HEADER;

/// An event of a configuration set, or a feedback notification: they differ in the name of their type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(alias = "notificationType")]
    event_type: String,
    mail: Mail,
    bounce: Option<Bounce>,
    complaint: Option<Complaint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mail {
    message_id: String,
    #[serde(default)]
    headers: Vec<Header>,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounce {
    bounce_type: String,
    #[serde(default)]
    bounced_recipients: Vec<Recipient>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complaint {
    #[serde(default)]
    complained_recipients: Vec<Recipient>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recipient {
    email_address: String,
}

/// What happened, the worse the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Delivered,
    Bounced,
    Complained,
}

impl App {
    /// Takes one message in. An error is the table's, and the message comes again.
    pub(crate) async fn hear(&self, message: &str) -> Result<(), StoreError> {
        let now = self.clock.now();
        let Ok(event) = serde_json::from_str::<Event>(message) else {
            // SNS itself says hello when somebody subscribes.
            tracing::warn!("a notification is none that SES sends of a mail");
            return Ok(());
        };
        let Some(row) = event.row() else {
            // Others may send from the same identity.
            tracing::info!("heard of a mail that is not ours");
            return Ok(());
        };
        let (outcome, ended) = match (event.event_type.as_str(), &event.bounce, &event.complaint) {
            ("Delivery", ..) => (Outcome::Delivered, None),
            ("Bounce", Some(bounce), _) if bounce.bounce_type == "Permanent" => {
                (Outcome::Bounced, Some((Why::Bounced, &bounce.bounced_recipients)))
            }
            ("Bounce", Some(_), _) => (Outcome::Bounced, None),
            ("Complaint", _, Some(complaint)) => {
                (Outcome::Complained, Some((Why::Complained, &complaint.complained_recipients)))
            }
            (other, ..) => {
                tracing::info!(event = other, "SES tells of what is not asked of it");
                return Ok(());
            }
        };
        if let Some((why, recipients)) = ended {
            for recipient in recipients {
                self.end_mail_to(recipient, why, now).await?;
            }
        }
        self.mark(row, outcome, event.mail.message_id, now).await
    }

    async fn end_mail_to(&self, recipient: &Recipient, why: Why, now: Timestamp) -> Result<(), StoreError> {
        let Ok(address) = EmailAddress::parse(&recipient.email_address) else {
            tracing::warn!("SES names a recipient that is no address");
            return Ok(());
        };
        let address = address.matched().clone();
        // A complaint stays one when the next mail bounces; what was said first stays first.
        if self.table.undeliverable(&address).await?.is_some_and(|mark| why == Why::Bounced || mark.why == why) {
            return Ok(());
        }
        self.table.mark_undeliverable(&Undeliverable { address, why, at: now }).await
    }

    /// Moves the row on, unless it is as far or gone. Whatever it was before, SES has had the mail.
    async fn mark(&self, row: Ulid, outcome: Outcome, message: String, now: Timestamp) -> Result<(), StoreError> {
        loop {
            let Some(row) = self.table.mail(row).await? else { return Ok(()) };
            if reached(&row.state).is_some_and(|reached| reached >= outcome) {
                return Ok(());
            }
            let (message, at) = (message.clone(), now);
            let state = match outcome {
                Outcome::Delivered => MailState::Delivered { message, at },
                Outcome::Bounced => MailState::Bounced { message, at },
                Outcome::Complained => MailState::Complained { message, at },
            };
            if self.table.set_mail(&row, state).await?.is_some() {
                return Ok(());
            }
        }
    }
}

impl Event {
    fn row(&self) -> Option<Ulid> {
        let header = self.mail.headers.iter().find(|header| header.name.eq_ignore_ascii_case(ROW_HEADER))?;
        header.value.trim().parse().ok()
    }
}

fn reached(state: &MailState) -> Option<Outcome> {
    match state {
        MailState::Delivered { .. } => Some(Outcome::Delivered),
        MailState::Bounced { .. } => Some(Outcome::Bounced),
        MailState::Complained { .. } => Some(Outcome::Complained),
        MailState::Waiting { .. }
        | MailState::Sending { .. }
        | MailState::Sent { .. }
        | MailState::Dropped { .. }
        | MailState::Failed { .. } => None,
    }
}
