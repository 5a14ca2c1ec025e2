//! Dead keys, which are deleted night after night.

use bursar_core::domain::grant::KeyAbsence;
use bursar_core::domain::values::money::Usd;
use bursar_local::invoke::FunctionName::Mail;
use bursar_tests::campus::Campus;
use serde_json::json;

use super::restored::as_a_copy;
use super::{complete, instant, quiet};

/// A sync just after midnight, after which its mails leave.
async fn night(campus: &Campus, day: i64) {
    campus.clock.stop_at(instant(day, 20)).unwrap();
    assert_eq!(complete(campus).await["keys_missing"], 0, "day {day}");
    campus.judged_after_sync().await;
    campus.run(Mail, json!({"task": "drain"})).await.unwrap();
}

#[tokio::test]
async fn dead_keys_are_deleted_in_their_time() {
    let campus = quiet(&["ada", "ben", "cat"]).await;
    let names = ["ada", "ben", "cat"];
    names.iter().for_each(|name| campus.spend(name, "1"));
    night(&campus, 1).await;
    campus.revoke("ada").await;
    campus.revoke("ben").await;
    // A few a night. The third key ends with its term, at the first sync after it, and is kept for
    // ninety more days. A key that the sync deleted itself does not count as missing, although no
    // key is left.
    for (day, left) in [(2, 3), (4, 3), (5, 2), (6, 1), (150, 1), (239, 1), (241, 0)] {
        night(&campus, day).await;
        assert_eq!(
            campus
                .provider()
                .keys()
                .iter()
                .filter(|key| !key.deleted)
                .count(),
            left,
            "day {day}"
        );
    }
    for name in names {
        let view = campus.view(name).await;
        assert_eq!(
            view.readings[0].lifetime(),
            Usd::from_dollars(1),
            "its reading stays"
        );
        assert_eq!(view.grant.keys[0].gone, Some(KeyAbsence::Purged));
    }
    campus.finish().await;
}

#[tokio::test]
async fn nothing_is_deleted_soon_after_a_restore() {
    let campus = quiet(&["ada"]).await;
    campus.revoke("ada").await;
    night(&campus, 1).await;
    let ada = campus.key("ada");
    as_a_copy(&campus).await;
    for (day, is_there) in [(8, true), (97, true), (99, false)] {
        campus.clock.stop_at(instant(day, 20)).unwrap();
        assert_eq!(campus.sync().await["complete"], true, "day {day}");
        let there = campus
            .provider()
            .keys()
            .iter()
            .any(|key| key.hash == ada.hash && !key.deleted);
        assert_eq!(there, is_there, "day {day}");
    }
    campus.finish().await;
}
