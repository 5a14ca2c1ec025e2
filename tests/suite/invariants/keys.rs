//! Keys at the provider that nothing accounts for: I1, I3, I6, I7, and the part of I11 about keys.

use bursar_core::domain::grant::{AttemptState, GRACE, GrantState, KeyAbsence, SwitchState};
use bursar_core::domain::values::id::Epoch;
use jiff::ToSpan;

use super::Scene;
use crate::acts::act::Act;
use crate::acts::settings::{Setting, ada};

#[tokio::test]
async fn two_enabled_keys_that_one_person_was_shown_are_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let first = scene.make_recorded_key(1).await;
    scene.accept().await;
    let grant = scene.grant();
    let second = scene.make_key(&grant.attempts[0]);
    scene.bears("I1").await;
    // An answer held this key, whatever the table says.
    scene.answer(&format!("<code data-testid=\"key\">{}</code>", second.plaintext));
    scene.bites("I1", "2 shown keys are enabled").await;
    scene.provider.delete(&first.hash).unwrap();
    scene.bears("I1").await;
}

#[tokio::test]
async fn two_enabled_keys_of_attempts_that_say_shown_are_named() {
    let mut scene = Scene::at(Setting::Replacing).await;
    scene.make_recorded_key(1).await;
    scene.accept().await;
    scene.make_recorded_key(2).await;
    scene.accept().await;
    scene.bears("I1").await;
    scene.edit(|grant| grant.attempts[1].state = AttemptState::Shown).await;
    scene.bites("I1", "2 shown keys are enabled").await;
}

#[tokio::test]
async fn an_enabled_key_without_an_attempt_is_named() {
    let mut scene = Scene::at(Setting::Live).await;
    scene.make_recorded_key(1).await;
    scene.bears("I3").await;
    let mut attempt = scene.grant().attempts[0].clone();
    attempt.epoch = Epoch::new(2);
    let made = scene.make_key(&attempt);
    scene.bites("I3", "no attempt was written down before it was made").await;
    scene.provider.delete(&made.hash).unwrap();
    scene.bears("I3").await;

    // Foreign keys are not judged.
    scene.provider.add_foreign_key("My key", None, scene.now).unwrap();
    scene.bears("I3").await;
}

#[tokio::test]
async fn an_enabled_key_that_was_shown_and_is_neither_live_nor_owed_is_named() {
    let mut scene = Scene::at(Setting::Leaked).await;
    scene.make_recorded_key(1).await;
    scene.bears("I3").await;
    scene.edit(|grant| grant.attempts[0].switch = SwitchState::On).await;
    scene.bites("I3", "it is not live, and nobody owes its disable").await;
}

#[tokio::test]
async fn an_enabled_key_that_its_attempt_does_not_record_is_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let attempt = scene.grant().attempts[0].clone();
    let second = scene.make_key(&attempt);
    scene.bears("I3").await;
    scene.pass(GRACE);
    scene.bears("I3").await;
    scene.bites_after_sync("I3", "its attempt has another key").await;
    scene.answer(&second.plaintext);
    scene.bites("I3", "its attempt has another key").await;
}

#[tokio::test]
async fn what_a_complete_sync_should_have_swept_is_named_after_it() {
    let mut scene = Scene::at(Setting::Forsaken).await;
    let attempt = scene.grant().attempts[0].clone();
    assert!(scene.now > attempt.begun_at + GRACE);
    scene.make_key(&attempt);
    scene.bears("I3").await;
    scene.bites_after_sync("I3", "older than the grace").await;

    let mut scene = Scene::at(Setting::Minting).await;
    let attempt = scene.grant().attempts[0].clone();
    scene.make_key(&attempt);
    let told = scene.violations(true).await;
    assert!(told.is_empty(), "a young one is nobody's business: {told:?}");

    let mut scene = Scene::at(Setting::Leaked).await;
    scene.make_recorded_key(1).await;
    let now = scene.now;
    scene.accept().await;
    scene.edit(|grant| grant.attempts[0].switch = SwitchState::Off { at: now }).await;
    scene.bears("I3").await;
    scene.bites_after_sync("I3", "it was disabled, and a complete sync left it so").await;
}

#[tokio::test]
async fn a_live_grant_that_is_not_live_any_more_without_an_end_is_named() {
    let mut scene = Scene::at(Setting::Live).await;
    scene.edit(|grant| grant.state = GrantState::Ended).await;
    scene.bites("I6", "is not live any more, and nobody ended it").await;

    let mut scene = Scene::at(Setting::Live).await;
    scene.make_recorded_key(1).await;
    scene.bites("I6", "has another live key than before").await;
    scene.edit(|grant| grant.state = GrantState::Live { key: "ab".repeat(32).parse().unwrap() }).await;
    scene.bites("I6", "which the provider never made").await;
}

#[tokio::test]
async fn a_key_in_an_answer_that_is_not_recorded_as_shown_is_named() {
    let mut scene = Scene::at(Setting::Minting).await;
    let attempt = scene.grant().attempts[0].clone();
    let made = scene.make_key(&attempt);
    scene.answer(&made.plaintext);
    scene.bites("I7", &made.hash).await;
}

#[tokio::test]
async fn an_enabled_key_of_a_revoked_grant_is_named_unless_it_is_owed_a_disable() {
    let (world, now) = Setting::Live.world();
    let world = world.does(&Act::Revoke(ada()), now - 1.minute());
    let mut scene = Scene::of(&world, now).await;
    scene.make_recorded_key(1).await;
    scene.bears("I11").await;
    scene.accept().await;
    scene.edit(|grant| grant.attempts[0].switch = SwitchState::Off { at: now }).await;
    scene.bears("I11").await;
    scene.bites_after_sync("I11", "has the enabled key").await;
    scene.edit(|grant| grant.attempts[0].switch = SwitchState::On).await;
    scene.bites("I11", "has the enabled key").await;
}

#[tokio::test]
async fn a_live_grant_whose_key_a_complete_sync_found_disabled_is_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let key = scene.make_recorded_key(1).await;
    scene.accept().await;
    scene.provider.disable(&key.hash).unwrap();
    scene.bears("I6").await;
    scene.bites_after_sync("I6", "which is disabled, and a complete sync left it so").await;
    let now = scene.now;
    scene.edit(|grant| grant.attempts[0].switch = SwitchState::OnOrdered { since: now, until_limited: false }).await;
    let told = scene.violations(true).await;
    assert!(!told.iter().any(|told| told.starts_with("I6")), "somebody is about to enable it: {told:?}");
}

#[tokio::test]
async fn a_key_that_is_said_to_be_gone_and_is_enabled_is_named_after_a_complete_sync() {
    let mut scene = Scene::at(Setting::Leaked).await;
    scene.make_recorded_key(1).await;
    scene.accept().await;
    let now = scene.now;
    scene
        .edit(|grant| {
            (grant.attempts[0].switch, grant.attempts[0].gone) =
                (SwitchState::Off { at: now }, Some(KeyAbsence::Missing));
        })
        .await;
    scene.accept().await;
    scene.bears("I3").await;
    scene.bites_after_sync("I3", "it is said to be gone").await;
}
