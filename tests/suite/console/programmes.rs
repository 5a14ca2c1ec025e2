//! Programmes in the console: created, listed and edited, by role.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::usage::crossing::{Crossing, Scope};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::PersonId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Window;
use bursar_core::store::{SyncState, Table, Totals, Undeliverable, UnreachableReason};
use bursar_local::invoke::FunctionName;
use bursar_tests::office::{Office, as_sync, soon};
use bursar_tests::stack::{self};
use bursar_tests::visitor::Visitor;
use jiff::SignedDuration;
use serde_json::json;

use super::{ADMIN, PLAIN, signed_in, watch};

const ID: &str = "/console/programmes/cs-pilot";

#[tokio::test]
async fn an_admin_makes_a_programme_on_a_form_and_each_role_sees_what_is_theirs() {
    let stack = stack::in_process().await.unwrap();
    let mut watch = watch(&stack);
    watch.check().await;
    let admin = signed_in(&stack, ADMIN).await;
    assert!(admin.get("/console").await.body.contains("/console/programmes/new"));
    let new = admin.get("/console/programmes/new").await;
    let with_staff =
        [&PLAIN[..], &[("faculty", "faye@example.edu, fred@example.edu"), ("assistants", "asta@example.edu")]].concat();
    let made = admin.submit(&new, "/console/programmes", &with_staff).await;
    assert_eq!((made.status, made.location()), (303, Some(ID)));
    let again = admin.submit(&new, "/console/programmes", &with_staff).await;
    assert_eq!((again.status, again.location()), (303, Some(ID)), "a form that is sent twice makes one programme");
    let another = admin.get("/console/programmes/new").await;
    let another = admin.submit(&another, "/console/programmes", &with_staff).await;
    assert_eq!(another.location(), Some("/console/programmes/cs-pilot-2"));
    watch.check().await;

    let overview = admin.get(ID).await;
    assert_eq!(overview.status, 200);
    for (hook, usd) in
        [("spent", "0.000000"), ("reserved", "0.000000"), ("implied", "0.000000"), ("pot", "4000.000000")]
    {
        assert_eq!(overview.attributes(hook, "data-usd"), [usd], "{hook}");
    }
    assert!(overview.texts("warning").is_empty());
    assert!(overview.body.contains("2026-01-01 00:00") && overview.body.contains("Europe/Berlin"));

    let [faye, asta, stu] = [
        signed_in(&stack, "FAYE@example.edu").await,
        signed_in(&stack, "asta@example.edu").await,
        signed_in(&stack, "stu@example.edu").await,
    ];
    assert_eq!(faye.get("/console").await.body.matches("/console/programmes/cs-pilot").count(), 2);
    assert!(!faye.get("/console").await.body.contains("programmes/new"));
    assert_eq!(stu.get("/console").await.status, 404, "no role");
    for (browser, path, status) in [
        (&faye, "/console/programmes/new", 404),
        (&faye, ID, 200),
        (&asta, ID, 200),
        (&stu, ID, 404),
        (&admin, "/console/programmes/nothing", 404),
        (&admin, "/console/programmes/No%20Slug", 404),
        (&admin, "/console/elsewhere", 404),
    ] {
        assert_eq!(browser.get(path).await.status, status, "{path}");
    }
    assert!(asta.get(ID).await.forms().iter().all(|form| form.action == "/sign-out"), "an assistant only looks");
    let form = faye.get(ID).await.form(ID);
    let as_faculty = [&[("csrf", form.value("csrf").unwrap())], &PLAIN[..]].concat();
    assert_eq!(faye.post("/console/programmes", &as_faculty).await.status, 404);
    assert_eq!(admin.post("/console/programmes", &PLAIN).await.status, 403, "without csrf");
    let stranger = Visitor::new(&stack.ready.web);
    assert_eq!((stranger.get(ID).await.status, stranger.post(ID, &PLAIN).await.status), (303, 401));
    watch.check().await;
    stack.finish().await;
}

