//! Refusals that concern the account and not the mail. Such mail waits and none of it is given up; admins are
//! notified once of each state. Permitted mail is sent on time.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::deadline::Waits;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::failure::{self, CORRUPT};
use bursar_core::domain::values::id::{PersonId, new_ulid};
use bursar_core::store::items::{self, Queue};
use bursar_core::store::{MailState, OutboxRow, QueuedMail, SentAgain};
use bursar_local::invoke::FunctionName;
use bursar_local::ses::{Fault as MailFault, PAUSED, Quota};
use bursar_tests::faults::{Fault, Matcher};
use jiff::SignedDuration;
use serde_json::json;

use super::{PostOffice, soon, told_of};

impl PostOffice {
    /// The codes of the refusals in the alarms to admins.
    async fn told_refusals(&self) -> Vec<String> {
        let alarms = self.table.alarms(100).await.unwrap();
        let refused = alarms.into_iter().filter_map(|Alarm { cause, .. }| match cause {
            Cause::MailRefused { code, .. } => Some(code),
            _ => None,
        });
        refused.collect()
    }

    fn rows(&self, is_meant: impl Fn(&MailState) -> bool) -> usize {
        self.watch.seen().unwrap().outbox.iter().filter(|row| is_meant(&row.state)).count()
    }

    /// The kinds of the mails since the last call, in order.
    fn kinds_unread(&self) -> Vec<String> {
        self.unread().into_iter().map(|mail| mail.contents.kind.unwrap_or_default()).collect()
    }
}

fn is_failed(state: &MailState) -> bool {
    matches!(state, MailState::Failed { .. })
}

#[tokio::test]
async fn an_account_that_aws_has_paused_loses_no_mail_and_sends_it_all_once_it_may() {
    let mut office = PostOffice::open().await;
    office.stack.ses.set_stopped_by_aws(Some(PAUSED));
    for student in ["ada", "bob", "cyd"] {
        office.invite(&format!("{student}@example.edu")).await;
    }
    office.ask("admin@example.edu").await;
    office.settle().await;
    // AWS refuses for longer than the tries of a failing mail would last.
    for _ in 0..10 {
        office.pass(60).await;
    }
    assert_eq!((office.unread().len(), office.rows(is_failed)), (0, 0));
    assert_eq!(office.told_refusals().await, ["AccountSendingPausedException"]);
    assert!(office.said("\"reaches_nobody\":true"), "what cannot be mailed is in the log");
    office.stack.ses.set_stopped_by_aws(None);
    office.pass(30).await;
    let mut kinds = office.kinds_unread();
    kinds.sort();
    // The link is not sent: it would have expired hours ago.
    assert_eq!(kinds, ["account", "roster", "roster", "roster"]);
    let tries: Vec<u8> = office.watch.seen().unwrap().outbox.iter().map(|row| row.tries).collect();
    assert!(tries.iter().all(|tries| *tries <= 1), "what is no fault of a mail uses up no try: {tries:?}");
    office.finish_faulted().await;
}

#[tokio::test]
async fn in_the_sandbox_mail_to_whom_it_does_not_send_waits_and_stands_in_nobodys_way() {
    let mut office = PostOffice::waiting(Waits::shortened(100)).await;
    office.stack.ses.set_sandbox(&["admin@example.edu", "staff.example.edu"]);
    for number in 0..9 {
        office.invite(&format!("s{number}@students.example.edu")).await;
    }
    office.invite("tutor@staff.example.edu").await;
    office.pass(5).await;
    let mut mails = office.unread();
    mails.sort_by(|one, other| one.contents.kind.cmp(&other.contents.kind));
    let to: Vec<_> = mails.iter().map(|mail| (mail.to.as_str(), mail.contents.kind.as_deref().unwrap())).collect();
    assert_eq!(to, [("admin@example.edu", "account"), ("tutor@staff.example.edu", "roster")]);
    assert_eq!(mails[0].contents.subject, "Mail waits: the recipient's address is not verified");
    for _ in 0..3 {
        office.pass(60).await;
    }
    assert_eq!((office.kinds_unread(), office.rows(is_failed)), (Vec::new(), 0), "of one state they hear once");
    office.stack.ses.leave_sandbox();
    office.pass(30).await;
    assert_eq!(office.kinds_unread(), ["roster"; 9]);
    office.finish_faulted().await;
}

