//! Who did what: one entry for each change of state, right, limit, settings or roster, written in the transaction that makes
//! the change. People appear by id only, so an erasure leaves the entries as they are.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::domain::values::id::new_ulid;
use crate::domain::values::id::{GrantId, NotAnId, PersonId, ProgrammeId};

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Actor {
    /// The student, on their own grant.
    Student,
    /// Somebody with a role.
    Person(PersonId),
    /// The sync, on what the provider says.
    Sync,
    /// A rule that a person set on the programme.
    Rule,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub programme: ProgrammeId,
    /// Absent when the programme itself changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    pub entry: Ulid,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    pub by: Actor,
    #[serde(flatten)]
    pub what: AuditDetail,
}

impl Entry {
    pub fn on_programme(programme: &ProgrammeId, by: &Actor, now: Timestamp, what: AuditDetail) -> Entry {
        Entry { programme: programme.clone(), grant: None, entry: new_ulid(now), at: now, by: by.clone(), what }
    }
}

/// One entry of a change that belongs to the account and to no programme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountEntry {
    pub entry: Ulid,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    pub by: Actor,
    #[serde(flatten)]
    pub what: AuditDetail,
}

/// What changed, from what to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditDetail {
    pub act: Act,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// A person's reason, or what the act says besides: an attempt's number, why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The acts that leave an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    Created,
    Edited,
    PotChanged,
    Closed,
    Invited,
    Begun,
    Shown,
    Refused,
    Unknown,
    Lost,
    Swept,
    Held,
    Released,
    Stopped,
    Revoked,
    Ended,
    CapChanged,
    ReplacementAllowed,
    PlaceGivenBack,
    /// Another name, address or id on the roster.
    Described,
    /// Another group.
    Moved,
    GuardrailSet,
    /// Another limit was sent to the provider for the live key.
    LimitSent,
    /// Keys that the provider had and the table did not.
    Recovered,
    /// A key was deleted at the provider.
    Purged,
    /// The term went on after the grant had ended with it.
    Reopened,
    /// Faculty asked the admins for a change; nothing changed by that.
    Asked,
    /// What the guard held back may be done by the next sync.
    GuardReleased,
    /// What the account spent and no key explains is explained.
    ResidualExplained,
    /// Another management key is of this deployment's account, although it finds none of the keys that were listed before.
    AccountConfirmed,
    /// Mail without hurry goes on, although much of it came back.
    BulkReleased,
    /// Mail that was given up is owed again.
    MailSentAgain,
    /// Mail to an address that it came back from is tried again.
    MailAllowed,
    /// An alert was sent again.
    AlertResent,
}

impl AuditDetail {
    pub fn new(act: Act) -> AuditDetail {
        AuditDetail { act, from: None, to: None, note: None }
    }

    #[must_use]
    pub fn changing(mut self, from: impl fmt::Display, to: impl fmt::Display) -> AuditDetail {
        self.from = Some(from.to_string());
        self.to = Some(to.to_string());
        self
    }

    #[must_use]
    pub fn noting(mut self, note: impl fmt::Display) -> AuditDetail {
        self.note = Some(note.to_string());
        self
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Student => f.write_str("student"),
            Actor::Person(person) => write!(f, "person:{person}"),
            Actor::Sync => f.write_str("sync"),
            Actor::Rule => f.write_str("rule"),
        }
    }
}

impl FromStr for Actor {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Actor, NotAnId> {
        match text {
            "student" => Ok(Actor::Student),
            "sync" => Ok(Actor::Sync),
            "rule" => Ok(Actor::Rule),
            other => other.strip_prefix("person:").unwrap_or_default().parse().map(Actor::Person),
        }
    }
}

impl TryFrom<String> for Actor {
    type Error = NotAnId;
    fn try_from(text: String) -> Result<Actor, NotAnId> {
        text.parse()
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> String {
        actor.to_string()
    }
}
