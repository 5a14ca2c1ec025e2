//! The watch over what fell silent: syncs, jobs, mail, and the balance that all keys depend on.
//! Findings become alarms for the admins, for most causes once a day. Nothing here depends on a
//! sync having run.

use anyhow::{Result, anyhow};
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{Grant, Urgency};
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::kind::MailClass;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{Erasure, Job, MailServer, MailState, Table, Waiting};
use jiff::{SignedDuration, ToSpan};

use crate::crossings::ENOUGH_FOR_ONE;
use crate::failures::{Programmes, ScanFailures};
use crate::undelivered::find_undelivered_alarms;
use crate::{App, credit};

/// The age of the last complete sync at which it counts as missing. Since the check is hourly, the
/// alarm comes before 26 hours.
const COMPLETE_WITHIN: SignedDuration = SignedDuration::from_hours(25);
/// The pause after which a job is stuck. It is carried on each minute.
const ADVANCES_WITHIN: SignedDuration = SignedDuration::from_mins(30);
/// The pause after which an erasure is stuck: final readings take a quarter of an hour, or wait for
/// a sync.
const ERASES_WITHIN: SignedDuration = SignedDuration::from_hours(26);
/// The time within which the provider confirms that a key is off, and how many of each queue are
/// looked at.
const OFF_WITHIN: SignedDuration = SignedDuration::from_hours(1);
const MOST_ENDS: i32 = 50;
/// The number of a day's first mails of which at least one event is expected.
const ENOUGH_TO_HEAR: i32 = 20;
/// The number of links, made one to two hours ago, of which half should have arrived by now, or
/// come back.
const ENOUGH_LINKS: u32 = 10;

/// Raises an alarm for each finding. Returns how many were new.
pub(crate) async fn tell(
    app: &App,
    programmes: &Programmes,
    now: Moment,
    deadline: Deadline,
    failures: &mut ScanFailures,
) -> usize {
    let table = &app.table;
    let people = table.admin_ids(deadline).await;
    let Some(people) = failures.take("the admins", people.map(Some)) else {
        return 0;
    };
    let mut causes = Vec::new();
    causes.extend(failures.take("the syncs", silent_sync(table, programmes, now).await));
    causes.extend(failures.take(
        "mail to the admins",
        find_undelivered_alarms(table, &people, now).await,
    ));
    causes.extend(failures.take("the pages", app.own_site.is_down(deadline).await));
    for programme @ Programme { id, .. } in &programmes.read {
        let outcome = if deadline.leaves(ENOUGH_FOR_ONE) {
            is_stuck(table, id, now).await
        } else {
            Err(anyhow!("the time is up"))
        };
        let stuck = failures.take(format_args!("the job of {id}"), outcome);
        causes.extend(stuck.map(|since| Cause::Stuck {
            programme: id.clone(),
            since,
        }));
        let outcome = table.tell_of_no_file(programme, now, deadline).await;
        failures.take(format_args!("the registrar's file for {id}"), outcome);
    }
    let erasure = failures.take("the erasures", stuck_erasure(table, now).await);
    causes.extend(erasure.map(|since| Cause::ErasureStuck { since }));
    let mut alarms: Vec<Alarm> = causes
        .into_iter()
        .map(|cause| Alarm::now(cause, now))
        .collect();
    alarms.extend(failures.take("keys that are to be off", off_unconfirmed(table, now).await));
    alarms.extend(failures.take("the age of the balance", credit::unread(table, now).await));
    alarms.extend(failures.take(
        "the balance",
        credit::balance(table, programmes, now, deadline).await,
    ));
    alarms.extend(failures.take("mail that waits", mail_that_waits(table, now).await));
    if app.mail_is_reported {
        alarms.extend(failures.take("what SES reports", find_missing_events(table, now).await));
    }
    let mut raised = 0;
    for alarm in alarms {
        let is_new = table.tell(&alarm, &people, now, deadline).await;
        raised += usize::from(failures.take(format_args!("telling of {}", alarm.name()), is_new));
    }
    raised
}

/// Mail that should long have been sent, once for all that was written on one day. It leaves out
/// mail that is refused, which has an alarm of its own, and mail that is stopped.
async fn mail_that_waits(table: &Table, now: Moment) -> Result<Vec<Alarm>> {
    let waiting = table.waiting(now).await?;
    let refusals = table.mail_refusals(now).await?;
    let server = table.get(MailServer::key_of()).await?;
    let is_stopped = server.is_some_and(|server| server.stopped(now).is_some());
    let waiting: Vec<Waiting> = waiting
        .into_iter()
        .filter(|queue| !(is_stopped && queue.class.is_bulk()))
        .collect();
    let mut alarms = Vec::new();
    for urgent in [true, false] {
        let queues = waiting
            .iter()
            .filter(|queue| (queue.class == MailClass::Urgent) == urgent);
        let since = queues
            .clone()
            .filter(|queue| queue.is_too_long(now))
            .filter_map(|queue| queue.since)
            .min();
        let is_refused = refusals
            .iter()
            .any(|refusal| refusal.holds_back(urgent, now));
        let Some(since) = since.filter(|_| !is_refused) else {
            continue;
        };
        if urgent {
            // The mail about it waits too: an alarm of the stack counts this line.
            tracing::warn!(
                mail_waits = true,
                "links, alerts and notices wait and are not sent"
            );
        }
        let mails = queues.map(|queue| queue.mails).sum();
        alarms.push(Alarm::on(
            utc_date(since),
            Cause::MailWaits {
                urgent,
                mails,
                since,
            },
            now,
        ));
    }
    Ok(alarms)
}

