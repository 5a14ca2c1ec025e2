//! The conversion of values to items, with the attributes that each has, and back.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;

use crate::schema;
use crate::schema::{ItemKey, Stored};
use crate::store::{Result, StoreError};

/// The most bytes in one part of what is too large for an item, which has at most 400 KB.
pub(crate) const MOST_IN_A_PART: usize = 380_000;

pub type Item = std::collections::HashMap<String, AttributeValue>;

pub fn to_item<T: Stored>(value: &T) -> Result<Item> {
    let key = value.key().item_key;
    let mut attributes: Item =
        serde_dynamo::to_item(value).map_err(|error| StoreError::corrupt(&key, T::KIND, &error))?;
    remove_nulls(&mut attributes);
    let mut set = |name: &str, value: AttributeValue| attributes.insert(name.to_owned(), value);
    set("kind", AttributeValue::S(T::KIND.to_owned()));
    if let Some(expires) = value.expires() {
        set("ttl", AttributeValue::N(expires.as_second().to_string()));
    }
    if let Some((queue, since)) = value.due() {
        set("queue", AttributeValue::S(queue.0.to_owned()));
        set("due", AttributeValue::S(schema::due(since)));
    }
    set("pk", AttributeValue::S(key.pk));
    set("sk", AttributeValue::S(key.sk));
    Ok(attributes)
}

/// What is absent is no attribute, so that conditions can ask whether it is there.
fn remove_nulls(attributes: &mut Item) {
    attributes.retain(|_, value| !value.is_null());
    for value in attributes.values_mut() {
        match value {
            AttributeValue::M(inner) => remove_nulls(inner),
            AttributeValue::L(list) => list.iter_mut().for_each(|value| {
                if let AttributeValue::M(inner) = value {
                    remove_nulls(inner);
                }
            }),
            _ => {}
        }
    }
}

pub(crate) fn key_of(attributes: &Item) -> ItemKey {
    ItemKey {
        pk: text_of(attributes, "pk").to_owned(),
        sk: text_of(attributes, "sk").to_owned(),
    }
}

pub(crate) fn kind_of(attributes: &Item) -> &str {
    text_of(attributes, "kind")
}

/// The text of an attribute, which is empty where there is none.
fn text_of<'a>(attributes: &'a Item, name: &str) -> &'a str {
    attributes
        .get(name)
        .and_then(|value| value.as_s().ok())
        .map_or("", String::as_str)
}

pub fn is_kind<T: Stored>(attributes: &Item) -> bool {
    kind_of(attributes) == T::KIND
}

/// The value that an item stores. An item of another kind or shape is corrupt, never absent.
pub fn from_item<T: Stored>(attributes: Item) -> Result<T> {
    part_of::<T, T>(attributes)
}

/// Some attributes of the value that an item stores.
pub(crate) fn part_of<T: Stored, P: DeserializeOwned>(attributes: Item) -> Result<P> {
    let key = key_of(&attributes);
    let kind = kind_of(&attributes).to_owned();
    if kind != T::KIND {
        return Err(StoreError::corrupt(
            &key,
            T::KIND,
            &format!("it is of the kind {kind:?}"),
        ));
    }
    // The deserialiser's own error quotes values, which can be names and addresses.
    serde_dynamo::from_item(attributes)
        .map_err(|_| StoreError::corrupt(&key, T::KIND, &"an attribute is missing or malformed"))
}
