//! What SES reports of a mail, in any order and more than once, and what it ends.

use bursar_core::store::items::Why;
use bursar_local::invoke::FunctionName;
use serde_json::{Value, json};

use super::{PostOffice, address};

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
async fn a_permanent_bounce_and_a_complaint_end_mail_to_the_address() {
    for (kind, why) in [("bounce", Why::Bounced), ("complaint", Why::Complained)] {
        let (mut office, mail) = sent().await;
        office.event(&mail, kind, true).await;
        office.event(&mail, kind, true).await;
        let mark = office.table.undeliverable(address("ada@example.edu").matched()).await.unwrap().unwrap();
        assert_eq!(mark.why, why);
        office.pass(2).await;
        office.ask("ada@example.edu").await;
        office.settle().await;
        assert_eq!(office.states()[1], "dropped");
        office.finish().await;
    }
}

#[tokio::test]
async fn a_full_mailbox_ends_nothing() {
    let (mut office, mail) = sent().await;
    office.event(&mail, "bounce", false).await;
    assert_eq!(office.table.undeliverable(address("ada@example.edu").matched()).await.unwrap(), None);
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
        json!({"eventType": "Bounce", "mail": {"messageId": mail, "headers": []}, "bounce": bounced}),
        json!({"eventType": "Open", "mail": {"messageId": mail, "headers": ours}}),
        json!({"eventType": "Delivery", "mail": {"messageId": "1", "headers": ours}}),
    ] {
        assert_eq!(office.stack.invoke.invoke(FunctionName::Mail, of(message)).await, Ok(Value::Null));
    }
    office.watch.check().await;
    assert_eq!(office.states(), ["sent"]);
    assert_eq!(office.table.undeliverable(address("ada@example.edu").matched()).await.unwrap(), None);
    office.stop().await;
}
