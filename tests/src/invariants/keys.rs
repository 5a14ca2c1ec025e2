//! The keys at the provider compared with what the table says of them.

use std::collections::{BTreeMap, BTreeSet};

use bursar_core::domain::audit::{Act, AuditEntry};
use bursar_core::domain::grant::{GRACE, Grant, GrantState, LEASE, Stopped};
use bursar_core::domain::values::id::{GrantId, KeyName, ProgrammeId};
use bursar_local::provider::KeySnapshot;

use super::snapshot::{recorded, shown_keys};
use super::table::named;
use super::{Snapshot, Step};

/// I1: of the keys of a grant whose plaintext anyone was shown, at most one is enabled. Shown are
/// the keys of which the audit says so, and every key that an answer really held.
pub(super) fn one_shown_key_is_enabled(step: &Step<'_>, wrong: &mut Vec<String>) {
    let mut enabled: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for key in step
        .now
        .keys
        .iter()
        .map(|known| &known.key)
        .filter(|key| step.now.is_enabled(key))
    {
        if let Some(grant) = step.shown.get(&key.hash) {
            enabled.entry(grant).or_default().push(&key.hash);
        }
    }
    for ((programme, grant), keys) in enabled.into_iter().filter(|(_, keys)| keys.len() > 1) {
        wrong.push(format!(
            "of grant {programme}/{grant} {} shown keys are enabled: {keys:?}",
            keys.len()
        ));
    }
}

/// I3: every enabled key of this deployment is one that its student may use, or one that is about
/// to end: a disable of its grant is due, or nobody was shown it and a claim may still be at it.
/// Only just after a complete sync can be judged that an old one was swept, and that a disabled one
/// still is.
pub(super) fn every_enabled_key_is_accounted_for(step: &Step<'_>, wrong: &mut Vec<String>) {
    let Some(meta) = &step.now.meta else { return };
    for known in step
        .now
        .keys
        .iter()
        .filter(|known| step.now.is_enabled(&known.key))
    {
        let Some(name) = known
            .name
            .as_ref()
            .filter(|name| name.deployment == meta.deployment)
        else {
            continue;
        };
        if let Err(why) = accounted_for(step, name, &known.key) {
            wrong.push(format!(
                "key {} ({name}) is enabled, but {why}",
                known.key.hash
            ));
        }
    }
}

