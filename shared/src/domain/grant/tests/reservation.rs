//! What a grant can still cost, and that nothing is free before it is known to be unspent and was counted anew.

use proptest::prelude::*;

use super::*;
use crate::domain::testing::dollars;

impl Story {
    fn claimed() -> Story {
        let mut story = Story::live();
        story.reading(1, 0).after(12.hours());
        story
    }

    /// The sync's recount of the budget, after it read what the live key used.
    fn counted(&mut self) -> &mut Story {
        self.view.budget.counted_at = Some(self.now);
        self.view.budget.reserved = self.cost();
        self
    }

    fn cap(&mut self, cap: i32) -> &mut Story {
        self.apply(self.view.set_cap(Some(dollars(cap)), &faculty(), None, self.now).unwrap())
    }
}

#[test]
fn a_revoked_grant_costs_what_it_used_once_it_was_read_after_its_disable_and_frees_the_rest_at_the_next_count() {
    let mut story = Story::claimed();
    story.revoked();
    assert_eq!(story.view.budget.reserved, dollars(20));
    assert_eq!(story.order(Epoch::new(1), OrderKind::Read), None, "it is read when it is known to be off");
    story.disabled(Epoch::new(1));
    let read = story.order(Epoch::new(1), OrderKind::Read).unwrap();
    assert!(read.due >= story.now + SETTLING, "what it used may settle late");
    story.read_at_last(1, 18_000_000);
    assert_eq!((story.view.budget.reserved, story.cost()), (dollars(20), dollars(18)));
    assert_eq!(story.view.grant.orders(), []);
    assert_eq!(story.counted().view.budget.reserved, dollars(18));
}

#[test]
fn a_lower_cap_frees_the_difference_when_the_limit_is_confirmed_and_the_key_was_read() {
    let mut story = Story::new();
    story.view.grant.own_cap = Some(dollars(50));
    story.shown(KeyRequestKind::Reveal, 'a').reading(1, 0).now += 12.hours();
    assert_eq!(story.view.budget.reserved, dollars(50));
    story.cap(10);
    assert_eq!(story.cost(), dollars(50), "it can spend fifty until the provider holds ten");
    story.limited();
    assert_eq!(story.cost(), dollars(50), "and may have spent them");
    assert_eq!(story.read_at_last(1, 45_000_000).view.budget.reserved, dollars(50));
    assert_eq!(story.counted().view.budget.reserved, dollars(45));
}

#[test]
fn a_higher_cap_takes_its_reservation_before_it_is_sent_and_costs_nothing_if_it_never_was() {
    let mut story = Story::claimed();
    story.cap(50);
    assert_eq!(story.view.budget.reserved, dollars(50));
    story.cap(30);
    assert_eq!(story.view.budget.reserved, dollars(50), "nothing is given back but by a count");
    assert_eq!(story.counted().view.budget.reserved, dollars(30), "nobody was ever told of fifty");
    story.apply(story.view.sending_limit(Epoch::new(1), dollars(30), story.now).unwrap()).cap(20);
    assert_eq!(story.view.budget.reserved, dollars(30), "thirty were sent, and may be held yet");
}

#[test]
fn a_limit_without_an_answer_counts_until_a_listing_long_after_it_shows_another() {
    let mut story = Story::claimed();
    story.cap(30);
    let sent_at = story.now;
    story.apply(story.view.sending_limit(Epoch::new(1), dollars(30), sent_at).unwrap()).after(1.minute()).cap(20);
    let order = story.order(Epoch::new(1), OrderKind::Limit).unwrap();
    let sent = SentLimit { limit: dollars(20), at: story.now, unanswered_before: Some(sent_at) };
    let window = Reset::None.window_at(story.now);
    story.apply(story.view.limit_confirmed(&order, sent, window, story.now).unwrap()).now += SETTLING;
    assert_eq!(story.counted().view.budget.reserved, dollars(30), "the first may be executed yet");
    let seen = |story: &Story| story.view.limit_seen(Epoch::new(1), ListedLimit::Limit(dollars(20)), story.now);
    assert_eq!(seen(&story), Err(Unchanged));
    story.now = sent_at + GRACE;
    story.apply(seen(&story).unwrap()).now += SETTLING;
    assert_eq!(story.counted().view.budget.reserved, dollars(20));
}

