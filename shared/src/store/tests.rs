//! The raw form of every item, so that a change to it is seen for what it is: a migration.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use ulid::Ulid;

use super::items::{self, Enrolment, Item, Lease, MailClass, MailState, Meta, OutboxRow, OwedMail, Stored};
use crate::domain::audit::{Act, Actor, Entry, What};
use crate::domain::grant::testing::{a_grant, a_programme};
use crate::domain::grant::{Attempt, AttemptState, Disable, Grant, Pause, Reading, State};
use crate::domain::id::Epoch;
use crate::domain::money::Usd;
use crate::domain::programme::{Group, Pot};
use crate::domain::window::Reset;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn ulid() -> Ulid {
    Ulid::from_parts(1_767_225_600_000, 42)
}

/// A grant with something in every attribute.
fn a_full_grant() -> Grant {
    let key = "ab".repeat(32).parse().unwrap();
    let attempt = |epoch, state, disable| Attempt {
        epoch: Epoch::new(epoch),
        nonce: "0123456789abcdef".parse().unwrap(),
        state,
        begun_at: at("2026-01-02T08:00:00Z"),
        key: None,
        limit: None,
        shown_at: None,
        disable,
    };
    let owed = Disable::Owed { since: at("2026-01-02T09:00:00.250Z") };
    let shown = Attempt {
        key: Some(key),
        limit: Some(Usd::from_dollars(20)),
        shown_at: Some(at("2026-01-02T08:00:01Z")),
        ..attempt(1, AttemptState::Shown, owed)
    };
    let mut grant = a_grant();
    grant.person.name = Some("Ada Lovelace".to_owned());
    grant.person.roster_id = Some("s1234".to_owned());
    grant.group = Some("A".to_owned());
    grant.own_cap = Some(Usd::from_dollars(25));
    grant.state =
        State::Minting { nonce: "0123456789abcdef".parse().unwrap(), lease_until: at("2026-01-02T09:01:00.250Z") };
    grant.holds.paused = Some(Pause { by: Actor::Student, why: Some("exam".to_owned()) });
    grant.holds.dropped = true;
    grant.epoch = Epoch::new(2);
    grant.has_place = true;
    grant.ever_shown = true;
    grant.counted_at = Some(at("2026-01-02T08:00:01Z"));
    grant.attempts = vec![shown, attempt(2, AttemptState::Open, Disable::No)];
    grant
}

fn a_full_reading() -> Reading {
    let now = at("2026-01-03T00:21:00Z");
    let window = Reset::Monthly.window_at(now);
    let (lifetime, in_window) = (Usd::from_micros(1_234_567), Usd::from_micros(234_567));
    Reading {
        programme: a_programme().id,
        grant: a_grant().id,
        epoch: Epoch::new(1),
        lifetime,
        window,
        in_window,
        as_of: now,
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
    programme.closed_at = Some(at("2026-04-11T00:00:00Z"));
    let pot = Pot {
        programme: programme.id.clone(),
        limit: Usd::from_dollars(100),
        reserved: Usd::from_dollars(20),
        version: 2,
    };
    let grant = a_full_grant();
    let entry = Entry {
        programme: programme.id.clone(),
        grant: Some(grant.id.clone()),
        entry: ulid(),
        at: at("2026-01-02T08:00:00Z"),
        by: Actor::Person("fedcba9876543210".parse().unwrap()),
        what: What::new(Act::Held).changing("live", "live, paused").noting("exam"),
    };
    let enrolment = Enrolment {
        address: grant.person.address.matched().clone(),
        programme: programme.id.clone(),
        grant: grant.id.clone(),
    };
    let mail = OwedMail::KeyShown { programme: programme.id.clone(), grant: grant.id.clone() };
    let row = OutboxRow {
        row: ulid(),
        class: MailClass::Urgent,
        state: MailState::Waiting,
        written_at: at("2026-01-02T08:00:01Z"),
        mail,
    };
    let (holder, until) = ("0123".to_owned(), at("2026-01-02T00:15:00Z"));
    let lease = Lease { lease: "sync".to_owned(), holder, fence: 3, until };
    let meta = Meta {
        deployment: "0123456789".parse().unwrap(),
        table: "bursar".to_owned(),
        born: at("2026-01-01T00:00:00Z"),
    };
    let programme_entry = Entry { grant: None, what: What::new(Act::Closed), ..entry.clone() };

    let all = [
        raw(&meta),
        raw(&lease),
        raw(&programme),
        raw(&pot),
        raw(&grant),
        raw(&a_full_reading()),
        raw(&entry),
        raw(&programme_entry),
        raw(&enrolment),
        raw(&row),
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
