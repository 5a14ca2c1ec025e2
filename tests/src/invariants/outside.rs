//! What the keys of a programme cost by the provider's own books: what they used, and what the shown ones can
//! still use. The table only says whose a key is and which was shown; no sum of the product is used.

use std::collections::BTreeMap;
use std::fmt;

use bursar_core::domain::audit::Act;
use bursar_core::domain::grant::AttemptState;
use bursar_core::domain::programme::Byok;
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_local::provider::{KeySnapshot, Nano};

use super::Snapshot;
use super::snapshot::ProviderKey;

/// The keys whose plaintext anyone was shown since the watch began, by their hash.
pub(super) type Shown = BTreeMap<String, (ProgrammeId, GrantId)>;

/// What one programme costs at the provider.
#[derive(Debug, Default)]
pub(super) struct Outside {
    /// What all its keys ever used, deleted ones included.
    pub(super) used: Nano,
    /// What the table has recorded of the keys' use.
    pub(super) recorded: Nano,
    /// What is recorded beyond what was used, because a listing was too high or a correction came later. It
    /// lowers no promise.
    pub(super) overstated: Nano,
    /// What shown keys can use in this and later windows, under the largest limit that was sent and the
    /// provider may hold.
    pub(super) open: Nano,
    pub(super) excused: Excuses,
    /// Shown keys without any bound to their use.
    pub(super) boundless: Vec<String>,
}

/// Parts of the cost that are no violation, each an amount from the provider's own history.
#[derive(Debug, Default)]
pub(super) struct Excuses {
    /// Use beyond the limit that was sent, also because a person set a larger one by hand or enabled the key.
    overshot: Nano,
    /// Use that was charged after the key's end and its settling time.
    settled_late: Nano,
    /// Use of a replaced key that no answer by its hash had reported when the next key was made.
    untold: Nano,
    /// Use and open limits of keys that a recovery found.
    recovered: Nano,
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

/// Every programme that has a key. A key belongs to the programme in its name, or to the attempt with its hash
/// when somebody renamed it.
pub(super) fn programmes(now: &Snapshot, shown: &Shown) -> BTreeMap<ProgrammeId, Outside> {
    let mut outside: BTreeMap<ProgrammeId, Outside> = BTreeMap::new();
    let grants = now.grants.iter();
    let recorded: BTreeMap<&str, _> = grants
        .flat_map(|(id, grant)| {
            grant.attempts.iter().filter_map(move |attempt| Some((attempt.key.as_ref()?.as_str(), id)))
        })
        .collect();
    for known in &now.keys {
        let named =
            known.name.as_ref().filter(|name| now.meta.as_ref().is_none_or(|meta| meta.deployment == name.deployment));
        let named = named.map(|name| (name.programme.clone(), name.grant.clone()));
        let Some(owner) = named.or_else(|| recorded.get(known.key.hash.as_str()).map(|id| (*id).clone())) else {
            continue;
        };
        outside.entry(owner.0.clone()).or_default().add(now, shown, known, &owner);
    }
    outside
}

impl Outside {
    fn add(&mut self, now: &Snapshot, shown: &Shown, known: &ProviderKey, owner: &(ProgrammeId, GrantId)) {
        let key = &known.key;
        let byok = now.programmes.get(&owner.0).is_none_or(|programme| programme.settings.byok == Byok::Inside);
        let used = key.usage + if byok { key.byok_usage } else { Nano::ZERO };
        let open = if shown.contains_key(&key.hash) { can_use(now, key) } else { Some(Nano::ZERO) };
        let Some(open) = open else {
            self.boundless.push(key.hash.clone());
            return;
        };
        self.used += used;
        let recorded = recorded(now, key, owner);
        self.recorded += recorded.min(used);
        self.overstated += (recorded - used).max(Nano::ZERO);
        self.open += open;
        let found = now.entries_on(&owner.0, Some(&owner.1));
        if found.into_iter().any(|entry| entry.what.act == Act::Recovered && key.created_at <= entry.at) {
            self.excused.recovered += used + open;
            return;
        }
        self.excused.overshot += key.overshot;
        self.excused.settled_late += key.settled_late;
        let late = key.overshot + key.settled_late;
        self.excused.untold +=
            untold(now, shown, known, owner).map_or(Nano::ZERO, |told| (used - told - late).max(Nano::ZERO));
    }

