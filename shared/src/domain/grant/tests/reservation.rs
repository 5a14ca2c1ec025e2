//! What a grant can still cost, and that nothing is free before it is known to be unspent and was counted anew.

use proptest::prelude::*;

use super::*;
use crate::domain::held::LATE;
use crate::domain::programme::counts::Counts;
use crate::domain::values::window::Reset;
use crate::tests::values::dollars;

impl Story {
    fn claimed() -> Story {
        let mut story = Story::live();
        story.reading(1, 0).after(12.hours());
        story
    }

    /// The sync's recount of the budget, after it read what the live key used.
    fn counted(&mut self) -> &mut Story {
        self.view.budget_mut().counted_at = Some(self.now);
        self.view.budget_mut().reserved = self.cost();
        self
    }

    fn cap(&mut self, cap: i32) -> &mut Story {
        self.apply(self.view.set_cap(Some(dollars(cap)), &faculty(), None, self.now).unwrap())
    }
}

/// What a change moves in the counts of the roster: how far its person has come, and what it frees.
#[test]
fn a_change_moves_the_counts() {
    let mut story = Story::new();
    let begun = story.begin(KeyRequestKind::Reveal);
    let recorded = story.view.record(&begun, &minted('a'), story.now).unwrap();
    assert_eq!(recorded.moves(&story.view, story.now), Counts { invited: -1, claimed: 1, ..Counts::default() });
    story.apply(story.view.give_up(&begun, None, "402", story.now).unwrap());
    let lowered = story.view.set_cap(Some(dollars(5)), &faculty(), None, story.now).unwrap();
    assert_eq!(lowered.moves(&story.view, story.now), Counts { freed: dollars(15), ..Counts::default() });
    let allowed = story.view.allow(&faculty()).unwrap().counted(&story.view, story.now);
    assert_eq!(allowed.depends_on, DependsOn::GrantAlone, "it moves no money");
    story.now = story.view.programme.settings.keys_expire_at();
    assert_eq!(story.cost(), Usd::ZERO, "no key made now would work");
}

/// The effects of an edit on parts of a roster add up; the first key to end is the first of all.
#[test]
fn effects_of_an_edit_add_up() {
    let until = |hour: i64| Some("2026-11-01T00:00:00Z".parse::<Moment>().unwrap() + SignedDuration::from_hours(hour));
    let one = EditEffect { increase: dollars(3), keys_until: until(2), grants: 2 };
    let other = EditEffect { increase: dollars(4), keys_until: until(1), grants: 3 };
    assert_eq!(one.and(other), EditEffect { increase: dollars(7), keys_until: until(1), grants: 5 });
}

/// A revoked grant costs what it used once that was read after its disable, and the next count frees the rest.
#[test]
fn revoking_frees_the_rest() {
    let mut story = Story::claimed();
    story.revoked();
    assert_eq!(story.view.budget.reserved, dollars(20));
    assert_eq!(story.due(1), [Tell::Off], "it is read when it is known to be off");
    story.disabled(1);
    let read = story.call(1, |tell| *tell == Tell::Read);
    assert!(read.due >= story.now + SETTLING, "what it used may settle late");
    story.read_at_last(1, 18_000_000);
    assert_eq!((story.view.budget.reserved, story.cost()), (dollars(20), dollars(18)));
    assert_eq!(story.view.calls(story.now), []);
    assert_eq!(story.counted().view.budget.reserved, dollars(18));
}

#[test]
fn a_lower_cap_frees_the_difference_when_the_limit_is_confirmed() {
    let mut story = Story::new();
    story.view.grant.own_cap = Some(dollars(50));
    story.shown(KeyRequestKind::Reveal, 'a').reading(1, 0).now += 12.hours();
    assert_eq!(story.view.budget.reserved, dollars(50));
    story.cap(10);
    assert_eq!(story.cost(), dollars(50), "it can spend fifty until the provider holds ten");
    // What it used by then comes with the answer.
    story.reading(1, 45_000_000).limited();
    assert_eq!((story.cost(), story.view.budget.reserved), (dollars(45), dollars(50)));
    assert_eq!(story.counted().view.budget.reserved, dollars(45));
}

/// A higher cap takes its reservation before it is sent and costs nothing if it was never sent.
#[test]
fn a_higher_cap_reserves_first() {
    let mut story = Story::claimed();
    story.cap(50);
    assert_eq!(story.view.budget.reserved, dollars(50));
    story.cap(30);
    assert_eq!(story.view.budget.reserved, dollars(50), "nothing is given back but by a count");
    assert_eq!(story.counted().view.budget.reserved, dollars(30), "nobody was ever told of fifty");
    let change = story.view.noting(&story.call(1, |tell| matches!(tell, Tell::Limit(_))), story.now).unwrap();
    assert_eq!(change.depends_on, DependsOn::Settings, "the budget counts thirty under these settings");
    story.apply(change).cap(20);
    assert_eq!(story.cost(), dollars(30), "thirty were sent, and may be held yet");
}

