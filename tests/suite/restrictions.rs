//! Restrictions of a programme's keys: set on a form, sent to the provider by the work of each
//! minute, and confirmed. Until then no page presents them as in force.

use std::collections::BTreeSet;

use bursar_local::invoke::FunctionName;
use bursar_tests::campus::{Campus, reports};
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::visitor::Visitor;
use serde_json::json;

const ID: &str = "/console/programmes/cs-pilot";
const MINI: &str = "openai/gpt-4o-mini";
const LARGE: &str = "openai/gpt-4o";
const REVEAL: &str = "/my/cs-pilot/reveal";
const CREATE: &str = "provider:POST /guardrails";
const ASSIGN: &str = "provider:POST /guardrails/{id}/assignments/keys";
const ASSIGNED: &str = "provider:GET /guardrails/{id}/assignments/keys";
const PATCH: &str = "provider:PATCH /guardrails/{id}";

/// A programme whose keys may call one model, which the provider was not told yet, and an admin.
async fn class() -> (Campus, Visitor) {
    let mut campus = Campus::open().await;
    campus
        .programme("CS pilot", |settings| {
            settings.rules.all.models = vec![MINI.to_owned()];
        })
        .await;
    let admin = campus.admin().await;
    (campus, admin)
}

/// Somebody who is put on the roster and claims a key.
async fn claims(campus: &mut Campus, name: &str) -> Visitor {
    campus.students(&[name]).await;
    let student = campus.student(name).await;
    campus.reveal(&student).await;
    student
}

/// The programme's jobs, each with its state.
async fn jobs(campus: &Campus) -> Vec<String> {
    let jobs = campus.table.jobs(&campus.programme).await.unwrap();
    jobs.iter()
        .map(|job| format!("{} {}", job.work.kind(), job.state.as_str()))
        .collect()
}

/// The models that the programme's guardrail allows at the provider.
async fn allowed(campus: &Campus) -> Vec<String> {
    let guardrail = campus.guardrail().await.unwrap();
    campus
        .provider()
        .allowed_models(&guardrail.id)
        .unwrap_or_default()
}

/// The subjects of the account's mails to admins since the last call.
async fn account_mails(campus: &Campus) -> Vec<String> {
    campus.settle().await;
    campus.subjects("account")
}

/// The guardrails that everybody's keys are under.
fn under(campus: &Campus) -> BTreeSet<Option<String>> {
    campus
        .provider()
        .keys()
        .into_iter()
        .map(|key| key.guardrail_id)
        .collect()
}

#[tokio::test]
async fn a_machines_note_makes_no_form_stale() {
    let (campus, admin) = class().await;
    // The edit is read before the note of the confirmation, and written after it.
    let form = admin.get(&campus.console("/settings")).await;
    let held = campus
        .gate
        .hold(Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Console));
    let noted = async {
        held.arrived().await;
        let report = campus.work().await;
        drop(held);
        report
    };
    let edit = [("contact", "room 101")];
    let (saved, report) = tokio::join!(admin.submit(&form, ID, &edit), noted);
    assert_eq!(
        (saved.status, &report["guardrails"]),
        (303, &json!(1)),
        "{:?}",
        saved.alerts()
    );
    campus.judged().await;
    assert_eq!(campus.work().await.get("guardrails"), None, "both are kept");
    assert_eq!(
        admin
            .submit(&form, ID, &[("contact", "room 102")])
            .await
            .status,
        409,
        "a person's edit does"
    );
    campus.judged().await;
    campus.finish().await;
}

