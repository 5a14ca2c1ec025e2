//! SES events about a mail, in any order and repeated, and what follows for the row, the address and the counts.

use bursar_core::domain::mail::day::{MailCounts, MailDay};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{BulkStop, MailState, Resend, Undeliverable, UnreachableReason};
use bursar_local::invoke::{FunctionName, InvokeError};
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::seeds::{LONG, sized};
use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::{PostOffice, address, word};

async fn sent() -> (PostOffice, String) {
    let mut office = PostOffice::open().await;
    office.enrol("Ada@example.edu").await;
    office.ask("ada@example.edu").await;
    office.settle().await;
    let mail = office.the_mail();
    (office, mail.id)
}

#[tokio::test]
async fn the_worst_that_is_reported_stays_whatever_the_order() {
    let (bounce, complaint) = (("bounce", true), ("complaint", true));
    let delivery = ("delivery", true);
    for (events, state) in [
        (vec![delivery, delivery], "delivered"),
        (vec![bounce, delivery], "bounced"),
        (vec![delivery, bounce], "bounced"),
        (vec![delivery, complaint], "complained"),
        (vec![complaint, delivery, bounce], "complained"),
        (vec![delivery, ("bounce", false)], "bounced"),
    ] {
        let (mut office, mail) = sent().await;
        for (kind, permanent) in &events {
            office.event(&mail, kind, *permanent).await;
        }
        assert_eq!(office.states(), [state], "{events:?}");
        office.finish().await;
    }
}

#[tokio::test]
async fn a_permanent_bounce_ends_mail_to_the_address() {
    let (mut office, mail) = sent().await;
    for _ in 0..2 {
        office.event(&mail, "bounce", true).await;
    }
    assert_eq!(office.mark_of("ada@example.edu").await.unwrap().why, UnreachableReason::Bounced);
    office.pass(2).await;
    office.ask("ada@example.edu").await;
    office.settle().await;
    assert_eq!(office.states()[1], "dropped");
    office.finish().await;
}

#[tokio::test]
async fn a_complaint_ends_what_is_written_to_many_and_no_link() {
    let mut office = PostOffice::open().await;
    let ada = office.invite("ada@example.edu").await;
    office.settle().await;
    let mail = office.the_mail();
    for _ in 0..2 {
        office.event(&mail.id, "complaint", true).await;
    }
    assert_eq!(office.mark_of("ada@example.edu").await.unwrap().why, UnreachableReason::Complained);
    office.pass(2).await;
    let now = office.stack.clock.now();
    assert_eq!(
        office.table.resend_roster_mail(&office.programme, &ada, now, super::soon()).await.unwrap(),
        Resend::Done
    );
    office.ask("ada@example.edu").await;
    office.settle().await;
    assert_eq!(office.the_mail().contents.kind.as_deref(), Some("link"));
    office.finish().await;
}

#[tokio::test]
async fn what_the_mail_server_did_not_try_is_not_counted_as_come_back_for_good_and_not_believed_for_good() {
    let (mut office, mail) = sent().await;
    office.say("suppressed", &mail, "ada@example.edu").await.unwrap();
    let counts = office.table.mail_counts(utc_date(office.stack.clock.now())).await.unwrap();
    assert_eq!((counts.returned, counts.bounced), (1, 0));
    assert_eq!(office.mark_of("ada@example.edu").await.unwrap().why, UnreachableReason::Suppressed);
    let unreachable = office.table.unreachable(office.stack.clock.now()).await.unwrap();
    assert_eq!(unreachable.values().collect::<Vec<_>>(), [&UnreachableReason::Suppressed]);
    office.stack.clock.stop_at(office.stack.clock.now() + SignedDuration::from_hours(14 * 24)).unwrap();
    assert_eq!(office.mark_of("ada@example.edu").await, None);
    assert!(office.table.unreachable(office.stack.clock.now()).await.unwrap().is_empty());
    office.ask("ada@example.edu").await;
    office.settle().await;
    // Days have passed without a sync or a check, which admins are notified of as well.
    assert!(office.unread().iter().any(|mail| mail.contents.kind.as_deref() == Some("link")));
    office.finish().await;
}

#[tokio::test]
async fn mail_ends_to_whom_it_was_sent_and_not_to_whom_that_passed_it_on() {
    let (mut office, mail) = sent().await;
    let forwarded = "ada.forwards.to@elsewhere.example";
    let bounced = json!({"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": forwarded}]});
    let of = json!({"messageId": mail, "destination": ["ada@example.edu"]});
    let message = json!({"notificationType": "Bounce", "mail": of, "bounce": bounced});
    let event = json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": message.to_string()}}]});
    assert_eq!(office.stack.invoke.invoke(FunctionName::Mail, event).await, Ok(Value::Null));
    office.watch.check().await;
    assert!(office.mark_of("ada@example.edu").await.is_some());
    assert_eq!(office.mark_of(forwarded).await, None);
    office.finish().await;
}

