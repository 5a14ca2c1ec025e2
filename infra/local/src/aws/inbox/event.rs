//! The reports of SES on a mail, as Lambda receives them: an event as text in an SNS notification. Mail
//! with a configuration set is reported by event publishing (`eventType`, with tags), other mail by
//! feedback notification (`notificationType`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use mail_parser::{Message, MessageParser};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Contents;
use crate::aws::ses::Mail;

const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:bursar-mail-events";

/// The outcome that SES reports.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    Delivery,
    Bounce,
    Complaint,
}

/// The event for a function; `permanent` matters for bounces only.
pub(super) fn notification(mail: &Mail, event: Event, permanent: bool, now: Timestamp) -> Value {
    let (name, key, told) = match event {
        Event::Delivery => ("Delivery", "delivery", delivery(mail, now)),
        Event::Bounce => ("Bounce", "bounce", bounce(mail, permanent, now)),
        Event::Complaint => ("Complaint", "complaint", complaint(mail, now)),
    };
    let (kind, subject) = match mail.configuration_set {
        Some(_) => ("eventType", Some("Amazon SES Email Event Notification")),
        None => ("notificationType", None),
    };
    let message = json!({kind: name, "mail": described(mail), key: told});
    json!({"Records": [{
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": format!("{TOPIC}:{}", Uuid::new_v4()),
        "Sns": {
            "Type": "Notification",
            "MessageId": Uuid::new_v4().to_string(),
            "TopicArn": TOPIC,
            "Subject": subject,
            "Message": message.to_string(),
            "Timestamp": instant(now),
            "SignatureVersion": "1",
            "Signature": "",
            "SigningCertUrl": "",
            "UnsubscribeUrl": "",
            "MessageAttributes": {},
        },
    }]})
}

fn described(mail: &Mail) -> Value {
    let contents = Contents::of(&mail.raw);
    let parsed = MessageParser::default().parse(&mail.raw);
    let raw_headers = parsed.iter().flat_map(Message::headers_raw);
    let headers: Vec<Value> = raw_headers.map(|(name, value)| json!({"name": name, "value": value.trim()})).collect();
    let header = |name: &str| contents.headers.get(name);
    let mut described = json!({
        "timestamp": instant(mail.at),
        "source": mail.from,
        "sourceArn": format!("arn:aws:ses:us-east-1:000000000000:identity/{}", mail.from),
        "sendingAccountId": "000000000000",
        "messageId": mail.id,
        "destination": mail.to,
        "headersTruncated": false,
        "headers": headers,
        "commonHeaders": {
            "from": header("From").map(|from| [from]),
            "to": header("To").map(|to| [to]),
            "date": header("Date"),
            "messageId": header("Message-ID").unwrap_or(&mail.id),
            "subject": contents.subject,
        },
    });
    if let Some(set) = &mail.configuration_set {
        let mut tags: BTreeMap<&str, [&str; 1]> =
            mail.tags.iter().map(|(name, value)| (name.as_str(), [value.as_str()])).collect();
        tags.insert("ses:configuration-set", [set]);
        described["tags"] = json!(tags);
    }
    described
}

fn delivery(mail: &Mail, now: Timestamp) -> Value {
    json!({
        "timestamp": instant(now),
        "processingTimeMillis": now.duration_since(mail.at).as_millis(),
        "recipients": mail.to,
        "smtpResponse": "250 2.0.0 ok",
        "reportingMTA": "a1-1.smtp-out.amazonses.com",
    })
}

fn bounce(mail: &Mail, permanent: bool, now: Timestamp) -> Value {
    let (kind, status, diagnosis) = match permanent {
        true => ("Permanent", "5.1.1", "smtp; 550 5.1.1 user unknown"),
        false => ("Transient", "4.2.2", "smtp; 452 4.2.2 mailbox full"),
    };
    let recipient =
        |to: &String| json!({"emailAddress": to, "action": "failed", "status": status, "diagnosticCode": diagnosis});
    json!({
        "bounceType": kind,
        "bounceSubType": if permanent { "General" } else { "MailboxFull" },
        "bouncedRecipients": mail.to.iter().map(recipient).collect::<Vec<_>>(),
        "timestamp": instant(now),
        "feedbackId": Uuid::new_v4().to_string(),
        "reportingMTA": "dsn; a1-1.smtp-out.amazonses.com",
    })
}

fn complaint(mail: &Mail, now: Timestamp) -> Value {
    json!({
        "complainedRecipients": mail.to.iter().map(|to| json!({"emailAddress": to})).collect::<Vec<_>>(),
        "timestamp": instant(now),
        "feedbackId": Uuid::new_v4().to_string(),
        "complaintSubType": null,
        "userAgent": "the inbox",
        "complaintFeedbackType": "abuse",
        "arrivalDate": instant(now),
    })
}

/// The time in AWS's format, always with three digits of milliseconds.
fn instant(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
