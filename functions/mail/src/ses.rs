//! The mail server: one call that sends, one that tells how much may be sent. Nothing is tried again here, since an answer that was
//! lost may stand for a mail that was accepted. Its types stay in this file.

use aws_sdk_ses::primitives::Blob;
use aws_sdk_ses::types::RawMessage;
use bursar_core::config::Config;
use bursar_core::sdk_error::{SdkFailure, reduce};

use crate::letter::Sealed;

pub(crate) struct Ses(aws_sdk_ses::Client);

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

/// What may be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    /// Mails a second.
    pub(crate) rate: f64,
    /// Mails that may still be sent today, as far as they are not urgent. None where there is no limit.
    pub(crate) left_today: Option<f64>,
}

/// The share of the rate and of the day that mails without hurry may use; the rest is for links and alerts.
const SHARE_OF_RATE: f64 = 0.9;
const SHARE_OF_DAY: f64 = 0.8;

/// The codes that are about the mail itself. Others are about the account or the moment, and somebody can mend them.
const FOR_GOOD: [&str; 3] = ["MessageRejected", "InvalidParameterValue", "ValidationError"];

impl Ses {
    pub(crate) fn new(config: &Config) -> Ses {
        Ses(config.aws.ses())
    }

    pub(crate) async fn send(&self, mail: Sealed) -> Told {
        let Ok(raw) = RawMessage::builder().data(Blob::new(mail.bytes)).build() else {
            return Told::Refused(unbuilt());
        };
        let send = self.0.send_raw_email().source(mail.from).destinations(mail.to).raw_message(raw);
        match send.send().await {
            Ok(answer) => Told::Accepted { message: answer.message_id },
            Err(error) => {
                let failure = reduce(&error);
                if FOR_GOOD.contains(&failure.code.as_str()) { Told::Refused(failure) } else { Told::Later(failure) }
            }
        }
    }

    /// What mails without hurry may still use.
    pub(crate) async fn quota(&self) -> Result<Quota, SdkFailure> {
        let told = self.0.get_send_quota().send().await.map_err(|error| reduce(&error))?;
        let is_limited = told.max24_hour_send >= 0.0;
        let left = told.max24_hour_send * SHARE_OF_DAY - told.sent_last24_hours;
        Ok(Quota { rate: told.max_send_rate * SHARE_OF_RATE, left_today: is_limited.then_some(left) })
    }
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
