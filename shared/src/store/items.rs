//! Every kind of item in the table, in one place: which type it is, where it lies, when it expires and what it waits for. The
//! types themselves are the domain's; their attributes are pinned by the snapshot beside this file.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::act::new_ulid;
use super::error::StoreError;
use super::keys::{self, Key};
use crate::domain::address::{EmailAddress, MatchedAddress};
use crate::domain::audit::{AccountEntry, Entry};
use crate::domain::crossing::Crossing;
use crate::domain::grant::{Grant, Urgency};
use crate::domain::id::{DeploymentId, GrantId, Nonce, PersonId, ProgrammeId};
use crate::domain::key::{Fingerprint, KeyHash};
use crate::domain::money::Usd;
use crate::domain::programme::{Pot, Programme};
use crate::domain::reading::{Reading, Used};
use crate::domain::role::Roles;
use crate::domain::sign_in::{ASK_LASTS, Session, SignIn};
use crate::domain::token::{AskTokenHash, LinkTokenHash, SessionTokenHash};

/// What is too large for one item lies in parts of so many bytes: an item has at most 400 KB.
pub(super) const MOST_IN_A_PART: usize = 380_000;

pub use super::mail_choice::{MailChoice, OfChoice};
pub use super::owed::{Bounce, MailClass, MailOf, MailState, OUTBOX_KEPT, OutboxRow, OwedMail, SentAs};
pub use super::undeliverable::{NOT_WANTED, Undeliverable, Why};

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

/// This deployment, and which table it believes to be in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub deployment: DeploymentId,
    /// When this differs from the table's name, the table is a copy of an earlier moment.
    pub table: String,
    #[serde(with = "millisecond::required")]
    pub born: Timestamp,
    /// The account at the provider, once a complete sync has listed its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<KnownAccount>,
}

/// By what the account of this deployment is known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownAccount {
    /// Of the management key that listed the witnesses.
    pub management_key: Fingerprint,
    /// Some keys that the last complete sync listed, whosever they are. A management key that finds one of them is of the same account.
    /// None where a person said that the account is another by now: until the next complete sync any will do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<KeyHash>,
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

/// That there is a programme of this id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedProgramme {
    pub programme: ProgrammeId,
}

/// That a person has a grant in a programme. Its key holds the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    pub address: MatchedAddress,
    pub programme: ProgrammeId,
    pub grant: GrantId,
}

/// Somebody with a role: how audit entries and owed mails name them, and the only place that knows who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub person: PersonId,
    pub address: EmailAddress,
}

/// Which person an address is. Its key holds the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonOf {
    pub address: MatchedAddress,
    pub person: PersonId,
}

/// That somebody asked for a link, whoever has the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    pub ask: Ulid,
    pub address: MatchedAddress,
    /// The browser.
    pub asked_by: AskTokenHash,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

/// Whose link this is. Whether it is still good stands in the address's own item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub link: LinkTokenHash,
    pub address: MatchedAddress,
    #[serde(with = "millisecond::required")]
    pub ends_at: Timestamp,
}

/// That an address has a session, so that all of its sessions are found. It goes when the session does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOf {
    pub session: SessionTokenHash,
    pub address: MatchedAddress,
    #[serde(with = "millisecond::required")]
    pub ends_at: Timestamp,
}

/// How often something was done in a while in which it may be done so often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub what: String,
    #[serde(with = "millisecond::required")]
    pub begins_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub ends_at: Timestamp,
    pub count: u32,
}

/// That somebody asked the provider what the key of a grant used, and nobody asks again before then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshed {
    pub grant: GrantId,
    #[serde(with = "millisecond::required")]
    pub until: Timestamp,
    /// Whose press that was: it tells who asked and was not answered that it was theirs.
    pub press: Nonce,
}

/// What the keys of a programme used, day by day, as the sync last summed it up. It is written when something changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub programme: ProgrammeId,
    /// When the listing began that it was summed up after.
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    pub used: Used,
    /// The same by group; people without one are not in it.
    #[serde(default)]
    pub by_group: BTreeMap<String, Used>,
    /// What the roster would reserve if everybody claimed.
    pub implied: Usd,
    pub grants: u32,
    /// Grants whose key was ever shown.
    pub claimed: u32,
}

/// That a roster mail was sent again by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resent {
    pub programme: ProgrammeId,
    pub grant: GrantId,
    #[serde(with = "millisecond::required")]
    pub resent_at: Timestamp,
}

