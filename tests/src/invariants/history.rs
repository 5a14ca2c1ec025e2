//! What a step may do to what was there before it. The first check of a watch has no step before it, and so
//! judges nothing here.

use std::collections::{BTreeMap, BTreeSet};

use bursar_core::domain::audit::{Act, Entry};
use bursar_core::domain::grant::{AttemptState, Grant, GrantState, Notice, SwitchState};
use bursar_core::domain::programme::{Pot, Programme};
use bursar_core::domain::values::id::{GrantId, ProgrammeId, RuleSetId};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{OutboxRow, QueuedMail, keys};

use super::table::{named, rows_about};
use super::{Snapshot, Step, marks};

/// I10: what a key is recorded to have used never falls. No reading, grant, recorded key or audit entry
/// disappears. No audit entry changes, and the deployment in the names of all keys does not either. What a key
/// used in its window falls when the window turns.
pub(super) fn nothing_is_forgotten(step: &Step<'_>) -> Vec<String> {
    let Some(before) = step.before else { return Vec::new() };
    let now = step.now;
    let mut wrong = Vec::new();
    let born = |moment: &Snapshot| moment.meta.as_ref().map(|meta| (meta.deployment.clone(), meta.born));
    if let Some((deployment, _)) = born(before).filter(|old| born(now).as_ref() != Some(old)) {
        wrong.push(format!("the deployment {deployment} is gone or another"));
    }
    for (id @ (programme, grant, epoch), old) in &before.readings {
        let of = format!("{programme}/{grant}, attempt {}", epoch.number());
        match now.readings.get(id) {
            None => wrong.push(format!("the reading of {of} is gone")),
            Some(new) if new.lifetime() < old.lifetime() || new.used.byok.total() < old.used.byok.total() => {
                wrong.push(format!("the reading of {of} fell from {} to {}", old.lifetime(), new.lifetime()));
            }
            Some(new) if new.window < old.window => wrong.push(format!("the reading of {of} went back a window")),
            Some(_) => {}
        }
    }
    for (id, old) in &before.grants {
        let Some(new) = now.grants.get(id) else {
            wrong.push(format!("{} is gone", named(old)));
            continue;
        };
        let with_key = old.attempts.iter().filter(|attempt| attempt.key.is_some());
        for lost in with_key.filter(|old| new.attempt(old.epoch).is_none_or(|new| new.key != old.key)) {
            wrong.push(format!("{} forgot the key of attempt {}", named(new), lost.epoch.number()));
        }
    }
    let entries: BTreeMap<_, _> = now.entries.iter().map(|entry| (entry.entry, entry)).collect();
    for old in &before.entries {
        match entries.get(&old.entry) {
            None => wrong.push(format!("audit entry {} is gone", old.entry)),
            Some(new) if *new != old => wrong.push(format!("audit entry {} is not what it was", old.entry)),
            Some(_) => {}
        }
    }
    wrong
}

/// I11: a revoked grant stays revoked, and none of its recorded keys is enabled, with two exceptions. One is a key
/// with an ordered disable; the other, until a complete sync, a key that a late call enabled after its disable.
pub(super) fn revoked_is_terminal(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let mut wrong = Vec::new();
    for (id, new) in &now.grants {
        let was_revoked =
            step.before.and_then(|before| before.grants.get(id)).is_some_and(|old| old.state == GrantState::Revoked);
        if was_revoked && new.state != GrantState::Revoked {
            wrong.push(format!("{} was revoked", named(new)));
        }
        if new.state != GrantState::Revoked {
            continue;
        }
        for attempt in &new.attempts {
            let key = attempt.key.as_ref().and_then(|key| now.key(key)).filter(|key| now.is_enabled(key));
            let excused = match attempt.switch {
                SwitchState::On | SwitchState::OnOrdered { .. } => false,
                SwitchState::OffOrdered { .. } => true,
                SwitchState::Off { .. } => !step.synced,
            };
            if let Some(key) = key.filter(|_| !excused) {
                wrong.push(format!("{} has the enabled key {}", named(new), key.hash));
            }
        }
    }
    wrong
}

