//! The mail server: one call that sends, two that tell whether and how much may be sent. Nothing is tried again here, since an answer
//! that was lost may stand for a mail that was accepted. Its types stay in this file.

use aws_sdk_ses::config::http::HttpResponse;
use aws_sdk_ses::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ses::operation::send_raw_email::SendRawEmailError;
use aws_sdk_ses::primitives::Blob;
use aws_sdk_ses::types::RawMessage;
use bursar_core::config::Config;
use bursar_core::domain::mail_failure::{NOT_VERIFIED, SENDER_NOT_VERIFIED};
use bursar_core::sdk_error::{SdkFailure, reduce};
use bursar_core::store::MailServer;
use jiff::Timestamp;

use crate::letter::Sealed;

pub(crate) struct Ses {
    client: aws_sdk_ses::Client,
    /// The sender.
    from: String,
}

/// What SES said to a mail.
#[derive(Debug)]
pub(crate) enum Told {
    Accepted {
        message: String,
    },
    /// Not this one, however often it is sent.
    Refused(SdkFailure),
    /// Not now, or nobody knows.
    Later(SdkFailure),
}

/// The codes that are about the mail itself. Others are about the account or the moment, and somebody can mend them.
const FOR_GOOD: [&str; 4] = ["MessageRejected", NOT_VERIFIED, "InvalidParameterValue", "ValidationError"];

impl Ses {
    pub(crate) fn new(config: &Config) -> Ses {
        Ses { client: config.aws.ses(), from: config.mail_from.for_mail() }
    }

    pub(crate) async fn send(&self, mail: Sealed) -> Told {
        let Ok(raw) = RawMessage::builder().data(Blob::new(mail.bytes)).build() else {
            return Told::Refused(unbuilt());
        };
        let send = self.client.send_raw_email().source(mail.from).destinations(mail.to).raw_message(raw);
        match send.send().await {
            Ok(answer) => Told::Accepted { message: answer.message_id },
            Err(error) => {
                let failure = self.why(&error);
                if FOR_GOOD.contains(&failure.code.as_str()) { Told::Refused(failure) } else { Told::Later(failure) }
            }
        }
    }

    /// One code of the server stands for several reasons, and only its words tell them apart. They name addresses, so they stay here.
    fn why(&self, error: &SdkError<SendRawEmailError, HttpResponse>) -> SdkFailure {
        let failure = reduce(error);
        let words = error.as_service_error().and_then(ProvideErrorMetadata::message).unwrap_or_default().to_lowercase();
        if failure.code != "MessageRejected" || !words.contains("not verified") {
            return failure;
        }
        let is_sender = words.contains(&self.from.to_lowercase());
        SdkFailure { code: if is_sender { SENDER_NOT_VERIFIED } else { NOT_VERIFIED }.to_owned(), ..failure }
    }

    /// What it says of itself.
    pub(crate) async fn told(&self, now: Timestamp) -> Result<MailServer, SdkFailure> {
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
