//! The events by which SES reports on a mail, found by the mail's id. They may come twice, late and in any
//! order: a row only moves to a worse state. One transaction writes the row, its day's count and the
//! address's mark.

use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::failure::{BOUNCED, COMPLAINED, RETURNED, SUPPRESSED};
use bursar_core::domain::people::role::is_among;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{Bounce as Came, MailState, OutboxRow, SentAs, StoreError, Undeliverable, UnreachableReason};
use jiff::Timestamp;
use serde::Deserialize;
use ulid::Ulid;

use crate::App;
use crate::letter::ROW_HEADER;

/// An event of a configuration set, or a feedback notification; the two name their type differently.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SesEvent {
    #[serde(alias = "notificationType")]
    event_type: String,
    mail: EventMail,
    bounce: Option<EventBounce>,
    complaint: Option<Complaint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventMail {
    message_id: String,
    /// The recipients.
    #[serde(default)]
    destination: Vec<String>,
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
struct EventBounce {
    bounce_type: String,
    #[serde(default)]
    bounce_sub_type: String,
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

/// The outcome that an event reports, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum EventOutcome {
    /// A bounce that may be an automatic reply, which means no more than a delivery.
    Answered,
    Delivered,
    Returned,
    Suppressed,
    Bounced,
    Complained,
}

/// An event's outcome, and the reason to send nothing more to the address.
type Feedback = (EventOutcome, Option<UnreachableReason>);

/// The length to which an unexpected event type is cut in the log.
const LONGEST_TYPE: usize = 40;

impl App {
    /// Records one event. An error is the table's, and the event comes again.
    pub(crate) async fn record_event(&self, message: &str, deadline: Deadline) -> Result<(), StoreError> {
        let now = self.clock.now();
        let Ok(event) = serde_json::from_str::<SesEvent>(message) else {
            // SNS sends a message of its own on subscription.
            tracing::warn!("a notification is none that SES sends of a mail");
            return Ok(());
        };
        // Where the record of sending was lost, the mail's own header names its row.
        let Some(row) =
            self.table.get(SentAs::key_of(&event.mail.message_id)).await?.map(|sent| sent.row).or_else(|| event.row())
        else {
            // Other senders may use this identity.
            tracing::info!("heard of a mail that is not ours");
            return Ok(());
        };
        let Some((outcome, ended_by)) = event.feedback() else {
            let event: String = event.event_type.chars().take(LONGEST_TYPE).collect();
            tracing::info!(event, "SES tells of what is not asked of it");
            return Ok(());
        };
        let ends = ended_by.into_iter().flat_map(|why| event.to().filter_map(move |to| mark(to, why, now)));
        let ends: Vec<_> = ends.collect();

        let Some(row) = self.moved(row, outcome, &event.mail.message_id, &ends, now, deadline).await? else {
            return self.table.end_mail_to(&ends, now, deadline).await;
        };
        let Some(code) = outcome.alarm_code() else { return Ok(()) };
        // The invocation that moved the row may have died before this, so a repeated event does it again.
        let is_to_admin = ends.iter().any(|mark| is_among(&mark.address, &self.config.admins));
        if row.mail.is_to_staff() || is_to_admin {
            self.tell_admins(Some(row.mail.kind()), code, row.row, now, deadline).await?;
        }
        let kind = row.mail.kind();
        if kind.is_bulk() {
            self.judge(kind, row.counted_on.unwrap_or(utc_date(now)), now, deadline).await?;
        }
        Ok(())
    }

    /// Moves the row to this outcome, unless it is there or further. Any earlier state will do, since SES
    /// has had the mail. `None` when the row is gone.
    async fn moved(
        &self,
        row: Ulid,
        outcome: EventOutcome,
        message: &str,
        ends: &[Undeliverable],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Option<OutboxRow>, StoreError> {
        loop {
            let Some(row) = self.table.get(OutboxRow::key_of(row)).await? else { return Ok(None) };
            if reached(&row.state).is_some_and(|reached| reached >= outcome) {
                return Ok(Some(row));
            }
            let (message, at) = (message.to_owned(), now);
            let state = match outcome {
                EventOutcome::Delivered => MailState::Delivered { message, at },
                EventOutcome::Answered => MailState::Bounced { message, at, bounce: Came::Reply },
                EventOutcome::Returned => MailState::Bounced { message, at, bounce: Came::Soft },
                EventOutcome::Suppressed => MailState::Bounced { message, at, bounce: Came::Suppressed },
                EventOutcome::Bounced => MailState::Bounced { message, at, bounce: Came::Hard },
                EventOutcome::Complained => MailState::Complained { message, at },
            };
            if let Some(row) = self.table.record_delivery(&row, state, ends, now, deadline).await? {
                return Ok(Some(row));
            }
        }
    }
}

impl EventOutcome {
    /// The code under which admins are notified of it, if they are.
    fn alarm_code(self) -> Option<&'static str> {
        match self {
            EventOutcome::Answered | EventOutcome::Delivered => None,
            EventOutcome::Returned => Some(RETURNED),
            EventOutcome::Suppressed => Some(SUPPRESSED),
            EventOutcome::Bounced => Some(BOUNCED),
            EventOutcome::Complained => Some(COMPLAINED),
        }
    }
}

/// The mark that stops mail to a recipient.
fn mark(to: &str, why: UnreachableReason, at: Timestamp) -> Option<Undeliverable> {
    let Ok(address) = EmailAddress::parse(to) else {
        tracing::warn!("SES names a recipient that is no address");
        return None;
    };
    Some(Undeliverable { address: address.matched().clone(), why, at })
}

impl SesEvent {
    /// The outcome, and the reason to send nothing more to the address. `None` for event types that are not
    /// subscribed to.
    fn feedback(&self) -> Option<Feedback> {
        match (self.event_type.as_str(), &self.bounce) {
            ("Delivery", _) => Some((EventOutcome::Delivered, None)),
            ("Bounce", Some(bounce)) => Some(match (bounce.bounce_type.as_str(), bounce.bounce_sub_type.as_str()) {
                // The mail server did not try to deliver it, and AWS does not count it as a bounce of the
                // account.
                ("Permanent", "Suppressed" | "OnAccountSuppressionList") => {
                    (EventOutcome::Suppressed, Some(UnreachableReason::Suppressed))
                }
                ("Permanent", _) => (EventOutcome::Bounced, Some(UnreachableReason::Bounced)),
                ("Transient", "General") | ("Undetermined", _) => (EventOutcome::Answered, None),
                _ => (EventOutcome::Returned, None),
            }),
            ("Complaint", _) => Some((EventOutcome::Complained, Some(UnreachableReason::Complained))),
            _ => None,
        }
    }

    /// The recipients of the mail. The bounce's own recipients may be spelled otherwise, so they are used
    /// only if the event names no others.
    fn to(&self) -> impl Iterator<Item = &str> {
        let bounced = self.bounce.iter().flat_map(|bounce| &bounce.bounced_recipients);
        let complained = self.complaint.iter().flat_map(|complaint| &complaint.complained_recipients);
        let answered = bounced.chain(complained).map(|recipient| recipient.email_address.as_str());
        let is_said = !self.mail.destination.is_empty();
        self.mail.destination.iter().map(String::as_str).chain(answered.filter(move |_| !is_said))
    }

    fn row(&self) -> Option<Ulid> {
        let header = self.mail.headers.iter().find(|header| header.name.eq_ignore_ascii_case(ROW_HEADER))?;
        header.value.trim().parse().ok()
    }
}

fn reached(state: &MailState) -> Option<EventOutcome> {
    match state {
        MailState::Delivered { .. } => Some(EventOutcome::Delivered),
        MailState::Bounced { bounce: Came::Reply, .. } => Some(EventOutcome::Answered),
        MailState::Bounced { bounce: Came::Soft, .. } => Some(EventOutcome::Returned),
        MailState::Bounced { bounce: Came::Suppressed, .. } => Some(EventOutcome::Suppressed),
        MailState::Bounced { bounce: Came::Hard, .. } => Some(EventOutcome::Bounced),
        MailState::Complained { .. } => Some(EventOutcome::Complained),
        MailState::Waiting { .. }
        | MailState::Sending { .. }
        | MailState::Sent { .. }
        | MailState::Dropped { .. }
        | MailState::Failed { .. } => None,
    }
}
