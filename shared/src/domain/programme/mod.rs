//! A programme: what is offered to whom, when, and for how much money. Pages read it from forms, and the
//! store writes it.

pub mod guardrail;
pub mod request;
pub mod rules;
pub mod terms;
#[cfg(test)]
pub(crate) mod testing;
pub mod tiers;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::{self, Date};
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::domain::programme::rules::{DataPolicy, Region};
use crate::domain::programme::terms::TermsHash;
use crate::domain::values::address::EmailAddress;
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::Usd;
use crate::domain::values::term::Term;
use crate::domain::values::window::Reset;
use crate::store::items::stored;
use crate::store::keys::{begin, key, programme_partition};

/// A programme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programme {
    #[serde(rename = "programme")]
    pub id: ProgrammeId,
    #[serde(flatten)]
    pub settings: Settings,
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// The form that created it, which may be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Ulid>,
    /// The version, which every edit increases. Nobody but a person edits a programme.
    pub version: u64,
}

stored! {
    "programme" Programme |it| (id: &ProgrammeId = &it.id) => key("PROGRAMMES", id.as_str());
    // There are few, and an admin sees them all.
    list all() => begin("PROGRAMMES", "")
}

/// The settings that people make on a programme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub name: String,
    /// Whether there is a roster; a cost centre has none and only owns foreign keys.
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
    /// Those of the assistants who are alerted too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alert_assistants: Vec<EmailAddress>,
    pub finance: Vec<EmailAddress>,
    /// The percentages of a limit at which an alert is sent.
    pub thresholds: Vec<u8>,
    /// Model slugs, or the name of a tier; empty allows all.
    pub models: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_code: Option<String>,
    /// The number of times that a student may replace a key in a term without asking.
    pub replacements: u32,
    pub byok: Byok,
    pub data_policy: DataPolicy,
    /// The providers that may serve a model, as OpenRouter spells them; empty allows all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// The regions in which models may run; empty allows all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
    pub student_mails: bool,
    /// The weekday of the digest; `None` if there is no digest.
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

/// A section or course on a roster, with the settings in which it differs from the programme.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Usd>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

/// Whether spending with a student's own provider key counts against the cap.
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

/// The money of a programme, in one item, since every claim takes its place in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    pub programme: ProgrammeId,
    /// All the money that the programme may ever cost.
    #[serde(rename = "budget_limit")]
    pub limit: Usd,
    /// The most that grants with a place can still cost, plus what they spent, plus what foreign keys spent.
    pub reserved: Usd,
    /// The part of it that foreign keys of this programme spent. Nothing bounds what they still can spend.
    pub assigned: Usd,
    /// The instant for which the sync last recomputed `reserved`. A place is worth less as time passes, so
    /// nothing is given back as of an earlier instant.
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub counted_at: Option<Timestamp>,
    /// Whether any key of it was ever shown; from then on the reset, the time zone and what a limit counts
    /// are fixed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shown: bool,
    /// The version, which every act that moves `reserved` increases, so that a recount which missed such an
    /// act is not written.
    pub version: u64,
}

stored! {
    "budget" Budget |it| (programme: &ProgrammeId = &it.programme) => key(programme_partition(programme), "BUDGET")
}

impl Settings {
    /// Settings with defaults for everything that has one.
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
            providers: Vec::new(),
            regions: Vec::new(),
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

    /// The cap of this group's members, unless their grant has its own.
    pub fn cap_of_group(&self, group: Option<&str>) -> Usd {
        group.and_then(|group| self.groups.get(group)).and_then(|group| group.cap).unwrap_or(self.cap)
    }

    /// The recipients of the budget's alerts: faculty, or the admins if there is no faculty, and the assistants
    /// that were added.
    pub fn hear_of_alerts<'a>(&'a self, admins: &'a [EmailAddress]) -> impl Iterator<Item = &'a EmailAddress> {
        let first = if self.faculty.is_empty() { admins } else { &self.faculty };
        let is_one = |added: &&EmailAddress| self.assistants.iter().any(|one| one.matched() == added.matched());
        first.iter().chain(self.alert_assistants.iter().filter(is_one))
    }

    /// The hash of the text that has to be accepted before the first key, if there is one.
    pub fn terms_hash(&self) -> Option<TermsHash> {
        self.terms.as_deref().map(TermsHash::of)
    }

    /// The time at which a key made for this programme expires.
    pub fn keys_expire_at(&self) -> Timestamp {
        self.term.keys_expire_at(self.reset)
    }
}

impl Programme {
    /// A programme that was just created.
    pub fn new(id: ProgrammeId, settings: Settings) -> Programme {
        Programme { id, settings, closed_at: None, form: None, version: 1 }
    }

    /// The programme with settings that people changed.
    #[must_use]
    pub fn edited(self, settings: Settings) -> Programme {
        Programme { settings, version: self.version + 1, ..self }
    }

    /// Whether the programme was closed or its term has run out.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.closed_at.is_some() || now >= self.settings.term.ends_at()
    }

    /// Whether the next student who asks for a key is refused although money is left, because the rest is
    /// promised to other keys.
    pub fn is_promised_in_full(&self, budget: Usd, reserved: Usd, spent: Usd, now: Timestamp) -> bool {
        let has_keys_to_give = self.settings.roster && !self.is_over(now);
        let is_full = reserved > Usd::ZERO && reserved + self.settings.cap > budget;
        has_keys_to_give && is_full && spent < budget
    }

    /// The time at which the programme was or will be over.
    pub fn over_since(&self) -> Timestamp {
        let ends_at = self.settings.term.ends_at();
        self.closed_at.map_or(ends_at, |closed| closed.min(ends_at))
    }
}

impl Budget {
    /// A budget of which nothing is reserved.
    pub fn new(programme: ProgrammeId, limit: Usd) -> Budget {
        Budget {
            programme,
            limit,
            reserved: Usd::ZERO,
            assigned: Usd::ZERO,
            counted_at: None,
            shown: false,
            version: 1,
        }
    }

    /// Whether this much more can be reserved. Nothing can while more is reserved than the budget holds.
    pub fn has_room_for(&self, amount: Usd) -> bool {
        self.reserved + amount <= self.limit
    }
}
