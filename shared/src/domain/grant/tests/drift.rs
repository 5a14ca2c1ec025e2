//! What the provider shows against what is recorded: keys to be disabled again, found disabled or gone, limits, deleted keys.

use super::*;

impl Story {
    fn again(&self, epoch: u32, key: char) -> Result<Change, Unchanged> {
        self.view.disable_again(Epoch::new(epoch), &hash(key), self.now + 1.second(), self.now)
    }
}

#[test]
fn a_key_that_is_enabled_and_must_not_be_is_to_be_disabled_again_and_a_live_one_is_not() {
    let mut story = Story::live();
    assert_eq!(story.again(1, 'a'), Err(Unchanged), "it is the live one");
    story.held(HoldKind::Paused);
    assert_eq!(story.again(1, 'a'), Err(Unchanged), "it is ordered already");
    story.disabled(Epoch::new(1)).after(1.hour());
    assert_eq!(story.again(1, 'b'), Err(Unchanged), "another key bears its name");
    let seen_before = story.view.disable_again(Epoch::new(1), &hash('a'), story.now - 1.hour(), story.now);
    assert_eq!(seen_before, Err(Unchanged), "it was disabled since");
    story.apply(story.again(1, 'a').unwrap());
    assert_eq!(attempt(&story, 1).switch, SwitchState::OffOrdered { since: story.now });
    assert_eq!(story.again(1, 'a'), Err(Unchanged));

    let mut replaced = Story::live();
    replaced.after(1.hour()).shown(KeyRequestKind::Replace, 'b');
    assert!(replaced.again(1, 'a').is_ok() && replaced.again(2, 'b').is_err());
    let mut unknown = Story::new();
    let begun = unknown.begin(KeyRequestKind::Reveal);
    assert_eq!(unknown.again(1, 'a'), Err(Unchanged), "somebody is at it");
    unknown.apply(unknown.view.give_up(&begun, AttemptFailure::Unknown, None, "no answer", unknown.now).unwrap());
    assert_eq!(unknown.again(1, 'a'), Err(Unchanged), "it is the sweeper's");
}

#[test]
fn a_key_found_disabled_stops_its_grant_but_not_while_somebody_may_be_about_to_enable_it() {
    let mut story = Story::live();
    let found =
        |story: &Story| story.view.found_disabled(story.view.grant.version, Epoch::new(1), &hash('a'), story.now);
    let change = found(&story).unwrap();
    assert_eq!(change.grant.state, GrantState::Stopped { why: Stopped::GoneAtProvider });
    assert_eq!((change.by.clone(), change.audit().unwrap().act), (Actor::Sync, Act::Stopped));
    assert!(change.grant.orders_off().next().is_some(), "an enable that comes late is undone");

    story.held(HoldKind::Paused);
    assert_eq!(found(&story), Err(Unchanged), "it is disabled because of the hold");
    story.released(HoldKind::Paused).after(LEASE);
    assert_eq!(found(&story), Err(Unchanged), "its enable is ordered");
    story.enabled(Epoch::new(1));
    story.apply(found(&story).unwrap());
    assert_eq!(found(&story), Err(Unchanged));
    let other = story.view.found_disabled(story.view.grant.version, Epoch::new(1), &hash('b'), story.now);
    assert_eq!(other, Err(Unchanged));
}

#[test]
fn of_a_key_that_is_gone_nothing_is_ordered_and_a_grant_that_was_live_with_it_is_stopped() {
    let mut story = Story::live();
    story.after(1.hour()).shown(KeyRequestKind::Replace, 'b');
    let gone = |story: &Story, epoch, key| {
        story.view.found_gone(story.view.grant.version, Epoch::new(epoch), &hash(key), story.now)
    };
    let change = gone(&story, 1, 'a').unwrap();
    assert_eq!((&change.grant.state, change.audit()), (&story.view.grant.state, None), "a retired key is only marked");
    story.apply(change);
    assert_eq!(attempt(&story, 1).gone, Some(KeyAbsence::Missing));
    assert_eq!(gone(&story, 1, 'a'), Err(Unchanged));

    let change = gone(&story, 2, 'b').unwrap();
    assert!(change.audit().is_some());
    story.apply(change);
    assert_eq!(story.view.grant.state, GrantState::Stopped { why: Stopped::GoneAtProvider });
    assert_eq!(story.view.grant.orders_off().count(), 0);
    story.revoked();
    assert_eq!(story.view.grant.orders_off().count(), 0, "nothing is asked for what is gone");
    let change = story.again(2, 'b').unwrap();
    assert_eq!(change.grant.attempts[1].gone, None, "what is listed enabled is not gone");
}

