//! What a grant can still cost, and that nothing is free before it is known to be unspent and was
//! counted anew.

use proptest::prelude::*;

use super::*;
use crate::domain::programme::counts::Counts;
use crate::tests::values::dollars;

impl Story {
    fn claimed() -> Story {
        let mut story = Story::live();
        story.read(1, 0).after(12.hours());
        story
    }

    /// The sync's recount of the budget, after it read what the live key used.
    fn count(&mut self) -> &mut Story {
        self.view.budget_mut().counted_at = Some(self.now);
        self.view.budget_mut().reserved = self.cost();
        self
    }
}

/// What a change moves in the counts of the roster: how far its person has come, and what it frees.
#[test]
fn a_change_moves_the_counts() {
    let mut story = Story::new();
    let begun = story.begin(KeyRequestKind::Reveal);
    let recorded = story.view.record(&begun, &minted('a'), story.now).unwrap();
    assert_eq!(
        recorded.moves(&story.view, story.now),
        Counts {
            invited: -1,
            claimed: 1,
            ..Counts::default()
        }
    );
    story.apply(story.view.give_up(&begun, None, "402", story.now).unwrap());
    let lowered = story
        .view
        .set_cap(Some(dollars(5)), &faculty(), None, story.now)
        .unwrap();
    assert_eq!(
        lowered.moves(&story.view, story.now),
        Counts {
            freed: dollars(15),
            ..Counts::default()
        }
    );
    let allowed = story
        .view
        .allow(&faculty())
        .unwrap()
        .counted(&story.view, story.now);
    assert_eq!(
        allowed.depends_on,
        DependsOn::GrantAlone,
        "it moves no money"
    );
    story.now = story.view.programme.settings.keys_expire_at();
    assert_eq!(story.cost(), Usd::ZERO, "no key made now would work");
}

/// The effects of an edit on parts of a roster add up; the first key to end is the first of all.
#[test]
fn effects_of_an_edit_add_up() {
    let until = |hour: i64| {
        Some("2026-11-01T00:00:00Z".parse::<Moment>().unwrap() + SignedDuration::from_hours(hour))
    };
    let one = EditEffect {
        increase: dollars(3),
        keys_until: until(2),
        grants: 2,
    };
    let other = EditEffect {
        increase: dollars(4),
        keys_until: until(1),
        grants: 3,
    };
    assert_eq!(
        one.and(other),
        EditEffect {
            increase: dollars(7),
            keys_until: until(1),
            grants: 5
        }
    );
}

