//! The rules that a person set on a programme, night after night: unused keys, old keys, and dead keys.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{GrantState, HoldKind, KeyAbsence, Notice, Stopped};
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::store::QueuedMail;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::Nano;
use bursar_tests::office::Office;
use bursar_tests::stack::Stack;
use serde_json::json;

use super::{
    grant, in_the_morning, instant, invite, is_enabled, mint, provider, rich, shape, signed_in, spend, sync, watch,
};

/// The notices that a sync just after midnight causes. All of them are mailed at once.
async fn night(stack: &Stack, day: i64) -> Vec<(GrantId, Notice)> {
    let mut watch = watch(stack);
    watch.check().await;
    let known = watch.seen().unwrap().outbox.len();
    stack.clock.stop_at(instant(day, 20)).unwrap();
    let report = sync(stack).await;
    assert_eq!((&report["complete"], &report["keys_missing"]), (&json!(true), &json!(0)), "day {day}: {report}");
    let seen = watch.check_after_sync().await;
    assert!(seen.outbox.len() >= known);
    let told = seen.outbox.iter().filter(|row| row.written_at == stack.clock.now());
    let told = told.filter_map(|row| match &row.mail {
        QueuedMail::Notice { grant, notice, .. } => Some((grant.clone(), *notice)),
        _ => None,
    });
    let told = told.collect();
    stack.invoke.invoke(FunctionName::Mail, json!({"task": "drain"})).await.unwrap();
    told
}

async fn reserved(office: &Office<'_>) -> Usd {
    office.table.pot(&office.programme).await.unwrap().unwrap().reserved
}

#[tokio::test]
async fn a_key_that_nobody_uses_is_announced_held_and_resumed_by_its_student() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    shape(&stack, &office, |settings| settings.unused_after_days = Some(14)).await;
    let (ada, ben) = (invite(&stack, &office, "ada", None).await, invite(&stack, &office, "ben", None).await);
    let (of_ada, of_ben) = (mint(&stack, &office, &ada).await, mint(&stack, &office, &ben).await);
    spend(&stack, &of_ada, 1_000_000);
    let mut told = Vec::new();
    for day in [1, 4, 5, 7, 8, 9, 10, 14, 15, 17] {
        if day % 5 == 0 {
            // A use that costs nothing is still a use.
            provider(&stack).spend(&of_ben, Nano::ZERO, stack.clock.now(), "a/model:free").unwrap();
        }
        told.extend(night(&stack, day).await.into_iter().map(|(of, notice)| (day, of, notice)));
    }
    // A day counts to its end, and the announcement comes a whole week before the hold.
    let days: Vec<_> = told.iter().map(|(day, of, notice)| (*day, of == &ada, *notice)).collect();
    assert_eq!(days, [(8, true, Notice::UnusedSoon), (15, true, Notice::Unused)]);
    let known = grant(&office, &ada).await;
    assert!(known.holds.has(HoldKind::Unused) && !is_enabled(&stack, &of_ada));
    assert_eq!(reserved(&office).await, Usd::from_dollars(21), "its unspent place is given back");
    assert!(grant(&office, &ben).await.holds.is_empty() && is_enabled(&stack, &of_ben));

    let student = signed_in(&stack, "ada@x.edu").await;
    let my = student.get("/my").await.expect(200);
    student.submit(&my, &format!("/my/{}/resume", office.programme), &[]).await.expect(303);
    assert!(is_enabled(&stack, &of_ada) && grant(&office, &ada).await.holds.is_empty());
    assert_eq!(reserved(&office).await, Usd::from_dollars(40));
    assert_eq!(night(&stack, 18).await, []);
    stack.finish().await;
}

#[tokio::test]
async fn a_key_that_becomes_old_is_announced_and_stopped_and_whoever_replaces_it_is_not_charged() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    shape(&stack, &office, |settings| settings.rotate_after_days = Some(30)).await;
    let (ada, ben) = (invite(&stack, &office, "ada", None).await, invite(&stack, &office, "ben", None).await);
    let (of_ada, _) = (mint(&stack, &office, &ada).await, mint(&stack, &office, &ben).await);
    let mut told = Vec::new();
    for day in [1, 23, 24, 27, 30, 31, 49, 50] {
        told.extend(night(&stack, day).await.into_iter().map(|(of, notice)| (day, of == ada, notice)));
        if day == 27 {
            mint(&stack, &office, &ben).await;
        }
    }
    let of = |ada: bool| told.iter().filter(|(_, of, _)| *of == ada).map(|(day, _, notice)| (*day, *notice)).collect();
    let (of_ada_told, of_ben_told): (Vec<_>, Vec<_>) = (of(true), of(false));
    assert_eq!(of_ada_told, [(24, Notice::TooOldSoon), (31, Notice::TooOld)]);
    assert_eq!(of_ben_told, [(24, Notice::TooOldSoon), (50, Notice::TooOldSoon)]);
    assert_eq!(grant(&office, &ada).await.state, GrantState::Stopped { why: Stopped::TooOld });
    assert!(!is_enabled(&stack, &of_ada));
    assert_eq!(grant(&office, &ben).await.replacements, 0);
    stack.finish().await;
}

