//! Money. What the keys of a programme cost by the provider's own books is compared with its budget: the table only says whose a key is
//! and which was shown, and no sum of the product is used. Besides, totals, crossings, cuts and statements add up.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::audit::Act;
use bursar_core::domain::grant::AttemptState;
use bursar_core::domain::ledger::cut::AccountCut;
use bursar_core::domain::ledger::mailed::MailedStatement;
use bursar_core::domain::programme::Byok;
use bursar_core::domain::usage::crossing::{Crossing, Scope};
use bursar_core::domain::usage::reading::{DailyUse, Reading};
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::items::Stored;
use bursar_core::store::{CutKeys, OwnedKey};
use bursar_local::provider::{KeySnapshot, Nano};

use super::snapshot::ProviderKey;
use super::{Met, Snapshot, Step};
use crate::faults::Pending;

/// The keys whose plaintext anyone was shown since the watch began, by their hash.
pub(super) type Shown = BTreeMap<String, (ProgrammeId, GrantId)>;
/// The most that each budget may be used and promised: its limit, or what was used and promised when the limit became smaller.
pub(super) type Most = BTreeMap<ProgrammeId, Nano>;

/// What one programme costs at the provider.
#[derive(Default)]
struct Outside {
    /// What all its keys ever used, deleted ones included.
    used: Nano,
    /// What the table has recorded of the keys' use.
    recorded: Nano,
    /// What is recorded beyond what was used, because a listing was too high or a correction came later.
    overstated: Nano,
    /// What shown keys can use in this and later windows, under the largest limit that was sent and the provider may hold.
    open: Nano,
    /// Parts of the cost that are no violation, from the provider's own history.
    excused: BTreeMap<&'static str, Nano>,
    /// Shown keys without any bound to their use.
    boundless: Vec<String>,
}

/// Notes the keys that were shown by now: those of attempts that say so, and every key that an answer really held.
pub(super) fn note_shown(shown: &mut Shown, now: &Snapshot) {
    for (id, grant) in &now.grants {
        let attempts = grant.attempts.iter().filter(|attempt| attempt.state == AttemptState::Shown);
        shown.extend(attempts.filter_map(|attempt| Some((attempt.key.as_ref()?.as_str().to_owned(), id.clone()))));
    }
    for ProviderKey { key, name, .. } in &now.keys {
        if let Some(name) = name.as_ref().filter(|_| now.revealed.contains_key(&key.hash)) {
            shown.entry(key.hash.clone()).or_insert((name.programme.clone(), name.grant.clone()));
        }
    }
}

/// Notes what each budget may come to at the next check.
pub(super) fn note_most(Met { most, shown, .. }: &mut Met, now: &Snapshot) {
    let costs = outside(now, shown);
    for (id, pot) in &now.pots {
        let limit = nano(pot.limit);
        let cost = costs.get(id).map_or(Nano::ZERO, |cost| cost.used + cost.open - cost.excused());
        let before = most.get(id).copied().unwrap_or(limit);
        most.insert(id.clone(), limit.max(cost.max(nano(pot.reserved - pot.assigned)).min(before)));
    }
}

/// I2: what keys of a programme used, and what its shown keys can still use, never exceeds the budget. What is reserved is at least the
/// recorded part of both, and nothing that is taken makes it exceed the budget.
///
/// The first holds at any moment but for amounts that the provider's own history excuses. Where a budget was made smaller, the sum may
/// not grow. Just after a complete sync, which counts again, what is reserved has no excuse.
pub(super) fn budgets_cover_what_keys_cost(step: &Step<'_>, wrong: &mut Vec<String>) {
    let now = step.now;
    let mut costs = outside(now, &step.met.shown);
    for (id, pot) in &now.pots {
        let cost = costs.remove(id).unwrap_or_default();
        let Outside { used, recorded, open, excused, .. } = &cost;
        for key in &cost.boundless {
            wrong.push(format!("key {key} of {id} was shown, and nothing bounds what it can use"));
        }
        let most = step.met.most.get(id).copied().unwrap_or_default().max(nano(pot.limit));
        if *used + *open - cost.excused() > most {
            let limit = pot.limit;
            wrong.push(format!(
                "the keys of {id} used {used} and can still use {open}, of {limit}; excused {excused:?}"
            ));
        }
        let lag = if step.synced { Nano::ZERO } else { cost.excused() };
        let reserved = pot.reserved - pot.assigned;
        if *recorded + *open - lag > nano(reserved) || pot.reserved < Usd::ZERO {
            wrong.push(format!("the keys of {id} used {recorded} on record and can still use {open}, reserved is {reserved}; excused {excused:?}"));
        }
        let Some((before, old)) = step.before.and_then(|before| Some((before, before.pots.get(id)?))) else { continue };
        // Only a recount or a recovery can find more than there was room for, and only what is excused. Nothing bounds foreign keys.
        let recoveries = |of: &Snapshot| {
            of.entries.iter().filter(|entry| entry.programme == *id && entry.what.act == Act::Recovered).count()
        };
        let finds = pot.counted_at != old.counted_at || recoveries(now) > recoveries(before);
        let found = if finds { cost.excused() + cost.overstated } else { Nano::ZERO };
        let most = old.limit.max(pot.limit).max(old.reserved) + (pot.assigned - old.assigned).or_zero();
        // Without a provider the amount to be found is unknown.
        let is_judged = !finds || !now.keys.is_empty();
        if is_judged && nano(pot.reserved) > nano(most) + found {
            let (limit, reserved, was) = (pot.limit, pot.reserved, old.reserved);
            wrong.push(format!("the budget of {id} is {limit} and has reserved {reserved}, {was} before"));
        }
    }
}

