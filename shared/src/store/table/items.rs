//! What every item has: its kind, its key, when it expires and what it waits for; and how a value becomes an item and back.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::grant::Urgency;
use crate::domain::mail::class::MailClass;
use crate::store::table::keys::ItemKey;
use crate::store::table::{StoreError, keys};

/// What is too large for one item lies in parts of so many bytes: an item has at most 400 KB.
pub(in crate::store) const MOST_IN_A_PART: usize = 380_000;

/// An item as the SDK has it.
pub type Item = std::collections::HashMap<String, AttributeValue>;

/// Something that is kept as one item.
pub trait Stored: Serialize + DeserializeOwned {
    /// What the stream's readers and people tell items apart by.
    const KIND: &'static str;

    fn key(&self) -> ItemKey;

    /// When the table may clean it away. Whoever reads it compares the time too.
    fn expires(&self) -> Option<Timestamp> {
        None
    }

    /// What it waits for, and since when.
    fn due(&self) -> Option<(Queue, Timestamp)> {
        None
    }
}

/// What an item can wait for in the index `due`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// The provider is to be told something of a key.
    Order(Urgency),
    /// Mail that is to be sent.
    Mail(MailClass),
    /// Mail that was given up, for somebody to look at.
    DeadMail,
    /// Addresses that mail comes back from, for the same.
    Unreachable,
    /// Addresses of those who complained, for the same.
    Unwanted,
    /// Addresses that mail is not sent to before then.
    UnreachableUntil,
    /// Work too long for one request is to be carried on.
    Job,
    /// The provider is to be told what the keys of a programme may call.
    Rules,
}

impl Queue {
    pub fn as_str(self) -> &'static str {
        match self {
            Queue::Order(Urgency::Leak) => "order-leak",
            Queue::Order(Urgency::Disable) => "order-disable",
            Queue::Order(Urgency::Limit) => "order-limit",
            Queue::Mail(MailClass::Urgent) => "mail-urgent",
            Queue::Mail(MailClass::ByHand) => "mail-by-hand",
            Queue::Mail(MailClass::Digest) => "mail-digest",
            Queue::Mail(MailClass::Student) => "mail-student",
            Queue::Mail(MailClass::Roster) => "mail-roster",
            Queue::DeadMail => "mail-dead",
            Queue::Unreachable => "unreachable",
            Queue::Unwanted => "unwanted",
            Queue::UnreachableUntil => "unreachable-until",
            Queue::Job => "job",
            Queue::Rules => "rules",
        }
    }
}

/// The item that keeps this value.
pub fn to_item<T: Stored>(value: &T) -> Result<Item, StoreError> {
    let key = value.key();
    let corrupt = |error: serde_dynamo::Error| StoreError::corrupt(&key, T::KIND, &error);
    let mut item: Item = serde_dynamo::to_item(value).map_err(corrupt)?;
    let mut set = |name: &str, value: AttributeValue| item.insert(name.to_owned(), value);
    set("kind", AttributeValue::S(T::KIND.to_owned()));
    if let Some(expires) = value.expires() {
        set("ttl", AttributeValue::N(expires.as_second().to_string()));
    }
    if let Some((queue, since)) = value.due() {
        set("queue", AttributeValue::S(queue.as_str().to_owned()));
        set("due", AttributeValue::S(keys::due(since)));
    }
    set("pk", AttributeValue::S(key.pk));
    set("sk", AttributeValue::S(key.sk));
    Ok(item)
}

/// The primary key of an item of the table or its index.
pub(in crate::store) fn key_of(item: &Item) -> ItemKey {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
    ItemKey { pk: text("pk"), sk: text("sk") }
}

/// Whether an item is of this kind.
pub(in crate::store) fn is_kind<T: Stored>(item: &Item) -> bool {
    item.get("kind").and_then(|kind| kind.as_s().ok()).is_some_and(|kind| kind == T::KIND)
}

/// The value that an item keeps. An item of another kind or shape is corrupt, never absent.
pub fn from_item<T: Stored>(item: Item) -> Result<T, StoreError> {
    let (key, kind) = (key_of(&item), item.get("kind").and_then(|kind| kind.as_s().ok()).cloned().unwrap_or_default());
    if kind != T::KIND {
        return Err(StoreError::corrupt(&key, T::KIND, &format!("it is of the kind {kind:?}")));
    }
    // The reader's own words quote values, and those can be names and addresses.
    serde_dynamo::from_item(item)
        .map_err(|_| StoreError::corrupt(&key, T::KIND, &"an attribute is missing or malformed"))
}
