//! Warnings about the account that need a person, one sentence each. What the safety limit held
//! back has a notice of its own.

use bursar_core::clock::Moment;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::values::format::Joined;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{StubbornDisable, SyncState};
use jiff::SignedDuration;

use super::syncs::SyncRun;
use crate::kit::show::utc;

/// The time without a complete sync after which a person must look.
const COMPLETE_WITHIN: SignedDuration = SignedDuration::from_hours(26);
/// The time that a run has.
const RUNS_FOR: SignedDuration = SignedDuration::from_mins(15);

pub(super) fn compose(
    state: &SyncState,
    runs: &[SyncRun],
    alarms: &[Alarm],
    balance_read_at: Option<Moment>,
    admins: usize,
    now: Moment,
) -> Vec<String> {
    let stale = state
        .completed_at
        .is_none_or(|completed_at| completed_at + COMPLETE_WITHIN < now)
        && !runs.is_empty();
    let warnings = [
        stale.then(|| match state.completed_at {
            Some(completed_at) => format!("No check at OpenRouter has been complete for more than 26 hours. The last complete check began at {}. The table of the last checks below says why.", utc(completed_at)),
            None => "No check at OpenRouter has been complete yet.".to_owned(),
        }),
        runs.first().and_then(|sync| incomplete(sync, now)),
        (!state.closed_workspaces.is_empty()).then(|| {
            format!(
                "The management key may not open these workspaces, and nothing is read or ended there: {}.",
                state.closed_workspaces.join(", ")
            )
        }),
        stubborn(&state.stubborn),
        management_key_fails(runs, alarms, balance_read_at).then(|| {
            "The management key does not work. Nothing can be read, made or disabled until a working one is in the secret."
                .to_owned()
        }),
        (admins == 1).then(|| {
            "There is one admin only. If mail to that address comes back, nobody hears what is wrong here, and nobody else can sign in to fix it. Add a second one in the section \"Admins\" below."
                .to_owned()
        }),
    ];
    warnings.into_iter().flatten().collect()
}

/// The warning about the newest run, if it ended, or died, without being complete.
fn incomplete(sync: &SyncRun, now: Moment) -> Option<String> {
    let is_under_way = sync.run.ended_at.is_none() && now < sync.run.began_at + RUNS_FOR;
    if sync.run.complete || is_under_way {
        return None;
    }
    let why = match sync.report.problems.first() {
        _ if sync.run.ended_at.is_none() => "it did not reach its end",
        Some(problem) => problem.trim_start_matches("this run is not complete: "),
        None => "its report does not say why",
    };
    let next_run = match sync.run.again_at(now) {
        Some(begins_at) => format!(
            "The check begins again by itself at about {}.",
            utc(begins_at)
        ),
        None => "The next begins with the coming night.".to_owned(),
    };
    Some(format!(
        "The last check was not complete: {why}. {next_run}"
    ))
}

/// The warning about keys whose disable fails night after night.
fn stubborn(disables: &[StubbornDisable]) -> Option<String> {
    let stubborn = disables
        .iter()
        .filter(|disable| disable.nights > 2)
        .map(|disable| &*disable.subject)
        .joined(", ");
    (!stubborn.is_empty()).then(|| {
        format!("OpenRouter refuses night after night to disable these: {stubborn}. Disable them there by hand.")
    })
}

/// Whether the management key fails: the newest run listed no key and raised today's alarm, or
/// something raised it after that run. Where the balance was read since, it works again.
fn management_key_fails(
    runs: &[SyncRun],
    alarms: &[Alarm],
    balance_read_at: Option<Moment>,
) -> bool {
    let mut refused = alarms.iter().filter(|alarm| {
        alarm.cause == Cause::ManagementKey
            && balance_read_at.is_none_or(|read_at| read_at <= alarm.found_at)
    });
    let Some(newest) = runs.first() else {
        return refused.next().is_some();
    };
    let ended_at = newest.run.ended_at.unwrap_or(newest.run.began_at);
    if refused.clone().any(|alarm| ended_at < alarm.found_at) {
        return true;
    }
    let is_empty = !newest.run.complete && newest.report.keys_listed == Some(0);
    is_empty && refused.any(|alarm| alarm.day == utc_date(newest.run.began_at))
}
