//! Two versions at one table: while five functions are deployed one after the other, and after a
//! version was taken back. What a newer one wrote is read as far as it is known, and is left as it
//! is where it is not.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::store::items::{self, Item};
use bursar_core::store::{Meta, OutboxRow, QueuedMail, SHAPE, StoreError};
use bursar_local::invoke::FunctionName;
use bursar_tests::campus::Campus;
use bursar_tests::office::soon;
use serde_json::json;

fn newer() -> AttributeValue {
    AttributeValue::S("of-a-newer-version".to_owned())
}

/// An item with one attribute that this version cannot read or does not know.
fn with(item: &Item, attribute: &str) -> Item {
    let mut item = item.clone();
    item.insert(attribute.to_owned(), newer());
    item
}

/// An item like this one, under another sort key.
fn beside(item: &Item, sk: &str) -> Item {
    let mut item = item.clone();
    item.insert("sk".to_owned(), AttributeValue::S(sk.to_owned()));
    item
}

#[tokio::test]
async fn what_a_newer_version_wrote_is_in_nobodys_way() {
    let mut campus = Campus::with_keys(&["ada", "ben"]).await;
    campus.restrict().await;
    campus.sync().await;
    campus.settle().await;
    campus.all_mails();
    // A field more in each item.
    let (raw, now) = (campus.raw(), campus.clock.now());
    for item in raw.items().await {
        raw.put(with(&item, "of_a_newer_version")).await;
    }
    // A kind more beside grants and the account's items; and a variant more of what was done, of
    // alarms, and of mails.
    let is = |item: &Item, kind: &str| item["kind"].as_s().is_ok_and(|of| of == kind);
    let (all, day) = (raw.items().await, "2026-11-02".parse().unwrap());
    let of_kind = |kind: &str| all.iter().find(|item| is(item, kind)).unwrap();
    let alarm = items::to_item(&Alarm {
        day,
        ..Alarm::now(Cause::ManagementKey, now)
    })
    .unwrap();
    let person = campus.table.admin_ids(soon()).await.unwrap().remove(0);
    let mail = QueuedMail::Account {
        day,
        alarm: "x".to_owned(),
        recipient: person,
    };
    let mail = items::to_item(&OutboxRow::queued(mail, now)).unwrap();
    let entry = of_kind("audit");
    let of_ada = Some(AttributeValue::S(campus.id("ada").as_str().to_owned()));
    let invitation = all
        .iter()
        .find(|item| is(item, "outbox") && item.get("grant") == of_ada.as_ref())
        .unwrap();
    let entry_sk = format!(
        "{}Z",
        &entry["sk"].as_s().unwrap()[..entry["sk"].as_s().unwrap().len() - 1]
    );
    let unknown = [
        beside(&with(of_kind("grant"), "kind"), "Z#1"),
        beside(&with(of_kind("sync"), "kind"), "Z#1"),
        beside(&with(entry, "act"), &entry_sk),
        with(&alarm, "cause"),
        with(&mail, "mail"),
        // The invitation of a student, which pages list.
        with(invitation, "mail"),
    ];
    for item in &unknown {
        raw.put(item.clone()).await;
    }

    campus.students(&["cas"]).await;
    let cas = campus.student("cas").await;
    campus.reveal(&cas).await;
    campus.spend("ada", "3");
    campus.hours(2);
    assert_eq!(campus.sync().await["complete"], true);
    campus.revoke("ben").await;
    campus.look().await;
    campus.work().await;
    campus
        .run(FunctionName::UsageSync, json!({"task": "resume"}))
        .await
        .unwrap();
    campus.settle().await;
    let admin = campus.admin().await;
    for page in [
        "",
        "/grants",
        "/audit",
        "/alerts",
        &format!("/grants/{}", campus.id("ada")),
    ] {
        admin.get(&campus.console(page)).await.expect(200);
    }
    admin.get("/console/account").await.expect(200);
    let ada = campus.student("ada").await;
    assert_eq!(
        ada.get("/my")
            .await
            .expect(200)
            .one("grant")
            .get("data-spent-usd"),
        "3.000000"
    );
    ada.get("/my/data").await.expect(200);
    campus.holds_what_is_wanted().await;

    // Nothing was given up, and it all is as the newer version left it, but for when the mail is
    // looked at again.
    assert_eq!(campus.table.dead_mails(now, 10).await.unwrap().in_all, 0);
    let all = raw.items().await;
    for mut wrote in unknown {
        let key = |item: &Item| (item["pk"].clone(), item["sk"].clone());
        let mut left = all
            .iter()
            .find(|item| key(item) == key(&wrote))
            .unwrap()
            .clone();
        left.remove("due");
        wrote.remove("due");
        assert_eq!(left, wrote);
    }
    assert!(
        campus
            .all_mails()
            .iter()
            .any(|mail| mail.to.starts_with("cas@"))
    );
    campus.finish_unjudged().await;
}

/// Every function asks `find_meta` when it starts; what reads the item later is refused then.
#[tokio::test]
async fn a_table_of_another_shape_is_refused() {
    let mut campus = Campus::with_keys(&["ada"]).await;
    campus.students(&["ben"]).await;
    let ben = campus.student("ben").await;
    let meta = campus.table.find_meta().await.unwrap().unwrap();
    let mut without = items::to_item(&meta).unwrap();
    without.remove("shape");
    let older = items::to_item(&Meta {
        shape: SHAPE - 1,
        ..meta.clone()
    })
    .unwrap();
    let newer = items::to_item(&Meta {
        shape: SHAPE + 1,
        ..meta.clone()
    })
    .unwrap();
    for (item, number) in [(without, 0), (older, SHAPE - 1), (newer, SHAPE + 1)] {
        campus.raw().put(item).await;
        let refused = campus.table.find_meta().await.unwrap_err();
        assert!(
            matches!(refused, StoreError::OtherShape(shape) if shape == number),
            "{refused}"
        );
        assert!(
            campus
                .run(FunctionName::UsageSync, json!({}))
                .await
                .is_err()
        );
        campus.press(&ben, "reveal").await.expect(503);
        assert!(campus.has_logged(&format!("{refused}")));
    }
    campus.raw().keep(&meta).await;
    campus.reveal(&ben).await;
    assert_eq!(campus.sync().await["complete"], true);
    campus.finish_unjudged().await;
}
