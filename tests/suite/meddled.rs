//! Changes by hand at the provider: a key renamed, its limit changed, switched off, or a counter that shrank.
//! The sync reports them, restores what is the product's, and goes on.

use bursar_core::domain::audit::{Act, Actor, AuditDetail};
use bursar_core::domain::grant::{HoldKind, Reading, ReleaseRefused};
use bursar_core::domain::programme::Settings;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::{Window, utc_date};
use bursar_core::store::{ActOutcome, Author, EditOutcome, TierOutcome};
use bursar_local::invoke::FunctionName;
use bursar_local::provider::Nano;
use bursar_tests::aws;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::ProgrammeEdits;
use bursar_tests::office::{Office, soon};
use bursar_tests::stack::{self, Left, Stack};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::sync::{still, sync};

/// Changes a key as an admin does by hand.
async fn meddle(stack: &Stack, key: &str, change: Value) {
    let management = aws::management_key(&stack.ready).await;
    let patch = aws::http().patch(format!("{}/keys/{key}", stack.ready.provider));
    assert_eq!(patch.bearer_auth(management).json(&change).send().await.unwrap().status(), 200);
}

fn is_enabled(stack: &Stack, key: &str) -> bool {
    let keys = stack.provider.as_ref().unwrap().keys();
    !keys.iter().find(|known| known.hash == key).unwrap().disabled
}

fn spend(stack: &Stack, key: &str, micros: i64) {
    stack.provider.as_ref().unwrap().spend(key, Nano::micros(micros), stack.clock.now(), "a/model").unwrap();
}

fn problems(report: &Value) -> String {
    report["problems"].to_string()
}

#[tokio::test]
async fn a_key_with_another_name_is_its_grants_still_and_is_counted_once() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let (ada, bob) = (office.invite("ada@x.edu").await, office.invite("bob@x.edu").await);
    let (live, revoked) = (office.claim(&ada).await, office.claim(&bob).await);
    spend(&stack, &live, 1_000_000);
    office.table.act(office.at(&bob), |view, now| view.revoke(&Actor::Rule, None, now)).await.unwrap();
    assert_eq!(sync(&stack).await["complete"], true);
    assert!(!is_enabled(&stack, &revoked));

    for key in [&live, &revoked] {
        meddle(&stack, key, json!({"name": format!("mine {}", &key[..4]), "disabled": false})).await;
    }
    meddle(&stack, &live, json!({"limit": 500})).await;
    spend(&stack, &live, 500_000);
    stack.clock.advance(SignedDuration::from_hours(2)).unwrap();
    for _ in 0..2 {
        let report = sync(&stack).await;
        assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("0.000000")), "{report}");
        assert!(problems(&report).contains("another name") && problems(&report).contains(&live), "{report}");
        assert!(is_enabled(&stack, &live) && !is_enabled(&stack, &revoked), "{report}");
    }
    let view = office.table.view(&office.programme, &ada).await.unwrap().unwrap();
    assert_eq!(view.readings[0].lifetime(), Usd::from_micros(1_500_000));
    let limit = stack.provider.as_ref().unwrap().keys().into_iter().find(|key| key.hash == live).unwrap().limit;
    assert_eq!(limit.unwrap().to_string(), "20");
    let account = office.table.account().await.unwrap().unwrap();
    assert_eq!(account.foreign.credits.total(), Usd::ZERO);
    stack.finish_leaving(&[Left::PerhapsMails]).await;
}

#[tokio::test]
async fn a_key_that_was_taken_out_of_its_programmes_guardrail_is_put_under_it_again() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let ada = office.invite("ada@x.edu").await;
    let key = office.claim(&ada).await;
    let programme = office.table.programme(&office.programme).await.unwrap().unwrap();
    let mut settings = programme.settings;
    settings.models = vec!["openai/gpt-4o-mini".to_owned()];
    let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
    let what = AuditDetail::new(Act::Edited);
    let saved = office.table.save_settings(&programme.id, settings, programme.version, what, by).await.unwrap();
    assert_eq!(saved, EditOutcome::Done);
    stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap();
    let guardrail = office.guardrail().await.unwrap().id;
    let under = || stack.provider.as_ref().unwrap().keys()[0].guardrail_id.clone();
    assert_eq!(under().as_ref(), Some(&guardrail), "by the job of the edit");
    stack.provider.as_ref().unwrap().unassign(&key).unwrap();

    let report = sync(&stack).await;
    assert_eq!((&report["complete"], under()), (&json!(true), Some(guardrail)), "{report}");
    assert!(problems(&report).contains("not under its programme's guardrail") && problems(&report).contains(&key));
    let report = sync(&stack).await;
    assert_eq!((&report["complete"], &report["problems"]), (&json!(true), &json!([])), "{report}");
    stack.finish().await;
}

