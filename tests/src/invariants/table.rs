//! The shape of the table: each item is what its kind says, grants and what refers to them fit together, and addresses are in few
//! items. One moment is enough to judge all of it.

use std::collections::BTreeSet;

use bursar_core::domain::audit::Act;
use bursar_core::domain::grant::{AttemptState, Grant, GrantState, SwitchState};
use bursar_core::domain::people::role::Roles;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::rules::Rules;
use bursar_core::store::{Enrolment, ListedProgramme, OutboxRow, Work, rewritten};

use super::Step;
use super::secrets::text_of;
use super::snapshot::text;

/// The kinds of items that may hold an address, the latter ones only for a while, so that people can sign in.
const WITH_ADDRESSES: &str = "grant enrolment programme person person-of-address roles undeliverable mail-choice \
                              ask sign-in link session address-session import-chunk";

/// Every item is of a known kind, decodes, and has exactly the key and the attributes that the product would write.
pub(super) fn items_are_whole(step: &Step<'_>, wrong: &mut Vec<String>) {
    for ((pk, sk), item) in &step.now.items {
        match rewritten(item) {
            Ok(again) if again == *item => {}
            Ok(again) => {
                let different = item.keys().chain(again.keys()).filter(|name| item.get(*name) != again.get(*name));
                wrong.push(format!("{pk} / {sk} would be written with other {:?}", different.collect::<BTreeSet<_>>()));
            }
            Err(why) => wrong.push(format!("{pk} / {sk}, of the kind {:?}: {why}", text(item, "kind"))),
        }
    }
}

/// Every grant is in a state that the rules can lead to, with the attempts that belong to it.
pub(super) fn grants_make_sense(step: &Step<'_>, wrong: &mut Vec<String>) {
    for (id, grant) in &step.now.grants {
        let recovered = step.now.entries_on(id).any(|entry| entry.what.act == Act::Recovered);
        let Grant { attempts, state, .. } = grant;
        let (last, live) = (attempts.last(), grant.live());
        let is_over = matches!(state, GrantState::Revoked | GrantState::Ended);
        let is_minting = matches!(state, GrantState::Minting { .. });
        let is_live = matches!(state, GrantState::Live { .. });
        let open = attempts.iter().filter(|of| of.state == AttemptState::Open).count();
        let shown = attempts.iter().filter(|of| of.state == AttemptState::Shown).count();
        let ascends = attempts.is_sorted_by(|one, next| one.epoch < next.epoch && one.nonce != next.nonce);
        let may_be_live = live.is_some_and(|live| {
            let is_newest = live.epoch == grant.epoch || recovered;
            live.state == AttemptState::Shown && is_newest && live.gone.is_none()
        });
        let held = live.is_none_or(|live| live.switch.is_wanted() != grant.holds.is_empty());
        let rules = [
            (ascends && last.is_none_or(|last| last.epoch == grant.epoch), "has attempts whose epochs do not ascend"),
            (grant.ever_shown == (shown > 0), "does not say truly whether a key was ever shown"),
            ((grant.replacements as usize) < shown.max(1), "counts more replacements than there were"),
            (open == usize::from(is_minting) || (is_over && open == 1), "has an open attempt and is not minting"),
            (grant.has_place || !(is_minting || is_live), "is minting or live without anything reserved"),
            (!grant.has_place || !is_over, "is over and has something reserved"),
            (is_live == may_be_live, "is live without the newest key that was shown"),
            (held, "disables its live key without a hold, or does not with one"),
        ];
        let of_attempts = attempts.iter().map(|of| {
            let (is_shown, is_off) = (of.state == AttemptState::Shown, matches!(of.switch, SwitchState::Off { .. }));
            let is_live = live.is_some_and(|live| live.epoch == of.epoch);
            let is_whole = of.key.is_some() && (of.limit.is_some() || recovered);
            let is_told = of.shown_at.is_some() == is_shown && (!is_shown || is_whole);
            let is_owed = if of.key.is_some() { is_live || of.switch.is_wanted() } else { !of.switch.is_wanted() };
            (
                is_told && is_owed && (of.gone.is_none() || is_off),
                "has an attempt that does not say what was shown or is off",
            )
        });
        let broken = rules.into_iter().chain(of_attempts).filter(|(holds, _)| !holds);
        wrong.extend(broken.map(|(_, why)| format!("{} {why}", named(grant))));
    }
}