    pub(super) fn total(&self) -> Nano {
        self.used + self.open
    }
}

impl Excuses {
    pub(super) fn sum(&self) -> Nano {
        let Excuses { overshot, settled_late, untold, recovered } = self;
        *overshot + *settled_late + *untold + *recovered
    }
}

/// The part of a key's use that the table has recorded.
fn recorded(now: &Snapshot, key: &KeySnapshot, owner: &(ProgrammeId, GrantId)) -> Nano {
    let attempts = now.grants.get(owner).map_or(&[][..], |grant| &grant.attempts);
    let attempt = attempts.iter().find(|attempt| attempt.key.as_ref().is_some_and(|hash| hash.as_str() == key.hash));
    let reading = attempt.and_then(|attempt| now.readings.get(&(owner.0.clone(), owner.1.clone(), attempt.epoch)));
    let byok = now.programmes.get(&owner.0).map_or(Byok::Inside, |programme| programme.settings.byok);
    reading.map_or(Nano::ZERO, |reading| Nano::micros(reading.used.counted(byok).micros()))
}

/// What a shown key can still use; `None` where nothing bounds it.
fn can_use(now: &Snapshot, key: &KeySnapshot) -> Option<Nano> {
    let is_over = key.deleted || key.expires_at.is_some_and(|end| end <= now.at);
    if is_over {
        return Some(Nano::ZERO);
    }
    // A limit that a person set by hand is theirs to answer for, so the smaller of that and the one asked for counts.
    let smaller = [key.limit, key.asked_limit].into_iter().flatten().min();
    let held = (key.disabled || key.asked_disabled, smaller);
    let mut possible = vec![held];
    for pending in now.pending_for(&key.hash) {
        let disabled = pending.body["disabled"].as_bool();
        let limit = pending.body.get("limit").map(|limit| Nano::parse(&limit.to_string()));
        let after = possible.iter().map(|(off, held)| (disabled.unwrap_or(*off), limit.unwrap_or(*held)));
        let after: Vec<_> = after.collect();
        possible.extend(after);
    }
    let mut enabled = possible.into_iter().filter(|(off, _)| !off);
    enabled.try_fold(Nano::ZERO, |most, (_, limit)| Some(most.max(under(now, key, limit?)?)))
}

/// What is left of a limit in this window, with the whole of it in each later window that begins before the key
/// expires.
fn under(now: &Snapshot, key: &KeySnapshot, limit: Nano) -> Option<Nano> {
    let mut open = (limit - key.spent_in_window).max(Nano::ZERO);
    if let Some(reset) = key.limit_reset {
        let (expires, mut turn) = (key.expires_at?, reset.end(now.at));
        while turn < expires {
            open += limit;
            turn = reset.end(turn);
        }
    }
    Some(open)
}

/// The use that the provider had reported of a key when the next key of its grant was made, if one was.
fn untold(now: &Snapshot, shown: &Shown, known: &ProviderKey, owner: &(ProgrammeId, GrantId)) -> Option<Nano> {
    let of_grant = now.keys.iter().map(|other| &other.key).filter(|other| shown.get(&other.hash) == Some(owner));
    let later = of_grant.filter(|other| other.created_at > known.key.created_at && shown.contains_key(&known.key.hash));
    let next = later.map(|other| other.created_at).min()?;
    known.told.iter().rev().find(|(at, _)| *at <= next).map(|(_, told)| *told)
}

/// The excuses that are not zero: ` (0.05 overshot, 1 settled late)`.
impl fmt::Display for Excuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Excuses { overshot, settled_late, untold, recovered } = self;
        let all =
            [(overshot, "overshot"), (settled_late, "settled late"), (untold, "untold"), (recovered, "recovered")];
        let some: Vec<String> = all
            .into_iter()
            .filter(|(amount, _)| **amount > Nano::ZERO)
            .map(|(amount, name)| format!("{amount} {name}"))
            .collect();
        if some.is_empty() { Ok(()) } else { write!(f, " (excused: {})", some.join(", ")) }
    }
}