#[tokio::test]
async fn a_full_mailbox_ends_nothing() {
    let (mut office, mail) = sent().await;
    office.event(&mail, "bounce", false).await;
    assert_eq!(office.mark_of("ada@example.edu").await, None);
    office.pass(2).await;
    office.ask("ada@example.edu").await;
    office.settle().await;
    office.the_mail();
    office.finish().await;
}

#[tokio::test]
async fn what_is_no_report_on_a_mail_of_ours_changes_nothing() {
    let (mut office, mail) = sent().await;
    let of = |message: Value| json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": message.to_string()}}]});
    let ours = json!([{"name": "X-Bursar-Row", "value": "01KDVDKFG00000000000000000"}]);
    let bounced = json!({"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": "ada@example.edu"}]});
    for message in [
        json!({}),
        json!("hello"),
        json!({"eventType": "Bounce", "mail": {"messageId": "1", "headers": []}, "bounce": bounced}),
        json!({"eventType": "Open", "mail": {"messageId": mail, "headers": ours}}),
        json!({"eventType": "Delivery", "mail": {"messageId": "1", "headers": ours}}),
    ] {
        assert_eq!(office.stack.invoke.invoke(FunctionName::Mail, of(message)).await, Ok(Value::Null));
    }
    office.watch.check().await;
    assert_eq!(office.states(), ["sent"]);
    assert_eq!(office.mark_of("ada@example.edu").await, None);
    office.finish().await;
}

#[tokio::test]
async fn a_report_that_comes_without_the_headers_of_the_mail_is_known_by_its_id() {
    let (mut office, mail) = sent().await;
    let bounced = json!({"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": "ada@example.edu"}]});
    let message = json!({"notificationType": "Bounce", "mail": {"messageId": mail}, "bounce": bounced});
    let event = json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": message.to_string()}}]});
    assert_eq!(office.stack.invoke.invoke(FunctionName::Mail, event).await, Ok(Value::Null));
    office.watch.check().await;
    assert_eq!(office.states(), ["bounced"]);
    assert!(office.mark_of("ada@example.edu").await.is_some());
    office.finish().await;
}

/// The SES event that is named `what` in these tests.
fn said(what: &str, mail: &str, row: &str, to: &str) -> Value {
    let bounced = |kind: &str, sub: &str| json!({"bounceType": kind, "bounceSubType": sub, "bouncedRecipients": [{"emailAddress": to}]});
    let mut message = json!({
        "mail": {"messageId": mail, "headers": [{"name": "x-bursar-row", "value": row}]},
    });
    let (kind, told) = match what {
        "delivered" => ("Delivery", json!({})),
        "away" => ("Bounce", bounced("Transient", "General")),
        "full" => ("Bounce", bounced("Transient", "MailboxFull")),
        "gone" => ("Bounce", bounced("Permanent", "General")),
        "suppressed" => ("Bounce", bounced("Permanent", "OnAccountSuppressionList")),
        "unwanted" => ("Complaint", json!({"complainedRecipients": [{"emailAddress": to}]})),
        // Event types that are not subscribed, or events without their details.
        "opened" => ("Open", json!({})),
        "rejected" => ("Reject", json!({"reason": "Bad content"})),
        "hollow" => ("Bounce", Value::Null),
        other => panic!("{other}"),
    };
    message["eventType"] = kind.into();
    message[kind.to_lowercase()] = told;
    json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": message.to_string()}}]})
}

/// The outcomes, mildest first: the final state of the row, and the mark of its address.
const ENDS: [(&str, &str, Option<UnreachableReason>); 6] = [
    ("away", "bounced", None),
    ("delivered", "delivered", None),
    ("full", "bounced", None),
    ("suppressed", "bounced", Some(UnreachableReason::Suppressed)),
    ("gone", "bounced", Some(UnreachableReason::Bounced)),
    ("unwanted", "complained", Some(UnreachableReason::Complained)),
];

/// The outcome of all events together, which is the worst.
fn expected(events: &[&str]) -> (&'static str, Option<UnreachableReason>) {
    let rank = |event: &str| ENDS.iter().position(|(name, ..)| *name == event);
    let worst = events.iter().filter_map(|event| rank(event)).max();
    worst.map_or(("sent", None), |worst| (ENDS[worst].1, ENDS[worst].2))
}

