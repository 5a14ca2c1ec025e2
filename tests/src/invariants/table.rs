//! The shape of the table: each item is what its kind says, and each grant is in a state that the rules can
//! reach. Items find what they refer to, and addresses are in few of them. One moment is enough to judge all of
//! it.

use std::collections::{BTreeMap, BTreeSet};

use bursar_core::domain::audit::Act;
use bursar_core::domain::grant::{Attempt, AttemptState, Grant, GrantState, SwitchState};
use bursar_core::domain::people::role::Roles;
use bursar_core::domain::people::session::Session;
use bursar_core::domain::people::sign_in::SignIn;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::rule_set::{Guardrail, RuleSet};
use bursar_core::domain::programme::rules::Rules;
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_core::store::items::{Item, Stored};
use bursar_core::store::{
    AddressSession, Ask, Enrolment, ImportChunk, Job, Link, MailChoice, OutboxRow, PersonOfAddress, QueuedMail,
    StaffPerson, Undeliverable, Work, keys,
};

use super::secrets::texts_of;
use super::{Snapshot, Step};

/// Every item is of a known kind, decodes, and has exactly the key and the attributes that the product would write.
pub(super) fn items_are_whole(step: &Step<'_>) -> Vec<String> {
    step.now.unknown.clone()
}

/// Every grant is in a state that acts can lead to, with the attempts that belong to it.
pub(super) fn grants_make_sense(step: &Step<'_>) -> Vec<String> {
    let grants = step.now.grants.values();
    let wrong = |grant: &Grant| {
        let recovered = is_recovered(grant, step.now);
        wrong_with(grant, recovered).into_iter().map(|why| format!("{} {why}", named(grant))).collect::<Vec<_>>()
    };
    grants.flat_map(wrong).collect()
}

/// Grants, pots, readings, enrolments, roles, notices and entries refer to items that exist. A person has one
/// grant in a programme, and a key belongs to one attempt.
pub(super) fn items_refer_to_items(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let mut wrong = Vec::new();
    for id in now.programmes.keys().filter(|id| !now.pots.contains_key(*id)) {
        wrong.push(format!("programme {id} has no pot"));
    }
    let of_pots = now.pots.keys().map(|id| ("a pot", id));
    let of_grants = now.grants.keys().map(|(id, _)| ("a grant", id));
    let of_entries = now.entries.iter().map(|entry| ("an entry", &entry.programme));
    let named: BTreeSet<_> = of_pots.chain(of_grants).chain(of_entries).collect();
    for (what, id) in named.into_iter().filter(|(_, id)| !now.programmes.contains_key(*id)) {
        wrong.push(format!("{what} is of programme {id}, which is not there"));
    }
    wrong.extend(wrong_lists(step));
    for (programme, grant, epoch) in now.readings.keys() {
        let grant_item = now.grants.get(&(programme.clone(), grant.clone()));
        let attempt = grant_item.and_then(|grant| grant.attempt(*epoch));
        if attempt.is_none_or(|attempt| attempt.key.is_none()) {
            wrong.push(format!("a reading is of grant {programme}/{grant}, attempt {epoch:?}, which has no key"));
        }
    }
    let of_grant = |programme: &ProgrammeId, grant: &GrantId| now.grants.get(&(programme.clone(), grant.clone()));
    for entry in &now.entries {
        if entry.grant.as_ref().is_some_and(|grant| of_grant(&entry.programme, grant).is_none()) {
            wrong.push(format!("entry {} of {} is on a grant that is not there", entry.entry, entry.programme));
        }
    }
    for row in &now.outbox {
        let (QueuedMail::Roster { programme, grant }
        | QueuedMail::Notice { programme, grant, .. }
        | QueuedMail::CapUsed { programme, grant, .. }) = &row.mail
        else {
            continue;
        };
        if of_grant(programme, grant).is_none() {
            wrong.push(format!("outbox row {} is about a grant that is not there", row.row));
        }
    }
    wrong.extend(wrong_enrolments(step));
    wrong.extend(shared_keys(step));
    wrong
}