#[tokio::test]
async fn a_used_up_quota_and_a_sender_that_is_not_verified_are_told_as_what_they_are() {
    let mut office = PostOffice::open().await;
    // The quota allows one mail, which has been sent, and another is queued.
    office.enrol("ada@example.edu").await;
    office.stack.ses.set_quota(Quota { per_day: 1, per_second: 14 });
    office.ask("admin@example.edu").await;
    office.settle().await;
    assert_eq!(office.told_refusals().await, ["DailyQuotaExceeded"]);
    office.stack.ses.set_quota(Quota::PRODUCTION);
    office.pass(5).await;
    let mut subjects: Vec<_> = office.unread().into_iter().map(|mail| mail.contents.subject).collect();
    subjects.sort();
    assert_eq!(
        subjects,
        ["Mail waits: the day's quota of the SES account is used up", "Your link to sign in to Bursar"]
    );

    office.pass(2).await;
    office.stack.ses.set_sandbox(&["admin@example.edu"]);
    // The error names the address that failed the check, which is the sender's here.
    office.stack.ses.set_sender_verified(false);
    office.ask("admin@example.edu").await;
    office.settle().await;
    assert_eq!(office.told_refusals().await.len(), 2);
    assert!(office.told_refusals().await.contains(&"SenderNotVerified".to_owned()));
    assert_eq!(office.rows(is_failed), 0);
    office.finish_faulted().await;
}

