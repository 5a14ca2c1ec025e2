//! Items that are not what the product writes.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::audit::{Act, AuditDetail, Entry};
use bursar_core::domain::grant::{
    AnnouncedEnd, Attempt, AttemptState, Grant, GrantState, KeyAbsence, Notice, RecoveredKey, Stopped, SwitchState,
};
use bursar_core::domain::people::role::Roles;
use bursar_core::domain::values::id::{Epoch, GrantId};
use bursar_core::store::{Enrolment, OutboxRow, QueuedMail, keys};
use jiff::{SignedDuration, Timestamp};

use super::Scene;
use crate::acts::act::{faculty, programme};
use crate::acts::settings::{Setting, ada, bob, found, key_of, reading, staff};

#[tokio::test]
async fn an_item_that_the_product_would_not_write_is_named() {
    let (text, number) =
        (|text: &str| AttributeValue::S(text.to_owned()), |text: &str| AttributeValue::N(text.to_owned()));
    for (name, value, words) in [
        ("kind", text("balloon"), "there is no kind \"balloon\""),
        ("colour", text("red"), "[\"colour\"]"),
        ("state", text("sleeping"), "corrupt"),
        ("queue", text("order-leak"), "[\"queue\"]"),
        ("programme", text("other"), "[\"pk\"]"),
        ("ttl", number("1"), "[\"ttl\"]"),
    ] {
        let mut scene = Scene::at(Setting::Live).await;
        scene.set(keys::grant(&programme(), &ada()), name, value).await;
        scene.bites("table", words).await;
    }
}

#[tokio::test]
async fn a_grant_to_which_no_acts_lead_is_named() {
    type Edit = fn(&mut Grant);
    let cases: [(Setting, Edit, &str); 27] = [
        (Setting::Minting, |grant| grant.has_place = false, "is minting without a place"),
        (
            Setting::Minting,
            |grant| grant.attempts[0].state = AttemptState::Unknown,
            "without an open attempt of its nonce",
        ),
        (
            Setting::Minting,
            |grant| grant.attempts[0].nonce = "fe00000000000001".parse().unwrap(),
            "without an open attempt",
        ),
        (Setting::Minting, |grant| grant.epoch = Epoch::new(2), "is not at the epoch of its last attempt"),
        (Setting::Minting, |grant| grant.state = GrantState::Invited, "has an open attempt but is not minting"),
        (Setting::Replacing, |grant| grant.attempts[0].state = AttemptState::Open, "more than one open attempt"),
        (Setting::Replacing, |grant| grant.attempts.reverse(), "whose epochs do not ascend"),
        (
            Setting::Replacing,
            |grant| grant.attempts[0].nonce = grant.attempts[1].nonce.clone(),
            "two attempts with one nonce",
        ),
        (Setting::Replacing, |grant| grant.attempts[0].switch = SwitchState::On, "not live and that nobody disables"),
        (
            Setting::Live,
            |grant| grant.state = GrantState::Live { key: key_of(&bob(), Epoch::new(1)) },
            "no shown attempt has",
        ),
        (Setting::Live, |grant| grant.has_place = false, "is live without a place"),
        (Setting::Live, |grant| grant.ever_shown = false, "whether a key was ever shown"),
        (
            Setting::Minting,
            |grant| grant.counted_at = Some(grant.attempts[0].begun_at),
            "replacements were counted, and had none",
        ),
        (Setting::Live, |grant| grant.replacements = 1, "counts more replacements"),
        (Setting::Live, |grant| grant.state = GrantState::Invited, "is invited although it was shown a key"),
        (Setting::Live, |grant| grant.attempts[0].shown_at = None, "does not say truly when it was shown"),
        (Setting::Live, |grant| grant.attempts[0].limit = None, "was shown without a key or its limit"),
        (
            Setting::Live,
            |grant| grant.holds.dropped = Some(Timestamp::UNIX_EPOCH),
            "without a hold, or does not with one",
        ),
        (Setting::Live, |grant| grant.state = GrantState::Revoked, "is over and has a place"),
        (
            Setting::Invited,
            |grant| grant.state = GrantState::Stopped { why: Stopped::Leaked },
            "is stopped although it was shown no key",
        ),
        (
            Setting::Minting,
            |grant| grant.attempts[0].switch = SwitchState::OffOrdered { since: grant.attempts[0].begun_at },
            "is to be disabled but has no key",
        ),
        (Setting::Live, |grant| grant.attempts[0].gone = Some(KeyAbsence::Missing), "is live with a key that is gone"),
        (Setting::Leaked, |grant| grant.attempts[0].gone = Some(KeyAbsence::Missing), "is still to be disabled"),
        (Setting::Minting, |grant| grant.attempts[0].gone = Some(KeyAbsence::Purged), "is gone without a key"),
        (
            Setting::Minting,
            |grant| grant.attempts[0].announced = announced(Notice::UnusedSoon, grant.attempts[0].begun_at, 7),
            "although it was shown to nobody",
        ),
        (
            Setting::Live,
            |grant| grant.attempts[0].announced = announced(Notice::TooOldSoon, grant.attempts[0].begun_at, -1),
            "to end before it was announced",
        ),
        (
            Setting::Live,
            |grant| {
                let newer = newer(grant);
                grant.attempts.push(newer);
            },
            "is live with a key of an older attempt",
        ),
    ];
    for (setting, edit, words) in cases {
        let mut scene = Scene::at(setting).await;
        scene.edit(edit).await;
        scene.bites("table", words).await;
    }
}

