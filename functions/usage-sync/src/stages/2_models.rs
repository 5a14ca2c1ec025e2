//! Stage 2, models: use by model on completed days. The provider gets one query by key and model. Where its
//! answer is truncated, the account's activity is read too, one call a day. `domain::usage::models` decides
//! whose use it was.

use std::collections::BTreeSet;

use anyhow::Result;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::usage::models::{ActivityRow, Attribution, ModelRow, Owners, Sums, attribute};
use bursar_core::domain::values::id::{GrantId, KeyName, ProgrammeId};
use bursar_core::domain::values::window::utc_date;
use bursar_core::provider::ProviderError;
use bursar_core::provider::analytics::UnreadableRows;
use bursar_core::store::{ModelDay, ModelRows, UnattributedDay};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::journal::Journal;
use crate::runner::{Runner, StageEnd, ensure_written};
use crate::scan::rows::Rows;

/// The most days that are queried: use on older missed days stays unknown by model.
const MOST_DAYS: i64 = 7;

/// The use by model until it is attributed. Its rows are kept with those of the listing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct ModelUse {
    activity: Vec<ActivityRow>,
    /// Whether nothing of the queried days is missing.
    is_whole: bool,
    /// The first and the last day that were queried.
    asked: Option<(Date, Date)>,
    /// The grants that rows name, in order, with programme and group once the scan has found them.
    named: Vec<(GrantBytes, Option<GrantLocation>)>,
}

/// The provider's answer for some days.
struct ModelAnswer {
    rows: Vec<ModelRow>,
    /// The account's activity on days whose rows are not complete.
    activity: Vec<ActivityRow>,
    is_whole: bool,
}

/// The bytes of a grant's id: there may be as many ids as grants.
type GrantBytes = [u8; 8];

/// The number of a grant's programme, and its group.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct GrantLocation {
    programme: u16,
    group: Option<String>,
}

impl ModelUse {
    /// Queries the completed days since the last time, and the last of those once more: use may settle late.
    pub(crate) async fn run(
        &mut self,
        runner: &Runner<'_>,
        rows: &mut Rows,
        journal: &mut Journal,
    ) -> Result<StageEnd> {
        let known = runner.table.sync_state().await?.models_until;
        let Ok(yesterday) = utc_date(runner.baseline.began_at).yesterday() else { return Ok(StageEnd::Done) };
        if known == Some(yesterday) {
            return Ok(StageEnd::Done);
        }
        let earliest = yesterday.checked_sub((MOST_DAYS - 1).days())?;
        let from = known.map_or(earliest, |known| known.max(earliest));
        match ask(runner, from, yesterday, journal).await {
            Ok(answer) => {
                let names = answer.rows.iter().filter_map(|row| row.key_name.parse::<KeyName>().ok());
                let ours = names.filter(|name| name.deployment == runner.deployment);
                let named: BTreeSet<GrantBytes> = ours.map(|name| name.grant.to_bytes()).collect();
                let named = named.into_iter().map(|grant| (grant, None)).collect();
                answer.rows.iter().try_for_each(|row| rows.add_model(row))?;
                let ModelAnswer { activity, is_whole, .. } = answer;
                *self = ModelUse { activity, is_whole, asked: Some((from, yesterday)), named };
            }
            // The rest of the run does not need it, and the next run asks again.
            Err(error) => journal.problem(format!("what was used by model could not be read: {error}")),
        }
        Ok(StageEnd::Done)
    }

    /// Records where a grant is, if rows name it.
    pub(crate) fn locate(&mut self, programme: u16, grant: &Grant) {
        if let Ok(index) = self.index_of(&grant.id) {
            self.named[index].1 = Some(GrantLocation { programme, group: grant.group.clone() });
        }
    }

    /// The first and the last day that were queried, if any were.
    pub(crate) fn asked(&self) -> Option<(Date, Date)> {
        self.asked
    }

