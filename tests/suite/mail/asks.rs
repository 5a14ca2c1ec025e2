//! Asks for a link: who gets one, where it goes, and how many.

use bursar_core::domain::token::{AskToken, LinkToken};
use bursar_core::store::items::{OutboxRow, OwedMail, Sendings};
use bursar_local::invoke::FunctionName;
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
    assert_eq!(states, ["dropped", "sent"]);
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
async fn an_address_gets_one_link_a_minute_and_five_an_hour() {
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
    assert_eq!(sent, [1, 1, 1, 1, 1, 0, 0]);
    office.pass(50).await;
    office.ask("admin@example.edu").await;
    office.settle().await;
    office.the_mail();
    office.finish().await;
}

#[tokio::test]
async fn what_was_asked_an_hour_ago_is_not_sent_any_more() {
    let mut office = PostOffice::open().await;
    let (now, by) = (office.stack.clock.now(), AskToken::generate().hash());
    let mail = OwedMail::Link { address: address("admin@example.edu").matched().clone(), asked_by: by };
    let an_hour_ago = now - SignedDuration::from_hours(1);
    let row = OutboxRow::owed(Ulid::from_parts(1, 1), mail, an_hour_ago);
    office.raw.keep(&row).await.unwrap();
    office.settle().await;
    assert_eq!(office.states(), ["dropped"]);
    office.finish().await;
}

#[tokio::test]
async fn a_batch_that_comes_often_and_at_once_sends_each_mail_once() {
    let mut office = PostOffice::open().await;
    let (now, by) = (office.stack.clock.now(), AskToken::generate().hash());
    let mail = OwedMail::Link { address: address("admin@example.edu").matched().clone(), asked_by: by };
    let row = OutboxRow::owed(Ulid::from_parts(1, 1), mail, now);
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
    let minute = office.stack.clock.now().as_second().div_euclid(60);
    office.raw.keep(&Sendings { minute, count: 2_000 }).await.unwrap();
    office.ask("admin@example.edu").await;
    office.settle().await;
    assert_eq!(office.states(), ["waiting"]);
    office.pass(1).await;
    office.the_mail();
    assert_eq!(office.states(), ["sent"]);
    office.finish().await;
}
