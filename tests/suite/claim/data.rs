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
    campus.resend("ada").await;
    campus.settle().await;
    let page = ada.get("/my/data").await.expect(200);
    assert_eq!(page.header("content-type"), Some("application/json"));
    assert_eq!(
        page.header("content-disposition"),
        Some("attachment; filename=\"bursar-my-data.json\"")
    );
    let key = campus
        .table
        .get(Grant::key_of(&campus.programme, &grant))
        .await
        .unwrap()
        .unwrap()
        .keys[0]
        .clone();
    let text = page
        .body
        .replace(grant.as_str(), "<grant>")
        .replace(key.hash.as_str(), "<hash>");
    let text = text.replace(key.label.unwrap().as_str(), "<label>");
    let data: Value = serde_json::from_str(&text).unwrap();
    let mut facts = data.clone();
    for list in ["history", "mails"] {
        facts["grants"][0][list].take();
    }
    facts["notes"].take();
    insta::assert_snapshot!(serde_json::to_string_pretty(&facts).unwrap(), @r#"
    {
      "address": "ada@example.edu",
      "address_of_staff": null,
      "grants": [
        {
          "address": "ada@example.edu",
          "asked_for_more": null,
          "cap_usd": "20.000000",
          "done_by_hand_at": [
            "2026-11-10T09:33:00Z",
            "2026-11-10T09:34:00Z"
          ],
          "former_addresses": [],
          "grant": "<grant>",
          "group": null,
          "has_a_reservation_in_the_budget": true,
          "history": null,
          "holds": [],
          "id": null,
          "keys": [
            {
              "expires_at": "2027-02-23T00:00:00Z",
              "hash": "<hash>",
              "key": 1,
              "label": "<label>",
              "limit_usd": "20.000000",
              "made_at": "2026-11-10T09:31:00Z",
              "may_be_on": false,
              "off_since": "2026-11-10T09:33:00Z",
              "shown_at": "2026-11-10T09:31:00Z"
            }
          ],
          "mails": null,
          "name": null,
          "own_cap_usd": null,
          "programme": "cs-pilot",
          "programme_name": "CS pilot",
          "readings": [
            {
              "as_of": "2026-11-10T09:33:00Z",
              "key": 1,
              "last_used_at": "2026-11-10T09:32:00Z",
              "own_provider_keys_usd": "0.000000",
              "used_by_day": [
                {
                  "day": "2026-11-10",
                  "exact": true,
                  "usd": "16.400000"
                }
              ],
              "used_usd": "16.400000"
            }
          ],
          "replacements_allowed_besides": 0,
          "replacements_counted": 0,
          "stage": "used",
          "state": "stopped",
          "stopped_because": "leaked",
          "thresholds_passed": [
            {
              "found_at": "2026-11-10T09:32:00Z",
              "is_mailed": true,
              "of_cap_usd": "20.000000",
              "per_cent": 80,
              "used_in_window_usd": "16.400000",
              "window": "term"
            }
          ]
        }
      ],
      "kept_from_erasure": null,
      "link_mails_of_the_last_hour": [],
      "links_asked_for": [],
      "links_good_until": [],
      "mail_comes_back_because": null,
      "mail_comes_back_since": null,
      "notes": null,
      "person": null,
      "roles": [],
      "sessions": [
        {
          "begun_at": "2026-11-10T09:30:00Z",
          "by": "link",
          "ends_at": "2026-11-10T10:00:00Z",
          "is_this": true
        }
      ],
      "sign_ins_and_files": [],
      "sign_on": null,
      "wants_digests": true,
      "wants_reminders": true,
      "wrong_codes": 0
    }
    "#);
    // What was done and what was mailed, oldest first.
    let told = &data["grants"][0];
    let each = |list: &str, what: &str| {
        let of = |one: &Value| one[what].as_str().unwrap().to_owned();
        told[list]
            .as_array()
            .unwrap()
            .iter()
            .map(of)
            .collect::<Vec<_>>()
    };
    let (at, by, what) = ("2026-11-10T09:33:00Z", "you", "the key was stopped");
    assert_eq!(
        each("history", "what"),
        [
            "asked for a key",
            "was shown a key",
            what,
            "the invitation was sent again"
        ]
    );
    let ended = json!({"at": at, "by": by, "what": what, "from": "live", "to": "stopped", "note": "leaked"});
    assert_eq!(told["history"][2], ended);
    let [roster, shown, used, leaked] = [
        "invitation",
        "notice of a new key",
        "notice of a used cap",
        "notice of a leaked key",
    ];
    assert_eq!(each("mails", "mail"), [roster, shown, used, leaked, roster]);
    let at = "2026-11-10T09:30:00Z";
    let mail =
        json!({"mail": roster, "written_at": at, "outcome": "sent", "outcome_at": at, "why": null});
    assert_eq!(told["mails"][0], mail);
    assert_eq!(
        told["done_by_hand_at"],
        json!(["2026-11-10T09:33:00Z", "2026-11-10T09:34:00Z"])
    );
    assert!(
        data["notes"]
            .as_array()
            .is_some_and(|notes| notes.len() > 5)
    );
    campus.finish().await;
}
