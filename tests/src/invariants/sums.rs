//! Sums and what is concluded from them: totals against readings, crossings against totals and the mails they owe.

use std::collections::BTreeSet;

use bursar_core::domain::crossing::Crossing;
use bursar_core::domain::id::ProgrammeId;
use bursar_core::domain::money::Usd;
use bursar_core::store::items::{OwedMail, Totals};

use super::{Snapshot, Step};

/// I10, of sums: totals never say more than the readings, never fall from one day to the next or from one moment to the next, and
/// are just the readings' sum when a complete sync has just run.
pub(super) fn totals_are_sums_of_readings(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let mut wrong = Vec::new();
    for programme in now.programmes.keys() {
        let days: Vec<&Totals> = of(now, programme).collect();
        let read: Usd =
            now.readings.iter().filter(|((of, ..), _)| of == programme).map(|(_, reading)| reading.lifetime).sum();
        for pair in days.windows(2).filter(|pair| pair[1].spent < pair[0].spent) {
            wrong.push(format!("{programme} spent {} by {} and less later", pair[0].spent, pair[0].day));
        }
        let Some(latest) = days.last() else { continue };
        if latest.spent > read || (step.synced && latest.spent != read) {
            wrong.push(format!("{programme} spent {} by its totals, {read} by its readings", latest.spent));
        }
        if latest.by_group.values().copied().sum::<Usd>() > latest.spent || latest.claimed > latest.grants {
            wrong.push(format!("the totals of {programme} on {} have more in parts than in all", latest.day));
        }
    }
    for old in step.before.iter().flat_map(|before| &before.totals) {
        let kept = now.totals.iter().find(|new| new.programme == old.programme && new.day == old.day);
        if kept.is_none_or(|new| new.spent < old.spent) {
            wrong.push(format!("the totals of {} on {} are gone or fell", old.programme, old.day));
        }
    }
    wrong
}

/// I5, as far as the table goes: a crossing names a limit that was reached, stays as it is, and owes each recipient one mail if it
/// is told; no alert is owed without one.
pub(super) fn crossings_are_told_once(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let mut wrong = Vec::new();
    for crossing in &now.crossings {
        let Crossing { programme, limit, threshold, spent, .. } = crossing;
        let of = format!("{threshold} % of the {limit} of {programme}");
        let reached = i128::from(spent.micros()) * 100 >= i128::from(limit.micros()) * i128::from(*threshold);
        if !reached || *spent == Usd::ZERO || *spent > most_spent(now, programme) {
            wrong.push(format!("{of} is not reached by {spent}"));
        }
        let told = told(now, programme, *limit, *threshold);
        if told.is_empty() == crossing.told {
            wrong.push(format!("{of} is told: {}, and {} are owed a mail", crossing.told, told.len()));
        }
        if told.iter().collect::<BTreeSet<_>>().len() != told.len() {
            wrong.push(format!("{of} is told somebody twice"));
        }
    }
    for row in &now.outbox {
        let OwedMail::Alert { programme, threshold, of_limit, .. } = &row.mail else { continue };
        let is_its = |crossing: &&Crossing| {
            crossing.programme == *programme && crossing.threshold == *threshold && crossing.limit == *of_limit
        };
        if !now.crossings.iter().any(|crossing| is_its(&crossing)) {
            wrong.push(format!("an alert of {threshold} % of {of_limit} of {programme} has no crossing"));
        }
    }
    for old in step.before.iter().flat_map(|before| &before.crossings) {
        if !now.crossings.contains(old) {
            wrong.push(format!("the crossing of {} % of {} is gone or changed", old.threshold, old.limit));
        }
    }
    wrong
}

/// The recipients of the alerts of a crossing.
fn told(now: &Snapshot, programme: &ProgrammeId, limit: Usd, threshold: u8) -> Vec<String> {
    let recipient = |mail: &OwedMail| match mail {
        OwedMail::Alert { programme: of, threshold: at, of_limit, recipient }
            if of == programme && *at == threshold && *of_limit == limit =>
        {
            Some(recipient.to_string())
        }
        _ => None,
    };
    now.outbox.iter().filter_map(|row| recipient(&row.mail)).collect()
}

fn most_spent(now: &Snapshot, programme: &ProgrammeId) -> Usd {
    of(now, programme).map(|totals| totals.spent).max().unwrap_or_default()
}

/// The totals of a programme, oldest first.
fn of<'a>(now: &'a Snapshot, programme: &'a ProgrammeId) -> impl Iterator<Item = &'a Totals> {
    now.totals.iter().filter(move |totals| totals.programme == *programme)
}
