//! The acts that leave a mark and no audit entry.

use super::*;

#[test]
fn each_mark_is_left_by_an_act_that_changes_nothing_else() {
    let (first, key) = (Epoch::new(1), hash('a'));
    let mut left = Vec::new();
    let mut marks = |story: &mut Story, change: Change| {
        let Logged::Mark(mark) = *change.logged() else { panic!("{:?}", change.logged()) };
        left.push(mark);
        story.apply(change);
    };

    let mut story = Story::live();
    story.after(2.hours());
    story.apply(story.view.set_cap(Some(Usd::from_dollars(30)), &faculty(), None, story.now).unwrap());
    let larger = story.view.sending_limit(first, Usd::from_dollars(30), story.now).unwrap();
    marks(&mut story, larger);
    story.held(HoldKind::Paused);
    let off = story.order(first, OrderKind::Off).unwrap();
    let late = story.view.put_off(&off, story.now).unwrap();
    marks(&mut story, late);
    let unknown = story.view.not_found(first, &key, story.now).unwrap();
    marks(&mut story, unknown);
    let confirmed = story.view.confirmed(&off, story.now).unwrap();
    marks(&mut story, confirmed);
    story.now += 1.hour();
    let again = story.view.disable_again(first, &key, story.now, story.now).unwrap();
    marks(&mut story, again);
    let order = story.order(first, OrderKind::Limit).unwrap();
    story.revoked().disabled(first).after(SETTLING);
    let mut read = Story { view: story.view.clone(), now: story.now };
    let reading = read.reading(1, 1_000_000).view.reading(first).unwrap().clone();
    let last = story.view.read_for_the_last_time(&reading).unwrap();
    marks(&mut story, last);
    assert!(story.view.drop_limit_order(&order).is_err(), "a revocation drops it");

    let mut gone = Story::live();
    gone.after(2.hours()).shown(PressKind::Replace, 'b');
    let missed = gone.view.found_gone(gone.view.grant.version, first, &key, gone.now).unwrap();
    marks(&mut gone, missed);
    let rest = gone.view.give_back_rest(gone.now + 1.second()).unwrap();
    marks(&mut gone, rest);
    let mut lagging = gone.view.clone();
    lagging.grant.attempts[0].limit_ordered = Some(gone.now);
    let mut retired = Story { view: lagging, now: gone.now };
    let order = Order { epoch: first, key, kind: OrderKind::Limit, since: gone.now, due: gone.now };
    let dropped = retired.view.drop_limit_order(&order).unwrap();
    marks(&mut retired, dropped);

    let mut old = Story::live();
    old.view.programme.settings.claims.rotate_after_days = Some(30);
    old.after((29 * 24).hours());
    let (announced, _) = old.view.follow_rules(None, &[], old.now).unwrap();
    marks(&mut old, announced);

    use Mark::*;
    let expected = [Sending, PutOff, Missing, Confirmed, Ordered, Read, Gone, RestGivenBack, Dropped, Announced];
    assert_eq!(left, expected);
}
