//! Orders: which go first, what failed, what is not confirmed yet, and the ways out of repeated failures.

use super::*;
use crate::domain::held::LATE;

fn off(story: &Story) -> Order {
    story.order(Epoch::new(1), OrderKind::Off).unwrap()
}

fn live() -> Story {
    let mut story = Story::live();
    story.after(2.hours());
    story
}

#[test]
fn leaks_and_revocations_are_most_urgent_then_disables_then_limits() {
    let urgency = |change: Change| change.grant.urgency().map(|(urgency, _)| urgency);
    let story = live();
    let (view, now) = (&story.view, story.now);
    assert_eq!(urgency(view.revoke(&faculty(), None, now).unwrap()), Some(Urgency::Leak));
    assert_eq!(urgency(view.stop(Stopped::Leaked, &Actor::Student, now).unwrap()), Some(Urgency::Leak));
    assert_eq!(urgency(view.hold(HoldKind::Paused, &faculty(), None, now).unwrap()), Some(Urgency::Disable));
    assert_eq!(urgency(view.set_cap(Some(Usd::CENT), &faculty(), None, now).unwrap()), Some(Urgency::Limit));
    assert_eq!(view.grant.urgency(), None);
}

#[test]
fn what_failed_is_due_later_each_time_up_to_an_hour_and_a_new_order_at_once() {
    let mut story = live();
    story.held(HoldKind::Paused);
    let mut waits = Vec::new();
    for _ in 0..9 {
        story.apply(story.view.put_off(&off(&story), story.now).unwrap());
        waits.push(off(&story).due.duration_since(story.now).as_mins());
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!(story.view.grant.urgency(), Some((Urgency::Disable, off(&story).due)));
    story.after(1.minute()).released(HoldKind::Paused);
    assert_eq!(story.order(Epoch::new(1), OrderKind::On).unwrap().due, story.now);
    let gone = Order { since: story.now - 1.hour(), ..story.order(Epoch::new(1), OrderKind::On).unwrap() };
    assert_eq!(story.view.put_off(&gone, story.now), Err(Unchanged), "an older one is not ordered any more");
}

#[test]
fn a_key_that_is_not_found_stays_ordered_and_is_believed_to_be_gone_by_nobody_at_once() {
    let mut story = live();
    story.revoked();
    let not_found = |story: &Story| story.view.not_found(Epoch::new(1), &hash('a'), story.now).unwrap();
    let first = story.now;
    story.apply(not_found(&story));
    assert_eq!(off(&story).due, first + SignedDuration::from_hours(1));
    assert!(!attempt(&story, 1).may_be_gone(first + BETWEEN_LOOKS - 1.second()));
    assert!(attempt(&story, 1).may_be_gone(first + BETWEEN_LOOKS));
    story.now += 1.hour();
    story.apply(not_found(&story));
    assert_eq!(attempt(&story, 1).missing_since, Some(first));
    story.disabled(Epoch::new(1));
    assert_eq!(attempt(&story, 1).missing_since, None, "it was there after all");

    let mut young = Story::live();
    young.apply(young.view.not_found(Epoch::new(1), &hash('a'), young.now).unwrap()).now += BETWEEN_LOOKS;
    assert!(!attempt(&young, 1).may_be_gone(young.now), "a replica may not know it yet");
}

#[test]
fn a_replacement_takes_an_enable_back_that_is_under_way_and_waits_until_it_can_come_no_more() {
    let mut story = live();
    story.held(HoldKind::Paused).disabled(Epoch::new(1)).released(HoldKind::Paused);
    assert_eq!(story.refused(KeyRequestKind::Replace), BeginRefused::EnableUnderWay { until: None });
    story.apply(story.view.take_enable_back(story.now).unwrap());
    assert_eq!(story.view.take_enable_back(story.now), Err(Unchanged));
    let until = Some(story.now + LATE);
    assert_eq!(story.refused(KeyRequestKind::Replace), BeginRefused::EnableUnderWay { until });
    assert_eq!(story.view.confirmed(&off(&story), story.now), Err(Unchanged), "the enable may come after this answer");
    story.after(LATE).shown(KeyRequestKind::Replace, 'b');
}

#[test]
fn before_a_key_is_switched_on_again_the_limit_is_sent_that_was_missed_while_it_was_held() {
    let mut story = live();
    story.held(HoldKind::Paused).disabled(Epoch::new(1));
    story.apply(story.view.set_cap(Some(Usd::from_dollars(5)), &faculty(), None, story.now).unwrap());
    story.released(HoldKind::Paused);
    let kinds: Vec<OrderKind> = story.view.grant.orders().into_iter().map(|order| order.kind).collect();
    assert_eq!(kinds, [OrderKind::Limit, OrderKind::On]);
    story.limited().enabled(Epoch::new(1));
    assert_eq!((attempt(&story, 1).limit, attempt(&story, 1).larger_limit), (Some(Usd::from_dollars(5)), None));
}

#[test]
fn presses_that_fail_again_and_again_wait_longer_and_are_forgotten_by_the_next_complete_sync() {
    let mut story = Story::new();
    let fail = |story: &mut Story| {
        let begun = story.begin(KeyRequestKind::Reveal);
        story.apply(story.view.give_up(&begun, AttemptFailure::Unknown, None, "no answer", story.now).unwrap());
    };
    let mut waits = Vec::new();
    for _ in 0..10 {
        fail(&mut story);
    }
    for _ in 0..9 {
        let BeginRefused::FailedOften { until } = story.refused(KeyRequestKind::Reveal) else { panic!("it may press") };
        waits.push(until.duration_since(story.now).as_secs());
        story.now = until;
        fail(&mut story);
    }
    assert_eq!(waits, [15, 30, 60, 120, 240, 480, 900, 900, 900]);
    story.now += GRACE;
    story.view.budget.counted_at = Some(story.now);
    story.begin(KeyRequestKind::Reveal);
    assert_eq!(story.view.grant.attempts.len(), 1);
}

#[test]
fn a_thousand_failed_attempts_end_a_grant_only_until_they_are_forgotten() {
    let mut story = Story::new();
    let failed = |number| Attempt {
        state: AttemptState::Refused,
        ..Attempt::open(Epoch::new(number), Nonce::random(), story.now)
    };
    story.view.grant.attempts = (1..=1000).map(failed).collect();
    story.view.grant.epoch = Epoch::new(1000);
    assert_eq!(story.refused(KeyRequestKind::Reveal), BeginRefused::TooManyAttempts);
    story.now += 49.hours();
    story.begin(KeyRequestKind::Reveal);
    assert_eq!(story.view.grant.attempts.len(), 1);
}

#[test]
fn a_key_of_an_attempt_that_was_forgotten_after_two_days_is_swept_all_the_same() {
    let mut story = Story::new();
    let begun = story.begin(KeyRequestKind::Reveal);
    story.apply(story.view.give_up(&begun, AttemptFailure::Unknown, None, "no answer", story.now).unwrap()).now +=
        48.hours();
    story.shown(KeyRequestKind::Reveal, 'b');
    assert_eq!(story.view.grant.attempt(Epoch::new(1)), None);
    story.apply(story.view.sweep(Epoch::new(1), &begun.nonce, &hash('a'), story.now).unwrap());
    assert_eq!(off(&story).key, hash('a'));
    assert_eq!(story.view.grant.state, GrantState::Live { key: hash('b') });
}
