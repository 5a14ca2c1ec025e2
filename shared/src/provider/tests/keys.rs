//! Keys: their one call that must not be sent twice, the one answer that must not be lost, and the
//! reading of a key object, however it is written.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::super::ListedReset;
use super::super::key::{ListedKey, ProviderKey};
use super::super::keys::KeyPatch;
use super::*;
use crate::domain::values::window::Reset;

#[tokio::test]
async fn a_key_that_was_made_is_not_lost_over_the_shape_of_its_answer() {
    for (status, body) in [
        (201, json!({"key": PLAINTEXT, "data": key_json(1)})),
        (200, json!({"key": PLAINTEXT, "data": {"hash": hash(1)}})),
        (
            201,
            json!({"key": "", "data": {"hash": hash(1), "key": PLAINTEXT}}),
        ),
        (
            201,
            json!({"key": null, "data": {"hash": hash(1), "key": PLAINTEXT}}),
        ),
        (
            201,
            json!({"key": PLAINTEXT, "data": {"hash": hash(1), "usage": "none", "disabled": 0}}),
        ),
        (
            201,
            json!({"key": PLAINTEXT, "novel": [1], "data": key_json_with(1, &json!({"novel": {}}))}),
        ),
    ] {
        let (server, provider) = answering(status, &body).await;
        let created = provider.create_key(&new_key(), soon()).await.unwrap();
        assert_eq!(
            (created.plaintext.reveal(), created.hash),
            (PLAINTEXT, hash(1)),
            "{body}"
        );
        let sent = &server.seen()[0];
        assert_eq!(sent.line(), "POST /api/v1/keys");
        assert_eq!(
            sent.header("authorization"),
            Some("Bearer sk-or-v1-management")
        );
        assert_eq!(sent.header("content-type"), Some("application/json"));
    }
}

