//! Who used which model: the provider is asked once a day by key and model, and where its answer was cut off for the account's
//! activity besides. The number of calls depends on the days that were missed and never on the number of keys. Whose use it was is
//! decided in `domain::models`.

use std::collections::BTreeSet;

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::id::{GrantId, KeyName, ProgrammeId};
use bursar_core::domain::models::{ActivityRow, Attribution, ModelRow, Owners, Sums, attribute};
use bursar_core::domain::window::utc_date;
use bursar_core::provider::ProviderError;
use bursar_core::provider::analytics::UnreadableRows;
use bursar_core::store::{ModelDay, ModelRows, NobodysDay};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::progress::Progress;
use crate::report::Report;
use crate::run::{Run, Step};

/// At most so many days are asked for at once: older ones that were missed are not told apart by model.
const MOST_DAYS: i64 = 7;

/// What was told of models, until it is known whose it is. The rows lie with those of the listing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Models {
    activity: Vec<ActivityRow>,
    /// Whether nothing of these days is missing.
    is_whole: bool,
    /// The first and the last day that were asked for, if anything was.
    pub(crate) asked: Option<(Date, Date)>,
    /// The grants that rows name, in order, with programme and group of those that were looked at.
    named: Vec<(GrantBytes, Option<Place>)>,
}

/// What the provider told of some days.
struct Told {
    rows: Vec<ModelRow>,
    /// Of days whose rows are not all there.
    activity: Vec<ActivityRow>,
    is_whole: bool,
}

/// The digits of a grant's id: of these there may be as many.
type GrantBytes = [u8; 8];

/// Where a grant is: in the programme of this number, and in which group.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    programme: u16,
    group: Option<String>,
}