/// The restrictions that people set are confirmed by the provider, or ordered, as long as the programme goes on.
pub(super) fn rules_are_told(step: &Step<'_>) -> Vec<String> {
    let running = step.now.programmes.values().filter(|programme| !programme.is_over(step.now.at));
    let is_told = |rules: &Rules| {
        let set = step.now.rule_sets.get(&rules.id());
        // Whether a tier has other models by now is found by the work of each minute.
        let has_rules = |known: &Guardrail, set: &RuleSet| set.rules.tier().is_some() || known.rules == set.rules;
        let is_confirmed = |set: &RuleSet| set.guardrail.as_ref().is_some_and(|known| has_rules(known, set));
        rules.allow_all() || set.is_some_and(|set| set.order.is_some() || is_confirmed(set))
    };
    let silent = running.filter(|programme| !programme.settings.all_rules().iter().all(is_told));
    silent.map(|programme| format!("programme {} has rules that nobody tells the provider", programme.id)).collect()
}

/// Each live key is recorded to be under the rules of its programme and group, or that is ordered, or a job sees to it.
pub(super) fn keys_are_under_their_rules(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let has_job = |grant: &Grant| {
        let is_it = |job: &&Job| job.programme == grant.programme && matches!(job.work, Work::Rules { .. });
        now.jobs.iter().find(is_it).is_some_and(Job::is_running)
    };
    let is_free = |grant: &&Grant| {
        let Some((live, programme)) = grant.live().zip(now.programmes.get(&grant.programme)) else { return false };
        let rules = programme.settings.rules(grant.group.as_deref());
        let is_under = match &live.rule_set {
            None => rules.allow_all(),
            Some(set) => *set == rules.id(),
        };
        !is_under && live.rules_ordered.is_none() && !programme.is_over(now.at) && !has_job(grant)
    };
    now.grants
        .values()
        .filter(is_free)
        .map(|grant| format!("the key of {} is not under its rules", named(grant)))
        .collect()
}

/// After a complete sync each live key that is recorded to be under rules, and of which nothing is ordered, is under their guardrail at
/// the provider.
pub(super) fn keys_are_under_their_guardrails(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let is_astray = |grant: &&Grant| {
        let Some((live, programme)) = grant.live().zip(now.programmes.get(&grant.programme)) else { return false };
        let set = live.rule_set.as_ref().and_then(|set| now.rule_sets.get(set));
        let key = live.key.as_ref().and_then(|key| now.key(key)).filter(|key| now.is_enabled(key));
        let Some((set, key)) = set.filter(|set| set.order.is_none()).zip(key) else { return false };
        let guardrail = set.guardrail.as_ref().map(|known| &known.id);
        live.rules_ordered.is_none() && !programme.is_over(now.at) && key.guardrail_id.as_ref() != guardrail
    };
    let astray = now.grants.values().filter(|_| step.synced).filter(is_astray);
    astray.map(|grant| format!("the key of {} is not under its guardrail at the provider", named(grant))).collect()
}

/// A student's address is in their grant, in the enrolment that finds it, and in the settings of a programme
/// whose staff they are. For a while it is in what signs them in. No other item has it, so that an erasure
/// knows where to look.
pub(super) fn addresses_are_where_they_may_be(step: &Step<'_>) -> Vec<String> {
    let mut addresses = BTreeSet::new();
    for grant in step.now.grants.values() {
        addresses.insert(grant.person.address.as_written().to_lowercase());
        addresses.insert(grant.person.address.matched().as_str().to_owned());
    }
    let homes = [
        Grant::KIND,
        Enrolment::KIND,
        Programme::KIND,
        StaffPerson::KIND,
        PersonOfAddress::KIND,
        Roles::KIND,
        Undeliverable::KIND,
        MailChoice::KIND,
    ];
    let for_a_while = [Ask::KIND, SignIn::KIND, Link::KIND, Session::KIND, AddressSession::KIND, ImportChunk::KIND];
    let mut wrong = Vec::new();
    for ((pk, sk), item) in &step.now.items {
        let names_people = |mail: &str| ["link", "request"].contains(&mail);
        let is_ask = kind_of(item) == OutboxRow::KIND
            && item.get("mail").is_some_and(|mail| mail.as_s().is_ok_and(|mail| names_people(mail)));
        if homes.contains(&kind_of(item)) || for_a_while.contains(&kind_of(item)) || is_ask {
            continue;
        }
        for text in texts_of(item).into_iter().filter(|text| text.contains('@')) {
            let text = text.to_lowercase();
            if let Some(address) = addresses.iter().find(|address| text.contains(address.as_str())) {
                wrong.push(format!("{pk} / {sk} has the address {address}"));
            }
        }
    }
    wrong
}

