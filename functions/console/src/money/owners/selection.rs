//! The keys that an admin chose by hash or by a pattern of their names: those that can be given or
//! taken back, and the others with the reason. Nothing is changed here.

use std::collections::BTreeMap;

use bursar_core::clock::Moment;
use bursar_core::domain::ledger::foreign::{ForeignKey, KeyOwner};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::id::{KeyHash, KeyName};
use bursar_core::domain::values::key::name_matches;
use bursar_core::domain::values::money::{Usd, round_to_cents};
use bursar_core::domain::values::token::sha256_hex;
use bursar_core::web::{Fields, Result, Site};

use crate::kit::show;

/// The longest pattern, in characters.
const LONGEST_PATTERN: usize = 200;

pub(super) enum Wanted {
    Key(KeyHash),
    /// All keys whose names match; `*` stands for any text.
    Match(String),
}

pub(super) enum Purpose {
    /// `free` is what of the owner's budget is promised to nobody.
    Give {
        owner: Box<Programme>,
        free: Usd,
    },
    TakeBack,
}

pub(super) struct KeySelection {
    pub(super) chosen: Vec<ChosenKey>,
    pub(super) refused: Vec<RefusedKey>,
}

pub(super) struct ChosenKey {
    pub(super) key: KeyHash,
    pub(super) name: String,
    /// What stays where it is, by the last check: what the key used in all, or while it had this
    /// owner.
    pub(super) stays: Usd,
    /// The name of who has it now, and since when.
    pub(super) owner: Option<(String, Moment)>,
}

pub(super) struct RefusedKey {
    pub(super) key: KeyHash,
    pub(super) name: String,
    pub(super) why: String,
    /// Whether it is refused because a request before this one took effect.
    is_given: bool,
}

impl Wanted {
    pub(super) fn from_fields(fields: &Fields) -> Result<Wanted, String> {
        if let Some(hash) = fields.filled("hash") {
            let sentence = "A key's hash has sixty-four hexadecimal digits.";
            return hash
                .parse()
                .map(Wanted::Key)
                .map_err(|_| sentence.to_owned());
        }
        match fields.filled("prefix").or_else(|| fields.filled("match")) {
            Some(pattern) if pattern.chars().count() <= LONGEST_PATTERN => {
                Ok(Wanted::Match(pattern.to_owned()))
            }
            Some(_) => Err(format!("At most {LONGEST_PATTERN} characters, please.")),
            None => Err(
                "Type a name, or a pattern such as course-*, in which * stands for any text."
                    .to_owned(),
            ),
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
    pub(super) async fn read(
        site: &Site,
        selector: &Wanted,
        purpose: &Purpose,
    ) -> Result<KeySelection> {
        let (mut foreign, mut owners, programmes) = tokio::try_join!(
            site.table.foreign_keys(),
            site.table.owners_now(),
            site.table.list(Programme::all())
        )?;
        foreign.sort_by_cached_key(|key| (key.name.clone(), key.key.clone()));
        let mut selection = KeySelection {
            chosen: Vec::new(),
            refused: Vec::new(),
        };
        for key in foreign.into_iter().filter(|key| selector.has(key)) {
            let owner = owners.remove(&key.key);
            selection.sort_in(key, owner, purpose, &programmes);
        }

        Ok(selection)
    }

    fn sort_in(
        &mut self,
        key: ForeignKey,
        owner: Option<KeyOwner>,
        purpose: &Purpose,
        programmes: &[Programme],
    ) {
        let why = match (purpose, &owner) {
            (Purpose::Give { .. }, Some(has)) => Some(format!(
                "{} has owned it since {}: take it back first",
                has.owner,
                show::day(has.began.at)
            )),
            (Purpose::Give { .. }, None) if KeyName::is_bursars(&key.name) => {
                Some("a deployment of Bursar made it".to_owned())
            }
            (Purpose::TakeBack, None) => Some("it has no owner".to_owned()),
            (Purpose::Give { .. }, None) | (Purpose::TakeBack, Some(_)) => None,
        };
        if let Some(why) = why {
            let is_given = matches!((purpose, &owner), (Purpose::Give { owner: programme, .. }, Some(has))
                if has.owner == programme.id);
            self.refused.push(RefusedKey {
                key: key.key,
                name: key.name,
                why,
                is_given,
            });
            return;
        }
        let programme = owner.as_ref().and_then(|owner| {
            programmes
                .iter()
                .find(|programme| programme.id == owner.owner)
        });
        let byok = programme
            .map(|programme| programme.settings.basis.byok)
            .unwrap_or_default();
        self.chosen.push(ChosenKey {
            stays: owner.as_ref().map_or(key.used.credits.total(), |owner| {
                owner.counted(&key.used).counted(byok)
            }),
            key: key.key,
            name: key.name,
            owner: owner.map(|owner| {
                let name = programme.map_or_else(
                    || owner.owner.to_string(),
                    |programme| programme.settings.name.clone(),
                );
                (name, owner.began.at)
            }),
        });
    }

    /// A text that tells this choice of keys, and since when somebody has them, from any other.
    pub(super) fn mark(&self) -> String {
        let parts = self.chosen.iter().map(|chosen| {
            let since = chosen
                .owner
                .as_ref()
                .map(|(_, since)| since.as_millisecond());
            format!("{} {since:?}", chosen.key)
        });
        sha256_hex(parts)
    }

    /// The chosen keys, each with what stays of it in cents.
    pub(super) fn in_cents(&self) -> impl Iterator<Item = (&ChosenKey, Usd)> {
        self.chosen.iter().zip(round_to_cents(
            self.chosen.iter().map(|chosen| chosen.stays),
        ))
    }

    pub(super) fn stays(&self) -> Usd {
        self.chosen.iter().map(|chosen| chosen.stays).sum()
    }

    /// The owners of the chosen keys, and what stays with each.
    pub(super) fn stays_with(&self) -> Vec<(&str, Usd)> {
        let mut owners: BTreeMap<&str, Usd> = BTreeMap::new();
        for chosen in &self.chosen {
            if let Some((name, _)) = &chosen.owner {
                *owners.entry(name).or_default() += chosen.stays;
            }
        }
        owners.into_iter().collect()
    }

    /// Whether every key belongs to this owner already.
    pub(super) fn is_given_already(&self) -> bool {
        !self.refused.is_empty() && self.refused.iter().all(|refused| refused.is_given)
    }

    /// The sentence for a choice without any key.
    pub(super) fn explain_nothing(&self, selector: &Wanted) -> Option<String> {
        if !self.chosen.is_empty() || !self.refused.is_empty() {
            return None;
        }
        Some(match selector {
            Wanted::Key(_) => {
                "No check has found such a key, or Bursar made it for a student.".to_owned()
            }
            Wanted::Match(pattern) => format!(
                "No key that was made elsewhere has a name that matches {pattern}. Keys that Bursar made are students'."
            ),
        })
    }
}
