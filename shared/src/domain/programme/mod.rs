//! A programme: what is offered to whom, when, and for how much money. Pages read it from forms,
//! and the store writes it.

pub mod basis;
pub mod counts;
pub mod guardrail;
pub mod role;
pub mod rules;
pub mod unreserved;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::clock::Moment;
use crate::domain::programme::role::{Role, is_among};
use crate::domain::programme::rules::Rules;
use crate::domain::programme::unreserved::Unreserved;
use crate::domain::values::address::{EmailAddress, MatchedAddress, PersonName};
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::Usd;
use crate::domain::values::partition::overview_key;
use crate::domain::values::term::Term;
use crate::schema::{Queue, begin, key, stored};

pub use basis::{Basis, Byok};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Programme {
    #[serde(rename = "programme")]
    pub id: ProgrammeId,
    #[serde(flatten)]
    pub settings: Settings,
    pub closed_at: Option<Moment>,
    /// When everybody of it began to be forgotten, long after its end.
    pub erased_at: Option<Moment>,
    /// The form that created it, which may be sent again.
    pub form: Option<Ulid>,
    /// The version, which every edit increases. Nobody but a person edits a programme.
    pub version: u64,
}

stored! {
    Programme (id: &ProgrammeId) => key("PROGRAMMES", id.as_str());
    // There are few, and an admin sees them all.
    list all() => begin("PROGRAMMES", "");
    waits |programme| programme.erased_at.is_none_or(|erased_at| erased_at < programme.over_since()).then(|| (Queue::RETENTION, programme.over_since()))
}

/// The settings that people make on a programme. The group in which a setting stands says what an
/// edit of it moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub name: String,
    /// Whether there is a roster; a cost centre has none and only owns foreign keys.
    pub roster: bool,
    /// Moves what is reserved, since keys end with it. Its time zone is as fixed as the basis.
    pub term: Term,
    pub allowance: Allowance,
    pub basis: Basis,
    pub rules: KeyRules,
    pub people: People,
    pub claims: Claims,
    pub mails: Mails,
    pub texts: Texts,
}

/// How much a student may spend: moves what is reserved, and the limits of keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Allowance {
    pub cap: Usd,
    pub group_caps: BTreeMap<String, Usd>,
}

/// What keys may call: moves guardrails.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KeyRules {
    pub all: Rules,
    /// The models of groups that have their own, in place of those of all.
    pub group_models: BTreeMap<String, Vec<String>>,
}

/// The people who have a role: moves their roles.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct People {
    pub faculty: Vec<EmailAddress>,
    pub assistants: Vec<EmailAddress>,
    pub finance: Vec<EmailAddress>,
    /// The names of those of them whose name somebody wrote.
    pub names: BTreeMap<MatchedAddress, PersonName>,
}

/// When students may have keys, and for how long one. Moves nothing by itself: claims and the
/// nightly sync read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    pub claim_opens_at: Option<Moment>,
    pub claim_closes_at: Option<Moment>,
    /// The number of times that a student may replace a key in a term without asking.
    pub replacements: u32,
    pub unused_after_days: Option<u16>,
    pub rotate_after_days: Option<u16>,
}

/// Which mails are sent: moves nothing by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mails {
    pub thresholds: Vec<u8>,
    /// Whether assistants are alerted too.
    pub alert_assistants: bool,
    pub student_mails: bool,
    pub digest: Option<Weekday>,
}

/// What is said to students and to finance: moves nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Texts {
    pub cost_code: Option<String>,
    pub terms: Option<String>,
    pub contact: Option<String>,
}

crate::named! {
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Weekday: to_words {
        Monday = "on Mondays",
        Tuesday = "on Tuesdays",
        Wednesday = "on Wednesdays",
        Thursday = "on Thursdays",
        Friday = "on Fridays",
        Saturday = "on Saturdays",
        Sunday = "on Sundays",
    }
}

impl Weekday {
    pub fn from_date(date: Date) -> Weekday {
        Weekday::ALL[date.weekday().to_monday_zero_offset() as usize]
    }
}

