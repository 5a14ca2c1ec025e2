//! The pages about owners of keys: the section of the account's page with the forms, and the
//! preview of what a choice would do.

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use bursar_core::domain::ledger::foreign::{ForeignKey, KeyOwner};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::key::name_prefix;
use bursar_core::domain::values::money::Usd;
use bursar_core::web::{Reply, Result, Site, Visitor};

use super::Asked;
use super::selection::{KeySelection, Purpose, Wanted};
use crate::kit::access::PageFrame;
use crate::kit::form::{Field, FieldKind, Form, FormValue};
use crate::kit::{paths, show};

/// The most keys on a preview; the rest are counted.
const CHOSEN_SHOWN: usize = 500;
const PREFIXES_SHOWN: usize = 20;

/// The choice that takes keys back; no programme has such an id.
const NOBODY: &str = "-";

/// The foreign keys by whether they have an owner, with the section about it.
pub(crate) struct KeysByOwner {
    pub(crate) section: OwnersInWords,
    pub(crate) owned: Vec<ForeignKey>,
    pub(crate) nobodys: Vec<ForeignKey>,
}

pub(crate) struct OwnersInWords {
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

/// Whom keys are given to. Nobody takes the keys back.
#[derive(Default)]
pub(crate) struct TypedOwner {
    pub(super) owner: String,
}

impl FormValue for TypedOwner {
    const FIELDS: &'static [Field<TypedOwner>] = &[
        Field {
            id: "owner",
            label: "Owner",
            kind: FieldKind::Choice(&[]),
            write: |typed| typed.owner.clone(),
            read: |form, typed| {
                typed.owner = Some(form.text())
                    .filter(|owner| *owner != NOBODY)
                    .unwrap_or_default()
                    .to_owned();
                Ok(())
            },
            ..Field::REQUIRED
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
    /// The owner, and what of its budget is free; `None` when keys are taken back.
    owner: Option<(&'a Programme, Usd)>,
    selector: &'a Wanted,
    selection: &'a KeySelection,
}

impl KeysByOwner {
    pub(crate) async fn read(
        site: &Site,
        programmes: &[Programme],
        foreign: Vec<ForeignKey>,
        refused: Option<Form<TypedOwner>>,
    ) -> Result<KeysByOwner> {
        let owners = site.table.owners_now().await?;
        let mut owned = Vec::new();
        let mut nobodys = Vec::new();
        let mut words = HashMap::new();
        for key in foreign {
            match owners.get(&key.key) {
                Some(owner) => {
                    words.insert(
                        key.key.to_string(),
                        OwnerWords::new(owner, &key, programmes),
                    );
                    owned.push(key);
                }
                None => nobodys.push(key),
            }
        }
        let not_chosen = (String::new(), "Choose an owner".to_owned());
        let named = programmes
            .iter()
            .map(|programme| (programme.id.to_string(), programme.settings.name.clone()));
        let nobody = (NOBODY.to_owned(), "no owner: take them back".to_owned());
        let choices = std::iter::once(not_chosen)
            .chain(named)
            .chain([nobody])
            .collect();
        let form = refused
            .unwrap_or_else(Form::blank)
            .apart("owner-", "")
            .with_choices("owner", choices);
        let section = OwnersInWords {
            prefixes: prefixes(&nobodys),
            words,
            form,
        };
        Ok(KeysByOwner {
            section,
            owned,
            nobodys,
        })
    }
}

impl OwnerWords {
    fn new(owner: &KeyOwner, key: &ForeignKey, programmes: &[Programme]) -> OwnerWords {
        let named = programmes
            .iter()
            .find(|programme| programme.id == owner.owner);
        let byok = named
            .map(|programme| programme.settings.basis.byok)
            .unwrap_or_default();
        OwnerWords {
            name: named.map_or_else(
                || owner.owner.to_string(),
                |programme| programme.settings.name.clone(),
            ),
            link: paths::programme(&owner.owner),
            from: show::day(owner.began.at),
            counts: owner.counted(&key.used).counted(byok),
        }
    }
}

fn prefixes(nobodys: &[ForeignKey]) -> Vec<NamePrefix> {
    let mut sums: BTreeMap<&str, (usize, Usd)> = BTreeMap::new();
    for key in nobodys
        .iter()
        .filter(|key| !name_prefix(&key.name).is_empty())
    {
        let sum = sums.entry(name_prefix(&key.name)).or_default();
        *sum = (sum.0 + 1, sum.1 + key.used.credits.total());
    }
    let mut prefixes: Vec<NamePrefix> = sums
        .into_iter()
        .map(|(prefix, (keys, spent))| NamePrefix {
            pattern: format!("{prefix}*"),
            keys,
            spent,
        })
        .collect();
    prefixes.sort_by_key(|prefix| std::cmp::Reverse((prefix.spent, prefix.keys)));
    prefixes.truncate(PREFIXES_SHOWN);
    prefixes
}

pub(super) fn preview(
    site: &Site,
    visitor: &Visitor,
    choice: &Asked,
    selection: &KeySelection,
    why: Option<&'static str>,
) -> Reply {
    let owner = match &choice.purpose {
        Purpose::Give { owner, free } => Some((&**owner, *free)),
        Purpose::TakeBack => None,
    };
    site.page(&AssignPreview {
        frame: PageFrame::new(site, visitor),
        why,
        owner,
        selector: &choice.selector,
        selection,
    })
}
