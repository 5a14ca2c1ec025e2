//! Mail that the server does not take: it is tried again, with growing pauses, and at last it is a
//! dead letter.

use bursar_core::domain::mail::kind::MailKind;
use bursar_local::invoke::FunctionName;
use bursar_local::ses::Fault as MailFault;
use bursar_tests::campus::{ADMIN, Campus};
use bursar_tests::faults::{Fault, Matcher};
use serde_json::json;

use super::{kinds, later, state, states, told_of};

#[tokio::test]
async fn mail_that_is_not_taken_is_tried_again() {
    for fault in [MailFault::Throttle, MailFault::Fail] {
        let campus = Campus::open().await;
        campus.ses.fail_next(fault, 2, None);
        campus.ask(ADMIN).await;
        for (minutes, state) in [(0, "Waiting"), (2, "Waiting"), (7, "Sent")] {
            later(&campus, minutes).await;
            assert_eq!(states(&campus, MailKind::Link).await, [state], "{fault:?}");
        }
        assert_eq!(kinds(&campus), ["link"]);
        campus.finish().await;
    }
}

#[tokio::test]
async fn mail_under_way_is_not_sent_by_another() {
    let mut campus = Campus::open().await;
    campus.pump.stop().await;
    campus.programme("CS pilot", |_| {}).await;
    campus.students(&["ada"]).await;
    campus.minutes(1);
    let held = campus
        .gate
        .hold(Matcher::call("ses:SendRawEmail").of(FunctionName::Mail));
    let drain = || campus.run(FunctionName::Mail, json!({"task": "drain"}));
    let (first, ()) = tokio::join!(drain(), async {
        held.arrived().await;
        drain().await.unwrap();
        // Nor by the batch of the stream that told of it, which may come at any time.
        let told: Vec<_> = campus.judged().await.outbox.iter().map(told_of).collect();
        campus
            .run(FunctionName::Mail, json!({"Records": told}))
            .await
            .unwrap();
        assert_eq!(held.parked().len(), 1);
        held.release(None);
    });
    first.unwrap();
    assert_eq!(kinds(&campus), ["roster"]);
    campus.finish().await;
}

#[tokio::test]
async fn refused_mail_is_a_dead_letter() {
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    campus.students(&["ada"]).await;
    campus.settle().await;
    campus.all_mails();
    campus
        .ses
        .fail_next(MailFault::Reject, 1, Some("ada@example.edu"));
    campus.ask("ada").await;
    campus.ask(ADMIN).await;
    campus.settle().await;
    assert_eq!(kinds(&campus), ["account", "link"], "the next one goes");
    assert!(campus.has_logged("given up") && campus.has_logged("MessageRejected"));
    let seen = campus.judged().await;
    let failed: Vec<_> = seen
        .outbox
        .iter()
        .filter(|row| state(row) == "Failed")
        .map(told_of)
        .collect();
    assert_eq!(failed.len(), 1);
    let again = campus
        .run(FunctionName::Mail, json!({"Records": failed}))
        .await;
    assert_eq!(again, Ok(json!({"batchItemFailures": []})));
    later(&campus, 60).await;
    assert_eq!(
        kinds(&campus),
        Vec::<String>::new(),
        "what was given up is not sent"
    );
    campus.finish_faulted().await;
}

#[tokio::test]
async fn a_batch_comes_again_when_the_table_fails() {
    // The write of the lease and the query for the address's programmes, in all attempts of the
    // SDK.
    for (call, times) in [("dynamodb:PutItem", 4), ("dynamodb:Query", 8)] {
        let campus = Campus::open().await;
        campus.gate.at(
            Matcher::call(call).of(FunctionName::Mail).next(times),
            Fault::Throttle,
        );
        campus.ask(ADMIN).await;
        campus.settle().await;
        assert_eq!(
            (kinds(&campus), states(&campus, MailKind::Link).await),
            (vec!["link".to_owned()], vec!["Sent".to_owned()])
        );
        assert!(campus.pump.dead_letters().all().unwrap().is_empty());
        campus.finish_faulted().await;
    }
}