/// Every programme that has a key.
fn outside(now: &Snapshot, shown: &Shown) -> BTreeMap<ProgrammeId, Outside> {
    let mut outside: BTreeMap<_, Outside> = BTreeMap::new();
    let owners = now.owners();
    for known in &now.keys {
        if let Some(owner) = owners.get(&*known.key.hash) {
            outside.entry(owner.0.clone()).or_default().add(now, shown, known, owner);
        }
    }
    outside
}

impl Outside {
    fn add(&mut self, now: &Snapshot, shown: &Shown, known: &ProviderKey, owner: &(ProgrammeId, GrantId)) {
        let key = &known.key;
        let byok = now.programmes.get(&owner.0).map_or(Byok::Inside, |programme| programme.settings.byok);
        let used = key.usage + if byok == Byok::Inside { key.byok_usage } else { Nano::ZERO };
        let open = if shown.contains_key(&key.hash) { can_use(now, key) } else { Some(Nano::ZERO) };
        let Some(open) = open else {
            self.boundless.push(key.hash.clone());
            return;
        };
        let attempts = now.grants.get(owner).map_or(&[][..], |grant| &grant.attempts);
        let attempt = attempts.iter().find(|of| of.key.as_ref().is_some_and(|hash| hash.as_str() == key.hash));
        let reading = attempt.and_then(|of| now.readings.get(&(owner.0.clone(), owner.1.clone(), of.epoch)));
        let recorded = reading.map_or(Nano::ZERO, |reading| nano(reading.used.counted(byok)));
        self.used += used;
        self.recorded += recorded.min(used);
        self.overstated += (recorded - used).max(Nano::ZERO);
        self.open += open;
        if now.entries_on(owner).any(|entry| entry.what.act == Act::Recovered && key.created_at <= entry.at) {
            self.excuse("recovered", used + open);
            return;
        }
        self.excuse("beyond the limit that was sent", key.overshot);
        self.excuse("settled late", key.settled_late);
        // A replaced key counts with what an answer by its hash had told when the next key was made.
        let of_grant = now.keys.iter().map(|other| &other.key).filter(|other| shown.get(&other.hash) == Some(owner));
        let later = of_grant.filter(|other| other.created_at > key.created_at && shown.contains_key(&key.hash));
        if let Some(next) = later.map(|other| other.created_at).min()
            && let Some((_, told)) = known.told.iter().rev().find(|(at, _)| *at <= next)
        {
            self.excuse("untold", (used - *told - key.overshot - key.settled_late).max(Nano::ZERO));
        }
    }

    fn excuse(&mut self, why: &'static str, amount: Nano) {
        if amount > Nano::ZERO {
            *self.excused.entry(why).or_default() += amount;
        }
    }

    fn excused(&self) -> Nano {
        self.excused.values().copied().sum()
    }
}

