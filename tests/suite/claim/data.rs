//! The stored data about a person, as that person can read it.

use bursar_core::domain::grant::Grant;

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
    insta::assert_snapshot!(without_times(&text), @r#"
    {
      "address": "ada@example.edu",
      "sessions": [
        {
          "is_this": true,
          "begun_at": "<time>",
          "ends_at": "<time>"
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
              "begun_at": "<time>",
              "shown_at": "<time>",
              "key_hash": "<hash>",
              "limit_usd": "20.000000",
              "disable_owed_since": null,
              "disabled_at": "<time>"
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
              "last_used_at": "<time>",
              "as_of": "<time>"
            }
          ],
          "thresholds_passed": [
            {
              "per_cent": 80,
              "of_cap_usd": "20.000000",
              "window": "term",
              "used_in_window_usd": "16.400000",
              "found_at": "<time>",
              "is_mailed": true
            }
          ],
          "history": [
            {
              "at": "<time>",
              "by": "you",
              "what": "asked for a key",
              "from": "invited",
              "to": "minting",
              "note": "attempt 1"
            },
            {
              "at": "<time>",
              "by": "you",
              "what": "was shown a key",
              "from": "minting",
              "to": "live",
              "note": "attempt 1"
            },
            {
              "at": "<time>",
              "by": "you",
              "what": "the key was ended",
              "from": "live",
              "to": "stopped",
              "note": "leaked"
            }
          ],
          "mails": [
            {
              "mail": "you are on the roster",
              "written_at": "<time>",
              "outcome": "sent",
              "outcome_at": "<time>",
              "why": null
            },
            {
              "mail": "a key of yours was shown",
              "written_at": "<time>",
              "outcome": "sent",
              "outcome_at": "<time>",
              "why": null
            },
            {
              "mail": "how much of your cap you have used",
              "written_at": "<time>",
              "outcome": "sent",
              "outcome_at": "<time>",
              "why": null
            },
            {
              "mail": "a key of yours was reported leaked",
              "written_at": "<time>",
              "outcome": "sent",
              "outcome_at": "<time>",
              "why": null
            },
            {
              "mail": "you are on the roster",
              "written_at": "<time>",
              "outcome": "sent",
              "outcome_at": "<time>",
              "why": null
            }
          ],
          "done_by_hand_at": [
            "2026-11-10T09:33:00Z",
            "2026-11-10T09:34:00Z"
          ]
        }
      ],
      "notes": [
        "Mails are kept for 90 days after they were written, and a request for a link for an hour.",
        "A session, a link and a code are stored as hashes only. A session ends by itself, at the latest eight hours after signing in.",
        "A roster that the staff uploads is kept for at most eight days, and may name you.",
        "What staff ask of the admins is kept for a month with the address of whoever asked.",
        "An event of a mail that could not be worked off is kept aside for four days, with the address that it went to.",
        "What each of your keys used of which model is kept by the pseudonym of its grant, for as long as the deployment says.",
        "An admin can have you erased; the request has your address until that is done.",
        "Sums over a programme or a group name nobody.",
        "Deleted entries leave the backups of the table after 35 days."
      ]
    }
    "#);
    campus.finish().await;
}

/// The text without times and days, which depend on when the test runs.
fn without_times(text: &str) -> String {
    let line = |line: &str| match line.split_once("\": \"20") {
        Some((name, time)) if time.ends_with("Z\"") || time.ends_with("Z\",") => {
            format!("{name}\": \"<time>\"{}", if time.ends_with(',') { "," } else { "" })
        }
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}
