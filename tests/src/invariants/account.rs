//! I5, I15 and I16 for the account. Each recipient has one mail of an alarm, a digest or a statement. Cuts and
//! mailed statements add up. A change by an admin has its audit entry.

use std::collections::{BTreeMap, BTreeSet};

use bursar_core::domain::audit::{AccountEntry, Act, Actor};
use bursar_core::domain::ledger::mailed::MailedStatement;
use bursar_core::domain::ledger::owner::KeyOwner;
use bursar_core::domain::programme::rule_set::RuleSet;
use bursar_core::domain::values::id::PersonId;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{HeldBack, OUTBOX_KEPT, QueuedMail};
use jiff::civil::Date;

use super::snapshot::ProviderKey;
use super::{Snapshot, Step};

/// I5: the alarms, digests and statements have one outbox row for each recipient that they count as notified so far, and no
/// others. Each row belongs to one of them that exists. Rows expire after ninety days, so this holds
/// for shorter tests only.
pub(super) fn alarms_and_digests_are_owed_once_to_each(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let mut owed: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for row in &now.outbox {
        let (what, recipient) = match &row.mail {
            QueuedMail::Account { day, alarm, recipient } => (named_alarm(*day, alarm), recipient),
            QueuedMail::Digest { programme, week, recipient } => (named_digest(programme.as_str(), *week), recipient),
            QueuedMail::AccountDigest { week, recipient } => (named_digest("the account", *week), recipient),
            QueuedMail::Statement { month, recipient } => (named_statement(*month), recipient),
            _ => continue,
        };
        owed.entry(what).or_default().push(recipient.as_str());
    }
    let alarms = now.alarms.iter();
    let alarms = alarms.map(|alarm| (named_alarm(alarm.day, &alarm.name()), &alarm.recipients, alarm.queued));
    let digests = now.digests.iter();
    let digests = digests.map(|of| (named_digest(of.programme.as_str(), of.week), &of.recipients, of.queued));
    let accounts = now.account_digests.iter();
    let accounts = accounts.map(|of| (named_digest("the account", of.week), &of.recipients, of.queued));
    let statements = now.mailed_statements.iter().filter(|of| now.at < of.mailed_at + OUTBOX_KEPT);
    let statements = statements.map(|of| (named_statement(of.month), &of.recipients, of.queued));
    let mut wrong = Vec::new();
    for (what, recipients, told) in alarms.chain(digests).chain(accounts).chain(statements) {
        let mut rows = owed.remove(&what).unwrap_or_default();
        rows.sort_unstable();
        let told = usize::try_from(told).unwrap_or(usize::MAX);
        let mut expected: Vec<_> = recipients.iter().take(told).map(PersonId::as_str).collect();
        expected.sort_unstable();
        if rows != expected {
            let (rows, expected) = (rows.len(), expected.len());
            wrong.push(format!("{what} is owed to {rows}, and {expected} are to be told so far"));
        }
    }
    wrong.extend(owed.keys().map(|what| format!("an outbox row is of {what}, which is not there")));
    wrong
}

fn named_alarm(day: Date, name: &str) -> String {
    format!("the alarm {name} of {day}")
}

fn named_digest(of: &str, week: Date) -> String {
    format!("the digest of {of} for {week}")
}

fn named_statement(month: Date) -> String {
    format!("the statement of {month}")
}

/// I15: a mailed statement adds up to the account's change. It stays as it was, but for mails that were still to be queued.
pub(super) fn mailed_statements_add_up_and_stay(step: &Step<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for of in &step.now.mailed_statements {
        let rows: Vec<_> = of.rows.iter().collect();
        if of.statement(&rows).total() != of.change {
            wrong.push(format!("{} does not add up to {}", named_statement(of.month), of.change));
        }
    }
    for was in step.before.into_iter().flat_map(|before| &before.mailed_statements) {
        let stays = |is: &MailedStatement| MailedStatement { queued: was.queued, ..is.clone() } == *was;
        if !step.now.mailed_statements.iter().any(stays) {
            wrong.push(format!("{} is gone or is not what it was", named_statement(was.month)));
        }
    }
    wrong
}

