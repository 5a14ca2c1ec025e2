//! Stories of money that could be promised twice: a grant is revoked or a cap lowered while the last day's use has
//! no reading. In between the provider is down for ten minutes. Every invariant is judged after each step, and
//! other students press all the time for what seems to be free. In the end what is really free can be claimed.

mod drawn;
mod story;

use bursar_local::provider::Quirks;
use bursar_tests::seeds::{seeds, sized};
use bursar_tests::stack::{self, Stack};
use fastrand::Rng;
use jiff::SignedDuration;

use story::Story;

/// Plays a story with the provider's defaults, and in `long` with drawn quirks too. With quirks only the invariants
/// are judged.
async fn played(story: impl AsyncFn(&Stack, &Quirks)) {
    let stack = stack::in_process().await.unwrap();
    story(&stack, &Quirks::default()).await;
    stack.finish_faulted().await;
    for seed in 0..sized(0, 10) {
        let quirks = Quirks::draw(&mut Rng::with_seed(seed));
        let stack = stack::in_process().await.unwrap();
        story(&stack, &quirks).await;
        stack.finish_faulted().await;
    }
}

/// Waits after a confirmation until a reading gives money back, and runs the sync that reads.
async fn what_is_free_is_given_back(story: &mut Story<'_>, wanting: &[&str]) {
    story.minutes(2, wanting).await;
    story.stack.clock.advance(SignedDuration::from_mins(17)).unwrap();
    story.minutes(1, wanting).await;
    story.syncs().await;
    story.minutes(1, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_provider_is_like_keys_that_are_claimed_replaced_and_synced_keep_to_a_full_pot() {
    for seed in seeds(100, 1, 60) {
        let quirks = Quirks::draw(&mut Rng::with_seed(seed));
        let stack = stack::in_process().await.unwrap();
        let mut story = Story::begins(&stack, 40, &quirks).await;
        story.invites(&["ada", "bob", "ben"], None).await;
        story.minutes(2, &["ada", "bob"]).await;
        for (name, dollars) in [("ada", 5), ("bob", 19)] {
            story.spends(name, dollars).await;
        }
        story.replaces("ada").await;
        story.minutes(1, &["ben"]).await;
        story.spends("ada", 3).await;
        story.syncs().await;
        story.minutes(1, &["ben"]).await;
        story.stack.clock.advance(SignedDuration::from_mins(30)).unwrap();
        story.syncs().await;
        story.replaces("bob").await;
        story.spends("bob", 1).await;
        story.stack.clock.advance(SignedDuration::from_hours(5)).unwrap();
        story.syncs().await;
        story.minutes(1, &["ben"]).await;
        assert!(!story.any_has_a_key(&["ben"]), "nothing is free: {}", story.told.join("\n"));
        stack.finish_faulted().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_students_one_is_revoked_with_18_dollars_unread_and_another_may_not_claim_them() {
    let stack = stack::in_process().await.unwrap();
    let mut story = Story::begins(&stack, 20 * sized(6, 50), &Quirks::default()).await;
    let names: Vec<String> = (0..sized(6, 50)).map(|number| format!("student-{number:02}")).collect();
    story.invites(&names.iter().map(String::as_str).collect::<Vec<_>>(), None).await;
    story.all_claim().await;
    story.invites(&["ben"], None).await;
    story.a_day_passes_since_the_sync().await;
    story.spends("student-00", 18).await;
    story.revokes("student-00").await;
    story.minutes(2, &["ben"]).await;
    story.down_for_ten_minutes(&["ben"]).await;
    what_is_free_is_given_back(&mut story, &["ben"]).await;
    assert!(!story.claims("ben").await, "two dollars are free: {}", story.told.join("\n"));
    // A student who spent nothing leaves the whole cap.
    story.revokes("student-01").await;
    what_is_free_is_given_back(&mut story, &[]).await;
    assert!(story.claims("ben").await, "{}", story.told.join("\n"));
    // With all keys confirmed, no function calls the provider while it is down.
    stack.finish_faulted().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_is_revoked_while_the_provider_is_down_gives_nothing_back_before_it_was_read() {
    played(async |stack, quirks| {
        let mut story = Story::begins(stack, 40, quirks).await;
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
        what_is_free_is_given_back(&mut story, &["ben"]).await;
        if story.is_plain {
            assert!(!story.is_enabled("ada") && !story.any_has_a_key(&["ben"]), "{}", story.told.join("\n"));
            story.revokes("bob").await;
            what_is_free_is_given_back(&mut story, &[]).await;
            assert!(story.claims("ben").await, "{}", story.told.join("\n"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_of_50_that_becomes_10_with_45_dollars_unread_gives_back_five() {
    played(async |stack, quirks| {
        let mut story = Story::begins(stack, 50, quirks).await;
        story.invites(&["ada"], Some("50")).await;
        story.all_claim().await;
        story.invites(&["ben"], Some("6")).await;
        story.invites(&["cid"], Some("5")).await;
        story.a_day_passes_since_the_sync().await;
        story.spends("ada", 45).await;
        let status = story.caps("ada", "10").await;
        assert!(status == 303 || !story.is_plain, "{status}");
        story.minutes(2, &["ben"]).await;
        story.down_for_ten_minutes(&["ben"]).await;
        what_is_free_is_given_back(&mut story, &["ben"]).await;
        if story.is_plain {
            assert!(!story.any_has_a_key(&["ben"]), "six are not free: {}", story.told.join("\n"));
            assert!(story.claims("cid").await, "five are: {}", story.told.join("\n"));
        }
    })
    .await;
}
