//! The raw form of every item, so that a change to it is seen for what it is: a migration.

mod account;
mod books;
mod documented;
mod mail;
mod notifications;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use ulid::Ulid;

use self::books::{a_cut, a_foreign_key, a_full_sync_state, a_missing_key, an_account, an_account_day, some_marks};
use super::RateCount;
use crate::domain::audit::{Act, Actor, AuditDetail, Entry};
use crate::domain::grant::testing::{a_grant, a_programme};
use crate::domain::grant::{
    AnnouncedEnd, Attempt, AttemptState, Grant, GrantState, KeyAbsence, Notice, Pause, Reading, SwitchState,
};
use crate::domain::people::role::{Role, Roles};
use crate::domain::people::session::Session;
use crate::domain::people::sign_in::{LiveLink, Mailed, SignIn};
use crate::domain::programme::rules::{DataPolicy, Guardrail, Rules, RulesOrder};
use crate::domain::programme::{Group, Pot};
use crate::domain::usage::crossing::{AlertMail, Crossing, Scope};
use crate::domain::usage::days::Days;
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::address::MatchedAddress;
use crate::domain::values::id::Epoch;
use crate::domain::values::key::KeyHash;
use crate::domain::values::money::Usd;
use crate::domain::values::window::{Reset, Window};
use crate::secrets::ManagementKey;
use crate::store::items::{self, Item, Stored};
use crate::store::programmes::imports::{Import, ImportChunk, Step};
use crate::store::programmes::jobs::{Job, JobState};
use crate::store::sync::checkpoints::CheckpointPart;
use crate::store::sync::totals::{GroupTotals, KeptTotals};
use crate::store::table::keys;
use crate::store::{
    AddressSession, Ask, Bounce, Enrolment, GrantMail, KnownAccount, Lease, Link, ListedProgramme, MailChoice,
    MailState, Meta, OutboxRow, PersonOfAddress, QueuedMail, Refreshed, RosterMailResent, Run, StaffPerson, Totals,
    Undeliverable, UnreachableReason,
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

/// A grant with something in every attribute.
fn a_full_grant() -> Grant {
    let attempt = |epoch, state, disable| Attempt {
        state,
        switch: disable,
        ..Attempt::open(Epoch::new(epoch), "0123456789abcdef".parse().unwrap(), at("2026-01-02T08:00:00Z"))
    };
    let announced = AnnouncedEnd { at: at("2026-01-02T08:40:00Z"), until: at("2026-01-09T08:40:00Z") };
    let ordered = SwitchState::OffOrdered { since: at("2026-01-02T09:00:00.250Z") };
    let shown = Attempt {
        key: Some(a_key()),
        limit: Some(Usd::from_dollars(20)),
        shown_at: Some(at("2026-01-02T08:00:01Z")),
        resumed_at: Some(at("2026-01-02T08:30:00Z")),
        announced: [Notice::UnusedSoon, Notice::TooOldLater, Notice::TooOldSoon, Notice::TermEndSoon]
            .map(|notice| (notice, announced))
            .into(),
        told: Some(crate::domain::grant::ToldLimit {
            limit: Usd::from_dollars(30),
            until: Some(at("2026-01-02T08:50:00Z")),
            unanswered_since: Some(at("2026-01-02T08:49:00Z")),
        }),
        limit_ordered: Some(at("2026-01-02T08:55:00Z")),
        late_enable_until: Some(at("2026-01-02T09:00:15.250Z")),
        read_at: Some(at("2026-01-02T09:16:00.250Z")),
        put_off: Some(crate::domain::grant::OrderBackoff { tries: 2, until: at("2026-01-02T09:02:00.250Z") }),
        missing_since: Some(at("2026-01-02T09:01:00Z")),
        rest_promised_since: Some(at("2026-01-03T09:01:00Z")),
        gone: Some(KeyAbsence::Purged),
        ..attempt(1, AttemptState::Shown, ordered)
    };
    let mut grant = a_grant();
    grant.person.name = Some("Ada Lovelace".to_owned());
    grant.person.roster_id = Some("s1234".to_owned());
    grant.group = Some("A".to_owned());
    grant.own_cap = Some(Usd::from_dollars(25));
    grant.state =
        GrantState::Minting { nonce: "0123456789abcdef".parse().unwrap(), lease_until: at("2026-01-02T09:01:00.250Z") };
    grant.holds.paused = Some(Pause { by: Actor::Student, role: Role::Assistant, why: Some("exam".to_owned()) });
    grant.holds.dropped = Some(at("2026-01-02T08:58:00Z"));
    grant.epoch = Epoch::new(2);
    grant.has_place = true;
    grant.ever_shown = true;
    grant.counted_at = Some(at("2026-01-02T08:00:01Z"));
    grant.attempts = vec![shown, attempt(2, AttemptState::Open, SwitchState::On)];
    grant
}

fn a_full_reading() -> Reading {
    let now = at("2026-01-03T00:21:00Z");
    let window = Reset::Monthly.window_at(now);
    let mut used = DailyUse::on_one("2026-01-02".parse().unwrap(), Usd::from_micros(1_234_567));
    used.byok = Days::on_one("2026-01-03".parse().unwrap(), Usd::from_micros(5));
    Reading {
        programme: a_programme().id,
        grant: a_grant().id,
        epoch: Epoch::new(1),
        used,
        window,
        in_window: Usd::from_micros(234_567),
        before: Usd::from_micros(1_000_005),
        last_used_at: Some(at("2026-01-02T23:59:00Z")),
        as_of: now,
        unchanged_until: Some(at("2026-01-02T00:20:00Z")),
    }
}

fn ada() -> MatchedAddress {
    a_grant().person.address.matched().clone()
}

fn hash<T: serde::de::DeserializeOwned>(digits: &str) -> T {
    serde_json::from_value(digits.repeat(32).into()).unwrap()
}

fn asked() -> QueuedMail {
    QueuedMail::Link { address: ada(), asked_by: hash("a5") }
}

fn a_full_sign_in() -> SignIn {
    let live = LiveLink {
        link: hash("1f"),
        code: Some(hash("c0")),
        asked_by: hash("a5"),
        ends_at: at("2026-01-02T08:30:00Z"),
    };
    let mailed = vec![Mailed { ask: ulid(), at: at("2026-01-02T08:00:00Z") }];
    SignIn {
        links: vec![live],
        mailed,
        unfollowed: 1,
        last_mailed_at: Some(at("2026-01-02T08:00:00Z")),
        wrong_codes: 1,
        last_tried_at: Some(at("2026-01-02T08:05:00Z")),
        version: 2,
        ..SignIn::none(ada())
    }
}

fn a_link() -> Link {
    Link { link: hash("1f"), address: ada(), ends_at: at("2026-01-02T08:30:00Z") }
}

fn a_session() -> Session {
    let person = Some("fedcba9876543210".parse().unwrap());
    Session::begun(hash("5e"), ada(), person, at("2026-01-02T08:00:00Z"))
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
        scope: Scope::Pot,
        window: Window::WHOLE_TERM,
        limit: Usd::from_dollars(100),
        threshold: 80,
        spent: Usd::from_dollars(81),
        found_at: at("2026-01-03T00:21:00Z"),
        told: true,
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

fn an_import() -> Import {
    let made_at = at("2026-01-02T08:00:00Z");
    Import {
        import: ulid(),
        programme: a_programme().id,
        made_at,
        steps: 3,
        dropped: 1,
        to_confirm: true,
        applied: true,
    }
}

fn some_steps() -> ImportChunk {
    let grant = a_full_grant();
    let add = Step::Add { person: grant.person.clone(), group: grant.group.clone() };
    let change = Step::Change { grant: grant.id.clone(), person: grant.person, group: None };
    let steps = vec![add, change, Step::Drop { grant: grant.id.clone() }, Step::Return { grant: grant.id }];
    ImportChunk { import: ulid(), number: 0, made_at: at("2026-01-02T08:00:00Z"), steps }
}

fn a_job() -> Job {
    Job {
        programme: a_programme().id,
        job: ulid(),
        import: ulid(),
        by: Actor::Person("fedcba9876543210".parse().unwrap()),
        state: JobState::Running { lease_until: at("2026-01-02T08:01:00Z") },
        next: 24,
        steps: 200,
        refused: 1,
        started_at: at("2026-01-02T08:00:00Z"),
        writer: "0123456789abcdef".parse().unwrap(),
        version: 2,
    }
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

#[test]
fn every_item_has_the_raw_form_that_is_on_record() {
    let mut programme = a_programme();
    programme.settings.claim_opens_at = Some(at("2026-01-01T08:00:00Z"));
    programme.settings.groups.insert("A".to_owned(), Group { cap: Some(Usd::from_dollars(25)), models: Vec::new() });
    let rules = Rules { models: vec!["openai/gpt-4o-mini".to_owned()], data_policy: DataPolicy::NoTraining };
    let confirmed_at = at("2026-01-02T08:00:00Z");
    programme.guardrail = Some(Guardrail { id: "9a1c".to_owned(), rules, confirmed_at });
    programme.rules_order = Some(RulesOrder::again(confirmed_at).refused("no such model", at("2026-01-02T09:00:00Z")));
    programme.closed_at = Some(at("2026-04-11T00:00:00Z"));
    let pot = Pot {
        programme: programme.id.clone(),
        limit: Usd::from_dollars(100),
        reserved: Usd::from_dollars(20),
        counted_at: Some(at("2026-01-03T00:20:00Z")),
        shown: true,
        version: 2,
    };
    let grant = a_full_grant();
    let entry = Entry {
        programme: programme.id.clone(),
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
            scope: Scope::Pot,
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
            witnesses: vec!["ab".repeat(32).parse().unwrap(), "cd".repeat(32).parse().unwrap()],
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
        raw(&ListedProgramme { programme: programme.id.clone() }),
        raw(&Roles {
            address: a_grant().person.address,
            programme: programme.id.clone(),
            faculty: true,
            assistant: false,
            finance: true,
        }),
        raw(&pot),
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
        raw(&AddressSession { session: hash("5e"), address: ada(), ends_at: at("2026-01-02T16:00:00Z") }),
        raw(&Ask { ask: ulid(), address: ada(), asked_by: hash("a5"), at: at("2026-01-02T08:00:00Z") }),
        raw(&Refreshed {
            grant: a_grant().id,
            until: at("2026-01-02T08:01:00Z"),
            press: "0123456789abcdef".parse().unwrap(),
        }),
        raw(&RateCount { count: 3, ..RateCount::of_links(at("2026-01-02T08:00:03Z")) }),
        raw(&Undeliverable { address: ada(), why: UnreachableReason::Bounced, at: at("2026-01-02T08:00:03Z") }),
        raw(&MailChoice { address: ada(), digest: false, reminders: true }),
        raw(&StaffPerson { person: "fedcba9876543210".parse().unwrap(), address: a_grant().person.address }),
        raw(&PersonOfAddress { address: ada(), person: "fedcba9876543210".parse().unwrap() }),
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
        raw(&some_steps()),
        raw(&a_job()),
        raw(&GrantMail {
            programme: a_programme().id,
            grant: a_grant().id,
            row: ulid(),
            written_at: at("2026-01-02T08:00:00Z"),
        }),
        raw(&RosterMailResent {
            programme: a_programme().id,
            grant: a_grant().id,
            resent_at: at("2026-01-02T08:00:00Z"),
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
