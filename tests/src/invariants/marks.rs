//! Marks, the acts on a grant that leave no audit entry. Counted is how many there may have been in a step; an
//! announcement and an end by a rule must have their mails.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use bursar_core::domain::audit::{Act, Actor, Entry};
use bursar_core::domain::grant::{Attempt, Grant, Notice, NoticeDelivery, SwitchState};
use bursar_core::store::{Job, QueuedMail, Work};
use jiff::Timestamp;

use super::Snapshot;

/// The grant without the fields that marks change.
pub(super) fn without(grant: &Grant) -> Grant {
    let unmarked = |attempt: &Attempt| Attempt {
        switch: if attempt.switch.is_wanted() { SwitchState::Off { at: attempt.begun_at } } else { SwitchState::On },
        gone: None,
        announced: BTreeMap::new(),
        larger_limit: None,
        limit_ordered: None,
        rules_ordered: None,
        late_enable_until: None,
        read_at: None,
        put_off: None,
        missing_since: None,
        rest_promised_since: None,
        ..attempt.clone()
    };
    Grant { version: 0, attempts: grant.attempts.iter().map(unmarked).collect(), ..grant.clone() }
}

/// How many marks there may have been between the two grants. A mark is a switch that was confirmed or ordered
/// again, a retired key that was found gone, or an announcement with its mail. Acts with an entry in the same
/// step may have done some of that.
pub(super) fn between(
    old: &Grant,
    new: &Grant,
    entries: &[&Entry],
    before: &Snapshot,
    now: &Snapshot,
) -> RangeInclusive<u64> {
    let told = |act: Act| entries.iter().filter(|entry| entry.what.act == act).count() as u64;
    let announced = new_notices(new, before, now).into_iter().filter(|notice| is_announcement(*notice)).count() as u64;
    let (mut least, mut most) = (announced, announced);
    for attempt in &new.attempts {
        let was = old.attempt(attempt.epoch);
        most += marks_of_orders(was, attempt) + marks_of_the_same_again(new, attempt, before, now);
        let is_gone = attempt.gone.is_some() && was.is_some_and(|was| was.gone.is_none());
        // A recovered key may be recorded as disabled at once.
        let is_recorded = was.is_none_or(|was| was.key.is_none()) && told(Act::Recovered) > 0;
        let (answered, owed_again) = match (was.map_or(SwitchState::On, |was| was.switch), attempt.switch) {
            (was, is) if was == is => (0, 0),
            (SwitchState::On | SwitchState::OnOrdered { .. }, SwitchState::OffOrdered { .. }) => (0, 0),
            (SwitchState::OffOrdered { .. } | SwitchState::Off { .. }, SwitchState::OnOrdered { .. }) => (0, 0),
            (_, SwitchState::Off { .. }) if is_recorded => (0, 0),
            (_, SwitchState::On) => (1, 0),
            (
                SwitchState::On | SwitchState::OffOrdered { .. } | SwitchState::OnOrdered { .. },
                SwitchState::Off { .. },
            ) => (1, 0),
            (SwitchState::Off { .. } | SwitchState::OffOrdered { .. }, SwitchState::OffOrdered { .. }) => (0, 1),
            (SwitchState::On | SwitchState::OnOrdered { .. }, SwitchState::OnOrdered { .. }) => (0, 1),
            (SwitchState::Off { .. }, SwitchState::Off { .. }) => (1, 1),
        };
        // An act that finds a key gone also settles its disable. A sweep, release or recovery leads to another order.
        let is_told_gone = told(Act::Stopped) + told(Act::Purged) > 0;
        let owes_by_entry = told(Act::Swept) + told(Act::Released) + told(Act::Recovered) > 0;
        least += if is_gone { 0 } else { answered };
        least += if owes_by_entry { 0 } else { owed_again };
        least += u64::from(is_gone && !is_told_gone);
        // An order may have been confirmed before it was given again.
        let was_owed = was.is_some_and(|was| matches!(was.switch, SwitchState::OffOrdered { .. }));
        most += answered + owed_again * (1 + u64::from(was_owed)) + u64::from(is_gone);
        // A runner that lost its lease and its successor may each find a key enabled that the other is disabling.
        most += if attempt.switch == SwitchState::On { 0 } else { 2 * runners(before, now).saturating_sub(1) };
    }
    // A job's order of a limit or of rules, for a key that ends in the same step, is gone by then.
    let orders = |job: &&Job| matches!(job.work, Work::Limits | Work::Rules { .. }) && job.is_running();
    if told(Act::Ended) > 0 {
        most += before.jobs.iter().filter(|job| job.programme == new.programme).filter(orders).count() as u64;
    }
    // A confirmed disable that is lifted in the same step leaves no mark, and nor does a confirmed enable before it.
    least..=most + 2 * told(Act::Released)
}

/// How many marks orders may have left on an attempt. An order is postponed as often as it failed; a limit is
/// ordered, about to be sent, and confirmed; rules are ordered and confirmed. A key is missing or found again, read for the last time, or
/// what was left on it is given back.
fn marks_of_orders(was: Option<&Attempt>, is: &Attempt) -> u64 {
    let was = was.cloned().unwrap_or_else(|| Attempt::open(is.epoch, is.nonce.clone(), is.begun_at));
    let differs = [
        was.larger_limit != is.larger_limit,
        was.limit_ordered != is.limit_ordered,
        was.rules_ordered != is.rules_ordered,
        was.rule_set != is.rule_set,
        was.limit != is.limit,
        was.read_at != is.read_at,
        was.put_off != is.put_off,
        was.missing_since != is.missing_since,
        was.rest_promised_since != is.rest_promised_since,
    ];
    let tries = is.put_off.map_or(0, |put_off| u64::from(put_off.tries));
    3 * differs.into_iter().filter(|differs| *differs).count() as u64 + tries
}

