//! What the provider shows against what is recorded: keys to be disabled again, found disabled or gone, limits, deleted keys.

use super::*;
use crate::domain::audit::Act;
use crate::domain::held::LATE;
use crate::domain::values::window::Reset;

/// A key that is listed as enabled and must not be is disabled again.
#[test]
fn a_wrong_enable_is_undone() {
    let mut story = Story::live();
    let seen = |story: &Story, asked| story.seen('a', &listed(true, 20, asked));
    assert_eq!(seen(&story, story.now), Err(Unchanged), "it is the live one");
    story.held(HoldKind::Paused);
    assert_eq!((seen(&story, story.now), story.due(1)), (Err(Unchanged), vec![Tell::Off]), "it is to be off already");
    let before = story.now;
    story.after(1.minute()).disabled(1).after(1.hour());
    assert_eq!(seen(&story, before), Err(Unchanged), "it was disabled since");
    assert_eq!(story.seen('b', &listed(true, 20, story.now)), Err(Unchanged), "another key bears its name");
    story.apply(seen(&story, story.now).unwrap());
    assert_eq!(story.due(1), [Tell::Off]);
    assert_eq!(seen(&story, story.now), Err(Unchanged));
}

/// A key found disabled stops its grant, but not where a call of ours may have disabled it.
#[test]
fn a_disable_stops_the_grant() {
    let mut story = Story::live();
    let found = |story: &Story| {
        let version = story.view.grant.version;
        story.view.found_disabled(version, &hash('a'), story.now, false, story.now)
    };
    assert_eq!(found(&story), Err(Unchanged), "it was only just made");
    story.after(LATE);
    let change = found(&story).unwrap();
    assert_eq!(change.grant.state, GrantState::Stopped { why: Stopped::GoneAtProvider });
    assert_eq!((change.actor.clone(), change.audit().unwrap().act), (Actor::Sync, Act::Stopped));
    let in_copy = story.view.found_disabled(story.view.grant.version, &hash('a'), story.now, true, story.now).unwrap();
    assert_eq!((change.grant.to_string(), in_copy.grant.to_string()), ("stopped".into(), "stopped, paused".into()));

    story.held(HoldKind::Paused);
    assert_eq!(found(&story), Err(Unchanged), "it is held");
    let off = story.sent(1, |tell| *tell == Tell::Off);
    story.released(HoldKind::Paused);
    assert_eq!(found(&story), Err(Unchanged), "the disable may have come");
    story.answered(&off).enabled(1).after(SignedDuration::from_secs(79));
    assert_eq!(found(&story), Err(Unchanged), "an earlier call may come yet");
    story.after(1.second());
    story.apply(found(&story).unwrap());
    assert_eq!((found(&story), story.due(1)), (Err(Unchanged), Vec::new()));
    let version = story.view.grant.version;
    let other = story.view.found_disabled(version, &hash('b'), story.now, false, story.now);
    assert_eq!(other, Err(Unchanged));
}

/// No calls are made for a missing key, and a grant that was live with it is stopped.
#[test]
fn a_lost_key_stops_its_grant() {
    let mut story = Story::live();
    story.after(1.hour()).shown(KeyRequestKind::Replace, 'b');
    let gone = |story: &Story, key| story.view.found_gone(&hash(key), story.now);
    assert_eq!(gone(&story, 'a'), Err(Unchanged), "the provider knows it");
    story.after(1.hour());
    for key in ['a', 'b'] {
        story.apply(story.view.not_found(&hash(key), story.now).unwrap());
    }
    assert_eq!(gone(story.after(59.minutes()), 'a'), Err(Unchanged), "one answer may be wrong");
    story.after(1.minute());
    let change = gone(&story, 'a').unwrap();
    assert_eq!((&change.grant.state, change.audit()), (&story.view.grant.state, None), "a retired key is only marked");
    story.apply(change);
    assert_eq!(key(&story, 1).gone, Some(KeyAbsence::Missing));
    assert_eq!(gone(&story, 'a'), Err(Unchanged));

    let change = gone(&story, 'b').unwrap();
    assert!(change.audit().is_some());
    story.apply(change);
    assert_eq!(story.view.grant.state, GrantState::Stopped { why: Stopped::GoneAtProvider });
    story.revoked();
    assert_eq!(story.view.calls(story.now), [], "nothing is asked for what is gone");
    let change = story.seen('b', &listed(true, 20, story.now)).unwrap();
    assert_eq!(change.grant.keys[1].gone, None, "what is listed enabled is not gone");
}

