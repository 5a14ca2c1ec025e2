//! What the provider shows against what is recorded: keys to be disabled again, found disabled or
//! gone, limits, deleted keys.

use super::*;
use crate::domain::audit::AuditDetail;
use crate::domain::held::LATE;

impl Story {
    /// Applies a change from a listing and notes it with its audit, or notes its absence.
    fn note_change<R>(&mut self, words: &str, change: Result<Change, R>) -> &mut Story {
        let Ok(change) = change else {
            self.notes.push(format!("{words}: unchanged"));
            return self;
        };
        if let Some(AuditDetail {
            act,
            old_value,
            new_value,
            ..
        }) = change.audit()
        {
            self.notes.push(format!(
                "{:?}, {act:?}: {old_value:?}, {new_value:?}",
                change.actor
            ));
        }
        self.apply(change).note(words)
    }

    fn see_enabled(&mut self, words: &str, key: char, asked: Moment) -> &mut Story {
        self.note_change(words, self.seen(key, &listed(true, 20, asked)))
    }

    fn find_off(&mut self, words: &str, key: char) -> &mut Story {
        self.note_change(
            words,
            self.view.record_disabled(
                self.view.grant.version,
                &hash(key),
                self.now,
                false,
                self.now,
            ),
        )
    }

    fn find_gone(&mut self, words: &str, key: char) -> &mut Story {
        self.note_change(words, self.view.record_gone(&hash(key), self.now))
    }
}

