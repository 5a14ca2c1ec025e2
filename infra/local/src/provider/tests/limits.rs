//! Limits and windows: the rest, the refusals, and their two forms.

use super::*;

#[tokio::test]
async fn counters_follow_the_utc_calendar_and_the_lifetime_total_is_never_reset() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "limit": 10, "limit_reset": "daily" })).await;
    simulator.spend(&key, "3");
    simulator.at("2026-11-19T00:00:00Z");
    simulator.spend(&key, "0.5");
    let counters = async |at: &str| {
        simulator.at(at);
        let read = simulator.read(&key).await;
        ["usage_daily", "usage_weekly", "usage_monthly", "usage", "limit_remaining"].map(|field| read[field].clone())
    };
    assert_eq!(counters("2026-11-19T23:59:59Z").await, [0.5, 3.5, 3.5, 3.5, 9.5]);
    assert_eq!(counters("2026-11-20T00:00:00Z").await.map(|n| n.as_f64().unwrap()), [0.0, 3.5, 3.5, 3.5, 10.0]);
    assert_eq!(counters("2026-11-23T00:00:00Z").await.map(|n| n.as_f64().unwrap()), [0.0, 0.0, 3.5, 3.5, 10.0]);
    assert_eq!(counters("2026-12-01T00:00:00Z").await.map(|n| n.as_f64().unwrap()), [0.0, 0.0, 0.0, 3.5, 10.0]);
    simulator.patch(&format!("/keys/{}", key.hash), json!({ "limit": 30, "limit_reset": null })).await;
    let read = simulator.read(&key).await;
    assert_eq!((&read["usage"], &read["limit_remaining"]), (&json!(3.5), &json!(26.5)));
}

#[tokio::test]
async fn a_spent_window_is_403_and_says_which_limit_it_was() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "limit": 20, "limit_reset": "monthly" })).await;
    simulator.spend(&key, "20.05");
    for model in [DEAR, FREE] {
        let (status, refused) = simulator.chat(&key.plaintext, model, 1).await;
        assert_eq!(status, 403);
        assert_eq!(refused["error"]["metadata"]["limit_source"], "openrouter_key_limit");
        assert_eq!(
            message(&refused),
            "Key limit exceeded (monthly limit). Manage it using https://openrouter.ai/settings/keys. \
             $20.05 of $20.00 used; resets 2026-12-01T00:00:00Z"
        );
    }
    simulator.at("2026-12-01T00:00:00Z");
    assert_eq!(simulator.chat(&key.plaintext, DEAR, 1).await.0, 200);
}

#[tokio::test]
async fn the_limits_are_named_total_daily_weekly_and_monthly() {
    let simulator = Simulator::start().await;
    for (reset, name) in [(json!(null), "total"), (json!("daily"), "daily"), (json!("weekly"), "weekly")] {
        let key = simulator.key(json!({ "name": "n", "limit": 1, "limit_reset": reset })).await;
        simulator.spend(&key, "1");
        let (status, refused) = simulator.chat(&key.plaintext, DEAR, 1).await;
        assert_eq!(status, 403);
        assert!(message(&refused).starts_with(&format!("Key limit exceeded ({name} limit).")), "{refused}");
    }
}

#[tokio::test]
async fn an_answer_that_may_cost_more_than_is_left_is_402_with_what_can_be_afforded() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "limit": 0.1 })).await;
    // The question is five tokens; of 0.1 dollars 0.099975 remain, at 25 dollars a million.
    let (status, refused) = simulator.chat(&key.plaintext, DEAR, 4_000).await;
    assert_eq!((status, &refused["error"]["code"]), (402, &json!(402)));
    assert_eq!(refused["error"]["metadata"]["limit_source"], "openrouter_key_limit");
    let expected = "This request requires more credits, or fewer max_tokens. You requested up to 4000 tokens, but can only afford 3999.";
    assert!(message(&refused).starts_with(expected), "{refused}");
    assert!(message(&refused).ends_with("create a key with a higher total limit"));
    assert_eq!(simulator.chat(&key.plaintext, DEAR, 3_999).await.0, 200);
    assert_eq!(simulator.read(&key).await["usage"], 0.1);
    assert_eq!(simulator.chat(&key.plaintext, DEAR, 1).await.0, 403);
}

#[tokio::test]
async fn a_request_without_max_tokens_is_not_weighed() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "limit": 0.000_001 })).await;
    let body = json!({ "model": DEAR, "messages": [{ "role": "user", "content": "Hello" }] });
    assert_eq!(simulator.call(&key.plaintext, Method::POST, "/chat/completions", Some(body)).await.0, 200);
}