#[test]
fn a_cap_that_is_lowered_while_the_key_is_made_keeps_the_key_from_being_shown() {
    let mut story = Story::new();
    story.view.grant.own_cap = Some(dollars(50));
    let begun = story.begin(KeyRequestKind::Reveal);
    story.cap(10);
    let large = MintedKey { key: hash('a'), limit: dollars(50), guardrail: None };
    assert_eq!(story.view.record(&begun, &large, story.now), Err(RecordRefused::LimitLowered));
    let small = MintedKey { key: hash('a'), limit: dollars(5), guardrail: None };
    let change = story.view.record(&begun, &small, story.now).unwrap();
    assert!(story.apply(change).order(Epoch::new(1), OrderKind::Limit).is_some(), "a larger one is sent");
}

#[test]
fn a_leak_and_a_pause_give_nothing_back_and_a_drop_only_after_its_week() {
    let mut leaked = Story::claimed();
    leaked.apply(leaked.view.stop(Stopped::Leaked, &Actor::Student, leaked.now).unwrap()).disabled(Epoch::new(1));
    leaked.now += 30.hours();
    assert_eq!(leaked.reading(1, 3_000_000).counted().view.budget.reserved, dollars(20));

    for (kind, after) in [(HoldKind::Paused, dollars(20)), (HoldKind::Dropped, dollars(3))] {
        let mut held = Story::claimed();
        held.held(kind).disabled(Epoch::new(1));
        held.now = held.now + DROPPED_KEPT - 1.second();
        held.reading(1, 3_000_000);
        assert_eq!(held.counted().view.budget.reserved, dollars(20), "{kind:?}");
        held.now += 1.second();
        assert_eq!(held.counted().view.budget.reserved, after, "{kind:?}");
        held.view.budget.limit = dollars(19);
        let change = held.view.release(kind, &faculty(), held.now).unwrap();
        let state = if kind == HoldKind::Paused { ShownState::Live } else { ShownState::Stopped };
        assert_eq!((change.budget, change.grant.shown_state()), (BudgetChange::None, state));
        assert_eq!(held.apply(change).view.budget.reserved, after, "the next key takes what was given back");
    }
}

#[test]
fn a_cap_that_is_lowered_while_the_enable_is_under_way_gives_nothing_back_yet() {
    let mut story = Story::claimed();
    story.held(HoldKind::Paused).disabled(Epoch::new(1)).after(1.hour()).reading(1, 0);
    story.released(HoldKind::Paused).cap(5);
    assert_eq!(story.view.budget.reserved, dollars(20), "the enable may be there already, and twenty is the limit");
    story.limited().enabled(Epoch::new(1));
    assert_eq!(story.view.budget.reserved, dollars(20), "it may have spent them");
    story.now += 1.hour();
    assert_eq!(story.reading(1, 2_000_000).counted().view.budget.reserved, dollars(5));

    // Nor does a hold that is taken off before its disable was confirmed.
    let mut story = Story::claimed();
    story.held(HoldKind::Dropped).cap(5);
    assert_eq!(story.view.budget.reserved, dollars(20), "its key works on");
    assert_eq!(story.released(HoldKind::Dropped).view.budget.reserved, dollars(20), "twenty is its limit still");
    assert_eq!(story.limited().enabled(Epoch::new(1)).view.budget.reserved, dollars(20));
}

#[test]
fn who_replaces_twice_within_minutes_costs_what_one_reservation_costs_at_every_step() {
    let mut story = Story::claimed();
    story.shown(KeyRequestKind::Replace, 'b');
    let begun = story.begin(KeyRequestKind::Replace);
    assert_eq!((story.cost(), story.view.budget.reserved), (dollars(20), dollars(20)));
    story.disabled(Epoch::new(2)).reading(2, 12_000_000);
    assert_eq!(story.cost(), dollars(20), "the first key was read before the second was shown");
    let minted = MintedKey { key: hash('c'), limit: dollars(8), guardrail: None };
    let change = story.view.record(&begun, &minted, story.now).unwrap();
    assert_eq!((story.apply(change).cost(), story.view.budget.reserved), (dollars(20), dollars(20)));
}