/// A key that cannot be shown causes an error that names the key so that it can be disabled.
#[tokio::test]
async fn unreadable_keys_are_errors() {
    for (body, made) in [
        (json!({"data": key_json(1)}), Some(hash(1))),
        (
            json!({"key": "two words", "data": key_json(1)}),
            Some(hash(1)),
        ),
        (
            json!({"key": "", "data": {"hash": hash(1), "key": ["x"]}}),
            Some(hash(1)),
        ),
        (json!({"key": PLAINTEXT}), None),
        (
            json!({"key": PLAINTEXT, "data": {"hash": "nonsense"}}),
            None,
        ),
        (json!({"key": PLAINTEXT, "data": null}), None),
        (json!({"key": PLAINTEXT, "data": key_json(2)}), None),
        (json!([]), None),
    ] {
        let (server, provider) = answering(201, &body).await;
        let error = provider.create_key(&new_key(), soon()).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Unknown(made), "{body}: {error}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_key_without_the_limit_that_was_asked_for_is_never_shown() {
    for (listed, expected) in [
        (json!(null), "unknown"),
        (json!(20.01), "unknown"),
        (json!(1e300), "unknown"),
        (json!("20"), "unknown"),
        (json!(20), "done"),
        (json!(19.99), "done"),
        (json!(20.000_000_000_000_4), "done"),
    ] {
        let body = json!({"key": PLAINTEXT, "data": key_json_with(1, &json!({"limit": listed}))});
        let (_server, provider) = answering(201, body).await;
        assert_eq!(
            ending(&provider.create_key(&new_key(), soon()).await),
            expected,
            "{listed}"
        );
    }
}

/// A creation is sent once whatever its outcome, and the outcome tells whether a key may exist.
#[tokio::test]
async fn a_creation_is_sent_once() {
    type Fault = (&'static str, fn() -> ScriptedAct);
    let faults: [Fault; 15] = [
        ("unknown", || ScriptedAct::Drop),
        ("unknown", || answer(201, &created_json()).cut_after(40)),
        ("unknown", || {
            answer(201, "<html>busy</html>").with("content-type", "text/html")
        }),
        ("unknown", || answer(200, "")),
        ("unknown", || answer(500, &error_json(500, "oops"))),
        ("unknown", || {
            answer(503, &error_json(503, "busy")).with("retry-after", "3")
        }),
        ("unknown", || answer(524, "")),
        ("unknown", || answer(408, "")),
        ("unknown", || {
            answer(307, "").with("location", "/api/v1/elsewhere")
        }),
        ("later", || {
            answer(429, &error_json(429, "slow down")).with("retry-after", "3")
        }),
        ("later", || answer(409, &error_json(409, "conflict"))),
        ("refused", || answer(402, &error_json(402, "pay first"))),
        ("refused", || answer(422, "<html>no</html>")),
        ("management key", || {
            answer(401, &error_json(401, "User not found."))
        }),
        ("management key", || {
            answer(
                403,
                &error_json(403, "Only management keys can perform this operation"),
            )
        }),
    ];
    for (number, (expected, fault)) in faults.into_iter().enumerate() {
        let (server, provider, waits) = scripted(move |_, _| fault()).await;
        let ended = provider.create_key(&new_key(), soon()).await;
        assert_eq!(ending(&ended), expected, "fault {number}: {ended:?}");
        assert_eq!(
            server
                .seen()
                .iter()
                .filter(|seen| seen.method == "POST")
                .count(),
            1,
            "fault {number}"
        );
        assert!(waits.lock().unwrap().is_empty(), "fault {number}");
    }
}

/// A creation that gets no answer ends after ten seconds with an unknown outcome.
#[tokio::test]
async fn a_silent_creation_times_out() {
    let (server, provider, _) = scripted(|_, _| ScriptedAct::Hang).await;
    let asked = tokio::spawn(async move { provider.create_key(&new_key(), soon()).await });
    server.arrived(1).await;
    let begun = tokio::time::Instant::now();
    // From here only timers are awaited, so the paused clock runs to the next of them.
    tokio::time::pause();
    let error = asked.await.unwrap().unwrap_err();
    assert_eq!(error.kind, FailureKind::Unknown(None), "{error}");
    let waited = begun.elapsed();
    assert!(
        (Duration::from_secs(9)..Duration::from_secs(11)).contains(&waited),
        "{waited:?}"
    );
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_creation_never_uses_a_connection_that_was_used_before() {
    let (server, provider, _) = scripted(|request, _| match request.method.as_str() {
        "POST" => answer(201, &created_json()),
        _ => answer(200, &json!({"data": key_json(1)}).to_string()),
    })
    .await;
    for _ in 0..2 {
        provider.get_key(&hash(1), soon()).await.unwrap();
        provider.create_key(&new_key(), soon()).await.unwrap();
    }
    let connections: Vec<usize> = server.seen().iter().map(|seen| seen.connection).collect();
    let [get, create, get_again, create_again] = connections[..] else {
        panic!("{connections:?}")
    };
    assert_eq!(get, get_again, "a read may use one again");
    assert!(
        create != get && create_again != get && create != create_again,
        "{connections:?}"
    );
}

/// A request that is out of time, is below a cent or cannot be sent changes nothing.
#[tokio::test]
async fn unsent_calls_change_nothing() {
    let (server, provider) = answering(201, created_json()).await;
    let late = provider
        .create_key(&new_key(), Deadline::after(Duration::from_millis(9_900)))
        .await;
    assert_eq!(
        ending(&late),
        "later",
        "it is not begun without its whole time"
    );
    assert!(late.unwrap_err().changed_nothing());
    for limit in [Usd::ZERO, Usd::from_micros(9_999), Usd::from_dollars(-1)] {
        let key = NewKey { limit, ..new_key() };
        assert_eq!(ending(&provider.create_key(&key, soon()).await), "refused");
        let patch = KeyPatch::limit(Some(limit));
        assert_eq!(
            ending(&provider.patch_key(&hash(1), patch, soon()).await),
            "refused"
        );
    }
    assert!(server.seen().is_empty());

    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (provider, _) = impatient(&format!("http://{free}"));
    assert_eq!(
        ending(&provider.create_key(&new_key(), soon()).await),
        "later"
    );
}

fn listed(json: &str) -> ListedKey {
    serde_json::from_str(json).unwrap()
}

fn read(json: &Value) -> ProviderKey {
    match listed(&json.to_string()) {
        ListedKey::Key(key) => *key,
        ListedKey::Unreadable(row) => panic!("{}", row.why),
    }
}

/// A key object with one number spelled as given.
fn with_number(field: &str, number: &str) -> ListedKey {
    let mut key = key_json(1);
    key.as_object_mut().unwrap().remove(field);
    let text = key.to_string();
    listed(&format!(
        "{},\"{field}\":{number}}}",
        text.trim_end_matches('}')
    ))
}

fn amount(field: &str, number: &str) -> Result<Option<Usd>, String> {
    match with_number(field, number) {
        ListedKey::Key(key) => Ok(match field {
            "limit" => key.limit,
            "limit_remaining" => key.limit_remaining,
            _ => key.usage,
        }),
        ListedKey::Unreadable(row) => Err(row.why),
    }
}

/// Every documented field is read, and fields or values added since cause no failure.
#[test]
fn known_fields_are_read() {
    let change = json!({"limit_reset": "monthly", "expires_at": "2027-02-21T00:00:00Z", "budgets": [{"scope": "novel"}]});
    let key = read(&key_json_with(1, &change));
    assert_eq!(key.hash, hash(1));
    assert_eq!(
        (key.limit, key.limit_remaining),
        (
            Some(Usd::from_dollars(20)),
            Some(Usd::from_micros(15_500_000))
        )
    );
    assert_eq!(key.usage_weekly, Some(Usd::from_micros(1_500_000)));
    assert_eq!(key.limit_reset, ListedReset::Known(Reset::Monthly));
    assert!(!key.has_expired("2027-02-20T23:59:59Z".parse().unwrap()));
    assert!(key.has_expired("2027-02-21T00:00:00Z".parse().unwrap()));
    let grown = read(&key_json_with(1, &json!({"limit_reset": "fortnightly"})));
    assert_eq!(
        grown.limit_reset,
        ListedReset::Other("fortnightly".to_owned())
    );
}

/// A hash and whether the key is disabled are enough, and null is equivalent to absent.
#[test]
fn hash_and_state_are_enough() {
    let absent = json!({"hash": hash(1), "disabled": true});
    let mut null = key_json(1);
    for (name, value) in null.as_object_mut().unwrap() {
        *value = absent.get(name).cloned().unwrap_or_default();
    }
    for key in [absent, null].map(|json| read(&json)) {
        assert_eq!(
            (key.limit, key.usage, key.usage_daily, key.last_used_at),
            (None, None, None, None)
        );
        assert_eq!(
            (key.name.as_str(), key.limit_reset),
            ("", ListedReset::Known(Reset::None))
        );
    }
}

/// Times are read in each spelling to the millisecond, and invalid text gives no time.
#[test]
fn all_time_spellings_are_read() {
    for (time, expected) in [
        (
            json!("2026-09-01T08:00:00.123456+00:00"),
            Some("2026-09-01T08:00:00.123Z"),
        ),
        (
            json!("2026-09-01T10:00:00+02:00"),
            Some("2026-09-01T08:00:00Z"),
        ),
        (
            json!("2026-09-01 08:00:00+00:00"),
            Some("2026-09-01T08:00:00Z"),
        ),
        (
            json!("2026-09-01T08:00:00.5"),
            Some("2026-09-01T08:00:00.5Z"),
        ),
        (json!("yesterday"), None),
        (json!(1_795_176_030), None),
    ] {
        let key = read(&key_json_with(1, &json!({"created_at": time})));
        assert_eq!(
            key.created_at,
            expected.map(|time| time.parse().unwrap()),
            "{time}"
        );
    }
}

/// An amount is any number JSON can write, and an absurd one makes the row unreadable but not
/// missing.
#[test]
fn an_absurd_amount_is_refused() {
    assert_eq!(
        amount("usage", "2.99999982E1"),
        Ok(Some(Usd::from_micros(29_999_999)))
    );
    assert_eq!(
        amount("limit_remaining", "2.99999982E1"),
        Ok(Some(Usd::from_micros(29_999_998)))
    );
    for number in ["1e300", "999999999999999999999999"] {
        assert_eq!(amount("limit", number), Ok(Some(Usd::MAX)), "{number}");
        assert!(amount("usage", number).is_err(), "{number}");
        assert_eq!(with_number("usage", number).hash(), Some(&hash(1)));
    }
    for number in ["\"4.5\"", "true", "{}", "-1e300"] {
        assert!(
            amount("limit", number).is_err() && amount("usage", number).is_err(),
            "{number}"
        );
    }
}

#[test]
fn a_row_that_cannot_be_read_says_why_without_a_key() {
    let disabled = key_json_with(1, &json!({"disabled": "sk-or-v1-secret"})).to_string();
    for (row, named) in [
        (r#"{"hash":"short","disabled":"sk-or-v1-secret"}"#, None),
        (&disabled, Some(hash(1))),
    ] {
        let row = listed(row);
        let ListedKey::Unreadable(row) = row else {
            panic!("{row:?}")
        };
        assert!(
            row.hash == named && !row.why.contains("secret"),
            "{}",
            row.why
        );
    }
}

proptest! {
    /// No JSON in place of a row or an amount makes the reader panic.
    #[test]
    fn no_json_causes_a_panic(
        name in "[a-z_]{1,12}", text in "\\PC{0,30}", number in any::<f64>(), amount in "[-+0-9eE.\"a-z\\[\\]{}]{1,20}",
    ) {
        for row in [json!({&name: &text}), json!({"hash": hash(1), "disabled": true, &name: number}), json!([name, text])] {
            let _ = listed(&row.to_string());
        }
        if RawValue::from_string(amount.clone()).is_ok() {
            for field in ["usage", "limit", "limit_remaining"] {
                let _ = with_number(field, &amount);
            }
        }
    }
}
