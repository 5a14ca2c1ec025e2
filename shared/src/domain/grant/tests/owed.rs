//! What is told first, what failed, what is not confirmed yet, and the ways out of repeated
//! failures.

use super::*;
use crate::domain::held::LATE;

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
    assert_eq!(
        due(view.revoke(&faculty(), None).unwrap()),
        (Urgency::Leak, Some(now))
    );
    assert_eq!(
        due(view.stop(Stopped::Leaked, &Actor::Student).unwrap()),
        (Urgency::Leak, Some(now))
    );
    assert_eq!(
        due(view.hold(HoldKind::Paused, &faculty(), None, now).unwrap()),
        (Urgency::Disable, Some(now))
    );
    assert_eq!(
        due(view
            .set_cap(Some(Usd::CENT), &faculty(), None, now)
            .unwrap()),
        (Urgency::Limit, Some(now))
    );
    assert_eq!(due(view.allow(&faculty()).unwrap()), (Urgency::Read, None));
}

/// A failed call is due later each time, up to an hour, and an act by a person is due at once.
#[test]
fn failed_calls_wait_longer() {
    let mut story = live();
    let put_off = |story: &mut Story| {
        story.apply(story.view.put_off(story.now).unwrap());
        story
            .view
            .grant
            .due_at
            .unwrap()
            .duration_since(story.now)
            .as_mins()
    };
    story.hold(HoldKind::Paused);
    let waits: Vec<i128> = (0..9).map(|_| i128::from(put_off(&mut story))).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    story.after(1.minute()).release(HoldKind::Paused).revoke();
    assert_eq!(story.view.grant.due_at, Some(story.now));
    assert_eq!(
        [put_off(&mut story), put_off(&mut story)],
        [1, 1],
        "what was revoked waits for nobody"
    );
    story.disable(1);
    assert_eq!(
        (story.view.grant.backoff, story.view.grant.due_at),
        (None, Some(story.now + SETTLING))
    );
}

#[test]
fn what_is_due_keeps_its_place_and_what_is_settled_has_none() {
    let mut story = live();
    story.view.settings_mut().allowance.cap = Usd::from_dollars(10);
    let since = story.now;
    story.apply(story.view.refresh_due(story.now).unwrap());
    story.after(1.hour());
    assert_eq!(
        (story.view.grant.due_at, story.view.refresh_due(story.now)),
        (Some(since), Err(Unchanged))
    );
    story.view.settings_mut().allowance.cap = Usd::from_dollars(20);
    story.apply(story.view.refresh_due(story.now).unwrap());
    assert_eq!(story.view.grant.due_at, None);
}

/// What is due now waits for its time even where the provider answered before, and did not say what
/// was used.
#[test]
fn a_reading_that_is_due_is_put_off() {
    let mut story = live();
    story.revoke();
    let (off, noted) = story.send(1, is_off);
    let silent = Answered {
        is_read: false,
        ..read_answer(noted)
    };
    story.apply(story.view.answered(&off, silent, story.now).unwrap());
    assert_eq!(story.due(1), [Tell::Read]);
    story.apply(story.view.put_off(story.now).unwrap());
    assert_eq!(story.view.grant.due_at, Some(story.now + 1.minute()));
}

/// What other keys used in this window makes the limit smaller until the window turns, while the
/// programme runs.
#[test]
fn the_turn_of_a_window_is_due() {
    let mut story = live();
    story.view.settings_mut().basis.reset = Reset::Monthly;
    story.look().read(1, 5_000_000);
    assert_eq!(
        story.view.next_due(story.now),
        None,
        "its own use makes no limit smaller"
    );
    story
        .show(KeyRequestKind::Replace, 'b')
        .read_at_last(1, 5_000_000);
    assert_eq!(
        story.view.next_due(story.now),
        Reset::Monthly.resets_at(story.now)
    );
    let mut off = story.clone();
    off.hold(HoldKind::Paused).disable(2).read_at_last(2, 0);
    assert_eq!(
        off.view.next_due(off.now),
        None,
        "no key is to hold a limit"
    );
    std::sync::Arc::make_mut(&mut story.view.programme).closed_at = Some(story.now);
    assert_eq!(story.view.next_due(story.now), None);
}

/// Only an answer that shows the key off, and what it used, begins its final reading.
#[test]
fn a_final_reading_begins_once_the_key_is_seen_off() {
    let mut story = live();
    story.revoke();
    story.send(1, is_off);
    for (enabled, is_read) in [(true, true), (false, false)] {
        let shows = SeenKey {
            is_read,
            ..listed(enabled, 20, story.now)
        };
        let mut seen = story.clone();
        if let Ok(change) = story.seen('a', &shows) {
            seen.apply(change);
        }
        assert_eq!(key(&seen, 1).final_reading, Some(FinalReading::OnceOff));
    }
}

