//! The keys at the provider compared with what the table says of them. Without a provider to read, only the
//! keys in answers are judged.

use std::collections::{BTreeMap, BTreeSet};

use bursar_core::domain::audit::{Act, AuditDetail};
use bursar_core::domain::grant::{AttemptState, GRACE, GrantState, LEASE, SwitchState};
use bursar_core::domain::values::id::{GrantId, KeyName, ProgrammeId};
use jiff::SignedDuration;

use super::snapshot::ProviderKey;
use super::table::named;
use super::{Snapshot, Step};

/// The age at which a press forgets an attempt that made nothing, even if no sync was complete since.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(48);

/// I1: of the keys of a grant whose plaintext anyone was shown, at most one is enabled. Shown are the keys of
/// attempts that say so, and every key that an answer really held. The provider's state counts at once, which
/// is stricter than assumption A1.
pub(super) fn one_shown_key_is_enabled(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let mut enabled: BTreeMap<&(ProgrammeId, GrantId), Vec<&str>> = BTreeMap::new();
    for ProviderKey { key, .. } in now.keys.iter().filter(|known| now.is_enabled(&known.key)) {
        if let Some(grant) = step.shown.get(&key.hash) {
            enabled.entry(grant).or_default().push(&key.hash);
        }
    }
    let too_many = enabled.into_iter().filter(|(_, keys)| keys.len() > 1);
    too_many
        .map(|((programme, grant), keys)| {
            format!("of grant {programme}/{grant} {} shown keys are enabled: {}", keys.len(), keys.join(", "))
        })
        .collect()
}

/// I3: every enabled key of this deployment is a grant's live key, or the table knows of it in a way that ends
/// it. Either its disable is ordered, or it was shown to nobody and the sync sweeps it after the grace. The
/// sync sweeps keys of attempts that were not shown, have another key, or were forgotten.
///
/// At any moment, a key without any attempt is wrong, and so is a shown key that is neither live nor ordered
/// off. Only just after a complete sync can be judged that an old attempt was swept, and that a disabled key
/// still is.
pub(super) fn every_enabled_key_is_accounted_for(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let Some(meta) = &now.meta else { return Vec::new() };
    let mut wrong = Vec::new();
    for ProviderKey { key, name, .. } in &now.keys {
        let Some(name) = name.as_ref().filter(|name| name.deployment == meta.deployment && now.is_enabled(key)) else {
            continue;
        };
        if let Err(why) = accounted_for(step, name, &key.hash) {
            wrong.push(format!("key {} ({name}) is enabled, but {why}", key.hash));
        }
    }
    wrong
}

