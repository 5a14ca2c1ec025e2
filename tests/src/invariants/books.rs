//! Money. What the keys of a programme cost by the provider's own books is compared with its
//! budget: the table only says whose a key is and which was shown, and no sum of the product is
//! used. Besides, totals, crossings and cuts add up.

use std::collections::BTreeMap;

use bursar_core::domain::audit::Act;
use bursar_core::domain::ledger::cut::{AccountCut, LifetimeUse, ProgrammeCut};
use bursar_core::domain::programme::Byok;
use bursar_core::domain::programme::counts::{Counts, RosterCounts, Stage};
use bursar_core::domain::usage::crossing::{Crossing, Scope};
use bursar_core::domain::usage::reading::{DailyUse, is_used};
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{KeptTotals, Totals};
use bursar_local::provider::{KeySnapshot, Nano};

use super::snapshot::{ProviderKey, recorded};
use super::table::named;
use super::{Snapshot, Step, keys};
use crate::faults::Pending;

/// The keys whose plaintext anyone was shown since the watch began, by their hash.
pub(super) type Shown = BTreeMap<String, (ProgrammeId, GrantId)>;

/// What one programme costs at the provider.
#[derive(Debug, Default)]
struct Outside {
    /// What all its keys ever used, deleted ones included.
    used: Nano,
    /// What the table has recorded of the keys' use.
    recorded: Nano,
    /// What shown keys can use in this and later windows, under the largest limit that was sent and
    /// the provider may hold.
    open: Nano,
    /// What is no violation, by the provider's own history: what was recovered, used beyond the
    /// limit that was sent, settled late, or not yet told by the provider when a key was replaced.
    excused: Nano,
    /// What shown keys can use that somebody else enabled, or gave another limit.
    by_hand: Nano,
    /// Shown keys without any bound to their use.
    boundless: Vec<String>,
}

/// Notes the keys that were shown by now: those of which the audit says so, and every key that an
/// answer really held.
pub(super) fn note_shown(shown: &mut Shown, now: &Snapshot) {
    shown.extend(keys::shown(now).map(|(hash, id)| (hash.to_owned(), id.clone())));
    for ProviderKey { key, name, .. } in &now.keys {
        if let Some(name) = name
            .as_ref()
            .filter(|_| now.revealed.contains_key(&key.hash))
        {
            shown
                .entry(key.hash.clone())
                .or_insert((name.programme.clone(), name.grant.clone()));
        }
    }
}

/// I2: what keys of a programme used, and what its shown keys can still use, never exceeds the
/// budget. What is reserved is at least the recorded part of both, and no act reserves more than
/// the budget, either.
///
/// The first holds at any moment but for amounts that the provider's own history excuses. Just
/// after a complete sync, which counts again, what is reserved has no excuse.
pub(super) fn budgets_cover_what_keys_cost(step: &Step<'_>, wrong: &mut Vec<String>) {
    let (now, owners) = (step.now, step.now.owners());
    let mut costs: BTreeMap<&ProgrammeId, Outside> = BTreeMap::new();
    for known in &now.keys {
        if let Some(owner) = owners.get(&*known.key.hash) {
            costs.entry(&owner.0).or_default().add(step, known, owner);
        }
    }
    for (id, budget) in &now.budgets {
        let cost = costs.remove(id).unwrap_or_default();
        let (limit, reserved) = (budget.limit, budget.reserved - budget.assigned);
        for key in &cost.boundless {
            wrong.push(format!(
                "key {key} of {id} was shown, and nothing bounds what it can use"
            ));
        }
        if cost.used + cost.open - cost.excused > nano(limit) {
            wrong.push(format!("the keys of {id} cost more than {limit}: {cost:?}"));
        }
        // What is taken while a run counts may count twice until the next run. Even then nobody
        // takes more.
        let is_taken = step.before.is_none_or(|earlier| {
            let before = earlier.budgets.get(id);
            // Clocks of tests stand still, so a count of that very instant may have come since.
            before.is_none_or(|before| {
                before.counted_at == budget.counted_at
                    && budget
                        .counted_at
                        .is_none_or(|counted_at| counted_at < earlier.at)
                    && before.limit - before.reserved > limit - budget.reserved
            })
        });
        if (step.synced || is_taken) && nano(reserved) - cost.excused - cost.by_hand > nano(limit) {
            wrong.push(format!(
                "of {id} {reserved} is reserved of {limit}: {cost:?}"
            ));
        }
        let lag = if step.synced {
            Nano::ZERO
        } else {
            cost.excused
        };
        if cost.recorded + cost.open - lag > nano(reserved) || budget.reserved < Usd::ZERO {
            wrong.push(format!(
                "reserved for the keys of {id} is {reserved}, and they cost {cost:?}"
            ));
        }
    }
}

