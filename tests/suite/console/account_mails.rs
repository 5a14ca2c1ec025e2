//! Mail on the account's page: waiting mail, dead letters with their presses, and stopped bulk mail.

use bursar_core::domain::audit::Act;
use bursar_core::domain::mail::day::{MailCounts, MailDay};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{BulkStop, MailServer, Table, Undeliverable, UnreachableReason};
use bursar_local::invoke::FunctionName;
use bursar_local::ses::Fault as MailFault;
use bursar_tests::invariants::RawTable;
use bursar_tests::office::{Office, soon};
use jiff::SignedDuration;
use serde_json::json;

use super::mails::{ID, at_ten, crossed, programme, settle, warns};
use super::{ADMIN, signed_in, watch};

const ACCOUNT: &str = "/console/account";
const RELEASE: &str = "/console/account/release";

#[tokio::test]
async fn the_account_tells_of_its_mail_and_what_was_given_up_in_words() {
    let stack = at_ten().await;
    let admin = signed_in(&stack, ADMIN).await;
    programme(&stack, &admin).await;
    let office = Office::of(&stack, "cs-pilot");
    stack.ses.set_sandbox(&[ADMIN]);
    office.invite("ada@example.edu").await;
    settle(&stack).await;
    let page = admin.get(ACCOUNT).await;
    assert!(warns(&page, "the recipient's address is not verified"), "mail to her waits, and is not given up");
    assert!(page.texts("dead-letter").is_empty());
    assert!(page.body.contains("of 200 in 24 hours, 1 a second"));
    let told = stack.ses.mails_to(ADMIN);
    let told = bursar_local::inbox::Contents::of(&told[0].raw);
    assert_eq!(told.subject, "Mail waits: the recipient's address is not verified");

    stack.ses.leave_sandbox();
    stack.ses.fail_next(MailFault::Reject, 1, Some("cyd@example.edu"));
    office.invite("cyd@example.edu").await;
    settle(&stack).await;
    let page = admin.get(ACCOUNT).await;
    assert!(warns(&page, "A mail was given up in the last three days"));
    assert_eq!(page.texts("dead-letter").len(), 1);

    stack.ses.set_enabled(false);
    office.invite("bob@example.edu").await;
    stack.invoke.invoke(FunctionName::Mail, json!({"task": "drain"})).await.unwrap();
    let page = admin.get(ACCOUNT).await;
    assert!(warns(&page, "sending is paused for the whole SES account"));
    assert!(page.body.contains("the oldest for"), "and it waits without using up a try");
    stack.ses.fail_next(MailFault::Fail, 0, None);
    stack.finish_faulted().await;
}

