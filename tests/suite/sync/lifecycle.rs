//! The rules that a person set on a programme, night after night: unused keys, and dead keys.

use bursar_core::domain::grant::{HoldKind, KeyAbsence, Notice};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::QueuedMail;
use bursar_local::invoke::FunctionName::Mail;
use bursar_local::provider::Nano;
use bursar_tests::campus::Campus;
use serde_json::json;

use super::{complete, instant, quiet};

/// The notices that a sync just after midnight causes, each with whose it is. All of them are mailed at once.
async fn night(campus: &Campus, day: i64) -> Vec<(bool, Notice)> {
    campus.clock.stop_at(instant(day, 20)).unwrap();
    assert_eq!(complete(campus).await["keys_missing"], 0, "day {day}");
    let seen = campus.judged_after_sync().await;
    let told = seen.outbox.iter().filter(|row| row.written_at == campus.clock.now());
    let told = told.filter_map(|row| match &row.mail {
        QueuedMail::Notice { grant, notice, .. } => Some((grant == campus.id("ada"), *notice)),
        _ => None,
    });
    let told = told.collect();
    campus.run(Mail, json!({"task": "drain"})).await.unwrap();
    told
}

#[tokio::test]
async fn an_unused_key_is_announced_held_and_resumed() {
    let campus = quiet(&["ada", "ben"]).await;
    campus.set(|settings| settings.unused_after_days = Some(14)).await;
    campus.spend("ada", "1");
    let mut told = Vec::new();
    for day in [1, 4, 5, 7, 8, 9, 10, 14, 15, 17] {
        if day % 5 == 0 {
            // A use that costs nothing is still a use.
            let (key, now) = (campus.key("ben").hash, campus.clock.now());
            campus.provider().spend(&key, Nano::ZERO, now, "a/model:free").unwrap();
        }
        told.extend(night(&campus, day).await.into_iter().map(|(is_ada, notice)| (day, is_ada, notice)));
    }
    // A day counts to its end, and the announcement comes a whole week before the hold.
    assert_eq!(told, [(8, true, Notice::UnusedSoon), (15, true, Notice::Unused)]);
    assert!(campus.grant("ada").await.holds.has(HoldKind::Unused) && campus.grant("ben").await.holds.is_empty());
    assert_eq!(campus.enabled(), ["ben"]);
    assert_eq!(campus.reserved().await, Usd::from_dollars(21), "its unspent place is given back");
    campus.press(&campus.student("ada").await, "resume").await.expect(303);
    assert!(campus.enabled() == ["ada", "ben"] && campus.grant("ada").await.holds.is_empty());
    assert_eq!(campus.reserved().await, Usd::from_dollars(40));
    assert_eq!(night(&campus, 18).await, []);
    campus.finish().await;
}

#[tokio::test]
async fn dead_keys_are_deleted_in_their_time() {
    let campus = quiet(&["ada", "ben", "cat"]).await;
    let names = ["ada", "ben", "cat"];
    names.iter().for_each(|name| campus.spend(name, "1"));
    night(&campus, 1).await;
    campus.revoke("ada").await;
    campus.revoke("ben").await;
    // A few a night. The third key ends with its term, at the first sync after it, and is kept for ninety more days. A key that the
    // sync deleted itself does not count as missing, although no key is left.
    for (day, left) in [(2, 3), (3, 3), (4, 2), (5, 1), (60, 1), (150, 1), (182, 1), (183, 1), (241, 0), (242, 0)] {
        night(&campus, day).await;
        assert_eq!(campus.provider().keys().iter().filter(|key| !key.deleted).count(), left, "day {day}");
    }
    for name in names {
        let view = campus.view(name).await;
        assert_eq!(view.readings[0].lifetime(), Usd::from_dollars(1), "its reading stays");
        assert_eq!(view.grant.attempts[0].gone, Some(KeyAbsence::Purged));
    }
    campus.finish().await;
}

#[tokio::test]
async fn nothing_is_deleted_soon_after_a_restore() {
    let mut campus = quiet(&["ada"]).await;
    campus.revoke("ada").await;
    campus.students(&["ben"]).await;
    night(&campus, 1).await;
    // A key of this deployment without a record.
    let ada = campus.key("ada");
    campus.foreign(&ada.name.replace(campus.id("ada").as_str(), campus.id("ben").as_str()));
    for (day, is_there) in [(8, true), (9, true), (60, true), (97, true), (99, false)] {
        campus.clock.stop_at(instant(day, 20)).unwrap();
        assert_eq!(campus.sync().await["complete"], true, "day {day}");
        let there = campus.provider().keys().iter().any(|key| key.hash == ada.hash && !key.deleted);
        assert_eq!(there, is_there, "day {day}");
    }
    campus.finish().await;
}