fn announced(notice: Notice, at: Timestamp, days: i64) -> BTreeMap<Notice, AnnouncedEnd> {
    [(notice, AnnouncedEnd { at, until: at + SignedDuration::from_hours(24 * days) })].into()
}

/// An attempt after the last one, with a key that may not be used.
fn newer(grant: &mut Grant) -> Attempt {
    grant.epoch = grant.epoch.next();
    let last = grant.attempts.last().unwrap();
    Attempt {
        epoch: grant.epoch,
        nonce: "fe00000000000001".parse().unwrap(),
        key: Some(key_of(&bob(), grant.epoch)),
        switch: SwitchState::Off { at: last.begun_at },
        ..last.clone()
    }
}

#[tokio::test]
async fn keys_of_a_recovered_grant_may_stand_as_they_were_found() {
    let (world, now) = Setting::Live.world();
    let listed = found(&ada(), Epoch::new(1), None);
    let unlimited = RecoveredKey { enabled: false, limit: None, ..listed[0].clone() };
    let world = world.does(&crate::acts::act::Act::Recover(ada(), vec![unlimited]), now);
    let mut scene = Scene::of(&world, now).await;
    assert_eq!(scene.grant().epoch, Epoch::new(2));
    scene.bears("table").await;
}

#[tokio::test]
async fn an_item_that_refers_to_nothing_is_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let nobody: GrantId = "0000000000000001".parse().unwrap();
    let address = scene.grant().person.address.matched().clone();

    scene.remove(keys::enrolment(&address, &programme())).await;
    scene.bites("table", "is found by 0 enrolments").await;
    scene.keep(&Enrolment { address: address.clone(), programme: programme(), grant: bob() }).await;
    scene.bites("table", "A#ada@uni.edu / G#cs-pilot names no grant of that person").await;
    scene.bites("table", "is found by 2 enrolments").await;
    scene.keep(&Enrolment { address, programme: programme(), grant: ada() }).await;

    scene.keep(&reading(&ada(), Epoch::new(7), 1, scene.now)).await;
    scene.bites("table", "attempt Epoch(7), which has no key").await;

    let mail = QueuedMail::Notice {
        programme: programme(),
        grant: nobody.clone(),
        epoch: Epoch::new(1),
        notice: Notice::KeyShown,
    };
    scene.keep(&OutboxRow::queued(ulid::Ulid::from_parts(1, 1), mail, scene.now)).await;
    scene.bites("table", "is about a grant that is not there").await;

    let what = AuditDetail::new(Act::ReplacementAllowed);
    let (entry, at, by) = (ulid::Ulid::from_parts(1, 1), scene.now, faculty());
    scene.keep(&Entry { programme: programme(), grant: Some(nobody), entry, at, by, what }).await;
    scene.bites("table", "is on a grant that is not there").await;

    let [faye] = &staff(&["faye"])[..] else { unreachable!() };
    let roles =
        Roles { address: faye.clone(), programme: programme(), faculty: true, assistant: false, finance: false };
    scene.keep(&roles).await;
    scene.bites("table", "faye@uni.edu, which no settings say").await;
    scene.remove(keys::roles(faye.matched(), &programme())).await;
    scene
        .set(
            keys::programme(&programme()),
            "faculty",
            AttributeValue::L(vec![AttributeValue::S("faye@uni.edu".to_owned())]),
        )
        .await;
    scene.bites("table", "faye@uni.edu, which is not found").await;
    scene.remove(keys::listed_programme(&programme())).await;
    scene.bites("table", "programme cs-pilot is listed and not there, or there and not listed").await;

    scene.remove(keys::pot(&programme())).await;
    scene.bites("table", "programme cs-pilot has no pot").await;
    scene.remove(keys::programme(&programme())).await;
    scene.bites("table", "is of programme cs-pilot, which is not there").await;
}

#[tokio::test]
async fn a_key_that_two_attempts_record_is_named() {
    let mut scene = Scene::at(Setting::Replacing).await;
    scene.edit(|grant| grant.attempts[1].key = grant.attempts[0].key.clone()).await;
    scene.bites("table", "is recorded by grant").await;
}

#[tokio::test]
async fn an_address_in_an_audit_entry_is_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let what = AuditDetail::new(Act::Edited).noting("at the request of Ada@uni.edu");
    let (entry, at, by) = (ulid::Ulid::from_parts(1, 1), scene.now, faculty());
    scene.keep(&Entry { programme: programme(), grant: None, entry, at, by, what }).await;
    scene.bites("people", "has the address ada@uni.edu").await;
}

#[tokio::test]
async fn rules_of_keys_that_nobody_tells_the_provider_are_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let models = AttributeValue::L(vec![AttributeValue::S("openai/gpt-4o-mini".to_owned())]);
    scene.set(keys::programme(&programme()), "models", models).await;
    scene.bites("table", "programme cs-pilot has rules that nobody tells the provider").await;
    scene.bites("table", "is not under its rules").await;
}
