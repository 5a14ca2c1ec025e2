//! What a step may do to what was there before it. The first check of a watch has no step before
//! it, and so judges nothing here, but for what was asked about foreign keys.

use std::collections::{BTreeMap, BTreeSet};

use bursar_core::domain::audit::{Act, Actor, AuditEntry};
use bursar_core::domain::grant::{Grant, Reading};
use bursar_core::domain::ledger::cut::AccountCut;
use bursar_core::domain::ledger::foreign::ForeignAct;
use bursar_core::domain::ledger::mailed::MailedStatement;
use bursar_core::domain::programme::counts::Stage;
use bursar_core::domain::programme::rules::Tier;
use bursar_core::domain::usage::crossing::Crossing;
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::schema::Stored;
use bursar_core::store::SyncState;
use bursar_core::store::items::Item;
use serde_json::Value;

use super::snapshot::{shown_keys, text};
use super::table::named;
use super::{Snapshot, Step};

/// The kinds of items that stay as they are, each with an attribute that may still change.
const LASTING: [(&str, &str); 4] = [
    (AuditEntry::KIND, "reason"),
    (AccountCut::KIND, ""),
    (MailedStatement::KIND, "queued"),
    (Crossing::KIND, "mails"),
];

/// I10: what a key is recorded to have used never falls. No reading, grant, recorded key, entry,
/// cut, statement or crossing disappears or changes, and nor does the deployment in the names of
/// all keys.
pub(super) fn nothing_is_forgotten(step: &Step<'_>, wrong: &mut Vec<String>) {
    let (now, Some(before)) = (step.now, step.before) else {
        return;
    };
    let born = |moment: &Snapshot| {
        moment
            .meta
            .as_ref()
            .map(|meta| (meta.deployment.clone(), meta.born))
    };
    if born(before).is_some() && born(now) != born(before) {
        wrong.push("the deployment is gone or another".to_owned());
    }
    for (id @ (programme, grant, epoch), old) in &before.readings {
        let keeps = |new: &Reading| {
            let is_less =
                new.lifetime() < old.lifetime() || new.used.byok.total() < old.used.byok.total();
            !is_less && new.as_of >= old.as_of
        };
        if !now.readings.get(id).is_some_and(keeps) {
            let (epoch, was) = (epoch.number(), old.lifetime());
            wrong.push(format!(
                "the reading of {programme}/{grant}, key {epoch}, is gone or fell from {was}"
            ));
        }
    }
    for (id, old) in &before.grants {
        let keeps = |new: &Grant| {
            shown_keys(old)
                .iter()
                .all(|key| shown_keys(new).contains(key))
        };
        if !now.grants.get(id).is_some_and(keeps) {
            wrong.push(format!("{} is gone or forgot a key", named(old)));
        }
    }
    for (key, old) in &before.items {
        let Some((kind, may_change)) = LASTING.iter().find(|(kind, _)| *kind == text(old, "kind"))
        else {
            continue;
        };
        let lasting = |item: &Item| {
            Item::from_iter(
                item.clone()
                    .into_iter()
                    .filter(|(name, _)| name != may_change),
            )
        };
        if now.items.get(key).map(lasting) != Some(lasting(old)) {
            wrong.push(format!(
                "{kind} {} / {} is gone or is not what it was",
                key.0, key.1
            ));
        }
    }
}