pub(super) fn named(grant: &Grant) -> String {
    format!("grant {}/{} ({grant})", grant.programme, grant.id)
}

fn kind_of(item: &Item) -> &str {
    item.get("kind").and_then(|kind| kind.as_s().ok()).map_or("", String::as_str)
}

/// Whether keys of the grant were found at the provider after a restore of the table, and recorded as they were.
fn is_recovered(grant: &Grant, now: &Snapshot) -> bool {
    now.entries_on(&grant.programme, Some(&grant.id)).any(|entry| entry.what.act == Act::Recovered)
}

fn wrong_with(grant: &Grant, recovered: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |holds: bool, why: &str| {
        if !holds {
            wrong.push(why.to_owned());
        }
    };
    let attempts = &grant.attempts;
    let open: Vec<&Attempt> = attempts.iter().filter(|attempt| attempt.state == AttemptState::Open).collect();
    let shown = || attempts.iter().filter(|attempt| attempt.state == AttemptState::Shown);
    let is_over = matches!(grant.state, GrantState::Revoked | GrantState::Ended);

    must(attempts.is_sorted_by(|one, next| one.epoch < next.epoch), "has attempts whose epochs do not ascend");
    must(attempts.last().is_none_or(|last| last.epoch == grant.epoch), "is not at the epoch of its last attempt");
    let nonces: BTreeSet<_> = attempts.iter().map(|attempt| attempt.nonce.as_str()).collect();
    must(nonces.len() == attempts.len(), "has two attempts with one nonce");
    must(open.len() <= 1, "has more than one open attempt");
    must(grant.ever_shown == shown().next().is_some(), "does not say truly whether a key was ever shown");
    must(grant.counted_at.is_none() || grant.ever_shown, "says when its replacements were counted, and had none");
    must((grant.replacements as usize) < shown().count().max(1), "counts more replacements than there were");
    must(!(is_over && grant.has_place), "is over and has a place in the pot");
    match &grant.state {
        GrantState::Invited => must(!grant.ever_shown, "is invited although it was shown a key"),
        GrantState::Stopped { .. } => must(grant.ever_shown, "is stopped although it was shown no key"),
        GrantState::Minting { nonce, .. } => {
            must(grant.has_place, "is minting without a place in the pot");
            let owns = |open: &&Attempt| open.nonce == *nonce && open.epoch == grant.epoch;
            must(open.first().is_some_and(owns), "is minting without an open attempt of its nonce and epoch");
        }
        GrantState::Live { key } => {
            let live = shown().find(|attempt| attempt.key.as_ref() == Some(key));
            must(live.is_some(), "is live with a key that no shown attempt has");
            let newest = |live: &Attempt| live.epoch == grant.epoch || recovered;
            must(live.is_none_or(newest), "is live with a key of an older attempt");
            must(live.is_none_or(|live| live.gone.is_none()), "is live with a key that is gone");
            must(grant.has_place, "is live without a place in the pot");
            let owed = live.is_none_or(|live| live.switch.is_wanted());
            must(owed != grant.holds.is_empty(), "disables its live key without a hold, or does not with one");
        }
        GrantState::Revoked | GrantState::Ended => {}
    }
    let minting = matches!(grant.state, GrantState::Minting { .. });
    must(open.is_empty() || minting || is_over, "has an open attempt but is not minting");
    for attempt in attempts {
        let mut must = |holds: bool, why: &str| {
            if !holds {
                wrong.push(format!("attempt {} ({:?}) {why}", attempt.epoch.number(), attempt.state));
            }
        };
        let is_shown = attempt.state == AttemptState::Shown;
        let is_live = matches!(&grant.state, GrantState::Live { key } if attempt.key.as_ref() == Some(key));
        let is_owed = attempt.switch.is_wanted();
        must(attempt.shown_at.is_some() == is_shown, "does not say truly when it was shown");
        let has_limit = attempt.limit.is_some() || recovered;
        must(!is_shown || (attempt.key.is_some() && has_limit), "was shown without a key or its limit");
        let owes_nothing = attempt.key.is_some() && matches!(attempt.switch, SwitchState::Off { .. });
        must(attempt.gone.is_none() || owes_nothing, "is gone without a key, or is still to be disabled");
        let mut ends = attempt.announced.values();
        must(ends.all(|end| end.at < end.until), "was announced to end before it was announced");
        must(is_shown || attempt.announced.is_empty(), "was announced to end although it was shown to nobody");
        must(attempt.key.is_some() || !is_owed, "is to be disabled but has no key");
        must(attempt.key.is_none() || is_live || is_owed, "has a key that is not live and that nobody disables");
    }
    wrong
}

