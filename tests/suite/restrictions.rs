//! Restrictions of a programme's keys: set on a form, sent to the provider by the work of each minute, and
//! confirmed. Until then no page presents them as in force.

use bursar_local::inbox::Contents;
use bursar_local::invoke::FunctionName;
use bursar_local::settle::LIMIT;
use bursar_tests::aws;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::invariants::Watch;
use bursar_tests::office::session_cookie;
use bursar_tests::stack::{self, Left, Stack};
use bursar_tests::visitor::{Page, Visitor};
use jiff::SignedDuration;
use serde_json::{Value, json};

const ID: &str = "/console/programmes/cs-pilot";
const MINI: &str = "openai/gpt-4o-mini";
const LARGE: &str = "openai/gpt-4o";
const REVEAL: &str = "/my/cs-pilot/reveal";
const CREATE: &str = "provider:POST /guardrails";
const ASSIGN: &str = "provider:POST /guardrails/{id}/assignments/keys";
const PATCH: &str = "provider:PATCH /guardrails/{id}";

/// A programme whose keys may call one model, and an admin.
struct Campus {
    stack: Stack,
    admin: Visitor,
    watch: Watch,
}

impl Campus {
    async fn open(models: &str) -> Campus {
        let stack = stack::in_process().await.unwrap();
        stack.schedules.stop().await;
        // Tomorrow at ten, so that no day ends within the hour that a test takes.
        let now = stack.clock.now();
        let midnight = now.to_zoned(jiff::tz::TimeZone::UTC).start_of_day().unwrap().timestamp();
        stack.clock.advance(SignedDuration::from_hours(24 + 10) - now.duration_since(midnight)).unwrap();
        let admin = signed_in(&stack, "admin@example.edu").await;
        let new = admin.get("/console/programmes/new").await;
        let fields = [
            ("name", "CS pilot"),
            ("starts_on", "2026-01-01"),
            ("ends_on", "2035-12-31"),
            ("timezone", "Europe/Berlin"),
            ("cap_usd", "20"),
            ("pot_usd", "4000"),
            ("models", models),
        ];
        assert_eq!(admin.submit(&new, "/console/programmes", &fields).await.status, 303);
        let mut campus = Campus { watch: stack::watch(&stack), stack, admin };
        campus.check().await;
        campus
    }

    async fn check(&mut self) {
        self.watch.check().await;
    }

    async fn work(&self) -> Value {
        self.stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap()
    }

    async fn sync(&self) -> Value {
        self.stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap()
    }

    async fn edit(&self, fields: &[(&str, &str)]) -> Page {
        self.admin.submit(&self.admin.get(ID).await, ID, fields).await
    }

    /// A student on the roster, signed in.
    async fn student(&self, address: &str) -> Visitor {
        let people = format!("{ID}/people");
        let added = self.admin.submit(&self.admin.get(ID).await, &people, &[("email", address)]).await;
        assert_eq!(added.status, 303);
        self.stack.settle.settle(LIMIT).await.unwrap();
        self.stack.ses.unread();
        signed_in(&self.stack, address).await
    }

    /// A student on the roster with a key, and the key.
    async fn claims(&self, address: &str) -> (Visitor, String) {
        let student = self.student(address).await;
        let page = student.submit(&student.get("/my").await, REVEAL, &[]).await.expect(200);
        (student, page.one("key").text.clone())
    }

    /// The programme's jobs, each with its state.
    async fn jobs(&self) -> Vec<String> {
        let page = self.admin.get(ID).await;
        let (kinds, states) = (page.attributes("job", "data-kind"), page.attributes("job", "data-state"));
        kinds.iter().zip(states).map(|(kind, state)| format!("{kind} {state}")).collect()
    }

    /// The models that the provider's guardrails permit.
    async fn allowed(&self) -> Vec<Value> {
        let url = format!("{}/guardrails", self.stack.ready.provider);
        let asked = aws::http().get(url).bearer_auth(aws::management_key(&self.stack.ready).await);
        let listed: Value = asked.send().await.unwrap().json().await.unwrap();
        listed["data"].as_array().unwrap().iter().map(|one| one["allowed_models"].clone()).collect()
    }

    fn later(&self, minutes: i64) {
        self.stack.clock.advance(SignedDuration::from_mins(minutes)).unwrap();
    }

