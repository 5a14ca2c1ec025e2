//! What SES says became of a mail. It may be said twice, late and in any order: a row only moves to what is worse, and with it the
//! count of its day and the mark of the address, so the end is the same. Which row it was is known by the id of the mail.

use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::failure::{BOUNCED, COMPLAINED, RETURNED, SUPPRESSED};
use bursar_core::domain::people::role::is_among;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{Bounce as Came, MailState, OutboxRow, StoreError, Undeliverable, UnreachableReason};
use jiff::Timestamp;
use serde::Deserialize;
use ulid::Ulid;

use crate::App;
use crate::letter::ROW_HEADER;

/// An event of a configuration set, or a feedback notification: they differ in the name of their type.
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
    /// To whom it was sent.
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

/// What happened, the worse the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum EventOutcome {
    /// It came back by an answer that may be a machine's, which says no more than a delivery does.
    Answered,
    Delivered,
    Returned,
    Suppressed,
    Bounced,
    Complained,
}

/// What an event comes to, and why nothing goes to that address any more.
type Feedback = (EventOutcome, Option<UnreachableReason>);

/// A type of event that nobody asked for is logged so far.
const LONGEST_TYPE: usize = 40;

impl App {
    /// Takes one message in. An error is the table's, and the message comes again.
    pub(crate) async fn record_event(&self, message: &str, deadline: Deadline) -> Result<(), StoreError> {
        let now = self.clock.now();
        let Ok(event) = serde_json::from_str::<SesEvent>(message) else {
            // SNS itself says hello when somebody subscribes.
            tracing::warn!("a notification is none that SES sends of a mail");
            return Ok(());
        };
        // Where the record of its sending was lost, the mail's own header says which it was.
        let Some(row) = self.table.row_sent_as(&event.mail.message_id).await?.or_else(|| event.row()) else {
            // Others may send from the same identity.
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
        let Some(code) = outcome.to_be_told() else { return Ok(()) };
        // Whoever wrote the row down may have died of it, so this is done again for an event that comes again.
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

    /// Moves the row on, unless it is as far. Whatever it was before, SES has had the mail. None when the row is gone.
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
            let Some(row) = self.table.mail(row).await? else { return Ok(None) };
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
    /// Which of the codes of mail that did not arrive it is.
    fn to_be_told(self) -> Option<&'static str> {
        match self {
            EventOutcome::Answered | EventOutcome::Delivered => None,
            EventOutcome::Returned => Some(RETURNED),
            EventOutcome::Suppressed => Some(SUPPRESSED),
            EventOutcome::Bounced => Some(BOUNCED),
            EventOutcome::Complained => Some(COMPLAINED),
        }
    }
}

/// That nothing goes to a recipient any more.
fn mark(to: &str, why: UnreachableReason, at: Timestamp) -> Option<Undeliverable> {
    let Ok(address) = EmailAddress::parse(to) else {
        tracing::warn!("SES names a recipient that is no address");
        return None;
    };
    Some(Undeliverable { address: address.matched().clone(), why, at })
}

impl SesEvent {
    /// What happened, and why nothing goes to the address any more. None of what nobody asked SES to tell.
    fn feedback(&self) -> Option<Feedback> {
        match (self.event_type.as_str(), &self.bounce) {
            ("Delivery", _) => Some((EventOutcome::Delivered, None)),
            ("Bounce", Some(bounce)) => Some(match (bounce.bounce_type.as_str(), bounce.bounce_sub_type.as_str()) {
                // The mail server did not try: AWS does not hold it against the account either.
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

    /// To whom the mail was sent. Whoever answers for them may be named as another: they are asked only where nothing else is said.
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
