//! The client of SES: one call that sends, and three for the account's state, its quota, and how
//! its mail fared. It retries nothing, since a mail whose answer was lost may have been accepted.
//! The SDK's types stay in this file.

use aws_sdk_ses::config::http::HttpResponse;
use aws_sdk_ses::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ses::operation::send_raw_email::SendRawEmailError;
use aws_sdk_ses::primitives::Blob;
use aws_sdk_ses::types::RawMessage;
use bursar_core::aws::{SdkFailure, reduce};
use bursar_core::clock::Moment;
use bursar_core::config::Config;
use bursar_core::domain::mail::failure::{
    FailureScope, NOT_VERIFIED, PAUSED, QUOTA, SENDER_NOT_VERIFIED,
};
use bursar_core::domain::mail::kind::SendFigures;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::MailServer;

use crate::letter::SealedLetter;

pub(crate) struct Ses {
    client: aws_sdk_ses::Client,
    /// The sender's address.
    from: String,
    /// The configuration set, whose events report on each mail.
    events: Option<String>,
}

/// A mail that SES did not accept, and the scope of its reason.
#[derive(Debug)]
pub(crate) struct SesRefusal {
    pub(crate) failure: SdkFailure,
    pub(crate) concern: FailureScope,
}

/// The words by which AWS says that it has stopped an account.
const STOPPED: [&str; 4] = ["paused", "suspended", "disabled", "shut down"];

impl Ses {
    pub(crate) fn new(config: &Config) -> Ses {
        let client = config.aws.ses();
        let from = config.mail_from.for_mail();
        Ses {
            client,
            from,
            events: config.mail_events.clone(),
        }
    }

    /// Sends a mail, and returns the id that the server gave it.
    pub(crate) async fn send(&self, mail: SealedLetter) -> Result<String, SesRefusal> {
        let raw = RawMessage::builder().data(Blob::new(mail.bytes)).build();
        let send = self
            .client
            .send_raw_email()
            .source(mail.from)
            .destinations(mail.recipient)
            .set_raw_message(raw.ok());
        let sent = send
            .set_configuration_set_name(self.events.clone())
            .send()
            .await;
        sent.map(|answer| answer.message_id).map_err(|error| {
            let failure = self.why(&error);
            SesRefusal {
                concern: FailureScope::from_code(&failure.code),
                failure,
            }
        })
    }

    /// The failure behind an error. One code of the server stands for several reasons, and only its
    /// message tells them apart. Messages contain addresses, so they stay here.
    fn why(&self, error: &SdkError<SendRawEmailError, HttpResponse>) -> SdkFailure {
        let failure = reduce(error);
        let words = error
            .as_service_error()
            .and_then(ProvideErrorMetadata::message)
            .unwrap_or_default()
            .to_lowercase();
        let code = match failure.code.as_str() {
            "MessageRejected" if words.contains("not verified") => {
                if names(&words, &self.from.to_lowercase()) {
                    SENDER_NOT_VERIFIED
                } else {
                    NOT_VERIFIED
                }
            }
            "MessageRejected" if STOPPED.iter().any(|word| words.contains(word)) => PAUSED,
            "Throttling" | "ThrottlingException" if words.contains("quota") => QUOTA,
            _ => return failure,
        };
        SdkFailure {
            code: code.to_owned(),
            ..failure
        }
    }

    /// The quota and the state of the account, beside what else is known of it.
    pub(crate) async fn mail_server(
        &self,
        now: Moment,
        stored: Option<&MailServer>,
    ) -> Result<MailServer, SdkFailure> {
        let quota = self
            .client
            .get_send_quota()
            .send()
            .await
            .map_err(|error| reduce(&error))?;
        let account = self
            .client
            .get_account_sending_enabled()
            .send()
            .await
            .map_err(|error| reduce(&error))?;
        Ok(MailServer {
            as_of: now,
            per_day: whole(quota.max24_hour_send),
            per_second: quota.max_send_rate,
            sent: whole(quota.sent_last24_hours).unwrap_or(0),
            enabled: account.enabled,
            asked_at: stored.and_then(|stored| stored.asked_at),
            figures: stored.and_then(|stored| stored.figures),
            stop: stored.and_then(|stored| stored.stop),
            version: stored.map_or(0, |stored| stored.version),
        })
    }

    /// What SES says of this UTC day's mail so far. It answers with quarters of an hour of the last
    /// two weeks, the newest of which may come late.
    pub(crate) async fn figures(&self, now: Moment) -> Result<SendFigures, SdkFailure> {
        let answer = self
            .client
            .get_send_statistics()
            .send()
            .await
            .map_err(|error| reduce(&error))?;
        let mut figures = SendFigures {
            as_of: now,
            sent: 0,
            bounced: 0,
            complained: 0,
        };
        for point in answer.send_data_points() {
            let begins_at = point
                .timestamp
                .and_then(|timestamp| Moment::from_second(timestamp.secs()).ok());
            if begins_at.map(utc_date) != Some(utc_date(now)) {
                continue;
            }
            figures.sent += point.delivery_attempts.unsigned_abs();
            figures.bounced += point.bounces.unsigned_abs();
            figures.complained += point.complaints.unsigned_abs();
        }
        Ok(figures)
    }
}

/// Whether one of the words is this address, and does not merely end with it.
fn names(words: &str, address: &str) -> bool {
    words
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '<' | '>'))
        .any(|word| word == address)
}

/// The count behind SES's floating-point number. `None` for a negative one, which means "no limit".
fn whole(count: f64) -> Option<u64> {
    format!("{count:.0}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recipient whose address merely ends like the sender's is not taken for the sender.
    #[test]
    fn similar_addresses_are_told_apart() {
        let refused = |whom: &str| {
            format!(
                "email address is not verified. the following identities failed the check in region us-east-1: {whom}"
            )
        };
        for whom in [
            "bursar@x.edu",
            "ann@y.edu, bursar@x.edu",
            "bursar@x.edu, ann@y.edu",
        ] {
            assert!(names(&refused(whom), "bursar@x.edu"), "{whom}");
        }
        for whom in [
            "xbursar@x.edu",
            "x+bursar@x.edu",
            "bursar@x.edu.org",
            "ann@y.edu",
        ] {
            assert!(!names(&refused(whom), "bursar@x.edu"), "{whom}");
        }
    }
}
