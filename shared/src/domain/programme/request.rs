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

impl Wish {
    /// Takes these addresses out of its words and values.
    pub fn forget(&mut self, addresses: &BTreeSet<MatchedAddress>) {
        let forgotten = |word: &str| {
            let address = word.trim_end_matches([' ', ',', '\n']);
            let is_one = EmailAddress::parse(address).is_ok_and(|address| addresses.contains(address.matched()));
            if is_one { word.replace(address, "(erased)") } else { word.to_owned() }
        };
        for text in [&mut self.words, &mut self.from, &mut self.to] {
            *text = text.split_inclusive([' ', '\n']).map(forgotten).collect();
        }
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
