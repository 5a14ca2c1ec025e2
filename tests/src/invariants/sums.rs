//! Sums and what follows from them: totals compared with readings, and crossings with totals.

use bursar_core::domain::programme::Byok;
use bursar_core::domain::usage::crossing::{Crossing, Scope};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::money::Usd;

use super::{Snapshot, Step};

/// I10, of sums: totals never exceed the readings, and never fall from one moment to the next. Just after a
/// complete sync they equal the readings' sum.
pub(super) fn totals_are_sums_of_readings(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let mut wrong = Vec::new();
    for totals in &now.totals {
        let programme = &totals.programme;
        let mut read = DailyUse::default();
        let readings = now.readings.iter().filter(|((of, ..), _)| of == programme);
        readings.for_each(|(_, reading)| read.add(&reading.used));
        let (spent, of_readings) = (all(&totals.used), all(&read));
        if spent > of_readings || (step.synced && totals.used != read) {
            wrong.push(format!("{programme} spent {spent} by its totals, {of_readings} by its readings"));
        }
        let in_groups: Usd = totals.by_group.values().map(all).sum();
        if in_groups > spent || totals.claimed > totals.grants {
            wrong.push(format!("the totals of {programme} have more in parts than in all"));
        }
    }
    for old in step.before.iter().flat_map(|before| &before.totals) {
        let kept = now.totals.iter().find(|new| new.programme == old.programme);
        if kept.is_none_or(|new| all(&new.used) < all(&old.used)) {
            wrong.push(format!("the totals of {} are gone or fell", old.programme));
        }
    }
    wrong
}

/// I5, of crossings: each names a limit that was reached, and does not change. Its mails are judged in `mails`.
pub(super) fn crossings_were_reached_and_stay(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let mut wrong = Vec::new();
    for crossing in &now.crossings {
        let Crossing { programme, limit, threshold, spent, .. } = crossing;
        let of = format!("{threshold} % of the {limit} of {programme}");
        // What was reserved at that time is not on record; the pot itself must have had money left.
        let reached = match crossing.scope {
            Scope::Reserved => spent < limit,
            Scope::Pot | Scope::Cap(_) => {
                let share = i128::from(limit.micros()) * i128::from(*threshold);
                *spent > Usd::ZERO && i128::from(spent.micros()) * 100 >= share
            }
        };
        // Foreign keys that were taken back are not counted any more.
        let is_new = step.before.is_none_or(|before| !before.crossings.iter().any(|old| is_same(old, crossing)));
        if !reached || (is_new && *spent > most_spent(now, crossing)) {
            wrong.push(format!("{of} is not reached by {spent}"));
        }
    }
    for old in step.before.iter().flat_map(|before| &before.crossings) {
        // A mail of it may be sent again by hand.
        let stays = |new: &Crossing| {
            let told = new.mails.iter().filter(|told| told.by_hand.is_none() || old.mails.contains(told));
            Crossing { mails: told.cloned().collect(), ..new.clone() } == *old
        };
        if !now.crossings.iter().any(stays) {
            wrong.push(format!("the crossing of {} % of {} is gone or changed", old.threshold, old.limit));
        }
    }
    wrong
}

/// Whether two crossings are of the same threshold of the same limit.
fn is_same(one: &Crossing, other: &Crossing) -> bool {
    (&one.programme, &one.scope, one.window, one.limit, one.threshold)
        == (&other.programme, &other.scope, other.window, other.limit, other.threshold)
}

/// What the limit's owner has spent by now: a programme by its totals, a student by the readings.
fn most_spent(now: &Snapshot, crossing: &Crossing) -> Usd {
    let programme = &crossing.programme;
    match &crossing.scope {
        Scope::Pot | Scope::Reserved => {
            let totals = now.totals.iter().find(|totals| totals.programme == *programme);
            let assigned = now.assigned_uses.get(programme).map_or(Usd::ZERO, |assigned| all(&assigned.used));
            totals.map_or(Usd::ZERO, |totals| all(&totals.used)) + assigned
        }
        Scope::Cap(grant) => {
            let readings = now.readings.iter().filter(|((of, whose, _), _)| of == programme && whose == grant);
            readings.map(|(_, reading)| all(&reading.used)).sum()
        }
    }
}

fn all(used: &DailyUse) -> Usd {
    used.counted(Byok::Inside)
}
