//! A check that dies at any of its calls, and the run after it.

use std::future::pending;

use http::Method;
use serde_json::json;

use super::world::World;

#[tokio::test]
async fn whenever_the_check_is_killed_its_next_run_leaves_nothing_of_either() {
    let world = World::open().await;
    let others = world.of_others().await;
    let (mut calls, mut left) = (0, 0);
    loop {
        calls += 1;
        let whole = async {
            world.check().await;
        };
        if !world.killed_after(calls, whole).await {
            break;
        }
        let keys = world.keys_of_the_check();
        left += keys.len();
        for key in keys {
            let hours = key.expires_at.unwrap().duration_since(key.created_at).as_hours();
            assert!(
                key.limit.is_some_and(|limit| limit <= bursar_local::provider::Nano::CENT) && hours <= 1,
                "{key:?}"
            );
        }
        let findings = world.check().await;
        assert!(world.is_clean().await, "after {calls} calls\n{findings}");
        assert_eq!((&findings.ended_early, &findings.left), (&None, &None), "after {calls} calls");
        assert_eq!(world.of_others().await, others, "after {calls} calls");
    }
    eprintln!("provider_check::killed: killed after each of {} calls; {left} times a key was left", calls - 1);
    assert!(calls > 50 && left > 30, "{calls} calls, of which {left} left a key");
}

#[tokio::test]
async fn a_check_that_is_interrupted_takes_away_what_it_made_and_what_was_on_its_way() {
    let world = World::open().await;
    let others = world.of_others().await;
    // The account lists what is made a while later, and the answer to the new key never comes.
    world.answers(
        None,
        Some(|asked, told| {
            let since = asked.earlier.iter().skip_while(|call| !call.is(&Method::POST, "keys"));
            if asked.is(&Method::GET, "keys") && (1..6).contains(&since.count()) {
                told.body["data"] = json!([]);
            }
        }),
    );
    let mut calls = 0;
    loop {
        calls += 1;
        let findings = provider_check::check(&world.options(), world.closed_after(calls)).await.unwrap();
        assert!(world.is_clean().await, "after {calls} calls\n{findings}");
        if world.calls().iter().any(|call| call.is(&Method::POST, "keys")) {
            assert_eq!(findings.ended_early.as_deref(), Some("it was interrupted"));
            break;
        }
    }
    let count = provider_check::count_keys(&world.options(), world.closed_after(20)).await.unwrap();
    assert_eq!((count.failed.as_deref(), &count.left), (Some("it was interrupted"), &None));
    assert!(count.made > 0 && world.is_clean().await);
    assert_eq!(world.of_others().await, others);
}

#[tokio::test]
async fn whenever_a_count_of_keys_is_killed_the_next_check_takes_its_keys_away() {
    let world = World::open().await;
    for calls in [7, 20, 40, 60, 80, 100] {
        let whole = async {
            provider_check::count_keys(&world.options(), pending()).await.unwrap();
        };
        assert!(world.killed_after(calls, whole).await, "{calls}");
        assert!(!world.is_clean().await, "{calls}");
        world.check().await;
        assert!(world.is_clean().await, "{calls}");
    }
}