/// After a complete sync the counts of a roster are those of its grants.
pub(super) fn rosters_are_counted(step: &Step<'_>, wrong: &mut Vec<String>) {
    let counts: Vec<RosterCounts> = if step.synced {
        step.now.all().collect()
    } else {
        Vec::new()
    };
    for RosterCounts {
        programme, counts, ..
    } in counts
    {
        let mut counted = Counts {
            freed: counts.freed,
            ..Counts::default()
        };
        for grant in step
            .now
            .grants
            .values()
            .filter(|grant| grant.programme == programme)
        {
            counted.add(grant, 1);
            if is_used(&step.now.readings_of(grant)) != (grant.stage == Stage::Used) {
                wrong.push(format!(
                    "{} is at the stage {}",
                    named(grant),
                    grant.stage.as_str()
                ));
            }
        }
        if counts != counted {
            wrong.push(format!(
                "{programme} has {counted:?}, and is counted as {counts:?}"
            ));
        }
    }
}

impl Outside {
    fn add(&mut self, step: &Step<'_>, known: &ProviderKey, owner: &(ProgrammeId, GrantId)) {
        let (now, shown, key) = (step.now, step.shown, &known.key);
        let byok = now
            .programmes
            .get(&owner.0)
            .map_or(Byok::Inside, |programme| programme.settings.basis.byok);
        let used = key.usage
            + if byok == Byok::Inside {
                key.byok_usage
            } else {
                Nano::ZERO
            };
        let is_shown = shown.contains_key(&key.hash);
        let Some(open) = (if is_shown {
            can_use(now, key)
        } else {
            Some(Nano::ZERO)
        }) else {
            self.boundless.push(key.hash.clone());
            return;
        };
        let mut recorded = now.grants.get(owner).into_iter().flat_map(recorded);
        let number = recorded
            .find(|(_, hash)| hash.as_str() == key.hash)
            .map(|(number, _)| number);
        let reading = number.and_then(|number| {
            now.readings
                .get(&(owner.0.clone(), owner.1.clone(), number))
        });
        let recorded = reading.map_or(Nano::ZERO, |reading| nano(reading.used.counted(byok)));
        let is_by_hand = key.disabled != key.asked_disabled || key.limit != key.asked_limit;
        if is_shown && is_by_hand {
            self.by_hand += key.limit.max(key.asked_limit).unwrap_or_default();
        }
        self.used += used;
        self.recorded += recorded.min(used);
        self.open += open;
        if now
            .entries_on(owner)
            .any(|entry| entry.what.act == Act::Recovered && key.created_at <= entry.recorded_at)
        {
            self.excused += used + open;
            return;
        }
        self.excused += key.overshot + key.settled_late;
        // A replaced key counts with what an answer by its hash had told when the next key was
        // made.
        let of_grant = now
            .keys
            .iter()
            .map(|other| &other.key)
            .filter(|other| shown.get(&other.hash) == Some(owner));
        let later = of_grant
            .map(|other| other.created_at)
            .filter(|made| is_shown && *made > key.created_at);
        if let Some(next) = later.min()
            && let Some((_, told)) = known.told.iter().rev().find(|(at, _)| *at <= next)
        {
            self.excused += (used - *told - key.overshot - key.settled_late).max(Nano::ZERO);
        }
    }
}

/// What a shown key can still use in this window and in each later one that begins before it
/// expires; `None` where nothing bounds it.
fn can_use(now: &Snapshot, key: &KeySnapshot) -> Option<Nano> {
    if key.deleted || key.expires_at.is_some_and(|end| end <= now.at) {
        return Some(Nano::ZERO);
    }
    // A limit that a person set by hand is theirs to answer for, so the smaller of that and the one
    // asked for counts.
    let smaller = [key.limit, key.asked_limit].into_iter().flatten().min();
    let mut possible = vec![(key.disabled || key.asked_disabled, smaller)];
    let path = format!("/keys/{}", key.hash);
    let is_it = |of: &&Pending| of.path == path && &*of.call.name.operation == "PATCH /keys/{hash}";
    for pending in now.pending.iter().filter(is_it) {
        let disabled = pending.body["disabled"].as_bool();
        let limit = pending
            .body
            .get("limit")
            .map(|limit| Nano::parse(&limit.to_string()));
        let after = possible
            .iter()
            .map(|(off, held)| (disabled.unwrap_or(*off), limit.unwrap_or(*held)));
        possible.extend(after.collect::<Vec<_>>());
    }
    let under = |limit: Nano| {
        let mut open = (limit - key.spent_in_window).max(Nano::ZERO);
        if let Some(reset) = key.limit_reset {
            let (expires, mut turn) = (key.expires_at?, reset.end(*now.at));
            while turn < *expires {
                open += limit;
                turn = reset.end(turn);
            }
        }
        Some(open)
    };
    let mut enabled = possible.into_iter().filter(|(off, _)| !off);
    enabled.try_fold(Nano::ZERO, |most, (_, limit)| {
        Some(most.max(under(limit?)?))
    })
}

fn nano(amount: Usd) -> Nano {
    Nano::micros(amount.micros())
}

