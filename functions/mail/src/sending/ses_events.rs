//! The events by which SES reports on a mail, found by the mail's id. They may come twice, late and
//! in any order: a row only moves to a worse state. One transaction writes the row, its roster's
//! count, the address's mark, and the row by which a returned alert is sent again.

use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::failure::{
    BOUNCED, COMPLAINED, RETURNED, RETURNED_EACH_TIME, SUPPRESSED,
};
use bursar_core::domain::programme::counts::Stage;
use bursar_core::domain::programme::role::is_among;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::store::{
    Bounce, MailState, OutboxRow, SentAs, StoreError, Undeliverable, UnreachableReason,
};
use serde::Deserialize;
use ulid::Ulid;

use super::row::{is_last_try, plan_after_return};
use crate::App;
use crate::letter::ROW_HEADER;

/// An event of a configuration set, or a feedback notification; the two name their type
/// differently.
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

/// The length to which an unexpected event type is cut in the log.
const LONGEST_TYPE: usize = 40;

impl App {
    /// Records one event. An error is the table's, and the event comes again.
    pub(crate) async fn record_event(
        &self,
        message: &str,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let Ok(event) = serde_json::from_str::<SesEvent>(message) else {
            // SNS sends a message of its own on subscription.
            tracing::warn!("a notification is none that SES sends of a mail");
            return Ok(());
        };
        // Where the record of sending was lost, the mail's own header names its row.
        let Some(row) = self
            .table
            .get(SentAs::key_of(&event.mail.message_id))
            .await?
            .map(|sent| sent.row)
            .or_else(|| event.row())
        else {
            // Other senders may use this identity.
            tracing::info!("heard of a mail that is not ours");
            return Ok(());
        };
        let Some(state) = event.feedback(now) else {
            // Such as a delay: what becomes of the mail in the end comes as another event.
            let code: String = event.event_type.chars().take(LONGEST_TYPE).collect();
            tracing::warn!(%row, code, "SES tells of a mail, and not what became of it");
            return Ok(());
        };
        let facts = EventFacts::new(&state);
        let ends = facts.stops.into_iter().flat_map(|why| {
            event
                .recipients()
                .filter_map(move |recipient| mark(recipient, why, now))
        });
        let mut ends: Vec<_> = ends.collect();
        // Of an address that nobody here has any more, nothing is kept.
        for index in (0..ends.len()).rev() {
            if !self.table.is_anybodys(&ends[index].address, None).await? {
                ends.remove(index);
            }
        }
        let moved = self.move_row(row, state, &ends, now, deadline).await?;
        if moved.is_none() {
            self.table.end_mail_to(&ends, now, deadline).await?;
        }
        for mark in ends
            .iter()
            .filter(|mark| mark.why != UnreachableReason::Complained)
        {
            self.table
                .note_stage(&mark.address, Stage::Bounced, now, deadline)
                .await;
        }
        let Some(row) = moved else { return Ok(()) };
        let Some(mut code) = facts.admins_code else {
            return Ok(());
        };
        if code == RETURNED && is_last_try(&row) {
            code = RETURNED_EACH_TIME;
        }
        // The invocation that moved the row may have died before this, so a repeated event does it
        // again.
        let admins = self.table.admins().await?;
        let is_to_admin = ends.iter().any(|mark| is_among(&mark.address, &admins));
        if row.mail.facts().recipient.staff().is_some() || is_to_admin {
            self.tell_admins(Some(&row.mail), code, row.row, now, deadline)
                .await?;
        }
        Ok(())
    }

    /// Moves the row to this state, unless it is there or further. Any earlier state will do, since
    /// SES has had the mail. `None` when the row is gone.
    async fn move_row(
        &self,
        row: Ulid,
        state: MailState,
        ends: &[Undeliverable],
        now: Moment,
        deadline: Deadline,
    ) -> Result<Option<OutboxRow>, StoreError> {
        loop {
            let Some(row) = self.table.get(OutboxRow::key_of(row)).await? else {
                return Ok(None);
            };
            if EventFacts::new(&row.state).severity >= EventFacts::new(&state).severity {
                return Ok(Some(row));
            }
            let is_returned = matches!(
                state,
                MailState::Bounced {
                    bounce: Bounce::Soft,
                    ..
                }
            );
            let next = if is_returned {
                plan_after_return(&row, now)
            } else {
                None
            };
            if let Some(row) = self
                .table
                .record_delivery(&row, state.clone(), ends, next, now, deadline)
                .await?
            {
                return Ok(Some(row));
            }
        }
    }
}

