//! Requests: what faculty ask of the admins, other values of settings that only an admin may change, or that the programme is closed
//! or copied.
//!
//! What faculty change on the form that only an admin may change is not changed but asked for. What is their own is saved first.
//! Each admin gets a mail, once a day for the same wishes. The request stands for thirty days, until an admin approves or declines it.

use std::collections::BTreeSet;
use std::fmt;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::clock::Moment;
use crate::domain::values::address::{EmailAddress, MatchedAddress};
use crate::domain::values::format::Joined;
use crate::domain::values::id::{PersonId, ProgrammeId};
use crate::domain::values::masked;
use crate::domain::values::partition::{overview_key, overview_range};
use crate::domain::values::window::utc_date;
use crate::schema::{Queue, stored};

/// The id of the budget's setting, whose value a mail's subject names.
pub const BUDGET: &str = "budget_usd";
/// The id of the wish that the programme is closed, which is no setting.
pub const CLOSE: &str = "close";
/// The id of the wish that the programme is copied, which is no setting.
pub const COPY: &str = "copy";

/// How long a request is kept. It may name people, so only while somebody may still act on it.
pub const REQUEST_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgrammeRequest {
    pub programme: ProgrammeId,
    pub request: Ulid,
    pub asked_by: PersonId,
    pub wishes: Vec<Wish>,
    pub asked_at: Moment,
    pub decision: Option<Decision>,
    pub version: u64,
}

stored! {
    ProgrammeRequest |request| (programme: &ProgrammeId = &request.programme, request: Ulid = request.request) => overview_key(programme, &format!("REQUEST#{request}"));
    list of_programme(programme: &ProgrammeId) => overview_range(programme, "REQUEST#");
    expires request.asked_at + REQUEST_KEPT;
    waits if request.decision.is_none() { Some((Queue::DECISION, request.asked_at)) } else { None }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub is_approved: bool,
    /// What the asker reads with it.
    pub reason: Option<String>,
    /// The copy that was made, where that was asked for.
    pub copy: Option<ProgrammeId>,
}

impl Decision {
    pub fn verb(&self) -> &'static str {
        if self.is_approved { "approved" } else { "declined" }
    }
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    pub setting: String,
    pub label: String,
    /// The values before and after, as a person reads them.
    pub words: String,
    /// The same as a form carries them. What is no setting has the fields of its form in `new_value`.
    pub old_value: String,
    pub new_value: String,
}

masked!(Wish);

/// Between the new value and the old.
pub const INSTEAD_OF: &str = " instead of ";

impl Wish {
    /// Takes out of its values each line that names one of these addresses, and words anew what is left.
    fn forget(&mut self, addresses: &BTreeSet<MatchedAddress>) {
        if names_one(&self.words, addresses) {
            let [before, after] = [&self.old_value, &self.new_value].map(|text| {
                let lines = text.lines().map(|line| if names_one(line, addresses) { "(erased)" } else { line });
                lines.joined("\n")
            });
            self.words = format!("{after}{INSTEAD_OF}{before}").replace('\n', ", ");
            (self.old_value, self.new_value) = (before, after);
        }
    }
}

fn names_one(text: &str, addresses: &BTreeSet<MatchedAddress>) -> bool {
    let mut words = text.split([' ', '\n', ',', ';', '<', '>', '(', ')', '"']);
    words.any(|word| EmailAddress::parse(word).is_ok_and(|address| addresses.contains(address.matched())))
}

impl ProgrammeRequest {
    /// A request, whose id is derived from its programme, day, person and wishes. So equal wishes of one person are one request,
    /// however often they are sent on a day.
    pub fn new(programme: ProgrammeId, asked_by: PersonId, wishes: Vec<Wish>, now: Moment) -> ProgrammeRequest {
        let day = utc_date(now).to_string();
        let mut hash = Sha256::new();
        let texts = wishes.iter().flat_map(|wish| [wish.setting.as_str(), wish.new_value.as_str()]);
        for text in [programme.as_str(), &day, asked_by.as_str()].into_iter().chain(texts) {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        }
        let id = hash.finalize().iter().take(16).fold(0, |id: u128, byte| id << 8 | u128::from(*byte));
        ProgrammeRequest {
            programme,
            request: Ulid(id >> 1),
            asked_by,
            wishes,
            asked_at: now,
            decision: None,
            version: 1,
        }
    }

    /// Whether an admin may still decide it.
    pub fn is_open(&self, now: Moment) -> bool {
        self.decision.is_none() && now < self.asked_at + REQUEST_KEPT
    }

    pub fn is_for(&self, what: &str) -> bool {
        self.wishes.iter().any(|wish| wish.setting == what)
    }

    #[must_use]
    pub fn decided(self, is_approved: bool, reason: Option<String>) -> ProgrammeRequest {
        let decision = Some(Decision { is_approved, reason, copy: None });
        ProgrammeRequest { decision, version: self.version + 1, ..self }
    }

    /// Takes these addresses out of its wishes, and away what an admin typed about it, which may name anybody.
    pub fn forget(&mut self, addresses: &BTreeSet<MatchedAddress>) {
        self.wishes.iter_mut().for_each(|wish| wish.forget(addresses));
        self.decision.iter_mut().for_each(|decision| decision.reason = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(from: &str, to: &str, words: &str) -> Wish {
        let [setting, label, words] = ["faculty", "Faculty", words].map(str::to_owned);
        Wish { setting, label, words, old_value: from.to_owned(), new_value: to.to_owned() }
    }

    #[test]
    fn an_address_is_forgotten_with_its_name() {
        let addresses = BTreeSet::from([EmailAddress::parse("Grace@uni.edu").unwrap().matched().clone()]);
        for (from, to, left, words) in [
            (
                "GRACE@uni.edu",
                "Grace instead of Ada <grace@uni.edu>\nada@uni.edu",
                ["(erased)", "(erased)\nada@uni.edu"],
                "(erased), ada@uni.edu instead of (erased)",
            ),
            ("4712", "4711 (grace@uni.edu)", ["4712", "(erased)"], "(erased) instead of 4712"),
            ("", "notgrace@uni.edu", ["", "notgrace@uni.edu"], "notgrace@uni.edu instead of "),
        ] {
            let mut wish = wish(from, to, &format!("{to} instead of {from}"));
            wish.forget(&addresses);
            assert_eq!(([&*wish.old_value, &*wish.new_value], &*wish.words), (left, words));
        }
    }

    #[test]
    fn other_values_are_another_wish() {
        let (programme, by): (ProgrammeId, _) = ("cs".parse().unwrap(), PersonId::random());
        let asked = |to: &str| {
            ProgrammeRequest::new(programme.clone(), by.clone(), vec![wish("", to, "$910")], Moment::UNIX_EPOCH).request
        };
        assert_ne!(asked("910.001"), asked("910.009"));
        assert_eq!(asked("910.001"), asked("910.001"));
    }
}
