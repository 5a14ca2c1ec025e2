//! Money: what pots have reserved against what grants reserve, and amounts that are whole numbers.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::audit::Act;
use bursar_core::domain::grant::{Grant, Place};
use bursar_core::domain::id::ProgrammeId;
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::{Byok, Pot};

use super::{Snapshot, Step};

/// I2: what a pot's counter says is reserved is at least the sum of what its grants reserve, and never grows beyond the pot.
///
/// The first half holds at any moment but for what the counter cannot know before the sync counts anew: use beyond a cap, use
/// that is recorded when its grant's place was already given back or is given back in the same step. Those amounts are noted as
/// they arise (`note_lag`) and excused until the counter covers them.
/// The second half needs the moment before, since a pot may be made smaller than what is reserved of it.
pub(super) fn reserved_is_enough_and_within_the_pot(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let mut wrong = Vec::new();
    for (id, pot) in &now.pots {
        let (sum, excused) = (sum_of(now, id), step.lag.get(id).copied().unwrap_or_default());
        if sum > pot.reserved + excused {
            let lag = if excused > Usd::ZERO { format!(" and {excused} are excused") } else { String::new() };
            wrong.push(format!("the grants of {id} reserve {sum}, its pot counts {}{lag}", pot.reserved));
        }
        if pot.reserved < Usd::ZERO {
            wrong.push(format!("the pot of {id} has reserved {}", pot.reserved));
        }
        if let Some(before) = step.before.and_then(|before| before.pots.get(id))
            && pot.reserved > most_allowed(before, pot)
            // What was spent beyond a cap is counted when the sync counts anew, also when the pot has no room for it.
            && (pot.counted_at == before.counted_at || pot.reserved > sum)
            // A key that can be spent from is counted, also one that the table had forgotten.
            && !(recovers(step, id) && pot.reserved <= sum + excused)
        {
            let Pot { limit, reserved, .. } = pot;
            wrong.push(format!("the pot of {id} is {limit} and has reserved {reserved}, {} before", before.reserved));
        }
    }
    wrong
}

/// I15: every number in the table is a whole one, and no amount that a person has or spends is negative.
pub(super) fn amounts_are_whole_numbers(step: &Step<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((pk, sk), item) in &step.now.items {
        for (name, value) in item {
            let mut numbers = Vec::new();
            numbers_in(value, &mut numbers);
            for number in numbers.into_iter().filter(|number| number.parse::<i64>().is_err()) {
                wrong.push(format!("{pk} / {sk}: {name} has the number {number}"));
            }
        }
    }
    for ((programme, grant, epoch), reading) in &step.now.readings {
        let (lifetime, in_window) = (reading.used.counted(Byok::Inside), reading.in_window);
        if lifetime < Usd::ZERO || in_window < Usd::ZERO || in_window > lifetime {
            let of = format!("{programme}/{grant}, attempt {}", epoch.number());
            wrong.push(format!("the reading of {of} is {in_window} in its window of {lifetime}"));
        }
    }
    wrong
}

/// Adds what the counters cannot know: by how much each grant reserves more only because readings or the time changed, be it as it
/// was before the step or as it is after it.
pub(super) fn note_lag(lag: &mut BTreeMap<ProgrammeId, Usd>, before: &Snapshot, now: &Snapshot) {
    for (id, old) in &before.grants {
        let grants = [Some(old), now.grants.get(id)];
        let growth = |grant: &Grant| reserved_in(now, now, grant) - reserved_in(now, before, grant);
        let growth = grants.into_iter().flatten().map(growth).max().unwrap_or_default();
        if growth > Usd::ZERO {
            *lag.entry(id.0.clone()).or_default() += growth;
        }
    }
}

/// Excuses no more than is needed: what the counter has caught up with is not excused again.
pub(super) fn forget_lag(lag: &mut BTreeMap<ProgrammeId, Usd>, now: &Snapshot) {
    for (id, excused) in lag {
        let counted = now.pots.get(id).map_or(Usd::ZERO, |pot| pot.reserved);
        *excused = (*excused).min((sum_of(now, id) - counted).or_zero());
    }
}

fn sum_of(now: &Snapshot, programme: &ProgrammeId) -> Usd {
    now.grants.values().filter(|grant| grant.programme == *programme).map(|grant| reserved_in(now, now, grant)).sum()
}

/// What the grant would reserve with the settings of one moment, and the readings and the time of another.
fn reserved_in(set: &Snapshot, read: &Snapshot, grant: &Grant) -> Usd {
    let Some(programme) = set.programmes.get(&grant.programme) else { return Usd::ZERO };
    let (readings, settings) = (read.readings_of(grant), &programme.settings);
    let read_until = set.pots.get(&grant.programme).and_then(|pot| pot.counted_at);
    Place { grant, readings: &readings, settings, read_until }.cost(read.at)
}

/// Whether keys that the table had forgotten were recorded again in this step.
fn recovers(step: &Step<'_>, programme: &ProgrammeId) -> bool {
    let recovered = |moment: &Snapshot| {
        let entries = moment.entries.iter().filter(|entry| entry.programme == *programme);
        entries.filter(|entry| entry.what.act == Act::Recovered).count()
    };
    step.before.is_some_and(|before| recovered(step.now) > recovered(before))
}

/// How much may be reserved now: the pot, or what was reserved of it before it became smaller.
fn most_allowed(before: &Pot, now: &Pot) -> Usd {
    before.limit.max(now.limit).max(before.reserved)
}

fn numbers_in<'a>(value: &'a AttributeValue, numbers: &mut Vec<&'a str>) {
    match value {
        AttributeValue::N(number) => numbers.push(number),
        AttributeValue::Ns(list) => numbers.extend(list.iter().map(String::as_str)),
        AttributeValue::L(list) => list.iter().for_each(|value| numbers_in(value, numbers)),
        AttributeValue::M(map) => map.values().for_each(|value| numbers_in(value, numbers)),
        _ => {}
    }
}
