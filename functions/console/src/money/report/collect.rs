//! What a report is made of, read from the table: the readings of every key of its programmes, and
//! the use by model that divides them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bursar_core::domain::usage::report::{Grouping, SpendingReport, UseSource};
use bursar_core::domain::values::id::{GrantBytes, GrantId, ProgrammeId};
use bursar_core::store::{ModelDay, SyncState};
use bursar_core::web::{Result, Site};
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use jiff::ToSpan;
use jiff::civil::Date;

use super::query::ReportScope;

/// How many days of every grant's use by model are held at once.
const DAYS_AT_ONCE: usize = 2;
/// How many programmes' use by model is read at once.
const PROGRAMMES_AT_ONCE: usize = 8;

type Numbers<'a> = BTreeMap<&'a ProgrammeId, u16>;
/// The groups of grants; empty unless a report is by group.
type Groups = HashMap<GrantBytes, String>;

/// The report, or the sentence that refuses it.
pub(super) async fn collect(
    site: &Site,
    scope: &ReportScope,
) -> Result<Result<SpendingReport, String>> {
    let range = match scope.query.range(scope.usual) {
        Ok(range) => range,
        Err(why) => return Ok(Err(why)),
    };
    let grouping = match scope.query.grouping() {
        Ok(grouping) => grouping,
        Err(why) => return Ok(Err(why)),
    };
    let ids: Vec<ProgrammeId> = scope
        .programmes
        .iter()
        .map(|(programme, _)| programme.id.clone())
        .collect();
    let numbers: Numbers<'_> = ids.iter().zip(0..).collect();
    let known_days = list_days_by_model(&site.table.sync_state().await?, range);
    let student = scope.query.student.as_ref().map(GrantId::to_bytes);
    let mut report = SpendingReport::new(grouping, student, range, known_days);
    let mut groups = Groups::new();
    let mut shards = std::pin::pin!(site.table.shards_of_programmes(&ids));
    while let Some((programme, grants)) = shards.try_next().await? {
        for (grant, readings) in grants {
            let source = UseSource::of_grant(programme, grant.group.as_deref(), &grant.id);
            readings
                .iter()
                .for_each(|reading| report.add(source, &reading.used));
            if grouping == Grouping::Group {
                groups.extend(grant.group.map(|group| (grant.id.to_bytes(), group)));
            }
        }
    }
    let owned = site.table.list_owned_keys().await?;
    for owned in &owned {
        if let Some(programme) = numbers.get(&owned.owner.owner) {
            report.add(
                UseSource::new_for_foreign_keys(*programme),
                &owned.owner.counted(&owned.key.used),
            );
        }
    }
    if let Some(range) = report
        .known_days
        .first()
        .copied()
        .zip(report.known_days.last().copied())
    {
        // Money is put with the group that a person is in today, and so are models then.
        let is_by_grant = grouping == Grouping::Group || report.names_people();
        let used_on = divide_by_programme(&mut report, site, &ids, range, is_by_grant).await?;
        if is_by_grant {
            divide_by_grant(&mut report, site, &numbers, &groups, &used_on).await?;
        }
        let foreign = if owned.is_empty() {
            Vec::new()
        } else {
            site.table.foreign_models(range).await?.owned
        };
        for (owner, day, used) in foreign {
            if let Some(programme) = numbers.get(&owner) {
                report.divide(
                    UseSource::new_for_foreign_keys(*programme),
                    day,
                    &used.model,
                    used.used,
                );
            }
        }
    }
    Ok(Ok(report))
}

/// The days of a range whose use by model is known.
fn list_days_by_model(sync: &SyncState, (first_day, last_day): (Date, Date)) -> BTreeSet<Date> {
    let Some((since, until)) = sync.models_since.zip(sync.models_until) else {
        return BTreeSet::new();
    };
    let days = first_day
        .max(since)
        .series(1.day())
        .take_while(|day| *day <= last_day.min(until));
    days.filter(|day| sync.knows_models_of(*day)).collect()
}

/// Divides by the sums of programmes, which are kept for ever, unless that is done by grants.
/// Returns the days on which a programme used any model.
async fn divide_by_programme(
    report: &mut SpendingReport,
    site: &Site,
    ids: &[ProgrammeId],
    range: (Date, Date),
    is_by_grant: bool,
) -> Result<BTreeSet<Date>> {
    let mut used_on = BTreeSet::new();
    let queries: Vec<_> = ids
        .iter()
        .map(|id| site.table.list(ModelDay::between(Some(id), range)))
        .collect();
    let mut read = iter(queries).buffered(PROGRAMMES_AT_ONCE).zip(iter(0..));
    while let Some((days, programme)) = read.next().await {
        for ModelDay { day, uses, .. } in days? {
            used_on.insert(day);
            for used in uses.iter().filter(|_| !is_by_grant) {
                let source = UseSource {
                    programme,
                    group: None,
                    grant: None,
                };
                report.divide(source, day, &used.model, used.used);
            }
        }
    }
    Ok(used_on)
}

/// Divides by the rows of each grant, which expire with the retention: days that are not kept any
/// more are not known.
async fn divide_by_grant(
    report: &mut SpendingReport,
    site: &Site,
    numbers: &Numbers<'_>,
    groups: &Groups,
    used_on: &BTreeSet<Date>,
) -> Result<()> {
    let now = site.clock.now();
    let days = report.known_days.iter().copied();
    let queries: Vec<_> = days
        .map(|day| async move { (day, site.table.model_rows(day, now).await) })
        .collect();
    let mut read = iter(queries).buffered(DAYS_AT_ONCE);
    while let Some((day, rows)) = read.next().await {
        let rows = rows?;
        if rows.is_empty() && used_on.contains(&day) {
            report.known_days.remove(&day);
        }
        for (id, models) in rows {
            let Some(programme) = numbers.get(&id).copied() else {
                continue;
            };
            for (model, grants) in models {
                for (grant, used) in grants {
                    let group = groups.get(&grant).map(String::as_str);
                    report.divide(
                        UseSource {
                            programme,
                            group,
                            grant: Some(grant),
                        },
                        day,
                        &model,
                        used,
                    );
                }
            }
        }
    }
    Ok(())
}
