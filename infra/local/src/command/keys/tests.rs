//! The listing against the simulated provider.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use http::StatusCode;

use super::*;
use crate::base::serve::serve;
use crate::command::stack::{listen, origin_of};
use crate::provider::{MadeKey, Nano, Provider as Simulator};

const MANAGEMENT: &str =
    "sk-or-v1-00000000000000000000000000000000000000000000000000000000000000ff";
const DAY: SignedDuration = SignedDuration::from_hours(24);

fn noon() -> Moment {
    "2026-11-18T12:00:00Z".parse().unwrap()
}

/// An account with an old key that nobody used, one that was used, and a young one with an odd
/// name.
fn account() -> (Router, [MadeKey; 3]) {
    let simulator = Simulator::new(
        StateFile::in_memory().unwrap(),
        Clock::reading(noon),
        MANAGEMENT,
    )
    .unwrap();
    let make = |name, limit, days| {
        simulator
            .add_foreign_key(name, Nano::parse(limit), noon() - DAY * days)
            .unwrap()
    };
    let keys = [
        make("course/old", "", 40),
        make("course/used", "20", 40),
        make("one\u{1b}[2J", "", 1),
    ];
    for (key, amount, ago) in [
        (1, "7", 31),
        (1, "3", 30),
        (1, "0.25", 1),
        (1, "9", 0),
        (2, "1", 1),
    ] {
        let amount = Nano::parse(amount).unwrap();
        simulator
            .spend(
                &keys[key].hash,
                amount,
                noon() - DAY * ago,
                "openai/gpt-4o-mini",
            )
            .unwrap();
    }
    // The query of analytics is a POST that changes nothing.
    let router = simulator
        .router()
        .layer(from_fn(async |request: Request, next: Next| {
            assert!(
                request.method() == "GET" || request.uri().path() == "/api/v1/analytics/query",
                "{request:?}"
            );
            next.run(request).await
        }));
    (router, keys)
}

async fn shown(router: Router, key: &str, pattern: Option<&str>, json: bool) -> Result<String> {
    let listener = listen(0).await?;
    let base = format!("{}/api/v1", origin_of(&listener)?);
    tokio::spawn(serve(listener, router, std::future::pending()));
    let account = Account {
        base,
        management_key: key.to_owned(),
        clock: Clock::reading(noon),
        table: None,
    };
    let mut out = Vec::new();
    run(
        account,
        &Show {
            pattern: pattern.map(str::to_owned),
            json,
            assess: true,
        },
        &mut out,
    )
    .await?;
    Ok(String::from_utf8(out)?)
}

async fn listing(router: Router, pattern: Option<&str>) -> Value {
    serde_json::from_str(&shown(router, MANAGEMENT, pattern, true).await.unwrap()).unwrap()
}

/// Matching keys are listed, summed up and assessed, and nothing is changed.
#[tokio::test]
async fn keys_are_listed_and_assessed() {
    let (router, [_, used, _]) = account();
    let all = listing(router.clone(), None).await;
    let totals = json!({
        "keys": 3, "usage_usd": "20.250000", "balance_usd": "979.750000", "without_limit": 2, "unused_30_days": 1
    });
    let assessed = json!({
        "without_limit": 2, "unused_30_days": 1, "last_30_days_usd": "4.250000", "term_usd": "17.000000",
        "prefixes": [
            {"prefix": "course/", "keys": 2, "usage_usd": "19.250000"},
            {"prefix": "", "keys": 1, "usage_usd": "1.000000"},
        ],
    });
    assert_eq!((&all["totals"], &all["assess"]), (&totals, &assessed));

    let course = listing(router.clone(), Some("course/*")).await;
    assert_eq!(
        (&course["totals"]["keys"], &course["totals"]["usage_usd"]),
        (&json!(2), &json!("19.250000"))
    );
    assert_eq!(course["assess"]["last_30_days_usd"], "3.250000");
    let mut key = course["keys"][0].clone();
    assert!(
        key.as_object_mut()
            .unwrap()
            .remove("workspace")
            .unwrap()
            .is_string()
    );
    let expected = json!({
        "hash": used.hash, "name": "course/used", "state": "enabled",
        "usage_usd": "19.250000", "usage_daily_usd": "9.000000", "usage_weekly_usd": "9.250000",
        "usage_monthly_usd": "9.250000", "limit_usd": "20.000000",
        "last_used_at": "2026-11-18T12:00:00Z", "created_at": "2026-10-09T12:00:00Z",
    });
    assert_eq!(key, expected);
    insta::assert_snapshot!(shown(router, MANAGEMENT, None, false).await.unwrap(), @"
      STATE  TODAY   WEEK  MONTH  IN ALL      LIMIT  LAST USE   AGE  NAME
    enabled  $0.00  $1.00  $1.00   $1.00  unlimited      24 h  24 h  one�[2J
    enabled  $9.00  $9.25  $9.25  $19.25     $20.00       0 h  40 d  course/used
    enabled  $0.00  $0.00  $0.00   $0.00  unlimited     never  40 d  course/old

    3 keys, $20.25 used in all, balance $979.75
    2 without a limit, 1 unused for 30 days

    By the first part of the name:
      course/*                  2 keys      $19.25
      (names of one part)       1 keys       $1.00

    Without a limit: 2 (one�[2J, course/old)
    Unused for 30 days: 1 (course/old)
    Used in the last 30 days: $4.25; at that pace a term of four months costs $17.00
    ");
}

/// Recent use that the provider does not report is shown as not known, and not as none.
#[tokio::test]
async fn unreported_use_is_not_zero() {
    let failing = account()
        .0
        .layer(from_fn(async |request: Request, next: Next| {
            let is_analytics = request.uri().path().contains("analytics");
            if is_analytics {
                StatusCode::FORBIDDEN.into_response()
            } else {
                next.run(request).await
            }
        }));
    let assessed = &listing(failing.clone(), None).await["assess"];
    assert_eq!(
        (&assessed["last_30_days_usd"], &assessed["term_usd"]),
        (&Value::Null, &Value::Null)
    );
    assert!(
        shown(failing, MANAGEMENT, None, false)
            .await
            .unwrap()
            .contains("last 30 days: not known")
    );
}
