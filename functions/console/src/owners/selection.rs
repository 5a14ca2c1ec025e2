//! The keys that an admin chose by hash or by a pattern of their names: those that can be given or taken back, and the others with
//! the reason. Nothing is changed here.

use bursar_core::domain::ledger::foreign::{KeyOwner, OwnedUse};
use bursar_core::domain::programme::Byok;
use bursar_core::domain::values::id::KeyName;
use bursar_core::domain::values::key::name_matches;
use bursar_core::store::ForeignKey;

use crate::prelude::*;

/// The longest pattern, in characters.
const LONGEST_PATTERN: usize = 200;

pub(super) enum Wanted {
    Key(KeyHash),
    /// All keys whose names match; `*` stands for any text.
    Match(String),
}

pub(super) enum Purpose {
    Give { owner: Box<Programme>, from: Date, budget: Budget },
    TakeBack,
}

pub(super) struct KeySelection {
    pub(super) chosen: Vec<ChosenKey>,
    pub(super) refused: Vec<RefusedKey>,
    /// The room of the budget after the chosen keys were given; `None` when they are taken back.
    pub(super) left: Option<Usd>,
}

pub(super) struct ChosenKey {
    pub(super) key: KeyHash,
    pub(super) name: String,
    /// What counts for the owner.
    pub(super) counts: Usd,
    /// The part of it of which no days are known, and the day on which the key was first seen.
    pub(super) lump: Option<(Usd, Date)>,
    /// Who has it now.
    pub(super) owner: Option<KeyOwner>,
}

pub(super) struct RefusedKey {
    pub(super) key: KeyHash,
    pub(super) name: String,
    pub(super) why: String,
    /// Whether it is refused because a request before this one took effect.
    is_given: bool,
}

impl Wanted {
    pub(super) fn of(fields: &Fields) -> Result<Wanted, String> {
        if let Some(hash) = fields.filled("hash") {
            let wrong = |_| "A key's hash has sixty-four hexadecimal digits.".to_owned();
            return hash.parse().map(Wanted::Key).map_err(wrong);
        }
        match fields.filled("prefix").or_else(|| fields.filled("match")) {
            Some(pattern) if pattern.chars().count() <= LONGEST_PATTERN => Ok(Wanted::Match(pattern.to_owned())),
            Some(_) => Err(format!("At most {LONGEST_PATTERN} characters, please.")),
            None => Err("Type a name, or a pattern such as course-*, in which * stands for any text.".to_owned()),
        }
    }

    fn has(&self, key: &ForeignKey) -> bool {
        match self {
            Wanted::Key(hash) => key.key == *hash,
            Wanted::Match(pattern) => name_matches(pattern, &key.name),
        }
    }
}

impl KeySelection {
    pub(super) async fn of(site: &Site, wanted: &Wanted, purpose: &Purpose) -> Result<KeySelection, AppError> {
        let (foreign, owners, programmes) =
            tokio::try_join!(site.table.foreign_keys(), site.table.key_owners(), site.table.list(Programme::all()))?;
        let mut owners: HashMap<KeyHash, KeyOwner> =
            owners.into_iter().map(|owner| (owner.key.clone(), owner)).collect();
        let mut selection = KeySelection { chosen: Vec::new(), refused: Vec::new(), left: None };
        for key in foreign.into_iter().filter(|key| wanted.has(key)) {
            let owner = owners.remove(&key.key);
            let counts =
                |id: &ProgrammeId| programmes.iter().find(|one| one.id == *id).map(|one| one.settings.basis.byok);
            selection.sort_in(key, owner, purpose, counts);
        }
        selection.chosen.sort_by(|one, other| (&one.name, &one.key).cmp(&(&other.name, &other.key)));
        selection.refused.sort_by(|one, other| (&one.name, &one.key).cmp(&(&other.name, &other.key)));
        if let Purpose::Give { budget, .. } = purpose {
            selection.left = Some(budget.limit - budget.reserved - selection.counts());
        }
        Ok(selection)
    }

    /// `byok_of` says how a programme counts use with provider keys of the users' own.
    fn sort_in(
        &mut self,
        key: ForeignKey,
        owner: Option<KeyOwner>,
        purpose: &Purpose,
        byok_of: impl Fn(&ProgrammeId) -> Option<Byok>,
    ) {
        let why = match (purpose, &owner) {
            (Purpose::Give { .. }, Some(has)) => {
                Some(format!("{} has it, from {} on: take it back first", has.owner, has.from))
            }
            (Purpose::Give { .. }, None) if KeyName::is_bursars(&key.name) => {
                Some("a deployment of Bursar made it".to_owned())
            }
            (Purpose::TakeBack, None) => Some("nobody has it".to_owned()),
            (Purpose::Give { .. }, None) | (Purpose::TakeBack, Some(_)) => None,
        };
        if let Some(why) = why {
            let is_given = matches!((purpose, &owner), (Purpose::Give { owner: to, from, .. }, Some(has))
                if has.owner == to.id && has.from == *from);
            self.refused.push(RefusedKey { key: key.key, name: key.name, why, is_given });
            return;
        }
        let (from, to) = match (purpose, &owner) {
            (Purpose::Give { owner, from, .. }, _) => (*from, Some(&owner.id)),
            (Purpose::TakeBack, owner) => {
                (owner.as_ref().map_or(Date::MAX, |owner| owner.from), owner.as_ref().map(|owner| &owner.owner))
            }
        };
        let byok = to.and_then(byok_of).unwrap_or_default();
        let used = OwnedUse::of(&key.used, key.first_seen_at, from);
        let lump = used.lump(byok);
        self.chosen.push(ChosenKey {
            counts: used.counted.counted(byok),
            lump: (lump > Usd::ZERO).then(|| (lump, utc_date(key.first_seen_at))),
            key: key.key,
            name: key.name,
            owner,
        });
    }

    /// A text that tells this choice of keys from any other: all hashes added bit by bit.
    pub(super) fn mark(&self) -> String {
        let mut bits = [0_u8; 32];
        for chosen in &self.chosen {
            bits.iter_mut().zip(chosen.key.to_bytes()).for_each(|(all, one)| *all ^= one);
        }
        KeyHash::of_bytes(&bits).to_string()
    }

    /// The chosen keys, each with what counts of it in cents.
    pub(super) fn in_cents(&self) -> impl Iterator<Item = (&ChosenKey, Usd)> {
        self.chosen.iter().zip(each_in_cents(self.chosen.iter().map(|chosen| chosen.counts)))
    }

    pub(super) fn counts(&self) -> Usd {
        self.chosen.iter().map(|chosen| chosen.counts).sum()
    }

    pub(super) fn passes_the_budget(&self) -> bool {
        self.left.is_some_and(|left| left < Usd::ZERO) && self.counts() > Usd::ZERO
    }

    /// Whether every key belongs to this owner from this day on already.
    pub(super) fn is_given_already(&self) -> bool {
        !self.refused.is_empty() && self.refused.iter().all(|refused| refused.is_given)
    }

    /// The sentence for a choice without any key.
    pub(super) fn why_nothing(&self, wanted: &Wanted) -> Option<String> {
        if !self.chosen.is_empty() || !self.refused.is_empty() {
            return None;
        }
        Some(match wanted {
            Wanted::Key(_) => "No check has found such a key, or Bursar made it: then it is a student's.".to_owned(),
            Wanted::Match(pattern) => format!(
                "No key that was made elsewhere has a name that matches {pattern}. Keys that Bursar made are students'."
            ),
        })
    }
}