/// What a shown key can still use in this window and in each later one that begins before it expires; `None` where nothing bounds it.
fn can_use(now: &Snapshot, key: &KeySnapshot) -> Option<Nano> {
    if key.deleted || key.expires_at.is_some_and(|end| end <= now.at) {
        return Some(Nano::ZERO);
    }
    // A limit that a person set by hand is theirs to answer for, so the smaller of that and the one asked for counts.
    let smaller = [key.limit, key.asked_limit].into_iter().flatten().min();
    let mut possible = vec![(key.disabled || key.asked_disabled, smaller)];
    let path = format!("/keys/{}", key.hash);
    let is_it = |of: &&Pending| of.path == path && &*of.call.name.operation == "PATCH /keys/{hash}";
    for pending in now.pending.iter().filter(is_it) {
        let disabled = pending.body["disabled"].as_bool();
        let limit = pending.body.get("limit").map(|limit| Nano::parse(&limit.to_string()));
        let after = possible.iter().map(|(off, held)| (disabled.unwrap_or(*off), limit.unwrap_or(*held)));
        possible.extend(after.collect::<Vec<_>>());
    }
    let under = |limit: Nano| {
        let mut open = (limit - key.spent_in_window).max(Nano::ZERO);
        if let Some(reset) = key.limit_reset {
            let (expires, mut turn) = (key.expires_at?, reset.end(now.at));
            while turn < expires {
                open += limit;
                turn = reset.end(turn);
            }
        }
        Some(open)
    };
    let mut enabled = possible.into_iter().filter(|(off, _)| !off);
    enabled.try_fold(Nano::ZERO, |most, (_, limit)| Some(most.max(under(limit?)?)))
}

fn nano(amount: Usd) -> Nano {
    Nano::micros(amount.micros())
}

/// I10: totals never exceed the readings, and never fall from one moment to the next. Just after a complete sync they equal the
/// readings' sum.
pub(super) fn totals_are_sums_of_readings(step: &Step<'_>, wrong: &mut Vec<String>) {
    for totals in &step.now.totals {
        let programme = &totals.programme;
        let mut read = DailyUse::default();
        let readings = step.now.readings.values().filter(|reading| reading.programme == *programme);
        readings.for_each(|reading| read.add(&reading.used));
        let (spent, of_readings) = (all(&totals.used), all(&read));
        if spent > of_readings || (step.synced && totals.used != read) {
            wrong.push(format!("{programme} spent {spent} by its totals, {of_readings} by its readings"));
        }
        if totals.by_group.values().map(all).sum::<Usd>() > spent || totals.claimed > totals.grants {
            wrong.push(format!("the totals of {programme} have more in parts than in all"));
        }
    }
    for old in step.before.iter().flat_map(|before| &before.totals) {
        let kept = step.now.totals.iter().find(|new| new.programme == old.programme);
        if kept.is_none_or(|new| all(&new.used) < all(&old.used)) {
            wrong.push(format!("the totals of {} are gone or fell", old.programme));
        }
    }
}

fn all(used: &DailyUse) -> Usd {
    used.counted(Byok::Inside)
}

/// I5: each crossing names a limit that was reached. That it stays is judged with I10, its mails in `mails`.
pub(super) fn crossings_were_reached(step: &Step<'_>, wrong: &mut Vec<String>) {
    let now = step.now;
    for crossing in &now.crossings {
        let Crossing { programme, limit, threshold, spent, scope, .. } = crossing;
        // What was reserved at that time is not on record; the budget itself must have had money left.
        let is_reached = match scope {
            Scope::Reserved => spent < limit,
            _ => {
                *spent > Usd::ZERO
                    && i128::from(spent.micros()) * 100 >= i128::from(limit.micros()) * i128::from(*threshold)
            }
        };
        let is_it = |old: &Crossing| old.key() == crossing.key();
        let is_new = step.before.is_none_or(|before| !before.crossings.iter().any(is_it));
        let used: Vec<&DailyUse> = match scope {
            Scope::Cap(grant) => {
                let is_theirs = |of: &&Reading| of.programme == *programme && of.grant == *grant;
                now.readings.values().filter(is_theirs).map(|reading| &reading.used).collect()
            }
            _ => {
                let own = now.totals.iter().filter(|totals| totals.programme == *programme).map(|totals| &totals.used);
                own.chain(now.assigned_uses.get(programme).map(|of| &of.used)).collect()
            }
        };
        let most: Usd = used.into_iter().map(all).sum();
        // What counted then may count no more, once foreign keys were taken back.
        if !is_reached || (is_new && *spent > most) {
            wrong.push(format!("{threshold} % of the {limit} of {programme} is not reached by {spent}"));
        }
    }
}