fn accounted_for(step: &Step<'_>, name: &KeyName, key: &KeySnapshot) -> Result<(), &'static str> {
    let now = step.now;
    let id = (name.programme.clone(), name.grant.clone());
    let grant = now.grants.get(&id).ok_or("its grant is not there")?;
    let told: Vec<&AuditEntry> = now.told_of(&id, name.epoch).collect();
    let begun = told
        .iter()
        .find(|entry| matches!(entry.what.act, Act::Begun | Act::Recovered));
    let begun = begun.ok_or("nothing was written down before it was made")?;
    if now
        .usable(grant)
        .is_some_and(|live| live.as_str() == key.hash)
    {
        return Ok(());
    }
    let is_young = now.at < begun.recorded_at + GRACE;
    // What the provider said to be gone, or does not switch off in time, the next sync finds.
    let is_said_to_be_off = key.asked_disabled
        || grant.state
            == GrantState::Stopped {
                why: Stopped::GoneAtProvider,
            };
    match step.shown.contains_key(&key.hash) {
        false if is_young || !step.synced => Ok(()),
        _ if now.is_to_end_one(grant) || (is_said_to_be_off && !step.synced) => Ok(()),
        true => Err("it may not be used, and nobody is to disable it"),
        false => Err("its claim is long over, and a complete sync left it so"),
    }
}

/// I6: a live grant names a key that the provider has. Only a person, a rule, the programme's end,
/// a replacement, a recovery or the provider ends that state. Just after a complete sync the key is
/// enabled as well, unless an enable is due or in doubt, or it was deleted, which must be missed
/// twice.
pub(super) fn live_is_ended_by_nobody_in_passing(step: &Step<'_>, wrong: &mut Vec<String>) {
    let now = step.now;
    for grant in now.grants.values() {
        let GrantState::Live { key } = &grant.state else {
            continue;
        };
        let at_provider = now.key(key);
        if !now.keys.is_empty() && at_provider.is_none() {
            wrong.push(format!(
                "{} names key {key}, which the provider never made",
                named(grant)
            ));
        }
        let is_confirmed = grant.live().is_some_and(|live| live.enabled.is(&true));
        let about_to_be = !is_confirmed
            || now
                .entries_on(&id_of(grant))
                .any(|entry| now.at < entry.recorded_at + LEASE);
        let is_off = at_provider.is_some_and(|listed| listed.disabled && !listed.deleted);
        if step.synced && now.usable(grant).is_some() && is_off && !about_to_be {
            wrong.push(format!(
                "{} names key {key}, which is disabled, and a complete sync left it so",
                named(grant)
            ));
        }
    }
    let Some(before) = step.before else { return };
    for (id, old) in before
        .grants
        .iter()
        .filter(|(_, old)| matches!(old.state, GrantState::Live { .. }))
    {
        let is_same = now
            .grants
            .get(id)
            .is_some_and(|grant| grant.state == old.state);
        let ends = |act: Act| {
            matches!(act, Act::Begun | Act::Stopped | Act::Revoked | Act::Ended)
                || matches!(act, Act::ReservationGivenBack | Act::Recovered)
        };
        let mut new = now
            .entries_on(id)
            .filter(|entry| !before.entries.contains(entry));
        if !is_same && !new.any(|entry| ends(entry.what.act)) {
            wrong.push(format!(
                "{} is not live with that key any more, and nobody ended it",
                named(old)
            ));
        }
    }
}

/// I7: a key that an answer held is recorded as shown. One moment cannot prove that the record was
/// committed before the answer left.
pub(super) fn what_was_shown_is_recorded(step: &Step<'_>, wrong: &mut Vec<String>) {
    let shown: BTreeSet<&str> = shown(step.now).map(|(hash, _)| hash).collect();
    for hash in step
        .now
        .revealed
        .keys()
        .filter(|hash| !shown.contains(hash.as_str()))
    {
        wrong.push(format!(
            "an answer shows key {hash}, which is not recorded as shown"
        ));
    }
}

/// The recorded keys of which the audit says that they were shown, or that they were found after
/// the table went back.
pub(super) fn shown(now: &Snapshot) -> impl Iterator<Item = (&str, &(ProgrammeId, GrantId))> {
    now.grants.iter().flat_map(|(id, grant)| {
        let was_shown = |number| {
            let mut told = now.told_of(id, number);
            told.any(|entry| matches!(entry.what.act, Act::Shown | Act::Recovered))
        };
        let shown = shown_keys(grant)
            .into_iter()
            .filter(move |(number, _)| was_shown(*number));
        shown.map(move |(_, hash)| (hash.as_str(), id))
    })
}

/// I11: a revoked grant stays revoked, and none of its recorded keys is enabled, but for one that
/// is about to be disabled and, until a complete sync, one that a late call enabled after its
/// disable.
pub(super) fn revoked_is_terminal(step: &Step<'_>, wrong: &mut Vec<String>) {
    let (now, is_revoked) = (step.now, |grant: &Grant| grant.state == GrantState::Revoked);
    for (id, grant) in &now.grants {
        let was_revoked = step
            .before
            .and_then(|before| before.grants.get(id))
            .is_some_and(is_revoked);
        if was_revoked && !is_revoked(grant) {
            wrong.push(format!("{} was revoked", named(grant)));
        }
        if !is_revoked(grant) || now.is_to_end_one(grant) {
            continue;
        }
        let keys = recorded(grant)
            .filter_map(|(_, key)| now.key(key))
            .filter(|key| now.is_enabled(key));
        for key in keys.filter(|key| step.synced || !key.asked_disabled) {
            wrong.push(format!("{} has the enabled key {}", named(grant), key.hash));
        }
    }
}

fn id_of(grant: &Grant) -> (ProgrammeId, GrantId) {
    (grant.programme.clone(), grant.id.clone())
}
