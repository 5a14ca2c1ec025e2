//! Requests of faculty for what only an admin may change. The admins are mailed once a day for each, and nothing
//! is lost or half saved.

use bursar_core::domain::audit::Act;
use bursar_core::store::{QueuedMail, Table};
use bursar_local::inbox::Contents;
use bursar_local::invoke::FunctionName;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::invariants::{Snapshot, Watch};
use bursar_tests::stack::{self, Stack};
use bursar_tests::visitor::Visitor;
use jiff::SignedDuration;

use super::{ADMIN, PLAIN, signed_in, watch};
use crate::mail::footers::without_footer;

const ID: &str = "/console/programmes/cs-pilot";

/// A programme with Faye as faculty; returns her browser, an admin's and a watch.
async fn of_faye(stack: &Stack) -> (Visitor, Visitor, Watch) {
    let mut watch = watch(stack);
    watch.check().await;
    let admin = signed_in(stack, ADMIN).await;
    let new = admin.get("/console/programmes/new").await;
    let staff = [&PLAIN[..], &[("faculty", "faye@example.edu"), ("assistants", "asta@example.edu")]].concat();
    assert_eq!(admin.submit(&new, "/console/programmes", &staff).await.status, 303);
    watch.check().await;
    (signed_in(stack, "faye@example.edu").await, admin, watch)
}

fn asked(seen: &Snapshot) -> usize {
    seen.outbox.iter().filter(|row| matches!(row.mail, QueuedMail::Request { .. })).count()
}

fn entries(seen: &Snapshot, act: Act) -> usize {
    seen.entries.iter().filter(|entry| entry.what.act == act).count()
}

/// The mails to admins about requests.
fn mails(stack: &Stack) -> Vec<(Vec<String>, Contents)> {
    let mails = stack.ses.unread().into_iter().map(|mail| (mail.to.clone(), Contents::of(&mail.raw)));
    let mut mails: Vec<_> = mails.filter(|(_, contents)| contents.kind.as_deref() == Some("request")).collect();
    mails.sort_by_key(|(_, contents)| contents.subject.clone());
    mails
}