#[test]
fn a_key_that_somebody_enabled_again_is_counted_at_once_though_the_budget_has_no_room() {
    let mut story = Story::claimed();
    story.apply(story.view.hold(HoldKind::Unused, &Actor::Rule, None, story.now).unwrap()).disabled(Epoch::new(1));
    story.after(1.hour()).reading(1, 3_000_000).counted();
    assert_eq!(story.view.budget.reserved, dollars(3));
    story.view.budget.limit = dollars(10);
    let resumed = story.view.release(HoldKind::Unused, &Actor::Student, story.now).map(|change| change.budget);
    assert_eq!(resumed, Err(ChangeRefused::BudgetExhausted));
    let change = story.view.disable_again(Epoch::new(1), &hash('a'), story.now, story.now).unwrap();
    assert_eq!(story.apply(change).view.budget.reserved, dollars(20), "it can be spent");
    story.cap(5);
    assert_eq!(story.view.budget.reserved, dollars(20), "twenty is its limit still");
    story.disabled(Epoch::new(1)).after(1.hour());
    assert_eq!(story.reading(1, 3_000_000).counted().view.budget.reserved, dollars(3));
}

#[test]
fn what_a_count_under_way_may_free_is_taken_again_by_an_act_in_between() {
    let mut story = Story::claimed();
    story.counted();
    story.apply(story.view.hold(HoldKind::Unused, &Actor::Rule, None, story.now).unwrap()).disabled(Epoch::new(1));
    story.after(1.hour());
    assert_eq!(story.cost(), dollars(20), "the last count knows nothing of it");
    let change = story.view.release(HoldKind::Unused, &Actor::Student, story.now).unwrap();
    assert_eq!(change.budget, BudgetChange::Take(dollars(20)), "this one may have read that nothing was used");
}

#[test]
fn a_key_that_was_handed_back_gives_its_reservation_back_and_another_takes_it_anew() {
    let mut story = Story::claimed();
    story.apply(story.view.hand_back(Epoch::new(1), story.now).unwrap()).disabled(Epoch::new(1));
    story.read_at_last(1, 2_000_000).counted();
    assert_eq!(story.view.budget.reserved, dollars(2));
    assert_eq!(story.view.hand_back(Epoch::new(1), story.now), Err(Unchanged));
    story.view.budget.limit = dollars(19);
    assert_eq!(story.refused(KeyRequestKind::Replace), BeginRefused::BudgetExhausted);
    story.view.budget.limit = dollars(20);
    story.shown(KeyRequestKind::Replace, 'b');
    assert_eq!((story.view.budget.reserved, story.view.grant.replacements), (dollars(20), 1));
    assert_eq!(attempt(&story, 2).limit, Some(dollars(18)));
}

#[test]
fn of_a_key_that_is_gone_the_rest_of_its_limit_stays_promised_until_a_later_run_finds_no_new_residual() {
    let mut story = Story::claimed();
    story.revoked();
    story.apply(story.view.found_gone(story.view.grant.version, Epoch::new(1), &hash('a'), story.now).unwrap()).now +=
        24.hours();
    assert_eq!(story.counted().view.budget.reserved, dollars(20));
    assert_eq!(story.view.give_back_rest(story.now - 25.hours()), Err(Unchanged), "that was before");
    let change = story.view.give_back_rest(story.now - 1.hour()).unwrap();
    assert_eq!(story.apply(change).counted().view.budget.reserved, Usd::ZERO);
}

#[test]
fn an_attempt_that_nobody_is_at_any_more_frees_its_grant_and_a_reservation_that_was_never_used() {
    let mut story = Story::new();
    story.begin(KeyRequestKind::Reveal);
    story.now = story.now + GRACE - 1.second();
    assert_eq!(story.view.close_abandoned(story.now), Err(Unchanged));
    story.now += 1.second();
    story.apply(story.view.close_abandoned(story.now).unwrap());
    assert_eq!((&story.view.grant.state, story.cost()), (&GrantState::Invited, Usd::ZERO));
    assert_eq!(story.view.close_abandoned(story.now), Err(Unchanged));

    let mut replacing = Story::claimed();
    replacing.begin(KeyRequestKind::Replace);
    replacing.now += GRACE;
    replacing.apply(replacing.view.close_abandoned(replacing.now).unwrap());
    assert_eq!(replacing.view.grant.state, GrantState::Stopped { why: Stopped::ReplacementFailed });
    assert_eq!(replacing.view.budget.reserved, dollars(20));
}