#[test]
fn a_limit_that_nobody_here_sent_is_told_and_set_again() {
    let mut story = Story::live();
    let dollars = |limit: i32| ListedLimit::Limit(Usd::from_dollars(limit));
    let seen = |story: &Story, limit| story.seen('a', &SeenKey { limit, ..listed(true, 0, story.now) });
    assert_eq!(seen(&story, dollars(30)), Err(Unchanged), "it was only just made");
    story.after(LATE);
    for same in [dollars(20), ListedLimit::Limit(Usd::from_micros(20_009_999))] {
        assert_eq!(seen(&story, same), Err(Unchanged));
    }
    for (other, words) in [(dollars(30), "30.000000"), (ListedLimit::Unlimited, "none")] {
        let change = seen(&story, other).unwrap();
        let what = change.audit().unwrap();
        let told = (what.act, what.old_value.as_deref(), what.new_value.as_deref());
        assert_eq!(told, (Act::LimitFound, Some("20.000000"), Some(words)));
        assert_eq!(change.counted(&story.view, story.now).budget, BudgetChange::None, "what was confirmed counts");
    }
    story.apply(seen(&story, ListedLimit::CountedOtherwise).unwrap());
    assert_eq!(seen(&story, ListedLimit::CountedOtherwise), Err(Unchanged), "it is told once");
    assert_eq!(story.due(1), [Tell::Limit(Usd::from_dollars(20))]);
    assert_eq!(story.limited().due(1), []);
}

/// Use by other keys lowers the limit until the window turns, but never below a cent.
#[test]
fn other_use_lowers_the_limit() {
    let mut story = Story::new();
    story.view.settings_mut().basis.reset = Reset::Daily;
    story.view.budget_mut().limit = Usd::from_dollars(5000);
    story.reading(1, 0).shown(KeyRequestKind::Reveal, 'a').after(1.hour()).shown(KeyRequestKind::Replace, 'b');
    assert_eq!(story.view.next_due(story.now), Some(story.now + SETTLING), "nothing but a last look");
    story.reading(1, 5_000_000);
    assert_eq!(story.due(2), [Tell::Limit(Usd::from_dollars(15))]);
    story.limited().read_at_last(1, 5_000_000);
    let turn = Reset::Daily.resets_at(story.now);
    assert_eq!((story.due(2), story.view.next_due(story.now)), (Vec::new(), turn));
    let tomorrow = Story { now: turn.unwrap(), ..story.clone() };
    assert_eq!(tomorrow.due(2), [Tell::Limit(Usd::from_dollars(20))]);
    story.reading(1, 21_000_000);
    assert_eq!(story.due(2), [Tell::Limit(Usd::CENT)]);
    assert_eq!(story.view.next_limit(story.now), None, "and no other key is made");
}

/// Keys may be deleted two days after their last reading if the grant was revoked, after ninety if it ended.
#[test]
fn old_keys_may_be_deleted() {
    let hours = SignedDuration::from_hours;
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let may = |story: &Story, restored| story.view.may_purge(key(story, 1), restored, story.now);
    let mut story = Story::live();
    assert!(!may(story.after(days(200)), None), "it is live");
    assert!(!may(story.revoked().after(days(1)), None), "nobody has answered its disable");
    assert!(!may(story.disabled(1).after(days(3)), None), "it is not read for the last time");
    assert!(!may(story.read_at_last(1, 1_000_000).after(hours(47)), None));
    assert!(may(story.after(hours(1)), None));
    assert!(!may(&story, Some(story.now - days(89))) && may(&story, Some(story.now - days(90))));
    story.apply(story.view.purged(&hash('a')).unwrap());
    assert_eq!((key(&story, 1).gone, may(&story, None)), (Some(KeyAbsence::Purged), false));
    assert_eq!(story.view.not_found(&hash('a'), story.now), Err(Unchanged), "purged, not missing");

    let mut ended = Story::live();
    ended.now = ended.view.programme.settings.term.ends_at();
    ended.apply(ended.view.end(&Actor::Rule, ended.now).unwrap()).disabled(1).read_at_last(1, 0);
    assert!(!may(ended.after(days(89)), None) && may(ended.after(days(1)), None));
}