/// I16: every change of a grant, a programme's settings or its pot has exactly one audit entry, and every entry
/// a change. The versions of grants and programmes count their acts, so the number of entries must agree. Marks
/// are the only acts without an entry (`marks`). Where a step had one act, its entry must say from what to what.
/// Each key that was shown or reported leaked, and each new grant, has exactly one mail in the outbox.
pub(super) fn every_change_has_its_entry(step: &Step<'_>) -> Vec<String> {
    let Some(before) = step.before else { return Vec::new() };
    let now = step.now;
    let known: BTreeSet<_> = before.entries.iter().map(|entry| entry.entry).collect();
    let new_on = |programme: &ProgrammeId, grant: Option<&GrantId>| -> Vec<&Entry> {
        now.entries_on(programme, grant).filter(|entry| !known.contains(&entry.entry)).collect()
    };
    let mut wrong = Vec::new();
    for (id, grant) in &now.grants {
        // A lifted refusal of mail has an entry on the address, and changes no grant.
        let of_grant = |entry: &&Entry| entry.what.act != Act::MailAllowed;
        let entries: Vec<_> = new_on(&id.0, Some(&id.1)).into_iter().filter(of_grant).collect();
        let why = match before.grants.get(id) {
            Some(old) => grant_change(old, grant, &entries, before, now),
            None => new_grant(grant, &entries, &new_on(&id.0, None)),
        };
        wrong.extend(why.map(|why| format!("{} {why}", named(grant))));
        wrong.extend(wrong_notices(grant, &entries, before, now).map(|why| format!("{} {why}", named(grant))));
    }
    for (id, programme) in &now.programmes {
        let entries = new_on(id, None);
        let why = programme_change(before.programmes.get(id), programme, &entries);
        wrong.extend(why.map(|why| format!("programme {id} {why}")));
        let (old, new) = (before.pots.get(id), now.pots.get(id));
        wrong.extend(new.and_then(|new| pot_change(old?, new, &entries)).map(|why| format!("the pot of {id} {why}")));
        wrong.extend(invited_nobody(id, &entries, before, now));
    }
    wrong
}

fn grant_change(old: &Grant, new: &Grant, entries: &[&Entry], before: &Snapshot, now: &Snapshot) -> Option<String> {
    if new.version < old.version || (new.version == old.version && new != old) {
        return Some(format!("changed from version {} to {}", old.version, new.version));
    }
    let acts = new.version - old.version;
    if acts > 0 && entries.is_empty() && marks::without(old) != marks::without(new) {
        return Some("changed without an audit entry".to_owned());
    }
    let silent = acts.checked_sub(entries.len() as u64);
    let marks = marks::between(old, new, entries, before, now);
    if silent.is_none_or(|silent| !marks.contains(&silent)) {
        let (least, entries) = (marks.start(), entries.len());
        return Some(format!("had {acts} acts of which {least} marked a disable, and {entries} audit entries"));
    }
    match entries {
        [entry] if acts == 1 => wrong_words(entry, old, new, before, now),
        _ => None,
    }
}

fn wrong_words(entry: &Entry, old: &Grant, new: &Grant, before: &Snapshot, now: &Snapshot) -> Option<String> {
    let cap = |grant: &Grant, moment: &Snapshot| {
        let settings = moment.programmes.get(&grant.programme).map(|programme| &programme.settings);
        settings.map_or_else(String::new, |settings| grant.cap(settings).to_string())
    };
    let (from, to) = match entry.what.act {
        Act::CapChanged => (cap(old, before), cap(new, now)),
        Act::ReplacementAllowed => (old.allowed.to_string(), new.allowed.to_string()),
        Act::LimitSent => {
            let limit = |grant: &Grant| grant.live().and_then(|live| live.limit);
            let text = |limit: Option<Usd>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
            (text(limit(old)), text(limit(new)))
        }
        Act::RulesSent => {
            let set = |grant: &Grant| grant.live().and_then(|live| live.rule_set.clone());
            let text = |set: Option<RuleSetId>| set.map_or_else(|| "none".to_owned(), |set| set.to_string());
            (text(set(old)), text(set(new)))
        }
        Act::Moved => (old.group.clone().unwrap_or_default(), new.group.clone().unwrap_or_default()),
        _ => (old.to_string(), new.to_string()),
    };
    let told = (entry.what.from.as_deref(), entry.what.to.as_deref());
    (told != (Some(&from), Some(&to))).then(|| {
        format!(
            "went from {from:?} to {to:?}, and its entry ({:?}) says from {:?} to {:?}",
            entry.what.act, told.0, told.1
        )
    })
}

fn new_grant(grant: &Grant, entries: &[&Entry], of_programme: &[&Entry]) -> Option<String> {
    let names_it = |entry: &&&Entry| {
        let names = entry.what.note.as_deref().unwrap_or_default();
        entry.what.act == Act::Invited && names.split(' ').any(|name| name == grant.id.as_str())
    };
    let times = of_programme.iter().filter(names_it).count();
    if times != 1 {
        return Some(format!("is new, and {times} entries tell that it was invited"));
    }
    // Each press may have left a disable that failed, and one that was confirmed.
    let presses = entries.iter().filter(|entry| entry.what.act == Act::Begun).count() as u64;
    let marks = grant.attempts.iter().filter(|attempt| attempt.switch != SwitchState::On).count() as u64 + presses;
    let acts = grant.version.saturating_sub(1);
    let told = entries.len() as u64;
    (told > acts || told + marks < acts).then(|| format!("is new and had {acts} acts, and {told} entries"))
}

