//! The reports of SES on a mail, as Lambda receives them: an event of a configuration set as text in an SNS
//! notification.

use jiff::Timestamp;
use mail_parser::{Message, MessageParser};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::aws::ses::Mail;

/// The outcome that SES reports.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Event {
    Delivery,
    Bounce,
    Complaint,
}

/// The event for `mail`; `permanent` matters for bounces only.
pub(super) fn notification(mail: &Mail, event: Event, permanent: bool, now: Timestamp) -> Value {
    let id = Uuid::new_v4().to_string();
    let recipients: Vec<Value> = mail.to.iter().map(|to| json!({"emailAddress": to})).collect();
    let (name, key, details) = match event {
        Event::Delivery => ("Delivery", "delivery", json!({"timestamp": now, "recipients": mail.to})),
        Event::Bounce => {
            let kind = if permanent { "Permanent" } else { "Transient" };
            ("Bounce", "bounce", json!({"bounceType": kind, "bouncedRecipients": recipients, "timestamp": now}))
        }
        Event::Complaint => {
            ("Complaint", "complaint", json!({"complainedRecipients": recipients, "timestamp": now, "feedbackId": id}))
        }
    };
    let parsed = MessageParser::default().parse_headers(&mail.raw);
    let headers = parsed.iter().flat_map(Message::headers_raw);
    let headers: Vec<Value> = headers.map(|(name, value)| json!({"name": name, "value": value.trim()})).collect();
    let message = json!({
        "eventType": name,
        "mail": {
            "timestamp": mail.at,
            "source": mail.from,
            "messageId": mail.id,
            "destination": mail.to,
            "headersTruncated": false,
            "headers": headers,
            "tags": {"ses:configuration-set": [mail.configuration_set]},
        },
        key: details,
    });
    let topic = "arn:aws:sns:eu-central-1:000000000000:bursar-mail-events";
    json!({"Records": [{
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": format!("{topic}:{id}"),
        "Sns": {
            "Type": "Notification",
            "MessageId": id,
            "TopicArn": topic,
            "Subject": "Amazon SES Email Event Notification",
            "Message": message.to_string(),
            "Timestamp": now,
        },
    }]})
}
