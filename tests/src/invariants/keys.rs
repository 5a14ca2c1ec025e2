//! The keys at the provider compared with what the table says of them.

use std::collections::{BTreeMap, BTreeSet};

use bursar_core::domain::audit::Act;
use bursar_core::domain::grant::{AttemptState, GRACE, Grant, GrantState, LEASE, SwitchState};
use bursar_core::domain::values::id::KeyName;
use jiff::SignedDuration;

use super::Step;
use super::table::named;

/// The age at which a request forgets an attempt that made nothing, even if no sync was complete since.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(48);

/// I1: of the keys of a grant whose plaintext anyone was shown, at most one is enabled. Shown are the keys of
/// attempts that say so, and every key that an answer really held.
pub(super) fn one_shown_key_is_enabled(step: &Step<'_>, wrong: &mut Vec<String>) {
    let mut enabled: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for key in step.now.keys.iter().map(|known| &known.key).filter(|key| step.now.is_enabled(key)) {
        if let Some(grant) = step.shown.get(&key.hash) {
            enabled.entry(grant).or_default().push(&key.hash);
        }
    }
    for ((programme, grant), keys) in enabled.into_iter().filter(|(_, keys)| keys.len() > 1) {
        wrong.push(format!("of grant {programme}/{grant} {} shown keys are enabled: {keys:?}", keys.len()));
    }
}

/// I3: every enabled key of this deployment is a grant's live key, or the table knows of it in a way that ends it. At any moment a
/// key without any attempt is wrong, and so is a shown key that is neither live nor ordered off. Only just after a complete sync can be
/// judged that an old attempt was swept, and that a disabled key still is.
pub(super) fn every_enabled_key_is_accounted_for(step: &Step<'_>, wrong: &mut Vec<String>) {
    let Some(meta) = &step.now.meta else { return };
    for known in step.now.keys.iter().filter(|known| step.now.is_enabled(&known.key)) {
        let Some(name) = known.name.as_ref().filter(|name| name.deployment == meta.deployment) else { continue };
        if let Err(why) = accounted_for(step, name, &known.key.hash) {
            wrong.push(format!("key {} ({name}) is enabled, but {why}", known.key.hash));
        }
    }
}

