//! What stands for SES where real people are mailed: each mail is handed to a mail server, and none
//! is kept. What the server says of it is reported to `mail` as an event of SES before the sender
//! gets its answer, so that no end of the process comes between the two.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Form, Router};
use bursar_core::clock::Clock;
use bursar_core::domain::mail::failure::{SMTP_LATER, SMTP_REFUSES};

use super::relay::{Concern, Untaken};
use super::{DAY, Mail, Refusal, Relay, data_points, mail_in, quarter, success};
use crate::aws::inbox::{Event, notification};
use crate::aws::invoke::Invoke;
use crate::aws::wiring::HEARS_MAIL_EVENTS;
use crate::base::lock;

/// A handle. Clones share its figures.
#[derive(Clone)]
pub struct Outgoing(Arc<Inner>);

struct Inner {
    relay: Relay,
    per_minute: u32,
    clock: Clock,
    /// By quarter of an hour, since the start: handed on or refused for good, the latter, and a
    /// third that nobody here hears of.
    figures: Mutex<BTreeMap<i64, [usize; 3]>>,
    /// Hears what became of a mail.
    invoke: OnceLock<Arc<dyn Invoke>>,
}

impl Outgoing {
    pub fn new(relay: Relay, per_minute: u32, clock: Clock) -> Outgoing {
        Outgoing(Arc::new(Inner {
            relay,
            per_minute,
            clock,
            figures: Mutex::default(),
            invoke: OnceLock::new(),
        }))
    }

    /// Tells these functions from now on. Before, no mail can come from them.
    pub fn report_to(&self, invoke: Arc<dyn Invoke>) {
        let _ = self.0.invoke.set(invoke);
    }

    pub fn router(&self) -> Router {
        Router::new()
            .route("/", post(answer))
            .layer(DefaultBodyLimit::disable())
            .with_state(self.clone())
    }

    /// Hands a mail on, and returns its id: it names the server, since that it arrived nobody here
    /// will hear.
    async fn send(&self, form: &BTreeMap<String, String>) -> Result<String, Refusal> {
        let Inner {
            relay,
            clock,
            figures,
            invoke,
            ..
        } = &*self.0;
        let now = clock.now();
        let server = relay.server();
        let Some((mail, envelope)) = mail_in(form, now) else {
            return Err(Refusal::new(
                "InvalidParameterValue",
                "A mail is missing or illegal.",
            ));
        };
        let mail = Mail {
            id: format!("{}@{server}", mail.id),
            ..mail
        };
        let taken = relay.hand_on(&envelope, &mail.raw).await;
        let mut event = Event::Delivery;
        let mut is_permanent = false;
        if let Err(untaken) = taken {
            let Untaken {
                concern,
                is_final,
                why,
            } = &untaken;
            // What is said of all mail names nobody whom it is for.
            let why = if *concern == Concern::Everything {
                why.as_str()
            } else {
                ""
            };
            tracing::warn!(
                server,
                ?concern,
                is_final,
                why,
                "the mail server did not take a mail"
            );
            if let Some(code) = untaken.code() {
                return Err(Refusal::new(code, "The mail server did not take the mail."));
            }
            event = Event::Bounce;
            is_permanent = untaken.is_of_the_address();
        }
        {
            let mut figures = lock(figures);
            let [sent, bounced, _] = figures.entry(quarter(now)).or_default();
            *sent += 1;
            *bounced += usize::from(matches!(event, Event::Bounce));
            let forgotten = quarter(now - DAY * 14);
            figures.retain(|quarter, _| *quarter > forgotten);
        }
        if let Some(invoke) = invoke.get() {
            let reported = invoke
                .invoke(HEARS_MAIL_EVENTS, notification(&mail, event, is_permanent))
                .await;
            reported.map_err(|error| {
                tracing::error!(%error, "what became of a mail is not recorded, and it is sent again");
                Refusal::new("InternalFailure", "What became of the mail could not be recorded.")
            })?;
        }
        Ok(mail.id)
    }

    /// The answer of `GetSendQuota`: no bound of a day, and the rate that the mail server is asked
    /// to take.
    fn quota(&self) -> String {
        let since = quarter(self.0.clock.now() - DAY);
        let sent: usize = lock(&self.0.figures)
            .range(since..)
            .map(|(_, [sent, ..])| sent)
            .sum();
        let rate = f64::from(self.0.per_minute) / 60.0;
        format!(
            "<Max24HourSend>-1</Max24HourSend><MaxSendRate>{rate}</MaxSendRate><SentLast24Hours>{sent}</SentLast24Hours>"
        )
    }
}

impl Untaken {
    /// The code of SES for what is not a bounce: a bounce is of this mail, and for good.
    fn code(&self) -> Option<&'static str> {
        match self.concern {
            Concern::Everything if self.is_final => Some(SMTP_REFUSES),
            Concern::Everything => Some("Throttling"),
            Concern::Recipient | Concern::Content if self.is_final => None,
            Concern::Recipient | Concern::Content => Some(SMTP_LATER),
        }
    }

    /// Whether nobody has that address, so that no other mail to it would be taken. A rule of the
    /// server may be about anything else.
    fn is_of_the_address(&self) -> bool {
        let is_by_rule = self
            .why
            .split([' ', '-'])
            .any(|word| word.starts_with("5.7."));
        self.is_final && self.concern == Concern::Recipient && !is_by_rule
    }
}

async fn answer(
    State(outgoing): State<Outgoing>,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    let action = form.get("Action").map(String::as_str).unwrap_or_default();
    let result = match action {
        "SendRawEmail" => outgoing
            .send(&form)
            .await
            .map(|id| format!("<MessageId>{id}</MessageId>")),
        "GetSendQuota" => Ok(outgoing.quota()),
        "GetSendStatistics" => Ok(data_points(&lock(&outgoing.0.figures))),
        "GetAccountSendingEnabled" => Ok("<Enabled>true</Enabled>".to_owned()),
        unknown => Err(Refusal::of_unknown(unknown)),
    };
    result.map_or_else(IntoResponse::into_response, |result| {
        success(action, &result)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what nobody will take comes back; all else waits, the whole queue or this mail alone;
    /// and an address ends only where nobody has it.
    #[test]
    fn a_refusal_is_what_it_concerns() {
        for (concern, is_final, why, code, ends) in [
            (
                Concern::Everything,
                true,
                "permanent error (535): 5.7.8 wrong password",
                Some(SMTP_REFUSES),
                false,
            ),
            (
                Concern::Everything,
                false,
                "Connection error",
                Some("Throttling"),
                false,
            ),
            (
                Concern::Recipient,
                false,
                "transient error (450): 4.2.1 greylisted",
                Some(SMTP_LATER),
                false,
            ),
            (
                Concern::Recipient,
                true,
                "permanent error (550): 5.1.1 no such person",
                None,
                true,
            ),
            (
                Concern::Recipient,
                true,
                "permanent error (550): unknown user",
                None,
                true,
            ),
            (
                Concern::Recipient,
                true,
                "permanent error (554): 5.7.1 relay access denied",
                None,
                false,
            ),
            (
                Concern::Content,
                false,
                "no answer in time",
                Some(SMTP_LATER),
                false,
            ),
            (
                Concern::Content,
                true,
                "permanent error (552): 5.3.4 too large",
                None,
                false,
            ),
        ] {
            let untaken = Untaken {
                concern,
                is_final,
                why: why.to_owned(),
            };
            assert_eq!(
                (untaken.code(), untaken.is_of_the_address()),
                (code, ends),
                "{why}"
            );
        }
    }
}
