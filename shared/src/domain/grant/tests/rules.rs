//! Guardrails of keys: ordered where another is wanted, confirmed, and never taken off.

use super::*;

fn models(story: &mut Story, models: &[&str]) {
    story.view.programme.settings.rules.all.models = models.iter().map(|model| (*model).to_owned()).collect();
}

fn group(story: &mut Story, name: &str, models: &[&str]) {
    let models: Vec<String> = models.iter().map(|model| (*model).to_owned()).collect();
    let of_groups = &mut story.view.programme.settings.rules.group_models;
    of_groups.insert(name.to_owned(), models);
    of_groups.retain(|_, models| !models.is_empty());
}

fn order(story: &Story) -> Option<Order> {
    story.order(Epoch::new(1), OrderKind::Rules)
}

/// The group whose guardrail the key is to be under; `Some(None)` is the programme's.
fn wanted(story: &Story) -> Option<Option<String>> {
    story.view.guardrail_wanted().map(|wanted| wanted.group)
}

/// Orders it as the job does, once the provider has confirmed the guardrail.
fn moved(story: &Story) -> Result<Change, NotMoved> {
    story.view.order_rules(&made(story.view.guardrail_wanted()), story.now)
}

/// What the order of now asks for is confirmed.
fn confirm(story: &mut Story) -> Result<(), Unchanged> {
    let of = story.view.guardrail_wanted().unwrap();
    let ordered = order(story).map(|order| order.since);
    confirm_of(story, &of, ordered)
}

/// What somebody sent for an earlier order, or for none, is confirmed.
fn confirm_of(story: &mut Story, of: &GuardrailOwner, ordered: Option<Moment>) -> Result<(), Unchanged> {
    story.apply(story.view.rules_confirmed(Epoch::new(1), &hash('a'), &under(of), ordered, story.now)?);
    Ok(())
}

#[test]
fn first_rules_put_a_key_under_its_guardrail_and_later_ones_move_no_key() {
    let mut story = Story::live();
    assert_eq!(moved(&story), Err(NotMoved::Already), "it may call everything, and was never under a guardrail");
    models(&mut story, &["a/one"]);
    assert_eq!(story.view.order_rules(&[], story.now), Err(NotMoved::NotMade));
    story.apply(moved(&story).unwrap());
    assert_eq!(order(&story).unwrap().due, story.now);
    assert_eq!(moved(&story), Err(NotMoved::Already), "it is ordered");
    confirm(&mut story).unwrap();
    assert_eq!((order(&story), confirm(&mut story)), (None, Err(Unchanged)));
    for rules in [&["b/two"][..], &[]] {
        models(&mut story, rules);
        assert_eq!((moved(&story), wanted(&story)), (Err(NotMoved::Already), Some(None)), "{rules:?}");
    }
    // One that was made again has another id.
    let mut again = made(story.view.guardrail_wanted());
    again[0].made.as_mut().unwrap().id = "another".to_owned();
    assert!(story.view.order_rules(&again, story.now).is_ok());
}

#[test]
fn whoever_changes_the_group_is_moved_and_a_group_that_loses_its_rules_keeps_its_guardrail() {
    let mut story = Story::new();
    group(&mut story, "own", &["a/one"]);
    story.shown(KeyRequestKind::Reveal, 'a');
    let moves = |story: &mut Story, group: Option<&str>| {
        story.apply(story.view.move_to(group, &faculty(), story.now).unwrap());
        order(story).is_some()
    };
    assert!(!moves(&mut story, Some("without")), "a group without models of its own has the programme's");
    assert!(moves(&mut story, Some("own")));
    confirm(&mut story).unwrap();
    let of_group = wanted(&story);
    assert_eq!(of_group, Some(Some("own".to_owned())));
    for own in [&[][..], &["b/two"]] {
        group(&mut story, "own", own);
        assert_eq!((wanted(&story), moved(&story)), (of_group.clone(), Err(NotMoved::Already)), "{own:?}");
    }
    group(&mut story, "own", &[]);
    assert_eq!(story.view.guardrail_of_next_key(), None);
    assert!(moves(&mut story, None) && wanted(&story) == Some(None), "no key is taken from under a guardrail");
}

#[test]
fn of_two_who_sent_it_elsewhere_the_later_word_leaves_an_order_since_nobody_knows_what_came_last() {
    let mut story = Story::live();
    story.view.grant.group = Some("own".to_owned());
    models(&mut story, &["a/one"]);
    story.apply(moved(&story).unwrap());
    let first = (story.view.guardrail_wanted().unwrap(), order(&story).map(|order| order.since));
    group(&mut story, "own", &["b/two"]);
    let second = story.view.guardrail_wanted().unwrap();
    assert_ne!(first.0, second);
    story.now += 1.minute();
    confirm_of(&mut story, &first.0, first.1).unwrap();
    assert_eq!(order(&story).map(|order| order.since), Some(story.now), "another is wanted by now");
    story.now += 1.minute();
    confirm_of(&mut story, &second, first.1).unwrap();
    assert_eq!(order(&story).map(|order| order.since), Some(story.now), "the order of before is not the last one");
    confirm(&mut story).unwrap();
    assert_eq!(order(&story), None);
}

#[test]
fn an_enable_waits_for_rules_and_a_key_that_ends_needs_none() {
    let mut story = Story::live();
    story.held(HoldKind::Paused).disabled(Epoch::new(1));
    models(&mut story, &["a/one"]);
    story.apply(moved(&story).unwrap()).released(HoldKind::Paused);
    let kinds: Vec<OrderKind> = story.view.grant.orders().iter().map(|order| order.kind).collect();
    assert_eq!(kinds, [OrderKind::Rules, OrderKind::On]);
    story.apply(story.view.stop(Stopped::Leaked, &Actor::Student, story.now).unwrap());
    assert_eq!(order(&story), None);
}

#[test]
fn what_was_sent_and_not_answered_is_ordered_anew() {
    let mut story = Story::live();
    assert_eq!(story.view.order_rules_anew(Epoch::new(1), story.now), Err(Unchanged), "it may call everything");
    models(&mut story, &["a/one"]);
    story.apply(moved(&story).unwrap());
    confirm(&mut story).unwrap();
    assert_eq!(story.view.order_rules_anew(Epoch::new(2), story.now), Err(Unchanged), "of another key");
    story.apply(story.view.order_rules_anew(Epoch::new(1), story.now).unwrap());
    assert_eq!(order(&story).unwrap().due, story.now);
    assert_eq!(story.view.order_rules_anew(Epoch::new(1), story.now), Err(Unchanged), "it is ordered");
}