#[tokio::test]
async fn a_quota_that_cannot_be_read_is_told_after_an_hour_and_urgent_mail_goes_on() {
    let mut office = PostOffice::open().await;
    let unread = office.stack.gate.at(Matcher::call("ses:GetSendQuota").every(), Fault::Status(400));
    office.invite("ada@example.edu").await;
    office.pass(30).await;
    assert_eq!(office.told_refusals().await, Vec::<String>::new());
    office.ask("admin@example.edu").await;
    office.settle().await;
    assert_eq!(office.the_mail().contents.kind.as_deref(), Some("link"));
    office.pass(61).await;
    assert_eq!(office.the_mail().contents.subject, "Mail waits: SES does not say how much it takes");
    office.pass(60).await;
    assert_eq!(office.unread().len(), 0);
    office.stack.gate.lift(unread);
    office.pass(2).await;
    assert_eq!(office.the_mail().contents.kind.as_deref(), Some("roster"));
    office.finish_faulted().await;
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_dead_letters_and_shut_nothing() {
    let office = PostOffice::waiting(Waits::shortened(100)).await;
    let grant = office.invite("ada@example.edu").await;
    let now = office.stack.clock.now();
    let broken =
        OutboxRow::queued(new_ulid(now), QueuedMail::Roster { programme: office.programme.clone(), grant }, now);
    let mut rows = Vec::new();
    for _ in 0..60 {
        let row = OutboxRow { row: new_ulid(now), ..broken.clone() };
        let mut item = items::to_item(&row).unwrap();
        let kind = AttributeValue::S("of a later version".to_owned());
        item.insert("mail".to_owned(), kind);
        rows.push(item);
    }
    office.stack.engine.fill(rows.clone()).await.unwrap();
    office.stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    let mut kinds = office.kinds_unread();
    kinds.sort();
    assert_eq!(kinds, ["account", "roster"], "an admin hears once, and what stood behind them was sent");
    let dead = office.table.dead_mails(now, 100).await.unwrap();
    assert_eq!((dead.newest.len(), dead.unreadable, dead.in_all), (0, 60, 60));
    let drained = office.stack.invoke.invoke(FunctionName::Mail, json!({"task": "drain"})).await.unwrap();
    assert_eq!(drained["failed"], 0, "they are looked at once");

    // A later version can read them, and a press sends them again.
    for item in &mut rows {
        item.insert("mail".to_owned(), AttributeValue::S("roster".to_owned()));
        item.insert("queue".to_owned(), AttributeValue::S(Queue::DeadMail.as_str().to_owned()));
    }
    office.stack.engine.fill(rows).await.unwrap();
    let admin = PersonId::random();
    let pressed = office.table.send_again(CORRUPT, &admin, office.stack.clock.now(), soon()).await.unwrap();
    assert_eq!(pressed, SentAgain::Owed(60));
    office.stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    assert_eq!(office.kinds_unread(), ["roster"; 60]);
    assert_eq!(office.table.dead_mails(now, 100).await.unwrap().in_all, 0);
    office.finish_faulted().await;
}

#[tokio::test]
async fn each_mail_names_the_configuration_set_that_tells_of_it() {
    let mut office = PostOffice::open().await;
    office.ask("admin@example.edu").await;
    office.settle().await;
    let sets: Vec<_> = office.stack.ses.mails().into_iter().map(|mail| mail.configuration_set).collect();
    assert_eq!(sets, [Some("bursar".to_owned())]);
    office.the_mail();
    office.finish().await;
}

#[tokio::test]
async fn an_urgent_row_that_cannot_be_read_keeps_no_other_of_its_batch() {
    let office = PostOffice::open().await;
    let row = OutboxRow::queued(
        new_ulid(office.stack.clock.now()),
        QueuedMail::Account {
            day: "2026-11-20".parse().unwrap(),
            alarm: "x".to_owned(),
            recipient: PersonId::random(),
        },
        office.stack.clock.now(),
    );
    let mut item = items::to_item(&row).unwrap();
    item.insert("mail".to_owned(), AttributeValue::S("of a later version".to_owned()));
    office.stack.engine.fill(vec![item]).await.unwrap();
    let batch = json!({"Records": [told_of(&row)]});
    let answer = office.stack.invoke.invoke(FunctionName::Mail, batch).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    office.stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    assert_eq!(office.kinds_unread(), ["account"]);
    office.finish_unjudged().await;
}

#[tokio::test]
async fn in_whatever_words_aws_stops_an_account_and_whatever_of_it_is_gone_mail_waits() {
    let mut office = PostOffice::open().await;
    office.invite("ada@example.edu").await;
    for words in
        ["Sending suspended for this account.", "Sending is disabled for this account.", "This account is shut down."]
    {
        office.stack.ses.set_stopped_by_aws(Some(words));
        office.pass(60).await;
        assert_eq!((office.unread().len(), office.rows(is_failed)), (0, 0), "{words}");
    }
    assert_eq!(office.told_refusals().await, [failure::PAUSED]);
    office.stack.ses.set_stopped_by_aws(None);
    office.stack.ses.know_sets(&[]);
    office.pass(60).await;
    assert_eq!((office.unread().len(), office.rows(is_failed)), (0, 0));
    let mut told = office.told_refusals().await;
    told.sort();
    assert_eq!(told, [failure::PAUSED, "ConfigurationSetDoesNotExist"]);
    office.stack.ses.know_sets(&["bursar"]);
    office.pass(60).await;
    office.pass(60).await;
    let subjects: BTreeSet<_> = office.unread().into_iter().map(|mail| mail.contents.subject).collect();
    let subjects: Vec<_> = subjects.iter().map(String::as_str).collect();
    assert_eq!(
        subjects,
        [
            "CS pilot: your LLM credit",
            "Mail waits: sending is paused for the whole SES account",
            "Mail waits: the configuration set is not there",
        ]
    );
    office.finish_faulted().await;
}

#[tokio::test]
async fn a_refusal_is_over_once_the_mail_server_is_seen_to_take_such_mail() {
    let mut office = PostOffice::waiting(Waits::shortened(100)).await;
    office.stack.ses.set_sandbox(&["admin@example.edu"]);
    office.invite("ada@example.edu").await;
    office.pass(5).await;
    let codes = async |office: &PostOffice| {
        let known = office.table.mail_refusals(office.stack.clock.now()).await.unwrap();
        known.into_iter().map(|refusal| refusal.code).collect::<Vec<_>>()
    };
    assert_eq!(codes(&office).await, [failure::NOT_VERIFIED]);
    office.stack.ses.leave_sandbox();
    office.pass(20).await;
    assert_eq!(codes(&office).await, Vec::<String>::new());
    office.stack.ses.set_stopped_by_aws(Some(PAUSED));
    office.invite("bob@example.edu").await;
    office.pass(5).await;
    assert_eq!(codes(&office).await, [failure::PAUSED]);
    office.stack.ses.set_stopped_by_aws(None);
    office.pass(30).await;
    assert_eq!(codes(&office).await, Vec::<String>::new());

    // A quota that cannot be read now and then is no alarm.
    for _ in 0..4 {
        let unread = office.stack.gate.at(Matcher::call("ses:GetSendQuota").every(), Fault::Status(400));
        office.pass(61).await;
        office.stack.gate.lift(unread);
        office.pass(61).await;
    }
    assert_eq!(office.told_refusals().await, [failure::NOT_VERIFIED, failure::PAUSED]);
    office.finish_faulted().await;
}

#[tokio::test]
async fn where_the_mail_server_throttles_what_is_urgent_the_rest_waits_as_well() {
    let mut office = PostOffice::open().await;
    office.stack.ses.fail_next(MailFault::Throttle, 2, Some("admin@example.edu"));
    office.ask("admin@example.edu").await;
    office.stack.pump.drained().await.unwrap();
    office.stack.clock.advance(SignedDuration::from_mins(2)).unwrap();
    office.invite("ada@example.edu").await;
    let drained = office.stack.invoke.invoke(FunctionName::Mail, json!({"task": "drain"})).await.unwrap();
    assert_eq!(drained["sent"], 0, "{drained}");
    office.pass(5).await;
    let mut kinds = office.kinds_unread();
    kinds.sort();
    assert_eq!(kinds, ["link", "roster"]);
    office.finish().await;
}