/// A revoked grant costs what it used once that was read after its disable, and the next count
/// frees the rest.
#[test]
fn revoking_frees_the_rest() {
    let mut story = Story::claimed();
    story
        .revoke()
        .note("revoked")
        .disable(1)
        .note("disabled")
        .read_at_last(1, 18_000_000)
        .note("read");
    insta::assert_snapshot!(story.count().note("counted").notes(), @"
    revoked: revoked, a on; tell a Off; $20 of $20
    disabled: revoked, a off; tell a Read in 15m; $20 of $20
    read: revoked, a off; $18 of $20
    counted: revoked, a off; $18 of $18
    ");
}

/// A lower cap frees the difference when its limit is confirmed; what was used by then comes with
/// the answer.
#[test]
fn a_lower_cap_frees_the_difference() {
    let mut story = Story::new();
    story.view.grant.own_cap = Some(dollars(50));
    story
        .show(KeyRequestKind::Reveal, 'a')
        .read(1, 0)
        .after(12.hours())
        .note("shown")
        .set_cap(10)
        .note("lowered");
    story
        .read(1, 45_000_000)
        .limit()
        .note("confirmed")
        .count()
        .note("counted");
    insta::assert_snapshot!(story.notes(), @"
    shown: live, a on; $50 of $50
    lowered: live, a on; tell a Limit($10.000000); $50 of $50
    confirmed: live, a on; $45 of $50
    counted: live, a on; $45 of $45
    ");
}

/// A higher cap takes its reservation before it is sent and costs nothing if it was never sent.
/// Once sent, it may be held yet.
#[test]
fn a_higher_cap_reserves_first() {
    let mut story = Story::claimed();
    story
        .set_cap(50)
        .note("fifty")
        .set_cap(30)
        .note("thirty")
        .count()
        .note("counted");
    let change = story
        .view
        .with_note(&story.call(1, is_limit), story.now)
        .unwrap();
    assert_eq!(
        change.depends_on,
        DependsOn::Settings,
        "the budget counts thirty under these settings"
    );
    story
        .apply(change)
        .set_cap(20)
        .note("thirty sent, then twenty");
    insta::assert_snapshot!(story.notes(), @"
    fifty: live, a on; tell a Limit($50.000000); $50 of $50
    thirty: live, a on; tell a Limit($30.000000); $30 of $50
    counted: live, a on; tell a Limit($30.000000); $30 of $30
    thirty sent, then twenty: live, a on; tell a Limit($20.000000); $30 of $30
    ");
}

#[test]
fn a_limit_without_an_answer_counts_until_it_can_come_no_more() {
    let mut story = Story::claimed();
    story.set_cap(30).send(1, is_limit);
    story
        .after(1.minute())
        .set_cap(20)
        .limit()
        .note("twenty confirmed, thirty may come yet");
    story
        .after(21.seconds())
        .limit()
        .count()
        .note("it comes no more");
    insta::assert_snapshot!(story.notes(), @"
    twenty confirmed, thirty may come yet: live, a on; tell a Limit($20.000000) in 20s; $30 of $30
    it comes no more: live, a on; $20 of $20
    ");
}

#[test]
fn a_cap_that_is_changed_while_the_key_is_made_is_told_next() {
    let mut story = Story::new();
    story.view.grant.own_cap = Some(dollars(50));
    let begun = story.begin(KeyRequestKind::Reveal);
    story.set_cap(10);
    let large = MintedKey {
        limit: dollars(50),
        ..minted('a')
    };
    story
        .apply(story.view.record(&begun, &large, story.now).unwrap())
        .note("made")
        .count()
        .note("counted");
    insta::assert_snapshot!(story.notes(), @"
    made: live, a on; tell a Limit($10.000000); $50 of $90
    counted: live, a on; tell a Limit($10.000000); $50 of $50
    ");
}

/// A leak or a pause frees no reservation, and a drop frees it only after its week.
#[test]
fn a_leak_frees_nothing() {
    let week = SignedDuration::from_hours(168);
    let mut leaked = Story::claimed();
    leaked
        .leak()
        .disable(1)
        .read_at_last(1, 3_000_000)
        .count()
        .note("leaked");
    let mut paused = Story::claimed();
    paused
        .hold(HoldKind::Paused)
        .disable(1)
        .read_at_last(1, 3_000_000)
        .after(week);
    paused
        .note_refusal("given back", paused.view.give_back_reservation(paused.now))
        .count()
        .note("paused");
    let mut dropped = Story::claimed();
    dropped
        .hold(HoldKind::Dropped)
        .disable(1)
        .read_at_last(1, 3_000_000)
        .after(week - SETTLING);
    dropped.now = dropped.now - 1.second();
    dropped
        .note_refusal(
            "given back",
            dropped.view.give_back_reservation(dropped.now),
        )
        .after(1.second());
    dropped.apply(dropped.view.give_back_reservation(dropped.now).unwrap());
    dropped
        .note_refusal("again", dropped.view.give_back_reservation(dropped.now))
        .count()
        .note("dropped");
    dropped.view.budget_mut().limit = dollars(19);
    // The next key takes it again.
    dropped
        .release(HoldKind::Dropped)
        .note("named again")
        .press_in_vain(KeyRequestKind::Replace);
    insta::assert_snapshot!(join_notes(&[leaked, paused, dropped]), @"
    leaked: stopped (Leaked), a off; $20 of $20

    given back: Unchanged
    paused: live, paused, a off; $20 of $20

    given back: Unchanged
    again: Unchanged
    dropped: stopped, dropped (OffRoster), a off; $3 of $3
    named again: stopped (OffRoster), a off; $3 of $3
    Replace: BudgetExhausted
    ");
}

/// A key is enabled again under the limit of that moment. A hold leaves it as it was if it is
/// released before the disable was confirmed.
#[test]
fn an_enable_uses_the_new_limit() {
    let mut off = Story::claimed();
    off.hold(HoldKind::Paused)
        .disable(1)
        .read_at_last(1, 0)
        .release(HoldKind::Paused)
        .set_cap(5)
        .note("lowered");
    off.limit().enable(1).note("enabled");
    let mut on = Story::claimed();
    on.hold(HoldKind::Dropped)
        .set_cap(5)
        .note("its key works on")
        .release(HoldKind::Dropped)
        .note("released");
    insta::assert_snapshot!(join_notes(&[off, on]), @"
    lowered: live, a off; tell a Limit($5.000000); $5 of $20
    enabled: live, a on; $5 of $20

    its key works on: live, dropped, a on; tell a Off; $20 of $20
    released: live, a on; tell a Limit($5.000000); $20 of $20
    ");
}

/// A person who replaces twice within minutes costs one reservation at every step.
#[test]
fn two_replacements_cost_one() {
    let mut story = Story::claimed();
    let begun = story
        .show(KeyRequestKind::Replace, 'b')
        .begin(KeyRequestKind::Replace);
    story
        .note("begun")
        .disable(2)
        .read(2, 12_000_000)
        .note("the first was read before the second was shown");
    let minted = MintedKey {
        limit: dollars(8),
        ..minted('c')
    };
    story
        .apply(story.view.record(&begun, &minted, story.now).unwrap())
        .note("made");
    insta::assert_snapshot!(story.notes(), @"
    begun: stopped (Replacing), a off, b on; tell b Off; tell a Read in 15m; $20 of $20
    the first was read before the second was shown: stopped (Replacing), a off, b off; tell a Read in 15m; tell b Read in 15m; $20 of $20
    made: live, a off, b off, c on; tell a Read in 15m; tell b Read in 15m; $20 of $20
    ");
}

/// A key that somebody enabled again is counted at once, even if the budget has no room.
#[test]
fn an_enabled_key_is_counted() {
    let mut story = Story::claimed();
    story.hold(HoldKind::Unused).disable(1);
    let resumed = story
        .view
        .release(HoldKind::Unused, &Actor::Student, story.now);
    assert_eq!(resumed.unwrap().budget, BudgetChange::None);
    story
        .read_at_last(1, 3_000_000)
        .count()
        .note("unused")
        .view
        .budget_mut()
        .limit = dollars(10);
    story.note_refusal(
        "resumed",
        story
            .view
            .release(HoldKind::Unused, &Actor::Student, story.now),
    );
    story
        .apply(story.seen('a', &listed(true, 20, story.now)).unwrap())
        .note("seen on")
        .set_cap(5)
        .note("lowered");
    story
        .disable(1)
        .read_at_last(1, 3_000_000)
        .count()
        .note("off again");
    insta::assert_snapshot!(story.notes(), @"
    unused: live, unused, a off; $3 of $3
    resumed: BudgetExhausted
    seen on: live, unused, a on; tell a Off; $20 of $20
    lowered: live, unused, a on; tell a Off; $20 of $20
    off again: live, unused, a off; $3 of $3
    ");
}

/// A key that was handed back frees its reservation, and the next key takes a new one.
#[test]
fn a_returned_key_frees_budget() {
    let mut story = Story::claimed();
    story
        .give_back()
        .disable(1)
        .read_at_last(1, 2_000_000)
        .count()
        .note("handed back");
    story
        .note_refusal("again", story.view.hand_back(Epoch::new(1)))
        .view
        .budget_mut()
        .limit = dollars(19);
    story
        .press_in_vain(KeyRequestKind::Replace)
        .view
        .budget_mut()
        .limit = dollars(20);
    story.show(KeyRequestKind::Replace, 'b').note("replaced");
    insta::assert_snapshot!(story.notes(), @"
    handed back: stopped (Returned), a off; $2 of $2
    again: Unchanged
    Replace: BudgetExhausted
    replaced: live, a off, b on; $20 of $20
    ");
    assert_eq!(
        (story.view.grant.replacements, key(&story, 2).limit.known()),
        (1, Some(&dollars(18)))
    );
}

/// A missing key costs its recorded use and nothing else.
#[test]
fn a_lost_key_costs_its_use() {
    let mut story = Story::claimed();
    story
        .revoke()
        .read(1, 3_000_000)
        .after(1.hour())
        .miss('a')
        .after(1.hour())
        .count()
        .note("missing");
    story
        .apply(story.view.record_gone(&hash('a'), story.now).unwrap())
        .count()
        .note("gone");
    insta::assert_snapshot!(story.notes(), @"
    missing: revoked, a on; tell a Off; $20 of $20
    gone: revoked, a on; $3 of $3
    ");
}

/// A grant with a reservation and a live key, somewhere in a term of a hundred days.
fn live(reset: Reset, cap: i64) -> Story {
    let mut story = Story::new();
    story.view.settings_mut().basis.reset = reset;
    story.view.settings_mut().allowance.cap = Usd::from_micros(cap).whole_cents();
    story.view.budget_mut().limit = Usd::MAX;
    story.show(KeyRequestKind::Reveal, 'a');
    story
}

fn resets() -> impl Strategy<Value = Reset> {
    prop::sample::select(vec![
        Reset::None,
        Reset::Daily,
        Reset::Weekly,
        Reset::Monthly,
    ])
}

/// Every window that begins in the term is counted, and so is use beyond a limit.
#[test]
fn every_window_is_counted() {
    let mut daily = live(Reset::Daily, 1_000_000);
    daily.now = daily.view.programme.settings.term.starts_at();
    assert_eq!(daily.cost(), dollars(100));
    let mut over = live(Reset::None, 20_000_000);
    assert_eq!(over.read(1, 3_000_000).cost(), dollars(20));
    assert_eq!(
        over.read(1, 20_050_000).cost(),
        Usd::from_micros(20_050_000)
    );
}

proptest! {
    #[test]
    fn what_is_unspent_never_grows_with_time_or_spending(
        reset in resets(), cap in 10_000_i64..50_000_000, used in 0_i64..60_000_000, more in 0_i64..60_000_000,
        hour in 0_i64..2400, later in 0_i64..2400,
    ) {
        let mut story = live(reset, cap);
        story.now = story.view.programme.settings.term.starts_at() + hour.hours();
        story.read(1, used);
        let before = story.view.reservation().unspent(story.now);
        let then = story.now + later.hours();
        // In this window more may be used; in a later one the use begins at zero.
        let used_then = if reset.window_at(story.now) == reset.window_at(then) { used + more } else { more };
        story.now = then;
        prop_assert!(story.read(1, used_then).view.reservation().unspent(then) <= before);
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

/// A limit is sent only while it is wanted, and one that was superseded is followed by the current
/// limit.
#[test]
fn an_old_limit_is_not_sent() {
    let mut story = Story::claimed();
    let fifty = story.set_cap(50).call(1, is_limit);
    story.set_cap(30);
    story.note_refusal("fifty", story.view.with_note(&fifty, story.now));
    let thirty = story.send(1, is_limit);
    story.set_cap(10).answer(&thirty).note("thirty answered");
    insta::assert_snapshot!(story.notes(), @"
    fifty: Unchanged
    thirty answered: live, a on; tell a Limit($10.000000); $30 of $50
    ");
}
