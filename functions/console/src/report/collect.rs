//! What a report is made of, read from the table: the readings of every key of its programmes, and the use by
//! model that divides them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bursar_core::domain::grant::Grant;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::usage::models::Sums;
use bursar_core::domain::usage::models::rows::GrantRows;
use bursar_core::domain::usage::report::{GrantBytes, SpendingReport, UseSource};
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::store::SyncState;
use bursar_core::web::{AppError, Site};
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::query::AskedReport;

/// How many days of every grant's use by model are held at once.
const DAYS_AT_ONCE: usize = 2;
/// How many programmes' use by model is read at once.
const PROGRAMMES_AT_ONCE: usize = 8;

/// The most lines of a report: a million take some 200 MB, of the 512 that the function has.
const MOST_LINES: usize = 1_000_000;

/// A report with what is known of its days.
pub(crate) struct CollectedReport {
    pub(crate) report: SpendingReport,
    pub(crate) sync: SyncState,
    /// The days whose rows of each grant are not kept any more.
    expired: BTreeSet<Date>,
}

/// The group of each grant; empty unless a report is by person and group.
type Groups = HashMap<GrantBytes, Option<String>>;

impl CollectedReport {
    /// The report; `None` if it has more lines than fit into the function's memory.
    pub(crate) async fn of(
        site: &Site,
        programmes: &[&Programme],
        asked: AskedReport,
    ) -> Result<Option<CollectedReport>, AppError> {
        let ids: Vec<ProgrammeId> = programmes.iter().map(|programme| programme.id.clone()).collect();
        let sync = site.table.sync_state().await?;
        let mut report = SpendingReport::new(asked.by, asked.range);
        let mut groups = Groups::new();
        let mut shards = std::pin::pin!(site.table.shards_of_programmes(&ids));
        while let Some((programme, grants)) = shards.try_next().await? {
            for (grant, readings) in grants {
                let source = UseSource::of_grant(number(programme), grant.group.as_deref(), &grant.id);
                readings.iter().for_each(|reading| report.add(source, &reading.used));
                if asked.by.person && asked.by.group {
                    note_group(&mut groups, grant);
                }
            }
            if report.size() > MOST_LINES {
                return Ok(None);
            }
        }
        let owned = site.table.owned_keys().await?;
        for (programme, id) in ids.iter().enumerate() {
            let source = UseSource { programme: number(programme), group: None, grant: None };
            let of_it = owned.iter().filter(|owned| owned.owner.owner == *id);
            of_it.for_each(|owned| report.add(source, &owned.counted().counted));
        }
        let mut collected = CollectedReport { report, sync, expired: BTreeSet::new() };
        match asked.by.person {
            true => collected.divide_by_person(site, &ids, &groups).await?,
            false => collected.divide_by_group(site, &ids).await?,
        }
        if !owned.is_empty() {
            collected.divide_foreign(site, &ids).await?;
        }
        Ok(Some(collected).filter(|collected| collected.report.size() <= MOST_LINES))
    }

    /// Whether use by model and the number of requests are known of a day.
    pub(crate) fn knows_models(&self, day: Date) -> bool {
        self.sync.knows_models_of(day) && !self.expired.contains(&day)
    }

    /// Divides by the sums of programmes and groups, which are kept for ever. A group is that of the night.
    async fn divide_by_group(&mut self, site: &Site, ids: &[ProgrammeId]) -> Result<(), AppError> {
        let Some(range) = self.range_of_models() else { return Ok(()) };
        let each: Vec<_> = ids.iter().map(|id| site.table.model_days(id, range)).collect();
        let mut read = iter(each).buffered(PROGRAMMES_AT_ONCE).enumerate();
        while let Some((programme, days)) = read.next().await {
            let days = days?;
            for (day, used) in days.iter().flat_map(|of| of.by.iter().map(|used| (of.day, used))) {
                let source = UseSource { programme: number(programme), group: used.group.as_deref(), grant: None };
                self.report.divide(source, day, &used.model, Sums::from(used));
            }
        }
        Ok(())
    }

    /// Divides the use of foreign keys by the names under which it is recorded.
    async fn divide_foreign(&mut self, site: &Site, ids: &[ProgrammeId]) -> Result<(), AppError> {
        let Some(range) = self.range_of_models() else { return Ok(()) };
        let models = site.table.assigned_models(range).await?;
        for (programme, id) in ids.iter().enumerate() {
            let source = UseSource { programme: number(programme), group: None, grant: None };
            for (day, used) in models.of_programme(id) {
                self.report.divide(source, day, &used.model, Sums::from(used));
            }
        }
        Ok(())
    }

    /// Divides by the rows of each grant, which expire with the retention.
    async fn divide_by_person(&mut self, site: &Site, ids: &[ProgrammeId], groups: &Groups) -> Result<(), AppError> {
        let Some((from, to)) = self.range_of_models() else { return Ok(()) };
        let now = site.clock.now();
        let numbers: BTreeMap<&str, u16> = ids.iter().enumerate().map(|(at, id)| (id.as_str(), number(at))).collect();
        let days = from.series(1.day()).take_while(|day| *day <= to);
        let each: Vec<_> = days.map(|day| rows_of(site, day, now)).collect();
        let mut read = iter(each).buffered(DAYS_AT_ONCE);
        while let Some((day, rows, is_expired)) = read.try_next().await? {
            if is_expired {
                self.expired.insert(day);
            }
            if self.report.size() > MOST_LINES {
                return Ok(());
            }
            for row in rows.each() {
                let Some(programme) = numbers.get(row.programme).copied() else { continue };
                let group = groups.get(&row.grant).and_then(|group| group.as_deref());
                let source = UseSource { programme, group, grant: Some(row.grant) };
                self.report.divide(source, day, row.model, row.used);
            }
        }
        Ok(())
    }

    /// The days of the report on which use by model may be known.
    fn range_of_models(&self) -> Option<(Date, Date)> {
        let (from, to) = self.report.range();
        let (since, until) = self.sync.models_since.zip(self.sync.models_until)?;
        Some((from.max(since), to.min(until))).filter(|(from, to)| from <= to)
    }
}

/// The rows of a day, and whether there were some that are not kept any more.
async fn rows_of(site: &Site, day: Date, now: Timestamp) -> Result<(Date, GrantRows, bool), AppError> {
    let rows = site.table.model_rows(day, now).await?;
    let is_expired = rows.is_empty()
        && site.table.unattributed_day(day).await?.is_some_and(|of| of.of_programmes != Sums::default());
    Ok((day, rows, is_expired))
}

fn note_group(groups: &mut Groups, grant: Grant) {
    if grant.group.is_some() {
        groups.insert(grant.id.to_bytes(), grant.group);
    }
}

fn number(programme: usize) -> u16 {
    u16::try_from(programme).unwrap_or(u16::MAX)
}
