//! Reading of a key object, however it is written.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::super::ListedReset;
use super::super::key::{ListedKey, ProviderKey};
use super::*;

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
    listed(&format!("{},\"{field}\":{number}}}", text.trim_end_matches('}')))
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

#[test]
fn every_documented_field_is_read_and_what_was_added_since_is_no_obstacle() {
    let change =
        json!({"limit_reset": "monthly", "expires_at": "2027-02-21T00:00:00Z", "budgets": [{"scope": "novel"}]});
    let key = read(&key_json_with(1, &change));
    assert_eq!(key.hash, hash(1));
    assert_eq!((key.limit, key.limit_remaining), (Some(Usd::from_dollars(20)), Some(Usd::from_micros(15_500_000))));
    assert_eq!(key.usage_weekly, Some(Usd::from_micros(1_500_000)));
    assert_eq!(key.limit_reset, ListedReset::Known(Reset::Monthly));
    assert!(!key.has_expired("2027-02-20T23:59:59Z".parse().unwrap()));
    assert!(key.has_expired("2027-02-21T00:00:00Z".parse().unwrap()));
    let grown = read(&key_json_with(1, &json!({"limit_reset": "fortnightly"})));
    assert_eq!(grown.limit_reset, ListedReset::Other("fortnightly".to_owned()));
}

#[test]
fn a_hash_and_whether_it_is_disabled_are_enough_and_null_is_as_good_as_absent() {
    let absent = json!({"hash": hash(1), "disabled": true});
    let mut null = key_json(1);
    for (name, value) in null.as_object_mut().unwrap() {
        *value = absent.get(name).cloned().unwrap_or_default();
    }
    for key in [absent, null].map(|json| read(&json)) {
        assert_eq!((key.limit, key.usage, key.usage_daily, key.last_used_at), (None, None, None, None));
        assert_eq!((key.name.as_str(), key.limit_reset), ("", ListedReset::Known(Reset::None)));
    }
}

#[test]
fn times_are_read_in_each_spelling_to_the_millisecond_and_nonsense_is_no_time() {
    for (time, expected) in [
        (json!("2026-09-01T08:00:00.123456+00:00"), Some("2026-09-01T08:00:00.123Z")),
        (json!("2026-09-01T10:00:00+02:00"), Some("2026-09-01T08:00:00Z")),
        (json!("2026-09-01 08:00:00+00:00"), Some("2026-09-01T08:00:00Z")),
        (json!("2026-09-01T08:00:00.5"), Some("2026-09-01T08:00:00.5Z")),
        (json!("yesterday"), None),
        (json!(1_795_176_030), None),
    ] {
        let key = read(&key_json_with(1, &json!({"created_at": time})));
        assert_eq!(key.created_at, expected.map(|time| time.parse().unwrap()), "{time}");
    }
}

#[test]
fn an_amount_is_any_number_that_json_can_write_and_an_absurd_one_makes_the_row_unreadable_but_not_missing() {
    for (number, spent, promised) in [
        ("0", 0, 0),
        ("2.99999982E1", 29_999_999, 29_999_998),
        ("1e-7", 1, 0),
        ("0.30000000000000004", 300_001, 300_000),
        ("-0.0000015", -1, -2),
    ] {
        assert_eq!(amount("usage", number), Ok(Some(Usd::from_micros(spent))), "{number}");
        assert_eq!(amount("limit_remaining", number), Ok(Some(Usd::from_micros(promised))), "{number}");
    }
    for number in ["1e300", "999999999999999999999999"] {
        assert_eq!(amount("limit", number), Ok(Some(Usd::MAX)), "{number}");
        assert!(amount("usage", number).is_err(), "{number}");
        assert_eq!(with_number("usage", number).hash(), Some(&hash(1)));
    }
    for number in ["\"4.5\"", "true", "{}", "-1e300"] {
        assert!(amount("limit", number).is_err() && amount("usage", number).is_err(), "{number}");
    }
}

#[test]
fn a_row_that_cannot_be_read_says_why_without_a_key() {
    let disabled = key_json_with(1, &json!({"disabled": "sk-or-v1-secret"})).to_string();
    for (row, named) in [(r#"{"hash":"short","disabled":"sk-or-v1-secret"}"#, None), (&disabled, Some(hash(1)))] {
        let row = listed(row);
        let ListedKey::Unreadable(row) = row else { panic!("{row:?}") };
        assert!(row.hash == named && !row.why.contains("secret"), "{}", row.why);
    }
}

proptest! {
    #[test]
    fn no_json_in_place_of_a_row_or_an_amount_makes_the_reader_panic(
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