#[test]
fn a_limit_without_an_answer_counts_until_it_can_come_no_more() {
    let mut story = Story::claimed();
    story.cap(30);
    story.sent(1, |tell| matches!(tell, Tell::Limit(_)));
    let noted = story.now;
    story.after(1.minute()).cap(20).limited();
    assert_eq!(story.cost(), dollars(30), "the first may be done yet");
    assert_eq!(story.view.next_due(story.now), Some(noted + LATE), "it is told again by then");
    story.now = noted + LATE + 1.second();
    assert_eq!(story.limited().counted().view.budget.reserved, dollars(20));
}

#[test]
fn a_cap_that_is_changed_while_the_key_is_made_is_told_next() {
    let mut story = Story::new();
    story.view.grant.own_cap = Some(dollars(50));
    let begun = story.begin(KeyRequestKind::Reveal);
    story.cap(10);
    let large = MintedKey { limit: dollars(50), ..minted('a') };
    let change = story.view.record(&begun, &large, story.now).unwrap();
    story.apply(change);
    assert_eq!((story.due(1), story.cost()), (vec![Tell::Limit(dollars(10))], dollars(50)));
    assert_eq!(story.counted().view.budget.reserved, dollars(50));
}

/// A leak or a pause frees no reservation, and a drop frees it only after its week.
#[test]
fn a_leak_frees_nothing() {
    let mut leaked = Story::claimed();
    leaked.apply(leaked.view.stop(Stopped::Leaked, &Actor::Student).unwrap()).disabled(1);
    assert_eq!(leaked.read_at_last(1, 3_000_000).counted().view.budget.reserved, dollars(20));

    let mut paused = Story::claimed();
    paused.held(HoldKind::Paused).disabled(1).read_at_last(1, 3_000_000).now += SignedDuration::from_hours(168);
    assert_eq!(paused.view.give_back_reservation(paused.now), Err(Unchanged));
    assert_eq!(paused.counted().view.budget.reserved, dollars(20));

    let mut dropped = Story::claimed();
    let since = dropped.now;
    dropped.held(HoldKind::Dropped).disabled(1).read_at_last(1, 3_000_000).now =
        since + SignedDuration::from_hours(168) - 1.second();
    assert_eq!(dropped.view.give_back_reservation(dropped.now), Err(Unchanged));
    dropped.now += 1.second();
    dropped.apply(dropped.view.give_back_reservation(dropped.now).unwrap());
    assert_eq!(dropped.view.give_back_reservation(dropped.now), Err(Unchanged));
    assert_eq!(dropped.view.grant.state, GrantState::Stopped { why: Stopped::OffRoster });
    assert_eq!(dropped.counted().view.budget.reserved, dollars(3));
    dropped.view.budget_mut().limit = dollars(19);
    let change = dropped.view.release(HoldKind::Dropped, &faculty(), dropped.now).unwrap();
    assert_eq!((change.budget, change.grant.state.as_str()), (BudgetChange::None, "stopped"));
    dropped.apply(change);
    assert_eq!(dropped.refused(KeyRequestKind::Replace), BeginRefused::BudgetExhausted, "the next key takes it again");
}

/// A key is enabled again under the limit that applies by then.
#[test]
fn an_enable_uses_the_new_limit() {
    let mut story = Story::claimed();
    story.held(HoldKind::Paused).disabled(1).read_at_last(1, 0).released(HoldKind::Paused).cap(5);
    assert_eq!((story.due(1), story.cost()), (vec![Tell::Limit(dollars(5))], dollars(5)), "nothing else was sent");
    story.limited().enabled(1);
    assert_eq!((story.cost(), story.view.budget.reserved), (dollars(5), dollars(20)));

    // A hold that is taken off before its disable was confirmed leaves it as it was.
    let mut story = Story::claimed();
    story.held(HoldKind::Dropped).cap(5);
    assert_eq!(story.cost(), dollars(20), "its key works on");
    story.released(HoldKind::Dropped);
    assert_eq!((story.due(1), story.cost()), (vec![Tell::Limit(dollars(5))], dollars(20)));
}

/// A person who replaces twice within minutes costs one reservation at every step.
#[test]
fn two_replacements_cost_one() {
    let mut story = Story::claimed();
    story.shown(KeyRequestKind::Replace, 'b');
    let begun = story.begin(KeyRequestKind::Replace);
    assert_eq!((story.cost(), story.view.budget.reserved), (dollars(20), dollars(20)));
    story.disabled(2).reading(2, 12_000_000);
    assert_eq!(story.cost(), dollars(20), "the first key was read before the second was shown");
    let minted = MintedKey { limit: dollars(8), ..minted('c') };
    let change = story.view.record(&begun, &minted, story.now).unwrap();
    assert_eq!((story.apply(change).cost(), story.view.budget.reserved), (dollars(20), dollars(20)));
}