#[tokio::test]
async fn my_says_what_the_provider_confirmed() {
    let (mut campus, admin) = class().await;
    campus.work().await;
    let ada = claims(&mut campus, "ada").await;
    let says = async |text: &str| ada.get("/my").await.body.contains(text);
    let only = format!("This key may call <code class=\"whole\">{MINI}</code>");
    assert!(says(&only).await && !says("is changing these rules").await);
    campus.judged().await;

    // The provider refuses the new rules when they are saved, and does not answer the next time.
    let fault = campus
        .gate
        .at(Matcher::call(PATCH).every(), Fault::Status(400));
    assert_eq!(campus.edit(&admin, &[("models", LARGE)]).await.status, 303);
    campus.gate.lift(fault);
    campus.minutes(1);
    campus.gate.at(PATCH, Fault::KillBefore);
    assert!(
        campus
            .invoke
            .invoke(FunctionName::Console, json!({"task": "work"}))
            .await
            .is_err()
    );
    assert!(
        says(&only).await && says("is changing these rules").await,
        "{}",
        ada.get("/my").await.body
    );
    campus.students(&["ben"]).await;
    let ben = campus.student("ben").await;
    let page = ben.fill("/my", REVEAL, &[]).await.expect(200);
    assert!(
        page.body.contains(MINI),
        "keys go on being made under the rules confirmed last"
    );
    campus.finish_work().await;
    assert!(says(LARGE).await && !says(&only).await && !says("is changing these rules").await);
    assert_eq!(
        jobs(&campus).await,
        Vec::<String>::new(),
        "no key was moved"
    );

    // Rules are never taken off a key, which would leave no trace of it: its guardrail allows
    // everything.
    assert_eq!(campus.edit(&admin, &[("models", "")]).await.status, 303);
    campus.finish_work().await;
    assert!(says("Choose any model").await && !says("is changing these rules").await);
    assert!(under(&campus).len() == 1 && !under(&campus).contains(&None));
    // A key made while nothing is restricted is under nothing, and is found by later rules all the
    // same.
    claims(&mut campus, "eve").await;
    assert!(under(&campus).contains(&None));
    assert_eq!(campus.edit(&admin, &[("models", MINI)]).await.status, 303);
    campus.finish_work().await;
    assert!(under(&campus).len() == 1 && !under(&campus).contains(&None));
    assert_eq!(jobs(&campus).await, ["limits done"]);
    let report = campus.sync().await;
    reports(&report, &json!({"complete": true, "problems": []}));
    campus.judged_after_sync().await;
    campus.finish_faulted().await;
}

#[tokio::test]
async fn refused_models_are_told_once_a_day() {
    let (mut campus, admin) = class().await;
    let fault = campus
        .gate
        .at(Matcher::call(CREATE).every(), Fault::Status(400));
    let warned = async |admin: &Visitor| {
        let warnings = admin.get(ID).await.texts("warning");
        warnings
            .iter()
            .filter(|warning| warning.contains("refused the models"))
            .count()
    };
    campus.work().await;
    campus.judged().await;
    assert_eq!(
        (warned(&admin).await, account_mails(&campus).await.len()),
        (0, 0),
        "somebody may be at it"
    );
    campus.minutes(5);
    campus.work().await;
    assert_eq!(
        (warned(&admin).await, account_mails(&campus).await.len()),
        (0, 0)
    );
    campus.minutes(6);
    campus.work().await;
    campus.judged().await;
    assert_eq!(
        warned(&admin).await,
        1,
        "{:?}",
        admin.get(ID).await.texts("warning")
    );
    let subject = "OpenRouter refuses the allowed models of CS pilot";
    assert_eq!(account_mails(&campus).await, [subject]);
    campus.minutes(60);
    campus.work().await;
    assert_eq!(
        account_mails(&campus).await,
        Vec::<String>::new(),
        "told today"
    );
    campus.minutes(24 * 60);
    campus.work().await;
    assert_eq!(
        account_mails(&campus).await,
        [subject],
        "and again tomorrow"
    );
    let admin = campus.admin().await;

    // Another model is sent at once, without the wait that the refusal caused.
    campus.gate.lift(fault);
    assert_eq!(campus.edit(&admin, &[("models", LARGE)]).await.status, 303);
    campus.finish_work().await;
    assert_eq!(
        (warned(&admin).await, allowed(&campus).await),
        (0, vec![LARGE.to_owned()])
    );

    // Of a guardrail that there is, keys are still made, and the console warns of it.
    let fault = campus
        .gate
        .at(Matcher::call(PATCH).every(), Fault::Status(400));
    assert_eq!(campus.edit(&admin, &[("models", MINI)]).await.status, 303);
    claims(&mut campus, "ada").await;
    campus.work().await;
    campus.minutes(11);
    campus.work().await;
    assert_eq!(warned(&admin).await, 1);
    campus.gate.lift(fault);
    campus.minutes(60);
    campus.work().await;
    assert_eq!(warned(&admin).await, 0);
    campus.judged().await;
    campus.finish().await;
}