/// The money of a programme, in one item, since every claim takes its reservation in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    pub programme: ProgrammeId,
    /// All the money that the programme may ever cost.
    #[serde(rename = "budget_limit")]
    pub limit: Usd,
    /// The most that grants with a reservation can still cost, plus what they spent, plus what
    /// foreign keys spent.
    pub reserved: Usd,
    /// The part of it that foreign keys of this programme spent. Nothing bounds what they still can
    /// spend.
    pub assigned: Usd,
    /// The instant for which the sync last counted `reserved` anew. A reservation is worth less as
    /// time passes, so nothing is reckoned as of an earlier instant.
    pub counted_at: Option<Moment>,
    /// Who has no reservation yet.
    pub unreserved: Unreserved,
    /// Whether a key of it was ever claimed; from then on the reset, the time zone and what a limit
    /// counts are fixed.
    pub claimed: bool,
    /// The version of the settings that costs rest on, which each edit of those increases.
    pub settings_version: u64,
    /// The version, which every act that moves `reserved` increases, so that an edit of caps which
    /// missed such an act is not written.
    pub version: u64,
}

stored! {
    Budget (programme: &ProgrammeId) => overview_key(programme, "BUDGET")
}

/// Students without a reservation whose key the budget has no room for.
#[derive(Debug, Clone, Copy)]
pub struct RefusedForRoom {
    /// What the dearest of their keys would take.
    pub dearest: Usd,
    pub students: u32,
    /// All who have had no key; for the others there is room, as long as nobody comes before them.
    without_key: u32,
    /// The budget that is enough for everybody.
    pub needed: Usd,
}

impl RefusedForRoom {
    pub fn is_everybody(&self) -> bool {
        self.students == self.without_key
    }

    /// Who is refused, as pages and mails say it.
    pub fn who(&self) -> String {
        match (self.without_key, self.students) {
            (1, _) => "1 student on the roster has no key and cannot get one now.".to_owned(),
            (without_key, _) if self.is_everybody() => {
                format!("{without_key} students on the roster have no key and cannot get one now.")
            }
            (without_key, 1) => {
                format!(
                    "{without_key} students on the roster have no key, and one of them cannot get one now."
                )
            }
            (without_key, refused) => {
                format!(
                    "{without_key} students on the roster have no key, and {refused} of them cannot get one now."
                )
            }
        }
    }

    /// The same with the reason, and what its reader can do.
    pub fn to_words(&self, budget: &Budget, reader: Role) -> String {
        format!(
            "{3} Too little of the budget is left for a key of {0}: {1} of {2} is spent or promised to students. {4} A lower cap \
             makes room as well, and so does removing students who need no key.",
            self.dearest.up_to_the_cent().to_cents(),
            budget.reserved.to_cents(),
            budget.limit.to_cents(),
            self.who(),
            reader.explain_raise(Some(self.needed))
        )
    }
}

impl Default for Claims {
    fn default() -> Claims {
        Claims {
            claim_opens_at: None,
            claim_closes_at: None,
            replacements: 3,
            unused_after_days: None,
            rotate_after_days: None,
        }
    }
}

impl Default for Mails {
    fn default() -> Mails {
        Mails {
            thresholds: vec![50, 80, 95, 100],
            alert_assistants: false,
            student_mails: true,
            digest: Some(Weekday::Monday),
        }
    }
}

impl People {
    pub fn name_of(&self, person: &MatchedAddress) -> Option<&str> {
        self.names.get(person).map(PersonName::as_str)
    }

    /// The address with the name before it, if that is known.
    pub fn to_words(&self, person: &EmailAddress) -> String {
        match self.name_of(person.matched()) {
            Some(name) => format!("{name} <{}>", person.as_written()),
            None => person.as_written().to_owned(),
        }
    }

