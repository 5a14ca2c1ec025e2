//! Asks for a link: who gets one, to which address it goes, and how many there are.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::values::token::{AskToken, LinkToken};
use bursar_core::store::items::Item;
use bursar_core::store::{OutboxRow, QueuedMail, RateCount, Undeliverable, UnreachableReason, keys};
use bursar_local::invoke::FunctionName;
use bursar_local::ses::Quota;
use bursar_tests::stack::Setup;
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::json;
use ulid::Ulid;

use super::{PostOffice, address, told_of};

#[tokio::test]
async fn somebody_on_a_roster_gets_a_link_at_the_rosters_spelling_and_a_stranger_gets_nothing() {
    let mut office = PostOffice::open().await;
    office.enrol("Ada.Lovelace@Example.edu").await;
    office.ask("ADA.lovelace@example.EDU").await;
    office.ask("stranger@example.edu").await;
    office.settle().await;
    let mail = office.the_mail();
    assert_eq!(mail.to, "Ada.Lovelace@example.edu");
    assert_eq!(mail.contents.kind.as_deref(), Some("link"));
    let text = mail.contents.text.unwrap();
    let link = text.lines().find_map(|line| line.strip_prefix(&format!("{}/c/", office.stack.ready.web))).unwrap();
    let token = LinkToken::parse(link).unwrap();
    let known = office.table.link(&token.hash()).await.unwrap().unwrap();
    assert_eq!(known.address, *address("ada.lovelace@example.edu").matched());
    let mut states = office.states();
    states.sort_unstable();
    assert_eq!(states, ["sent"], "of what a stranger asked for nothing is owed");
    office.finish().await;
}

#[tokio::test]
async fn admins_and_faculty_get_links_too() {
    let mut office = PostOffice::open().await;
    for typed in ["ADMIN@example.edu", "frida.faculty@example.edu"] {
        office.ask(typed).await;
    }
    office.settle().await;
    let to: Vec<_> = office.unread().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, ["admin@example.edu", "Frida.Faculty@example.edu"]);
    office.finish().await;
}

#[tokio::test]
async fn an_address_gets_three_links_that_nobody_follows_and_then_one_when_none_is_good_any_more() {
    let mut office = PostOffice::open().await;
    let mut sent = Vec::new();
    for _ in 0..7 {
        for _ in 0..2 {
            office.ask("admin@example.edu").await;
        }
        office.settle().await;
        sent.push(office.unread().len());
        office.pass(2).await;
    }
    assert_eq!(sent, [1, 1, 1, 0, 0, 0, 0]);
    office.pass(50).await;
    office.ask("admin@example.edu").await;
    office.settle().await;
    office.the_mail();
    office.finish().await;
}

#[tokio::test]
async fn links_have_half_of_the_days_quota_and_the_last_fifth_of_it_is_for_people_with_a_role() {
    let admins = &["admin@example.edu", "deputy@example.edu", "third@example.edu"];
    let mut office = PostOffice::of(Setup { admins, ..Setup::default() }).await;
    let students: Vec<String> = (0..13).map(|number| format!("s{number}@example.edu")).collect();
    for student in &students {
        office.enrol(student).await;
    }
    office.stack.ses.set_quota(Quota { per_day: 30, per_second: 14 });
    // The drain reads the quota of the mail server once an hour.
    office.pass(61).await;
    let links = async |office: &mut PostOffice, who: &[&str]| {
        for one in who {
            office.ask(one).await;
            office.settle().await;
        }
        office.unread().into_iter().filter(|mail| mail.contents.kind.as_deref() == Some("link")).count()
    };
    let students: Vec<&str> = students.iter().map(String::as_str).collect();
    assert_eq!(links(&mut office, &students).await, 12, "four tenths of thirty");
    let staff = ["frida.faculty@example.edu", "admin@example.edu", "deputy@example.edu", "third@example.edu"];
    assert_eq!(links(&mut office, &staff).await, 4, "half of thirty in all, and an admin's first of the hour");
    office.pass(2).await;
    assert_eq!(links(&mut office, &staff).await, 0);
    let said: Vec<String> = office.stack.logs.all().into_iter().map(|line| line.text).collect();
    assert_eq!(said.iter().filter(|text| text.contains("\"links_used_up\":true")).count(), 1 + 4, "{said:#?}");
    office.finish().await;
}