#[tokio::test]
async fn a_guardrail_whose_answer_was_lost_is_found_by_its_name() {
    let (campus, admin) = class().await;
    campus.gate.at(CREATE, Fault::LoseAnswer);
    campus.work().await;
    // That it cannot be looked for is no refusal of its models.
    let unlisted = campus.gate.at(
        Matcher::call("provider:GET /guardrails").every(),
        Fault::Status(400),
    );
    campus.work().await;
    campus.minutes(11);
    campus.work().await;
    assert!(
        !admin
            .get(ID)
            .await
            .texts("warning")
            .join(" ")
            .contains("refused the models")
    );
    campus.gate.lift(unlisted);
    campus.finish_work().await;
    assert_eq!(allowed(&campus).await, [MINI]);
    assert_eq!(
        campus
            .gate
            .calls()
            .iter()
            .filter(|made| made.name.to_string() == CREATE)
            .count(),
        1
    );
    campus.finish_faulted().await;
}

#[tokio::test]
async fn unassigned_keys_are_put_back() {
    let (mut campus, _) = class().await;
    campus.work().await;
    for name in ["ada", "ben", "eve"] {
        claims(&mut campus, name).await;
    }
    campus.judged().await;
    assert_eq!(campus.sync().await["complete"], true);
    let provider = campus.provider.clone().unwrap();
    for (fault, put_back) in [(None, 3), (Some(Fault::Status(400)), 2)] {
        campus.minutes(2);
        let keys = provider.keys();
        let guardrail = keys[0].guardrail_id.clone().unwrap();
        for key in &keys {
            provider.unassign(&key.hash).unwrap();
        }
        assert!(provider.keys().iter().all(|key| key.guardrail_id.is_none()));

        if let Some(fault) = fault {
            campus
                .gate
                .at(Matcher::call(ASSIGN).of(FunctionName::UsageSync), fault);
        }
        let report = campus.sync().await;
        assert_eq!(
            report["complete"], true,
            "its next run, or the work, goes on: {report}"
        );
        let problems = report["problems"]
            .as_array()
            .unwrap()
            .iter()
            .map(ToString::to_string);
        assert_eq!(
            problems
                .filter(|problem| problem.contains("and is again"))
                .count(),
            put_back,
            "{report}"
        );
        assert_eq!(
            provider
                .keys()
                .iter()
                .filter(|key| key.guardrail_id.is_some())
                .count(),
            put_back,
            "{report}"
        );
        campus.judged().await;
        campus.finish_work().await;
        assert!(
            provider
                .keys()
                .iter()
                .all(|key| key.guardrail_id.as_ref() == Some(&guardrail))
        );
        campus.judged().await;
    }
    // A provider that is slow with them holds up nothing else.
    campus.hours(1);
    let held = campus
        .gate
        .hold(Matcher::call(ASSIGNED).of(FunctionName::UsageSync));
    let meanwhile = async {
        held.arrived().await;
        let completed_at = campus.table.sync_state().await.unwrap().completed_at;
        drop(held);
        completed_at
    };
    let (_, completed_at) = tokio::join!(campus.sync(), meanwhile);
    assert_eq!(completed_at, Some(campus.clock.now()));
    campus.finish().await;
}

#[tokio::test]
async fn a_throttled_guardrail_is_told_by_the_next_invocation() {
    let (mut campus, _) = class().await;
    campus.work().await;
    claims(&mut campus, "ada").await;
    for call in [ASSIGNED, "provider:GET /guardrails", PATCH] {
        if call == PATCH {
            campus
                .set(|settings| settings.rules.all.models = vec![LARGE.to_owned()])
                .await;
        }
        campus.gate.at(call, Fault::RetryAfter(429, 1200));
        let report = campus.sync().await;
        assert!(
            report["problems"].to_string().contains("429"),
            "{call}: {report}"
        );
        campus.minutes(30);
        let report = campus.sync().await;
        assert_eq!(
            (&report["complete"], &report["problems"]),
            (&json!(true), &json!([])),
            "{call}: {report}"
        );
        campus.judged().await;
    }
    campus.finish().await;
}