    /// Writes the attributed use, day by day. A recorded day gives way only to an answer that is complete and
    /// no smaller.
    pub(crate) async fn write(&self, runner: &Runner<'_>, rows: &Rows, journal: &mut Journal) -> Result<()> {
        let Some((from, until)) = self.asked else { return Ok(()) };
        let rows = rows.models()?;
        let (programmes, as_of) = (&runner.baseline.programmes, runner.baseline.began_at);
        let mut attribution = self.attributed(runner, &rows);
        for day in from.series(1.day()).take_while(|day| *day <= until) {
            let of_day = |programme: &ProgrammeId| attribution.programmes.get(&(day, programme.clone()));
            let of_programmes = Sums::of_all(programmes.iter().filter_map(of_day).flatten());
            let by = attribution.unattributed.remove(&day).unwrap_or_default();
            let unattributed = UnattributedDay { day, as_of, by, of_programmes };
            let fenced = runner.fenced();
            if let Some(known) = runner.table.get(UnattributedDay::key_of(day)).await? {
                let is_less = !of_programmes.is_no_less_than(known.of_programmes)
                    || !unattributed.in_all().is_no_less_than(known.in_all());
                if is_less || !self.is_whole {
                    journal.problem(format!(
                        "the provider told less of what was used by model on {day} than before, and that stays"
                    ));
                    continue;
                }
            }
            for programme in programmes.iter().cloned() {
                let by = attribution.programmes.remove(&(day, programme.clone())).unwrap_or_default();
                let day = ModelDay { programme, day, as_of, by };
                ensure_written(fenced.note_model_day(&day).await?)?;
            }
            let uses = attribution.grants.remove(&day).unwrap_or_default();
            let until = kept_until(runner, day)?;
            ensure_written(fenced.note_model_rows(&ModelRows::of(day, &uses, as_of, until)).await?)?;
            // This item marks the day as known, so it comes last.
            ensure_written(fenced.note_unattributed_day(&unattributed).await?)?;
        }
        Ok(())
    }

    fn attributed(&self, runner: &Runner<'_>, rows: &[ModelRow]) -> Attribution {
        let group_of = |programme: &ProgrammeId, grant: &GrantId| {
            let location = self.location_of(grant)?;
            let of = runner.programme(location.programme).ok()?;
            (of.id == *programme).then(|| location.group.clone())
        };
        let owners = Owners { deployment: &runner.deployment, group_of: &group_of };
        attribute(rows, &self.activity, &owners)
    }

    fn location_of(&self, grant: &GrantId) -> Option<&GrantLocation> {
        self.named[self.index_of(grant).ok()?].1.as_ref()
    }

    fn index_of(&self, grant: &GrantId) -> Result<usize, usize> {
        self.named.binary_search_by_key(&grant.to_bytes(), |(named, _)| *named)
    }
}

async fn ask(
    runner: &Runner<'_>,
    from: Date,
    until: Date,
    journal: &mut Journal,
) -> Result<ModelAnswer, ProviderError> {
    let answer = runner.provider.model_usage(from..=until, runner.until()).await?;
    say_what_is_unreadable(journal, &answer.unreadable);
    for warning in &answer.warnings {
        journal.problem(format!("of what was used by model the provider warns: {warning}"));
    }
    let are_all = !answer.truncated && answer.unreadable.count == 0;
    let mut all = ModelAnswer { rows: answer.rows, activity: Vec::new(), is_whole: true };
    if !are_all {
        // With the account's use by model nothing of a day is missing, though some of it may be unattributed.
        for day in from.series(1.day()).take_while(|day| *day <= until) {
            let of_day = runner.provider.activity(day, runner.until()).await?;
            say_what_is_unreadable(journal, &of_day.unreadable);
            all.is_whole &= of_day.unreadable.count == 0;
            all.activity.extend(of_day.rows);
        }
    }
    Ok(all)
}

/// When the use of grants on a day expires.
fn kept_until(runner: &Runner<'_>, day: Date) -> Result<Timestamp> {
    let last = day.checked_add(i64::from(runner.retention_days).days())?;
    Ok(last.to_zoned(TimeZone::UTC)?.timestamp())
}

fn say_what_is_unreadable(journal: &mut Journal, unreadable: &UnreadableRows) {
    if unreadable.count > 0 {
        let why = unreadable.why.as_deref().unwrap_or_default();
        journal.problem(format!("{} rows of what was used by model could not be read: {why}", unreadable.count));
    }
}
