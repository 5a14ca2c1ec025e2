//! The shape of the table: each item is what its kind says, people are found by their addresses,
//! which are in few items, and keys are under their rules. One moment is enough to judge all of it.

use std::collections::BTreeSet;

use bursar_core::domain::audit::AuditEntry;
use bursar_core::domain::credit::BalanceNotice;
use bursar_core::domain::grant::{Grant, MoreListing, Urgency};
use bursar_core::domain::ledger::cut::AccountCut;
use bursar_core::domain::ledger::foreign::{ForeignAct, ForeignKey, KeyOwner};
use bursar_core::domain::ledger::mailed::MailedStatement;
use bursar_core::domain::mail::alarm::Alarm;
use bursar_core::domain::mail::digest::{Digest, KeptPeople};
use bursar_core::domain::programme::counts::RosterCounts;
use bursar_core::domain::programme::guardrail::{Guardrail, GuardrailOwner};
use bursar_core::domain::programme::role::Roles;
use bursar_core::domain::programme::rules::{Tier, Tiers};
use bursar_core::domain::programme::{Budget, Programme};
use bursar_core::domain::sign_in::{Session, SignIn};
use bursar_core::domain::sign_on::{BegunSignOn, SignOnBinding};
use bursar_core::domain::usage::crossing::Crossing;
use bursar_core::domain::usage::reading::Reading;
use bursar_core::schema::{AtErasure, Kind};
use bursar_core::store::items::{self, Item};
use bursar_core::store::{
    AccessEntry, Account, AddedAdmins, AssignedUse, BalanceReading, DoneByHand, Enrolment, Erasure,
    FiledMail, GroupTotals, HourlyUses, Import, ImportPart, Job, KeptTotals, KnownAddress, Link,
    ListedModels, LoginRequest, MailRefusal, MailServer, Meta, ModelDay, ModelRows, OutboxRow,
    OwnJudgement, RateCount, RetentionHold, RosterMails, RosterPreview, RosterToken, Run, RunLease,
    SentAs, StaffPerson, SyncState, Undeliverable, Work,
};

use super::Step;
use super::secrets::text_of;
use super::snapshot::text;

/// What the product would write for an item of one of these kinds.
macro_rules! rewritten {
    ($item:ident as $($kind:ident)*) => {
        $(if items::is_kind::<$kind>($item) {
            items::from_item::<$kind>($item.clone()).and_then(|value| items::to_item(&value)).map_err(|error| error.to_string())
        } else)* {
            Err("it is of no known kind".to_owned())
        }
    };
}

/// Every item is of a known kind, decodes, and has exactly the key and the attributes that the
/// product would write.
pub(super) fn items_are_whole(step: &Step<'_>, wrong: &mut Vec<String>) {
    for ((pk, sk), item) in &step.now.items {
        let again: Result<Item, String> = rewritten!(item as
            Meta RunLease AddedAdmins Programme Guardrail Tier Budget RosterCounts Job Import Erasure Grant Reading
            DoneByHand Enrolment AuditEntry StaffPerson Roles KnownAddress
            SignIn LoginRequest Link Session BegunSignOn SignOnBinding RateCount HourlyUses OutboxRow FiledMail SentAs Undeliverable RosterMails
            MailServer MailRefusal Crossing Alarm Digest MailedStatement BalanceNotice
            SyncState Run OwnJudgement ForeignKey KeyOwner KeptTotals GroupTotals KeptPeople
            AssignedUse Account BalanceReading AccountCut ForeignAct ModelDay ModelRows RosterPreview ImportPart RosterToken
            MoreListing ListedModels AccessEntry RetentionHold);
        match again {
            Ok(again) if again == *item => {}
            Ok(again) => {
                let different = item
                    .keys()
                    .chain(again.keys())
                    .filter(|name| item.get(*name) != again.get(*name));
                wrong.push(format!(
                    "{pk} / {sk} would be written with other {:?}",
                    different.collect::<BTreeSet<_>>()
                ));
            }
            Err(why) => wrong.push(format!(
                "{pk} / {sk}, of the kind {:?}: {why}",
                text(item, "kind")
            )),
        }
    }
}

/// Whoever has a grant or a role is found by their address, and nobody else is: a grant without an
/// address is found by none.
pub(super) fn people_are_found_by_their_addresses(step: &Step<'_>, wrong: &mut Vec<String>) {
    let now = step.now;
    let role = |of: Roles| format!("{of:?} spelled {}", of.address.as_written());
    let roles = now
        .programmes
        .values()
        .flat_map(|of: &Programme| Roles::collect(&of.id, &of.settings.people).into_values());
    let grants = now
        .grants
        .values()
        .filter(|grant| !grant.person.address.is_none());
    let grants = grants.map(|of| {
        format!(
            "{}/{} of {}",
            of.programme,
            of.id,
            of.person.address.matched().as_str()
        )
    });
    let people: BTreeSet<String> = roles.map(role).chain(grants).collect();
    let enrolments = now
        .all()
        .map(|of: Enrolment| format!("{}/{} of {}", of.programme, of.grant, of.address.as_str()));
    let found: BTreeSet<String> = now.all().map(role).chain(enrolments).collect();
    wrong.extend(
        people
            .difference(&found)
            .map(|of| format!("{of} is not found by the address")),
    );
    wrong.extend(
        found
            .difference(&people)
            .map(|of| format!("{of} is found by an address, and is not there")),
    );
}

