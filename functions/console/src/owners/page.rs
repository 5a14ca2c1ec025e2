//! The pages about owners of keys: the section of the account's page with the forms, and the preview of what a choice would do.

use bursar_core::domain::values::key::name_prefix;
use bursar_core::store::{ForeignKey, OwnedKey};

use super::Asked;
use super::selection::{KeySelection, Purpose, Wanted};
use crate::prelude::*;

/// The most keys on a preview; the rest are counted.
const CHOSEN_SHOWN: usize = 500;
const PREFIXES_SHOWN: usize = 20;

/// The choice that takes keys back; no programme has such an id.
const NOBODY: &str = "-";

pub(crate) struct KeyOwners {
    /// The beginnings of names of keys without an owner, those that spent most first.
    pub(crate) prefixes: Vec<NamePrefix>,
    /// What is said of the owner of each key that has one, by hash.
    pub(crate) words: HashMap<String, OwnerWords>,
    pub(crate) form: Form<TypedOwner>,
}

pub(crate) struct NamePrefix {
    pub(crate) pattern: String,
    pub(crate) keys: usize,
    pub(crate) spent: Usd,
}

/// The owner of a key, and what counted for it so far.
#[derive(Clone)]
pub(crate) struct OwnerWords {
    pub(crate) name: String,
    pub(crate) link: String,
    pub(crate) from: String,
    pub(crate) counts: Usd,
}

/// Whom keys are given to, from which day on.
#[derive(Default)]
pub(crate) struct TypedOwner {
    /// Nobody takes the keys back.
    pub(super) owner: String,
    pub(super) from: Option<Date>,
}

impl FormValue for TypedOwner {
    const FIELDS: &'static [Field<TypedOwner>] = &[
        Field {
            id: "owner",
            label: "Owner",
            kind: Kind::Select,
            write: |of| of.owner.clone(),
            read: |form, to| {
                to.owner = Some(form.text()).filter(|owner| *owner != NOBODY).unwrap_or_default().to_owned();
                Ok(())
            },
            ..Field::REQUIRED
        },
        Field {
            id: "from",
            label: "Counts from, a day of UTC",
            kind: Kind::Date,
            write: |of| of.from.map(|day| day.to_string()).unwrap_or_default(),
            read: |form, to| {
                let wrong = |_| "Type the first day that counts as a date such as 2026-10-01.".to_owned();
                to.from = if form.text().is_empty() { None } else { Some(form.text().parse().map_err(wrong)?) };
                Ok(())
            },
            ..Field::OPTIONAL
        },
        Field {
            id: "match",
            label: "Names of the keys",
            hint: "Such as course-*, in which * stands for any text.",
            ..Field::OPTIONAL
        },
    ];
}

#[derive(Template)]
#[template(path = "assign.html")]
struct AssignPreview<'a> {
    frame: PageFrame<'a>,
    why: Option<&'static str>,
    /// The owner; `None` when keys are taken back.
    to: Option<&'a Programme>,
    from: Option<Date>,
    wanted: &'a Wanted,
    selection: &'a KeySelection,
}

impl KeyOwners {
    /// The section, the foreign keys that have an owner, and those that have none.
    pub(crate) async fn of(
        site: &Site,
        programmes: &[Programme],
        foreign: Vec<ForeignKey>,
        refused: Option<Form<TypedOwner>>,
        now: Moment,
    ) -> Result<(KeyOwners, Vec<ForeignKey>, Vec<ForeignKey>), AppError> {
        let mut owners: HashMap<KeyHash, _> =
            site.table.key_owners().await?.into_iter().map(|owner| (owner.key.clone(), owner)).collect();
        let (mut owned, mut nobodys, mut words) = (Vec::new(), Vec::new(), HashMap::new());
        for key in foreign {
            match owners.remove(&key.key) {
                Some(owner) => {
                    let of = OwnedKey { owner, key };
                    words.insert(of.key.key.to_string(), OwnerWords::of(&of, programmes));
                    owned.push(of.key);
                }
                None => nobodys.push(key),
            }
        }
        let first = TypedOwner { owner: String::new(), from: Some(utc_date(now)) };
        let not_chosen = (String::new(), "Choose an owner".to_owned());
        let named = programmes.iter().map(|one| (one.id.to_string(), one.settings.name.clone()));
        let nobody = (NOBODY.to_owned(), "nobody: take them back".to_owned());
        let choices = std::iter::once(not_chosen).chain(named).chain([nobody]).collect();
        let form = refused.unwrap_or_else(|| Form::filled_with(&first)).apart("owner-", "").choosing("owner", choices);
        Ok((KeyOwners { prefixes: prefixes(&nobodys), words, form }, owned, nobodys))
    }
}

impl OwnerWords {
    fn of(owned: &OwnedKey, programmes: &[Programme]) -> OwnerWords {
        let owner = &owned.owner.owner;
        let named = programmes.iter().find(|programme| programme.id == *owner);
        OwnerWords {
            name: named.map_or_else(|| owner.to_string(), |programme| programme.settings.name.clone()),
            link: paths::programme(owner),
            from: long_date(owned.owner.from),
            counts: owned
                .counted()
                .counted
                .counted(named.map(|programme| programme.settings.basis.byok).unwrap_or_default()),
        }
    }
}

fn prefixes(nobodys: &[ForeignKey]) -> Vec<NamePrefix> {
    let mut sums: BTreeMap<&str, (usize, Usd)> = BTreeMap::new();
    for key in nobodys.iter().filter(|key| !name_prefix(&key.name).is_empty()) {
        let sum = sums.entry(name_prefix(&key.name)).or_default();
        *sum = (sum.0 + 1, sum.1 + key.used.credits.total());
    }
    let mut prefixes: Vec<NamePrefix> = sums
        .into_iter()
        .map(|(prefix, (keys, spent))| NamePrefix { pattern: format!("{prefix}*"), keys, spent })
        .collect();
    prefixes.sort_by_key(|prefix| std::cmp::Reverse((prefix.spent, prefix.keys)));
    prefixes.truncate(PREFIXES_SHOWN);
    prefixes
}

pub(super) fn preview(
    site: &Site,
    visitor: &Visitor,
    asked: &Asked,
    selection: &KeySelection,
    why: Option<&'static str>,
) -> Reply {
    let (to, from) = match &asked.purpose {
        Purpose::Give { owner, from, .. } => (Some(&**owner), Some(*from)),
        Purpose::TakeBack => (None, None),
    };
    site.page(&AssignPreview { frame: PageFrame::of(site, visitor), why, to, from, wanted: &asked.wanted, selection })
}