#[tokio::test]
async fn a_key_whose_limit_counts_otherwise_counts_again_as_its_programme_says() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let ada = office.invite("ada@x.edu").await;
    let key = office.claim(&ada).await;
    let counted = || {
        let keys = stack.provider.as_ref().unwrap().keys();
        let known = keys.into_iter().find(|known| known.hash == key).unwrap();
        (known.limit.map(|limit| limit.to_string()), known.limit_reset, known.include_byok_in_limit)
    };
    let wanted = (Some("20".to_owned()), None, true);
    let report = sync(&stack).await;
    assert_eq!((&report["problems"], counted()), (&json!([]), wanted.clone()), "{report}");
    for drift in [json!({"limit_reset": "daily"}), json!({"include_byok_in_limit": false})] {
        meddle(&stack, &key, drift.clone()).await;
        assert_ne!(counted(), wanted);
        // An answer that does not confirm the change is a failure.
        let rule = stack.gate.at(Matcher::call("provider:PATCH /keys/{hash}").every(), Fault::Status(400));
        let report = sync(&stack).await;
        assert!(report["complete"] == false && problems(&report).contains(ada.as_str()), "{drift}: {report}");
        stack.gate.lift(rule);
        let report = sync(&stack).await;
        assert_eq!((&report["complete"], counted()), (&json!(true), wanted.clone()), "{drift}: {report}");
        assert!(problems(&report).contains("counted otherwise") && problems(&report).contains(&key), "{report}");
        let report = sync(&stack).await;
        assert_eq!((&report["complete"], &report["problems"]), (&json!(true), &json!([])), "{report}");
    }
    stack.finish_leaving(&[Left::Complaints(&[("usage-sync", "the provider did not do it")])]).await;
}

#[tokio::test]
async fn a_guardrail_whose_rules_were_changed_by_hand_is_told_its_own_again() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let programme = office.table.programme(&office.programme).await.unwrap().unwrap();
    let mut settings = programme.settings;
    settings.models = vec!["openai/gpt-4o-mini".to_owned()];
    let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
    office
        .table
        .save_settings(&programme.id, settings, programme.version, AuditDetail::new(Act::Edited), by)
        .await
        .unwrap();
    stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap();
    let guardrail = office.guardrail().await.unwrap().id;
    let url = format!("{}/guardrails/{guardrail}", stack.ready.provider);
    let management = aws::management_key(&stack.ready).await;
    let rules = async || {
        let answer = aws::http().get(&url).bearer_auth(&management).send().await.unwrap();
        let mut rules = answer.json::<Value>().await.unwrap()["data"].take();
        rules.as_object_mut().unwrap().remove("updated_at");
        rules
    };
    let report = sync(&stack).await;
    assert_eq!((&report["complete"], &report["problems"]), (&json!(true), &json!([])), "{report}");
    let wanted = rules().await;
    for drift in [
        json!({"allowed_models": ["openai/gpt-4o-mini", "openai/gpt-4o"]}),
        json!({"allowed_models": null}),
        json!({"allowed_providers": ["openai"]}),
        json!({"enable_paid_model_training": true}),
        json!({"name": "mine"}),
    ] {
        let patch = aws::http().patch(&url).bearer_auth(&management).json(&drift);
        assert_eq!(patch.send().await.unwrap().status(), 200, "{drift}");
        assert_ne!(rules().await, wanted, "{drift}");
        let rule = stack.gate.at(Matcher::call("provider:PATCH /guardrails/{id}").every(), Fault::Status(400));
        let report = sync(&stack).await;
        assert!(report["complete"] == false && problems(&report).contains("was not told its rules"), "{report}");
        stack.gate.lift(rule);
        let report = sync(&stack).await;
        assert_eq!((&report["complete"], rules().await), (&json!(true), wanted.clone()), "{drift}: {report}");
        assert!(problems(&report).contains("had other rules at the provider"), "{drift}: {report}");
        let report = sync(&stack).await;
        assert_eq!((&report["complete"], &report["problems"]), (&json!(true), &json!([])), "{report}");
    }
    // A tier is edited while the sync sends what the tier had.
    let edits = async |models: &[&str]| {
        let (table, by) = (&office.table, Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() });
        let (version, models) = (table.tiers().await.unwrap().get("basic").unwrap().version, models.iter());
        let models: Vec<String> = models.map(|model| (*model).to_owned()).collect();
        let edited = table.edit_tier("basic", &models, Some(version), by).await.unwrap();
        assert_eq!(edited, TierOutcome::Done);
        stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap();
    };
    let programme = office.table.programme(&office.programme).await.unwrap().unwrap();
    let settings = Settings { models: vec!["basic".to_owned()], ..programme.settings };
    let (by, what) =
        (Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() }, AuditDetail::new(Act::Edited));
    office.table.save_settings(&programme.id, settings, programme.version, what, by).await.unwrap();
    edits(&["openai/gpt-4o-mini"]).await;
    let of_tier = office.guardrail().await.unwrap().id;
    let allowed = || stack.provider.as_ref().unwrap().allowed_models(&of_tier).unwrap();
    let tells = || Matcher::call("provider:PATCH /guardrails/{id}").of(FunctionName::UsageSync);
    for (after, verdict) in [("openai/gpt-4o", None), ("openai/gpt-4o-mini", Some(Fault::LoseAnswer))] {
        let held = stack.gate.hold(tells());
        let edited = async {
            held.arrived().await;
            edits(&[after]).await;
            assert_eq!(allowed(), [after]);
            held.release(verdict).unwrap();
            // Whatever it tries again ends alike.
            while held.arrived().await.name.has_effect() {
                held.release(verdict).unwrap();
            }
        };
        tokio::select! {
            _ = sync(&stack) => {}
            () = edited => {}
        }
        drop(held);
        stack.clock.advance(SignedDuration::from_mins(1)).unwrap();
        stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap();
        assert_eq!(allowed(), [after], "the older rules do not stay");
    }
    let left = [Left::Complaints(&[("usage-sync", "the provider did not do it")]), Left::PerhapsMails];
    stack.finish_leaving(&left).await;
}

