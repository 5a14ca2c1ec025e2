//! A programme: what is offered to whom, when, and for how much money. Reading it from a form is the page's work, changing it
//! the store's.

pub mod request;
pub mod restriction;
pub mod rules;
pub mod terms;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::{self, Date};
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::domain::programme::rules::{DataPolicy, Guardrail, RulesOrder};
use crate::domain::programme::terms::TermsHash;
use crate::domain::values::address::EmailAddress;
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::Usd;
use crate::domain::values::term::Term;
use crate::domain::values::window::Reset;

/// A programme as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programme {
    #[serde(rename = "programme")]
    pub id: ProgrammeId,
    #[serde(flatten)]
    pub settings: Settings,
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// What its keys are put under, once that has been made at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrail: Option<Guardrail>,
    /// What the provider has not confirmed of the rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_order: Option<RulesOrder>,
    /// Moves with every write.
    pub version: u64,
    /// Counts what people changed, so that a form of theirs is stale by another's edit and not by what a machine notes.
    pub edits: u64,
}

/// What people set on a programme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub name: String,
    /// A cost centre has no roster: it only owns keys made elsewhere.
    pub roster: bool,
    pub term: Term,
    pub cap: Usd,
    pub reset: Reset,
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub claim_opens_at: Option<Timestamp>,
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub claim_closes_at: Option<Timestamp>,
    pub faculty: Vec<EmailAddress>,
    pub assistants: Vec<EmailAddress>,
    /// Those of the assistants who hear of alerts too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alert_assistants: Vec<EmailAddress>,
    pub finance: Vec<EmailAddress>,
    /// Per cent of a limit at which somebody hears.
    pub thresholds: Vec<u8>,
    /// Slugs or a tier's name; empty means all.
    pub models: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_code: Option<String>,
    /// How often a student may replace a key in a term without asking.
    pub replacements: u32,
    pub byok: Byok,
    pub data_policy: DataPolicy,
    pub student_mails: bool,
    /// The weekday of the digest; none means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Weekday>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_after_days: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_after_days: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Group>,
}

/// A section or course on a roster, where it differs from the programme.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Usd>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

/// Whether what a student spends with a provider key of their own counts against the cap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Byok {
    #[default]
    Inside,
    Outside,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    pub fn of(date: Date) -> Weekday {
        match date.weekday() {
            civil::Weekday::Monday => Weekday::Monday,
            civil::Weekday::Tuesday => Weekday::Tuesday,
            civil::Weekday::Wednesday => Weekday::Wednesday,
            civil::Weekday::Thursday => Weekday::Thursday,
            civil::Weekday::Friday => Weekday::Friday,
            civil::Weekday::Saturday => Weekday::Saturday,
            civil::Weekday::Sunday => Weekday::Sunday,
        }
    }
}

/// The money of a programme: one item, since every claim takes its place in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pot {
    pub programme: ProgrammeId,
    /// All the money the programme may ever cost.
    #[serde(rename = "pot_limit")]
    pub limit: Usd,
    /// The most that the grants with a place can still cost, with what they spent.
    pub reserved: Usd,
    /// The instant for which the sync last counted anew. What a place is worth shrinks with time, so nothing is given back as if it
    /// were earlier than that.
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub counted_at: Option<Timestamp>,
    /// Whether somebody was ever shown a key of it: from then on reset, zone and what a limit counts are as they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shown: bool,
    /// Moves with every act that raises or lowers what is reserved, so that a sum over the grants that missed one is not written.
    pub version: u64,
}

impl Settings {
    /// A programme with nothing set but what has no default.
    pub fn new(name: &str, term: Term, cap: Usd) -> Settings {
        Settings {
            name: name.to_owned(),
            roster: true,
            term,
            cap,
            reset: Reset::None,
            claim_opens_at: None,
            claim_closes_at: None,
            faculty: Vec::new(),
            assistants: Vec::new(),
            alert_assistants: Vec::new(),
            finance: Vec::new(),
            thresholds: vec![50, 80, 95, 100],
            models: Vec::new(),
            cost_code: None,
            replacements: 3,
            byok: Byok::default(),
            data_policy: DataPolicy::default(),
            student_mails: true,
            digest: Some(Weekday::Monday),
            unused_after_days: None,
            rotate_after_days: None,
            terms: None,
            contact: None,
            groups: BTreeMap::new(),
        }
    }

    pub fn claim_opens_at(&self) -> Timestamp {
        self.claim_opens_at.unwrap_or(self.term.starts_at())
    }

    pub fn claim_closes_at(&self) -> Timestamp {
        self.claim_closes_at.unwrap_or(self.term.ends_at())
    }

    /// The cap of somebody in this group, unless their grant has its own.
    pub fn cap_of_group(&self, group: Option<&str>) -> Usd {
        group.and_then(|group| self.groups.get(group)).and_then(|group| group.cap).unwrap_or(self.cap)
    }

    /// Who hears when a threshold of the pot is passed: faculty, or the admins when there is none, and the assistants that were added.
    pub fn hear_of_alerts<'a>(&'a self, admins: &'a [EmailAddress]) -> impl Iterator<Item = &'a EmailAddress> {
        let first = if self.faculty.is_empty() { admins } else { &self.faculty };
        let is_one = |added: &&EmailAddress| self.assistants.iter().any(|one| one.matched() == added.matched());
        first.iter().chain(self.alert_assistants.iter().filter(is_one))
    }

    /// Which text has to be accepted before the first key, if any.
    pub fn terms_hash(&self) -> Option<TermsHash> {
        self.terms.as_deref().map(TermsHash::of)
    }

    /// When a key made for this programme expires.
    pub fn keys_expire_at(&self) -> Timestamp {
        self.term.keys_expire_at(self.reset)
    }
}

impl Programme {
    /// A programme that was just created.
    pub fn new(id: ProgrammeId, settings: Settings) -> Programme {
        Programme { id, settings, closed_at: None, guardrail: None, rules_order: None, version: 1, edits: 1 }
    }

    /// Whether it has been closed or its term has run out.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.closed_at.is_some() || now >= self.settings.term.ends_at()
    }

    /// Whether whoever asks for a key next is refused one, although money is left: more than was spent is promised to keys that are
    /// out.
    pub fn is_promised_in_full(&self, pot: Usd, reserved: Usd, spent: Usd, now: Timestamp) -> bool {
        let has_keys_to_give = self.settings.roster && !self.is_over(now);
        let is_full = reserved > Usd::ZERO && reserved + self.settings.cap > pot;
        has_keys_to_give && is_full && spent < pot
    }

    /// When it was or will be over.
    pub fn over_since(&self) -> Timestamp {
        let ends_at = self.settings.term.ends_at();
        self.closed_at.map_or(ends_at, |closed| closed.min(ends_at))
    }
}

impl Pot {
    /// A pot of which nothing is reserved.
    pub fn new(programme: ProgrammeId, limit: Usd) -> Pot {
        Pot { programme, limit, reserved: Usd::ZERO, counted_at: None, shown: false, version: 1 }
    }

    /// Whether this much more can be promised. Nothing can while more is reserved than there is.
    pub fn has_room_for(&self, amount: Usd) -> bool {
        self.reserved + amount <= self.limit
    }
}