#[tokio::test]
async fn of_the_last_tenth_of_a_day_students_get_no_link() {
    let mut office = PostOffice::open().await;
    for number in 0..18 {
        office.enrol(&format!("s{number}@example.edu")).await;
    }
    office.stack.ses.set_quota(Quota { per_day: 20, per_second: 14 });
    office.pass(61).await;
    for one in ["s0@example.edu", "frida.faculty@example.edu"] {
        office.ask(one).await;
    }
    office.settle().await;
    assert_eq!(office.the_mail().to, "Frida.Faculty@example.edu");
    office.finish().await;
}

#[tokio::test]
async fn an_address_whose_items_cannot_be_read_stands_in_nobodys_way() {
    let mut office = PostOffice::open().await;
    office.enrol("ada@example.edu").await;
    let key = keys::enrolment(address("eve@example.edu").matched(), &office.programme);
    let item = [("pk", key.pk), ("sk", key.sk), ("kind", "enrolment".to_owned())];
    let item: Item = item.into_iter().map(|(name, text)| (name.to_owned(), AttributeValue::S(text))).collect();
    office.raw.put(item).await.unwrap();
    for one in ["eve@example.edu", "ada@example.edu"] {
        office.ask(one).await;
    }
    office.stack.pump.drained().await.unwrap();
    assert_eq!(office.the_mail().to, "ada@example.edu");
    assert!(office.stack.pump.dead_letters().all().unwrap().is_empty());
    office.finish_unjudged().await;
}

#[tokio::test]
async fn an_admin_whose_mail_came_back_gets_a_link_once_an_hour_and_nobody_else_does() {
    let mut office = PostOffice::open().await;
    office.enrol("ada@example.edu").await;
    let now = office.stack.clock.now();
    for marked in ["admin@example.edu", "ada@example.edu", "frida.faculty@example.edu"] {
        let mark =
            Undeliverable { address: address(marked).matched().clone(), why: UnreachableReason::Bounced, at: now };
        office.raw.keep(&mark).await.unwrap();
    }
    let mut sent = Vec::new();
    for _ in 0..5 {
        for one in ["admin@example.edu", "ada@example.edu", "frida.faculty@example.edu"] {
            office.ask(one).await;
        }
        office.settle().await;
        let links = office.unread().into_iter().filter(|mail| mail.contents.kind.as_deref() == Some("link"));
        sent.push(links.map(|mail| mail.to).collect::<Vec<_>>().join(" "));
        office.pass(20).await;
    }
    assert_eq!(sent, ["admin@example.edu", "", "", "admin@example.edu", ""]);
    office.finish().await;
}

#[tokio::test]
async fn what_was_asked_an_hour_ago_is_not_sent_any_more() {
    let mut office = PostOffice::open().await;
    let (now, by) = (office.stack.clock.now(), AskToken::generate().hash());
    let mail = QueuedMail::Link { address: address("admin@example.edu").matched().clone(), asked_by: by };
    let an_hour_ago = now - SignedDuration::from_hours(1);
    let row = OutboxRow::queued(Ulid::from_parts(1, 1), mail, an_hour_ago);
    office.raw.keep(&row).await.unwrap();
    office.settle().await;
    assert_eq!(office.states(), ["dropped"]);
    office.finish().await;
}

#[tokio::test]
async fn a_batch_that_comes_often_and_at_once_sends_each_mail_once() {
    let mut office = PostOffice::open().await;
    let (now, by) = (office.stack.clock.now(), AskToken::generate().hash());
    let mail = QueuedMail::Link { address: address("admin@example.edu").matched().clone(), asked_by: by };
    let row = OutboxRow::queued(Ulid::from_parts(1, 1), mail, now);
    let record = told_of(&row);
    let others = json!({"eventSource": "aws:dynamodb", "eventName": "REMOVE", "dynamodb": {"SequenceNumber": "2"}});
    office.raw.keep(&row).await.unwrap();
    let batch = json!({"Records": [record, record, others]});
    let thrice = join_all([0; 3].map(|_| office.stack.invoke.invoke(FunctionName::Mail, batch.clone()))).await;
    for answer in thrice {
        assert_eq!(answer, Ok(json!({"batchItemFailures": []})));
    }
    office.settle().await;
    office.the_mail();
    office.finish().await;
}

#[tokio::test]
async fn beyond_the_deployments_ceiling_asks_wait_for_the_next_minute() {
    let mut office = PostOffice::open().await;
    office.raw.keep(&RateCount { count: 2_000, ..RateCount::of_links(office.stack.clock.now()) }).await.unwrap();
    office.ask("admin@example.edu").await;
    office.settle().await;
    assert_eq!(office.states(), ["waiting"]);
    office.pass(1).await;
    office.the_mail();
    assert_eq!(office.states(), ["sent"]);
    office.finish().await;
}
