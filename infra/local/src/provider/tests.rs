//! What the suite measures the product by: the calendar, what answers told, and the two counters of
//! what breaks no promise.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use bursar_core::clock::Clock;
use bursar_core::clock::Moment;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{KeySnapshot, Nano, Provider};
use crate::base::state_file::StateFile;

const MANAGEMENT: &str =
    "sk-or-v1-00000000000000000000000000000000000000000000000000000000000000ff";
const MODEL: &str = "openai/gpt-4o-mini";

/// An account with one key, whose limit is ten dollars.
struct Simulator {
    provider: Provider,
    kept: StateFile,
    now: Arc<AtomicI64>,
    hash: String,
}

impl Simulator {
    fn new() -> Simulator {
        let noon: Timestamp = "2026-11-18T12:00:00Z".parse().unwrap();
        let now = Arc::new(AtomicI64::new(noon.as_second()));
        let told = Arc::clone(&now);
        let clock =
            Clock::reading(move || Moment::from_second(told.load(Ordering::SeqCst)).unwrap());
        let kept = StateFile::in_memory().unwrap();
        let provider = Provider::new(kept.clone(), clock, MANAGEMENT).unwrap();
        let hash = provider
            .add_foreign_key("n", Some(Nano::usd(10)), noon)
            .unwrap()
            .hash;
        Simulator {
            provider,
            kept,
            now,
            hash,
        }
    }

    /// Asks over HTTP for the key, or for a change of it.
    async fn ask(&self, method: &str, body: &Value) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/keys/{}", self.hash));
        let request = request.header("authorization", format!("Bearer {MANAGEMENT}"));
        let answer = self
            .provider
            .router()
            .oneshot(request.body(Body::from(body.to_string())).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let told: Value =
            serde_json::from_slice(&to_bytes(answer.into_body(), usize::MAX).await.unwrap())
                .unwrap();
        told["data"].clone()
    }

    fn spend(&self, usd: &str) {
        self.provider
            .spend(
                &self.hash,
                Nano::parse(usd).unwrap(),
                self.provider.now(),
                MODEL,
            )
            .unwrap();
    }
}

#[tokio::test]
async fn counters_follow_the_utc_calendar_and_survive_a_restart() {
    let simulator = Simulator::new();
    simulator
        .provider
        .change_by_hand(&simulator.hash, &json!({ "limit_reset": "daily" }))
        .unwrap();
    let at = |at: &str| {
        simulator.now.store(
            at.parse::<Timestamp>().unwrap().as_second(),
            Ordering::SeqCst,
        );
    };
    simulator.spend("3");
    at("2026-11-19T00:00:00Z");
    simulator.spend("0.5");
    for (moment, day, week, month, left) in [
        ("2026-11-19T23:59:59Z", 0.5, 3.5, 3.5, 9.5),
        ("2026-11-20T00:00:00Z", 0.0, 3.5, 3.5, 10.0),
        ("2026-11-23T00:00:00Z", 0.0, 0.0, 3.5, 10.0),
        ("2026-12-01T00:00:00Z", 0.0, 0.0, 0.0, 10.0),
    ] {
        at(moment);
        let read = simulator.ask("GET", &Value::Null).await;
        let told = [
            "usage_daily",
            "usage_weekly",
            "usage_monthly",
            "limit_remaining",
            "usage",
        ];
        assert_eq!(
            told.map(|field| read[field].as_f64().unwrap()),
            [day, week, month, left, 3.5],
            "{moment}"
        );
    }
    let again = Provider::new(
        simulator.kept.clone(),
        simulator.provider.clock.clone(),
        MANAGEMENT,
    )
    .unwrap();
    assert_eq!(again.keys(), simulator.provider.keys());
}

/// Use beyond a limit or charged too late is known, and so is what each answer reported.
#[tokio::test]
async fn overspending_is_noticed() {
    let simulator = Simulator::new();
    let seen = || simulator.provider.keys().remove(0);
    let beyond = |KeySnapshot {
                      overshot,
                      settled_late,
                      ..
                  }| (overshot, settled_late);
    simulator.spend("9");
    // The limit falls below the usage; only usage from then on is beyond it.
    simulator.ask("PATCH", &json!({ "limit": 5 })).await;
    assert_eq!(beyond(seen()), (Nano::ZERO, Nano::ZERO));
    simulator.spend("1");

    // A change by hand is no request.
    let by_hand = |change: Value| {
        simulator
            .provider
            .change_by_hand(&simulator.hash, &change)
            .unwrap();
    };
    by_hand(json!({ "limit": 500 }));
    simulator.spend("2");
    assert_eq!(
        (seen().limit, seen().asked_limit),
        (Some(Nano::usd(500)), Some(Nano::usd(5)))
    );
    assert_eq!(beyond(seen()), (Nano::usd(3), Nano::ZERO));
    simulator
        .ask("PATCH", &json!({ "limit": 20, "disabled": true }))
        .await;
    by_hand(json!({ "disabled": false }));
    assert_eq!((seen().disabled, seen().asked_disabled), (false, true));

    // Usage settles for a quarter of an hour; anything charged after that is late, whatever instant
    // it is booked as of.
    simulator.ask("PATCH", &json!({ "disabled": true })).await;
    simulator.now.fetch_add(900, Ordering::SeqCst);
    simulator.spend("1");
    assert_eq!(seen().settled_late, Nano::ZERO);
    simulator.now.fetch_add(1, Ordering::SeqCst);
    simulator.spend("2");
    simulator
        .provider
        .spend(
            &simulator.hash,
            Nano::usd(1),
            simulator.provider.now() - 2.hours(),
            MODEL,
        )
        .unwrap();
    assert_eq!(beyond(seen()), (Nano::usd(3), Nano::usd(3)));

    simulator
        .provider
        .set_quirks(|quirks| quirks.lag = SignedDuration::from_secs(1));
    simulator.spend("1");
    assert_eq!(simulator.ask("GET", &Value::Null).await["usage"], 13);
    let told = simulator.provider.told(&simulator.hash);
    assert_eq!(
        told.last().unwrap().1,
        Nano::usd(13),
        "a second ago nothing of the last four was used"
    );
    assert!(told.is_sorted(), "{told:?}");
}