#[tokio::test]
async fn each_field_that_cannot_be_read_says_why_and_what_was_typed_stays() {
    let stack = stack::in_process().await.unwrap();
    let admin = signed_in(&stack, ADMIN).await;
    let new = admin.get("/console/programmes/new").await;
    let empty = admin.submit(&new, "/console/programmes", &[]).await;
    assert_eq!((empty.status, empty.alerts().len()), (422, 6), "{:?}", empty.alerts());
    for (field, typed) in [
        ("name", "\u{202E}evil"),
        ("starts_on", "2026-1-1"),
        ("ends_on", "2025-12-31"),
        ("timezone", "Europe/Bonn"),
        ("cap_usd", "1e3"),
        ("cap_usd", "0.009"),
        ("pot_usd", "-5"),
        ("pot_usd", "1.0000001"),
        ("reset", "hourly"),
        ("claim_opens_at", "2026-01-01"),
        ("faculty", "faye@example.edu; nobody"),
        ("thresholds", "50,101"),
        ("models", "a/b a/b<c"),
        ("models", "openai/gpt-4o, gpt-4o-mini"),
        ("replacements", "many"),
        ("byok", "maybe"),
        ("data_policy", "some"),
        ("student_mails", "perhaps"),
        ("digest", "someday"),
        ("unused_after_days", "0"),
        ("roster", "maybe"),
    ] {
        let fields: Vec<_> = PLAIN.iter().copied().filter(|(name, _)| *name != field).chain([(field, typed)]).collect();
        let refused = admin.submit(&new, "/console/programmes", &fields).await;
        assert_eq!((refused.status, refused.alerts().len()), (422, 1), "{field}={typed}: {:?}", refused.alerts());
        let kept = refused.form("/console/programmes");
        let is_choice = ["reset", "byok", "data_policy", "student_mails", "digest", "roster"].contains(&field);
        assert!(is_choice || kept.value(field) == Some(typed), "{field}={typed}: {kept:?}");
        assert!(kept.value("name") == Some("CS pilot") || field == "name");
    }
    stack.finish().await;
}

#[tokio::test]
async fn people_in_charge_are_found_as_edits_name_them_and_more_than_fit_one_transaction_take_two_edits() {
    let stack = stack::in_process().await.unwrap();
    let (admin, mut watch) = (signed_in(&stack, ADMIN).await, watch(&stack));
    let new = admin.get("/console/programmes/new").await;
    let people = |who: &str, count: u32| -> String {
        (0..count).map(|number| format!("{who}{number}@example.edu")).collect::<Vec<_>>().join(" ")
    };
    let (faculty, assistants) = (people("f", 50), people("a", 50));
    let all = [&PLAIN[..], &[("faculty", &faculty), ("assistants", &assistants)]].concat();
    let refused = admin.submit(&new, "/console/programmes", &all).await;
    assert_eq!((refused.status, refused.alerts().len()), (422, 1));
    assert!(refused.alerts()[0].contains("100 people") && refused.alerts()[0].contains("second edit"));
    admin.submit(&new, "/console/programmes", &[&PLAIN[..], &[("faculty", &faculty)]].concat()).await;
    let edit = |fields: Vec<(&'static str, String)>| {
        let admin = &admin;
        async move {
            let fields: Vec<_> = fields.iter().map(|(name, text)| (*name, text.as_str())).collect();
            admin.submit(&admin.get(ID).await, ID, &fields).await.status
        }
    };
    assert_eq!(edit(vec![("assistants", assistants.clone())]).await, 303);
    watch.check().await;
    let role = |who: &'static str| {
        let stack = &stack;
        async move { signed_in(stack, who).await.get("/console").await.status }
    };
    assert_eq!((role("f7@example.edu").await, role("a49@example.edu").await), (200, 200));
    assert_eq!(edit(vec![("faculty", String::new()), ("assistants", String::new())]).await, 422);
    assert_eq!(edit(vec![("faculty", String::new())]).await, 303);
    assert_eq!((role("f8@example.edu").await, role("a48@example.edu").await), (404, 200));
    watch.check().await;
    stack.finish().await;
}

