//! Stories of money that could be promised twice: a grant is revoked or a cap lowered while the last day's use has no reading. In
//! between the provider is down for ten minutes. Every invariant is judged after each step, and other students claim all the time
//! what seems to be free. In the end what is really free can be claimed.

mod drawn;
mod story;

use bursar_local::provider::Quirks;
use bursar_tests::seeds::{seeds, sized};
use fastrand::Rng;

use story::Story;

/// The provider's defaults, and in `long` drawn quirks too, with which only the invariants are judged.
fn providers() -> impl Iterator<Item = Quirks> {
    let drawn = (0..sized(0, 10)).map(|seed| Quirks::draw(&mut Rng::with_seed(seed)));
    std::iter::once(Quirks::default()).chain(drawn)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_budget_is_never_exceeded() {
    for seed in seeds(100, 1, 60) {
        let mut story = Story::begins(40, &Quirks::draw(&mut Rng::with_seed(seed))).await;
        story.invites(&["ada", "bob", "ben"], None).await;
        story.minutes(2, &["ada", "bob"]).await;
        for (name, dollars) in [("ada", 5), ("bob", 19)] {
            story.spends(name, dollars).await;
        }
        story.presses("ada", "replace").await;
        story.minutes(1, &["ben"]).await;
        story.spends("ada", 3).await;
        story.syncs().await;
        story.minutes(1, &["ben"]).await;
        story.campus.minutes(30);
        story.syncs().await;
        story.presses("bob", "replace").await;
        story.spends("bob", 1).await;
        story.campus.minutes(5 * 60);
        story.syncs().await;
        story.minutes(1, &["ben"]).await;
        assert!(!story.has_a_key("ben"), "nothing is free");
        story.campus.finish_faulted().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_during_an_outage_is_free_once_read() {
    for quirks in providers() {
        let mut story = Story::begins(40, &quirks).await;
        story.invites(&["ada", "bob"], None).await;
        story.all_claim().await;
        story.invites(&["ben"], None).await;
        story.a_day_passes_since_the_sync().await;
        let rule = story.goes_down();
        story.revokes("ada").await;
        story.minutes(5, &["ben"]).await;
        // The key still works, and its owner knows that.
        assert!(story.is_enabled("ada"));
        story.spends("ada", 19).await;
        story.minutes(5, &["ben"]).await;
        story.comes_up(rule);
        story.minutes(3, &["ben"]).await;
        story.what_is_free_is_given_back(&["ben"]).await;
        if story.is_plain {
            assert!(!story.is_enabled("ada") && !story.has_a_key("ben"));
            story.revokes("bob").await;
            story.what_is_free_is_given_back(&[]).await;
            assert!(story.presses("ben", "reveal").await);
        }
        story.campus.finish_faulted().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lower_cap_gives_back_what_is_not_spent() {
    for quirks in providers() {
        let mut story = Story::begins(50, &quirks).await;
        story.invites(&["ada"], Some("50")).await;
        story.all_claim().await;
        story.invites(&["ben"], Some("6")).await;
        story.invites(&["cid"], Some("5")).await;
        story.a_day_passes_since_the_sync().await;
        story.spends("ada", 45).await;
        assert!(story.caps("ada", "10").await == Some(303) || !story.is_plain);
        story.minutes(2, &["ben"]).await;
        let rule = story.goes_down();
        story.minutes(10, &["ben"]).await;
        story.comes_up(rule);
        story.what_is_free_is_given_back(&["ben"]).await;
        if story.is_plain {
            assert!(!story.has_a_key("ben"), "six are not free");
            assert!(story.presses("cid", "reveal").await, "five are");
        }
        story.campus.finish_faulted().await;
    }
}
