//! The raw form of every item: a change to it is a migration, and shows as a change of the snapshot.

mod account;
mod books;
mod grants;
mod mail;
mod notifications;
mod sign_in;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use ulid::Ulid;

use self::books::{
    a_cut, a_foreign_act, a_foreign_key, a_full_sync_state, a_key_owner, a_mailed_statement, a_missing_key,
    a_statements_mail, an_account, an_account_day, some_assigned_use, some_cut_keys, some_marks,
};
use self::grants::{a_full_grant, a_full_reading, a_job, a_walk, an_import};
use self::sign_in::{a_full_sign_in, a_link, a_session, asked};
use super::RateCount;
use crate::domain::audit::{Act, Actor, AuditDetail, Entry};
use crate::domain::grant::testing::{a_grant, a_programme};
use crate::domain::grant::{Grant, Notice};
use crate::domain::people::role::Roles;
use crate::domain::programme::guardrail::{ConfirmedRules, Guardrail, GuardrailOwner};
use crate::domain::programme::rules::{DataPolicy, Region, Rules};
use crate::domain::programme::tiers::Tier;
use crate::domain::programme::{Budget, Group};
use crate::domain::usage::crossing::{AlertMail, Crossing, Scope};
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::address::MatchedAddress;
use crate::domain::values::key::KeyHash;
use crate::domain::values::money::Usd;
use crate::domain::values::window::Window;
use crate::secrets::ManagementKey;
use crate::store::items::{self, Item, Stored};
use crate::store::programmes::rules::{RulesDue, RulesSource};
use crate::store::sync::books::{GroupTotals, KeptTotals};
use crate::store::sync::fenced::CheckpointPart;
use crate::store::table::keys;
use crate::store::{
    Ask, Bounce, ByHand, DoneByHand, Enrolment, GrantMail, KnownAccount, KnownAddress, Lease, MailState, Meta,
    OutboxRow, QueuedMail, Run, StaffPerson, Totals, Undeliverable, UnreachableReason,
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn ulid() -> Ulid {
    Ulid::from_parts(1_767_225_600_000, 42)
}

fn a_key() -> KeyHash {
    "ab".repeat(32).parse().unwrap()
}

fn ada() -> MatchedAddress {
    a_grant().person.address.matched().clone()
}

fn hash<T: serde::de::DeserializeOwned>(digits: &str) -> T {
    serde_json::from_value(digits.repeat(32).into()).unwrap()
}

fn some_totals() -> Totals {
    Totals {
        programme: a_programme().id,
        as_of: at("2026-01-03T00:20:00Z"),
        used: DailyUse::on_one("2026-01-02".parse().unwrap(), Usd::from_dollars(42)),
        by_group: BTreeMap::from([(
            "A".to_owned(),
            DailyUse::on_one("2026-01-02".parse().unwrap(), Usd::from_dollars(40)),
        )]),
        implied: Usd::from_dollars(100),
        grants: 5,
        claimed: 3,
    }
}

fn a_crossing() -> Crossing {
    Crossing {
        programme: a_programme().id,
        scope: Scope::Budget,
        window: Window::WHOLE_TERM,
        limit: Usd::from_dollars(100),
        threshold: 80,
        spent: Usd::from_dollars(81),
        found_at: at("2026-01-03T00:21:00Z"),
        is_mailed: true,
        mails: vec![
            AlertMail { row: ulid(), recipient: "fedcba9876543210".parse().unwrap(), by_hand: None },
            AlertMail {
                row: ulid(),
                recipient: "fedcba9876543210".parse().unwrap(),
                by_hand: Some(at("2026-01-03T09:00:00Z")),
            },
        ],
    }
}

fn a_run() -> Run {
    let (began_at, ended_at) = (at("2026-01-03T00:20:00Z"), at("2026-01-03T00:20:09Z"));
    Run { run: ulid(), began_at, ended_at, complete: true, report: "{}".to_owned() }
}

fn raw<T: Stored + PartialEq + std::fmt::Debug>(value: &T) -> String {
    let item = items::to_item(value).unwrap();
    assert_eq!(&items::from_item::<T>(item.clone()).unwrap(), value, "an item reads back as what was written");
    format!("{}\n{}", T::KIND, lines(&item))
}

fn lines(item: &Item) -> String {
    let sorted: BTreeMap<_, _> = item.iter().collect();
    sorted.into_iter().map(|(name, value)| format!("  {name}: {}\n", shown(value))).collect()
}

fn shown(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) => format!("{text:?}"),
        AttributeValue::N(number) => number.clone(),
        AttributeValue::Bool(yes) => yes.to_string(),
        AttributeValue::Null(_) => "null".to_owned(),
        AttributeValue::L(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(", ")),
        AttributeValue::M(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let inside: Vec<_> = sorted.into_iter().map(|(name, value)| format!("{name}: {}", shown(value))).collect();
            format!("{{{}}}", inside.join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn a_full_guardrail() -> Guardrail {
    let rules = Rules {
        models: vec!["openai/gpt-4o-mini".to_owned()],
        data_policy: DataPolicy::NoTraining,
        providers: vec!["openai".to_owned()],
        regions: vec![Region::Europe, Region::Us],
    };
    let of = GuardrailOwner { programme: "cs-pilot".parse().unwrap(), group: Some("A".to_owned()) };
    let (id, answered, at_eight) = ("9a1c".to_owned(), "{}".to_owned(), at("2026-01-02T08:00:00Z"));
    let confirmed = Some(ConfirmedRules { id, rules: Rules::default(), answered, at: at_eight });
    let sent = Guardrail { confirmed, ..Guardrail::new(of) }.sending(&rules, at_eight);
    Guardrail { version: 2, ..sent.refused(&rules, "no such model", at("2026-01-02T09:00:00Z")) }
}

#[test]
fn every_item_has_the_raw_form_that_is_on_record() {
    let mut programme = a_programme();
    programme.settings.claim_opens_at = Some(at("2026-01-01T08:00:00Z"));
    programme.settings.groups.insert("A".to_owned(), Group { cap: Some(Usd::from_dollars(25)), models: Vec::new() });
    programme.settings.providers = vec!["openai".to_owned()];
    programme.settings.regions = vec![Region::Europe];
    programme.closed_at = Some(at("2026-04-11T00:00:00Z"));
    let budget = Budget {
        programme: programme.id.clone(),
        limit: Usd::from_dollars(100),
        reserved: Usd::from_dollars(20),
        assigned: Usd::from_dollars(2),
        counted_at: Some(at("2026-01-03T00:20:00Z")),
        shown: true,
        version: 2,
    };
    let grant = a_full_grant();
    let entry = Entry {
        programme: Some(programme.id.clone()),
        grant: Some(grant.id.clone()),
        entry: ulid(),
        at: at("2026-01-02T08:00:00Z"),
        by: Actor::Person("fedcba9876543210".parse().unwrap()),
        what: AuditDetail::new(Act::Held).changing("live", "live, paused").noting("exam"),
    };
    let enrolment = Enrolment {
        address: grant.person.address.matched().clone(),
        programme: programme.id.clone(),
        grant: grant.id.clone(),
    };
    let mail = QueuedMail::notice(Notice::KeyShown, &grant);
    let row = OutboxRow::queued(ulid(), mail, at("2026-01-02T08:00:01Z"));
    let sent = OutboxRow {
        state: MailState::Sent { message: "0100".to_owned(), at: at("2026-01-02T08:00:02Z") },
        tries: 1,
        version: 3,
        mail: QueuedMail::Alert {
            programme: programme.id.clone(),
            scope: Scope::Budget,
            threshold: 80,
            of_limit: Usd::from_dollars(100),
            recipient: "fedcba9876543210".parse().unwrap(),
        },
        ..row.clone()
    };
    let (holder, until) = ("0123".to_owned(), at("2026-01-02T00:15:00Z"));
    let lease = Lease { lease: "sync".to_owned(), holder, fence: 3, until };
    let meta = Meta {
        deployment: "0123456789".parse().unwrap(),
        table: "bursar".to_owned(),
        born: at("2026-01-01T00:00:00Z"),
        account: Some(KnownAccount {
            management_key: ManagementKey::parse("sk-or-v1-management")
                .unwrap()
                .fingerprint(&"0123456789".parse().unwrap()),
            listed: vec!["ab".repeat(32).parse().unwrap(), "cd".repeat(32).parse().unwrap()],
        }),
    };
    let programme_entry = Entry { grant: None, what: AuditDetail::new(Act::Closed), ..entry.clone() };

    let came_back = OutboxRow {
        state: MailState::Bounced { message: "0100".to_owned(), at: at("2026-01-02T08:00:09Z"), bounce: Bounce::Soft },
        counted_on: Some("2026-01-02".parse().unwrap()),
        ..sent.clone()
    };
    let given_up = OutboxRow {
        state: MailState::Failed { why: "Throttling".to_owned(), at: at("2026-01-02T18:00:09Z") },
        ..sent.clone()
    };
    let by_rule = QueuedMail::notice(Notice::UnusedSoon, &grant);
    let by_rule = OutboxRow::queued(ulid(), by_rule, at("2026-01-02T08:00:01Z"));

    let all = [
        raw(&meta),
        raw(&lease),
        raw(&programme),
        raw(&Roles {
            address: a_grant().person.address,
            programme: programme.id.clone(),
            faculty: true,
            assistant: false,
            finance: true,
        }),
        raw(&budget),
        raw(&a_full_guardrail()),
        raw(&RulesDue { of: RulesSource::Tier("basic".to_owned()), at: at("2026-01-02T08:00:00Z"), mark: ulid() }),
        raw(&Tier { name: "basic".to_owned(), models: vec!["openai/gpt-4o-mini".to_owned()], version: 1 }),
        raw(&grant),
        raw(&a_full_reading()),
        raw(&entry),
        raw(&programme_entry),
        raw(&enrolment),
        raw(&row),
        raw(&sent),
        raw(&came_back),
        raw(&given_up),
        mail::items(),
        raw(&by_rule),
        raw(&OutboxRow { mail: asked(), ..row.clone() }),
        raw(&a_full_sign_in()),
        raw(&a_link()),
        raw(&a_session()),
        raw(&Ask { ask: ulid(), address: ada(), asked_by: hash("a5"), at: at("2026-01-02T08:00:00Z") }),
        raw(&DoneByHand {
            programme: a_programme().id,
            grant: a_grant().id,
            what: ByHand::RosterMail,
            again_at: at("2026-01-02T08:01:00Z"),
        }),
        raw(&RateCount { count: 3, ..RateCount::of_links(at("2026-01-02T08:00:03Z")) }),
        raw(&Undeliverable { address: ada(), why: UnreachableReason::Bounced, at: at("2026-01-02T08:00:03Z") }),
        raw(&KnownAddress {
            address: ada(),
            person: Some("fedcba9876543210".parse().unwrap()),
            digest: false,
            reminders: true,
            version: 2,
        }),
        raw(&StaffPerson { person: "fedcba9876543210".parse().unwrap(), address: a_grant().person.address }),
        raw(&a_key_owner()),
        raw(&some_assigned_use()),
        raw(&some_totals()),
        raw(&KeptTotals { totals: some_totals(), groups_apart: true }),
        raw(&GroupTotals {
            programme: a_programme().id,
            group: "A".to_owned(),
            as_of: some_totals().as_of,
            used: some_totals().used,
        }),
        raw(&a_crossing()),
        raw(&a_run()),
        raw(&a_full_sync_state()),
        raw(&an_account()),
        raw(&an_account_day()),
        raw(&a_cut()),
        raw(&some_cut_keys()),
        raw(&a_mailed_statement()),
        raw(&a_statements_mail()),
        raw(&a_foreign_act()),
        raw(&a_foreign_key()),
        raw(&a_missing_key()),
        raw(&some_marks()),
        raw(&account::a_checkpoint()),
        raw(&CheckpointPart {
            run: ulid(),
            part: keys::rows_part(2, 0),
            made_at: at("2026-01-03T00:20:00Z"),
            bytes: vec![1, 2],
        }),
        account::items(),
        notifications::items(),
        raw(&an_import()),
        raw(&a_job()),
        raw(&a_walk()),
        raw(&GrantMail {
            programme: a_programme().id,
            grant: a_grant().id,
            row: ulid(),
            written_at: at("2026-01-02T08:00:00Z"),
        }),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn an_item_of_another_kind_or_shape_is_corrupt_and_names_nobody() {
    let enrolment = Enrolment {
        address: a_grant().person.address.matched().clone(),
        programme: a_programme().id,
        grant: a_grant().id,
    };
    let mut item = items::to_item(&enrolment).unwrap();
    let wrong_kind = items::from_item::<Grant>(item.clone()).unwrap_err().to_string();
    item.insert("grant".to_owned(), item["address"].clone());
    let wrong_value = items::from_item::<Enrolment>(item.clone()).unwrap_err().to_string();
    item.remove("grant");
    let wrong_shape = items::from_item::<Enrolment>(item).unwrap_err().to_string();
    for message in [wrong_kind, wrong_value, wrong_shape] {
        assert!(message.contains("corrupt (A/G)") && !message.contains("ada"), "{message}");
    }
}
