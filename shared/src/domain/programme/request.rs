//! Requests: what faculty ask of the admins, other values of settings that only an admin may change, or that the programme is closed
//! or copied.
//!
//! What faculty change on the form that only an admin may change is not changed but asked for. What is their own is saved first.
//! Each admin gets a mail, once a day for the same wishes. The request stands for thirty days, until an admin approves or declines it.

use sha2::{Digest, Sha256};

use crate::prelude::*;
use crate::store::items::Queue;

/// The id of the budget's setting, whose value a mail's subject names.
pub const BUDGET: &str = "budget_usd";
/// The id of the wish that the programme is closed, which is no setting.
pub const CLOSE: &str = "close";
/// The id of the wish that the programme is copied, which is no setting.
pub const COPY: &str = "copy";

/// How long a request is kept. It may name people, so only while somebody may still act on it.
pub const REQUEST_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub programme: ProgrammeId,
    pub request: Ulid,
    pub by: PersonId,
    pub wishes: Vec<Wish>,
    pub asked_at: Moment,
    pub decision: Option<Decision>,
    pub version: u64,
}

stored! {
    Request |it| (programme: &ProgrammeId = &it.programme, request: Ulid = it.request) => key(programme_partition(programme), overview(&format!("REQUEST#{request}")));
    list of_programme(programme: &ProgrammeId) => begin(programme_partition(programme), &overview("REQUEST#"));
    expires it.asked_at + REQUEST_KEPT;
    waits if it.decision.is_none() { Some((Queue::Decision, it.asked_at)) } else { None }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub is_approved: bool,
    /// What the asker reads with it.
    pub reason: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    pub setting: String,
    pub label: String,
    /// The values before and after, as a person reads them.
    pub words: String,
    /// The same as a form carries them. What is no setting has the fields of its form in `to`.
    pub from: String,
    pub to: String,
}

/// A `Debug` form with the setting's id alone, since its values may name people.
impl fmt::Debug for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wish").field("setting", &self.setting).finish_non_exhaustive()
    }
}

/// Between the new value and the old.
pub const INSTEAD_OF: &str = " instead of ";

impl Wish {
    /// Takes these addresses out of its words and values.
    pub fn forget(&mut self, addresses: &BTreeSet<MatchedAddress>) {
        let without = |text: &str, gap: &str| {
            let forgotten = |person: &str| {
                let is_one = EmailAddress::parse_named(person).is_ok_and(|(_, of)| addresses.contains(of.matched()));
                if is_one { "(erased)".to_owned() } else { person.to_owned() }
            };
            text.split(gap).map(forgotten).collect::<Vec<_>>().join(gap)
        };
        let both = self.words.split(INSTEAD_OF).map(|people| without(people, ", "));
        self.words = both.collect::<Vec<_>>().join(INSTEAD_OF);
        (self.from, self.to) = (without(&self.from, "\n"), without(&self.to, "\n"));
    }
}

impl Request {
    /// A request, whose id is derived from its programme, day, person and wishes. So equal wishes of one person are one request,
    /// however often they are sent on a day.
    pub fn of(programme: ProgrammeId, by: PersonId, wishes: Vec<Wish>, now: Moment) -> Request {
        let (day, mut hash) = (utc_date(now).to_string(), Sha256::new());
        let texts = wishes.iter().flat_map(|wish| [wish.setting.as_str(), wish.words.as_str()]);
        for text in [programme.as_str(), &day, by.as_str()].into_iter().chain(texts) {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        }
        let id = hash.finalize().iter().take(16).fold(0, |id: u128, byte| id << 8 | u128::from(*byte));
        Request { programme, request: Ulid(id >> 1), by, wishes, asked_at: now, decision: None, version: 1 }
    }

    /// Whether an admin may still decide it.
    pub fn is_open(&self, now: Moment) -> bool {
        self.decision.is_none() && now < self.asked_at + REQUEST_KEPT
    }

    pub fn is_for(&self, what: &str) -> bool {
        self.wishes.iter().any(|wish| wish.setting == what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_forgotten_with_its_name() {
        let words = format!("Grace Hopper <grace@uni.edu>, ada@uni.edu{INSTEAD_OF}grace@uni.edu");
        let [setting, label, from] = ["faculty", "Faculty", "grace@uni.edu"].map(str::to_owned);
        let to = "Grace Hopper <grace@uni.edu>\nada@uni.edu".to_owned();
        let mut wish = Wish { setting, label, words, from, to };
        wish.forget(&BTreeSet::from([EmailAddress::parse("Grace@uni.edu").unwrap().matched().clone()]));
        assert_eq!(wish.words, "(erased), ada@uni.edu instead of (erased)");
        assert_eq!([&*wish.from, &*wish.to], ["(erased)", "(erased)\nada@uni.edu"]);
    }
}