#[tokio::test]
async fn a_guardrail_that_somebody_deleted_is_made_again_and_every_key_is_put_under_it() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
    let programme = office.table.programme(&office.programme).await.unwrap().unwrap();
    let settings = Settings { models: vec!["openai/gpt-4o-mini".to_owned()], ..programme.settings };
    let what = AuditDetail::new(Act::Edited);
    office.table.save_settings(&programme.id, settings, programme.version, what, by).await.unwrap();
    stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap();
    let (ada, bob) = (office.invite("ada@x.edu").await, office.invite("bob@x.edu").await);
    let of_ada = office.claim(&ada).await;
    // The sync puts it under its guardrail, since no claim did.
    assert_eq!(sync(&stack).await["complete"], true);
    let provider = stack.provider.as_ref().unwrap();
    let mut watch = stack::watch(&stack);
    watch.check().await;
    let deleted = async || {
        let guardrail = office.guardrail().await.unwrap().id;
        provider.delete_guardrail(&guardrail).unwrap();
        guardrail
    };
    // The sync sees it by itself.
    let first = deleted().await;
    let report = sync(&stack).await;
    assert!(report["complete"] == true && problems(&report).contains("was made anew"), "{report}");
    let second = office.guardrail().await.unwrap().id;
    assert_ne!(first, second);
    assert_eq!(office.key(&of_ada).guardrail_id, Some(second.clone()), "put under it in the same run");
    let report = sync(&stack).await;
    assert_eq!((&report["complete"], &report["problems"]), (&json!(true), &json!([])), "{report}");
    // A claim sees it first.
    assert_eq!(deleted().await, second);
    let student = crate::console::signed_in(&stack, "bob@x.edu").await;
    let refused = student.submit(&student.get("/my").await, "/my/cs-pilot/reveal", &[]).await;
    assert_eq!(refused.status, 502, "{:?}", refused.alerts());
    watch.check().await;
    stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap();
    let shown = student.submit(&student.get("/my").await, "/my/cs-pilot/reveal", &[]).await;
    assert_eq!(shown.status, 200, "{:?}", shown.alerts());
    watch.check().await;
    let third = Some(office.guardrail().await.unwrap().id);
    assert_eq!(office.key(&of_ada).guardrail_id, third, "by a job, before any sync");
    let report = sync(&stack).await;
    assert_eq!(report["complete"], true, "{report}");
    watch.check_after_sync().await;
    let of_bob = office.table.view(&office.programme, &bob).await.unwrap().unwrap().grant.live().unwrap().key.clone();
    assert_eq!(office.key(&of_ada).guardrail_id, third);
    assert_eq!(office.key(of_bob.unwrap().as_str()).guardrail_id, third);
    let left = Left::PerhapsComplaints(&[
        ("usage-sync", "the provider did not do it"),
        ("claim", "the provider did not do it"),
        ("console", "the provider did not do it"),
    ]);
    stack.finish_leaving(&[Left::PerhapsMails, left]).await;
}

