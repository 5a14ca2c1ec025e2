//! The use of each grant by model on a day, packed so that a night's rows fit into few items. A grant's id
//! stands for its person.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Sums;
use crate::domain::values::id::{GrantId, ProgrammeId};
use crate::domain::values::money::Usd;

/// A grant's use of one model on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantUse {
    pub programme: ProgrammeId,
    pub grant: GrantId,
    /// The model's name; empty where the provider does not give one.
    pub model: String,
    pub used: Sums,
}

/// The rows of a day, of which no name is copied: there may be very many.
#[derive(Default)]
pub struct GrantRows(PackedForm);

/// A grant's use of one model on a day, as it lies in the packed form.
#[derive(Debug, Clone, Copy)]
pub struct GrantRow<'a> {
    pub programme: &'a str,
    /// The bytes of the grant's id.
    pub grant: [u8; 8],
    /// The model's name; empty where the provider does not give one.
    pub model: &'a str,
    pub used: Sums,
}

/// The error for bytes that are no rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no rows of model use")]
pub struct NotRows;

/// A packed row: programme and model by the number of their names, with spent, byok and requests.
type PackedRow = (u32, [u8; 8], u32, i64, i64, u64);

/// The packed form: each name once, and rows that refer to names by number.
#[derive(Default, Serialize, Deserialize)]
struct PackedForm {
    programmes: Vec<String>,
    models: Vec<String>,
    rows: Vec<PackedRow>,
}

pub fn pack(uses: &[GrantUse]) -> Vec<u8> {
    let (mut programmes, mut models) = (NameIndex::default(), NameIndex::default());
    let rows = uses.iter().map(|of| {
        let Sums { spent, byok, requests } = of.used;
        let (programme, model) = (programmes.number(of.programme.as_str()), models.number(&of.model));
        (programme, of.grant.to_bytes(), model, spent.micros(), byok.micros(), requests)
    });
    let rows = rows.collect();
    let plain = PackedForm { programmes: programmes.names(), models: models.names(), rows };
    // Numbers and texts can always be written.
    postcard::to_allocvec(&plain).unwrap_or_default()
}

impl GrantRows {
    pub fn unpack(bytes: &[u8]) -> Result<GrantRows, NotRows> {
        let plain: PackedForm = postcard::from_bytes(bytes).map_err(|_| NotRows)?;
        let is_named = |names: &[String], number: u32| usize::try_from(number).is_ok_and(|number| number < names.len());
        let are_named = |(programme, _, model, ..): &PackedRow| {
            is_named(&plain.programmes, *programme) && is_named(&plain.models, *model)
        };
        if plain.rows.iter().all(are_named) { Ok(GrantRows(plain)) } else { Err(NotRows) }
    }

    pub fn is_empty(&self) -> bool {
        self.0.rows.is_empty()
    }

    /// The rows, with the names as they lie in the packed form.
    pub fn each(&self) -> impl Iterator<Item = GrantRow<'_>> {
        // Every number was looked at when the rows were unpacked.
        fn name(names: &[String], number: u32) -> &str {
            usize::try_from(number).ok().and_then(|number| names.get(number)).map_or("", String::as_str)
        }
        self.0.rows.iter().map(|(programme, grant, model, spent, byok, requests)| GrantRow {
            programme: name(&self.0.programmes, *programme),
            grant: *grant,
            model: name(&self.0.models, *model),
            used: Sums { spent: Usd::from_micros(*spent), byok: Usd::from_micros(*byok), requests: *requests },
        })
    }
}

/// The names in the order of their first use, each with its number.
#[derive(Default)]
struct NameIndex(BTreeMap<String, u32>);

impl NameIndex {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.0.get(name) {
            return *number;
        }
        let number = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.insert(name.to_owned(), number);
        number
    }

    fn names(self) -> Vec<String> {
        let mut names: Vec<(String, u32)> = self.0.into_iter().collect();
        names.sort_unstable_by_key(|(_, number)| *number);
        names.into_iter().map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_and_ten_thousand_of_them_fit_into_an_item() {
        let of = |number: i64| GrantUse {
            programme: ["cs-pilot", "seminar"][usize::try_from(number % 2).unwrap()].parse().unwrap(),
            grant: format!("{:016x}", number * 7_919).parse().unwrap(),
            model: format!("provider/model-{}", number % 40),
            used: Sums { spent: Usd::from_micros(number * 1_003), byok: Usd::from_micros(number), requests: 17 },
        };
        let uses: Vec<GrantUse> = (0..10_000).map(of).collect();
        let packed = pack(&uses);
        let rows = GrantRows::unpack(&packed).unwrap();
        let back = rows.each().map(|row| GrantUse {
            programme: row.programme.parse().unwrap(),
            grant: GrantId::of_bytes(row.grant),
            model: row.model.to_owned(),
            used: row.used,
        });
        assert_eq!(back.collect::<Vec<_>>(), uses);
        assert!(packed.len() < 380_000, "{}", packed.len());
        assert!(GrantRows::unpack(&pack(&[])).unwrap().is_empty());
        for broken in [&b"x"[..], &packed[..packed.len() - 1]] {
            assert_eq!(GrantRows::unpack(broken).err(), Some(NotRows));
        }
        let nameless = PackedForm { programmes: Vec::new(), models: Vec::new(), rows: vec![(0, [0; 8], 0, 1, 0, 1)] };
        assert_eq!(GrantRows::unpack(&postcard::to_allocvec(&nameless).unwrap()).err(), Some(NotRows));
    }
}
