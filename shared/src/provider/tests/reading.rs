//! Reading of a key object, however it is written.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::super::ListedReset;
use super::super::key::{ListedKey, ProviderKey};
use super::*;

fn listed(json: &str) -> ListedKey {
    ListedKey::of(&RawValue::from_string(json.to_owned()).unwrap())
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
            "usage" => key.usage,
            "usage_daily" => key.usage_daily,
            _ => panic!("{field}"),
        }),
        ListedKey::Unreadable(row) => Err(row.why),
    }
}

#[test]
fn every_documented_field_is_read() {
    let key = read(&key_json_with(1, &json!({"limit_reset": "monthly", "expires_at": "2027-02-21T00:00:00Z"})));
    assert_eq!(key.hash, hash(1));
    assert_eq!((key.limit, key.limit_remaining), (Some(Usd::from_dollars(20)), Some(Usd::from_micros(15_500_000))));
    assert_eq!(key.usage_weekly, Some(Usd::from_micros(1_500_000)));
    assert_eq!(key.limit_reset, ListedReset::Known(Reset::Monthly));
    assert_eq!(key.created_at, Some("2026-09-01T08:00:00.123Z".parse().unwrap()));
    assert!(!key.has_expired("2027-02-20T23:59:59Z".parse().unwrap()));
    assert!(key.has_expired("2027-02-21T00:00:00Z".parse().unwrap()));
}

#[test]
fn a_hash_and_whether_it_is_disabled_are_enough() {
    let key = read(&json!({"hash": hash(1), "disabled": true}));
    assert_eq!((key.limit, key.usage, key.usage_daily, key.last_used_at), (None, None, None, None));
    assert_eq!(key.limit_reset, ListedReset::Known(Reset::None));
}

#[test]
fn null_is_as_good_as_absent_and_neither_is_nothing_spent() {
    let mut key = json!({"hash": hash(1), "disabled": false});
    for name in key_json(1).as_object().unwrap().keys() {
        if key.get(name).is_none() {
            key[name] = Value::Null;
        }
    }
    let read = read(&key);
    assert_eq!((read.usage, read.limit_remaining, read.name.as_str(), read.workspace_id), (None, None, "", None));
}

#[test]
fn an_enumeration_that_grew_and_fields_that_were_added_are_no_obstacle() {
    let key =
        read(&key_json_with(1, &json!({"limit_reset": "fortnightly", "budgets": [{"scope": "novel"}], "x": null})));
    assert_eq!(key.limit_reset, ListedReset::Other("fortnightly".to_owned()));
}

#[test]
fn times_are_read_in_each_spelling_to_the_millisecond_and_nonsense_is_no_time() {
    for (text, expected) in [
        ("2026-09-01T08:00:00Z", Some("2026-09-01T08:00:00Z")),
        ("2026-09-01T08:00:00.123456+00:00", Some("2026-09-01T08:00:00.123Z")),
        ("2026-09-01T10:00:00+02:00", Some("2026-09-01T08:00:00Z")),
        ("2026-09-01 08:00:00+00:00", Some("2026-09-01T08:00:00Z")),
        ("2026-09-01T08:00:00.5", Some("2026-09-01T08:00:00.5Z")),
        ("yesterday", None),
        ("", None),
    ] {
        let key = read(&key_json_with(1, &json!({"created_at": text})));
        assert_eq!(key.created_at, expected.map(|time| time.parse().unwrap()), "{text}");
    }
    assert_eq!(read(&key_json_with(1, &json!({"last_used_at": 1_795_176_030}))).last_used_at, None);
}

#[test]
fn amounts_are_read_from_any_number_that_json_can_write() {
    for (number, spent, promised) in [
        ("0", 0, 0),
        ("-0", 0, 0),
        ("29.9999982", 29_999_999, 29_999_998),
        ("2.99999982E1", 29_999_999, 29_999_998),
        ("1e-7", 1, 0),
        ("5e0", 5_000_000, 5_000_000),
        ("0.30000000000000004", 300_001, 300_000),
        ("-0.05", -50_000, -50_000),
        ("-0.0000015", -1, -2),
    ] {
        assert_eq!(amount("usage", number), Ok(Some(Usd::from_micros(spent))), "{number}");
        assert_eq!(amount("limit_remaining", number), Ok(Some(Usd::from_micros(promised))), "{number}");
    }
    assert_eq!(amount("usage", "null"), Ok(None));
}

#[test]
fn an_absurd_limit_is_the_largest_there_is_and_an_absurd_sum_makes_the_row_unreadable_but_not_missing() {
    for number in ["1e300", "1e21", "999999999999999999999999"] {
        assert_eq!(amount("limit", number), Ok(Some(Usd::MAX)), "{number}");
        assert!(amount("usage", number).is_err(), "{number}");
        assert_eq!(with_number("usage", number).hash(), Some(&hash(1)));
    }
    for number in ["\"4.5\"", "true", "{}", "[]", "-1e300"] {
        assert!(amount("limit", number).is_err(), "{number}");
        assert!(amount("usage", number).is_err(), "{number}");
    }
}

#[test]
fn a_row_that_cannot_be_read_says_why_without_a_key() {
    let row = listed(r#"{"hash":"short","disabled":"sk-or-v1-secret"}"#);
    let ListedKey::Unreadable(row) = row else { panic!("{row:?}") };
    assert!(row.hash.is_none() && !row.why.contains("secret"), "{}", row.why);
    let row = listed(&key_json_with(1, &json!({"disabled": "sk-or-v1-secret"})).to_string());
    let ListedKey::Unreadable(row) = row else { panic!("{row:?}") };
    assert!(row.hash == Some(hash(1)) && !row.why.contains("secret"), "{}", row.why);
}

proptest! {
    #[test]
    fn any_double_the_provider_may_print_is_read_within_a_micro_dollar(number in -1e12_f64..1e12, exponent in any::<bool>()) {
        let text = if exponent { format!("{number:e}") } else { json!(number).to_string() };
        let spent = amount("usage", &text).unwrap().unwrap();
        let promised = amount("limit_remaining", &text).unwrap().unwrap();
        prop_assert!(promised <= spent && (spent - promised).micros() <= 1, "{text}: {promised} {spent}");
        let exact = number * 1e6;
        // A double of this size is itself only exact to some micro-dollars.
        prop_assert!((spent.micros() as f64 - exact).abs() <= 1.0 + exact.abs() * 1e-15, "{text}: {spent}");
    }

    #[test]
    fn no_text_in_place_of_an_amount_makes_the_reader_panic(json in "[-+0-9eE.\"a-z\\[\\]{}]{1,20}") {
        if RawValue::from_string(json.clone()).is_ok() {
            for field in ["usage", "limit", "limit_remaining"] {
                let _ = amount(field, &json);
            }
        }
    }

    #[test]
    fn no_json_in_place_of_a_row_makes_the_reader_panic(name in "[a-z_]{1,12}", text in "\\PC{0,30}", number in any::<f64>()) {
        for row in [json!({&name: &text}), json!({"hash": hash(1), "disabled": true, &name: number}), json!([name, text])] {
            let _ = listed(&row.to_string());
        }
    }
}