#[tokio::test]
async fn a_number_that_shrank_is_named_and_leaves_the_run_complete_and_the_record_as_it_was() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let ada = office.invite("ada@x.edu").await;
    let key = office.claim(&ada).await;
    spend(&stack, &key, 1_000_000);
    assert_eq!(sync(&stack).await["complete"], true);
    // The recorded reading is higher than what the provider reports now.
    let view = office.table.view(&office.programme, &ada).await.unwrap().unwrap();
    let more = Usd::from_micros(1_250_000);
    let known = view.readings[0].clone();
    let larger = Reading { used: DailyUse::on_one(utc_date(known.as_of), more), in_window: more, ..known };
    assert_eq!(larger.window, Window::WHOLE_TERM);
    office.table.note_reading(&larger, soon()).await.unwrap();

    let report = sync(&stack).await;
    assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("-0.250000")), "{report}");
    assert!(problems(&report).contains(&key), "{report}");
    let view = office.table.view(&office.programme, &ada).await.unwrap().unwrap();
    assert_eq!(view.readings[0].lifetime(), more);
    assert!(office.table.sync_state().await.unwrap().listed_at.is_some());
    stack.finish().await;
}

#[tokio::test]
async fn a_key_that_was_resumed_and_not_switched_on_is_switched_on_by_the_work_and_no_sync_takes_it_for_stopped() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let ada = office.invite("ada@x.edu").await;
    let key = office.claim(&ada).await;
    let work = async || stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap();
    let owed = async || office.table.grant(&office.programme, &ada).await.unwrap().unwrap().orders().len();
    office
        .table
        .act(office.at(&ada), |view, now| view.hold(HoldKind::Paused, &office.faculty, None, now))
        .await
        .unwrap();
    assert_eq!((work().await["carried_out"].clone(), is_enabled(&stack, &key)), (json!(1), false));

    let patch = || Matcher::call("provider:PATCH /keys/{hash}").every();
    let rule = stack.gate.at(patch(), Fault::Status(400));
    let release = async || {
        office
            .table
            .act(office.at(&ada), |view, now| view.release(HoldKind::Paused, &office.faculty, now))
            .await
            .unwrap()
    };
    assert!(matches!(release().await, ActOutcome::Done(_)));
    assert!(matches!(release().await, ActOutcome::Refused(ReleaseRefused::NotHeld)));
    for _ in 0..2 {
        assert_eq!((work().await["put_off"].clone(), owed().await), (json!(1), 1));
        let report = sync(&stack).await;
        assert_eq!((&report["complete"], &report["problems"]), (&json!(true), &json!([])), "{report}");
        assert_eq!(office.table.grant(&office.programme, &ada).await.unwrap().unwrap().to_string(), "live");
        stack.clock.advance(SignedDuration::from_hours(2)).unwrap();
    }
    stack.gate.lift(rule);
    // A single 404 for a key is not believed.
    let rule = stack.gate.at(patch(), Fault::Status(404));
    assert_eq!((work().await["put_off"].clone(), owed().await), (json!(1), 1));
    stack.gate.lift(rule);
    assert_eq!((work().await["carried_out"].clone(), owed().await), (json!(0), 1), "it is asked again in an hour");
    stack.clock.advance(SignedDuration::from_hours(1)).unwrap();
    assert_eq!((work().await["carried_out"].clone(), is_enabled(&stack, &key), owed().await), (json!(1), true, 0));

    // A switch-off at the provider after that is a person's act, and is not undone.
    meddle(&stack, &key, json!({"disabled": true})).await;
    assert_eq!((work().await["carried_out"].clone(), is_enabled(&stack, &key)), (json!(0), false));
    assert_eq!(sync(&stack).await["complete"], true);
    assert_eq!(office.table.grant(&office.programme, &ada).await.unwrap().unwrap().to_string(), "stopped");
    stack
        .finish_leaving(&[
            Left::PerhapsMails,
            Left::Complaints(&[("console", "an order is put off"), ("console", "the provider did not do it")]),
        ])
        .await;
}