/// I15: every number in the table is whole, and no use is negative. The parts of each cut add up to what the account had spent, and
/// those of a mailed statement to its change. What a programme's keys spent never shrinks from one cut to the next.
pub(super) fn amounts_are_whole_and_add_up(step: &Step<'_>, wrong: &mut Vec<String>) {
    let now = step.now;
    for ((pk, sk), item) in &now.items {
        for (name, value) in item {
            if let Some(number) = broken_number(value) {
                wrong.push(format!("{pk} / {sk}: {name} has the number {number}"));
            }
        }
    }
    for reading in now.readings.values() {
        let (lifetime, in_window) = (all(&reading.used), reading.in_window);
        if lifetime < Usd::ZERO || in_window < Usd::ZERO || in_window > lifetime {
            let (programme, grant) = (&reading.programme, &reading.grant);
            wrong.push(format!("a reading of {programme}/{grant} is {in_window} in its window of {lifetime}"));
        }
    }
    let cuts: Vec<AccountCut> = now.all().collect();
    for cut in &cuts {
        let keys: Usd = cut.programmes.iter().map(|of| of.used.credits).sum();
        let parts = keys + cut.foreign + cut.opening + cut.residual + cut.unsettled;
        if parts != cut.spent.after || cut.unsettled < Usd::ZERO {
            let (at, spent) = (cut.as_of, cut.spent.after);
            wrong.push(format!("the parts of the cut of {at} are {parts}, and the account had spent {spent}"));
        }
    }
    for (before, after) in cuts.iter().zip(cuts.iter().skip(1)) {
        let changes =
            now.all().filter(|keys: &CutKeys| keys.as_of == after.as_of).flat_map(|keys| keys.changes().unwrap());
        let used: Usd = changes.map(|change| change.after.credits - change.before.credits).sum();
        if used != after.foreign - before.foreign {
            wrong.push(format!("the foreign keys of the cut of {} used {used} since the one before", after.as_of));
        }
        for was in &before.programmes {
            let is = after.programmes.iter().find(|is| is.programme == was.programme);
            if is.is_none_or(|is| is.used.credits < was.used.credits) {
                wrong.push(format!("{} had spent more by the cut of {} than by the next", was.programme, before.as_of));
            }
        }
    }
    for of in now.all::<MailedStatement>() {
        if of.statement(&of.rows.iter().collect::<Vec<_>>()).total() != of.change {
            wrong.push(format!("the statement of {} does not add up to {}", of.month, of.change));
        }
    }
}

fn broken_number(value: &AttributeValue) -> Option<&str> {
    match value {
        AttributeValue::N(number) => number.parse::<i64>().is_err().then_some(number),
        AttributeValue::L(list) => list.iter().find_map(broken_number),
        AttributeValue::M(map) => map.values().find_map(broken_number),
        _ => None,
    }
}

/// I15: what foreign keys used counts for the programme that owns them, and in its budget. Just after a complete sync that is the sum
/// over the keys; before, the readings of the night may be ahead of it.
pub(super) fn foreign_keys_count_for_their_owners(step: &Step<'_>, wrong: &mut Vec<String>) {
    let now = step.now;
    let mut sums: BTreeMap<&ProgrammeId, (DailyUse, u32)> = BTreeMap::new();
    for owner in &now.key_owners {
        let Some(key) = now.foreign_keys.get(&owner.key).filter(|_| now.programmes.contains_key(&owner.owner)) else {
            wrong.push(format!("{} owns {}, and one of them is not there", owner.owner, owner.key));
            continue;
        };
        let owned = OwnedKey { owner: owner.clone(), key: key.clone() };
        let sum = sums.entry(&owner.owner).or_default();
        sum.0.add(&owned.counted().counted);
        sum.1 += 1;
    }
    for (id, pot) in &now.pots {
        let byok = now.programmes.get(id).map_or(Byok::default(), |programme| programme.settings.byok);
        let (read, keys) = sums.remove(id).unwrap_or_default();
        let (used, of) = now.assigned_uses.get(id).map(|of| (of.used.clone(), of.keys)).unwrap_or_default();
        let is_other = of != keys || all(&used) > all(&read) || (step.synced && used != read);
        let counted = used.counted(byok);
        if is_other || counted != pot.assigned || pot.assigned > pot.reserved {
            let (of_keys, assigned) = (all(&read), pot.assigned);
            wrong.push(format!(
                "{keys} foreign keys of {id} used {of_keys}, {counted} counts, and its budget has {assigned}"
            ));
        }
    }
}
