//! Guardrails of keys: told where another is wanted, confirmed, and never taken off.

use std::sync::Arc;

use super::*;
use crate::domain::audit::Act;
use crate::domain::held::LATE;

fn models(story: &mut Story, models: &[&str]) {
    story.view.settings_mut().rules.all.models = models.iter().map(|model| (*model).to_owned()).collect();
}

fn group(story: &mut Story, name: &str, models: &[&str]) {
    let models: Vec<String> = models.iter().map(|model| (*model).to_owned()).collect();
    let of_groups = &mut story.view.settings_mut().rules.group_models;
    of_groups.insert(name.to_owned(), models);
    of_groups.retain(|_, models| !models.is_empty());
}

/// The group whose guardrail the key is to be under; `Some(None)` is the programme's.
fn wanted(story: &Story) -> Option<Option<String>> {
    story.view.guardrail_wanted().map(|wanted| wanted.group)
}

impl Story {
    /// The wanted guardrail is made, under this id.
    fn made_as(&mut self, id: &str) -> &mut Story {
        let of = self.view.guardrail_wanted().unwrap();
        Arc::make_mut(&mut self.view.guardrails).retain(|known| known.owner != of);
        let mut guardrail = made(&of);
        guardrail.remote.as_mut().unwrap().id = id.to_owned();
        Arc::make_mut(&mut self.view.guardrails).push(guardrail);
        self
    }

    fn restricted(&mut self) -> &mut Story {
        self.told(1, |tell| matches!(tell, Tell::Guardrail(_)))
    }
}

fn told(group: Option<&str>, id: &str) -> Vec<Tell> {
    vec![Tell::Guardrail(Some(KeyGuardrail { group: group.map(str::to_owned), id: id.to_owned() }))]
}

/// The first rules put a key under its guardrail, and later ones move no key.
#[test]
fn only_first_rules_move_a_key() {
    let mut story = Story::live();
    assert_eq!(story.due(1), [], "it may call everything, and was never under a guardrail");
    models(&mut story, &["a/one"]);
    assert_eq!(story.due(1), [Tell::Guardrail(None)], "it waits for the guardrail");
    assert_eq!(story.made_as("one").due(1), told(None, "one"));
    assert_eq!(story.restricted().due(1), []);
    for rules in [&["b/two"][..], &[]] {
        models(&mut story, rules);
        assert_eq!((story.due(1), wanted(&story)), (vec![], Some(None)), "{rules:?}");
    }
    assert_eq!(story.made_as("another").due(1), told(None, "another"), "one that was made again has another id");
}

/// No key is made before its rules are confirmed, and a grant may need a guardrail from its first rules on.
#[test]
fn rules_come_before_the_key() {
    let mut story = Story::live();
    let needs = |story: &Story| story.view.grant.may_need_guardrail(&story.view.programme.settings);
    assert_eq!((story.view.next_guardrail(), needs(&story)), (NextGuardrail::None, false));
    models(&mut story, &["a/one"]);
    assert_eq!((story.view.next_guardrail(), needs(&story)), (NextGuardrail::NotConfirmed, true));
    story.made_as("one").restricted();
    models(&mut story, &[]);
    assert!(needs(&story), "no key leaves its guardrail");
}

/// A key follows a change of group, and a group that loses its rules keeps its guardrail.
#[test]
fn a_new_group_moves_the_key() {
    let mut story = Story::new();
    group(&mut story, "own", &["a/one"]);
    story.shown(KeyRequestKind::Reveal, 'a');
    let moves = |story: &mut Story, group: Option<&str>| {
        story.apply(story.view.move_to(group, &faculty(), story.now).unwrap());
        !story.due(1).is_empty()
    };
    assert!(!moves(&mut story, Some("without")), "a group without models of its own has the programme's");
    assert!(moves(&mut story, Some("own")));
    assert_eq!(story.made_as("of the group").restricted().due(1), []);
    for own in [&[][..], &["b/two"]] {
        group(&mut story, "own", own);
        assert_eq!((wanted(&story), story.due(1)), (Some(Some("own".to_owned())), vec![]), "{own:?}");
    }
    group(&mut story, "own", &[]);
    assert_eq!(story.view.next_guardrail(), NextGuardrail::None);
    assert!(moves(&mut story, None) && wanted(&story) == Some(None), "no key is taken from under a guardrail");
}

/// The current one of two guardrails is sent again once the other can no longer arrive.
#[test]
fn the_new_guardrail_is_resent() {
    let mut story = Story::live();
    story.view.grant.group = Some("own".to_owned());
    models(&mut story, &["a/one"]);
    let first = story.made_as("first").sent(1, |tell| matches!(tell, Tell::Guardrail(_)));
    group(&mut story, "own", &["b/two"]);
    assert_eq!(story.made_as("second").due(1), told(Some("own"), "second"));
    story.after(1.second()).restricted();
    assert_eq!(story.due(1), [], "the first may come yet");
    assert_eq!(story.view.next_due(story.now), Some(first.1 + LATE));
    story.after(LATE).restricted();
    assert!(key(&story, 1).guardrail.known().is_some_and(|under| under.id == "second"));
    assert_eq!(story.due(1), []);
}

/// An enable waits for the guardrail, and a key that ends needs none.
#[test]
fn an_enable_awaits_a_guardrail() {
    let mut story = Story::live();
    story.held(HoldKind::Paused).disabled(1);
    models(&mut story, &["a/one"]);
    story.made_as("one");
    assert_eq!(story.due(1), []);
    assert_eq!(story.released(HoldKind::Paused).due(1), told(None, "one"));
    assert_eq!(story.clone().restricted().due(1), [Tell::On]);
    story.apply(story.view.stop(Stopped::Leaked, &Actor::Student).unwrap());
    assert_eq!(story.due(1), []);
}

/// A key that somebody removed from its guardrail is put back under it.
#[test]
fn a_lost_guardrail_is_restored() {
    let mut story = Story::live();
    models(&mut story, &["a/one"]);
    story.made_as("one").restricted();
    let lost = |story: &Story, key| story.view.not_under(&hash(key), story.now);
    assert_eq!(lost(&story, 'a'), Err(Unchanged), "it was only just told");
    story.after(LATE);
    assert_eq!(lost(&story, 'b'), Err(Unchanged), "that is another key");
    let change = lost(&story, 'a').unwrap();
    assert_eq!(change.audit().unwrap().act, Act::GuardrailLost);
    story.apply(change);
    assert_eq!((story.due(1), lost(&story, 'a')), (told(None, "one"), Err(Unchanged)));
    assert_eq!(story.restricted().due(1), []);
}