/// The alarm that SES reported no event of yesterday's mails, so that bounces would go unnoticed.
/// It is raised once a week. That links do not arrive, and do not come back either, no mail can
/// say: an alarm of the stack counts its line.
async fn find_missing_events(table: &Table, now: Moment) -> Result<Option<Alarm>> {
    let minutes = table.links_between(now - 2.hours(), now - 1.hour()).await?;
    let links: u32 = minutes.iter().map(|minute| minute.count).sum();
    let heard_of: u32 = minutes.iter().filter_map(|minute| minute.heard_of).sum();
    if links >= ENOUGH_LINKS && heard_of * 2 < links {
        tracing::warn!(
            mail_waits = true,
            sent = links,
            heard_of,
            "most of the links that SES took do not arrive"
        );
    }
    let yesterday = utc_date(now).yesterday()?;
    let first = table.list_first_sent(yesterday, ENOUGH_TO_HEAR).await?;
    let sent = first.len() as u64;
    let is_silent = sent >= ENOUGH_TO_HEAR.unsigned_abs().into()
        && first
            .iter()
            .all(|row| matches!(row.state, MailState::Sent { .. }));
    let monday =
        yesterday.checked_sub(i64::from(yesterday.weekday().to_monday_zero_offset()).days())?;
    Ok(is_silent.then(|| {
        Alarm::on(
            monday,
            Cause::NothingHeard {
                sent_on: yesterday,
                sent,
            },
            now,
        )
    }))
}

/// The absence of a complete sync for too long.
async fn silent_sync(table: &Table, programmes: &Programmes, now: Moment) -> Result<Option<Cause>> {
    let last = table.sync_state().await?.completed_at;
    let is_silent = find_age_of_sync(table, programmes, now).await? >= COMPLETE_WITHIN;
    Ok(is_silent.then_some(Cause::Silent { last }))
}

/// Since when the oldest of a programme's jobs has not advanced, if that is too long. A younger one
/// that goes on hides nothing.
async fn is_stuck(table: &Table, programme: &ProgrammeId, now: Moment) -> Result<Option<Moment>> {
    let oldest = table
        .jobs(programme)
        .await?
        .into_iter()
        .find(Job::is_running);
    Ok(oldest
        .map(|job| job.advanced_at)
        .filter(|advanced_at| *advanced_at + ADVANCES_WITHIN <= now))
}

/// Keys that are to be off, and of which the provider has not confirmed that for too long: once for
/// those that began on one day. What only waits for its turn is none of them, unless it goes before
/// all others.
async fn off_unconfirmed(table: &Table, now: Moment) -> Result<Vec<Alarm>> {
    let mut late = table.list_unconfirmed_ends(now, MOST_ENDS).await?;
    late.retain(|grant| {
        let has_had_its_turn = grant.backoff.is_some() || grant.urgency() == Urgency::Leak;
        has_had_its_turn
            && grant
                .ends_since
                .is_some_and(|since| since + OFF_WITHIN <= now)
    });
    late.sort_by_key(|grant| grant.ends_since);
    let of_one_day = late
        .chunk_by(|grant, next| grant.ends_since.map(utc_date) == next.ends_since.map(utc_date));
    let alarms = of_one_day.filter_map(|of_day| {
        let Grant {
            programme,
            id,
            ends_since,
            ..
        } = of_day.first()?.clone();
        let grants = of_day.len() as u32;
        let since = ends_since?;
        Some(Alarm::on(
            utc_date(since),
            Cause::OffUnconfirmed {
                grants,
                since,
                programme,
                grant: id,
            },
            now,
        ))
    });
    Ok(alarms.collect())
}

/// Since when an erasure that goes on has erased nothing, if that is too long.
async fn stuck_erasure(table: &Table, now: Moment) -> Result<Option<Moment>> {
    let erasures = table
        .list(Erasure::all())
        .await?
        .into_iter()
        .filter(|erasure| erasure.again_at.is_some());
    Ok(erasures
        .map(|erasure| erasure.advanced_at)
        .filter(|since| *since + ERASES_WITHIN <= now)
        .min())
}

/// The time since the last complete sync, or since the deployment began. Without programmes there
/// is nothing to sync, and no time passes.
pub(crate) async fn find_age_of_sync(
    table: &Table,
    programmes: &Programmes,
    now: Moment,
) -> Result<SignedDuration> {
    if programmes.read.is_empty() && programmes.unreadable.is_empty() {
        return Ok(SignedDuration::ZERO);
    }
    let since = match table.sync_state().await?.completed_at {
        Some(last) => last,
        None => table.meta(now).await?.born,
    };
    Ok(now.duration_since(since))
}