fn programme_change(old: Option<&Programme>, new: &Programme, entries: &[&Entry]) -> Option<String> {
    let count = |wanted: fn(Act) -> bool| entries.iter().filter(|entry| wanted(entry.what.act)).count() as u64;
    let created = count(|act| act == Act::Created);
    let edits = count(|act| matches!(act, Act::Edited | Act::Closed));
    let (was, first) = old.map_or((1, 1), |old| (old.version, 0));
    if created != first {
        return Some(format!("has {created} new entries that it was created"));
    }
    if new.version != was + edits {
        return Some(format!("went from version {was} to {}, and has {edits} new entries of edits", new.version));
    }
    let old = old?;
    if old.version == new.version && old != new {
        return Some("changed without a new version".to_owned());
    }
    if old.closed_at.is_some() && new.closed_at != old.closed_at {
        return Some("was closed at another time".to_owned());
    }
    if old.closed_at != new.closed_at && count(|act| act == Act::Closed) != 1 {
        return Some("was closed without an entry".to_owned());
    }
    None
}

fn pot_change(old: &Pot, new: &Pot, entries: &[&Entry]) -> Option<String> {
    let told: Vec<&&Entry> = entries.iter().filter(|entry| entry.what.act == Act::PotChanged).collect();
    let wrong = match told[..] {
        [] => old.limit != new.limit,
        [entry] => {
            let (from, to) = (old.limit.to_string(), new.limit.to_string());
            (entry.what.from.as_ref(), entry.what.to.as_ref()) != (Some(&from), Some(&to))
        }
        _ => false,
    };
    if wrong {
        return Some(format!("went from {} to {}, and {} entries tell of it", old.limit, new.limit, told.len()));
    }
    (new.version < old.version).then(|| format!("went from version {} back to {}", old.version, new.version))
}

fn invited_nobody(id: &ProgrammeId, entries: &[&Entry], before: &Snapshot, now: &Snapshot) -> Vec<String> {
    let named = entries.iter().filter(|entry| entry.what.act == Act::Invited).flat_map(|entry| {
        let names = entry.what.note.as_deref().unwrap_or_default();
        names.split(' ').map(|name| (entry.entry, name))
    });
    let there = |moment: &Snapshot, name: &str| {
        let grant = name.parse::<GrantId>().ok();
        grant.is_some_and(|grant| moment.grants.contains_key(&(id.clone(), grant)))
    };
    let wrong = named.filter(|(_, name)| !there(now, name) || there(before, name));
    wrong
        .map(|(entry, name)| format!("entry {entry} of {id} tells that {name:?} was invited, which is no new grant"))
        .collect()
}

/// Whether somebody had the roster mail sent again in this step, which is possible once an hour.
fn resent(grant: &Grant, before: &Snapshot, now: &Snapshot) -> usize {
    let key = keys::resent(&grant.programme, &grant.id);
    let of = |moment: &Snapshot| moment.items.get(&(key.pk.clone(), key.sk.clone())).cloned();
    usize::from(of(now).is_some() && of(now) != of(before))
}

fn wrong_notices(grant: &Grant, entries: &[&Entry], before: &Snapshot, now: &Snapshot) -> Option<String> {
    let (programme, id) = (grant.programme.clone(), grant.id.clone());
    let is_new = !before.grants.contains_key(&(programme.clone(), id.clone()));
    let count = |act: Act, note: Option<&str>| {
        let told = entries.iter().filter(|entry| entry.what.act == act);
        told.filter(|entry| note.is_none() || entry.what.note.as_deref() == note).count()
    };
    let is_live_again = |entry: &&&Entry| {
        entry.what.act == Act::Recovered && entry.what.note.as_ref().is_some_and(|note| note.ends_with(" is live"))
    };
    let known: BTreeSet<_> = before.outbox.iter().map(|row| row.row).collect();
    let owed = |mail: &QueuedMail| {
        let rows = rows_about(&now.outbox, mail);
        rows.filter(|row: &&OutboxRow| !known.contains(&row.row)).count()
    };
    let notices = marks::new_notices(grant, before, now);
    let told = |wanted: Notice| notices.iter().filter(|notice| **notice == wanted).count();
    for (what, acts, rows) in [
        (
            format!("{:?}", Notice::KeyShown),
            count(Act::Shown, None) + entries.iter().filter(is_live_again).count(),
            told(Notice::KeyShown),
        ),
        (format!("{:?}", Notice::KeyLeaked), count(Act::Stopped, Some("leaked")), told(Notice::KeyLeaked)),
        (
            "Roster".to_owned(),
            usize::from(is_new) + resent(grant, before, now),
            owed(&QueuedMail::Roster { programme: programme.clone(), grant: id.clone() }),
        ),
    ] {
        if rows != acts {
            return Some(format!("has {acts} causes of a mail {what} in this step, and {rows} such mails owed"));
        }
    }
    if let Some(why) = marks::wrongly_told(grant, entries, before, now) {
        return Some(why);
    }
    let shown = grant.attempts.iter().filter(|attempt| attempt.state == AttemptState::Shown).count();
    let told = now.entries_on(&grant.programme, Some(&grant.id)).filter(|entry| entry.what.act == Act::Shown).count();
    (shown < told).then(|| format!("has {shown} shown attempts, and {told} entries that tell of one"))
}