/// One run of the sync: its report, kept for a year.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub run: Ulid,
    #[serde(with = "millisecond::required")]
    pub began_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub ended_at: Timestamp,
    pub complete: bool,
    /// The report, as JSON text.
    pub report: String,
}

const RUN_KEPT: SignedDuration = SignedDuration::from_hours(366 * 24);

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
    fn due(&self) -> Option<(Queue, Timestamp)> {
        self.rules_order.as_ref().map(|order| (Queue::Rules, order.due))
    }
}

impl Stored for ListedProgramme {
    const KIND: &'static str = "listed-programme";
    fn key(&self) -> Key {
        keys::listed_programme(&self.programme)
    }
}

impl Stored for Roles {
    const KIND: &'static str = "roles";
    fn key(&self) -> Key {
        keys::roles(self.address.matched(), &self.programme)
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
        self.urgency().map(|(urgency, due)| (Queue::Order(urgency), due))
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

impl Stored for AccountEntry {
    const KIND: &'static str = "account-audit";
    fn key(&self) -> Key {
        keys::account_audit(self.entry)
    }
}

impl Stored for Enrolment {
    const KIND: &'static str = "enrolment";
    fn key(&self) -> Key {
        keys::enrolment(&self.address, &self.programme)
    }
}

impl Stored for Person {
    const KIND: &'static str = "person";
    fn key(&self) -> Key {
        keys::person(&self.person)
    }
}

impl Stored for PersonOf {
    const KIND: &'static str = "person-of";
    fn key(&self) -> Key {
        keys::person_of(&self.address)
    }
}

impl Stored for SignIn {
    const KIND: &'static str = "sign-in";
    fn key(&self) -> Key {
        keys::sign_in(&self.address)
    }
    fn expires(&self) -> Option<Timestamp> {
        Some(self.ends_at())
    }
}

impl Stored for Ask {
    const KIND: &'static str = "ask";
    fn key(&self) -> Key {
        keys::ask(self.ask)
    }
    fn expires(&self) -> Option<Timestamp> {
        Some(self.at + ASK_LASTS)
    }
}

impl Stored for Link {
    const KIND: &'static str = "link";
    fn key(&self) -> Key {
        keys::link(&self.link)
    }
    fn expires(&self) -> Option<Timestamp> {
        Some(self.ends_at)
    }
}

impl Stored for Session {
    const KIND: &'static str = "session";
    fn key(&self) -> Key {
        keys::session(&self.session)
    }
    fn expires(&self) -> Option<Timestamp> {
        Some(self.ends_at)
    }
}

impl Stored for SessionOf {
    const KIND: &'static str = "session-of";
    fn key(&self) -> Key {
        keys::session_of(&self.address, &self.session)
    }
    fn expires(&self) -> Option<Timestamp> {
        Some(self.ends_at)
    }
}

impl Stored for Tally {
    const KIND: &'static str = "tally";
    fn key(&self) -> Key {
        keys::tally(&self.what, self.begins_at)
    }
    fn expires(&self) -> Option<Timestamp> {
        Some(self.ends_at)
    }
}

impl Stored for Refreshed {
    const KIND: &'static str = "refreshed";
    fn key(&self) -> Key {
        keys::refreshed(&self.grant)
    }
    fn expires(&self) -> Option<Timestamp> {
        Some(self.until)
    }
}

impl Stored for Totals {
    const KIND: &'static str = "totals";
    fn key(&self) -> Key {
        keys::totals(&self.programme)
    }
}

impl Stored for Crossing {
    const KIND: &'static str = "crossing";
    fn key(&self) -> Key {
        keys::crossing(&self.programme, &self.scope, self.window, self.limit, self.threshold)
    }
}

impl Stored for Resent {
    const KIND: &'static str = "resent";
    fn key(&self) -> Key {
        keys::resent(&self.programme, &self.grant)
    }
}

impl Stored for Run {
    const KIND: &'static str = "run";
    fn key(&self) -> Key {
        keys::run(self.run)
    }
    fn expires(&self) -> Option<Timestamp> {
        Some(self.ended_at + RUN_KEPT)
    }
}

impl Run {
    /// A run that ended now. Runs sort by when they ended.
    pub fn ended(began_at: Timestamp, ended_at: Timestamp, complete: bool, report: String) -> Run {
        Run { run: new_ulid(ended_at), began_at, ended_at, complete, report }
    }
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
pub(super) fn key_of(item: &Item) -> Key {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
    Key { pk: text("pk"), sk: text("sk") }
}

/// Whether an item is of this kind.
pub(super) fn is_kind<T: Stored>(item: &Item) -> bool {
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