    /// The faculty, as a sentence or fact names them: the first three.
    pub fn faculty_in_words(&self) -> Option<String> {
        const NAMED: usize = 3;
        if self.faculty.is_empty() {
            return None;
        }
        let named: Vec<String> = self
            .faculty
            .iter()
            .take(NAMED)
            .map(|person| self.to_words(person))
            .collect();
        let named = named.join(", ");
        match self.faculty.len().saturating_sub(NAMED) {
            0 => Some(named),
            unnamed => Some(format!("{named}, and {unnamed} more")),
        }
    }

    /// The first of the faculty whose name is known.
    pub fn teacher(&self) -> Option<&str> {
        self.faculty
            .iter()
            .find_map(|person| self.name_of(person.matched()))
    }

    /// Puts these people into one of the lists, with the names that came with them.
    pub fn put(
        &mut self,
        list: fn(&mut People) -> &mut Vec<EmailAddress>,
        people: Vec<(Option<PersonName>, EmailAddress)>,
    ) {
        for (name, person) in &people {
            match name {
                Some(name) => self.names.insert(person.matched().clone(), name.clone()),
                None => self.names.remove(person.matched()),
            };
        }
        *list(self) = people.into_iter().map(|(_, person)| person).collect();
        let People {
            faculty,
            assistants,
            finance,
            names,
        } = self;
        names.retain(|person, _| {
            [&*faculty, assistants, finance]
                .iter()
                .any(|list| is_among(person, list))
        });
    }
}

impl Settings {
    /// The people whom a student may ask.
    pub fn people_to_ask(&self) -> String {
        let contact = self
            .texts
            .contact
            .clone()
            .or_else(|| self.people.faculty_in_words());
        contact.unwrap_or_else(|| "the people who run the programme".to_owned())
    }

    /// Settings with defaults for everything that has one.
    pub fn new(name: &str, term: Term, cap: Usd) -> Settings {
        Settings {
            name: name.to_owned(),
            roster: true,
            term,
            allowance: Allowance {
                cap,
                ..Allowance::default()
            },
            basis: Basis::default(),
            rules: KeyRules::default(),
            people: People::default(),
            claims: Claims::default(),
            mails: Mails::default(),
            texts: Texts::default(),
        }
    }

    pub fn claim_opens_at(&self) -> Moment {
        self.claims.claim_opens_at.unwrap_or(self.term.starts_at())
    }

    pub fn claim_closes_at(&self) -> Moment {
        self.claims.claim_closes_at.unwrap_or(self.term.ends_at())
    }

    /// The hash of the text that has to be accepted before the first key, if there is one.
    pub fn terms_hash(&self) -> Option<TermsHash> {
        self.texts.terms.as_deref().map(TermsHash::digest)
    }

    pub fn keys_expire_at(&self) -> Moment {
        self.term.keys_expire_at(self.basis.reset)
    }

    /// What a key of this cap can cost that is made now: in this window and each later one.
    pub fn cost_of_a_key(&self, cap: Usd, now: Moment) -> Usd {
        let expires = self.keys_expire_at();
        let windows = if now < expires {
            1 + self.basis.reset.windows_between(now, expires)
        } else {
            0
        };
        cap.times(windows)
    }
}

impl Allowance {
    /// The cap of this group's members, unless their grant has its own.
    pub fn cap_of(&self, group: Option<&str>) -> Usd {
        group
            .and_then(|group| self.group_caps.get(group))
            .copied()
            .unwrap_or(self.cap)
    }
}

impl Programme {
    pub fn new(id: ProgrammeId, settings: Settings) -> Programme {
        Programme {
            id,
            settings,
            closed_at: None,
            erased_at: None,
            form: None,
            version: 1,
        }
    }

    #[must_use]
    pub fn edited(self, settings: Settings) -> Programme {
        Programme {
            settings,
            version: self.version + 1,
            ..self
        }
    }

    /// Whether the programme was closed or its term has run out.
    pub fn is_over(&self, now: Moment) -> bool {
        self.closed_at.is_some() || now >= self.settings.term.ends_at()
    }