/// Programmes, budgets, grants, readings, enrolments, roles, mails and entries refer to each other. A person has one grant in a
/// programme, and a key belongs to one attempt.
pub(super) fn items_refer_to_items(step: &Step<'_>, wrong: &mut Vec<String>) {
    let now = step.now;
    let mut must_be_same = |what: &str, some: Vec<String>, others: Vec<String>| {
        let (some, others) = (BTreeSet::from_iter(some), BTreeSet::from_iter(others));
        wrong.extend(
            some.symmetric_difference(&others).map(|id| format!("{what}: {id} is in one place and not in the other")),
        );
    };
    let programmes = || now.programmes.keys().map(ToString::to_string).collect();
    must_be_same(
        "listed programmes",
        programmes(),
        now.all().map(|of: ListedProgramme| of.programme.to_string()).collect(),
    );
    must_be_same("budgets", programmes(), now.pots.keys().map(ToString::to_string).collect());
    let role = |of: Roles| format!("{of:?} spelled {}", of.address.as_written());
    let said = now.programmes.values().flat_map(|of: &Programme| Roles::of(&of.id, &of.settings).into_values());
    must_be_same("roles", said.map(role).collect(), now.all().map(role).collect());
    let grants = now.grants.values();
    let grants = grants.map(|of| format!("{}/{} of {}", of.programme, of.id, of.person.address.matched().as_str()));
    let enrolments = now.all().map(|of: Enrolment| format!("{}/{} of {}", of.programme, of.grant, of.address.as_str()));
    must_be_same("enrolments", grants.collect(), enrolments.collect());

    let rows: Vec<_> = now.outbox.iter().filter_map(OutboxRow::of_grant).collect();
    let rows = rows.iter().map(|of| (&of.programme, Some(&of.grant)));
    let entries = now.entries.iter().map(|of| (&of.programme, of.grant.as_ref()));
    let grants = now.grants.keys().map(|(programme, grant)| (programme, Some(grant)));
    for (programme, grant) in rows.chain(entries).chain(grants).collect::<BTreeSet<_>>() {
        let is_there = grant.is_none_or(|grant| now.grants.contains_key(&(programme.clone(), grant.clone())));
        if !is_there || !now.programmes.contains_key(programme) {
            wrong.push(format!("something is about {programme} / {grant:?}, which is not there"));
        }
    }
    for (programme, grant, epoch) in now.readings.keys() {
        let of = now.grants.get(&(programme.clone(), grant.clone()));
        if of.and_then(|grant| grant.attempt(*epoch)?.key.as_ref()).is_none() {
            wrong.push(format!("a reading is of {programme}/{grant}, attempt {epoch:?}, which has no key"));
        }
    }
    let keys = now.grants.values().flat_map(|grant| grant.attempts.iter().filter_map(|attempt| attempt.key.as_ref()));
    let mut known = BTreeSet::new();
    wrong.extend(keys.filter(|key| !known.insert(*key)).map(|key| format!("key {key} is recorded twice")));
}

/// As long as a programme goes on, the restrictions that people set are confirmed by the provider, or ordered, and each live key is
/// recorded to be under them, or that is ordered, or a job does it. After a complete sync a key is under its guardrail at the provider.
pub(super) fn keys_are_under_their_rules(step: &Step<'_>, wrong: &mut Vec<String>) {
    let now = step.now;
    let running = |of: &&Programme| !of.is_over(now.at);
    for programme in now.programmes.values().filter(running) {
        let is_told = |rules: &Rules| {
            let set = now.rule_sets.get(&rules.id());
            let known = set.and_then(|set| set.guardrail.as_ref());
            // Whether a tier has other models by now is found by the work of each minute.
            let has_rules = known.is_some_and(|known| rules.tier().is_some() || known.rules == *rules);
            rules.allow_all() || has_rules || set.is_some_and(|set| set.order.is_some())
        };
        if !programme.settings.all_rules().iter().all(is_told) {
            wrong.push(format!("programme {} has rules that nobody tells the provider", programme.id));
        }
    }
    for grant in now.grants.values() {
        let programme = now.programmes.get(&grant.programme).filter(running);
        let (Some(live), Some(programme)) = (grant.live().filter(|of| of.rules_ordered.is_none()), programme) else {
            continue;
        };
        let mut jobs = now.jobs.iter().filter(|job| job.programme == grant.programme && job.is_running());
        let rules = programme.settings.rules(grant.group.as_deref());
        let is_under = live.rule_set.as_ref().map_or(rules.allow_all(), |set| *set == rules.id());
        if !is_under && !jobs.any(|job| matches!(job.work, Work::Rules { .. })) {
            wrong.push(format!("the key of {} is not under its rules", named(grant)));
        }
        let set = live.rule_set.as_ref().and_then(|set| now.rule_sets.get(set)).filter(|set| set.order.is_none());
        let key = live.key.as_ref().and_then(|key| now.key(key)).filter(|key| now.is_enabled(key));
        let guardrail = set.map(|set| set.guardrail.as_ref().map(|known| &known.id));
        if step.synced && guardrail.zip(key).is_some_and(|(known, key)| key.guardrail_id.as_ref() != known) {
            wrong.push(format!("the key of {} is not under its guardrail at the provider", named(grant)));
        }
    }
}

/// A student's address is in few kinds of items, so that an erasure knows where it is.
pub(super) fn addresses_are_where_they_may_be(step: &Step<'_>, wrong: &mut Vec<String>) {
    let people = step.now.grants.values().map(|grant| &grant.person.address);
    let addresses = people.flat_map(|of| [of.as_written().to_lowercase(), of.matched().as_str().to_owned()]);
    let addresses: BTreeSet<String> = addresses.collect();
    for ((pk, sk), item) in &step.now.items {
        let kind = text(item, "kind");
        if WITH_ADDRESSES.split(' ').any(|of| of == kind)
            || (kind == "outbox" && ["link", "request"].contains(&text(item, "mail")))
        {
            continue;
        }
        let texts = text_of(item).to_lowercase();
        if texts.contains('@') {
            let found = addresses.iter().filter(|address| texts.contains(address.as_str()));
            wrong.extend(found.map(|address| format!("{pk} / {sk} has the address {address}")));
        }
    }
}

pub(super) fn named(grant: &Grant) -> String {
    format!("grant {}/{} ({grant})", grant.programme, grant.id)
}