#[test]
fn the_wanted_limit_is_sent_where_the_recorded_or_the_listed_one_is_another() {
    let mut story = Story::live();
    let dollars = Usd::from_dollars;
    let wanted = |story: &Story, listed| story.view.wanted(listed, story.now);
    assert_eq!(wanted(&story, ListedLimit::Unasked), None);
    assert_eq!(wanted(&story, ListedLimit::Limit(dollars(20))), None);
    assert_eq!(wanted(&story, ListedLimit::Limit(dollars(30))), Some(WantedLimit::Limit(dollars(20))));
    assert_eq!(wanted(&story, ListedLimit::Unlimited), Some(WantedLimit::Limit(dollars(20))));
    assert_eq!(wanted(&story, ListedLimit::CountedOtherwise), Some(WantedLimit::Limit(dollars(20))));
    story.apply(story.view.set_cap(Some(dollars(15)), &faculty(), None, story.now).unwrap());
    assert_eq!(wanted(&story, ListedLimit::Unasked), Some(WantedLimit::Limit(dollars(15))));
    let listed = wanted(&story, ListedLimit::Limit(dollars(15)));
    assert_eq!(listed, Some(WantedLimit::Limit(dollars(15))), "to be recorded");
    story.held(HoldKind::Paused);
    assert_eq!(wanted(&story, ListedLimit::Unasked), Some(WantedLimit::Limit(dollars(15))), "held, it is sent too");
    story.limited();
    let hair = [ListedLimit::Limit(Usd::from_micros(14_990_001)), ListedLimit::Unasked];
    assert_eq!(hair.map(|listed| wanted(&story, listed)), [None, None], "less than a cent away");
}

#[test]
fn a_limit_is_confirmed_once_and_never_in_another_window_than_it_was_reckoned_in() {
    let mut story = Story::new();
    story.view.programme.settings.basis.reset = Reset::Daily;
    story.view.budget.limit = Usd::from_dollars(5000);
    story.shown(KeyRequestKind::Reveal, 'a').after(1.hour()).shown(KeyRequestKind::Replace, 'b').reading(1, 5_000_000);
    story.apply(story.view.order_limit(ListedLimit::Unasked, story.now).unwrap());
    assert_eq!(story.view.order_limit(ListedLimit::Unasked, story.now), Err(Unchanged), "it is ordered already");
    let tomorrow = Story { now: story.now + 24.hours(), ..story.clone() };
    let order = story.order(Epoch::new(2), OrderKind::Limit).unwrap();
    let sent = SentLimit { limit: Usd::from_dollars(15), at: story.now, unanswered_before: None };
    let window = Reset::Daily.window_at(story.now);
    let change = story.view.limit_confirmed(&order, sent, window, story.now).unwrap();
    let what = change.audit().unwrap();
    let told = (what.act, what.from.as_deref(), what.to.as_deref());
    assert_eq!(told, (Act::LimitSent, Some("20.000000"), Some("15.000000")));
    assert_eq!(story.apply(change).view.grant.orders(), []);
    let late = tomorrow.view.limit_confirmed(&order, sent, window, tomorrow.now);
    assert_eq!(late, Err(Unchanged), "it is reckoned anew");
    assert!(tomorrow.order(Epoch::new(2), OrderKind::Limit).is_some());
}

#[test]
fn with_less_than_a_cent_left_a_live_key_is_used_up_and_a_lower_cap_stops_it_at_once() {
    let mut story = Story::live();
    story.reading(1, 19_995_000);
    assert_eq!(story.view.wanted(ListedLimit::Unasked, story.now), None, "its own use is off its own limit");
    story.reading(1, 12_000_000).after(1.hour()).shown(KeyRequestKind::Replace, 'b');
    let mut used_up = story.clone();
    assert_eq!(used_up.reading(1, 19_995_000).view.wanted(ListedLimit::Unasked, story.now), Some(WantedLimit::UsedUp));
    story.apply(story.view.set_cap(Some(Usd::from_dollars(12)), &faculty(), None, story.now).unwrap());
    assert_eq!(story.view.grant.state, GrantState::Stopped { why: Stopped::UsedUp });
    assert!(story.order(Epoch::new(2), OrderKind::Off).is_some());
    assert_eq!(story.view.budget.reserved, Usd::from_dollars(20), "its eight dollars can be spent until it is off");
    assert_eq!(story.view.wanted(ListedLimit::Unasked, story.now), None);
}

#[test]
fn keys_of_revoked_grants_may_go_two_days_after_their_last_reading_and_those_of_ended_ones_after_ninety() {
    let (hours, days) = (SignedDuration::from_hours, |days: i64| SignedDuration::from_hours(24 * days));
    let may = |story: &Story, restored| story.view.may_purge(Epoch::new(1), story.now, restored, story.now);
    let mut story = Story::live();
    assert!(!may(story.after(days(200)), None), "it is live");
    assert!(!may(story.revoked().after(days(1)), None), "nobody has answered its disable");
    assert!(!may(story.disabled(Epoch::new(1)).reading(1, 1_000_000).after(hours(47)), None));
    assert!(may(story.after(hours(1)), None));
    assert!(!may(&story, Some(story.now - days(89))) && may(&story, Some(story.now - days(90))));
    story.apply(story.view.purged(Epoch::new(1), &hash('a'), story.now).unwrap());
    assert_eq!((attempt(&story, 1).gone, may(&story, None)), (Some(KeyAbsence::Purged), false));
    let gone = story.view.found_gone(story.view.grant.version, Epoch::new(1), &hash('a'), story.now);
    assert_eq!(gone, Err(Unchanged), "purged, not missing");

    let mut ended = Story::live();
    ended.now = ended.view.programme.settings.term.ends_at();
    ended.apply(ended.view.end(&Actor::Rule, ended.now).unwrap()).disabled(Epoch::new(1));
    assert!(!may(ended.after(days(89)), None) && may(ended.after(days(1)), None));
}
