//! What is told first, what failed, what is not confirmed yet, and the ways out of repeated failures.

use super::*;
use crate::domain::held::LATE;
use crate::domain::values::window::Reset;

fn live() -> Story {
    let mut story = Story::live();
    story.after(2.hours());
    story
}

/// Leaks and revocations are most urgent, then disables, then limits.
#[test]
fn leaks_are_most_urgent() {
    let story = live();
    let view = &story.view;
    let now = story.now;
    let due = |change: Change| {
        let grant = change.counted(view, now).grant;
        (grant.urgency(), grant.due_at)
    };
    assert_eq!(due(view.revoke(&faculty(), None).unwrap()), (Urgency::Leak, Some(now)));
    assert_eq!(due(view.stop(Stopped::Leaked, &Actor::Student).unwrap()), (Urgency::Leak, Some(now)));
    assert_eq!(due(view.hold(HoldKind::Paused, &faculty(), None, now).unwrap()), (Urgency::Disable, Some(now)));
    assert_eq!(due(view.set_cap(Some(Usd::CENT), &faculty(), None, now).unwrap()), (Urgency::Limit, Some(now)));
    assert_eq!(due(view.allow(&faculty()).unwrap()), (Urgency::Read, None));
}

/// A failed call is due later each time, up to an hour, and an act by a person is due at once.
#[test]
fn failed_calls_wait_longer() {
    let mut story = live();
    let put_off = |story: &mut Story| {
        story.apply(story.view.put_off(story.now).unwrap());
        story.view.grant.due_at.unwrap().duration_since(story.now).as_mins()
    };
    story.held(HoldKind::Paused);
    let waits: Vec<i128> = (0..9).map(|_| i128::from(put_off(&mut story))).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    story.after(1.minute()).released(HoldKind::Paused).revoked();
    assert_eq!(story.view.grant.due_at, Some(story.now));
    assert_eq!([put_off(&mut story), put_off(&mut story)], [1, 1], "what was revoked waits for nobody");
    story.disabled(1);
    assert_eq!((story.view.grant.backoff, story.view.grant.due_at), (None, Some(story.now + SETTLING)));
}

#[test]
fn what_is_due_keeps_its_place_and_what_is_settled_has_none() {
    let mut story = live();
    story.view.settings_mut().allowance.cap = Usd::from_dollars(10);
    let since = story.now;
    story.apply(story.view.refresh_due(story.now).unwrap());
    story.after(1.hour());
    assert_eq!((story.view.grant.due_at, story.view.refresh_due(story.now)), (Some(since), Err(Unchanged)));
    story.view.settings_mut().allowance.cap = Usd::from_dollars(20);
    story.apply(story.view.refresh_due(story.now).unwrap());
    assert_eq!(story.view.grant.due_at, None);
}

/// What is due now waits for its time even where the provider answered before, and did not say what was used.
#[test]
fn a_reading_that_is_due_is_put_off() {
    let mut story = live();
    story.revoked();
    let (off, noted) = story.sent(1, |tell| *tell == Tell::Off);
    let silent = Answered { is_read: false, ..read_answer(noted) };
    story.apply(story.view.answered(&off, silent, story.now).unwrap());
    assert_eq!(story.due(1), [Tell::Read]);
    story.apply(story.view.put_off(story.now).unwrap());
    assert_eq!(story.view.grant.due_at, Some(story.now + 1.minute()));
}

/// What other keys used in this window makes the limit smaller until the window turns, while the programme runs.
#[test]
fn the_turn_of_a_window_is_due() {
    let mut story = live();
    story.view.settings_mut().basis.reset = Reset::Monthly;
    story.looked_at().reading(1, 5_000_000);
    assert_eq!(story.view.next_due(story.now), None, "its own use makes no limit smaller");
    story.shown(KeyRequestKind::Replace, 'b').read_at_last(1, 5_000_000);
    let turn = Reset::Monthly.resets_at(story.now);
    assert_eq!(story.view.next_due(story.now), turn);
    let mut off = story.clone();
    off.held(HoldKind::Paused).disabled(2).read_at_last(2, 0);
    assert_eq!(off.view.next_due(off.now), None, "no key is to hold a limit");
    std::sync::Arc::make_mut(&mut story.view.programme).closed_at = Some(story.now);
    assert_eq!(story.view.next_due(story.now), None);
}

/// Only an answer that shows the key off, and what it used, begins its final reading.
#[test]
fn a_final_reading_begins_once_the_key_is_seen_off() {
    let mut story = live();
    story.revoked();
    story.sent(1, |tell| *tell == Tell::Off);
    for (enabled, is_read) in [(true, true), (false, false)] {
        let shows = SeenKey { is_read, ..listed(enabled, 20, story.now) };
        let grant = story.seen('a', &shows).map_or_else(|Unchanged| story.view.grant.clone(), |change| change.grant);
        assert_eq!(grant.keys[0].final_reading, Some(FinalReading::OnceOff));
    }
}

