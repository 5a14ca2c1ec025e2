//! Parses the mail in the fields of a `SendRawEmail`, and refuses with the words of SES what SES cannot
//! send. The bytes stay as they are.

use std::collections::BTreeMap;

use bytes::Bytes;
use data_encoding::BASE64;
use jiff::Timestamp;
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::Mailbox;
use mail_parser::{HeaderName, MessageParser};
use uuid::Uuid;

use super::Mail;
use super::answer::Refusal;
use super::fields::Fields;

const MOST_RECIPIENTS: usize = 50;
const LARGEST: usize = 10 << 20;

/// The mail of a request. Sender and recipients are taken from the message if the request names none.
pub(super) fn of_raw(fields: &Fields, now: Timestamp) -> Result<Mail, Refusal> {
    let data = fields.get("RawMessage.Data").ok_or_else(|| invalid("RawMessage.Data is missing."))?;
    let raw = BASE64.decode(data.as_bytes()).map_err(|_| invalid("RawMessage.Data is not base64."))?;
    let in_message = |names: &[HeaderName<'static>]| -> Result<Vec<Mailbox>, Refusal> {
        let parsed = MessageParser::new().with_minimal_headers().parse_headers(&raw);
        let message = parsed.ok_or_else(|| invalid("The message has no headers."))?;
        let headers = names.iter().filter_map(|name| message.header(name.clone())?.as_address());
        let parsed = headers.flat_map(|header| header.iter());
        parsed.map(|one| mailbox(one).ok_or_else(|| illegal(one.address().unwrap_or_default()))).collect()
    };
    let from = match fields.get("Source") {
        Some(source) => mailboxes(source)?,
        None => in_message(&[HeaderName::From])?,
    };
    let to = match fields.list("Destinations") {
        named if named.is_empty() => in_message(&[HeaderName::To, HeaderName::Cc, HeaderName::Bcc])?,
        named => mailboxes_of_all(&named)?,
    };
    submitted(fields, now, &from, &to, raw)
}

fn submitted(fields: &Fields, now: Timestamp, from: &[Mailbox], to: &[Mailbox], raw: Vec<u8>) -> Result<Mail, Refusal> {
    if raw.len() > LARGEST {
        return Err(invalid(format!("Message length is more than {LARGEST} bytes long: '{}'.", raw.len())));
    }
    let envelope = envelope(from, to)?;
    Ok(Mail {
        id: message_id(now),
        at: now,
        from: envelope.from().map(ToString::to_string).unwrap_or_default(),
        to: envelope.to().iter().map(ToString::to_string).collect(),
        raw: Bytes::from(raw),
        configuration_set: fields.get("ConfigurationSetName").map(str::to_owned),
        tags: BTreeMap::from_iter(fields.pairs("Tags")),
    })
}

fn envelope(from: &[Mailbox], to: &[Mailbox]) -> Result<Envelope, Refusal> {
    let from = from.first().ok_or_else(|| invalid("Missing sender."))?;
    if to.len() > MOST_RECIPIENTS {
        return Err(invalid(format!("Recipient count exceeds {MOST_RECIPIENTS}.")));
    }
    let to = to.iter().map(|mailbox| mailbox.email.clone()).collect();
    Envelope::new(Some(from.email.clone()), to).map_err(|_| invalid("Missing recipients."))
}

fn mailboxes_of_all(texts: &[&str]) -> Result<Vec<Mailbox>, Refusal> {
    let lists: Vec<_> = texts.iter().map(|text| mailboxes(text)).collect::<Result<_, _>>()?;
    Ok(lists.concat())
}

/// The mailboxes of an address field: `ada@example.edu`, or `Ada <ada@example.edu>` with encoded words in
/// the name.
fn mailboxes(text: &str) -> Result<Vec<Mailbox>, Refusal> {
    let header = format!("To: {text}\r\n\r\n");
    let message = MessageParser::new().with_minimal_headers().parse_headers(header.as_bytes());
    let addresses = message.as_ref().and_then(|message| message.to());
    let found: Option<Vec<Mailbox>> = addresses.into_iter().flat_map(|list| list.iter()).map(mailbox).collect();
    found.filter(|found| !found.is_empty() && !text.contains(char::is_control)).ok_or_else(|| illegal(text))
}

/// A mailbox in ASCII, as SES requires: domains are in punycode, local parts cannot be encoded.
fn mailbox(parsed: &mail_parser::Addr<'_>) -> Option<Mailbox> {
    let address = parsed.address().filter(|address| address.is_ascii())?;
    Some(Mailbox::new(parsed.name().map(str::to_owned), address.parse::<Address>().ok()?))
}

fn illegal(address: &str) -> Refusal {
    invalid(format!("Illegal address: '{address}'."))
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::Invalid(message.into())
}

/// A message id in the format of SES.
fn message_id(now: Timestamp) -> String {
    format!("0100{:012x}-{}-000000", now.as_millisecond(), Uuid::new_v4())
}