/// I10: totals never exceed the readings, and never fall from one moment to the next. Just after a
/// complete sync they equal the readings' sum.
pub(super) fn totals_are_sums_of_readings(step: &Step<'_>, wrong: &mut Vec<String>) {
    let totals = |of: &Snapshot| {
        of.all()
            .map(|kept: KeptTotals| kept.totals)
            .collect::<Vec<Totals>>()
    };
    let now = totals(step.now);
    for Totals {
        programme, used, ..
    } in &now
    {
        let mut read = DailyUse::default();
        let readings = step
            .now
            .readings
            .values()
            .filter(|reading| reading.programme == *programme);
        readings.for_each(|reading| read.add(&reading.used));
        let (spent, of_readings) = (all(used), all(&read));
        if spent > of_readings || (step.synced && *used != read) {
            wrong.push(format!(
                "{programme} spent {spent} by its totals, {of_readings} by its readings"
            ));
        }
    }
    for old in step.before.map(totals).unwrap_or_default() {
        let kept = now.iter().find(|new| new.programme == old.programme);
        if kept.is_none_or(|new| all(&new.used) < all(&old.used)) {
            wrong.push(format!("the totals of {} are gone or fell", old.programme));
        }
    }
}

fn all(used: &DailyUse) -> Usd {
    used.counted(Byok::Inside)
}

/// I5: each crossing names a limit that was reached. That it stays is judged with I10, its mails in
/// `mails`.
pub(super) fn crossings_were_reached(step: &Step<'_>, wrong: &mut Vec<String>) {
    for Crossing {
        programme,
        limit,
        threshold,
        spent,
        scope,
        ..
    } in &step.now.crossings
    {
        let per_cent = |of: &Usd, share: u8| i128::from(of.micros()) * i128::from(share);
        // What was reserved at that time is not on record; the budget itself must have had money
        // left.
        let is_reached = match scope {
            Scope::Reserved => spent < limit,
            // A cap is used up with less than a cent left of it.
            Scope::Cap(_) if *threshold == 100 => *limit - *spent < Usd::CENT,
            _ => *spent > Usd::ZERO && per_cent(spent, 100) >= per_cent(limit, *threshold),
        };
        if !is_reached {
            wrong.push(format!(
                "{threshold} % of the {limit} of {programme} is not reached by {spent}"
            ));
        }
    }
}

/// I15: the parts of each cut add up to what the account had spent. What foreign keys used counts
/// for the programme that owns them, and in its budget. Just after a complete sync that is the sum
/// over the keys; before, the readings of the night may be ahead of it.
pub(super) fn cuts_add_up_and_foreign_keys_count_for_their_owners(
    step: &Step<'_>,
    wrong: &mut Vec<String>,
) {
    let now = step.now;
    for cut in now.all::<AccountCut>() {
        let parts = cut.ours() + cut.foreign + cut.opening + cut.residual + cut.unsettled;
        if parts != cut.spent.after || cut.unsettled < Usd::ZERO {
            let (at, spent) = (cut.as_of, cut.spent.after);
            wrong.push(format!(
                "the parts of the cut of {at} are {parts}, and the account had spent {spent}"
            ));
        }
    }
    // The newest cut has of each owner what its keys used by then.
    let newest = now
        .all::<AccountCut>()
        .max_by_key(|cut| cut.as_of)
        .filter(|_| step.synced);
    for ProgrammeCut {
        programme,
        assigned,
        ..
    } in newest.into_iter().flat_map(|cut| cut.programmes)
    {
        let mut owned = LifetimeUse::default();
        for owner in now
            .key_owners
            .iter()
            .filter(|owner| owner.owner == programme)
        {
            if let Some(key) = now.foreign_keys.get(&owner.key) {
                owned += owner.share(LifetimeUse::sum(&key.used));
            }
        }
        if assigned != owned {
            wrong.push(format!(
                "the newest cut has {assigned:?} of the keys that {programme} owns, which used {owned:?}"
            ));
        }
    }
    let mut sums: BTreeMap<&ProgrammeId, (DailyUse, u32)> = BTreeMap::new();
    for owner in &now.key_owners {
        let Some(key) = now
            .foreign_keys
            .get(&owner.key)
            .filter(|_| now.programmes.contains_key(&owner.owner))
        else {
            wrong.push(format!(
                "{} owns {}, and one of them is not there",
                owner.owner, owner.key
            ));
            continue;
        };
        let sum = sums.entry(&owner.owner).or_default();
        sum.0.add(&owner.counted(&key.used));
        sum.1 += u32::from(owner.is_now());
    }
    for (id, budget) in &now.budgets {
        let byok = now
            .programmes
            .get(id)
            .map_or(Byok::default(), |programme| programme.settings.basis.byok);
        let (read, keys) = sums.remove(id).unwrap_or_default();
        let (used, of) = now
            .assigned_uses
            .get(id)
            .map(|of| (of.used.clone(), of.keys))
            .unwrap_or_default();
        let is_other = of != keys || all(&used) > all(&read) || (step.synced && used != read);
        let counted = used.counted(byok);
        if is_other || counted != budget.assigned || budget.assigned > budget.reserved {
            let (of_keys, assigned) = (all(&read), budget.assigned);
            wrong.push(format!(
                "{keys} foreign keys of {id} used {of_keys}, {counted} counts, and its budget has {assigned}"
            ));
        }
    }
}
