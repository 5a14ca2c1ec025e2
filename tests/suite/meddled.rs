//! Changes by hand at the provider: a key renamed, its limit changed, switched off, or a counter that shrank.
//! The sync reports them, restores what is the product's, and goes on.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{ChangeRefused, HoldKind, Reading};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::{Window, utc_date};
use bursar_core::store::{Account, ActOutcome, TierOutcome};
use bursar_local::invoke::FunctionName;
use bursar_local::provider::Nano;
use bursar_tests::aws;
use bursar_tests::campus::Campus;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::soon;
use serde_json::{Value, json};

/// People with a key each on a campus whose stream is not delivered, so that nothing runs but what a test calls.
async fn class(names: &[&str]) -> Campus {
    let mut campus = Campus::open().await;
    campus.pump.stop().await;
    campus.programme("CS pilot", |_| {}).await;
    campus.students(names).await;
    campus.keys().await;
    campus
}

fn problems(report: &Value) -> String {
    report["problems"].to_string()
}

#[tokio::test]
async fn a_renamed_key_is_its_grants_still() {
    let campus = class(&["ada", "bob"]).await;
    let [live, revoked] = ["ada", "bob"].map(|name| campus.key(name).hash);
    campus.spend("ada", "1");
    campus.revoke("bob").await;
    assert_eq!(campus.sync().await["complete"], true);
    assert!(!campus.is_on(&revoked));

    for key in [&live, &revoked] {
        campus
            .provider()
            .change_by_hand(key, &json!({"name": format!("mine {}", &key[..4]), "disabled": false}))
            .unwrap();
    }
    campus.provider().change_by_hand(&live, &json!({"limit": 500})).unwrap();
    campus.provider().spend(&live, Nano::micros(500_000), campus.clock.now(), "a/model").unwrap();
    campus.minutes(120);
    for _ in 0..2 {
        let report = campus.sync().await;
        assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("0.000000")), "{report}");
        assert!(problems(&report).contains("another name") && problems(&report).contains(&live), "{report}");
        assert!(campus.is_on(&live) && !campus.is_on(&revoked), "{report}");
    }
    let view = campus.view("ada").await;
    assert_eq!(view.readings[0].lifetime(), Usd::from_micros(1_500_000));
    let limit = campus.provider().keys().into_iter().find(|key| key.hash == live).unwrap().limit;
    assert_eq!(limit.unwrap().to_string(), "20");
    let account = campus.table.get(Account::key_of()).await.unwrap().unwrap();
    assert_eq!(account.foreign.credits.total(), Usd::ZERO);
    campus.finish().await;
}

#[tokio::test]
async fn a_limit_counts_again_as_the_programme_says() {
    let campus = class(&["ada"]).await;
    let key = campus.key("ada").hash;
    let counted = || {
        let keys = campus.provider().keys();
        let known = keys.into_iter().find(|known| known.hash == key).unwrap();
        (known.limit.map(|limit| limit.to_string()), known.limit_reset, known.include_byok_in_limit)
    };
    let wanted = (Some("20".to_owned()), None, true);
    let report = campus.sync().await;
    assert_eq!((&report["problems"], counted()), (&json!([]), wanted.clone()), "{report}");
    for drift in [json!({"limit_reset": "daily"}), json!({"include_byok_in_limit": false})] {
        campus.provider().change_by_hand(&key, &drift).unwrap();
        assert_ne!(counted(), wanted);
        // An answer that does not confirm the change is a failure.
        let rule = campus.gate.at(Matcher::call("provider:PATCH /keys/{hash}").every(), Fault::Status(400));
        let report = campus.sync().await;
        assert!(
            report["complete"] == false && problems(&report).contains(campus.id("ada").as_str()),
            "{drift}: {report}"
        );
        campus.gate.lift(rule);
        let report = campus.sync().await;
        assert_eq!((&report["complete"], counted()), (&json!(true), wanted.clone()), "{drift}: {report}");
        assert!(problems(&report).contains("counted otherwise") && problems(&report).contains(&key), "{report}");
        let report = campus.sync().await;
        assert_eq!((&report["complete"], &report["problems"]), (&json!(true), &json!([])), "{report}");
    }
    campus.finish().await;
}

