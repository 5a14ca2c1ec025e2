//! Sums and what is concluded from them: totals against readings, crossings against totals.

use bursar_core::domain::crossing::Crossing;
use bursar_core::domain::id::ProgrammeId;
use bursar_core::domain::money::Usd;
use bursar_core::store::items::Totals;

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

/// I5, of crossings: each names a limit that was reached, and stays as it is. Who is mailed because of it is judged in `mails`.
pub(super) fn crossings_were_reached_and_stay(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let mut wrong = Vec::new();
    for crossing in &now.crossings {
        let Crossing { programme, limit, threshold, spent, .. } = crossing;
        let of = format!("{threshold} % of the {limit} of {programme}");
        let reached = i128::from(spent.micros()) * 100 >= i128::from(limit.micros()) * i128::from(*threshold);
        if !reached || *spent == Usd::ZERO || *spent > most_spent(now, programme) {
            wrong.push(format!("{of} is not reached by {spent}"));
        }
    }
    for old in step.before.iter().flat_map(|before| &before.crossings) {
        if !now.crossings.contains(old) {
            wrong.push(format!("the crossing of {} % of {} is gone or changed", old.threshold, old.limit));
        }
    }
    wrong
}

fn most_spent(now: &Snapshot, programme: &ProgrammeId) -> Usd {
    of(now, programme).map(|totals| totals.spent).max().unwrap_or_default()
}

/// The totals of a programme, oldest first.
fn of<'a>(now: &'a Snapshot, programme: &'a ProgrammeId) -> impl Iterator<Item = &'a Totals> {
    now.totals.iter().filter(move |totals| totals.programme == *programme)
}
