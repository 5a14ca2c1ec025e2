//! A check that dies at any of its calls, and the run after it.

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
async fn a_check_that_is_interrupted_can_take_away_what_it_made_at_once() {
    let world = World::open().await;
    let others = world.of_others().await;
    let whole = async {
        world.check().await;
    };
    assert!(world.killed_after(30, whole).await);
    assert!(!world.is_clean().await);
    let taken_away = provider_check::take_away(&world.options()).await.unwrap();
    assert!(!taken_away.is_empty() && world.is_clean().await, "{taken_away:?}");
    assert_eq!(world.of_others().await, others);
}

#[tokio::test]
async fn whenever_a_count_of_keys_is_killed_the_next_check_takes_its_keys_away() {
    let world = World::open().await;
    for calls in [7, 20, 40, 60, 80, 100] {
        let whole = async {
            provider_check::count_keys(&world.options()).await.unwrap();
        };
        assert!(world.killed_after(calls, whole).await, "{calls}");
        assert!(!world.is_clean().await, "{calls}");
        world.check().await;
        assert!(world.is_clean().await, "{calls}");
    }
}