fn accounted_for(step: &Step<'_>, name: &KeyName, hash: &str) -> Result<(), &'static str> {
    let now = step.now;
    let id = (name.programme.clone(), name.grant.clone());
    let grant = now.grants.get(&id).ok_or("its grant is not there")?;
    let was_shown = step.shown.contains_key(hash);
    let Some(attempt) = grant.attempt(name.epoch).filter(|attempt| attempt.nonce == name.nonce) else {
        // The next attempt forgets one that made nothing.
        let number = format!("attempt {}", name.epoch.number());
        let is_forgotten = now.entries_on(&id).any(|entry| {
            let is_it = entry.what.note.iter().any(|note| note.split(';').next() == Some(&*number));
            entry.what.act == Act::Begun && is_it && now.at >= entry.at + FORGOTTEN_AFTER
        });
        let may_be = is_forgotten && !step.synced && !was_shown;
        return may_be.then_some(()).ok_or("no attempt was written down before it was made");
    };
    let is_old = step.synced && now.at >= attempt.begun_at + GRACE;
    if attempt.key.as_ref().is_some_and(|key| key.as_str() != hash) {
        // A POST that was executed twice made this key.
        return (!is_old && !was_shown).then_some(()).ok_or("its attempt has another key");
    }
    let is_live = grant.live().is_some_and(|live| live.epoch == attempt.epoch);
    match attempt.switch {
        _ if step.synced && attempt.gone.is_some() => Err("it is said to be gone, and a complete sync left it so"),
        SwitchState::Off { .. } if step.synced => Err("it was disabled, and a complete sync left it so"),
        SwitchState::OffOrdered { .. } | SwitchState::Off { .. } => Ok(()),
        SwitchState::On | SwitchState::OnOrdered { .. } if is_live && grant.holds.is_empty() => Ok(()),
        SwitchState::OnOrdered { .. } => Err("it is owed an enable, and nobody may use it"),
        SwitchState::On if attempt.state == AttemptState::Shown => Err("it is not live, and nobody owes its disable"),
        SwitchState::On if is_old => Err("its attempt is older than the grace, and a complete sync left it so"),
        SwitchState::On => Ok(()),
    }
}

/// I6: a live grant names a key that the provider has. Only a person, a rule, the programme's end, a replacement, a recovery or the
/// provider ends that state. Just after a complete sync the key is enabled as well, unless it was deleted, which must be missed twice.
pub(super) fn live_is_ended_by_nobody_in_passing(step: &Step<'_>, wrong: &mut Vec<String>) {
    let now = step.now;
    for grant in now.grants.values() {
        let GrantState::Live { key } = &grant.state else { continue };
        let at_provider = now.key(key);
        if !now.keys.is_empty() && at_provider.is_none() {
            wrong.push(format!("{} names key {key}, which the provider never made", named(grant)));
        }
        let about_to_be = grant.live().is_some_and(|live| {
            let is_just_resumed = live.resumed_at.is_some_and(|resumed| now.at < resumed + LEASE);
            matches!(live.switch, SwitchState::OnOrdered { .. }) || is_just_resumed
        });
        let is_off = at_provider.is_some_and(|listed| listed.disabled && !listed.deleted);
        if step.synced && grant.holds.is_empty() && is_off && !about_to_be {
            wrong.push(format!("{} names key {key}, which is disabled, and a complete sync left it so", named(grant)));
        }
    }
    let Some(before) = step.before else { return };
    for (id, old) in before.grants.iter().filter(|(_, old)| matches!(old.state, GrantState::Live { .. })) {
        let is_same = now.grants.get(id).is_some_and(|grant| grant.state == old.state);
        // Another cap, of the grant or of its group, may leave less than a cent.
        let ends = |act: Act| {
            matches!(act, Act::CapChanged | Act::Moved | Act::Released)
                || matches!(act, Act::Begun | Act::Stopped | Act::Revoked | Act::Ended | Act::Recovered)
        };
        let mut new = now.entries_on(id).filter(|entry| !before.entries.contains(entry));
        if !is_same && !new.any(|entry| ends(entry.what.act)) {
            wrong.push(format!("{} is not live with that key any more, and nobody ended it", named(old)));
        }
    }
}

/// I7: a key that an answer held is recorded as shown. One moment cannot prove that the record was committed before the answer left.
pub(super) fn what_was_shown_is_recorded(step: &Step<'_>, wrong: &mut Vec<String>) {
    let attempts = step.now.grants.values().flat_map(|grant| &grant.attempts);
    let shown = attempts.filter(|of| of.state == AttemptState::Shown).filter_map(|of| Some(of.key.as_ref()?.as_str()));
    let shown: BTreeSet<&str> = shown.collect();
    for hash in step.now.revealed.keys().filter(|hash| !shown.contains(hash.as_str())) {
        wrong.push(format!("an answer shows key {hash}, which no attempt records as shown"));
    }
}

/// I11: a revoked grant stays revoked, and none of its recorded keys is enabled, but for one with an ordered disable and, until a
/// complete sync, one that a late call enabled after its disable.
pub(super) fn revoked_is_terminal(step: &Step<'_>, wrong: &mut Vec<String>) {
    let (now, is_revoked) = (step.now, |grant: &Grant| grant.state == GrantState::Revoked);
    for (id, grant) in &now.grants {
        let was_revoked = step.before.and_then(|before| before.grants.get(id)).is_some_and(is_revoked);
        if was_revoked && !is_revoked(grant) {
            wrong.push(format!("{} was revoked", named(grant)));
        }
        for attempt in grant.attempts.iter().filter(|_| is_revoked(grant)) {
            let is_excused = match attempt.switch {
                SwitchState::On | SwitchState::OnOrdered { .. } => false,
                SwitchState::OffOrdered { .. } => true,
                SwitchState::Off { .. } => !step.synced,
            };
            let key = attempt.key.as_ref().and_then(|key| now.key(key)).filter(|key| now.is_enabled(key));
            if let Some(key) = key.filter(|_| !is_excused) {
                wrong.push(format!("{} has the enabled key {}", named(grant), key.hash));
            }
        }
    }
}
