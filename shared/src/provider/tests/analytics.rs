//! Use by key, model and day: what is asked for, and what becomes of every answer.

use jiff::civil::{Date, date};

use super::super::analytics::{MOST_ROWS, ModelUsage};
use super::*;
use crate::domain::usage::models::Sums;
use crate::domain::values::money::Usd;

const FIRST: Date = date(2026, 11, 17);
const LAST: Date = date(2026, 11, 19);

fn row_with(change: &Value) -> Value {
    let mut row = json!({
        "date__day": "2026-11-18", "api_key_id": "bursar/d/p/g/1-n", "model": "m", "total_usage": 4.75,
        "credits_usage": 4.25, "byok_usage": 0.5, "request_count": "1523", "novel": [],
    });
    row.as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    row
}

fn report(rows: &Value, metadata: &Value) -> String {
    json!({"data": {"data": rows, "metadata": metadata, "cachedAt": 1_747_699_200_000_u64}, "novel": 1}).to_string()
}

async fn usage(body: &str) -> Result<ModelUsage, ProviderError> {
    let (_server, provider) = answering(200, body).await;
    provider.model_usage(FIRST..=LAST, soon()).await
}

/// One query requests every key, model and day, largest first, and is repeated after a fault.
#[tokio::test]
async fn one_query_gets_all_usage() {
    for status in [408, 500, 429] {
        let (server, provider, waits) = scripted(move |_, before| match before {
            0 => answer(status, &error_json(status, "Query timed out")),
            _ => answer(
                200,
                &report(&json!([]), &json!({"row_count": 0, "truncated": false})),
            ),
        })
        .await;
        let usage = provider.model_usage(FIRST..=LAST, soon()).await.unwrap();
        assert_eq!((usage.rows.len(), usage.truncated), (0, false));
        assert_eq!(server.lines(), ["POST /api/v1/analytics/query"; 2]);
        assert_eq!(waits.lock().unwrap().len(), 1, "{status}");
        insta::allow_duplicates! { insta::assert_snapshot!(server.seen()[1].body, @r#"{"dimensions":["api_key_id","model"],"granularity":"day","group_limit":4,"limit":10000,"metrics":["total_usage","credits_usage","byok_usage","request_count"],"order_by":{"direction":"desc","field":"total_usage"},"time_range":{"end":"2026-11-20T00:00:00Z","start":"2026-11-17T00:00:00Z"}}"#); }
    }
    let (server, provider) = answering(400, error_json(400, "no")).await;
    assert_eq!(
        ending(&provider.model_usage(FIRST..=LAST, soon()).await),
        "refused"
    );
    assert_eq!(server.lines().len(), 1);
}

/// Money is read from its decimal text, and counts are read from text or numbers.
#[tokio::test]
async fn money_is_read_as_decimals() {
    // This is spelled by hand, since a JSON library may round what it prints.
    let body = r#"{"data":{"data":[
        {"date__day":"2026-11-18","api_key_id":"k","model":"m","credits_usage":0.30000000000000004,"byok_usage":1e-7,"request_count":"12"},
        {"date__day":"2026-11-19T00:00:00.000Z","api_key_id":77,"model":null,"credits_usage":"2.5","byok_usage":0,"request_count":3.0}],
        "metadata":{"row_count":"2","truncated":false},"warnings":["hash sk-or-v1-abc?"]}}"#;
    let usage = usage(body).await.unwrap();
    let rows: Vec<_> = usage
        .rows
        .iter()
        .map(|row| (&*row.key_name, &*row.model, row.day, row.used))
        .collect();
    let used = |spent, byok, requests| Sums {
        spent: Usd::from_micros(spent),
        byok: Usd::from_micros(byok),
        requests,
    };
    let expected = [
        ("k", "m", date(2026, 11, 18), used(300_001, 1, 12)),
        ("77", "", LAST, used(2_500_000, 0, 3)),
    ];
    assert_eq!(rows, expected);
    assert_eq!((usage.truncated, usage.unreadable), (false, 0));
    assert_eq!(usage.warnings, ["hash sk-or-…?"]);
}

/// A row that cannot be read is counted separately, and a row of another day is left out.
#[tokio::test]
async fn bad_rows_are_counted() {
    let bad = [
        ("date__day", json!("2026-13-01")),
        ("api_key_id", json!([])),
        ("model", json!(["m"])),
        ("credits_usage", json!(null)),
        ("credits_usage", json!(-1)),
        ("credits_usage", json!(1e300)),
        ("byok_usage", json!("")),
        ("request_count", json!("-1")),
        ("request_count", json!(1.5)),
        ("request_count", json!(1e30)),
    ];
    let mut rows: Vec<Value> = bad
        .iter()
        .map(|(field, value)| row_with(&json!({*field: value})))
        .collect();
    for field in [
        "date__day",
        "api_key_id",
        "model",
        "credits_usage",
        "byok_usage",
        "request_count",
    ] {
        let mut absent = row_with(&json!({}));
        absent.as_object_mut().unwrap().remove(field);
        rows.push(absent);
    }
    rows.extend([json!(null), json!("row")]);
    let unreadable = rows.len();
    for day in ["2026-11-16", "2026-11-17", "2026-11-19", "2026-11-20"] {
        rows.push(row_with(&json!({"date__day": day})));
    }
    let usage = usage(&report(&Value::from(rows), &json!({})))
        .await
        .unwrap();
    assert_eq!(
        usage.rows.iter().map(|row| row.day).collect::<Vec<_>>(),
        [FIRST, LAST]
    );
    assert_eq!(usage.unreadable as usize, unreadable);
    assert!(usage.why_unreadable.is_some_and(|why| !why.is_empty()));
}

/// A report counts as truncated when it says so or cannot be known to be complete.
#[tokio::test]
async fn a_doubted_report_is_cut_off() {
    let one = json!([row_with(&json!({}))]);
    let full = Value::from(vec![row_with(&json!({})); MOST_ROWS]);
    for (rows, metadata, truncated) in [
        (&one, json!({"row_count": 1, "truncated": true}), true),
        (&one, json!({"row_count": 2, "truncated": false}), true),
        (&one, json!({"row_count": 1, "truncated": false}), false),
        (&one, json!(null), false),
        (
            &full,
            json!({"row_count": MOST_ROWS, "truncated": false}),
            false,
        ),
        (&full, json!({"row_count": MOST_ROWS}), true),
        (&full, json!(null), true),
    ] {
        let usage = usage(&report(rows, &metadata)).await.unwrap();
        assert_eq!(
            usage.truncated,
            truncated,
            "{} rows with {metadata}",
            rows.as_array().unwrap().len()
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_no_report_is_no_empty_one() {
    let cut = report(&json!([row_with(&json!({}))]), &json!({}));
    for body in [
        "<html>busy</html>",
        "",
        "null",
        r#"{"data":[]}"#,
        r#"{"data":{"data":null}}"#,
        &cut[..cut.len() / 2],
    ] {
        assert_eq!(ending(&usage(body).await), "unknown", "{body}");
    }
}