/// I15: the parts of each cut add up to what the account had spent, and no cut changes. No part is negative
/// that cannot be. What a programme's keys spent never shrinks from one cut to the next.
pub(super) fn cuts_add_up_and_stay(step: &Step<'_>) -> Vec<String> {
    let (now, mut wrong) = (step.now, Vec::new());
    for cut in &now.cuts {
        let keys: Usd = cut.programmes.iter().map(|of| of.used.credits).sum();
        let parts = keys + cut.foreign + cut.opening + cut.residual + cut.unsettled;
        if parts != cut.spent.after || cut.unsettled < Usd::ZERO {
            wrong.push(format!(
                "the parts of the cut of {} are {parts}, and the account had spent {}",
                cut.as_of, cut.spent.after
            ));
        }
    }
    for (before, after) in now.cuts.iter().zip(now.cuts.iter().skip(1)) {
        let of_it = now.cut_keys.iter().filter(|keys| keys.as_of == after.as_of);
        let changes = of_it.flat_map(|keys| keys.changes().unwrap());
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
    let changed = step.before.into_iter().flat_map(|before| &before.cuts).filter(|cut| !now.cuts.contains(cut));
    wrong.extend(changed.map(|cut| format!("the cut of {} is gone or is not what it was", cut.as_of)));
    wrong
}

/// I16: each change of the account by a person in this step has exactly one entry, each entry has its change,
/// and no entry disappears.
pub(super) fn releases_have_their_entry(step: &Step<'_>) -> Vec<String> {
    let Some(before) = step.before else { return Vec::new() };
    let mut wrong = Vec::new();
    for old in before.account_entries.iter().filter(|old| !step.now.account_entries.contains(old)) {
        wrong.push(format!("account entry {} is gone or is not what it was", old.entry));
    }
    let new: Vec<_> = step.now.account_entries.iter().filter(|new| !before.account_entries.contains(new)).collect();
    let (confirmed, new): (Vec<_>, Vec<_>) = new.into_iter().partition(|entry| entry.what.act == Act::AccountConfirmed);
    let account = |of: &Snapshot| of.meta.as_ref().and_then(|meta| meta.account.clone());
    let by_a_person = account(step.now).filter(|now| now.witnesses.is_empty() && account(before).as_ref() != Some(now));
    if confirmed.len() != usize::from(by_a_person.is_some()) {
        wrong.push(format!("an account was confirmed, or was not, and {} account entries say so", confirmed.len()));
    }
    let (moved, new): (Vec<_>, Vec<_>) =
        new.into_iter().partition(|entry| [Act::KeysAssigned, Act::KeysTakenBack].contains(&entry.what.act));
    let is_told = |owner: &KeyOwner| moved.iter().any(|entry| entry.by == owner.by && entry.at == owner.at);
    let unexplained = step.now.key_owners.iter().filter(|owner| !before.key_owners.contains(owner) && !is_told(owner));
    wrong.extend(unexplained.map(|owner| format!("{} was given to {} without an entry", owner.key, owner.owner)));
    let is_taken = |owner: &&KeyOwner| {
        let is_a_key_of_ours = !step.now.foreign_keys.contains_key(&owner.key);
        !step.now.key_owners.contains(owner) && !is_a_key_of_ours
    };
    if before.key_owners.iter().any(|owner| is_taken(&owner)) && moved.is_empty() {
        wrong.push("a key was taken back without an entry".to_owned());
    }
    let (of_keys, new): (Vec<_>, Vec<_>) =
        new.into_iter().partition(|entry| matches!(entry.what.act, Act::ForeignActBegun | Act::ForeignActConcluded));
    let steps = |of: &Snapshot| of.foreign_acts.iter().map(|act| act.version).sum::<u64>();
    let changes = steps(step.now).saturating_sub(steps(before));
    if u64::try_from(of_keys.len()).ok() != Some(changes) {
        let told = of_keys.len();
        wrong.push(format!("acts on foreign keys went {changes} steps, and {told} account entries say so"));
    }
    // A lifted refusal shows in the mark that is gone, and a mail that is sent again in its rows.
    let guardrails = |of: &Snapshot| {
        let known = |set: &RuleSet| (set.id.clone(), set.guardrail.as_ref().map(|known| known.id.clone()));
        of.rule_sets.values().map(known).collect::<BTreeMap<_, _>>()
    };
    let (of_sets, new): (Vec<_>, Vec<_>) = new.into_iter().partition(|entry| entry.what.act == Act::GuardrailSet);
    let (of_tiers, new): (Vec<_>, Vec<_>) = new.into_iter().partition(|entry| entry.what.act == Act::TierEdited);
    let edits = |of: &Snapshot| of.tiers.iter().map(|tier| tier.version).sum::<u64>();
    let edited = edits(step.now).saturating_sub(edits(before));
    if u64::try_from(of_tiers.len()).ok() != Some(edited) {
        wrong.push(format!("tiers were edited {edited} times, and {} account entries say so", of_tiers.len()));
    }
    let (were, are) = (guardrails(before), guardrails(step.now));
    let changed = are.iter().filter(|(id, guardrail)| were.get(*id).cloned().flatten() != **guardrail).count();
    if of_sets.len() < changed {
        let told = of_sets.len();
        wrong.push(format!("{changed} rule sets have other guardrails, and {told} account entries say so"));
    }
    let of_mail = [Act::MailAllowed, Act::MailSentAgain];
    let new: Vec<_> = new.into_iter().filter(|entry| !of_mail.contains(&entry.what.act)).collect();
    let released = released(step.now).filter(|held| released_before(before, held).is_none());
    let entry_of = |held: &HeldBack| {
        let of_it = |entry: &&&AccountEntry| {
            let by = held.released_by.as_ref().map(|person| Actor::Person(person.clone()));
            entry.what.act == Act::GuardReleased
                && entry.what.from == Some(held.at.to_string())
                && Some(&entry.by) == by.as_ref()
        };
        new.iter().filter(of_it).count()
    };
    match released {
        Some(held) if new.len() != 1 || entry_of(held) != 1 => {
            wrong.push(format!(
                "what was held back at {} was released with {} entries, not its own one",
                held.at,
                new.len()
            ));
        }
        None if !new.is_empty() => wrong.push(format!("{} account entries are of no change", new.len())),
        Some(_) | None => {}
    }
    wrong
}

/// I16: nothing was ever asked of the provider for a key that nobody here made, but what an admin pressed by name.
/// The simulator knows what was asked over HTTP, so a second deployment on one account would be judged with this one.
pub(super) fn foreign_keys_are_changed_by_presses_only(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let recorded: BTreeSet<&str> = now
        .grants
        .values()
        .flat_map(|grant| grant.attempts.iter().filter_map(|attempt| Some(attempt.key.as_ref()?.as_str())))
        .collect();
    let is_ours = |key: &ProviderKey| {
        let ours = now.meta.as_ref().map(|meta| &meta.deployment);
        key.name.as_ref().is_some_and(|name| ours == Some(&name.deployment)) || recorded.contains(&*key.key.hash)
    };
    let foreign = now.keys.iter().filter(|key| !is_ours(key));
    let asked = foreign.flat_map(|key| key.key.asked_changes.iter().map(move |change| (&key.key, change)));
    let unpressed = asked.filter(|(key, change)| {
        let named = format!("{} {}", key.hash, key.name);
        let mut presses = now.account_entries.iter().filter(|entry| entry.what.act == Act::ForeignActBegun);
        let is_it = |entry: &AccountEntry| {
            matches!(entry.by, Actor::Person(_))
                && entry.what.note.as_deref() == Some(&*named)
                && pressed(change).is_some_and(|pressed| entry.what.to == Some(pressed))
        };
        !presses.any(is_it)
    });
    unpressed
        .map(|(key, change)| format!("the foreign key {} was sent {change}, which no admin pressed", key.hash))
        .collect()
}

/// The press that a change of a key follows from, as its audit entry spells it; `None` for other changes.
fn pressed(change: &str) -> Option<String> {
    let fields: BTreeMap<String, serde_json::Value> = serde_json::from_str(change).ok()?;
    let (name, value) = fields.iter().next().filter(|_| fields.len() == 1)?;
    match (name.as_str(), value) {
        ("disabled", serde_json::Value::Bool(true)) => Some("disabled".to_owned()),
        ("limit", limit) => Some(format!("limit {}", Usd::parse_floor(&limit.to_string()).ok()?)),
        _ => None,
    }
}

fn released(of: &Snapshot) -> Option<&HeldBack> {
    of.sync.as_ref()?.held_back.as_ref().filter(|held| held.released_by.is_some())
}

fn released_before<'a>(before: &'a Snapshot, held: &HeldBack) -> Option<&'a HeldBack> {
    released(before).filter(|old| old.at == held.at)
}