    /// The students who may claim their first key now and would be refused, because the budget has
    /// no room for it.
    pub fn find_room_refusal(&self, budget: &Budget, now: Moment) -> Option<RefusedForRoom> {
        let may_claim =
            self.settings.claim_opens_at() <= now && now < self.settings.claim_closes_at();
        if !may_claim || self.is_over(now) {
            return None;
        }
        let mut costs = budget.unreserved.costs(&self.settings, now);
        costs.retain(|key_cost| key_cost.people > 0 && !key_cost.had_a_key);
        let without_key = costs.iter().map(|key_cost| key_cost.people).sum();
        costs.retain(|key_cost| !budget.has_room_for(key_cost.cost));
        let dearest = costs.first()?.cost;
        let students = costs.iter().map(|key_cost| key_cost.people).sum();
        Some(RefusedForRoom {
            dearest,
            students,
            without_key,
            needed: budget.implied(&self.settings, now),
        })
    }

    /// Whether keys can be claimed now or later.
    pub fn can_be_claimed_after(&self, now: Moment) -> bool {
        !self.is_over(now) && now < self.settings.claim_closes_at()
    }

    pub fn over_since(&self) -> Moment {
        let ends_at = self.settings.term.ends_at();
        self.closed_at.map_or(ends_at, |closed| closed.min(ends_at))
    }
}

impl Budget {
    pub fn new(programme: ProgrammeId, limit: Usd) -> Budget {
        Budget {
            programme,
            limit,
            reserved: Usd::ZERO,
            assigned: Usd::ZERO,
            counted_at: None,
            unreserved: Unreserved::default(),
            claimed: false,
            settings_version: 1,
            version: 1,
        }
    }

    /// What it would hold if everybody on the roster claimed. It is shown, not enforced.
    pub fn implied(&self, settings: &Settings, now: Moment) -> Usd {
        self.reserved + self.unreserved.cost(settings, now)
    }

    /// Whether this much more can be reserved. Nothing can while more is reserved than the budget
    /// holds.
    pub fn has_room_for(&self, amount: Usd) -> bool {
        self.reserved + amount <= self.limit
    }
}

/// The terms that students accept, by the SHA-256 of their text alone, so that anybody who has the
/// text can compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TermsHash([u8; 32]);

#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("this is no hash of 64 hex digits")]
pub struct NotAHash;

impl TermsHash {
    pub fn digest(text: &str) -> TermsHash {
        TermsHash(Sha256::digest(text.as_bytes()).into())
    }
}

impl fmt::Display for TermsHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for TermsHash {
    type Err = NotAHash;
    fn from_str(text: &str) -> Result<TermsHash, NotAHash> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| NotAHash)?;
        bytes.try_into().map(TermsHash).map_err(|_| NotAHash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash of terms is what any SHA-256 tool prints for the text, and it reads back as it was
    /// sent.
    #[test]
    fn a_terms_hash_reads_back() {
        let hash = TermsHash::digest("Be kind.");
        assert_eq!(
            hash.to_string(),
            "5499befb38dbf3fcc08107141cb2a9e7f42a6aae403361dc3601b8296d7967ea"
        );
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_ne!(TermsHash::digest("Be kind. "), hash);
        for text in [
            "",
            "00",
            &format!("{hash}0"),
            &hash.to_string().to_uppercase(),
            &"zz".repeat(32),
        ] {
            assert_eq!(text.parse::<TermsHash>(), Err(NotAHash), "{text}");
        }
    }

    #[test]
    fn a_name_goes_with_the_last_list_that_has_its_person() {
        let mut people = People::default();
        let named = |text| EmailAddress::parse_named(text).unwrap();
        people.put(
            |people| &mut people.faculty,
            vec![named("ada@uni.edu"), named("Grace Hopper <grace@uni.edu>")],
        );
        people.put(
            |people| &mut people.assistants,
            vec![named("Al <al@uni.edu>")],
        );
        assert_eq!(people.teacher(), Some("Grace Hopper"));
        assert_eq!(
            people.to_words(&people.faculty[1]),
            "Grace Hopper <grace@uni.edu>"
        );
        people.put(|people| &mut people.faculty, vec![named("al@uni.edu")]);
        assert_eq!((people.teacher(), people.names.len()), (None, 0));
    }
}
