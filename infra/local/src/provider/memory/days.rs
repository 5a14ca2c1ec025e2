//! The usage of every key by model and UTC day, for the last 400 days, from which analytics and activity
//! are computed. It is stored as one document for each key and month. Totals and windows are left to
//! `key.rs`.

use std::collections::{BTreeSet, HashMap};
use std::ops::AddAssign;
use std::sync::Arc;

use anyhow::Result;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::base::state_file::StateFile;
use crate::provider::values::money::Nano;
use crate::provider::values::windows::utc_day;

const DAYS: &str = "provider-days";
/// The days after which usage is forgotten; the provider answers for a year at most.
const REMEMBERED_DAYS: i64 = 400;

/// The usage of one model on one day, by one way of paying.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DayUse {
    pub(crate) credit: Nano,
    pub(crate) byok: Nano,
    pub(crate) requests: u64,
}

/// The history of every key by its place, each in the order of days and models.
#[derive(Default)]
pub(crate) struct Days(HashMap<usize, Vec<Row>>);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) day: Date,
    pub(crate) model: Arc<str>,
    /// Whether it was BYOK.
    pub(crate) byok: bool,
    pub(crate) used: DayUse,
}

impl DayUse {
    /// The usage of one request.
    pub(crate) fn request(credit: Nano, byok: Nano) -> DayUse {
        DayUse { credit, byok, requests: 1 }
    }

    /// Amounts to be subtracted again.
    pub(crate) fn correction(credit: Nano, byok: Nano) -> DayUse {
        DayUse { credit: Nano::ZERO - credit, byok: Nano::ZERO - byok, ..DayUse::default() }
    }
}

impl AddAssign for DayUse {
    fn add_assign(&mut self, other: DayUse) {
        self.credit += other.credit;
        self.byok += other.byok;
        self.requests += other.requests;
    }
}

impl Days {
    /// The stored usage of the keys with these hashes.
    pub(crate) fn open(kept: &StateFile, places: &HashMap<String, usize>) -> Result<Days> {
        let mut days = Days::default();
        // Documents come by hash and month, so every history is in order.
        for (id, rows) in kept.all::<Vec<Row>>(DAYS)? {
            let hash = id.split('/').next().unwrap_or_default();
            if let Some(place) = places.get(hash) {
                days.0.entry(*place).or_default().extend(rows);
            }
        }
        Ok(days)
    }

    /// The usage of each key from one day up to, but without, another.
    pub(crate) fn between(&self, from: Date, until: Date) -> impl Iterator<Item = (usize, &Row)> {
        self.0.iter().flat_map(move |(place, rows)| {
            let first = rows.partition_point(|row| row.day < from);
            rows[first..].iter().take_while(move |row| row.day < until).map(|row| (*place, row))
        })
    }

    /// Adds requests to the history of a key.
    pub(crate) fn add<'a>(
        &mut self,
        kept: &StateFile,
        (place, hash): (usize, &str),
        requests: impl IntoIterator<Item = (Timestamp, &'a str, DayUse)>,
    ) -> Result<()> {
        let rows = self.0.entry(place).or_default();
        let mut touched = BTreeSet::new();
        for (at, model, used) in requests {
            let (day, byok) = (utc_day(at), used.byok != Nano::ZERO);
            touched.insert(day.first_of_month());
            match rows.binary_search_by(|row| (row.day, &*row.model, row.byok).cmp(&(day, model, byok))) {
                Ok(index) => rows[index].used += used,
                Err(index) => rows.insert(index, Row { day, model: Arc::from(model), byok, used }),
            }
        }
        let oldest = rows.last().map_or(Date::MIN, |row| row.day.saturating_sub(REMEMBERED_DAYS.days()));
        let forgotten = rows.partition_point(|row| row.day < oldest);
        touched.extend(rows.drain(..forgotten).map(|row| row.day.first_of_month()));
        for month in touched {
            let of_month: Vec<&Row> = rows.iter().filter(|row| row.day.first_of_month() == month).collect();
            let id = format!("{hash}/{}", month.strftime("%Y-%m"));
            match of_month.is_empty() {
                true => kept.remove(DAYS, &id)?,
                false => kept.put(DAYS, &id, &of_month)?,
            }
        }
        Ok(())
    }
}