#[tokio::test]
async fn a_changed_guardrail_is_told_its_rules_again() {
    let campus = class(&[]).await;
    let made = campus.restrict().await;
    let url = format!("{}/guardrails/{made}", campus.ready.provider);
    let management = aws::management_key(&campus.ready).await;
    let rules = async || {
        let answer = aws::http().get(&url).bearer_auth(&management).send().await.unwrap();
        let mut rules = answer.json::<Value>().await.unwrap()["data"].take();
        rules.as_object_mut().unwrap().remove("updated_at");
        rules
    };
    let report = campus.sync().await;
    assert_eq!((&report["complete"], &report["problems"]), (&json!(true), &json!([])), "{report}");
    let wanted = rules().await;
    for drift in [
        json!({"allowed_models": ["openai/gpt-4o-mini", "openai/gpt-4o"]}),
        json!({"allowed_models": null}),
        json!({"allowed_providers": ["openai"]}),
        json!({"enable_paid_model_training": true}),
        json!({"name": "mine"}),
    ] {
        campus.minutes(1);
        let patch = aws::http().patch(&url).bearer_auth(&management).json(&drift);
        assert_eq!(patch.send().await.unwrap().status(), 200, "{drift}");
        assert_ne!(rules().await, wanted, "{drift}");
        let rule = campus.gate.at(Matcher::call("provider:PATCH /guardrails/{id}").every(), Fault::Status(400));
        let report = campus.sync().await;
        assert!(report["complete"] == false && problems(&report).contains("was not told its rules"), "{report}");
        campus.gate.lift(rule);
        campus.minutes(2);
        let report = campus.sync().await;
        assert_eq!((&report["complete"], rules().await), (&json!(true), wanted.clone()), "{drift}: {report}");
        assert!(problems(&report).contains("had other rules at the provider"), "{drift}: {report}");
        let report = campus.sync().await;
        assert_eq!((&report["complete"], &report["problems"]), (&json!(true), &json!([])), "{report}");
    }
    // A tier is edited while the sync sends what the tier had.
    campus.set(|settings| settings.rules.all.models = vec!["basic".to_owned()]).await;
    campus.work().await;
    let edit_tier = async |model: &str| {
        let (table, by) = (&campus.table, campus.by());
        let version = table.tiers().await.unwrap().get("basic").unwrap().version;
        let edited = table.edit_tier("basic", &[model.to_owned()], Some(version), by).await.unwrap();
        assert_eq!(edited, TierOutcome::Done);
        campus.run(FunctionName::Console, json!({"task": "work"})).await.unwrap();
    };
    for (after, verdict) in [("openai/gpt-4o", None), ("openai/gpt-4o-mini", Some(Fault::LoseAnswer))] {
        campus.minutes(2);
        let patch = aws::http().patch(&url).bearer_auth(&management).json(&json!({"allowed_models": null}));
        assert_eq!(patch.send().await.unwrap().status(), 200);
        let held = campus.gate.hold(Matcher::call("provider:PATCH /guardrails/{id}").of(FunctionName::UsageSync));
        let edited = async {
            held.arrived().await;
            edit_tier(after).await;
            held.release(verdict).unwrap();
            // Whatever it tries again ends alike.
            while held.arrived().await.name.has_effect() {
                held.release(verdict).unwrap();
            }
        };
        tokio::select! {
            _ = campus.sync() => {}
            () = edited => {}
        }
        drop(held);
        campus.minutes(2);
        campus.work().await;
        assert_eq!(campus.provider().allowed_models(&made).unwrap(), [after], "the older rules do not stay");
    }
    campus.finish_faulted().await;
}