#[tokio::test]
async fn what_only_an_admin_may_change_is_asked_for_by_mail_once_a_day_and_the_rest_is_saved() {
    let stack = stack::in_process().await.unwrap();
    let (faye, admin, mut watch) = of_faye(&stack).await;
    let form = faye.get(ID).await;
    assert!(form.body.contains("<legend>An admin is asked</legend>"));
    assert!(!admin.get(ID).await.body.contains("An admin is asked"));

    let asks = [("pot_usd", "8000"), ("cost_code", "4711"), ("contact", "room 101"), ("thresholds", "90, 50,50")];
    let done = faye.submit(&form, ID, &asks).await;
    assert_eq!((done.status, done.location()), (303, Some(ID)));
    let overview = faye.get(ID).await;
    let stands = overview.form(ID);
    let values = ["pot_usd", "cost_code", "contact", "thresholds"].map(|name| stands.value(name).unwrap_or_default());
    assert_eq!(values, ["4000", "", "room 101", "50,90"]);
    let seen = watch.check().await;
    assert_eq!((asked(seen), entries(seen, Act::Asked), entries(seen, Act::Edited)), (1, 1, 1));

    // A repeated post, and an equal request from a newer form on that day.
    assert_eq!(faye.submit(&form, ID, &asks).await.status, 303);
    assert_eq!(faye.submit(&overview, ID, &[("cost_code", "4711"), ("pot_usd", "$8000.00")]).await.status, 303);
    let seen = watch.check().await;
    assert_eq!((asked(seen), entries(seen, Act::Asked), entries(seen, Act::Edited)), (1, 1, 1));
    // Another request is another mail.
    assert_eq!(faye.submit(&overview, ID, &[("pot_usd", "9000")]).await.status, 303);
    assert_eq!(asked(watch.check().await), 2);

    stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    let mails = mails(&stack);
    assert!(mails.iter().all(|(to, _)| to == &[ADMIN.to_owned()]) && mails.len() == 2);
    assert_eq!(mails[1].1.subject, "CS pilot: asked for a budget of $9,000 instead of $4,000");
    let answers_to = mails.iter().map(|(_, mail)| mail.headers.get("Reply-To").map(String::as_str));
    assert_eq!(answers_to.collect::<Vec<_>>(), [Some("faye@example.edu"); 2]);
    let text = mails[0].1.text.as_deref().unwrap().replace(&stack.ready.web, "[origin]");
    let text: Vec<_> = without_footer(&text).lines().filter(|line| !line.starts_with("Asked: ")).collect();
    insta::assert_snapshot!(format!("{}\n\n{}", mails[0].1.subject, text.join("\n")), @r#"
    CS pilot: asked for 2 changes

    A change is asked for

    faye@example.edu asks for what only an admin may do with CS pilot. Nothing is changed by asking.

    Programme: CS pilot
    Asked by: faye@example.edu
    Budget: $8,000 instead of $4,000
    Cost code: 4711 instead of nothing

    If you agree, open the settings, put in what is asked for, and press "Save". If you do not, answer this mail and say why. All admins got it.

    Open the settings:
    [origin]/console/programmes/cs-pilot#edit

    An answer to this mail goes to faye@example.edu.
    "#);
    watch.check().await;
    stack.finish().await;
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_stale_or_comes_with_what_cannot_be_saved_asks_nobody() {
    let stack = stack::in_process().await.unwrap();
    let (faye, admin, mut watch) = of_faye(&stack).await;
    let form = faye.get(ID).await;
    let refused = faye.submit(&form, ID, &[("pot_usd", "1e9"), ("contact", "room 101")]).await;
    assert_eq!((refused.status, refused.form(ID).value("pot_usd")), (422, Some("1e9")), "what was typed stays");
    assert_eq!(refused.form(ID).value("contact"), Some("room 101"));
    assert_eq!(faye.post(ID, &[("csrf", form.form(ID).value("csrf").unwrap()), ("pot_usd", "5000")]).await.status, 422);

    // An admin edits meanwhile: a field that faculty have not touched must not become a request.
    assert_eq!(admin.submit(&admin.get(ID).await, ID, &[("pot_usd", "6000")]).await.status, 303);
    let stale = faye.submit(&form, ID, &[("contact", "room 101")]).await;
    assert_eq!(
        (stale.status, stale.form(ID).value("pot_usd")),
        (409, Some("6000")),
        "what faculty left alone is as it is now"
    );
    assert_eq!(stale.form(ID).value("contact"), Some("room 101"));
    let seen = watch.check().await;
    assert_eq!((asked(seen), entries(seen, Act::Asked)), (0, 0));
    // The second press saves the contact, and asks for nothing.
    assert_eq!(faye.submit(&stale, ID, &[]).await.status, 303);
    assert_eq!(faye.get(ID).await.form(ID).value("contact"), Some("room 101"));
    assert_eq!(asked(watch.check().await), 0);
    stack.finish().await;
}

#[tokio::test]
async fn every_setting_of_the_admins_is_asked_for_and_none_is_changed_by_that() {
    let stack = stack::in_process().await.unwrap();
    let (faye, _, mut watch) = of_faye(&stack).await;
    let before = Table::new(&stack.config).programme(&"cs-pilot".parse().unwrap()).await.unwrap().unwrap();
    let asks = [
        ("pot_usd", "9999"),
        ("reset", "daily"),
        ("timezone", "America/New_York"),
        ("faculty", "faye@example.edu stu@example.edu"),
        ("assistants", ""),
        ("finance", "fin@example.edu"),
        ("cost_code", "4711"),
        ("byok", "outside"),
        ("data_policy", "zero-retention"),
    ];
    for (number, ask) in asks.into_iter().enumerate() {
        // Mails of one minute are distinguished by their times.
        stack.clock.advance(SignedDuration::from_millis(5)).unwrap();
        let done = faye.submit(&faye.get(ID).await, ID, &[ask]).await;
        assert_eq!(done.status, 303, "{ask:?}");
        assert_eq!(asked(watch.check().await), number + 1, "{ask:?}");
    }
    let after = Table::new(&stack.config).programme(&"cs-pilot".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(before, after);
    let seen = watch.check().await;
    let audit: String = seen.entries.iter().map(|entry| format!("{:?}", entry.what)).collect();
    assert!(!audit.contains("stu@example.edu") && audit.contains("faculty"), "people are named by no entry");
    stack.finish().await;
}

#[tokio::test]
async fn whatever_becomes_of_the_writes_the_rest_is_saved_once_and_the_admins_are_asked_once() {
    let transaction = || Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Console);
    for (nth, verdict) in [
        (1, Fault::KillBefore),
        (1, Fault::KillAfter),
        (1, Fault::LoseAnswer),
        (2, Fault::KillBefore),
        (2, Fault::KillAfter),
        (2, Fault::LoseAnswer),
        (2, Fault::Conflict),
    ] {
        let stack = stack::in_process().await.unwrap();
        let (faye, _, mut watch) = of_faye(&stack).await;
        let mut form = faye.get(ID).await;
        stack.gate.at(transaction().nth(nth), verdict);
        let asks = [("pot_usd", "8000"), ("contact", "room 101")];
        let mut answers = Vec::new();
        for _ in 0..3 {
            let answer = faye.submit(&form, ID, &asks).await;
            answers.push(answer.status);
            if answer.status == 409 {
                // The answer's form has what was typed, beside the present value.
                form = answer;
            }
            if answers.last() == Some(&303) {
                break;
            }
        }
        let what = format!("{verdict} at {nth}: {answers:?}");
        assert_eq!(answers.last(), Some(&303), "{what}");
        let seen = watch.check().await;
        assert_eq!((asked(seen), entries(seen, Act::Asked), entries(seen, Act::Edited)), (1, 1, 1), "{what}");
        assert_eq!(faye.get(ID).await.form(ID).value("contact"), Some("room 101"), "{what}");
        stack.finish_faulted().await;
    }
}
