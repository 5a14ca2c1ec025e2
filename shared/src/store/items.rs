//! Every kind of item in the table, in one place: which type it is, where it lies, when it expires and what it waits for. The
//! types themselves are the domain's; their attributes are pinned by the snapshot beside this file.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::error::StoreError;
use super::keys::{self, Key};
use crate::domain::address::MatchedAddress;
use crate::domain::audit::Entry;
use crate::domain::grant::{Grant, Notice, Reading};
use crate::domain::id::{DeploymentId, GrantId, ProgrammeId};
use crate::domain::programme::{Pot, Programme};

/// An item as the SDK has it.
pub type Item = std::collections::HashMap<String, AttributeValue>;

/// Something that is kept as one item.
pub trait Stored: Serialize + DeserializeOwned {
    /// What the stream's readers and people tell items apart by.
    const KIND: &'static str;

    fn key(&self) -> Key;

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
    /// The provider is to be told to disable a key.
    Disable,
    UrgentMail,
    BulkMail,
}

/// This deployment, and which table it believes to be in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub deployment: DeploymentId,
    /// When this differs from the table's name, the table is a copy of an earlier moment.
    pub table: String,
    #[serde(with = "millisecond::required")]
    pub born: Timestamp,
}

/// One runner at a time. The fence grows with each holder, so that a stale one is told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub lease: String,
    pub holder: String,
    pub fence: u64,
    #[serde(with = "millisecond::required")]
    pub until: Timestamp,
}

/// That a person has a grant in a programme. Its key holds the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    pub address: MatchedAddress,
    pub programme: ProgrammeId,
    pub grant: GrantId,
}

/// A mail that is owed. It names no person; who is mailed is looked up when it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRow {
    pub row: Ulid,
    pub class: MailClass,
    pub state: MailState,
    #[serde(with = "millisecond::required")]
    pub written_at: Timestamp,
    #[serde(flatten)]
    pub mail: OwedMail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailClass {
    /// Sent at once, woken by the stream.
    Urgent,
    /// Sent by the drain, behind everything urgent.
    Bulk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailState {
    Waiting,
}

/// Which mail, and about whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mail", rename_all = "kebab-case")]
pub enum OwedMail {
    /// You are on the roster of a programme.
    Roster {
        programme: ProgrammeId,
        grant: GrantId,
    },
    KeyShown {
        programme: ProgrammeId,
        grant: GrantId,
    },
    KeyLeaked {
        programme: ProgrammeId,
        grant: GrantId,
    },
}

/// How long an outbox row is kept: past every retry and every event that may still come for it.
const OUTBOX_KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

impl Stored for Meta {
    const KIND: &'static str = "meta";
    fn key(&self) -> Key {
        keys::meta()
    }
}

impl Stored for Lease {
    const KIND: &'static str = "lease";
    fn key(&self) -> Key {
        keys::lease(&self.lease)
    }
}

impl Stored for Programme {
    const KIND: &'static str = "programme";
    fn key(&self) -> Key {
        keys::programme(&self.id)
    }
}

impl Stored for Pot {
    const KIND: &'static str = "pot";
    fn key(&self) -> Key {
        keys::pot(&self.programme)
    }
}

impl Stored for Grant {
    const KIND: &'static str = "grant";
    fn key(&self) -> Key {
        keys::grant(&self.programme, &self.id)
    }
    fn due(&self) -> Option<(Queue, Timestamp)> {
        self.owed_disables().map(|debt| (Queue::Disable, debt.since)).min_by_key(|(_, since)| *since)
    }
}

impl Stored for Reading {
    const KIND: &'static str = "reading";
    fn key(&self) -> Key {
        keys::reading(&self.programme, &self.grant, self.epoch)
    }
}

impl Stored for Entry {
    const KIND: &'static str = "audit";
    fn key(&self) -> Key {
        match &self.grant {
            Some(grant) => keys::grant_audit(&self.programme, grant, self.entry),
            None => keys::programme_audit(&self.programme, self.entry),
        }
    }
}

impl Stored for Enrolment {
    const KIND: &'static str = "enrolment";
    fn key(&self) -> Key {
        keys::enrolment(&self.address, &self.programme)
    }
}

impl Stored for OutboxRow {
    const KIND: &'static str = "outbox";
    fn key(&self) -> Key {
        keys::outbox(self.row)
    }
    fn expires(&self) -> Option<Timestamp> {
        Some(self.written_at + OUTBOX_KEPT)
    }
    fn due(&self) -> Option<(Queue, Timestamp)> {
        match (self.state, self.class) {
            (MailState::Waiting, MailClass::Urgent) => Some((Queue::UrgentMail, self.written_at)),
            (MailState::Waiting, MailClass::Bulk) => Some((Queue::BulkMail, self.written_at)),
        }
    }
}

impl OutboxRow {
    /// The mail that an act on a grant owes its student.
    pub fn notice(row: Ulid, notice: Notice, grant: &Grant, now: Timestamp) -> OutboxRow {
        let (programme, grant) = (grant.programme.clone(), grant.id.clone());
        let mail = match notice {
            Notice::KeyShown => OwedMail::KeyShown { programme, grant },
            Notice::KeyLeaked => OwedMail::KeyLeaked { programme, grant },
        };
        OutboxRow { row, class: MailClass::Urgent, state: MailState::Waiting, written_at: now, mail }
    }
}

impl Queue {
    pub fn as_str(self) -> &'static str {
        match self {
            Queue::Disable => "disable",
            Queue::UrgentMail => "mail-urgent",
            Queue::BulkMail => "mail-bulk",
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
pub(super) fn key_of(item: &Item) -> Key {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
    Key { pk: text("pk"), sk: text("sk") }
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
