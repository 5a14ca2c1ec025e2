//! Rules of keys: ordered when they change, confirmed, and never shown before.

use super::*;
use crate::domain::programme::Group;
use crate::domain::programme::rules::Rules;

fn models(story: &mut Story, models: &[&str]) {
    story.view.programme.settings.models = models.iter().map(|model| (*model).to_owned()).collect();
}

fn order(story: &Story) -> Option<Order> {
    story.order(Epoch::new(1), OrderKind::Rules)
}

/// What the order of now asks for is confirmed.
fn confirm(story: &mut Story, rules: &Rules) -> Result<(), Unchanged> {
    let ordered = order(story).map(|order| order.since);
    confirm_of(story, rules, ordered)
}

/// What somebody sent for an earlier order, or for none, is confirmed.
fn confirm_of(story: &mut Story, rules: &Rules, ordered: Option<Timestamp>) -> Result<(), Unchanged> {
    story.apply(story.view.rules_confirmed(Epoch::new(1), &hash('a'), &rules.id(), ordered, story.now)?);
    Ok(())
}

#[test]
fn a_key_that_was_made_under_other_rules_than_those_of_now_is_not_recorded() {
    let mut story = Story::new();
    let begun = story.begin(PressKind::Reveal);
    let free = minted('a');
    models(&mut story, &["a/one"]);
    assert_eq!(story.view.record(&begun, &free, story.now), Err(RecordRefused::OtherRules));
    let restricted = MintedKey { rule_set: story.rule_set(), ..free };
    models(&mut story, &["a/one", "b/two"]);
    assert_eq!(story.view.record(&begun, &restricted, story.now), Err(RecordRefused::OtherRules));
    models(&mut story, &[]);
    assert_eq!(story.view.record(&begun, &restricted, story.now), Err(RecordRefused::OtherRules));
    models(&mut story, &["a/one"]);
    assert!(story.view.record(&begun, &restricted, story.now).is_ok());
}

#[test]
fn other_rules_are_ordered_until_they_are_confirmed_and_lifted_ones_as_well() {
    let mut story = Story::live();
    assert_eq!(story.view.order_rules(story.now), Err(Unchanged), "it may call everything, and was never under others");
    models(&mut story, &["a/one"]);
    story.apply(story.view.order_rules(story.now).unwrap());
    assert_eq!(order(&story).unwrap().due, story.now);
    assert_eq!(story.view.order_rules(story.now), Err(Unchanged), "it is ordered");

    // Rules that were saved meanwhile are ordered anew by the confirmation of the others.
    let first = story.view.rules_wanted().unwrap();
    models(&mut story, &["b/two"]);
    story.now += 1.minute();
    confirm(&mut story, &first).unwrap();
    assert_eq!((attempt(&story, 1).rule_set.clone(), order(&story).unwrap().since), (Some(first.id()), story.now));
    let second = story.view.rules_wanted().unwrap();
    confirm(&mut story, &second).unwrap();
    assert_eq!((order(&story), confirm(&mut story, &second)), (None, Err(Unchanged)));

    models(&mut story, &[]);
    story.apply(story.view.order_rules(story.now).unwrap());
    assert!(story.view.rules_wanted().unwrap().allow_all());
    confirm(&mut story, &Rules::default()).unwrap();
    assert_eq!(order(&story), None);
}

#[test]
fn of_two_who_sent_other_rules_the_later_word_leaves_an_order_since_nobody_knows_what_came_last() {
    let mut story = Story::live();
    models(&mut story, &["a/one"]);
    story.apply(story.view.order_rules(story.now).unwrap());
    let first = (story.view.rules_wanted().unwrap(), order(&story).map(|order| order.since));
    models(&mut story, &["b/two"]);
    let second = story.view.rules_wanted().unwrap();
    story.now += 1.minute();
    confirm_of(&mut story, &first.0, first.1).unwrap();
    story.now += 1.minute();
    confirm_of(&mut story, &second, first.1).unwrap();
    assert_eq!(order(&story).map(|order| order.since), Some(story.now), "the order of before is not the last one");
    confirm(&mut story, &second).unwrap();
    assert_eq!(order(&story), None);

    // A sync that read restricted settings hears of its assignment after they were lifted.
    let mut story = Story::live();
    confirm_of(&mut story, &first.0, None).unwrap();
    assert!(order(&story).is_some() && story.view.rules_wanted().unwrap().allow_all());
}

#[test]
fn an_enable_waits_for_rules_and_a_key_that_ends_needs_none() {
    let mut story = Story::live();
    story.held(HoldKind::Paused).disabled(Epoch::new(1));
    models(&mut story, &["a/one"]);
    story.apply(story.view.order_rules(story.now).unwrap()).released(HoldKind::Paused);
    let kinds: Vec<OrderKind> = story.view.grant.orders().iter().map(|order| order.kind).collect();
    assert_eq!(kinds, [OrderKind::Rules, OrderKind::On]);
    story.apply(story.view.stop(Stopped::Leaked, &Actor::Student, story.now).unwrap());
    assert_eq!(order(&story), None);
}

#[test]
fn whoever_changes_their_group_gets_its_rules_and_goes_back_to_the_programmes() {
    let mut story = Story::new();
    let own = Group { cap: None, models: vec!["a/one".to_owned()] };
    story.view.programme.settings.groups.insert("own".to_owned(), own);
    story.shown(PressKind::Reveal, 'a');
    let moves = |story: &mut Story, group: Option<&str>| {
        let line = RosterLine { person: story.view.grant.person.clone(), group: group.map(str::to_owned) };
        story.apply(story.view.describe(&line, &faculty(), story.now).unwrap());
        order(story).is_some()
    };
    assert!(!moves(&mut story, Some("without")), "a group without models of its own has the programme's");
    assert!(moves(&mut story, Some("own")));
    let own = story.view.rules_wanted().unwrap();
    assert_eq!(own.models, ["a/one"]);
    confirm(&mut story, &own).unwrap();
    assert!(moves(&mut story, None) && story.view.rules_wanted().unwrap().allow_all());
}

#[test]
fn what_was_sent_and_not_answered_is_ordered_anew_though_other_rules_were_confirmed_since() {
    let mut story = Story::live();
    assert_eq!(story.view.order_rules_anew(Epoch::new(1), story.now), Err(Unchanged), "it may call everything");
    models(&mut story, &["a/one"]);
    let wanted = story.view.rules_wanted().unwrap();
    confirm(&mut story, &wanted).unwrap();
    assert_eq!((order(&story), story.view.order_rules(story.now)), (None, Err(Unchanged)));
    assert_eq!(story.view.order_rules_anew(Epoch::new(2), story.now), Err(Unchanged), "of another key");
    story.apply(story.view.order_rules_anew(Epoch::new(1), story.now).unwrap());
    assert_eq!(order(&story).unwrap().due, story.now);
    assert_eq!(story.view.order_rules_anew(Epoch::new(1), story.now), Err(Unchanged), "it is ordered");
}
