//! Requests: what faculty ask of the admins, other values of settings that only an admin may change, or that the programme is closed
//! or copied.
//!
//! What faculty change on the form that only an admin may change is not changed but asked for. What is their own is saved first.
//! Each admin gets a mail, once a day for the same wishes, and the audit says that it was asked. Nothing else of it is kept.

use sha2::{Digest, Sha256};

use crate::prelude::*;

/// The id of the budget's setting, whose value a mail's subject names.
pub const BUDGET: &str = "budget_usd";
/// The id of the wish that the programme is closed, which is no setting.
pub const CLOSE: &str = "close";
/// The id of the wish that the programme is copied, which is no setting.
pub const COPY: &str = "copy";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub programme: ProgrammeId,
    pub by: PersonId,
    pub wishes: Vec<Wish>,
    /// The id of the request, under which the first of its mails is queued.
    pub form: Ulid,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    pub setting: String,
    pub label: String,
    /// The values before and after, as a person reads them.
    pub words: String,
}

/// A `Debug` form with the setting's id alone, since its values may name people.
impl fmt::Debug for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wish").field("setting", &self.setting).finish_non_exhaustive()
    }
}

impl Wish {
    /// Takes these addresses out of its words.
    pub fn forget(&mut self, addresses: &BTreeSet<MatchedAddress>) {
        let forgotten = |word: &str| {
            let address = word.trim_end_matches([' ', ',']);
            let is_one = EmailAddress::parse(address).is_ok_and(|address| addresses.contains(address.matched()));
            if is_one { word.replace(address, "(erased)") } else { word.to_owned() }
        };
        self.words = self.words.split_inclusive(' ').map(forgotten).collect();
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
        let form = hash.finalize().iter().take(16).fold(0, |id: u128, byte| id << 8 | u128::from(*byte));
        Request { programme, by, wishes, form: Ulid(form >> 1) }
    }
}