/// Another limit of a key that is not in use concerns nobody.
#[test]
fn a_limit_of_an_old_key_is_no_finding() {
    let mut story = live();
    story.show(KeyRequestKind::Replace, 'b').after(2.hours());
    let found = |key: char| {
        story
            .seen(key, &listed(true, 7, story.now))
            .is_ok_and(|change| change.audit().is_some())
    };
    assert_eq!([found('a'), found('b')], [false, true]);
}

/// A single answer that a key was not found is never taken as proof: a replica may not know a young
/// key yet. Any answer with the key ends the doubt.
#[test]
fn one_404_proves_nothing() {
    let mut revoked = live();
    revoked.revoke().miss('a').note("not found").after(1.hour());
    revoked
        .note_refusal("again", revoked.view.not_found(&hash('a'), revoked.now))
        .disable(1);
    let mut young = Story::live();
    young.miss('a').clone().begin(KeyRequestKind::Replace);
    let until = key(&young, 1).search_ends_at(young.now);
    assert_eq!(until, Some(young.now + 10.seconds()));
    young.apply(
        young
            .view
            .shown(&hash('a'), &listed(true, 20, young.now), young.now)
            .unwrap(),
    );
    assert_eq!(
        [&revoked, &young].map(|story| key(story, 1).missing_since),
        [None, None],
        "it was there after all"
    );
    let mut replaced = live();
    replaced
        .miss('a')
        .press_in_vain(KeyRequestKind::Replace)
        .after(1.hour())
        .begin(KeyRequestKind::Replace);
    insta::assert_snapshot!(join_notes(&[revoked, replaced]), @"
    not found: revoked, a on; tell a Off; $20 of $20
    again: Unchanged

    Replace: KeyMissing { until: 2026-01-01T04:00:00Z }
    ");
}

/// A replacement waits until an enable that got no answer can no longer arrive.
#[test]
fn replacing_awaits_an_enable() {
    let mut story = live();
    story
        .hold(HoldKind::Paused)
        .disable(1)
        .release(HoldKind::Paused)
        .clone()
        .begin(KeyRequestKind::Replace);
    let on = story.send(1, is_on);
    story
        .press_in_vain(KeyRequestKind::Replace)
        .clone()
        .answer(&on)
        .begin(KeyRequestKind::Replace);
    story.after(LATE).begin(KeyRequestKind::Replace);
    insta::assert_snapshot!(story.note("begun").disable(1).note("off").notes(), @"
    Replace: EnableUnderWay { until: 2026-01-01T03:01:20Z }
    begun: stopped (Replacing), a on or off; tell a Off; $20 of $20
    off: stopped (Replacing), a off; tell a Read in 15m; $20 of $20
    ");
}

/// An answer that comes after the opposite was sent confirms nothing: the disable may have reached
/// the provider before the enable or after.
#[test]
fn late_answers_confirm_nothing() {
    let mut story = live();
    let off = story.hold(HoldKind::Paused).send(1, is_off);
    let on = story
        .after(1.second())
        .release(HoldKind::Paused)
        .send(1, is_on);
    story
        .answer(&on)
        .answer(&off)
        .note("the enable is answered first")
        .after(LATE)
        .enable(1)
        .note("told again");
    insta::assert_snapshot!(story.notes(), @"
    the enable is answered first: live, a on or off; tell a On in 1m 19s; $20 of $20
    told again: live, a on; $20 of $20
    ");
}

#[test]
fn a_smaller_limit_is_confirmed_with_the_use() {
    let mut story = live();
    story.set_cap(5).send(1, is_limit);
    story.after(1.minute());
    for is_read in [false, true] {
        let seen = SeenKey {
            is_read,
            ..listed(true, 5, story.now)
        };
        if let Ok(change) = story.view.shown(&hash('a'), &seen, story.now) {
            story.apply(change);
        }
        story.note(if is_read { "with the use" } else { "without" });
    }
    insta::assert_snapshot!(story.notes(), @"
    without: live, a on; tell a Limit($5.000000); $20 of $20
    with the use: live, a on; $5 of $20
    ");
}

/// Claims that fail repeatedly wait longer each time and leave nothing behind.
#[test]
fn failing_claims_wait_longer() {
    let mut story = Story::new();
    let mut waits = Vec::new();
    for _ in 0..10 {
        story.fail();
    }
    for _ in 0..9 {
        let BeginRefused::FailedOften { until } = story.refused(KeyRequestKind::Reveal) else {
            panic!("it may press")
        };
        waits.push(until.duration_since(story.now).as_secs());
        story.now = until;
        story.fail();
    }
    assert_eq!(waits, [15, 30, 60, 120, 240, 480, 600, 600, 600]);
    assert!(story.view.grant.keys.is_empty());
    story
        .after(10.minutes())
        .show(KeyRequestKind::Reveal, 'a')
        .begin(KeyRequestKind::Replace);
}