/// Another limit of a key that is not in use concerns nobody.
#[test]
fn a_limit_of_an_old_key_is_no_finding() {
    let mut story = live();
    story.shown(KeyRequestKind::Replace, 'b').after(2.hours());
    let found = |key: char| story.seen(key, &listed(true, 7, story.now)).is_ok_and(|change| change.audit().is_some());
    assert_eq!([found('a'), found('b')], [false, true]);
}

/// A single answer that a key was not found is never taken as proof that it is gone.
#[test]
fn one_404_proves_nothing() {
    let mut story = live();
    story.revoked();
    let not_found = |story: &Story| story.view.not_found(&hash('a'), story.now);
    let first = story.now;
    story.apply(not_found(&story).unwrap());
    assert_eq!(story.due(1), [Tell::Off], "it is told again");
    assert_eq!(key(&story, 1).missing_until(story.now), Some(first + 1.hour()));
    assert_eq!(not_found(story.after(1.hour())), Err(Unchanged));
    story.disabled(1);
    assert_eq!(key(&story, 1).missing_since, None, "it was there after all");

    let mut young = Story::live();
    young.apply(not_found(&young).unwrap());
    assert_eq!(
        key(&young, 1).missing_until(young.now),
        Some(young.now + 10.seconds()),
        "a replica may not know it yet"
    );
    assert!(young.press(KeyRequestKind::Replace).is_ok());

    let shows = listed(true, 20, young.now);
    let known = young.view.shown(&hash('a'), &shows, young.now).unwrap();
    assert_eq!(young.clone().apply(known).view.grant.keys[0].missing_since, None, "any answer that knows it says so");

    let mut replaced = live();
    replaced.apply(not_found(&replaced).unwrap());
    let until = replaced.now + 1.hour();
    assert_eq!(replaced.refused(KeyRequestKind::Replace), BeginRefused::KeyMissing { until });
    replaced.now = until;
    assert!(replaced.press(KeyRequestKind::Replace).is_ok(), "it is asked again");
}

/// A replacement waits until an enable that got no answer can no longer arrive.
#[test]
fn replacing_awaits_an_enable() {
    let mut story = live();
    story.held(HoldKind::Paused).disabled(1).released(HoldKind::Paused);
    assert!(story.press(KeyRequestKind::Replace).is_ok(), "nothing was sent");
    let on = story.sent(1, |tell| *tell == Tell::On);
    let until = story.now + LATE;
    assert_eq!(story.refused(KeyRequestKind::Replace), BeginRefused::EnableUnderWay { until });
    assert!(story.clone().answered(&on).press(KeyRequestKind::Replace).is_ok(), "it came");
    story.after(LATE).begin(KeyRequestKind::Replace);
    story.disabled(1);
    assert!(key(&story, 1).enabled.is(&false));
}

/// An answer that comes after the opposite was sent confirms nothing.
#[test]
fn late_answers_confirm_nothing() {
    let mut story = live();
    let off = story.held(HoldKind::Paused).sent(1, |tell| *tell == Tell::Off);
    let on = story.after(1.second()).released(HoldKind::Paused).sent(1, |tell| *tell == Tell::On);
    // The enable is answered first, so the disable may have reached the provider before it or after.
    story.answered(&on).answered(&off);
    let on = &key(&story, 1).enabled;
    assert!(on.may_be(&true) && on.may_be(&false));
    assert_eq!((story.due(1), story.view.next_due(story.now)), (vec![], Some(off.1 + LATE)));
    assert_eq!(story.after(LATE).enabled(1).due(1), []);
    assert!(key(&story, 1).enabled.is(&true));
}

#[test]
fn a_smaller_limit_is_confirmed_with_the_use() {
    let mut story = live();
    story.apply(story.view.set_cap(Some(Usd::from_dollars(5)), &faculty(), None, story.now).unwrap());
    story.sent(1, |tell| matches!(tell, Tell::Limit(_)));
    story.after(1.minute());
    let silent = SeenKey { is_read: false, ..listed(true, 5, story.now) };
    assert_eq!(story.view.shown(&hash('a'), &silent, story.now), Err(Unchanged));
    assert_eq!(story.cost(), Usd::from_dollars(20));
    story.apply(story.view.shown(&hash('a'), &listed(true, 5, story.now), story.now).unwrap());
    assert_eq!(story.cost(), Usd::from_dollars(5));
}

/// Claims that fail repeatedly wait longer each time and leave nothing behind.
#[test]
fn failing_claims_wait_longer() {
    let mut story = Story::new();
    let fail = |story: &mut Story| {
        let begun = story.begin(KeyRequestKind::Reveal);
        story.apply(story.view.give_up(&begun, None, "no answer", story.now).unwrap());
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
    assert_eq!(waits, [15, 30, 60, 120, 240, 480, 600, 600, 600]);
    assert!(story.view.grant.keys.is_empty());
    story.after(10.minutes()).shown(KeyRequestKind::Reveal, 'a').begin(KeyRequestKind::Replace);
}
