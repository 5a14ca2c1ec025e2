//! Money: what keys cost at the provider against their pot and its counter, and amounts that are whole numbers.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::audit::Act;
use bursar_core::domain::programme::{Byok, Pot};
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::money::Usd;
use bursar_local::provider::Nano;

use super::outside::{self, Outside, Shown};
use super::{Snapshot, Step};

/// The most that each pot may be used and promised: its limit, or what was used and promised when the limit
/// became smaller. That includes limits that were not sent yet, and places of grants without a key.
pub(super) type Most = BTreeMap<ProgrammeId, Nano>;

/// I2: what keys of a programme used, and what its shown keys can still use, never exceeds the pot. The pot's
/// counter is at least the recorded part of both, and a new place never takes it above the pot.
///
/// The first holds at any moment but for amounts that the provider's own history excuses (`outside::Excuses`).
/// Where a pot was made smaller, the sum may not grow. Just after a complete sync, which counts again, the
/// counter has no excuse. Without a provider to read, only the counter is judged.
pub(super) fn pots_cover_what_keys_cost(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let mut wrong = Vec::new();
    let mut costs = outside::programmes(now, step.shown);
    for (id, pot) in &now.pots {
        let cost = costs.remove(id).unwrap_or_default();
        let Outside { used, recorded, overstated, open, excused, boundless } = &cost;
        wrong.extend(
            boundless.iter().map(|key| format!("key {key} of {id} was shown, and nothing bounds what it can use")),
        );
        if pot.reserved < Usd::ZERO {
            wrong.push(format!("the pot of {id} has reserved {}", pot.reserved));
        }
        let most = step.most.get(id).copied().unwrap_or_default().max(nano(pot.limit));
        if cost.total() - excused.sum() > most {
            let pot = pot.limit;
            wrong.push(format!("the keys of {id} used {used} and can still use {open}{excused}, of a pot of {pot}"));
        }
        let lag = if step.synced { Nano::ZERO } else { excused.sum() };
        let counted = pot.reserved - pot.assigned;
        if *recorded + *open - lag > nano(counted) {
            wrong.push(format!(
                "the keys of {id} used {recorded} on record and can still use {open}{excused}, its pot counts {counted}"
            ));
        }
        wrong.extend(step.before.and_then(|before| grew_beyond(step, before, id, pot, excused.sum() + *overstated)));
    }
    wrong
}

/// Notes what each pot may come to at the next check.
pub(super) fn note_most(most: &mut Most, now: &Snapshot, shown: &Shown) {
    let costs = outside::programmes(now, shown);
    for (id, pot) in &now.pots {
        let limit = nano(pot.limit);
        let cost = costs.get(id).map_or(Nano::ZERO, |cost| cost.total() - cost.excused.sum());
        let before = most.get(id).copied().unwrap_or(limit);
        most.insert(id.clone(), limit.max(cost.max(nano(pot.reserved - pot.assigned)).min(before)));
    }
}

/// A counter above its pot by more than a recount or a recovery can find.
fn grew_beyond(step: &Step<'_>, before: &Snapshot, id: &ProgrammeId, pot: &Pot, can_be_found: Nano) -> Option<String> {
    let old = before.pots.get(id)?;
    // Nothing bounds what foreign keys spend.
    let by_foreign_keys = (pot.assigned - old.assigned).or_zero();
    let most = old.limit.max(pot.limit).max(old.reserved) + by_foreign_keys;
    // Without a provider the amount to be found is unknown.
    let finds = pot.counted_at != old.counted_at || recoveries(step.now, id) > recoveries(before, id);
    let most = nano(most) + if finds { can_be_found } else { Nano::ZERO };
    let is_judged = !finds || !step.now.keys.is_empty();
    (is_judged && nano(pot.reserved) > most).then(|| {
        let Pot { limit, reserved, .. } = pot;
        format!("the pot of {id} is {limit} and has reserved {reserved}, {} before", old.reserved)
    })
}

fn recoveries(moment: &Snapshot, id: &ProgrammeId) -> usize {
    let entries = moment.entries.iter().filter(|entry| entry.programme == *id);
    entries.filter(|entry| entry.what.act == Act::Recovered).count()
}

fn nano(amount: Usd) -> Nano {
    Nano::micros(amount.micros())
}

/// I15: every number in the table is whole, and no amount that a person has or spends is negative.
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

fn numbers_in<'a>(value: &'a AttributeValue, numbers: &mut Vec<&'a str>) {
    match value {
        AttributeValue::N(number) => numbers.push(number),
        AttributeValue::Ns(list) => numbers.extend(list.iter().map(String::as_str)),
        AttributeValue::L(list) => list.iter().for_each(|value| numbers_in(value, numbers)),
        AttributeValue::M(map) => map.values().for_each(|value| numbers_in(value, numbers)),
        _ => {}
    }
}