    /// The subjects of the account's mails to admins since the last call.
    async fn account_mails(&self) -> Vec<String> {
        self.stack.settle.settle(LIMIT).await.unwrap();
        let mails = self.stack.ses.unread().into_iter().map(|mail| Contents::of(&mail.raw));
        mails.filter(|mail| mail.kind.as_deref() == Some("account")).map(|mail| mail.subject).collect()
    }
}

#[tokio::test]
async fn what_a_machine_notes_while_somebody_fills_in_a_form_does_not_make_it_stale() {
    let mut campus = Campus::open(MINI).await;
    let form = campus.admin.get(ID).await;
    assert_eq!(campus.work().await["guardrails"], 1);
    let saved = campus.admin.submit(&form, ID, &[("contact", "room 101")]).await;
    assert_eq!(saved.status, 303, "{:?}", saved.alerts());
    campus.check().await;
    assert_eq!(campus.admin.submit(&form, ID, &[("contact", "room 102")]).await.status, 409, "a person's edit does");
    campus.check().await;
    campus.stack.finish().await;
}

#[tokio::test]
async fn an_edit_and_a_machines_note_that_meet_are_both_kept() {
    let mut campus = Campus::open(MINI).await;
    // The edit is read before the note of the confirmation, and written after it.
    let form = campus.admin.get(ID).await;
    let held = campus.stack.gate.hold(Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Console));
    let noted = async {
        held.arrived().await;
        let report = campus.work().await;
        drop(held);
        report
    };
    let edit = [("contact", "room 101")];
    let (saved, report) = tokio::join!(campus.admin.submit(&form, ID, &edit), noted);
    assert_eq!((saved.status, &report["guardrails"]), (303, &json!(1)), "{:?}", saved.alerts());
    campus.check().await;
    assert_eq!((campus.allowed().await.len(), campus.work().await.get("guardrails")), (1, None));

    campus.check().await;
    campus.stack.finish().await;
}

