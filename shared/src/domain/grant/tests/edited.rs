//! Edits of caps and of the term: what reservations cost then.

use proptest::prelude::*;

use super::*;
use crate::tests::values::dollars;

impl Story {
    fn counted_in(reset: Reset) -> Story {
        let mut story = Story::new();
        story.view.settings_mut().basis.reset = reset;
        story.view.budget_mut().limit = dollars(100_000);
        story
    }

    fn edited(&mut self, edit: impl FnOnce(&mut Settings)) -> EditEffect {
        let mut after = self.view.programme.settings.clone();
        edit(&mut after);
        let grants = [(self.view.grant.clone(), self.view.readings.clone())];
        let effect = EditEffect::compute(
            &grants,
            &self.view.budget,
            &self.view.programme.settings,
            &after,
            self.now,
        );
        self.view.budget_mut().reserved += effect.increase;
        *self.view.settings_mut() = after;
        effect
    }
}

#[test]
fn an_edit_reserves_what_is_more_at_once_and_gives_nothing_back() {
    let mut story = Story::live();
    assert_eq!(
        story
            .edited(|settings| settings.allowance.cap = dollars(30))
            .increase,
        dollars(10)
    );
    assert_eq!(
        (story.view.budget.reserved, story.cost()),
        (dollars(30), dollars(30))
    );
    assert_eq!(
        story
            .edited(|settings| settings.allowance.cap = dollars(5))
            .increase,
        Usd::ZERO
    );
    assert_eq!(
        (story.view.budget.reserved, story.cost()),
        (dollars(30), dollars(20)),
        "nobody was ever told of thirty"
    );
    let mut invited = Story::new();
    let effect = invited.edited(|settings| settings.allowance.cap = dollars(30));
    assert_eq!(
        (effect.increase, effect.grants, effect.keys_until),
        (Usd::ZERO, 1, None)
    );
    // Only a key that still works keeps the end of the term from being moved beyond its own.
    let expires = story.now + 1.hour();
    story.view.grant.keys[0].expires_at = Some(expires);
    assert_eq!(story.edited(|_| {}).keys_until, Some(expires));
    assert_eq!(story.after(1.hour()).edited(|_| {}).keys_until, None);
}

/// An act that decides which cap counts writes the budget even at equal cost, so no edit can pass
/// it.
#[test]
fn choosing_a_cap_is_counted() {
    let story = Story::live();
    let counted = |story: &Story, change: Change| change.counted(&story.view, story.now).budget;
    let own = story
        .view
        .set_cap(Some(dollars(20)), &faculty(), None, story.now)
        .unwrap();
    assert_eq!(counted(&story, own), BudgetChange::TakeAnyway(Usd::ZERO));
    let moved = story
        .view
        .move_to(Some("A"), &faculty(), story.now)
        .unwrap();
    assert_eq!(counted(&story, moved), BudgetChange::TakeAnyway(Usd::ZERO));
    let allowed = story.view.allow(&faculty()).unwrap();
    assert_eq!(counted(&story, allowed), BudgetChange::None);
}

#[derive(Debug, Clone)]
enum Step {
    Cap(i32),
    OwnCap(Option<i32>),
    Group(bool),
    GroupCap(Option<i32>),
    Request,
    Spend(i32),
    Hours(i64),
    Limited,
    Revoke,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let cap = || 1..60_i32;
    let step = prop_oneof![
        cap().prop_map(Step::Cap),
        prop::option::of(cap()).prop_map(Step::OwnCap),
        any::<bool>().prop_map(Step::Group),
        prop::option::of(cap()).prop_map(Step::GroupCap),
        Just(Step::Request),
        (0..5).prop_map(Step::Spend),
        (1..900_i64).prop_map(Step::Hours),
        Just(Step::Limited),
        Just(Step::Revoke),
    ];
    prop::collection::vec(step, 1..25)
}

proptest! {
    /// Whatever is edited between whatever acts: what is reserved covers the reservation, and what
    /// the key may spend.
    #[test]
    fn the_budget_covers_the_cost(
        steps in steps(), reset in prop_oneof![Just(Reset::None), Just(Reset::Weekly), Just(Reset::Monthly)],
    ) {
        let mut story = Story::counted_in(reset);
        let mut key = 0;
        let mut used = 0;
        for step in steps {
            let now = story.now;
            match step {
                Step::Cap(cap) => drop(story.edited(|settings| settings.allowance.cap = dollars(cap))),
                Step::GroupCap(cap) => {
                    let cap = cap.map(|cap| ("A".to_owned(), dollars(cap)));
                    story.edited(|settings| settings.allowance.group_caps = cap.into_iter().collect());
                }
                Step::OwnCap(cap) => {
                    if let Ok(change) = story.view.set_cap(cap.map(dollars), &faculty(), None, now) {
                        story.apply(change);
                    }
                }
                Step::Group(into) => {
                    if let Ok(change) = story.view.move_to(into.then_some("A"), &faculty(), now) {
                        story.apply(change);
                    }
                }
                Step::Request => {
                    let kind = if story.view.grant.stage.has_claimed() { KeyRequestKind::Replace } else { KeyRequestKind::Reveal };
                    if story.press(kind).is_ok() {
                        key += 1;
                        story.show(kind, char::from_digit(key % 16, 16).unwrap());
                        used = 0;
                    }
                }
                Step::Spend(cents) => {
                    if let Some(live) = story.view.grant.live().map(|live| live.epoch) {
                        used += i64::from(cents) * 10_000;
                        story.read(live.number(), used);
                    }
                }
                Step::Hours(hours) => story.now += hours.hours(),
                Step::Limited => {
                    story.settle(|_| true);
                }
                Step::Revoke => {
                    if let Ok(change) = story.view.revoke(&faculty(), None) {
                        story.apply(change);
                    }
                }
            }
            let cost = story.cost();
            prop_assert!(story.view.budget.reserved >= cost, "{step:?}: {} for {cost}", story.view.budget.reserved);
            if let Some(live) = story.view.grant.live().filter(|live| live.expires_at.is_some_and(|end| story.now < end)) {
                let limit = live.largest_limit();
                prop_assert!(cost >= limit, "{step:?}: {cost} for {limit}");
            }
        }
    }
}
