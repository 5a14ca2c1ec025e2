//! The attributes that every item has: kind, key, expiry and queue; and the conversion of values to items and
//! back.

use serde::de::DeserializeOwned;

use crate::domain::grant::Urgency;
use crate::store::keys::{ItemKey, Key};
use crate::store::prelude::*;

/// The most bytes in one part of what is too large for an item, which has at most 400 KB.
pub(crate) const MOST_IN_A_PART: usize = 380_000;

pub use super::kinds::{AtErasure, Kind};

pub type Item = std::collections::HashMap<String, AttributeValue>;

pub trait Stored: Serialize + DeserializeOwned {
    /// The value of the attribute `kind`, by which the stream's readers and people tell items apart.
    const KIND: &'static str;

    fn key(&self) -> Key<Self>;

    /// When the table may delete it. Readers compare the time too.
    fn expires(&self) -> Option<Moment> {
        None
    }

    fn due(&self) -> Option<(Queue, Moment)> {
        None
    }
}

/// Says how a type lies in the table, beside its fields: its key, by the ids that name it; the lists of several of them; and
/// where it has them, its expiry and its queue.
macro_rules! stored {
    ($item:ident |$it:pat_param| ($($id:ident: $of:ty = $from:expr),*) => $key:expr
     $(; list $list:ident ($($listed:ident: $by:ty),*) => $range:expr)* $(; expires $expires:expr)? $(; waits $waits:expr)?) => {
        impl $item {
            pub fn key_of($($id: $of),*) -> $crate::store::keys::Key<$item> {
                $key.into()
            }

            $(pub fn $list($($listed: $by),*) -> $crate::store::keys::Range<$item> {
                $range
            })*
        }

        impl $crate::store::items::Stored for $item {
            const KIND: &'static str = $crate::store::items::Kind::$item.as_str();

            fn key(&self) -> $crate::store::keys::Key<$item> {
                let $it = self;
                $item::key_of($($from),*)
            }

            $(fn expires(&self) -> Option<crate::clock::Moment> {
                let $it = self;
                $expires.into()
            })?

            $(fn due(&self) -> Option<($crate::store::items::Queue, crate::clock::Moment)> {
                let $it = self;
                $waits
            })?
        }
    };
}
pub(crate) use stored;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    Settle(Urgency),
    Mail(MailClass),
    DeadMail,
    /// Mails that the mail server took at this time, for as long as their rows are kept.
    SentMail,
    Unreachable,
    Unwanted,
    /// Addresses that no mail goes to before this time.
    UnreachableUntil,
    Job,
    /// Guardrails, and tiers that they follow.
    Guardrail,
    /// Programmes whose people are to be forgotten so long after this time.
    Retention,
    /// What a person must decide, since this time.
    Decision,
}

impl Queue {
    pub fn as_str(self) -> &'static str {
        match self {
            Queue::Settle(Urgency::Leak) => "settle-leak",
            Queue::Settle(Urgency::Disable) => "settle-disable",
            Queue::Settle(Urgency::Limit) => "settle-limit",
            Queue::Settle(Urgency::Read) => "settle-read",
            Queue::Mail(class) => class.queue(),
            Queue::DeadMail => "mail-dead",
            Queue::SentMail => "sent",
            Queue::Unreachable => "unreachable",
            Queue::Unwanted => "unwanted",
            Queue::UnreachableUntil => "unreachable-until",
            Queue::Job => "job",
            Queue::Guardrail => "guardrail",
            Queue::Retention => "retention",
            Queue::Decision => "decision",
        }
    }
}

pub fn to_item<T: Stored>(value: &T) -> Result<Item, StoreError> {
    let key = value.key().item;
    let corrupt = |error: serde_dynamo::Error| StoreError::corrupt(&key, T::KIND, &error);
    let mut item: Item = serde_dynamo::to_item(value).map_err(corrupt)?;
    without_nulls(&mut item);
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

/// What is absent is no attribute, so that conditions can ask whether it is there.
fn without_nulls(item: &mut Item) {
    item.retain(|_, value| !value.is_null());
    for value in item.values_mut() {
        match value {
            AttributeValue::M(inner) => without_nulls(inner),
            AttributeValue::L(list) => list.iter_mut().for_each(|value| {
                if let AttributeValue::M(inner) = value {
                    without_nulls(inner);
                }
            }),
            _ => {}
        }
    }
}

pub(crate) fn key_of(item: &Item) -> ItemKey {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
    ItemKey { pk: text("pk"), sk: text("sk") }
}

pub(crate) fn kind_of(item: &Item) -> &str {
    item.get("kind").and_then(|kind| kind.as_s().ok()).map_or("", String::as_str)
}

pub fn is_kind<T: Stored>(item: &Item) -> bool {
    kind_of(item) == T::KIND
}

/// The value that an item stores. An item of another kind or shape is corrupt, never absent.
pub fn from_item<T: Stored>(item: Item) -> Result<T, StoreError> {
    part_of::<T, T>(item)
}

/// Some attributes of the value that an item stores.
pub(crate) fn part_of<T: Stored, P: DeserializeOwned>(item: Item) -> Result<P, StoreError> {
    let (key, kind) = (key_of(&item), kind_of(&item).to_owned());
    if kind != T::KIND {
        return Err(StoreError::corrupt(&key, T::KIND, &format!("it is of the kind {kind:?}")));
    }
    // The deserialiser's own error quotes values, which can be names and addresses.
    serde_dynamo::from_item(item)
        .map_err(|_| StoreError::corrupt(&key, T::KIND, &"an attribute is missing or malformed"))
}