#[tokio::test]
async fn a_deleted_guardrail_is_made_again() {
    let mut campus = class(&[]).await;
    campus.restrict().await;
    campus.students(&["ada"]).await;
    campus.keys().await;
    campus.students(&["bob"]).await;
    assert_eq!(campus.sync().await["complete"], true);
    campus.judged().await;
    let deleted = async || {
        let guardrail = campus.guardrail().await.unwrap().id;
        campus.provider().delete_guardrail(&guardrail).unwrap();
        guardrail
    };
    campus.minutes(1);
    // The sync sees it by itself.
    let first = deleted().await;
    let report = campus.sync().await;
    assert!(report["complete"] == true && problems(&report).contains("was made again"), "{report}");
    campus.judged_after_sync().await;
    campus.work().await;
    let second = campus.guardrail().await.unwrap().id;
    assert_ne!(first, second);
    assert_eq!(campus.key("ada").guardrail_id, Some(second.clone()), "put under it by a job");
    let report = campus.sync().await;
    assert_eq!((&report["complete"], &report["problems"]), (&json!(true), &json!([])), "{report}");
    // A claim sees it first.
    assert_eq!(deleted().await, second);
    let student = campus.student("bob").await;
    let refused = student.submit(&student.get("/my").await, "/my/cs-pilot/reveal", &[]).await;
    assert_eq!(refused.status, 502, "{:?}", refused.alerts());
    campus.judged().await;
    campus.minutes(2);
    campus.work().await;
    let shown = student.submit(&student.get("/my").await, "/my/cs-pilot/reveal", &[]).await;
    assert_eq!(shown.status, 200, "{:?}", shown.alerts());
    campus.judged().await;
    let third = campus.guardrail().await.map(|guardrail| guardrail.id);
    assert_eq!(campus.key("ada").guardrail_id, third, "before any sync");
    let report = campus.sync().await;
    assert_eq!(report["complete"], true, "{report}");
    campus.judged_after_sync().await;
    assert_eq!(campus.key("ada").guardrail_id, third);
    assert_eq!(campus.key("bob").guardrail_id, third);
    campus.finish_faulted().await;
}

#[tokio::test]
async fn a_number_that_shrank_leaves_the_record() {
    let campus = class(&["ada"]).await;
    let key = campus.key("ada").hash;
    campus.spend("ada", "1");
    assert_eq!(campus.sync().await["complete"], true);
    // The recorded reading is higher than what the provider reports now.
    let view = campus.view("ada").await;
    let more = Usd::from_micros(1_250_000);
    let known = view.readings[0].clone();
    let larger = Reading { used: DailyUse::on_one(utc_date(known.as_of), more), in_window: more, ..known };
    assert_eq!(larger.window, Window::WHOLE_TERM);
    campus.table.note_reading(&larger, soon()).await.unwrap();

    let report = campus.sync().await;
    assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("-0.250000")), "{report}");
    assert!(problems(&report).contains(&key), "{report}");
    let view = campus.view("ada").await;
    assert_eq!(view.readings[0].lifetime(), more);
    assert!(campus.table.sync_state().await.unwrap().listed_at.is_some());
    campus.finish().await;
}

#[tokio::test]
async fn a_resumed_key_is_switched_on_by_the_work() {
    let campus = class(&["ada"]).await;
    let key = campus.key("ada").hash;
    let work = async || campus.run(FunctionName::Console, json!({"task": "work"})).await.unwrap();
    let owed = async || campus.grant("ada").await.orders().len();
    campus.hold("ada", HoldKind::Paused).await;
    assert_eq!((work().await["carried_out"].clone(), campus.is_on(&key)), (json!(1), false));

    let patch = || Matcher::call("provider:PATCH /keys/{hash}").every();
    let rule = campus.gate.at(patch(), Fault::Status(400));
    let release = async || {
        campus.table.act(campus.on("ada"), |view, now| view.release(HoldKind::Paused, &Actor::Rule, now)).await.unwrap()
    };
    assert!(matches!(release().await, ActOutcome::Done(_)));
    assert!(matches!(release().await, ActOutcome::Refused(ChangeRefused::Unchanged)));
    for _ in 0..2 {
        assert_eq!((work().await["put_off"].clone(), owed().await), (json!(1), 1));
        let report = campus.sync().await;
        assert_eq!((&report["complete"], &report["problems"]), (&json!(true), &json!([])), "{report}");
        assert_eq!(campus.grant("ada").await.to_string(), "live");
        campus.minutes(120);
    }
    campus.gate.lift(rule);
    // A single 404 for a key is not believed.
    let rule = campus.gate.at(patch(), Fault::Status(404));
    assert_eq!((work().await["put_off"].clone(), owed().await), (json!(1), 1));
    campus.gate.lift(rule);
    assert_eq!((work().await["carried_out"].clone(), owed().await), (json!(0), 1), "it is asked again in an hour");
    campus.minutes(60);
    assert_eq!((work().await["carried_out"].clone(), campus.is_on(&key), owed().await), (json!(1), true, 0));

    // A switch-off at the provider after that is a person's act, and is not undone.
    campus.provider().change_by_hand(&key, &json!({"disabled": true})).unwrap();
    assert_eq!((work().await["carried_out"].clone(), campus.is_on(&key)), (json!(0), false));
    assert_eq!(campus.sync().await["complete"], true);
    assert_eq!(campus.grant("ada").await.to_string(), "stopped");
    campus.finish().await;
}