#[tokio::test]
async fn what_was_given_up_is_sent_again_by_a_press_for_its_cause_whatever_kind_it_is() {
    let stack = at_ten().await;
    let admin = signed_in(&stack, ADMIN).await;
    programme(&stack, &admin).await;
    let office = Office::of(&stack, "cs-pilot");
    // A roster mail, and an urgent one.
    stack.ses.fail_next(MailFault::Reject, 1, Some("cyd@example.edu"));
    office.invite("cyd@example.edu").await;
    settle(&stack).await;
    stack.ses.fail_next(MailFault::Reject, 1, Some("fay@example.edu"));
    let mut seen = crossed(&stack).await;
    settle(&stack).await;
    stack.ses.lift_faults(None);
    assert_eq!((stack.ses.mails_to("cyd@example.edu").len(), stack.ses.mails_to("fay@example.edu").len()), (0, 0));
    seen.check().await;

    let page = admin.get(ACCOUNT).await;
    let causes = page.texts("dead-letter");
    assert_eq!(causes.len(), 1, "one cause: {causes:?}");
    assert!(causes[0].contains("roster mails: 1") && causes[0].contains("alerts: 1"), "{causes:?}");
    let again = async |cause: &str| admin.submit(&page, "/console/account/mail", &[("cause", cause)]).await.status;
    let fay = signed_in(&stack, "fay@example.edu").await;
    let csrf = fay.get(ID).await.forms()[0].value("csrf").unwrap().to_owned();
    let by_faculty = fay.post("/console/account/mail", &[("csrf", &csrf), ("cause", "MessageRejected")]).await;
    assert_eq!(by_faculty.status, 404);
    assert_eq!(again("").await, 422);
    assert_eq!(again("NotAMail").await, 303, "nothing was given up for that");
    stack.clock.advance(SignedDuration::from_hours(3)).unwrap();
    let admin = signed_in(&stack, ADMIN).await;
    let page = admin.get(ACCOUNT).await;
    for _ in 0..2 {
        let pressed = admin.submit(&page, "/console/account/mail", &[("cause", "MessageRejected")]).await;
        assert_eq!(pressed.status, 303);
    }
    let waiting = office.table.waiting().await.unwrap();
    let since = waiting.iter().filter_map(|of| of.since).min();
    assert!(since >= Some(stack.clock.now() - SignedDuration::from_mins(1)), "it waits since the press: {waiting:?}");
    seen.check().await;
    settle(&stack).await;
    seen.check().await;
    let kinds = |to: &str| -> Vec<_> {
        let mails = stack.ses.mails_to(to);
        mails
            .iter()
            .filter_map(|mail| bursar_local::inbox::Contents::of(&mail.raw).kind)
            .filter(|kind| kind != "link")
            .collect()
    };
    assert_eq!(
        (kinds("cyd@example.edu"), kinds("fay@example.edu")),
        (vec!["roster".to_owned()], vec!["alert".to_owned()])
    );
    let entries = seen.seen().unwrap().account_entries.clone();
    let notes: Vec<_> = entries.iter().filter(|entry| entry.what.act == Act::MailSentAgain).collect();
    assert_eq!(notes.len(), 1, "the second press found nothing");
    assert_eq!(notes[0].what.note.as_deref(), Some("given up: MessageRejected"));
    assert!(admin.get(ACCOUNT).await.texts("dead-letter").is_empty());
    stack.finish_faulted().await;
}

#[tokio::test]
async fn stopped_bulk_mail_is_named_and_an_admin_has_mail_to_somebody_tried_again() {
    let stack = at_ten().await;
    let admin = signed_in(&stack, ADMIN).await;
    programme(&stack, &admin).await;
    let (table, now) = (Table::new(&stack.config), stack.clock.now());
    let raw = RawTable::at(&stack.ready.dynamodb, &stack.ready.table);
    let counts = MailCounts { sent: 500, bounced: 20, ..MailCounts::default() };
    let of = MailDay { day: utc_date(now), mail: MailKind::Roster, counts };
    raw.keep(&BulkStop { at: now, of, version: 1 }).await.unwrap();
    raw.keep(&MailServer { as_of: now, per_day: Some(50_000), per_second: 14.0, sent: 500, enabled: true })
        .await
        .unwrap();
    let fay = EmailAddress::parse("fay@example.edu").unwrap();
    let mark = Undeliverable { address: fay.matched().clone(), why: UnreachableReason::Complained, at: now };
    table.end_mail_to(&[mark], now, soon()).await.unwrap();

    let page = admin.get(ACCOUNT).await;
    assert!(warns(&page, "of 500 that were sent on 2026-11-20, 20 came back for good"));
    let forms = page.forms();
    let form = forms.iter().find(|form| form.action == RELEASE).unwrap();
    let csrf = form.value("csrf").unwrap();
    let try_again = async |address| admin.post(RELEASE, &[("csrf", csrf), ("address", address)]).await.status;
    let mut seen = watch(&stack);
    for _ in 0..2 {
        assert_eq!(try_again(form.value("address").unwrap()).await, 303);
    }
    assert_eq!(table.undeliverable(fay.matched(), now).await.unwrap(), None);
    assert_eq!(try_again("stranger@example.edu").await, 404);
    seen.check().await;
    assert_eq!(admin.get(ACCOUNT).await.texts("unreachable").len(), 0);
    let fay = signed_in(&stack, "fay@example.edu").await;
    assert_eq!(fay.get(ACCOUNT).await.status, 404);
    stack.finish().await;
}