impl Run<'_> {
    /// Asks for the days that are over since the last time, and for the last of those once more: use may settle late.
    pub(crate) async fn ask_for_models(&self, progress: &mut Progress, deadline: Deadline) -> Result<Step> {
        let known = self.table.sync_state().await?.models_until;
        let Ok(yesterday) = utc_date(progress.began_at).yesterday() else { return Ok(Step::Done) };
        if known == Some(yesterday) {
            return Ok(Step::Done);
        }
        let earliest = yesterday.checked_sub((MOST_DAYS - 1).days())?;
        let from = known.map_or(earliest, |known| known.max(earliest));
        match self.told_of_models(from, yesterday, &mut progress.report, deadline).await {
            Ok(told) => {
                let names = told.rows.iter().filter_map(|row| row.key_name.parse::<KeyName>().ok());
                let ours = names.filter(|name| name.deployment == self.deployment);
                let named: BTreeSet<GrantBytes> = ours.map(|name| name.grant.to_bytes()).collect();
                let named = named.into_iter().map(|grant| (grant, None)).collect();
                told.rows.iter().try_for_each(|row| progress.rows.add_model(row))?;
                let Told { activity, is_whole, .. } = told;
                progress.models = Models { activity, is_whole, asked: Some((from, yesterday)), named };
            }
            // The rest of the run does not need it, and the next asks again.
            Err(error) => progress.report.problem(format!("what was used by model could not be read: {error}")),
        }
        Ok(Step::Done)
    }

    async fn told_of_models(
        &self,
        from: Date,
        until: Date,
        report: &mut Report,
        deadline: Deadline,
    ) -> Result<Told, ProviderError> {
        let told = self.provider.model_usage(from..=until, self.until(deadline)).await?;
        say_what_is_unreadable(report, &told.unreadable);
        for warning in &told.warnings {
            report.problem(format!("of what was used by model the provider warns: {warning}"));
        }
        let are_all = !told.truncated && told.unreadable.count == 0;
        let mut all = Told { rows: told.rows, activity: Vec::new(), is_whole: true };
        if !are_all {
            // With what the account used by model nothing of a day is missing, though some of it may be nobody's.
            for day in from.series(1.day()).take_while(|day| *day <= until) {
                let of_day = self.provider.activity(day, self.until(deadline)).await?;
                say_what_is_unreadable(report, &of_day.unreadable);
                all.is_whole &= of_day.unreadable.count == 0;
                all.activity.extend(of_day.rows);
            }
        }
        Ok(all)
    }

    /// Writes whose use it was, day by day. What an earlier run was told of a day gives way to all of it and to no less.
    pub(crate) async fn write_models(&self, progress: &mut Progress, deadline: Deadline) -> Result<()> {
        let Some((from, until)) = progress.models.asked else { return Ok(()) };
        let rows = progress.rows.models()?;
        let (mut attribution, as_of) = (self.attributed(&rows, &progress.models), progress.began_at);
        for day in from.series(1.day()).take_while(|day| *day <= until) {
            let of_day = |programme: &ProgrammeId| attribution.programmes.get(&(day, programme.clone()));
            let of_programmes = Sums::of_all(progress.programmes.iter().filter_map(of_day).flatten());
            let by = attribution.nobodys.remove(&day).unwrap_or_default();
            let nobodys = NobodysDay { day, as_of, by, of_programmes };
            let under = self.under(deadline);
            if let Some(known) = self.table.nobodys_day(day).await? {
                let is_less = !of_programmes.is_no_less_than(known.of_programmes)
                    || !nobodys.in_all().is_no_less_than(known.in_all());
                if is_less || !progress.models.is_whole {
                    let told = format!(
                        "the provider told less of what was used by model on {day} than before, and that stays"
                    );
                    progress.report.problem(told);
                    continue;
                }
            }
            for programme in progress.programmes.iter().cloned() {
                let by = attribution.programmes.remove(&(day, programme.clone())).unwrap_or_default();
                let day = ModelDay { programme, day, as_of, by };
                self.ensure_written(under.note_model_day(&day).await?)?;
            }
            let uses = attribution.grants.remove(&day).unwrap_or_default();
            let parts = ModelRows::of(day, &uses, as_of, self.kept_until(day)?);
            self.ensure_written(under.note_model_rows(&parts).await?)?;
            // It says that the day is told, so it comes last.
            self.ensure_written(under.note_nobodys_day(&nobodys).await?)?;
        }
        Ok(())
    }

    /// Until when it is kept who used what on a day.
    fn kept_until(&self, day: Date) -> Result<Timestamp> {
        let last = day.checked_add(i64::from(self.retention_days).days())?;
        Ok(last.to_zoned(TimeZone::UTC)?.timestamp())
    }

    fn attributed(&self, rows: &[ModelRow], models: &Models) -> Attribution {
        let group_of = |programme: &ProgrammeId, grant: &GrantId| {
            let place = models.place_of(grant)?;
            let of = self.programmes.get(usize::from(place.programme))?;
            (of.id == *programme).then(|| place.group.clone())
        };
        let owners = Owners { deployment: &self.deployment, group_of: &group_of, assigned: &|_| None };
        attribute(rows, &models.activity, &owners)
    }
}

impl Models {
    /// Remembers where a grant is that rows name.
    pub(crate) fn note(&mut self, programme: u16, grant: &Grant) {
        if let Ok(index) = self.index_of(&grant.id) {
            self.named[index].1 = Some(Place { programme, group: grant.group.clone() });
        }
    }

    fn place_of(&self, grant: &GrantId) -> Option<&Place> {
        self.named[self.index_of(grant).ok()?].1.as_ref()
    }

    fn index_of(&self, grant: &GrantId) -> Result<usize, usize> {
        self.named.binary_search_by_key(&grant.to_bytes(), |(named, _)| *named)
    }
}

fn say_what_is_unreadable(report: &mut Report, unreadable: &UnreadableRows) {
    if unreadable.count > 0 {
        let why = unreadable.why.as_deref().unwrap_or_default();
        report.problem(format!("{} rows of what was used by model could not be read: {why}", unreadable.count));
    }
}
