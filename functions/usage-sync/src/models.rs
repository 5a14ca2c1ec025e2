//! Which models there are, and the use by model on completed days, in one query by key and model.
//! [`models`](bursar_core::domain::usage::models) decides whose use it was. What the answer leaves
//! out is the difference to the readings, which whoever reads it computes.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use bursar_core::clock::Moment;
use bursar_core::domain::programme::rules::ListedModel;
use bursar_core::domain::usage::models::{Attribution, Sums, UseByDay, attribute};
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{ListedModels, ModelDay, ModelRows};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::recount::GroupsOfGrants;
use crate::runner::{Gaps, RunContext};

/// The most days that are queried: use on older missed days stays unknown by model.
const MOST_DAYS: i64 = 7;
/// The days in which a model was used lately.
const LATELY: i64 = 28;

/// Asks for the completed days since the last time, and for the last of those once more: use may
/// settle late.
pub(crate) async fn record(
    runner: &RunContext,
    groups: &HashMap<ProgrammeId, GroupsOfGrants>,
    gaps: Gaps,
) -> Result<()> {
    let journal = &runner.journal;
    let known_until = runner.table.sync_state().await?.models_until;
    let Ok(yesterday) = utc_date(runner.baseline.began_at).yesterday() else {
        return Ok(());
    };
    if known_until == Some(yesterday) {
        return Ok(());
    }
    let earliest = yesterday.checked_sub((MOST_DAYS - 1).days())?;
    let from = known_until.map_or(earliest, |known_until| known_until.max(earliest));
    let answer = match runner
        .provider
        .model_usage(from..=yesterday, runner.until())
        .await
    {
        Ok(answer) => answer,
        // The rest of the run does not need it, and the next run asks again.
        Err(error) => {
            journal.problem(format!("what was used by model could not be read: {error}"));
            return Ok(());
        }
    };
    for warning in &answer.warnings {
        journal.problem(format!(
            "of what was used by model the provider warns: {warning}"
        ));
    }
    if answer.truncated {
        journal.problem(
            "the provider left the smallest rows of what was used by model out".to_owned(),
        );
    }
    if let Some(why) = answer.why_unreadable {
        journal.problem(format!(
            "{} rows of what was used by model could not be read: {why}",
            answer.unreadable
        ));
    }
    let attributed = attribute(&answer.rows, &runner.deployment, |programme, grant| {
        let group = groups.get(programme)?.get(&grant.to_bytes())?;
        Some(group.as_deref().map(str::to_owned))
    });
    write(runner, (from, yesterday), attributed).await?;
    // Where a grant could not be read, it is attributed again next time.
    if !gaps.has_failed {
        runner
            .table
            .note_models_of((from, yesterday), runner.end())
            .await?;
    }
    Ok(())
}

/// Notes the models that the provider lists now, if that changed, after faculty were told of those
/// that end or are gone.
pub(crate) async fn record_list(runner: &RunContext) -> Result<()> {
    let models = runner.provider.models(runner.until()).await?;
    let stored = runner
        .table
        .get(ListedModels::key_of())
        .await?
        .map(|stored| stored.models)
        .unwrap_or_default();
    let as_of = runner.baseline.began_at;
    let today = utc_date(as_of);
    let unlisted = stored
        .iter()
        .filter(|former| models.iter().all(|model| model.slug != former.slug));
    let unlisted: Vec<ListedModel> = unlisted
        .map(|former| ListedModel {
            gone_on: Some(former.gone_on.map_or(today, |day| day.min(today))),
            ..former.clone()
        })
        .collect();
    // A list that lacks so many was cut, or is not of all models.
    ensure!(
        unlisted.len() * 5 <= stored.len(),
        "{} of {} models are not listed any more",
        unlisted.len(),
        stored.len()
    );
    for model in unlisted.iter().chain(&models) {
        tell_of_end(runner, model, today).await?;
    }
    if stored != models {
        runner
            .table
            .put_later(&ListedModels { models, as_of }, as_of, runner.end())
            .await?;
    }
    Ok(())
}

/// Tells the faculty of each programme that allows a model and used it lately, once it is time, of
/// its end.
async fn tell_of_end(runner: &RunContext, model: &ListedModel, today: Date) -> Result<()> {
    let Some(end) = model.end_to_tell(today) else {
        return Ok(());
    };
    let now = runner.clock.now();
    let tiers = runner.table.tiers().await?;
    let lately = (today.checked_sub(LATELY.days())?, today);
    for programme in runner
        .programmes
        .iter()
        .filter(|programme| !programme.is_over(now))
    {
        if programme.settings.rules.allow(model, &tiers)
            && runner
                .table
                .models_of(&programme.id, false, lately)
                .await?
                .iter()
                .any(|used| model.is_named(&used.model))
        {
            runner
                .table
                .tell_of_model_end(programme, &model.slug, end, now, runner.end())
                .await?;
        }
    }
    Ok(())
}

/// Writes the attributed use, day by day. A recorded day gives way only to an answer that is no
/// smaller.
async fn write(
    runner: &RunContext,
    (from, until): (Date, Date),
    attributed: Attribution,
) -> Result<()> {
    let table = &runner.table;
    let as_of = runner.baseline.began_at;
    // What is no programme's comes first: where a grant could not be read, its use was among that,
    // and a run that dies in between must not leave it recorded twice.
    let programmes = runner
        .programmes
        .iter()
        .map(|programme| Some(programme.id.clone()));
    let owners: Vec<Option<ProgrammeId>> = [None].into_iter().chain(programmes).collect();
    let mut stored = UseByDay::new();
    for owner in &owners {
        let days = table
            .list(ModelDay::between(owner.as_ref(), (from, until)))
            .await?;
        stored.extend(
            days.into_iter()
                .map(|day| ((day.day, day.programme), day.uses)),
        );
    }
    let Attribution {
        mut days,
        mut grants,
    } = attributed;
    for day in from.series(1.day()).take_while(|day| *day <= until) {
        let after = sums(&days, day);
        let before = sums(&stored, day);
        if after
            .iter()
            .zip(before)
            .any(|(after, before)| !after.is_no_less_than(before))
        {
            runner.journal.problem(format!(
                "the provider told less of what was used by model on {day} than before, and that stays"
            ));
            continue;
        }
        for programme in owners.iter().cloned() {
            let key = (day, programme);
            let uses = days.remove(&key).unwrap_or_default();
            let before = stored.remove(&key).unwrap_or_default();
            if uses != before {
                table
                    .put_later(
                        &ModelDay {
                            programme: key.1,
                            day,
                            as_of,
                            uses,
                        },
                        as_of,
                        runner.end(),
                    )
                    .await?;
            }
        }
        let grant_uses = grants.remove(&day).unwrap_or_default();
        let parts = ModelRows::pack(day, &grant_uses, as_of, retention_end(runner, day)?);
        table.note_model_rows(&parts, runner.end()).await?;
    }
    Ok(())
}

/// The sum of a day's use by all programmes, and of all use.
fn sums(days: &UseByDay, day: Date) -> [Sums; 2] {
    let mut sums = [Sums::default(); 2];
    for ((_, programme), uses) in days.iter().filter(|((date, _), _)| *date == day) {
        let used: Sums = uses.iter().map(|used| used.used).sum();
        if programme.is_some() {
            sums[0] += used;
        }
        sums[1] += used;
    }
    sums
}

/// When the use of grants on a day expires.
fn retention_end(runner: &RunContext, day: Date) -> Result<Moment> {
    let last = day.checked_add(i64::from(runner.retention_days).days())?;
    Ok(last.to_zoned(TimeZone::UTC)?.timestamp().into())
}
