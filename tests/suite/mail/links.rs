//! Asks for a link: who gets one, to which address it goes, and how many there are.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::clock::Moment;
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::sign_in::Asker;
use bursar_core::domain::values::token::BrowserToken;
use bursar_core::store::items::Item;
use bursar_core::store::{Enrolment, OutboxRow, QueuedMail, RateCount};
use bursar_local::invoke::FunctionName;
use bursar_local::ses::Quota;
use bursar_tests::campus::{ADMIN, Campus, address, name_people};
use bursar_tests::stack::Setup;
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::json;
use ulid::Ulid;

use super::{kinds, later, states, told_of};

const FRIDA: &str = "Frida.Faculty@example.edu";

/// A programme with one faculty and these students, who have had their roster mail.
async fn class(admins: &[&str], students: &[&str]) -> Campus {
    let mut campus = Campus::of(Setup {
        admins,
        ..Setup::default()
    })
    .await;
    campus
        .programme("CS pilot", |settings| {
            settings.people.faculty = vec![address(FRIDA)];
        })
        .await;
    campus.students(students).await;
    campus.settle().await;
    campus.all_mails();
    campus
}

/// The recipients of the links that these people's asks lead to.
async fn links(campus: &Campus, names: &[&str]) -> Vec<String> {
    for name in names {
        campus.ask(name).await;
        campus.settle().await;
    }
    campus
        .mails("link")
        .into_iter()
        .map(|mail| mail.to)
        .collect()
}

#[tokio::test]
async fn links_go_to_the_spelling_on_record() {
    let campus = class(&[ADMIN], &["Ada.Lovelace@Example.edu"]).await;
    let asked = [
        "ADA.lovelace@example.EDU",
        "stranger@example.edu",
        "ADMIN@example.edu",
        "frida.faculty@example.edu",
    ];
    assert_eq!(
        links(&campus, &asked).await,
        ["Ada.Lovelace@example.edu", FRIDA, ADMIN]
    );
    assert_eq!(
        states(&campus, MailKind::Link).await,
        ["Sent"; 3],
        "of what a stranger asked for nothing is owed"
    );
    campus.finish().await;
}

#[tokio::test]
async fn links_have_half_of_the_quota() {
    let admins = [ADMIN, "deputy@example.edu", "third@example.edu"];
    let students = name_people(0..13);
    let campus = class(&admins, &students).await;
    campus.ses.set_quota(Quota {
        per_day: 30,
        per_second: 14,
    });
    // The drain reads the quota of the mail server once an hour.
    campus.minutes(61);
    campus.drain().await;
    assert_eq!(
        links(&campus, &students).await.len(),
        12,
        "four tenths of thirty"
    );
    let staff = [FRIDA, admins[0], admins[1], admins[2]];
    assert_eq!(
        links(&campus, &staff).await.len(),
        4,
        "half of thirty in all, and an admin's first of the hour"
    );
    later(&campus, 2).await;
    assert_eq!(links(&campus, &staff).await.len(), 0);
    let used_up = campus
        .logs
        .all()
        .into_iter()
        .filter(|line| line.text.contains("\"links_used_up\":true"));
    assert_eq!(used_up.count(), 1 + 4);
    campus.finish().await;

    // Of the last tenth of a day students get none.
    let campus = class(&admins, &students[..9]).await;
    campus.ses.set_quota(Quota {
        per_day: 10,
        per_second: 14,
    });
    campus.minutes(61);
    campus.drain().await;
    assert_eq!(links(&campus, &[students[0], FRIDA]).await, [FRIDA]);
    campus.finish().await;
}

#[tokio::test]
async fn who_bounced_gets_no_link_but_admins_one_an_hour() {
    let campus = class(&[ADMIN], &["ada"]).await;
    let marked = [ADMIN, "ada", FRIDA];
    for name in marked {
        campus.unreachable(name).await;
    }
    let mut sent = Vec::new();
    for _ in 0..5 {
        sent.push(links(&campus, &marked).await.join(" "));
        later(&campus, 20).await;
    }
    assert_eq!(sent, [ADMIN, "", "", ADMIN, ""]);
    campus.finish().await;
}

#[tokio::test]
async fn late_repeated_and_countless_asks_end() {
    let campus = class(&[ADMIN], &[]).await;
    let (now, browser) = (campus.clock.now(), BrowserToken::generate().hash());
    let mail = QueuedMail::Link {
        address: address(ADMIN).matched().clone(),
        asker: Asker {
            browser,
            sign_on: None,
        },
    };
    let asked = async |number, at: Moment| {
        let row = OutboxRow {
            row: Ulid::from_parts(number, 1),
            ..OutboxRow::queued(mail.clone(), at)
        };
        campus.raw().keep(&row).await;
        row
    };
    asked(1, now - SignedDuration::from_hours(1)).await;
    campus.settle().await;
    assert_eq!(
        (states(&campus, MailKind::Link).await, kinds(&campus)),
        (vec!["Dropped".to_owned()], Vec::new())
    );

    let record = told_of(&asked(2, now).await);
    let other = json!({"eventSource": "aws:dynamodb", "eventName": "REMOVE", "dynamodb": {"SequenceNumber": "2"}});
    let batch = json!({"Records": [record, record, other]});
    let thrice = join_all([0; 3].map(|_| campus.run(FunctionName::Mail, batch.clone()))).await;
    assert!(
        thrice
            .iter()
            .all(|answer| *answer == Ok(json!({"batchItemFailures": []}))),
        "{thrice:?}"
    );
    campus.settle().await;
    assert_eq!(kinds(&campus), ["link"]);

    campus
        .raw()
        .keep(&RateCount {
            count: 2_000,
            ..RateCount::new_for_links(campus.clock.now())
        })
        .await;
    assert!(
        links(&campus, &[FRIDA]).await.is_empty(),
        "beyond the deployment's ceiling it waits for a minute"
    );
    later(&campus, 1).await;
    assert_eq!(kinds(&campus), ["link"]);
    campus.finish().await;
}

#[tokio::test]
async fn unreadable_address_stops_no_other() {
    let campus = class(&[ADMIN], &["ada"]).await;
    let key = Enrolment::key_of(address("eve").matched(), &campus.programme).item_key;
    let item = [
        ("pk", key.pk),
        ("sk", key.sk),
        ("kind", "enrolment".to_owned()),
    ];
    let item: Item = item
        .into_iter()
        .map(|(name, text)| (name.to_owned(), AttributeValue::S(text)))
        .collect();
    campus.raw().put(item).await;
    campus.ask("eve").await;
    campus.ask("ada").await;
    campus.delivered().await;
    assert_eq!(campus.mails("link")[0].to, "ada@example.edu");
    assert!(campus.pump.dead_letters().all().unwrap().is_empty());
    campus.finish_unjudged().await;
}
