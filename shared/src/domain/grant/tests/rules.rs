//! Guardrails of keys: told where another is wanted, confirmed, and never taken off.

use std::sync::Arc;

use super::*;
use crate::domain::audit::Act;
use crate::domain::held::LATE;

fn models(story: &mut Story, models: &[&str]) {
    story.view.settings_mut().rules.all.models =
        models.iter().map(|model| (*model).to_owned()).collect();
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
    fn make_as(&mut self, id: &str) -> &mut Story {
        let of = self.view.guardrail_wanted().unwrap();
        Arc::make_mut(&mut self.view.guardrails).retain(|known| known.owner != of);
        let mut guardrail = made(&of);
        guardrail.remote.as_mut().unwrap().id = id.to_owned();
        Arc::make_mut(&mut self.view.guardrails).push(guardrail);
        self
    }

    fn restrict(&mut self) -> &mut Story {
        self.tell(1, is_guardrail)
    }
}

fn told(group: Option<&str>, id: &str) -> Vec<Tell> {
    vec![Tell::Guardrail(Some(KeyGuardrail {
        group: group.map(str::to_owned),
        id: id.to_owned(),
    }))]
}

/// The first rules put a key under its guardrail, and later ones move no key. A new one has another
/// id.
#[test]
fn only_first_rules_move_a_key() {
    let mut story = Story::live();
    story.note("no rules");
    models(&mut story, &["a/one"]);
    story
        .note("first rules")
        .make_as("one")
        .note("made")
        .restrict()
        .note("told");
    for rules in [&["b/two"][..], &[]] {
        models(&mut story, rules);
        assert_eq!(wanted(story.note("other rules")), Some(None), "{rules:?}");
    }
    insta::assert_snapshot!(story.make_as("another").note("made again").notes(), @r#"
    no rules: live, a on; $20 of $20
    first rules: live, a on; tell a Guardrail(None); $20 of $20
    made: live, a on; tell a Guardrail(Some(KeyGuardrail { group: None, id: "one" })); $20 of $20
    told: live, a on; $20 of $20
    other rules: live, a on; $20 of $20
    other rules: live, a on; $20 of $20
    made again: live, a on; tell a Guardrail(Some(KeyGuardrail { group: None, id: "another" })); $20 of $20
    "#);
}

/// No key is made before its rules are confirmed, and a grant may need a guardrail from its first
/// rules on.
#[test]
fn rules_come_before_the_key() {
    let mut story = Story::live();
    let needs = |story: &Story| {
        story
            .view
            .grant
            .may_need_guardrail(&story.view.programme.settings)
    };
    assert_eq!(
        (story.view.next_guardrail(), needs(&story)),
        (NextGuardrail::None, false)
    );
    models(&mut story, &["a/one"]);
    assert_eq!(
        (story.view.next_guardrail(), needs(&story)),
        (NextGuardrail::NotConfirmed, true)
    );
    story.make_as("one").restrict();
    models(&mut story, &[]);
    assert!(needs(&story), "no key leaves its guardrail");
}

/// A key follows a change of group, and a group that loses its rules keeps its guardrail.
#[test]
fn a_new_group_moves_the_key() {
    let mut story = Story::new();
    group(&mut story, "own", &["a/one"]);
    story.show(KeyRequestKind::Reveal, 'a');
    let moves = |story: &mut Story, group: Option<&str>| {
        story.apply(story.view.move_to(group, &faculty(), story.now).unwrap());
        !story.due(1).is_empty()
    };
    assert!(
        !moves(&mut story, Some("without")),
        "a group without models of its own has the programme's"
    );
    assert!(moves(&mut story, Some("own")));
    assert_eq!(story.make_as("of the group").restrict().due(1), []);
    for own in [&[][..], &["b/two"]] {
        group(&mut story, "own", own);
        assert_eq!(
            (wanted(&story), story.due(1)),
            (Some(Some("own".to_owned())), vec![]),
            "{own:?}"
        );
    }
    group(&mut story, "own", &[]);
    assert_eq!(story.view.next_guardrail(), NextGuardrail::None);
    assert!(
        moves(&mut story, None) && wanted(&story) == Some(None),
        "no key is taken from under a guardrail"
    );
}

/// The current one of two guardrails is sent again once the other can no longer arrive.
#[test]
fn the_new_guardrail_is_resent() {
    let mut story = Story::live();
    story.view.grant.group = Some("own".to_owned());
    models(&mut story, &["a/one"]);
    story.make_as("first").send(1, is_guardrail);
    group(&mut story, "own", &["b/two"]);
    story
        .make_as("second")
        .note("another")
        .after(1.second())
        .restrict()
        .note("the first may come yet");
    insta::assert_snapshot!(story.after(LATE).restrict().note("sent again").notes(), @r#"
    another: live, a on; tell a Guardrail(Some(KeyGuardrail { group: Some("own"), id: "second" })); $20 of $20
    the first may come yet: live, a on; tell a Guardrail(Some(KeyGuardrail { group: Some("own"), id: "second" })) in 1m 19s; $20 of $20
    sent again: live, a on; $20 of $20
    "#);
    assert!(
        key(&story, 1)
            .guardrail
            .known()
            .is_some_and(|under| under.id == "second")
    );
}

/// An enable waits for the guardrail, and a key that ends needs none.
#[test]
fn an_enable_awaits_a_guardrail() {
    let mut story = Story::live();
    story.hold(HoldKind::Paused).disable(1);
    models(&mut story, &["a/one"]);
    story
        .make_as("one")
        .note("held")
        .release(HoldKind::Paused)
        .note("released");
    insta::assert_snapshot!(story.restrict().note("told").leak().note("leaked").notes(), @r#"
    held: live, paused, a off; tell a Read in 15m; $20 of $20
    released: live, a off; tell a Guardrail(Some(KeyGuardrail { group: None, id: "one" })); $20 of $20
    told: live, a off; tell a On; $20 of $20
    leaked: stopped (Leaked), a off; tell a Read in 15m; $20 of $20
    "#);
}

/// A key that somebody removed from its guardrail is put back under it.
#[test]
fn a_lost_guardrail_is_restored() {
    let mut story = Story::live();
    models(&mut story, &["a/one"]);
    story.make_as("one").restrict();
    let lost = |story: &Story, key| story.view.not_under(&hash(key), story.now);
    assert_eq!(lost(&story, 'a'), Err(Unchanged), "it was only just told");
    story.after(LATE);
    assert_eq!(lost(&story, 'b'), Err(Unchanged), "that is another key");
    let change = lost(&story, 'a').unwrap();
    assert_eq!(change.audit().unwrap().act, Act::GuardrailLost);
    story.apply(change);
    assert_eq!(
        (story.due(1), lost(&story, 'a')),
        (told(None, "one"), Err(Unchanged))
    );
    assert_eq!(story.restrict().due(1), []);
}
