//! The mail server: one call that sends, two that tell whether and how much may be sent. Nothing is tried again here, since an answer
//! that was lost may stand for a mail that was accepted. Its types stay in this file.

use aws_sdk_ses::config::http::HttpResponse;
use aws_sdk_ses::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ses::operation::send_raw_email::SendRawEmailError;
use aws_sdk_ses::primitives::Blob;
use aws_sdk_ses::types::RawMessage;
use bursar_core::config::Config;
use bursar_core::domain::mail::failure::{FailureScope, NOT_VERIFIED, PAUSED, QUOTA, SENDER_NOT_VERIFIED};
use bursar_core::sdk_error::{SdkFailure, reduce};
use bursar_core::store::MailServer;
use jiff::Timestamp;

use crate::letter::SealedLetter;

pub(crate) struct Ses {
    client: aws_sdk_ses::Client,
    /// The sender.
    from: String,
    /// The configuration set that tells what becomes of each mail.
    events: Option<String>,
}

/// That SES took no mail, and whom that is about.
#[derive(Debug)]
pub(crate) struct SesRefusal {
    pub(crate) failure: SdkFailure,
    pub(crate) concern: FailureScope,
}

/// In one of these words AWS says that it has stopped an account.
const STOPPED: [&str; 4] = ["paused", "suspended", "disabled", "shut down"];

impl Ses {
    pub(crate) fn new(config: &Config) -> Ses {
        let (client, from) = (config.aws.ses(), config.mail_from.for_mail());
        Ses { client, from, events: config.mail_events.clone() }
    }

    /// Sends a mail, and says by which id the server knows it.
    pub(crate) async fn send(&self, mail: SealedLetter) -> Result<String, SesRefusal> {
        let raw = RawMessage::builder().data(Blob::new(mail.bytes)).build();
        let raw = raw.map_err(|_| SesRefusal { failure: unbuilt(), concern: FailureScope::Mail })?;
        let send = self.client.send_raw_email().source(mail.from).destinations(mail.to).raw_message(raw);
        let sent = send.set_configuration_set_name(self.events.clone()).send().await;
        sent.map(|answer| answer.message_id).map_err(|error| {
            let failure = self.why(&error);
            SesRefusal { concern: FailureScope::of(&failure.code), failure }
        })
    }

    /// One code of the server stands for several reasons, and only its words tell them apart. They name addresses, so they stay here.
    fn why(&self, error: &SdkError<SendRawEmailError, HttpResponse>) -> SdkFailure {
        let failure = reduce(error);
        let words = error.as_service_error().and_then(ProvideErrorMetadata::message).unwrap_or_default().to_lowercase();
        let code = match failure.code.as_str() {
            "MessageRejected" if words.contains("not verified") => match names(&words, &self.from.to_lowercase()) {
                true => SENDER_NOT_VERIFIED,
                false => NOT_VERIFIED,
            },
            "MessageRejected" if STOPPED.iter().any(|word| words.contains(word)) => PAUSED,
            "Throttling" | "ThrottlingException" if words.contains("quota") => QUOTA,
            _ => return failure,
        };
        SdkFailure { code: code.to_owned(), ..failure }
    }

    /// What it says of itself.
    pub(crate) async fn mail_server(&self, now: Timestamp) -> Result<MailServer, SdkFailure> {
        let quota = self.client.get_send_quota().send().await.map_err(|error| reduce(&error))?;
        let account = self.client.get_account_sending_enabled().send().await.map_err(|error| reduce(&error))?;
        Ok(MailServer {
            as_of: now,
            per_day: whole(quota.max24_hour_send),
            per_second: quota.max_send_rate,
            sent: whole(quota.sent_last24_hours).unwrap_or(0),
            enabled: account.enabled,
        })
    }
}

/// Whether one of the words is this address, and not only ends with it.
fn names(words: &str, address: &str) -> bool {
    words.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '<' | '>')).any(|word| word == address)
}

/// A count, which it tells with a point. None of what is below nothing: it stands for "no limit".
fn whole(count: f64) -> Option<u64> {
    format!("{count:.0}").parse().ok()
}

/// No message without data is built, and there is data.
fn unbuilt() -> SdkFailure {
    SdkFailure {
        operation: "SendRawEmail",
        code: "NotBuilt".to_owned(),
        request_id: None,
        status: None,
        retryable: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_whose_address_ends_like_the_senders_is_not_the_sender() {
        let refused = |whom: &str| {
            format!(
                "email address is not verified. the following identities failed the check in region us-east-1: {whom}"
            )
        };
        for whom in ["bursar@x.edu", "ann@y.edu, bursar@x.edu", "bursar@x.edu, ann@y.edu"] {
            assert!(names(&refused(whom), "bursar@x.edu"), "{whom}");
        }
        for whom in ["xbursar@x.edu", "x+bursar@x.edu", "bursar@x.edu.org", "ann@y.edu"] {
            assert!(!names(&refused(whom), "bursar@x.edu"), "{whom}");
        }
    }
}