/// I16: every change of a grant beyond marks, and of a programme's settings, budget or roster, has
/// its audit entries, and every entry a change.
pub(super) fn changes_have_their_entries(step: &Step<'_>, wrong: &mut Vec<String>) {
    let (now, Some(before)) = (step.now, step.before) else {
        return;
    };
    let known: BTreeSet<_> = before.entries.iter().map(|entry| entry.entry).collect();
    let new: Vec<&AuditEntry> = now
        .entries
        .iter()
        .filter(|entry| !known.contains(&entry.entry))
        .collect();
    let new_on = |programme: &ProgrammeId, grant: Option<&GrantId>| -> Vec<&AuditEntry> {
        let is_on = |entry: &&&AuditEntry| {
            entry.programme.as_ref() == Some(programme) && entry.grant.as_ref() == grant
        };
        // What has mail sent, keeps somebody, or is about a sign-on, has an entry on whom it is
        // for, and changes no grant.
        let is_of_person = |act| {
            [
                Act::MailAllowed,
                Act::Reinvited,
                Act::Reminded,
                Act::RetentionHeld,
                Act::RetentionReleased,
            ]
            .contains(&act)
                || [
                    Act::SignOnBound,
                    Act::SignOnUnbound,
                    Act::AnothersFound,
                    Act::SamePersonFound,
                ]
                .contains(&act)
        };
        new.iter()
            .filter(|entry| grant.is_none() || !is_of_person(entry.what.act))
            .filter(is_on)
            .copied()
            .collect()
    };
    for (id, grant) in &now.grants {
        let told = new_on(&id.0, Some(&id.1)).len();
        let invited = Grant::invited(
            id.0.clone(),
            id.1.clone(),
            grant.person.clone(),
            grant.group.clone(),
        );
        let old = before.grants.get(id).unwrap_or(&invited);
        let is_silent = told == 0 && beyond_marks(old) != beyond_marks(grant);
        if is_silent
            || grant.version < old.version + told as u64
            || (grant.version == old.version && grant != old)
        {
            let (was, is) = (old.version, grant.version);
            wrong.push(format!(
                "{} went from version {was} to {is}, and has {told} new entries",
                named(grant)
            ));
        }
    }
    let invited = new
        .iter()
        .filter(|entry| entry.what.act == Act::Invited)
        .flat_map(|entry| {
            let names = entry.what.note.as_deref().unwrap_or_default().split(' ');
            names.filter_map(|name| Some(format!("{}/{name}", entry.programme.as_ref()?)))
        });
    let invited: BTreeSet<String> = invited.collect();
    let enrolled = now
        .grants
        .keys()
        .filter(|id| !before.grants.contains_key(id));
    let enrolled: BTreeSet<String> = enrolled
        .map(|(programme, grant)| format!("{programme}/{grant}"))
        .collect();
    if invited != enrolled {
        wrong.push(format!(
            "{enrolled:?} are new, and entries tell that {invited:?} were invited"
        ));
    }
    for (id, programme) in &now.programmes {
        let told = new_on(id, None);
        let count = |acts: &[Act]| {
            told.iter()
                .filter(|entry| acts.contains(&entry.what.act))
                .count() as u64
        };
        let (created, edits) = (
            count(&[Act::Created]),
            count(&[
                Act::Edited,
                Act::Closed,
                Act::ErasureBegun,
                Act::RetentionReleased,
            ]),
        );
        let (old, is) = (before.programmes.get(id), programme.version);
        let was = old.map_or(1, |old| old.version);
        let is_other = old.is_some_and(|old| old != programme);
        if created != u64::from(old.is_none()) || is != was + edits || (is_other && edits == 0) {
            wrong.push(format!(
                "programme {id} went from version {was} to {is}, and was edited {edits} times"
            ));
        }
        let Some((old, budget)) = before.budgets.get(id).zip(now.budgets.get(id)) else {
            continue;
        };
        let mut told = told
            .iter()
            .filter(|entry| entry.what.act == Act::BudgetChanged);
        let (from, to) = (old.limit.to_string(), budget.limit.to_string());
        let is_told = match (told.next(), told.next()) {
            (None, _) => from == to,
            (Some(entry), None) => {
                (entry.what.old_value.as_ref(), entry.what.new_value.as_ref())
                    == (Some(&from), Some(&to))
            }
            _ => true,
        };
        if !is_told {
            wrong.push(format!(
                "the budget of {id} went from {from} to {to}, and no entry tells of it"
            ));
        }
    }
}

/// All of a grant that no mark changes.
fn beyond_marks(grant: &Grant) -> impl PartialEq {
    let keys: Vec<_> = shown_keys(grant)
        .into_iter()
        .map(|(number, key)| (number, key.clone()))
        .collect();
    (
        Grant {
            keys: Vec::new(),
            version: 0,
            due_at: None,
            provider_agrees: true,
            backoff: None,
            ends_since: None,
            stage: Stage::Invited,
            ..grant.clone()
        },
        keys,
    )
}

