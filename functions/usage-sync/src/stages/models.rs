//! Stage 2, models: use by model on completed days, in one query by key and model. [`models`](bursar_core::domain::usage::models) decides
//! whose use it was. What the answer leaves out is the difference to the readings, which whoever reads it computes.

use bursar_core::domain::usage::models::{Attribution, Sums, UseByDay, attribute};
use bursar_core::store::{ModelDay, ModelRows};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::prelude::*;

/// The most days that are queried: use on older missed days stays unknown by model.
const MOST_DAYS: i64 = 7;

/// The use by model until it is attributed. Its rows are kept with those of the listing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Models {
    /// The first and the last day that were queried.
    asked: Option<(Date, Date)>,
    /// The grants that rows name, with the number of the programme and the group once the scan has found them.
    named: BTreeMap<GrantId, Option<(u16, Option<String>)>>,
}

impl Models {
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
        let answer = match runner.provider.model_usage(from..=yesterday, runner.until()).await {
            Ok(answer) => answer,
            // The rest of the run does not need it, and the next run asks again.
            Err(error) => {
                journal.problem(format!("what was used by model could not be read: {error}"));
                return Ok(StageEnd::Done);
            }
        };
        for warning in &answer.warnings {
            journal.problem(format!("of what was used by model the provider warns: {warning}"));
        }
        if answer.truncated {
            journal.problem("the provider left the smallest rows of what was used by model out".to_owned());
        }
        if let Some(why) = answer.why_unreadable {
            journal.problem(format!("{} rows of what was used by model could not be read: {why}", answer.unreadable));
        }
        for row in &answer.rows {
            rows.add_model(row)?;
            let name = row.key_name.parse::<KeyName>().ok().filter(|name| name.deployment == runner.deployment);
            self.named.extend(name.map(|name| (name.grant, None)));
        }
        self.asked = Some((from, yesterday));
        Ok(StageEnd::Done)
    }

    /// Records where a grant is, if rows name it.
    pub(crate) fn locate(&mut self, programme: u16, grant: &Grant) {
        if let Some(place) = self.named.get_mut(&grant.id) {
            *place = Some((programme, grant.group.clone()));
        }
    }

    /// The first and the last day that were queried, if any were.
    pub(crate) fn asked(&self) -> Option<(Date, Date)> {
        self.asked
    }

    /// Writes the attributed use, day by day. A recorded day gives way only to an answer that is no smaller.
    pub(crate) async fn write(&self, runner: &Runner<'_>, rows: &Rows, journal: &mut Journal) -> Result<()> {
        let Some((from, until)) = self.asked else { return Ok(()) };
        let fenced = runner.fenced();
        let as_of = runner.baseline.began_at;
        // What is no programme's comes first: where a grant could not be read, its use was among that, and a run that dies in
        // between must not leave it recorded twice.
        let owners: Vec<Option<ProgrammeId>> =
            [None].into_iter().chain(runner.baseline.programmes.iter().cloned().map(Some)).collect();
        let mut known = UseByDay::new();
        for owner in &owners {
            let days = runner.table.list(ModelDay::between(owner.as_ref(), (from, until))).await?;
            known.extend(days.into_iter().map(|day| ((day.day, day.programme), day.by)));
        }
        let Attribution { mut days, mut grants } = self.attributed(runner, rows)?;
        for day in from.series(1.day()).take_while(|day| *day <= until) {
            let (told, before) = (sums(&days, day), sums(&known, day));
            if told.iter().zip(before).any(|(told, before)| !told.is_no_less_than(before)) {
                journal.problem(format!(
                    "the provider told less of what was used by model on {day} than before, and that stays"
                ));
                continue;
            }
            for programme in owners.iter().cloned() {
                let of = (day, programme);
                let (by, before) = (days.remove(&of).unwrap_or_default(), known.remove(&of).unwrap_or_default());
                if by != before {
                    ensure_written(fenced.put_later(&ModelDay { programme: of.1, day, as_of, by }, as_of).await?)?;
                }
            }
            let of_grants = grants.remove(&day).unwrap_or_default();
            let parts = ModelRows::of(day, &of_grants, as_of, kept_until(runner, day)?);
            ensure_written(fenced.note_model_rows(&parts).await?)?;
        }
        Ok(())
    }

    fn attributed(&self, runner: &Runner<'_>, rows: &Rows) -> Result<Attribution> {
        let group_of = |programme: &ProgrammeId, grant: &GrantId| {
            let (number, group) = self.named.get(grant)?.as_ref()?;
            (runner.programme(*number).ok()?.id == *programme).then(|| group.clone())
        };
        Ok(attribute(&rows.models()?, &runner.deployment, group_of))
    }
}

/// The sum of a day's use by all programmes, and of all use.
fn sums(days: &UseByDay, day: Date) -> [Sums; 2] {
    let mut sums = [Sums::default(); 2];
    for ((_, programme), by) in days.iter().filter(|((on, _), _)| *on == day) {
        let used: Sums = by.iter().map(|used| used.used).sum();
        if programme.is_some() {
            sums[0] += used;
        }
        sums[1] += used;
    }
    sums
}

/// When the use of grants on a day expires.
fn kept_until(runner: &Runner<'_>, day: Date) -> Result<Moment> {
    let last = day.checked_add(i64::from(runner.retention_days).days())?;
    Ok(last.to_zoned(TimeZone::UTC)?.timestamp().into())
}