/// A key that somebody enabled again is counted at once, even if the budget has no room.
#[test]
fn an_enabled_key_is_counted() {
    let mut story = Story::claimed();
    story.held(HoldKind::Unused).disabled(1);
    assert_eq!(story.view.release(HoldKind::Unused, &Actor::Student, story.now).unwrap().budget, BudgetChange::None);
    story.read_at_last(1, 3_000_000).counted();
    assert_eq!(story.view.budget.reserved, dollars(3));
    story.view.budget_mut().limit = dollars(10);
    let resumed = story.view.release(HoldKind::Unused, &Actor::Student, story.now).map(|change| change.budget);
    assert_eq!(resumed, Err(ChangeRefused::BudgetExhausted));
    let change = story.seen('a', &listed(true, 20, story.now)).unwrap();
    assert_eq!(story.apply(change).view.budget.reserved, dollars(20), "it can be spent");
    story.cap(5);
    assert_eq!(story.cost(), dollars(20), "twenty is its limit still");
    story.disabled(1).read_at_last(1, 3_000_000);
    assert_eq!(story.counted().view.budget.reserved, dollars(3));
}

/// A key that was handed back frees its reservation, and the next key takes a new one.
#[test]
fn a_returned_key_frees_budget() {
    let mut story = Story::claimed();
    story.apply(story.view.hand_back(Epoch::new(1)).unwrap()).disabled(1);
    story.read_at_last(1, 2_000_000).counted();
    assert_eq!(story.view.budget.reserved, dollars(2));
    assert_eq!(story.view.hand_back(Epoch::new(1)), Err(Unchanged));
    story.view.budget_mut().limit = dollars(19);
    assert_eq!(story.refused(KeyRequestKind::Replace), BeginRefused::BudgetExhausted);
    story.view.budget_mut().limit = dollars(20);
    story.shown(KeyRequestKind::Replace, 'b');
    assert_eq!((story.view.budget.reserved, story.view.grant.replacements), (dollars(20), 1));
    assert_eq!(key(&story, 2).limit.known(), Some(&dollars(18)));
}

/// A missing key costs its recorded use and nothing else.
#[test]
fn a_lost_key_costs_its_use() {
    let mut story = Story::claimed();
    story.revoked().reading(1, 3_000_000).after(1.hour());
    story.apply(story.view.not_found(&hash('a'), story.now).unwrap()).after(1.hour());
    assert_eq!(story.counted().view.budget.reserved, dollars(20));
    story.apply(story.view.found_gone(&hash('a'), story.now).unwrap());
    assert_eq!(story.counted().view.budget.reserved, dollars(3));
}

/// A grant with a reservation and a live key, somewhere in a term of a hundred days.
fn live(reset: Reset, cap: i64) -> Story {
    let mut story = Story::new();
    story.view.settings_mut().basis.reset = reset;
    story.view.settings_mut().allowance.cap = Usd::from_micros(cap).whole_cents();
    story.view.budget_mut().limit = Usd::MAX;
    story.shown(KeyRequestKind::Reveal, 'a');
    story
}

fn resets() -> impl Strategy<Value = Reset> {
    prop::sample::select(vec![Reset::None, Reset::Daily, Reset::Weekly, Reset::Monthly])
}

/// Every window that begins in the term is counted, and so is use beyond a limit.
#[test]
fn every_window_is_counted() {
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
        let before = story.view.reservation().unspent(story.now);
        let then = story.now + later.hours();
        // In this window more may be used; in a later one the use begins at zero.
        let used_then = if reset.window_at(story.now) == reset.window_at(then) { used + more } else { more };
        story.now = then;
        prop_assert!(story.reading(1, used_then).view.reservation().unspent(then) <= before);
    }

    /// Use that stays within each limit never costs more than was promised at first.
    #[test]
    fn use_within_limits_is_covered(
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

/// A limit is sent only while it is wanted, and one that was superseded is followed by the current limit.
#[test]
fn an_old_limit_is_not_sent() {
    let mut story = Story::claimed();
    story.cap(50);
    let fifty = story.call(1, |tell| matches!(tell, Tell::Limit(_)));
    story.cap(30);
    assert_eq!(story.view.noting(&fifty, story.now), Err(Unchanged), "the budget counts thirty");
    let thirty = story.sent(1, |tell| matches!(tell, Tell::Limit(_)));
    let cost = story.cap(10).answered(&thirty).cost();
    assert_eq!((story.due(1), cost), (vec![Tell::Limit(dollars(10))], dollars(30)));
}
