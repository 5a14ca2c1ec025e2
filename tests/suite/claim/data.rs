//! The stored data about a person, as that person can read it.

use bursar_core::domain::grant::Grant;
use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn stored_data_is_there_to_read() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    let grant = campus.id("ada").clone();
    // Whose mails are not hers.
    campus.students(&["bob"]).await;
    campus.settle().await;
    campus.minutes(1);
    campus.reveal(&ada).await;
    campus.settle().await;
    campus.minutes(1);
    campus.spend("ada", "16.40");
    campus.sync().await;
    campus.settle().await;
    campus.minutes(1);
    campus.press(&ada, "refresh").await.expect(303);
    campus.press(&ada, "leaked").await.expect(303);
    campus.minutes(1);
    campus.table.resend_roster_mail(campus.on("ada")).await.unwrap();
    campus.settle().await;
    let page = ada.get("/my/data").await.expect(200);
    assert_eq!(page.header("content-type"), Some("application/json"));
    let key =
        campus.table.get(Grant::key_of(&campus.programme, &grant)).await.unwrap().unwrap().attempts[0].key.clone();
    let text = page.body.replace(grant.as_str(), "<grant>").replace(&key.unwrap().to_string(), "<hash>");
    let (facts, _) = text.split_once("\n      \"history\"").unwrap();
    insta::assert_snapshot!(facts, @r#"
    {
      "address": "ada@example.edu",
      "sessions": [
        {
          "is_this": true,
          "begun_at": "2026-11-10T09:30:00Z",
          "ends_at": "2026-11-10T10:00:00Z"
        }
      ],
      "links_asked_for": [],
      "links_good_until": [],
      "wrong_codes": 0,
      "link_mails_of_the_last_hour": [],
      "mail_comes_back_since": null,
      "mail_comes_back_because": null,
      "wants_digests": true,
      "wants_reminders": true,
      "roles": [],
      "grants": [
        {
          "programme": "cs-pilot",
          "programme_name": "CS pilot",
          "grant": "<grant>",
          "address": "ada@example.edu",
          "name": null,
          "id": null,
          "group": null,
          "cap_usd": "20.000000",
          "own_cap_usd": null,
          "state": "stopped",
          "stopped_because": "leaked",
          "holds": [],
          "has_a_reservation_in_the_budget": true,
          "replacements_counted": 0,
          "replacements_allowed_besides": 0,
          "asked_for_more": null,
          "attempts": [
            {
              "attempt": 1,
              "state": "shown",
              "begun_at": "2026-11-10T09:31:00Z",
              "shown_at": "2026-11-10T09:31:00Z",
              "key_hash": "<hash>",
              "limit_usd": "20.000000",
              "disable_owed_since": null,
              "disabled_at": "2026-11-10T09:33:00Z"
            }
          ],
          "readings": [
            {
              "attempt": 1,
              "used_usd": "16.400000",
              "window": "term",
              "used_in_window_usd": "16.400000",
              "own_provider_keys_usd": "0.000000",
              "used_by_day": [
                {
                  "day": "2026-11-10",
                  "usd": "16.400000",
                  "exact": true
                }
              ],
              "last_used_at": "2026-11-10T09:32:00Z",
              "as_of": "2026-11-10T09:33:00Z"
            }
          ],
          "thresholds_passed": [
            {
              "per_cent": 80,
              "of_cap_usd": "20.000000",
              "window": "term",
              "used_in_window_usd": "16.400000",
              "found_at": "2026-11-10T09:32:00Z",
              "is_mailed": true
            }
          ],
    "#);
    // What was done and what was mailed, oldest first.
    let data: Value = serde_json::from_str(&text).unwrap();
    let told = &data["grants"][0];
    let each = |list: &str, what: &str| {
        let of = |one: &Value| one[what].as_str().unwrap().to_owned();
        told[list].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(each("history", "what"), ["asked for a key", "was shown a key", "the key was ended"]);
    let (at, by, what) = ("2026-11-10T09:33:00Z", "you", "the key was ended");
    let ended = json!({"at": at, "by": by, "what": what, "from": "live", "to": "stopped", "note": "leaked"});
    assert_eq!(told["history"][2], ended);
    let [roster, shown, used, leaked] = [
        "you are on the roster",
        "a key of yours was shown",
        "how much of your cap you have used",
        "a key of yours was reported leaked",
    ];
    assert_eq!(each("mails", "mail"), [roster, shown, used, leaked, roster]);
    let at = "2026-11-10T09:30:00Z";
    let mail = json!({"mail": roster, "written_at": at, "outcome": "sent", "outcome_at": at, "why": null});
    assert_eq!(told["mails"][0], mail);
    assert_eq!(told["done_by_hand_at"], json!(["2026-11-10T09:33:00Z", "2026-11-10T09:34:00Z"]));
    assert!(data["notes"].as_array().is_some_and(|notes| notes.len() > 5));
    campus.finish().await;
}