/// A grant with a reservation and a live key, somewhere in a term of a hundred days.
fn live(reset: Reset, cap: i64) -> Story {
    let mut story = Story::new();
    story.view.programme.settings.basis.reset = reset;
    story.view.programme.settings.allowance.cap = Usd::from_micros(cap).whole_cents();
    story.view.budget.limit = Usd::MAX;
    story.shown(KeyRequestKind::Reveal, 'a');
    story
}

fn resets() -> impl Strategy<Value = Reset> {
    prop::sample::select(vec![Reset::None, Reset::Daily, Reset::Weekly, Reset::Monthly])
}

#[test]
fn every_window_that_begins_in_the_term_is_counted_and_use_beyond_a_limit() {
    let mut daily = live(Reset::Daily, 1_000_000);
    daily.now = daily.view.programme.settings.term.starts_at();
    assert_eq!(daily.cost(), dollars(100));
    let mut over = live(Reset::None, 20_000_000);
    assert_eq!(over.reading(1, 3_000_000).cost(), dollars(20));
    assert_eq!(over.reading(1, 20_050_000).cost(), Usd::from_micros(20_050_000));
}

proptest! {
    #[test]
    fn what_is_unspent_never_grows_with_time_or_spending(
        reset in resets(), cap in 10_000_i64..50_000_000, used in 0_i64..60_000_000, more in 0_i64..60_000_000,
        hour in 0_i64..2400, later in 0_i64..2400,
    ) {
        let mut story = live(reset, cap);
        story.now = story.view.programme.settings.term.starts_at() + hour.hours();
        story.reading(1, used);
        let before = story.view.reservation().unspent(true, story.now);
        let then = story.now + later.hours();
        // In this window more may be used; in a later one the use begins at zero.
        let used_then = if reset.window_at(story.now) == reset.window_at(then) { used + more } else { more };
        story.now = then;
        prop_assert!(story.reading(1, used_then).view.reservation().unspent(true, then) <= before);
    }

    #[test]
    fn nobody_who_stays_within_each_limit_can_cost_more_than_was_promised(
        reset in resets(), cap in 10_000_i64..50_000_000, shares in prop::collection::vec(0_u8..=100, 1..110),
    ) {
        let mut story = live(reset, cap);
        let cap = story.view.programme.settings.allowance.cap.micros();
        story.now = story.view.programme.settings.term.starts_at();
        let at_first = story.cost();
        let mut total = Usd::ZERO;
        for share in shares {
            total += Usd::from_micros(cap * i64::from(share) / 100);
            prop_assert!(total <= at_first);
            match reset.resets_at(story.now) {
                Some(turn) if turn < story.view.programme.settings.keys_expire_at() => story.now = turn,
                _ => break,
            }
        }
    }
}

#[test]
fn a_limit_is_sent_only_while_it_is_wanted_and_one_that_was_overtaken_stays_ordered() {
    let mut story = Story::claimed();
    story.cap(50);
    let order = story.order(Epoch::new(1), OrderKind::Limit).unwrap();
    let sending = |story: &Story| story.view.sending_limit(Epoch::new(1), dollars(50), story.now);
    assert!(sending(&story).is_ok());
    story.cap(30);
    assert_eq!(sending(&story), Err(NotSending::NotWanted), "the budget counts thirty");
    let sent = SentLimit { limit: dollars(30), at: story.now, unanswered_before: None };
    story.cap(10);
    let window = Reset::None.window_at(story.now);
    story.apply(story.view.limit_confirmed(&order, sent, window, story.now).unwrap());
    assert!(story.order(Epoch::new(1), OrderKind::Limit).is_some(), "ten are still to be sent");
}