/// The mark that stops mail to a recipient.
fn mark(recipient: &str, why: UnreachableReason, marked_at: Moment) -> Option<Undeliverable> {
    let Ok(address) = EmailAddress::parse(recipient) else {
        tracing::warn!("SES names a recipient that is no address");
        return None;
    };
    Some(Undeliverable {
        address: address.matched().clone(),
        why,
        marked_at,
    })
}

impl SesEvent {
    /// What became of the mail. `None` for event types that are not subscribed to.
    fn feedback(&self, heard_at: Moment) -> Option<MailState> {
        let message = self.mail.message_id.clone();
        match (self.event_type.as_str(), &self.bounce) {
            ("Delivery", _) => Some(MailState::Delivered {
                message,
                event_at: heard_at,
            }),
            ("Complaint", _) => Some(MailState::Complained {
                message,
                event_at: heard_at,
            }),
            ("Bounce", Some(bounce)) => {
                let bounce = match (bounce.bounce_type.as_str(), bounce.bounce_sub_type.as_str()) {
                    // The mail server did not try to deliver it, and AWS does not count it as a
                    // bounce of the account.
                    ("Permanent", "Suppressed" | "OnAccountSuppressionList") => Bounce::Suppressed,
                    ("Permanent", _) => Bounce::Hard,
                    ("Transient", "General") | ("Undetermined", _) => Bounce::Reply,
                    _ => Bounce::Soft,
                };
                Some(MailState::Bounced {
                    message,
                    event_at: heard_at,
                    bounce,
                })
            }
            _ => None,
        }
    }

    /// The recipients of the mail. The bounce's own recipients may be spelled otherwise, so they
    /// are used only if the event names no others.
    fn recipients(&self) -> impl Iterator<Item = &str> {
        let bounced = self
            .bounce
            .iter()
            .flat_map(|bounce| &bounce.bounced_recipients);
        let complained = self
            .complaint
            .iter()
            .flat_map(|complaint| &complaint.complained_recipients);
        let answered = bounced
            .chain(complained)
            .map(|recipient| recipient.email_address.as_str());
        let is_said = !self.mail.destination.is_empty();
        self.mail
            .destination
            .iter()
            .map(String::as_str)
            .chain(answered.filter(move |_| !is_said))
    }

    fn row(&self) -> Option<Ulid> {
        let header = self
            .mail
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(ROW_HEADER))?;
        header.value.trim().parse().ok()
    }
}

/// What follows from what an event told of a mail.
struct EventFacts {
    /// How bad it is, 0 before the first. A reply may be of a machine, and means less than a
    /// delivery.
    severity: u8,
    /// The code under which admins are told, if they are.
    admins_code: Option<&'static str>,
    /// Why nothing more is sent to the address, if so.
    stops: Option<UnreachableReason>,
}

impl EventFacts {
    fn new(state: &MailState) -> EventFacts {
        match state {
            MailState::Waiting { .. }
            | MailState::Planned { .. }
            | MailState::Sending { .. }
            | MailState::Sent { .. }
            | MailState::Dropped { .. }
            | MailState::Failed { .. } => EventFacts::unremarkable(0),
            MailState::Bounced {
                bounce: Bounce::Reply,
                ..
            } => EventFacts::unremarkable(1),
            MailState::Delivered { .. } => EventFacts::unremarkable(2),
            MailState::Bounced {
                bounce: Bounce::Soft,
                ..
            } => EventFacts {
                admins_code: Some(RETURNED),
                ..EventFacts::unremarkable(3)
            },
            MailState::Bounced {
                bounce: Bounce::Suppressed,
                ..
            } => EventFacts::ending(4, SUPPRESSED, UnreachableReason::Suppressed),
            MailState::Bounced {
                bounce: Bounce::Hard,
                ..
            } => EventFacts::ending(5, BOUNCED, UnreachableReason::Bounced),
            MailState::Complained { .. } => {
                EventFacts::ending(6, COMPLAINED, UnreachableReason::Complained)
            }
        }
    }

    fn unremarkable(severity: u8) -> EventFacts {
        EventFacts {
            severity,
            admins_code: None,
            stops: None,
        }
    }

    /// Of what ends all mail to the address.
    fn ending(severity: u8, admins_code: &'static str, why: UnreachableReason) -> EventFacts {
        EventFacts {
            severity,
            admins_code: Some(admins_code),
            stops: Some(why),
        }
    }
}