fn accounted_for(step: &Step<'_>, name: &KeyName, hash: &str) -> Result<(), &'static str> {
    let now = step.now;
    let grant = now.grants.get(&(name.programme.clone(), name.grant.clone())).ok_or("its grant is not there")?;
    let attempt = grant.attempt(name.epoch).filter(|attempt| attempt.nonce == name.nonce);
    let Some(attempt) = attempt else {
        let may_be = is_forgotten(step, name) && !step.synced && !step.shown.contains_key(hash);
        return may_be.then_some(()).ok_or("no attempt was written down before it was made");
    };
    if attempt.key.as_ref().is_some_and(|key| key.as_str() != hash) {
        // A POST that was executed twice made this key, and it was shown to nobody.
        let is_swept = step.synced && now.at >= attempt.begun_at + GRACE;
        let may_be = !is_swept && !step.shown.contains_key(hash);
        return may_be.then_some(()).ok_or("its attempt has another key");
    }
    let is_live = grant.live().is_some_and(|live| live.epoch == attempt.epoch);
    if step.synced && attempt.gone.is_some() {
        return Err("it is said to be gone, and a complete sync left it so");
    }
    match attempt.switch {
        SwitchState::OffOrdered { .. } => Ok(()),
        SwitchState::Off { .. } if step.synced => Err("it was disabled, and a complete sync left it so"),
        SwitchState::Off { .. } => Ok(()),
        SwitchState::On | SwitchState::OnOrdered { .. } if is_live && grant.holds.is_empty() => Ok(()),
        SwitchState::OnOrdered { .. } => Err("it is owed an enable, and nobody may use it"),
        SwitchState::On if attempt.state == AttemptState::Shown => Err("it is not live, and nobody owes its disable"),
        SwitchState::On if step.synced && now.at >= attempt.begun_at + GRACE => {
            Err("nobody was shown it, its attempt is older than the grace, and a complete sync left it so")
        }
        SwitchState::On => Ok(()),
    }
}

/// Whether an attempt of this number began so long ago that the next one forgot it, as one that made nothing.
fn is_forgotten(step: &Step<'_>, name: &KeyName) -> bool {
    let number = format!("attempt {}", name.epoch.number());
    let began = |what: &AuditDetail| {
        what.act == Act::Begun && what.note.iter().any(|note| note.split(';').next() == Some(&*number))
    };
    let mut entries = step.now.entries_on(&name.programme, Some(&name.grant));
    entries.any(|entry| began(&entry.what) && step.now.at >= entry.at + FORGOTTEN_AFTER)
}

/// I6: a live grant names a key that the provider has. Only an act of a person, a rule, the programme's end, a
/// replacement, a recovery or the provider ends that state; sweeping does not.
///
/// Only just after a complete sync can be judged that the key was enabled when it was last listed. A key that
/// was deleted is excused from that, since it must be missed twice, over an hour apart.
pub(super) fn live_is_ended_by_nobody_in_passing(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let mut wrong = Vec::new();
    for (id, grant) in &now.grants {
        let GrantState::Live { key } = &grant.state else { continue };
        if !now.keys.is_empty() && now.key(key).is_none() {
            wrong.push(format!("{} names key {key}, which the provider never made", named(grant)));
        }
        let listed = now.key(key).filter(|listed| listed.disabled && !listed.deleted);
        let is_just_resumed = |resumed| now.at < resumed + LEASE;
        let about_to_be = grant.live().is_some_and(|live| {
            matches!(live.switch, SwitchState::OnOrdered { .. }) || live.resumed_at.is_some_and(is_just_resumed)
        });
        if step.synced && grant.holds.is_empty() && listed.is_some() && !about_to_be {
            wrong.push(format!("{} names key {key}, which is disabled, and a complete sync left it so", named(grant)));
        }
        let before = step.before.and_then(|before| before.grants.get(id));
        if let Some(GrantState::Live { key: old }) = before.map(|before| &before.state)
            && old != key
            && !ended_properly(step, id)
        {
            wrong.push(format!("{} has another live key than before, and no replacement began", named(grant)));
        }
    }
    let Some(before) = step.before else { return wrong };
    for (id, grant) in &before.grants {
        let still = now.grants.get(id).is_some_and(|grant| matches!(grant.state, GrantState::Live { .. }));
        if matches!(grant.state, GrantState::Live { .. }) && !still && !ended_properly(step, id) {
            wrong.push(format!("{} is not live any more, and nobody ended it", named(grant)));
        }
    }
    wrong
}

fn ended_properly(step: &Step<'_>, (programme, grant): &(ProgrammeId, GrantId)) -> bool {
    let known: BTreeSet<_> = step.before.iter().flat_map(|before| &before.entries).map(|entry| entry.entry).collect();
    let mut new = step.now.entries_on(programme, Some(grant)).filter(|entry| !known.contains(&entry.entry));
    // Another cap, of the grant or of its group, may leave less than a cent.
    new.any(|entry| {
        let by_cap = matches!(entry.what.act, Act::CapChanged | Act::Moved | Act::Released);
        by_cap || matches!(entry.what.act, Act::Begun | Act::Stopped | Act::Revoked | Act::Ended | Act::Recovered)
    })
}

/// I7: a key that an answer held is recorded as shown. One moment cannot prove that the record was committed before
/// the answer left, only that there is a record once there is an answer.
pub(super) fn what_was_shown_is_recorded(step: &Step<'_>) -> Vec<String> {
    let unrecorded = step.now.revealed.keys().filter(|hash| !is_recorded(step.now, hash));
    unrecorded.map(|hash| format!("an answer shows key {hash}, which no attempt records as shown")).collect()
}

fn is_recorded(now: &Snapshot, hash: &str) -> bool {
    let mut attempts = now.grants.values().flat_map(|grant| &grant.attempts);
    attempts.any(|attempt| {
        attempt.state == AttemptState::Shown && attempt.key.as_ref().is_some_and(|key| key.as_str() == hash)
    })
}