/// I16: each change of the account by a person in this step has its entry, and each entry its
/// change. Several guardrails may be set in the place of one, and one entry may tell of several
/// keys.
pub(super) fn account_changes_have_their_entries(step: &Step<'_>, wrong: &mut Vec<String>) {
    let (now, Some(before)) = (step.now, step.before) else {
        return;
    };
    let new: Vec<_> = now
        .account_entries
        .iter()
        .filter(|new| !before.account_entries.contains(new))
        .collect();
    let account = |of: &Snapshot| of.meta.as_ref()?.account.clone();
    let is_confirmed =
        account(now) != account(before) && account(now).is_some_and(|of| of.listed.is_empty());
    let edits = |of: &Snapshot| of.all().map(|tier: Tier| tier.version).sum::<u64>();
    let steps = |of: &Snapshot| of.all().map(|act: ForeignAct| act.version).sum::<u64>();
    let held = |of: &Snapshot| {
        of.all::<SyncState>()
            .next()?
            .held_back
            .filter(|held| held.release.is_some())
    };
    let is_released =
        held(now).is_some_and(|new| held(before).is_none_or(|old| old.held_at != new.held_at));
    let guardrail =
        |of: &Snapshot, owner| Some(of.guardrails.get(owner)?.remote.as_ref()?.id.clone());
    let guardrails = now
        .guardrails
        .keys()
        .filter(|owner| guardrail(now, owner) != guardrail(before, owner))
        .count() as u64;
    // A key of ours that was taken for a foreign one loses its owner.
    let taken = before
        .key_owners
        .iter()
        .filter(|of| now.foreign_keys.contains_key(&of.key));
    let is_moved = taken.into_iter().any(|of| !now.key_owners.contains(of))
        || now
            .key_owners
            .iter()
            .any(|of| !before.key_owners.contains(of));
    let rows: [(&[Act], u64, bool); 6] = [
        (&[Act::AccountConfirmed], u64::from(is_confirmed), true),
        (
            &[Act::TierEdited],
            edits(now).saturating_sub(edits(before)),
            true,
        ),
        (
            &[Act::ForeignActBegun, Act::ForeignActConcluded],
            steps(now).saturating_sub(steps(before)),
            true,
        ),
        (&[Act::SafetyLimitReleased], u64::from(is_released), true),
        (&[Act::GuardrailSet], guardrails, false),
        (
            &[Act::KeysAssigned, Act::KeysTakenBack],
            u64::from(is_moved),
            false,
        ),
    ];
    for (acts, changes, is_one_by_one) in rows {
        let told = new
            .iter()
            .filter(|entry| acts.contains(&entry.what.act))
            .count() as u64;
        if told < changes || (is_one_by_one && told > changes) {
            wrong.push(format!(
                "{changes} changes are {acts:?}, and {told} account entries say so"
            ));
        }
    }
}

/// I16: nothing was ever asked of the provider for a key that nobody here made, but what an admin
/// pressed by name. The simulator knows what was asked over HTTP, so a second deployment on one
/// account would be judged with this one.
pub(super) fn foreign_keys_are_changed_by_admins_only(step: &Step<'_>, wrong: &mut Vec<String>) {
    let (now, owners) = (step.now, step.now.owners());
    for key in now
        .keys
        .iter()
        .map(|known| &known.key)
        .filter(|key| !owners.contains_key(&*key.hash))
    {
        let named = format!("{} {}", key.hash, key.name);
        for change in &key.asked_changes {
            let pressed = pressed(change);
            let is_it = |entry: &AuditEntry| {
                let is_told = entry.what.act == Act::ForeignActBegun
                    && matches!(entry.actor, Actor::Person(_));
                is_told
                    && entry.what.note.as_deref() == Some(&*named)
                    && entry.what.new_value == pressed
            };
            if pressed.is_none() || !now.account_entries.iter().any(is_it) {
                wrong.push(format!(
                    "the foreign key {} was sent {change}, which no admin pressed",
                    key.hash
                ));
            }
        }
    }
}

/// The words of an audit entry from which a change of a key follows; `None` for changes that no
/// admin can make.
fn pressed(change: &str) -> Option<String> {
    let fields: BTreeMap<String, Value> = serde_json::from_str(change).ok()?;
    let (name, value) = fields.iter().next().filter(|_| fields.len() == 1)?;
    match (name.as_str(), value) {
        ("disabled", Value::Bool(true)) => Some("disabled".to_owned()),
        ("limit", limit) => Some(format!(
            "limit {}",
            Usd::parse_floor(&limit.to_string()).ok()?
        )),
        _ => None,
    }
}