/// A key that is listed as enabled and must not be is disabled again.
#[test]
fn a_wrong_enable_is_undone() {
    let mut story = Story::live();
    story
        .see_enabled("it is the live one", 'a', story.now)
        .hold(HoldKind::Paused);
    story
        .see_enabled("it is to be off already", 'a', story.now)
        .note("paused");
    let before = story.now;
    story
        .after(1.minute())
        .disable(1)
        .after(1.hour())
        .see_enabled("it was disabled since", 'a', before);
    story.see_enabled("another key bears its name", 'b', story.now);
    story.see_enabled("on", 'a', story.now);
    insta::assert_snapshot!(story.see_enabled("again", 'a', story.now).notes(), @"
    it is the live one: unchanged
    it is to be off already: unchanged
    paused: live, paused, a on; tell a Off; $20 of $20
    it was disabled since: unchanged
    another key bears its name: unchanged
    on: live, paused, a on; tell a Off; $20 of $20
    again: unchanged
    ");
}

/// A key found disabled stops its grant, but not where a call of ours may have disabled it.
#[test]
fn a_disable_stops_the_grant() {
    let mut story = Story::live();
    story.find_off("it was only just made", 'a').after(LATE);
    let in_copy = story
        .view
        .record_disabled(
            story.view.grant.version,
            &hash('a'),
            story.now,
            true,
            story.now,
        )
        .unwrap();
    assert_eq!(in_copy.grant.to_string(), "stopped, paused");
    story.hold(HoldKind::Paused).find_off("it is held", 'a');
    let off = story.send(1, is_off);
    story
        .release(HoldKind::Paused)
        .find_off("the disable may have come", 'a')
        .answer(&off)
        .enable(1);
    story
        .after(SignedDuration::from_secs(79))
        .find_off("an earlier call may come yet", 'a')
        .after(1.second());
    story
        .find_off("another key", 'b')
        .find_off("found", 'a')
        .find_off("again", 'a');
    insta::assert_snapshot!(story.notes(), @r#"
    it was only just made: unchanged
    it is held: unchanged
    the disable may have come: unchanged
    an earlier call may come yet: unchanged
    another key: unchanged
    Sync, Stopped: Some("live"), Some("stopped")
    found: stopped (GoneAtProvider), a off; tell a Read in 15m; $20 of $20
    again: unchanged
    "#);
}

/// No calls are made for a missing key, and a grant that was live with it is stopped.
#[test]
fn a_lost_key_stops_its_grant() {
    let mut story = Story::live();
    story
        .after(1.hour())
        .show(KeyRequestKind::Replace, 'b')
        .find_gone("the provider knows it", 'a')
        .after(1.hour());
    story
        .miss('a')
        .miss('b')
        .after(59.minutes())
        .find_gone("one answer may be wrong", 'a')
        .after(1.minute());
    story
        .find_gone("a retired key is only marked", 'a')
        .find_gone("again", 'a')
        .find_gone("the live one", 'b')
        .revoke();
    story.note("nothing is asked for what is gone");
    story.see_enabled("what is listed enabled is not gone", 'b', story.now);
    let absences = story.view.grant.keys.iter().map(|key| key.gone);
    assert_eq!(Vec::from_iter(absences), [Some(KeyAbsence::Missing), None]);
    insta::assert_snapshot!(story.notes(), @r#"
    the provider knows it: unchanged
    one answer may be wrong: unchanged
    a retired key is only marked: live, a off, b on; $20 of $20
    again: unchanged
    Sync, Stopped: Some("live"), Some("stopped")
    the live one: stopped (GoneAtProvider), a off, b on; $20 of $20
    nothing is asked for what is gone: revoked, a off, b on; $0 of $20
    what is listed enabled is not gone: revoked, a off, b on; tell b Off; $20 of $40
    "#);
}

#[test]
fn a_limit_that_nobody_here_sent_is_told_and_set_again() {
    let mut story = Story::live();
    let seen = |story: &Story, limit| {
        story.seen(
            'a',
            &SeenKey {
                limit,
                ..listed(true, 0, story.now)
            },
        )
    };
    let thirty = ListedLimit::Limit(Usd::from_dollars(30));
    let within_a_cent = ListedLimit::Limit(Usd::from_micros(20_009_999));
    story
        .note_change("it was only just made", seen(&story, thirty))
        .after(LATE);
    for limit in [ListedLimit::Limit(Usd::from_dollars(20)), within_a_cent] {
        story.note_change("as it was sent", seen(&story, limit));
    }
    for limit in [
        thirty,
        ListedLimit::Unlimited,
        ListedLimit::CountedOtherwise,
    ] {
        let mut found = story.clone();
        found.notes.clear();
        found.note_change("found", seen(&story, limit));
        found
            .note_change("again", seen(&found, limit))
            .limit()
            .note("set");
        story.notes.push(found.notes());
    }
    insta::assert_snapshot!(story.notes(), @r#"
    it was only just made: unchanged
    as it was sent: unchanged
    as it was sent: unchanged
    Sync, LimitFound: Some("20.000000"), Some("30.000000")
    found: live, a on; tell a Limit($20.000000); $20 of $20
    again: unchanged
    set: live, a on; $20 of $20
    Sync, LimitFound: Some("20.000000"), Some("none")
    found: live, a on; tell a Limit($20.000000); $20 of $20
    again: unchanged
    set: live, a on; $20 of $20
    Sync, LimitFound: Some("20.000000"), Some("counted otherwise")
    found: live, a on; tell a Limit($20.000000); $20 of $20
    again: unchanged
    set: live, a on; $20 of $20
    "#);
}

/// Use by other keys lowers the limit until the window turns, but never below a cent.
#[test]
fn other_use_lowers_the_limit() {
    let mut story = Story::new();
    story
        .set_reset(Reset::Daily)
        .read(1, 0)
        .show(KeyRequestKind::Reveal, 'a')
        .after(1.hour());
    story.show(KeyRequestKind::Replace, 'b');
    assert_eq!(
        story.view.next_due(story.now),
        Some(story.now + SETTLING),
        "nothing but a last look"
    );
    story
        .read(1, 5_000_000)
        .note("five used")
        .limit()
        .read_at_last(1, 5_000_000)
        .note("confirmed");
    let turn = Reset::Daily.resets_at(story.now);
    assert_eq!(story.view.next_due(story.now), turn);
    let mut tomorrow = Story {
        now: turn.unwrap(),
        notes: Vec::new(),
        ..story.clone()
    };
    story.read(1, 21_000_000).note("all used");
    assert_eq!(
        story.view.next_limit(story.now),
        None,
        "and no other key is made"
    );
    insta::assert_snapshot!([story.notes(), tomorrow.note("tomorrow").notes()].join("\n"), @"
    five used: live, a off, b on; tell b Limit($15.000000); tell a Read in 15m; $2,005 of $2,000
    confirmed: live, a off, b on; $2,000 of $2,000
    all used: live, a off, b on; tell b Limit($0.010000); $2,016 of $2,000
    tomorrow: live, a off, b on; tell b Limit($20.000000); $1,985 of $2,000
    ");
}

/// Keys may be deleted two days after their last reading if the grant was revoked, after ninety if
/// it ended.
#[test]
fn old_keys_may_be_deleted() {
    let hours = SignedDuration::from_hours;
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let may = |story: &Story, restored| story.view.may_purge(key(story, 1), restored, story.now);
    let mut story = Story::live();
    assert!(!may(story.after(days(200)), None), "it is live");
    assert!(
        !may(story.revoke().after(days(1)), None),
        "nobody has answered its disable"
    );
    assert!(
        !may(story.disable(1).after(days(3)), None),
        "it is not read for the last time"
    );
    assert!(!may(
        story.read_at_last(1, 1_000_000).after(hours(47)),
        None
    ));
    assert!(may(story.after(hours(1)), None));
    assert!(!may(&story, Some(story.now - days(89))) && may(&story, Some(story.now - days(90))));
    story.apply(story.view.record_purge(&hash('a')).unwrap());
    assert_eq!(
        (key(&story, 1).gone, may(&story, None)),
        (Some(KeyAbsence::Purged), false)
    );
    assert_eq!(
        story.view.not_found(&hash('a'), story.now),
        Err(Unchanged),
        "purged, not missing"
    );

    let mut ended = Story::live();
    ended.end().disable(1).read_at_last(1, 0);
    assert!(!may(ended.after(days(89)), None) && may(ended.after(days(1)), None));
}
