//! SES events about a mail, in any order and repeated, and what follows for the row, the address
//! and the counts.

use bursar_core::domain::mail::kind::MailKind;
use bursar_core::store::UnreachableReason;
use bursar_local::invoke::{FunctionName, InvokeError};
use bursar_tests::campus::{Campus, Got, address};
use bursar_tests::faults::Matcher;
use bursar_tests::seeds::sized;
use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::{became, kinds};

/// The SES event of this name about a mail, as SES identifies it.
fn event(what: &str, mail: &Value, to: &str) -> Value {
    let bounce = |kind: &str, sub: &str| json!({"bounceType": kind, "bounceSubType": sub, "bouncedRecipients": [{"emailAddress": to}]});
    let (kind, told) = match what {
        "delivered" => ("Delivery", json!({})),
        "away" => ("Bounce", bounce("Transient", "General")),
        "full" => ("Bounce", bounce("Transient", "MailboxFull")),
        "gone" => ("Bounce", bounce("Permanent", "General")),
        "suppressed" => ("Bounce", bounce("Permanent", "OnAccountSuppressionList")),
        "unwanted" => (
            "Complaint",
            json!({"complainedRecipients": [{"emailAddress": to}]}),
        ),
        "delayed" => (
            "DeliveryDelay",
            json!({"delayType": "TransientCommunicationFailure"}),
        ),
        // Event types that are not subscribed, or events without their details.
        "opened" => ("Open", json!({})),
        "rejected" => ("Reject", json!({"reason": "Bad content"})),
        "hollow" => ("Bounce", Value::Null),
        other => panic!("{other}"),
    };
    notification(&json!({"eventType": kind, "mail": mail, kind.to_lowercase(): told}))
}

fn notification(message: &Value) -> Value {
    json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": message.to_string()}}]})
}

/// Lets SES say this of a mail.
pub(crate) async fn say(campus: &Campus, what: &str, mail: &Got) -> Result<Value, InvokeError> {
    let row = &mail.contents.headers["X-Bursar-Row"];
    let named = json!({"messageId": mail.id, "headers": [{"name": "x-bursar-row", "value": row}]});
    campus
        .run(FunctionName::Mail, event(what, &named, &mail.to))
        .await
}

async fn mark(campus: &Campus, name: &str) -> Option<UnreachableReason> {
    let mark = campus
        .table
        .undeliverable(address(name).matched(), campus.clock.now())
        .await
        .unwrap();
    mark.map(|mark| mark.why)
}

/// People who have had their roster mail, and these mails.
async fn class(names: &[&str]) -> (Campus, Vec<Got>) {
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    campus.students(names).await;
    campus.settle().await;
    let mails = campus.mails("roster");
    assert_eq!(mails.len(), names.len());
    (campus, mails)
}

#[tokio::test]
async fn a_complaint_ends_all_mail_but_links() {
    let (campus, mails) = class(&["ada"]).await;
    say(&campus, "unwanted", &mails[0]).await.unwrap();
    assert_eq!(
        mark(&campus, "ada").await,
        Some(UnreachableReason::Complained)
    );
    campus.resend("ada").await;
    campus.ask("ada").await;
    campus.settle().await;
    assert_eq!(kinds(&campus), ["link"]);
    campus.finish().await;
}

#[tokio::test]
async fn a_suppressed_address_is_tried_again_in_two_weeks() {
    let (campus, mails) = class(&["ada"]).await;
    say(&campus, "suppressed", &mails[0]).await.unwrap();
    let counts = campus
        .table
        .roster_mails(&campus.programme)
        .await
        .unwrap()
        .counts;
    assert_eq!((counts.returned, counts.bounced), (1, 0), "SES did not try");
    let unreachable = campus.table.unreachable(campus.clock.now()).await.unwrap();
    assert_eq!(
        unreachable.values().collect::<Vec<_>>(),
        [&UnreachableReason::Suppressed]
    );
    campus
        .clock
        .stop_at(campus.clock.now() + SignedDuration::from_hours(14 * 24))
        .unwrap();
    assert_eq!(mark(&campus, "ada").await, None);
    assert!(
        campus
            .table
            .unreachable(campus.clock.now())
            .await
            .unwrap()
            .is_empty()
    );
    campus.ask("ada").await;
    campus.delivered().await;
    assert_eq!(kinds(&campus), ["link"]);
    campus.finish().await;
}

