//! Alarms that are over: reported once, for the newest alarm of each matter. Where that cannot be known,
//! nothing is reported.

use std::collections::BTreeMap;

use anyhow::Result;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::class::MailClass;
use bursar_core::domain::mail::failure::NOT_VERIFIED;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{Table, Waiting};
use jiff::Timestamp;

use crate::failures::ScanFailures;
use crate::lateness::{COMPLETE_WITHIN, is_stuck};

/// How often an alarm may come and go in a day before its end is reported only after the day.
const OVER_IN_A_DAY: u32 = 3;

/// The present state of an alarm.
#[derive(Default)]
enum AlarmStanding {
    #[default]
    LastsOrUnknown,
    /// Over, since this time where it is known.
    Over(Option<Timestamp>),
}

/// The ends, not yet reported, of recent alarms.
pub(crate) async fn over(table: &Table, known: &[Alarm], now: Timestamp, failures: &mut ScanFailures) -> Vec<Alarm> {
    let mut newest: BTreeMap<String, &Alarm> = BTreeMap::new();
    for alarm in known {
        let Some(matter) = alarm.cause.matter() else { continue };
        let newest = newest.entry(matter).or_insert(alarm);
        if (newest.found_at, newest.again) < (alarm.found_at, alarm.again) {
            *newest = alarm;
        }
    }
    let mut over = Vec::new();
    for (matter, alarm) in newest {
        let is_told = known.iter().any(|one| one.day == alarm.day && one.name() == alarm.over());
        let comes_and_goes = alarm.again >= OVER_IN_A_DAY && alarm.day == utc_date(now);
        if is_told || comes_and_goes {
            continue;
        }
        let standing = standing(table, alarm, now).await;
        if let AlarmStanding::Over(shown_at) = failures.take(format_args!("whether {matter} is over"), standing) {
            let (alerted_at, ended) = (alarm.found_at, Box::new(alarm.cause.clone()));
            let cause = Cause::Over { alarm: alarm.name(), alerted_at, shown_at, ended };
            over.push(Alarm::on(alarm.day, cause, now));
        }
    }
    over
}

async fn standing(table: &Table, alarm: &Alarm, now: Timestamp) -> Result<AlarmStanding> {
    let is_over = |is_over: bool| if is_over { AlarmStanding::Over(None) } else { AlarmStanding::LastsOrUnknown };
    let shown = |at: Option<Timestamp>| at.map_or(AlarmStanding::LastsOrUnknown, |at| AlarmStanding::Over(Some(at)));
    Ok(match &alarm.cause {
        Cause::Silent { last } => {
            let complete = table.sync_state().await?.completed_at;
            shown(complete.filter(|at| last.is_none_or(|last| last < *at) && now < *at + COMPLETE_WITHIN))
        }
        Cause::ManagementKey => {
            let run = table.latest_run().await?.filter(|run| run.complete && alarm.found_at < run.began_at);
            shown(run.map(|run| run.began_at))
        }
        Cause::Balance { alerted_at, .. } => {
            let notice = table.balance_notice().await?;
            is_over(notice.is_some_and(|notice| notice.is_over && notice.alerted_at == *alerted_at))
        }
        Cause::MailRefused { code, since } => {
            let known =
                table.all_mail_refusals().await?.into_iter().find(|one| one.code == *code && one.since == *since);
            // A sandbox may seem over only because no mail went to an unverified address.
            let may_be_sandbox =
                code == NOT_VERIFIED && table.mail_server().await?.is_none_or(|server| server.is_sandbox());
            shown(known.filter(|one| one.is_over(now) && !may_be_sandbox).map(|one| one.ended_at.unwrap_or(one.last)))
        }
        Cause::MailWaits { urgent, .. } => {
            let still = |of: &Waiting| (of.class == MailClass::Urgent) == *urgent && of.is_too_long(now);
            is_over(!table.waiting().await?.iter().any(still))
        }
        Cause::NothingHeard { .. } => {
            let yesterday = utc_date(now).yesterday()?;
            is_over(yesterday > alarm.day && table.mail_counts(yesterday).await?.reported() > 0)
        }
        // A stop that was released by hand is reported by another mail.
        Cause::BulkStopped { mail_day, stop } => {
            let stops = table.bulk_stops().await?;
            let stop = stops.into_iter().find(|one| one.of.mail == mail_day.mail && one.version == *stop);
            is_over(stop.is_some_and(|stop| stop.let_go.is_none() && !stop.holds(now)))
        }
        Cause::Stuck { programme, .. } => is_over(is_stuck(table, programme, now).await?.is_none()),
        _ => AlarmStanding::LastsOrUnknown,
    })
}