#[tokio::test]
async fn dead_keys_are_deleted_in_their_time_a_few_a_night_and_their_readings_stay() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let mut dead = Vec::new();
    for name in ["ada", "ben", "cat"] {
        let of = invite(&stack, &office, name, None).await;
        let key = mint(&stack, &office, &of).await;
        spend(&stack, &key, 1_000_000);
        dead.push((of, key));
    }
    night(&stack, 1).await;
    for (of, _) in &dead[..2] {
        office.table.act(office.at(of), |view, now| view.revoke(&Actor::Rule, None, now)).await.unwrap();
    }
    let there = |stack: &Stack| {
        let keys = provider(stack).keys();
        dead.iter().filter(|(_, key)| keys.iter().any(|known| known.hash == *key && !known.deleted)).count()
    };
    for (day, left) in [(2, 3), (3, 3), (4, 2), (5, 1), (60, 1)] {
        night(&stack, day).await;
        assert_eq!(there(&stack), left, "day {day}");
    }
    // The third key ends with its term, at the first sync after it, and is kept for ninety more days. A key
    // that the sync deleted itself does not count as missing, although no key is left.
    for (day, left) in [(150, 1), (182, 1), (183, 1), (241, 0), (242, 0)] {
        night(&stack, day).await;
        assert_eq!(there(&stack), left, "day {day}");
    }
    for (of, _) in &dead {
        let view = office.table.view(&office.programme, of).await.unwrap().unwrap();
        assert_eq!(view.readings[0].lifetime(), Usd::from_dollars(1));
        assert_eq!(view.grant.attempts[0].gone, Some(KeyAbsence::Purged));
    }
    stack.finish().await;
}

#[tokio::test]
async fn nothing_is_deleted_within_ninety_days_of_a_table_that_went_back() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    office.table.act(office.at(&ada), |view, now| view.revoke(&Actor::Rule, None, now)).await.unwrap();
    let ben = invite(&stack, &office, "ben", None).await;
    night(&stack, 1).await;
    // A key of this deployment without a record.
    let begun = bursar_core::domain::grant::OpenAttempt {
        epoch: bursar_core::domain::values::id::Epoch::new(1),
        nonce: bursar_core::domain::values::id::Nonce::random(),
        to_retire: Vec::new(),
    };
    super::make(&stack, &office, &ben, &begun).await;
    let is_there = || provider(&stack).keys().iter().any(|known| known.hash == key && !known.deleted);
    for day in [8, 9, 60, 97] {
        stack.clock.stop_at(instant(day, 20)).unwrap();
        assert_eq!(sync(&stack).await["complete"], true);
        assert!(is_there(), "day {day}");
    }
    stack.clock.stop_at(instant(99, 20)).unwrap();
    sync(&stack).await;
    assert!(!is_there());
    stack.finish().await;
}

#[tokio::test]
async fn the_end_of_the_term_is_announced_a_week_before_and_anew_when_the_term_goes_on() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let (ada, ben) = (invite(&stack, &office, "ada", None).await, invite(&stack, &office, "ben", None).await);
    for of in [&ada, &ben] {
        mint(&stack, &office, of).await;
    }
    // The term is this day and ninety more.
    let mut told = Vec::new();
    for day in [1, 83, 84, 85, 86] {
        if day == 85 {
            shape(&stack, &office, |settings| {
                let (starts_on, longer) = (settings.term.starts_on(), super::date(120));
                settings.term = Term::new(starts_on, longer, "UTC").unwrap();
            })
            .await;
            office.table.act(office.at(&ben), |view, now| view.revoke(&Actor::Rule, None, now)).await.unwrap();
        }
        told.extend(night(&stack, day).await.into_iter().map(|(of, notice)| (day, of == ada, notice)));
    }
    told.sort_by_key(|(day, ada, _)| (*day, !*ada));
    assert_eq!(told, [(84, true, Notice::TermEndSoon), (84, false, Notice::TermEndSoon)]);
    let mut again = Vec::new();
    for day in [113, 114, 115, 120] {
        again.extend(night(&stack, day).await.into_iter().map(|(of, notice)| (day, of == ada, notice)));
    }
    assert_eq!(again, [(114, true, Notice::TermEndSoon)]);
    stack.finish().await;
}