#[tokio::test]
async fn an_edit_changes_what_it_carries_and_a_stale_one_shows_both_values() {
    let stack = stack::in_process().await.unwrap();
    let admin = signed_in(&stack, ADMIN).await;
    let new = admin.get("/console/programmes/new").await;
    let staff = [&PLAIN[..], &[("faculty", "faye@example.edu"), ("assistants", "asta@example.edu")]].concat();
    admin.submit(&new, "/console/programmes", &staff).await;
    let mut watch = watch(&stack);
    watch.check().await;
    let faye = signed_in(&stack, "faye@example.edu").await;
    let (of_admin, of_faye) = (admin.get(ID).await, faye.get(ID).await);

    let edit = [("cap_usd", "25"), ("pot_usd", "5000"), ("claim_opens_at", "2026-02-01T08:00")];
    let saved = admin.submit(&of_admin, ID, &edit).await;
    assert_eq!((saved.status, saved.location()), (303, Some(ID)));
    watch.check().await;
    let overview = admin.get(ID).await;
    assert_eq!(overview.attributes("pot", "data-usd"), ["5000.000000"]);
    assert!(overview.body.contains("2026-02-01 08:00"), "in the programme's own time zone");
    assert_eq!(admin.submit(&of_admin, ID, &edit).await.status, 303, "once more changes nothing");

    let stale = faye.submit(&of_faye, ID, &[("cap_usd", "30")]).await;
    assert_eq!(stale.status, 409);
    assert_eq!(stale.form(ID).value("cap_usd"), Some("30"), "what was typed");
    assert!(stale.body.contains("It is now: 25"), "and what it is");
    assert_eq!(admin.get(ID).await.form(ID).value("cap_usd"), Some("25"));
    assert_eq!(faye.submit(&stale, ID, &[]).await.status, 303, "knowingly");

    let now = faye.get(ID).await.form(ID);
    let keep = ["csrf", "version"].map(|name| (name, now.value(name).unwrap()));
    assert_eq!(faye.post(ID, &[&keep[..], &[("thresholds", "0")]].concat()).await.status, 422);
    assert_eq!(faye.post(ID, &[keep[0], ("contact", "x")]).await.status, 422, "without the version");
    let asta = signed_in(&stack, "asta@example.edu").await;
    assert_eq!(asta.post(ID, &[("csrf", "x")]).await.status, 403);
    watch.check().await;

    let office_like = Office::of(&stack, "cs-pilot");
    let grant = office_like.invite("ada@example.edu").await;
    office_like.claim(&grant).await;
    let taken = admin.submit(&admin.get(ID).await, ID, &[("reset", "weekly"), ("byok", "outside")]).await;
    assert_eq!(taken.status, 409);
    assert!(
        taken.alerts().iter().filter(|why| why.contains("the provider cannot change it")).count() == 2,
        "{:?}",
        taken.alerts()
    );
    assert_eq!(taken.form(ID).value("reset"), Some("weekly"), "what was typed stays");
    // Mails about the keys are covered elsewhere.
    stack.finish().await;
}

#[tokio::test]
async fn the_overview_draws_what_was_spent_and_warns_of_what_needs_a_person() {
    let stack = stack::in_process().await.unwrap();
    let office = Office::open(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    for name in ["ada", "bob", "cid", "dan", "eve", "fay"] {
        let grant = office.invite(&format!("{name}@example.edu")).await;
        if name == "ada" {
            office.claim(&grant).await;
        }
    }
    let no_sync = admin.get(ID).await.texts("warning");
    assert!(no_sync[1].contains("No sync has run yet"), "{no_sync:?}");
    let listed_at = stack.clock.now() - SignedDuration::from_hours(27);
    let mut used = DailyUse::on_one("2026-11-18".parse().unwrap(), Usd::from_dollars(5));
    used.add(&DailyUse::on_one("2026-11-19".parse().unwrap(), Usd::from_dollars(36)));
    let totals = Totals {
        programme: office.programme.clone(),
        as_of: listed_at,
        used,
        by_group: Default::default(),
        implied: Usd::ZERO,
        grants: 6,
        claimed: 1,
    };
    assert!(as_sync(&office.table, async |sync| sync.note_totals(&totals).await).await);
    let state = SyncState { listed_at: Some(listed_at), ..SyncState::default() };
    assert!(as_sync(&office.table, async |sync| sync.set_sync_state(&state.next()).await).await);
    let overview = admin.get(ID).await;
    assert_eq!(overview.attributes("spent", "data-usd"), ["41.000000"]);
    assert_eq!(overview.attributes("reserved", "data-usd"), ["20.000000"]);
    assert_eq!(overview.attributes("implied", "data-usd"), ["120.000000"]);
    let warnings = overview.texts("warning");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].contains("the budget is short by $20.00") && warnings[1].contains("more than 26 hours"),
        "{warnings:?}"
    );
    assert!(overview.body.contains("<polyline") && overview.body.contains("$36.00"), "the second day's");
    assert!(!overview.body.contains("style="), "no page has a style of its own");
    // Mails about the keys are covered elsewhere.
    stack.finish_unjudged().await;
}