#[tokio::test]
async fn whatever_is_said_in_any_order_and_twice_the_end_is_the_same_for_row_address_and_count() {
    let events = prop::sample::subsequence(
        vec!["delivered", "away", "full", "gone", "suppressed", "unwanted", "opened", "rejected", "hollow"],
        1..6,
    );
    let histories = (events, any::<bool>()).prop_flat_map(|(events, twice)| {
        let all = if twice { [events.clone(), events].concat() } else { events };
        // Before the product's own record of the sending, or after it.
        (Just(all).prop_shuffle(), any::<bool>())
    });
    let mut runner = TestRunner::deterministic();
    let mut office = PostOffice::open().await;
    // A stop of a later day is on record, so that the many bounces of this day do not stop roster mail.
    let (now, later) = (office.stack.clock.now(), SignedDuration::from_hours(48));
    let of = MailDay::none_on(utc_date(now + later), MailKind::Roster);
    office.raw.keep(&BulkStop { at: now - later, of, version: 1 }).await.unwrap();
    let mails = sized(20_u64, 40);
    for number in 0..mails {
        let (events, early) = histories.new_tree(&mut runner).unwrap().current();
        let student = format!("s{number}@example.edu");
        let case = format!("{events:?}, early: {early}");
        let grant = if early {
            // The record of the sending is held until all events have been handled.
            let record = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Mail);
            let held = office.stack.gate.hold(record);
            let grant = office.invite(&student).await;
            let drain = {
                let invoke = office.stack.invoke.clone();
                tokio::spawn(async move { invoke.invoke(FunctionName::Mail, json!({"task": "drain"})).await })
            };
            held.arrived().await;
            let sent = office.the_mail();
            for event in &events {
                office.say(event, &sent.id, &student).await.unwrap();
            }
            held.release(None).unwrap();
            drain.await.unwrap().unwrap();
            grant
        } else {
            let grant = office.invite(&student).await;
            office.settle().await;
            let sent = office.the_mail();
            for event in &events {
                office.say(event, &sent.id, &student).await.unwrap();
            }
            grant
        };
        let rows = office.table.mails_of(&office.programme, &grant).await.unwrap();
        let mark = office.mark_of(&student).await.map(|mark| mark.why);
        assert_eq!((word(&rows[0].state), mark), expected(&events), "{case}");
        // The invariants compare the counts with the rows.
        office.watch.check().await;
    }
    let day = office.table.mail_counts(utc_date(office.stack.clock.now())).await.unwrap();
    assert!(
        day.sent >= mails && day.delivered > 0 && day.returned > 0 && (day.bounced > 0 || !LONG) && day.complained > 0,
        "{day:?}"
    );
    assert!(office.said("SES tells of what is not asked of it") && office.said("Reject"));
    office.unread();
    office.finish().await;
}

impl PostOffice {
    pub(super) async fn say(&self, what: &str, mail: &str, to: &str) -> Result<Value, InvokeError> {
        let raw = self.stack.ses.mail(mail).unwrap();
        let row = bursar_local::inbox::Contents::of(&raw.raw).headers["X-Bursar-Row"].clone();
        self.stack.invoke.invoke(FunctionName::Mail, said(what, mail, &row, to)).await
    }

    pub(super) async fn mark_of(&self, whom: &str) -> Option<Undeliverable> {
        self.table.undeliverable(address(whom).matched(), self.stack.clock.now()).await.unwrap()
    }

    async fn bounced_row(&self) -> (MailState, Option<Undeliverable>, MailCounts) {
        let rows = self.watch.seen().unwrap().outbox.clone();
        let link = rows.into_iter().find(|row| row.mail.kind() == MailKind::Link).unwrap();
        let (now, mark) = (self.stack.clock.now(), self.mark_of("ada@example.edu").await);
        (link.state, mark, self.table.mail_counts(utc_date(now)).await.unwrap())
    }
}

#[tokio::test]
async fn whatever_becomes_of_the_write_an_event_that_comes_again_leaves_row_address_and_count_once() {
    for verdict in [
        Fault::Before,
        Fault::LoseAnswer,
        Fault::KillBefore,
        Fault::KillAfter,
        Fault::Conflict,
        Fault::Throttle,
        Fault::LoseAnswer,
        Fault::StatusAfter(500),
    ] {
        let (mut office, mail) = sent().await;
        let write = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Mail);
        office.stack.gate.at(write, verdict);
        // SNS repeats events that failed.
        for _ in 0..3 {
            if office.say("gone", &mail, "ada@example.edu").await.is_ok() {
                break;
            }
        }
        office.say("gone", &mail, "ada@example.edu").await.unwrap();
        office.watch.check().await;
        let (state, mark, day) = office.bounced_row().await;
        assert_eq!(
            (word(&state), mark.unwrap().why, day.bounced),
            ("bounced", UnreachableReason::Bounced, 1),
            "{verdict}"
        );
        office.finish_faulted().await;
    }
}

#[tokio::test]
async fn an_event_that_comes_when_its_row_is_gone_still_ends_mail_to_the_address() {
    let (mut office, _) = sent().await;
    let (row, mail) = ("01KDVDKFG00000000000000000", "0100-of-last-year");
    for _ in 0..2 {
        let event = said("gone", mail, row, "ada@example.edu");
        assert_eq!(office.stack.invoke.invoke(FunctionName::Mail, event).await, Ok(Value::Null));
    }
    let event = said("unwanted", mail, row, "ada@example.edu");
    office.stack.invoke.invoke(FunctionName::Mail, event).await.unwrap();
    let mark = office.mark_of("ada@example.edu").await.unwrap();
    assert_eq!(mark.why, UnreachableReason::Complained);
    office.pass(2).await;
    assert_eq!(office.states(), ["sent"]);
    office.finish().await;
}