#[tokio::test]
async fn caps_are_checked_against_settled_spend_so_what_runs_side_by_side_overshoots() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "limit": 1 })).await;
    simulator.provider.set_quirks(|quirks| quirks.hold_settlement = true);
    for _ in 0..3 {
        assert_eq!(simulator.chat(&key.plaintext, DEAR, 39_000).await.0, 200);
    }
    assert_eq!(simulator.read(&key).await["usage"], 0);
    assert_eq!(simulator.provider.settle().unwrap(), 3);
    let read = simulator.read(&key).await;
    assert_eq!((&read["usage"], &read["limit_remaining"]), (&json!(2.925_075), &json!(-1.925_075)));
    assert_eq!(simulator.chat(&key.plaintext, DEAR, 1).await.0, 403);
    simulator.provider.set_quirks(|quirks| quirks.remaining_clamped = true);
    assert_eq!(simulator.read(&key).await["limit_remaining"], 0);
    assert_eq!(simulator.own(&key).await["budgets"][0]["remaining_usd"], -1.925_075);
}

#[tokio::test]
async fn what_settles_late_reaches_a_key_that_was_disabled_or_deleted() {
    let simulator = Simulator::start().await;
    let disabled = simulator.key(json!({ "name": "n" })).await;
    let deleted = simulator.key(json!({ "name": "n" })).await;
    simulator.provider.set_quirks(|quirks| quirks.hold_settlement = true);
    simulator.chat(&disabled.plaintext, DEAR, 40_000).await;
    simulator.chat(&deleted.plaintext, DEAR, 40_000).await;
    simulator.patch(&format!("/keys/{}", disabled.hash), json!({ "disabled": true })).await;
    simulator.delete(&format!("/keys/{}", deleted.hash)).await;
    simulator.provider.settle().unwrap();
    assert_eq!(simulator.read(&disabled).await["usage"], 1.000_025);
    assert_eq!(simulator.get("/credits").await.1["data"]["total_usage"], 2.000_05);
}

#[tokio::test]
async fn an_account_below_zero_is_402_even_for_free_models() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n" })).await;
    simulator.provider.set_credits(Nano::usd(1)).unwrap();
    simulator.spend(&key, "1");
    assert_eq!(simulator.chat(&key.plaintext, DEAR, 1).await.0, 402);
    assert_eq!(simulator.chat(&key.plaintext, FREE, 1).await.0, 200);
    simulator.spend(&key, "0.000001");
    for model in [DEAR, FREE] {
        let (status, refused) = simulator.chat(&key.plaintext, model, 1).await;
        assert_eq!((status, &refused["error"]["metadata"]["limit_source"]), (402, &json!("openrouter_credits")));
    }
}

#[tokio::test]
async fn an_answer_beyond_the_accounts_balance_is_402_too() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "limit": 20 })).await;
    simulator.provider.set_credits(Nano::usd(1)).unwrap();
    let (status, refused) = simulator.chat(&key.plaintext, DEAR, 50_000).await;
    assert_eq!((status, &refused["error"]["metadata"]["limit_source"]), (402, &json!("openrouter_credits")));
    assert!(message(&refused).contains("can only afford 39999"), "{refused}");
}

#[tokio::test]
async fn what_a_model_maker_is_paid_escapes_the_limit_unless_it_is_included() {
    let simulator = Simulator::start().await;
    let outside = simulator.key(json!({ "name": "n", "limit": 1 })).await;
    let inside = simulator.key(json!({ "name": "n", "limit": 1, "include_byok_in_limit": true })).await;
    for key in [&outside, &inside] {
        simulator.provider.spend_byok(&key.hash, Nano::usd(1), simulator.provider.now(), DEAR).unwrap();
    }
    assert_eq!(simulator.chat(&outside.plaintext, FREE, 1).await.0, 200);
    assert_eq!(simulator.chat(&inside.plaintext, FREE, 1).await.0, 403);
    let read = simulator.read(&outside).await;
    assert_eq!((&read["byok_usage"], &read["usage"], &read["limit_remaining"]), (&json!(1), &json!(0), &json!(1)));
    let read = simulator.read(&inside).await;
    assert_eq!((&read["byok_usage_daily"], &read["limit_remaining"]), (&json!(1), &json!(0)));
    assert_eq!(simulator.get("/credits").await.1["data"]["total_usage"], 0);
}