#[tokio::test]
async fn rules_that_are_lifted_reach_keys_that_exist_and_my_says_what_the_provider_confirmed() {
    let mut campus = Campus::open(MINI).await;
    campus.work().await;
    let (ada, _) = campus.claims("ada@example.edu").await;
    let says = async |text: &str| ada.get("/my").await.body.contains(text);
    let only = format!("This key may call <code class=\"whole\">{MINI}</code>");
    assert!(says(&only).await && !says("being changed").await);
    campus.check().await;

    let ben = campus.student("ben@example.edu").await;
    let offered = async || ben.get("/my").await.forms().iter().filter(|form| form.action == REVEAL).count();
    // The provider refuses the new rules when they are saved, and does not answer the next time.
    let fault = campus.stack.gate.at(Matcher::call(CREATE).every(), Fault::Status(400));
    assert_eq!(campus.edit(&[("models", LARGE)]).await.status, 303);
    campus.stack.gate.lift(fault);
    campus.later(1);
    campus.stack.gate.at(CREATE, Fault::KillBefore);
    assert!(campus.stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.is_err());
    assert!(says(&only).await && says("being changed").await, "{}", ada.get("/my").await.body);
    assert_eq!(offered().await, 0, "nobody gets a key under rules that are not confirmed");
    assert_eq!(campus.jobs().await, ["rules running"]);
    campus.check().await;
    campus.later(1);
    campus.work().await;
    assert!(says(LARGE).await && !says(&only).await && !says("being changed").await);
    assert_eq!((offered().await, campus.jobs().await), (1, vec!["rules done".to_owned()]));
    ben.submit(&ben.get("/my").await, REVEAL, &[]).await.expect(200);
    campus.check().await;

    // Rules are never taken off a key, which would leave no trace of it: it is put under rules that allow everything.
    assert_eq!(campus.edit(&[("models", "")]).await.status, 303);
    assert!(says("Choose any model").await && !says("being changed").await);
    let under = |campus: &Campus| {
        let keys = campus.stack.provider.as_ref().unwrap().keys();
        keys.into_iter().map(|key| key.guardrail_id).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(under(&campus).len() == 1 && !under(&campus).contains(&None));
    assert_eq!(campus.allowed().await.iter().filter(|models| models.is_null()).count(), 1);
    // A key made while nothing is restricted is under nothing, and is found by later rules all the same.
    campus.claims("eve@example.edu").await;
    assert!(under(&campus).contains(&None));
    assert_eq!(campus.edit(&[("models", MINI)]).await.status, 303);
    assert!(under(&campus).len() == 1 && !under(&campus).contains(&None));
    campus.check().await;
    let report = campus.sync().await;
    assert_eq!((&report["complete"], &report["problems"]), (&json!(true), &json!([])), "{report}");
    campus.check().await;
    campus
        .stack
        .finish_leaving(&[
            Left::PerhapsMails,
            Left::Complaints(&[("console", "the instance is thrown away"), ("console", "the provider did not do it")]),
        ])
        .await;
}

#[tokio::test]
async fn rules_that_are_taken_back_are_told_again_since_the_others_may_have_reached_the_provider() {
    let mut campus = Campus::open(MINI).await;
    campus.work().await;
    campus.claims("ada@example.edu").await;
    let under = |campus: &Campus| campus.stack.provider.as_ref().unwrap().keys()[0].guardrail_id.clone();
    let confirmed = under(&campus);
    let page = campus.admin.get(ID).await;
    campus.stack.gate.at(Matcher::call(ASSIGN).of(FunctionName::Console), Fault::KillAfter);
    campus.admin.submit(&page, ID, &[("models", LARGE)]).await;
    campus.check().await;
    assert_ne!(under(&campus), confirmed, "they reached it");
    assert_eq!(campus.edit(&[("models", MINI)]).await.status, 303);
    campus.later(2);
    campus.work().await;
    assert_eq!((under(&campus), campus.jobs().await), (confirmed, vec!["rules done".to_owned()]));
    campus.check().await;
    campus
        .stack
        .finish_leaving(&[Left::PerhapsMails, Left::Complaints(&[("console", "the instance is thrown away")])])
        .await;
}

#[tokio::test]
async fn the_sync_puts_keys_under_their_rules_where_the_work_could_not() {
    let mut campus = Campus::open(MINI).await;
    campus.work().await;
    let names = ["ada@example.edu", "ben@example.edu"];
    for name in names {
        campus.claims(name).await;
    }
    campus.check().await;
    let fault = campus.stack.gate.at(Matcher::call(ASSIGN).of(FunctionName::Console).every(), Fault::Status(500));
    assert_eq!(campus.edit(&[("models", LARGE)]).await.status, 303);
    campus.check().await;
    assert_eq!(campus.jobs().await, ["rules running"]);
    let report = campus.sync().await;
    assert_eq!((&report["complete"], &report["problems"]), (&json!(true), &json!([])), "{report}");
    campus.check().await;
    campus.stack.gate.lift(fault);
    // The request may have come to its end between the two, and then counted the first as waiting.
    for _ in 0..2 {
        campus.later(1);
        campus.work().await;
    }
    assert_eq!(campus.jobs().await, ["rules done"]);
    let calls = campus.stack.gate.calls().into_iter();
    let by_sync =
        calls.filter(|made| made.call.name.to_string() == ASSIGN && made.call.function == FunctionName::UsageSync);
    assert_eq!(by_sync.count(), 1, "both in one request");
    campus.check().await;
    campus
        .stack
        .finish_leaving(&[
            Left::PerhapsMails,
            Left::Complaints(&[("console", "an order of a job is put off"), ("console", "the provider did not do it")]),
        ])
        .await;
}

#[tokio::test]
async fn a_model_that_the_provider_refuses_is_told_after_ten_minutes_and_once_a_day() {
    let mut campus = Campus::open(MINI).await;
    let fault = campus.stack.gate.at(Matcher::call(CREATE).every(), Fault::Status(400));
    let warned = async |campus: &Campus| {
        let warnings = campus.admin.get(ID).await.texts("warning");
        warnings.iter().filter(|warning| warning.contains("refused the models")).count()
    };
    campus.work().await;
    campus.check().await;
    assert_eq!((warned(&campus).await, campus.account_mails().await.len()), (0, 0), "somebody may be at it");
    campus.later(5);
    campus.work().await;
    assert_eq!((warned(&campus).await, campus.account_mails().await.len()), (0, 0));
    campus.later(6);
    campus.work().await;
    campus.check().await;
    assert_eq!(warned(&campus).await, 1, "{:?}", campus.admin.get(ID).await.texts("warning"));
    let subject = "The provider refuses rules of CS pilot";
    assert_eq!(campus.account_mails().await, [subject]);
    campus.later(60);
    campus.work().await;
    assert_eq!(campus.account_mails().await, Vec::<String>::new(), "told today");
    campus.later(24 * 60);
    campus.work().await;
    assert_eq!(campus.account_mails().await, [subject], "and again tomorrow");
    campus.admin = signed_in(&campus.stack, "admin@example.edu").await;

    // Another model is sent at once, without the wait that the refusal caused.
    campus.stack.gate.lift(fault);
    assert_eq!(campus.edit(&[("models", LARGE)]).await.status, 303);
    assert_eq!((warned(&campus).await, campus.work().await.get("guardrails")), (0, None), "told with the edit");
    campus.check().await;

    // A model withdrawn at the provider: keys are still made, and the console warns of it.
    let fault = campus.stack.gate.at(Matcher::call(PATCH).every(), Fault::Status(400));
    assert_eq!(campus.sync().await["complete"], false);
    let ada = campus.student("ada@example.edu").await;
    ada.submit(&ada.get("/my").await, "/my/cs-pilot/reveal", &[]).await.expect(200);
    campus.later(11);
    campus.work().await;
    assert_eq!(warned(&campus).await, 1);
    campus.stack.gate.lift(fault);
    campus.later(60);
    campus.work().await;
    assert_eq!(warned(&campus).await, 0);
    campus.check().await;
    campus
        .stack
        .finish_leaving(&[
            Left::PerhapsMails,
            Left::Complaints(&[
                ("console", "the provider did not do it"),
                ("usage-sync", "the provider did not do it"),
            ]),
        ])
        .await;
}

async fn signed_in(stack: &Stack, address: &str) -> Visitor {
    let (visitor, cookie) = (Visitor::new(&stack.ready.web), session_cookie(stack, address).await);
    let (name, value) = cookie.split_once('=').unwrap();
    visitor.set_cookie(name, value);
    visitor
}

#[tokio::test]
async fn keys_that_somebody_took_from_under_the_guardrail_are_put_back_together_and_one_by_one_where_that_is_refused() {
    let mut campus = Campus::open(MINI).await;
    campus.work().await;
    for name in ["ada", "ben", "eve"] {
        let student = campus.student(&format!("{name}@example.edu")).await;
        student.submit(&student.get("/my").await, "/my/cs-pilot/reveal", &[]).await.expect(200);
    }
    campus.check().await;
    assert_eq!(campus.sync().await["complete"], true);
    let provider = campus.stack.provider.clone().unwrap();
    for (fault, requests) in [(None, 1), (Some(Fault::Status(400)), 4)] {
        let keys = provider.keys();
        let guardrail = keys[0].guardrail_id.clone().unwrap();
        for key in &keys {
            provider.unassign(&key.hash).unwrap();
        }
        assert!(provider.keys().iter().all(|key| key.guardrail_id.is_none()));

        if let Some(fault) = fault {
            campus.stack.gate.at(Matcher::call(ASSIGN).of(FunctionName::UsageSync), fault);
        }
        let before = campus.stack.gate.calls().len();
        let report = campus.sync().await;
        assert_eq!((&report["complete"], report["problems"].as_array().unwrap().len()), (&json!(true), 3), "{report}");
        let calls = campus.stack.gate.calls().into_iter().skip(before);
        assert_eq!(calls.filter(|made| made.call.name.to_string() == ASSIGN).count(), requests, "{fault:?}");
        assert!(provider.keys().iter().all(|key| key.guardrail_id.as_ref() == Some(&guardrail)));
        campus.check().await;
    }
    campus
        .stack
        .finish_leaving(&[
            Left::PerhapsMails,
            Left::Complaints(&[
                ("usage-sync", "not put under a guardrail together"),
                ("usage-sync", "the provider did not do it"),
            ]),
        ])
        .await;
}

#[tokio::test]
async fn what_a_guardrail_cannot_be_asked_or_told_now_it_is_by_the_next_invocation() {
    for call in ["provider:GET /guardrails/{id}/assignments/keys", "provider:GET /guardrails", PATCH] {
        let mut campus = Campus::open(MINI).await;
        campus.work().await;
        campus.stack.gate.at(call, Fault::RetryAfter(429, 1200));
        let report = campus.sync().await;
        assert_eq!((&report["complete"], &report["tries"]), (&json!(false), &json!(1)), "{call}: {report}");
        campus.later(30);
        let resumed = campus.stack.invoke.invoke(FunctionName::UsageSync, json!({"task": "resume"})).await.unwrap();
        assert_eq!((&resumed["complete"], &resumed["tries"]), (&json!(true), &json!(1)), "{call}: {resumed}");
        campus.check().await;
        campus
            .stack
            .finish_leaving(&[Left::Complaints(&[
                ("usage-sync", "the provider did not do it"),
                ("usage-sync", "the sync goes on later"),
            ])])
            .await;
    }
}