/// A listed limit may be somebody else's, or older than the last one that was sent. The sync then orders, sends and confirms the same
/// limit once more. A key that is not under its guardrail is ordered and confirmed to be, by the sync or by the job that follows a
/// guardrail made anew. No field shows either.
fn marks_of_the_same_again(grant: &Grant, attempt: &Attempt, before: &Snapshot, now: &Snapshot) -> u64 {
    let is_live = grant.live().is_some_and(|live| live.epoch == attempt.epoch);
    let lease = before.leases.get("sync").filter(|lease| before.at < lease.until);
    let is_synced = lease.is_some() || runners(before, now) > 0;
    let puts_anew = |job: &&Job| job.programme == grant.programme && matches!(job.work, Work::Rules { anew: true });
    let was_over = |job: &Job| before.jobs.iter().any(|was| was.job == job.job && !was.is_running());
    let under_anew = now.jobs.iter().filter(puts_anew).any(|job| !was_over(job)) || is_synced;
    let under_rules = attempt.rule_set.is_some() && under_anew;
    u64::from(is_live) * (3 * u64::from(is_synced) + 2 * u64::from(under_rules))
}

/// How many runs of the sync began in the step.
fn runners(before: &Snapshot, now: &Snapshot) -> u64 {
    let fence = |seen: &Snapshot| seen.leases.get("sync").map_or(0, |lease| lease.fence);
    fence(now) - fence(before)
}

/// What is wrong with the notices of a grant in this step. A hold for disuse or a stop as too old has its notice.
/// Each end by a rule was announced in time, and each announcement has its mail.
pub(super) fn wrongly_told(grant: &Grant, entries: &[&Entry], before: &Snapshot, now: &Snapshot) -> Option<String> {
    let notices = new_notices(grant, before, now);
    let owed = |wanted: Notice| notices.iter().filter(|notice| **notice == wanted).count();
    let too_old = |entry: &&&Entry| entry.what.act == Act::Stopped && entry.what.note.as_deref() == Some("too-old");
    let stopped = entries.iter().filter(too_old).count();
    let held = entries.iter().filter(|entry| is_held_as_unused(entry)).count();
    if (owed(Notice::TooOld), owed(Notice::Unused)) != (stopped, held) {
        return Some(format!(
            "was {stopped} times stopped as too old, {held} times held as unused, and is told {notices:?}"
        ));
    }
    let old = before.grants.get(&(grant.programme.clone(), grant.id.clone()));
    let mut by_rule = entries.iter().filter(|entry| entry.by == Actor::Rule).filter_map(|entry| {
        let of_age = too_old(&entry).then_some(Notice::TooOldSoon);
        Some((of_age.or(is_held_as_unused(entry).then_some(Notice::UnusedSoon))?, entry.at))
    });
    if let Some((what, at)) = by_rule.find(|(what, at)| !was_told_in_time(grant, *what, *at, [before, now])) {
        return Some(format!("was ended by a rule at {at}, and {what:?} was not told in time"));
    }
    let untold = announcements(grant, old).into_iter().find(|notice| owed(*notice) == 0)?;
    Some(format!("has a mark that an end was announced, and no mail {untold:?} is owed"))
}

/// Whether the mail of this announcement had left early enough, or had gone to an address that takes none.
fn was_told_in_time(grant: &Grant, announced: Notice, at: Timestamp, seen: [&Snapshot; 2]) -> bool {
    let marks = grant.attempts.iter().filter_map(|attempt| attempt.announced.get(&announced));
    let rows = || seen.iter().flat_map(|seen| &seen.outbox);
    marks.into_iter().any(|end| {
        rows().any(|row| {
            let QueuedMail::Notice { programme, grant: of, notice, .. } = &row.mail else { return false };
            let is_it = (programme, of, *notice) == (&grant.programme, &grant.id, announced);
            let outcome = row.outcome();
            is_it
                && row.written_at == end.at
                && matches!(outcome, NoticeDelivery::SentBy(sent) if at >= announced.ends_at(*end, sent))
        })
    })
}

fn is_announcement(notice: Notice) -> bool {
    matches!(notice, Notice::UnusedSoon | Notice::TooOldSoon | Notice::TermEndSoon)
}

/// The notices of a student's key that were queued in this step.
pub(super) fn new_notices(of: &Grant, before: &Snapshot, now: &Snapshot) -> Vec<Notice> {
    let known: BTreeSet<_> = before.outbox.iter().map(|row| row.row).collect();
    let new = now.outbox.iter().filter(|row| !known.contains(&row.row));
    let notices = new.filter_map(|row| match &row.mail {
        QueuedMail::Notice { programme, grant, notice, .. } if *programme == of.programme && *grant == of.id => {
            Some(*notice)
        }
        _ => None,
    });
    notices.collect()
}

fn is_held_as_unused(entry: &Entry) -> bool {
    let has = |text: &Option<String>| text.as_deref().is_some_and(|text| text.split(", ").any(|word| word == "unused"));
    entry.what.act == Act::Held && has(&entry.what.to) && !has(&entry.what.from)
}

/// The marks of announcements that are new in this step.
fn announcements(new: &Grant, old: Option<&Grant>) -> Vec<Notice> {
    let mut told = Vec::new();
    for attempt in &new.attempts {
        let was = old.and_then(|old| old.attempt(attempt.epoch));
        let is_new = |(notice, end): &(&Notice, &_)| was.and_then(|was| was.announced.get(notice)) != Some(end);
        told.extend(attempt.announced.iter().filter(is_new).map(|(notice, _)| *notice));
    }
    told
}