#[tokio::test]
async fn events_find_their_mail() {
    let (campus, mails) = class(&["ada", "bob", "cid"]).await;
    let [ada, bob, cid] = &mails[..] else {
        unreachable!()
    };
    let told = async |event: Value| {
        assert_eq!(campus.run(FunctionName::Mail, event).await, Ok(Value::Null));
    };
    told(event("gone", &json!({"messageId": ada.id}), &ada.to)).await;
    assert_eq!(
        mark(&campus, "ada").await,
        Some(UnreachableReason::Bounced),
        "it is known without its headers"
    );
    // Mail ends to whom it was sent, and not to whom that forwards it.
    let sent = json!({"messageId": bob.id, "destination": [bob.to]});
    told(event("gone", &sent, "forwarded@elsewhere.example")).await;
    assert_eq!(mark(&campus, "bob").await, Some(UnreachableReason::Bounced));
    assert_eq!(mark(&campus, "forwarded@elsewhere.example").await, None);

    let unknown = json!({"messageId": "1", "headers": [{"name": "X-Bursar-Row", "value": "01KDVDKFG00000000000000000"}]});
    for message in [json!({}), json!("hello")] {
        told(notification(&message)).await;
    }
    told(event(
        "gone",
        &json!({"messageId": "1", "headers": []}),
        &cid.to,
    ))
    .await;
    told(event("delivered", &unknown, &cid.to)).await;
    assert_eq!(
        (
            mark(&campus, "cid").await,
            became(&campus, "cid", MailKind::Roster).await
        ),
        (None, "Sent".to_owned())
    );
    // A row of ours that has expired still ends mail to the address, by the worst that is said.
    for (what, why) in [
        ("gone", UnreachableReason::Bounced),
        ("gone", UnreachableReason::Bounced),
        ("unwanted", UnreachableReason::Complained),
    ] {
        told(event(what, &unknown, &cid.to)).await;
        assert_eq!(mark(&campus, "cid").await, Some(why));
    }
    campus.finish().await;
}

/// The outcomes, mildest first: the final state of the row, and the mark of its address.
const ENDS: [(&str, &str, Option<UnreachableReason>); 6] = [
    ("away", "Bounced", None),
    ("delivered", "Delivered", None),
    ("full", "Bounced", None),
    ("suppressed", "Bounced", Some(UnreachableReason::Suppressed)),
    ("gone", "Bounced", Some(UnreachableReason::Bounced)),
    (
        "unwanted",
        "Complained",
        Some(UnreachableReason::Complained),
    ),
];

/// The outcome of all events together, which is the worst.
fn expected(events: &[&str]) -> (&'static str, Option<UnreachableReason>) {
    let worst = ENDS.iter().rfind(|(name, ..)| events.contains(name));
    worst.map_or(("Sent", None), |(_, state, mark)| (state, *mark))
}

/// Events of all kinds, some of them twice, in any order, before the product's own record of the
/// sending or after it.
#[tokio::test]
async fn the_worst_event_stays_in_any_order() {
    let all = vec![
        "delivered",
        "away",
        "full",
        "gone",
        "suppressed",
        "unwanted",
        "delayed",
        "opened",
        "rejected",
        "hollow",
    ];
    let histories =
        (prop::sample::subsequence(all, 1..6), any::<bool>()).prop_flat_map(|(events, twice)| {
            let all = if twice {
                [events.clone(), events].concat()
            } else {
                events
            };
            (Just(all).prop_shuffle(), any::<bool>())
        });
    let mut runner = TestRunner::deterministic();
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    for number in 0..sized(10, 40) {
        let (events, is_early) = histories.new_tree(&mut runner).unwrap().current();
        let name = format!("s{number}");
        // The first takes the mail, the second records that it is sent.
        let record = Matcher::call("dynamodb:TransactWriteItems")
            .of(FunctionName::Mail)
            .nth(2);
        let held = is_early.then(|| campus.gate.hold(record));
        campus.students(&[&name]).await;
        let told = async {
            if let Some(held) = &held {
                held.arrived().await;
            }
            let sent = campus.mails("roster").remove(0);
            for what in &events {
                say(&campus, what, &sent).await.unwrap();
            }
            drop(held);
        };
        if is_early {
            tokio::join!(campus.drain(), told);
        } else {
            campus.drain().await;
            told.await;
        }
        let end = (
            became(&campus, &name, MailKind::Roster).await,
            mark(&campus, &name).await,
        );
        let (state, why) = expected(&events);
        assert_eq!(
            end,
            (state.to_owned(), why),
            "{events:?}, early: {is_early}"
        );
    }
    for code in ["DeliveryDelay", "Reject"] {
        assert!(campus.has_logged(&format!("\"code\":\"{code}\"")));
    }
    campus.finish().await;
}