/// Programmes that are not in the list, and people whose role in a programme's settings is not found under
/// their address.
fn wrong_lists(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let programmes: BTreeSet<_> = now.programmes.keys().cloned().collect();
    let differing = programmes.symmetric_difference(&now.listed);
    let mut wrong: Vec<String> =
        differing.map(|id| format!("programme {id} is listed and not there, or there and not listed")).collect();
    let told = |roles: &Roles| format!("{roles:?} spelled {}", roles.address.as_written());
    let said = |programme: &Programme| Roles::of(&programme.id, &programme.settings).into_values();
    let said: BTreeSet<String> = now.programmes.values().flat_map(said).map(|roles| told(&roles)).collect();
    let found: BTreeSet<String> = now.roles.iter().map(told).collect();
    wrong.extend(said.difference(&found).map(|roles| format!("the settings say {roles}, which is not found")));
    wrong.extend(found.difference(&said).map(|roles| format!("there is {roles}, which no settings say")));
    wrong
}

fn wrong_enrolments(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let mut wrong = Vec::new();
    let mut enrolled = BTreeMap::new();
    for enrolment in &now.enrolments {
        let id = (enrolment.programme.clone(), enrolment.grant.clone());
        let fits = now.grants.get(&id).is_some_and(|grant| *grant.person.address.matched() == enrolment.address);
        if !fits {
            let key = keys::enrolment(&enrolment.address, &enrolment.programme);
            wrong.push(format!("{} / {} names no grant of that person", key.pk, key.sk));
        }
        *enrolled.entry(id).or_insert(0) += 1;
    }
    for (id, grant) in &now.grants {
        let times = enrolled.get(id).copied().unwrap_or(0);
        if times != 1 {
            wrong.push(format!("{} is found by {times} enrolments", named(grant)));
        }
    }
    wrong
}

fn shared_keys(step: &Step<'_>) -> Vec<String> {
    let mut owners = BTreeMap::new();
    for grant in step.now.grants.values() {
        for attempt in &grant.attempts {
            if let Some(key) = &attempt.key {
                let owner = format!("{} attempt {}", named(grant), attempt.epoch.number());
                owners.entry(key).or_insert_with(Vec::new).push(owner);
            }
        }
    }
    let shared = owners.into_iter().filter(|(_, owners)| owners.len() > 1);
    shared.map(|(key, owners)| format!("key {key} is recorded by {}", owners.join(" and "))).collect()
}

/// The outbox rows of this mail, for the checks that compare notices with their cause.
pub(super) fn rows_about<'a>(rows: &'a [OutboxRow], mail: &'a QueuedMail) -> impl Iterator<Item = &'a OutboxRow> {
    rows.iter().filter(move |row| row.mail == *mail)
}
