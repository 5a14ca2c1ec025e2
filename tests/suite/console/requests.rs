//! Faculty ask for what only an admin may change: the admins are mailed once a day for each request, and nothing is lost or half saved.

use bursar_core::domain::audit::Act;
use bursar_core::domain::programme::{Budget, Programme};
use bursar_core::store::QueuedMail;
use bursar_local::invoke::FunctionName::Console;
use bursar_tests::campus::ADMIN;
use bursar_tests::faults::Matcher;
use bursar_tests::visitor::Visitor;

use super::*;

/// The mails to the admin that are owed, and the entries of requests and of edits.
async fn asked(campus: &Campus) -> [usize; 3] {
    let seen = campus.judged().await;
    let of = |act| seen.entries.iter().filter(|entry| entry.what.act == act).count();
    let owed = seen.outbox.iter().filter(|row| matches!(row.mail, QueuedMail::Request { .. })).count();
    [owed, of(Act::Asked), of(Act::Edited)]
}

#[tokio::test]
async fn admins_are_asked_once_a_day_and_the_rest_is_saved() {
    let campus = staffed().await;
    let (faye, admin) = (campus.student("faye").await, campus.admin().await);
    let form = faye.get(SETTINGS).await;
    assert!(form.body.contains("(an admin decides)") && form.body.matches("<legend>").count() == 6);
    assert!(!admin.get(SETTINGS).await.body.contains("(an admin decides)"));
    let asks = [("budget_usd", "8000"), ("cost_code", "4711"), ("contact", "room 101"), ("thresholds", "90, 50,50")];
    // A repeated post, an equal request from a newer form, and another one.
    let again = [("cost_code", "4711"), ("budget_usd", "$8000.00")];
    for (fields, owed) in
        [(&asks[..], [1, 1, 1]), (&asks, [1, 1, 1]), (&again, [1, 1, 1]), (&[("budget_usd", "9000")], [2, 2, 1])]
    {
        let newest = faye.get(SETTINGS).await;
        let form = if fields.len() == 4 { &form } else { &newest };
        faye.submit(form, ID, fields).await.expect(303);
        assert_eq!(asked(&campus).await, owed, "{fields:?}");
    }
    let stands = faye.get(SETTINGS).await.form(ID);
    let values =
        ["budget_usd", "cost_code", "contact", "thresholds"].map(|name| stands.value(name).unwrap_or_default());
    assert_eq!(values, ["100000", "", "room 101", "50,90,100"]);

    campus.settle().await;
    let mut mails = campus.mails("request");
    mails.sort_by_key(|mail| mail.contents.subject.clone());
    let [several, budget] = &mails[..] else { panic!("{} mails", mails.len()) };
    assert_eq!(budget.contents.subject, "faye@example.edu asks for a budget of $9,000 for CS pilot");
    assert_eq!((several.to.as_str(), several.contents.headers["Reply-To"].as_str()), (ADMIN, "faye@example.edu"));
    let text = several.contents.text.as_deref().unwrap();
    let lines = text.lines().take_while(|line| !line.starts_with("Decide:"));
    let text: Vec<_> = lines.filter(|line| !line.starts_with("Asked: ")).collect();
    insta::assert_snapshot!(format!("{}\n\n{}", several.contents.subject, text.join("\n").trim()), @"
    faye@example.edu asks for 2 changes to CS pilot

    faye@example.edu asks for 2 changes to CS pilot

    Only an admin can do this. Nothing has changed yet.

    Programme: CS pilot
    Asked by: faye@example.edu
    Budget: $8,000 instead of $100,000
    Cost code: 4711 instead of nothing

    Approve the request, or decline it and say why: the person who asked gets your answer by mail. All admins of Bursar got this mail; one answer is enough.
    ");

    // Where one of several fields holds something else by now, none is changed.
    campus.edit(&admin, &[("cost_code", "4712")]).await.expect(303);
    let overview = admin.get(ID).await;
    let several = overview.all("waiting").into_iter().find(|item| item.text.contains("Cost code")).unwrap();
    let decide = format!("{ID}/requests/{}", several.get("data-request"));
    let typed = overview.body.split("<form").find(|form| form.contains("name=\"reason\"")).unwrap();
    let pressed_by_enter = typed.split("<button").nth(1).unwrap();
    assert!(pressed_by_enter.contains("value=\"decline\""), "{pressed_by_enter}");
    let why = admin.submit(&overview, &decide, &[("act", "approve")]).await.expect(409).alert().unwrap();
    assert!(why.contains("from nothing to “4712”. The request asks for “4711”."), "{why}");
    assert_eq!(admin.get(SETTINGS).await.form(ID).value("budget_usd"), Some("100000"));

    // Nobody answers for thirty days.
    let waiting = async |admin: &Visitor| admin.get(ID).await.attributes("waiting", "data-request");
    let asked = waiting(&admin).await;
    campus.hours(30 * 24 - 1);
    assert_eq!((waiting(&campus.admin().await).await, asked.len()), (asked, 2));
    campus.hours(1);
    let admin = campus.admin().await;
    assert!(waiting(&admin).await.is_empty() && admin.get("/console").await.expect(200).all("waiting").is_empty());
    let form = admin.get(ID).await.expect(200).form("/sign-out");
    admin.post(&decide, &[("csrf", form.value("csrf").unwrap()), ("act", "decline")]).await.expect(404);
    campus.finish().await;
}

#[tokio::test]
async fn a_refused_or_stale_request_asks_nobody() {
    let campus = staffed().await;
    let (faye, admin) = (campus.student("faye").await, campus.admin().await);
    let form = faye.get(SETTINGS).await;
    let refused = faye.submit(&form, ID, &[("budget_usd", "1e9"), ("contact", "room 101")]).await.expect(422).form(ID);
    assert_eq!((refused.value("budget_usd"), refused.value("contact")), (Some("1e9"), Some("room 101")));

    // An admin edits meanwhile: a field that faculty have not touched must not become a request.
    campus.edit(&admin, &[("budget_usd", "6000")]).await.expect(303);
    let stale = faye.submit(&form, ID, &[("contact", "room 101")]).await.expect(409);
    assert_eq!((stale.form(ID).value("budget_usd"), stale.form(ID).value("contact")), (Some("6000"), Some("room 101")));
    assert_eq!(asked(&campus).await, [0; 3]);
    faye.submit(&stale, ID, &[]).await.expect(303);
    assert_eq!(faye.get(SETTINGS).await.form(ID).value("contact"), Some("room 101"));
    assert_eq!(asked(&campus).await, [0, 0, 1]);
    campus.finish().await;
}

#[tokio::test]
async fn every_setting_of_the_admins_can_be_asked_for() {
    let campus = staffed().await;
    let faye = campus.student("faye").await;
    let before = campus.settings().await;
    for (asks, owed) in [
        ("budget_usd", "9999"),
        ("reset", "daily"),
        ("timezone", "America/New_York"),
        ("faculty", "faye@example.edu stu@example.edu"),
        ("assistants", ""),
        ("finance", "fin@example.edu"),
        ("cost_code", "4711"),
        ("byok", "outside"),
        ("data_policy", "zero-retention"),
    ]
    .into_iter()
    .zip(1..)
    {
        // Mails of one minute are distinguished by their times.
        campus.clock.advance(jiff::SignedDuration::from_millis(5)).unwrap();
        campus.edit(&faye, &[asks]).await.expect(303);
        assert_eq!(asked(&campus).await, [owed, owed, 0], "{asks:?}");
    }
    assert_eq!(campus.settings().await, before);
    let entries = &campus.judged().await.entries;
    let audit: String = entries.iter().map(|entry| format!("{:?}", entry.what)).collect();
    assert!(audit.contains("faculty") && !audit.contains("stu@example.edu"), "no entry names people");

    // Each waits for the admins alone, until it is decided; what holds something else by now is not overwritten.
    let admin = campus.admin().await;
    let asked = faye.get(ID).await;
    assert_eq!(asked.all("asked").len(), 9);
    assert!(asked.readable().contains("Budget: $9,999 instead of $100,000. faye@example.edu asked for this on "));
    let waiting = |page: &bursar_tests::visitor::Page| page.attributes("waiting", "data-request");
    for page in ["/console", ID] {
        assert!(waiting(&faye.get(page).await).is_empty() && waiting(&admin.get(page).await).len() == 9, "{page}");
    }
    campus.edit(&admin, &[("cost_code", "4712")]).await.expect(303);
    let overview = admin.get(ID).await;
    let asked = waiting(&overview);
    let decide = |id: &str| format!("{ID}/requests/{id}");
    let mut refused = Vec::new();
    for id in &asked {
        let act = [("act", "approve"), ("reason", "")];
        match admin.submit(&overview, &decide(id), &act).await {
            page if page.status == 409 => {
                let why = page.alert().unwrap();
                assert!(["4711", "4712"].iter().all(|value| why.contains(value)), "{why}");
                refused.push(id.clone());
            }
            page => {
                page.expect(303);
                admin.submit(&overview, &decide(id), &act).await.expect(303);
                admin.submit(&overview, &decide(id), &[("act", "decline")]).await.expect(409);
            }
        }
    }
    assert_eq!(waiting(&admin.get(ID).await), refused);
    let without = admin.submit(&overview, &decide(&refused[0]), &[("act", "decline"), ("reason", " ")]).await;
    assert!(without.expect(422).alert().unwrap().contains("says why you decline"));
    let decline = [("act", "decline"), ("reason", "4712 is yours.")];
    let csrf = overview.form(&decide(&refused[0])).value("csrf").unwrap().to_owned();
    admin.post(&decide("none"), &[("csrf", &csrf), ("act", "approve")]).await.expect(404);
    admin.submit(&overview, &decide(&refused[0]), &decline).await.expect(303);
    let after = campus.settings().await;
    assert_eq!((after.texts.cost_code.as_deref(), after.people.faculty.len()), (Some("4712"), 2));
    assert_eq!(after.term.timezone(), "America/New_York");
    campus.settle().await;
    let told: Vec<_> = campus.mails("request").into_iter().filter(|mail| mail.to == "faye@example.edu").collect();
    assert_eq!(told.len(), 9);
    assert!(told.iter().any(|mail| mail.contents.text.as_ref().unwrap().contains("4712 is yours.")));
    // What was declined can be asked for again on another day.
    let wish = [("cost_code", "4713")];
    campus.edit(&faye, &wish).await.expect(303);
    let newer = admin.get(ID).await;
    let id = waiting(&newer).into_iter().find(|id| !asked.contains(id)).unwrap();
    admin.submit(&newer, &decide(&id), &decline).await.expect(303);
    let again = campus.edit(&faye, &wish).await.expect(409);
    assert!(again.alert().unwrap().contains("decided the same request today"), "{:?}", again.alerts());
    campus.hours(24);
    let faye = campus.student("faye").await;
    campus.edit(&faye, &wish).await.expect(303);
    faye.submit(&overview, &decide(&asked[0]), &decline).await.expect(403);
    campus.finish().await;
}

/// A request to close or to copy is approved where that is done, and is answered by it; one that nobody answers is gone after thirty days.
#[tokio::test]
async fn a_close_and_a_copy_answer_their_requests() {
    let campus = staffed().await;
    let (faye, admin) = (campus.student("faye").await, campus.admin().await);
    let form = faye.get(SETTINGS).await;
    let (copy, close) = (campus.console("/copy"), campus.console("/close"));
    for (at, field) in [(&copy, ("name", "Next")), (&close, ("confirm", "CS pilot"))] {
        campus.clock.advance(jiff::SignedDuration::from_millis(5)).unwrap();
        faye.submit(&form, at, &[field]).await.expect(303);
    }
    let waiting = async || admin.get(ID).await.attributes("waiting", "data-request");
    let overview = admin.get(ID).await;
    let approve = async |what: &str| {
        let item = overview.all("waiting").into_iter().find(|item| item.text.contains(what)).unwrap();
        let decide = format!("{ID}/requests/{}", item.get("data-request"));
        admin.submit(&overview, &decide, &[("act", "approve")]).await.expect(200)
    };
    let (filled, look) = (approve("Copy the programme").await, approve("Close the programme").await);
    assert_eq!((filled.form(&copy).value("name"), waiting().await.len()), (Some("Next"), 2));
    // The form is meant to be edited: what is mailed is what was made. Another admin who has it open makes no second copy.
    let another = approve("Copy the programme").await;
    for _ in 0..2 {
        let made = admin.submit(&filled, &copy, &[("budget_usd", "150")]).await.expect(303);
        assert_eq!((made.location(), waiting().await.len()), (Some("/console/programmes/next"), 1));
    }
    let why = admin.submit(&another, &copy, &[]).await.expect(409).alert().unwrap();
    assert!(why.contains("this was approved before"), "{why}");
    assert_eq!(campus.table.list(Programme::all()).await.unwrap().len(), 2);
    assert!(campus.job("close").await.is_none() && look.all("close-keys").len() == 1);
    for _ in 0..2 {
        admin.submit(&look, &close, &[("confirm", "CS pilot")]).await.expect(303);
    }
    assert!(campus.job("close").await.is_some() && waiting().await.is_empty());
    campus.settle().await;
    let mails: Vec<_> = campus.mails("request").into_iter().filter(|mail| mail.to == "faye@example.edu").collect();
    assert!(mails.len() == 2 && mails.iter().all(|mail| mail.contents.subject.contains("approved")));
    let text = mails.iter().find_map(|mail| mail.contents.text.as_ref().filter(|text| text.contains("made the copy")));
    let text = text.unwrap();
    assert!(text.contains("a budget of $150,") && text.contains("/console/programmes/next\n"), "{text}");
    campus.finish().await;
}

/// One zero too many is seen before the press, by who presses.
#[tokio::test]
async fn a_budget_beyond_the_balance_is_asked_about_beside_approve() {
    let campus = staffed().await;
    campus.sync().await;
    let faye = campus.student("faye").await;
    faye.submit(&faye.get(SETTINGS).await, ID, &[("budget_usd", "99999999999")]).await.expect(303);
    let doubt = campus.admin().await.get(ID).await.text("doubt").unwrap();
    let says = "Please check the budget: $99,999,999,999 of it can still be spent, and the account's balance is $";
    assert!(doubt.starts_with(says), "{doubt}");
    assert_eq!(faye.get(ID).await.text("doubt"), None);
    campus.finish().await;
}

/// Two admins decide at once, in either order: one of them does, and what is recorded and mailed is what was done.
#[tokio::test]
async fn one_of_two_admins_decides() {
    let campus = staffed().await;
    let (copy, close) = (campus.console("/copy"), campus.console("/close"));
    let stands = async || {
        let budget = campus.table.get(Budget::key_of(&campus.programme)).await.unwrap().unwrap().limit;
        let programmes = campus.table.list(Programme::all()).await.unwrap();
        (budget, programmes.len(), programmes.iter().filter(|of| of.closed_at.is_some()).count())
    };
    for (at, field, is_first) in [
        (ID, ("budget_usd", "701"), false),
        (ID, ("budget_usd", "702"), true),
        (&copy, ("name", "Spring"), false),
        (&copy, ("name", "Summer"), true),
        (&close, ("confirm", "CS pilot"), false),
        (&close, ("confirm", "CS pilot"), true),
    ] {
        // What was declined can be asked for again on another day.
        campus.hours(24);
        let (faye, admin) = (campus.student("faye").await, campus.admin().await);
        faye.submit(&faye.get(SETTINGS).await, at, &[field]).await.expect(303);
        let (before, overview) = (stands().await, admin.get(ID).await);
        let decide = format!("{ID}/requests/{}", overview.one("waiting").get("data-request"));
        let approve = [("act", "approve")];
        let approves = async {
            if at == ID {
                return admin.submit(&overview, &decide, &approve).await;
            }
            let looked = admin.submit(&overview, &decide, &approve).await.expect(200);
            admin.submit(&looked, at, &[field]).await
        };
        let write = Matcher::call("dynamodb:TransactWriteItems").of(Console);
        let held = if is_first { campus.gate.hold_answers(write) } else { campus.gate.hold(write) };
        let declines = async {
            held.arrived().await;
            let declined = admin.submit(&overview, &decide, &[("act", "decline"), ("reason", "Not now.")]).await;
            held.release(None);
            declined
        };
        let (approved, declined) = tokio::join!(approves, declines);
        let statuses = if is_first { [303, 409] } else { [409, 303] };
        assert_eq!([approved.status, declined.status], statuses, "{at}");
        assert_eq!(before != stands().await, is_first, "{at}");
        assert!(admin.get(ID).await.all("waiting").is_empty());
        campus.settle().await;
        let told = campus.mails("request").into_iter().filter(|mail| mail.to == "faye@example.edu");
        let told: Vec<String> = told.map(|mail| mail.contents.subject).collect();
        let verb = if is_first { "approved" } else { "declined" };
        assert!(told.len() == 1 && told[0].ends_with(verb), "{told:?}");
    }
    let entries = &campus.judged().await.entries;
    let count = |act| entries.iter().filter(|entry| entry.what.act == act).count();
    assert_eq!([Act::RequestApproved, Act::RequestDeclined, Act::BudgetChanged, Act::Closed].map(count), [3, 3, 1, 1]);
    campus.finish().await;
}

/// A form that names a request for something else does nothing.
#[tokio::test]
async fn a_close_answers_a_request_to_close() {
    let campus = staffed().await;
    let (faye, admin) = (campus.student("faye").await, campus.admin().await);
    campus.edit(&faye, &[("cost_code", "4711")]).await.expect(303);
    let asked = admin.get(ID).await.one("waiting").get("data-request").to_owned();
    let settings = admin.get(SETTINGS).await;
    for (what, field) in [("/close", ("confirm", "CS pilot")), ("/copy", ("name", "Next"))] {
        for request in [&*asked, "7"] {
            let fields = [field, ("request", request)];
            let why = admin.submit(&settings, &campus.console(what), &fields).await.expect(422).alert().unwrap();
            assert!(why.contains("settings page"), "{why}");
        }
    }
    let programmes = campus.table.list(Programme::all()).await.unwrap();
    assert!(programmes.len() == 1 && programmes[0].closed_at.is_none());
    assert_eq!(admin.get(ID).await.attributes("waiting", "data-request"), [asked]);
    campus.finish().await;
}