#[tokio::test]
async fn alerts_are_listed_with_whom_they_told_and_what_became_of_the_mail() {
    let stack = stack::in_process().await.unwrap();
    let office = Office::open(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    assert!(admin.get(&format!("{ID}/alerts")).await.texts("alert").is_empty());
    let recipient = person(&office.table, "admin@example.edu").await;
    let crossing = |threshold, is_mailed| Crossing {
        programme: office.programme.clone(),
        scope: Scope::Pot,
        window: Window::WHOLE_TERM,
        limit: Usd::from_dollars(100),
        threshold,
        spent: Usd::from_dollars(81),
        found_at: stack.clock.now(),
        is_mailed,
        mails: Vec::new(),
    };
    let crossings = [crossing(50, false), crossing(80, true)];
    assert!(office.table.record_crossings(&crossings, &[recipient], stack.clock.now(), soon()).await.unwrap());
    let page = admin.get(&format!("{ID}/alerts")).await;
    assert_eq!(page.attributes("alert", "data-threshold"), ["80"]);
    assert_eq!(page.attributes("alert", "data-recipient"), ["admin@example.edu"]);
    let outcome = page.attributes("alert", "data-outcome");
    assert!(["waiting", "sent"].contains(&outcome[0].as_str()), "{outcome:?}");
    // An address that bounces is named on the page of those who can change it.
    let overview = admin.get(ID).await;
    assert_eq!(admin.submit(&overview, ID, &[("faculty", "lost@example.edu")]).await.status, 303);
    assert!(!admin.get(ID).await.texts("warning").iter().any(|text| text.contains("lost@example.edu")));
    let lost = EmailAddress::parse("lost@example.edu").unwrap();
    let mark =
        Undeliverable { address: lost.matched().clone(), why: UnreachableReason::Bounced, at: stack.clock.now() };
    office.table.end_mail_to(&[mark], stack.clock.now(), soon()).await.unwrap();
    assert!(admin.get(ID).await.texts("warning").iter().any(|text| text.contains("lost@example.edu")));
    stack.finish_unjudged().await;
}

#[tokio::test]
async fn a_programme_that_names_models_gets_its_guardrail_from_the_work_and_others_for_other_rules() {
    let stack = stack::in_process().await.unwrap();
    let admin = signed_in(&stack, ADMIN).await;
    let new = admin.get("/console/programmes/new").await;
    admin.submit(&new, "/console/programmes", &[&PLAIN[..], &[("models", "openai/gpt-4o-mini")]].concat()).await;
    let mut watch = watch(&stack);
    watch.check().await;
    let table = Table::new(&stack.config);
    let (id, work) =
        ("cs-pilot".parse().unwrap(), || stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})));
    assert_eq!(work().await.unwrap()["guardrails"], 1);
    let guardrail = async || {
        let rules = table.programme(&id).await.unwrap().unwrap().settings.rules(None);
        (table.rule_set(&rules.id()).await.unwrap().unwrap().guardrail, rules)
    };
    let first = guardrail().await.0.unwrap();
    assert_eq!(work().await.unwrap().get("guardrails"), None, "once");
    let overview = admin.get(ID).await;
    assert_eq!(admin.submit(&overview, ID, &[("models", ""), ("data_policy", "no-training")]).await.status, 303);
    let (second, rules) = guardrail().await;
    let second = second.expect("the job of the edit told them at once");
    assert_eq!((&second.rules, second.id == first.id), (&rules, false));
    assert_eq!(
        admin
            .submit(&admin.get(ID).await, ID, &[("models", "openai/gpt-4o-mini"), ("data_policy", "account")])
            .await
            .status,
        303
    );
    assert_eq!(guardrail().await.0, Some(first), "equal rules have one guardrail");
    watch.check().await;
    stack.finish().await;
}

async fn person(table: &Table, address: &str) -> PersonId {
    let address = bursar_core::domain::values::address::EmailAddress::parse(address).unwrap();
    let person = table.person_of(&address, soon()).await.unwrap();
    assert!(Actor::Person(person.clone()).to_string().starts_with("person:"));
    person
}