/// As long as a programme goes on, the provider was asked to put each usable key under the
/// guardrail of its group's rules or of the programme's, or that is due, or a job does it. After a
/// complete sync it is there, and the guardrail has the models of now. A guardrail that is not as
/// settings and tiers ask for is due to be told.
pub(super) fn keys_are_under_their_rules(step: &Step<'_>, wrong: &mut Vec<String>) {
    let now = step.now;
    let edited: Vec<Tier> = now.all().collect();
    let due: BTreeSet<String> = edited
        .iter()
        .filter(|of| of.due_at.is_some())
        .map(|of| of.name.clone())
        .collect();
    let tiers = Tiers::new(edited);
    for (owner, guardrail) in &now.guardrails {
        let Some(programme) = now
            .programmes
            .get(&owner.programme)
            .filter(|of| !of.is_over(now.at))
        else {
            continue;
        };
        let of_all = now.guardrails.get(&GuardrailOwner {
            group: None,
            ..owner.clone()
        });
        let is_looked_at = [Some(guardrail), of_all]
            .into_iter()
            .flatten()
            .any(|of| of.due_at.is_some());
        let is_due = is_looked_at
            || programme
                .settings
                .rules
                .tiers()
                .any(|tier| due.contains(tier));
        let wanted = programme
            .settings
            .rules
            .rules_for(owner.group.as_deref())
            .resolve(&tiers);
        if !is_due && !guardrail.rules.is(&wanted) {
            wrong.push(format!(
                "the guardrail of {owner} is not right, and nobody is to tell it its rules"
            ));
        }
    }
    let at_limits: BTreeSet<_> = now
        .all()
        .filter_map(|job: Job| {
            (job.is_running() && job.work == Work::Limits).then_some(job.programme)
        })
        .collect();
    let is_due =
        |grant: &Grant| now.waits_in(grant, &[Urgency::Leak, Urgency::Disable, Urgency::Limit]);
    for grant in now.grants.values().filter(|grant| !is_due(grant)) {
        let programme = now
            .programmes
            .get(&grant.programme)
            .filter(|of| !of.is_over(now.at));
        let key = now
            .usable(grant)
            .and_then(|key| now.key(key))
            .filter(|key| now.is_enabled(key));
        let (Some(key), Some(programme), false) =
            (key, programme, at_limits.contains(&grant.programme))
        else {
            continue;
        };
        let rules = programme.settings.rules.rules_for(grant.group.as_deref());
        let own = grant
            .group
            .as_ref()
            .filter(|group| programme.settings.rules.group_models.contains_key(*group));
        // That of a group which lost its own rules has the programme's.
        let right = [own, grant.group.as_ref()].into_iter().filter_map(|group| {
            let owner = GuardrailOwner {
                programme: grant.programme.clone(),
                group: group.cloned(),
            };
            let known = now.guardrails.get(&owner)?;
            Some((known, &known.remote.as_ref()?.id))
        });
        let right: Vec<_> = right.collect();
        let was_asked = right
            .iter()
            .any(|(_, id)| key.asked_changes.contains(&format!("guardrail {id}")));
        if !was_asked && !rules.allow_all() {
            wrong.push(format!(
                "the key of {} is not under its rules",
                named(grant)
            ));
        }
        if !step.synced || right.iter().any(|(known, _)| known.rules.is_in_doubt()) {
            continue;
        }
        let is_under = right
            .iter()
            .find(|(_, id)| key.guardrail_id.as_ref() == Some(*id));
        let Some((known, id)) = is_under else {
            if key.guardrail_id.is_some() || !rules.allow_all() {
                wrong.push(format!(
                    "the key of {} is not under its guardrail at the provider",
                    named(grant)
                ));
            }
            continue;
        };
        let models = now.allowed.get(*id).cloned().unwrap_or_default();
        let is_allowed = models == rules.resolve(&tiers).models;
        if known.refusal.is_none() && !is_allowed {
            wrong.push(format!(
                "the key of {} may call something else than its rules allow",
                named(grant)
            ));
        }
    }
}

/// A student's address is in items of those kinds alone with which an erasure does something.
pub(super) fn addresses_are_where_they_may_be(step: &Step<'_>, wrong: &mut Vec<String>) {
    let people = step
        .now
        .grants
        .values()
        .map(|grant| &grant.person.address)
        .filter(|of| !of.is_none());
    let addresses = people.flat_map(|of| {
        [
            of.as_written().to_lowercase(),
            of.matched().as_str().to_owned(),
        ]
    });
    let addresses: BTreeSet<String> = addresses.collect();
    for ((pk, sk), item) in &step.now.items {
        let kind = Kind::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == text(item, "kind"));
        let may_have_one = match kind.map(Kind::at_erasure) {
            Some(AtErasure::Goes | AtErasure::Refuses) => true,
            Some(AtErasure::LosesTheName) => kind != Some(Kind::AuditEntry),
            Some(AtErasure::IsSearched) if kind == Some(Kind::OutboxRow) => {
                ["link", "request", "former-address"].contains(&text(item, "mail"))
            }
            Some(AtErasure::IsSearched) => true,
            Some(AtErasure::Stays) | None => false,
        };
        if may_have_one {
            continue;
        }
        let texts = text_of(item).to_lowercase();
        if texts.contains('@') {
            let found = addresses
                .iter()
                .filter(|address| texts.contains(address.as_str()));
            wrong.extend(found.map(|address| format!("{pk} / {sk} has the address {address}")));
        }
    }
}

pub(super) fn named(grant: &Grant) -> String {
    format!("grant {}/{} ({grant})", grant.programme, grant.id)
}
