//! Calls to the provider that were sent one after the other and take effect up to a minute later,
//! without an answer, in any order; a call that makes a key which is done twice or far too late;
//! changes by hand between them. Every invariant is judged after each effect, and after three
//! minutes and one sync the provider holds what is wanted.

use bursar_core::domain::values::window::Reset;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::{Nano, Quirks};
use bursar_tests::campus::reports;
use bursar_tests::faults::{Call, Fault, Matcher};
use bursar_tests::seeds::{LONG, sample};
use futures_util::stream::{self, StreamExt};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::story::Story;
use crate::claim::faults::{ASSIGN, DISABLE, MAKE};

const TELL: &str = "provider:PATCH /guardrails/{id}";
/// What was done before and is certain; what is done within seconds, whose calls take effect late,
/// unless they are answered; and what is pressed in the end, for a key.
const STORIES: [(&str, &str, &str); 20] = [
    ("reveal", "cap 30, cap 10", ""),
    ("reveal", "cap 10, cap 30", ""),
    ("reveal, pause", "resume, pause, resume", "replace"),
    ("reveal, pause", "resume, leaked", "replace"),
    ("reveal, pause", "resume, return", "replace"),
    ("reveal, pause", "resume, revoke", ""),
    ("reveal, pause", "resume, replace", "replace"),
    ("reveal, pause", "resume, answered replace", "replace"),
    ("reveal, pause", "resume, answered leaked", "replace"),
    ("reveal", "replace, cap 30", "replace"),
    ("", "reveal meanwhile revoke", ""),
    ("", "reveal meanwhile pause, resume", "reveal"),
    ("", "reveal", "reveal"),
    (
        "reveal, pause",
        r#"resume, by hand {"disabled":true}"#,
        "replace",
    ),
    ("reveal", r#"pause, by hand {"disabled":false}"#, ""),
    ("reveal, revoke", r#"by hand {"disabled":false}"#, ""),
    ("reveal", r#"cap 30, by hand {"limit":null}"#, ""),
    ("reveal", r#"cap 10, by hand {"limit":500}"#, ""),
    (
        "reveal",
        r#"cap 30, by hand {"include_byok_in_limit":false}"#,
        "",
    ),
    (
        "reveal",
        "models anthropic/claude-sonnet-4.5, models openai/gpt-4o-mini",
        "",
    ),
];

/// What takes effect: a call, or a change by hand.
enum Effect {
    Call(Call),
    ByHand(Value),
}

/// What was done before and is certain, what is refused and done all the same, and what is done
/// next.
const REFUSED: [(&str, &str, &str); 8] = [
    ("reveal, pause", "resume", "replace"),
    ("reveal, pause", "resume", "leaked"),
    ("reveal, pause", "resume", "pause"),
    ("reveal, pause", "resume", "revoke"),
    ("reveal", "pause", "resume"),
    ("reveal", "cap 30", "cap 20"),
    ("reveal", "cap 10", "replace"),
    (
        "reveal",
        "models anthropic/claude-sonnet-4.5",
        "models openai/gpt-4o-mini",
    ),
];

/// Whatever the status is, and whether it is done at once or half a minute later, three minutes
/// later the provider holds what is wanted, and the sync takes nothing of it for another hand's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_may_have_been_done() {
    let faults = [404, 409, 422, 429, 503]
        .map(|status| [Fault::StatusAfter(status), Fault::RefusedLate(status)]);
    let cases = REFUSED.into_iter().flat_map(|story| {
        faults
            .into_iter()
            .flatten()
            .map(move |fault| (story, fault))
    });
    for ((before, refused, then), fault) in sample(cases, 12) {
        let mut story = restricted().await;
        story.tell(format!("{before}; {fault:?}: {refused}; {then}"));
        story.invites(&["ada"]).await;
        for what in words(before) {
            does(&mut story, "ada", what).await;
        }
        let rules = [DISABLE, TELL].map(|call| story.gate.at(Matcher::call(call).every(), fault));
        does(&mut story, "ada", refused).await;
        rules.into_iter().for_each(|rule| story.gate.lift(rule));
        does(&mut story, "ada", then).await;
        story
            .campus
            .clock
            .advance(SignedDuration::from_secs(30))
            .unwrap();
        story.gate.run_late().await;
        story.judged("what was refused is done").await;
        story.works_for(3).await;
        story.holds_what_is_wanted().await;
        let report = story.syncs().await;
        reports(&report, &json!({"complete": true, "problems": []}));
        story.holds_what_is_wanted().await;
        if then == "replace" && story.key("ada").disabled {
            assert!(story.presses("ada", then).await, "no key is shown");
        }
        story.campus.finish_faulted().await;
    }
}

/// Rules that were sent without an answer come twenty seconds after others that were answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_rules_do_not_come_back() {
    let mut story = restricted().await;
    story.invites(&["ada"]).await;
    story.presses("ada", "reveal").await;
    story.gate.at(Matcher::call(TELL), Fault::Late);
    does(
        &mut story,
        "ada",
        "models openai/gpt-4o-mini, anthropic/claude-sonnet-4.5",
    )
    .await;
    does(&mut story, "ada", "models openai/gpt-4o-mini").await;
    story
        .campus
        .clock
        .advance(SignedDuration::from_secs(20))
        .unwrap();
    story.gate.run_late().await;
    story.works_for(3).await;
    let report = story.syncs().await;
    reports(&report, &json!({"complete": true, "problems": []}));
    story.campus.finish_faulted().await;
}

/// The provider comes to hold what is wanted, in whatever order calls take effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_ends_as_wanted() {
    // All at once, a turn of work may be out of time before it has begun.
    stream::iter(STORIES)
        .map(|story| tokio::spawn(play(story)))
        .buffer_unordered(4)
        .for_each(async |played| played.unwrap())
        .await;
}

/// Plays one of the stories in each order; `cargo test` in the opposite of that in which calls were
/// sent.
async fn play((before, late, after): (&'static str, &'static str, &'static str)) {
    let mut story = restricted().await;
    let (mut nth, mut orders) = (0, 1);
    while nth < orders {
        let name = format!("s{nth}");
        story.tell(format!("{before}; {late}; {nth}"));
        story.invites(&[&name]).await;
        for what in words(before) {
            does(&mut story, &name, what).await;
        }
        let effects = sent(&mut story, &name, late).await;
        orders = (1..=effects.len()).product();
        nth = if LONG { nth } else { orders - 1 };
        for effect in order(effects, nth) {
            takes(&mut story, &name, effect).await;
        }
        comes_to_hold(&mut story, &name, after).await;
        nth += 1;
    }
    story.campus.finish_faulted().await;
}

/// A daily cap of twenty of which fifteen were used before the key was replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_key_has_the_whole_cap_at_the_turn() {
    let mut story = restricted().await;
    story
        .set(|settings| settings.basis.reset = Reset::Daily)
        .await;
    for nth in 0..2 {
        let name = format!("s{nth}");
        story.invites(&[&name]).await;
        story.presses(&name, "reveal").await;
        story.spends(&name, 15).await;
        story.presses(&name, "replace").await;
        assert_eq!(story.key(&name).limit, Some(Nano::usd(5)));
        story.hours(24).await;
        let effects = sent(&mut story, &name, "work, cap 30").await;
        assert_eq!(effects.len(), 2, "the turn's, and the edit's");
        for effect in order(effects, nth) {
            takes(&mut story, &name, effect).await;
        }
        comes_to_hold(&mut story, &name, "").await;
        assert_eq!(story.key(&name).limit, Some(Nano::usd(30)));
    }
    story.campus.finish_faulted().await;
}

/// The call that makes a key is done late, or twice, or is answered as if it were about another
/// key. Once a sync found the keys that nobody was shown, each person has the one that was shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_nobody_was_shown_ends_whenever_it_appears() {
    let faults = [Fault::Late, Fault::Twice, Fault::AnotherKeys];
    let presses = [["", "reveal"], ["reveal", "replace"]];
    let cases = faults
        .into_iter()
        .flat_map(|fault| [50, 24 * 3600].map(|seconds| (fault, seconds)));
    let cases = cases.flat_map(|(fault, seconds)| presses.map(|presses| (fault, seconds, presses)));
    let mut story = restricted().await;
    for (number, (fault, seconds, [before, what])) in sample(cases, 3).into_iter().enumerate() {
        let name = format!("s{number}");
        story.tell(format!("{name}: {before}, {fault:?}, {seconds}"));
        story.invites(&[&name]).await;
        for what in words(before) {
            does(&mut story, &name, what).await;
        }
        story
            .gate
            .at(Matcher::call(MAKE).of(FunctionName::Claim), fault);
        let is_shown = story.presses(&name, what).await;
        assert_eq!(is_shown, fault == Fault::Twice);
        // Some ask again before it appears, some after it.
        let asks_at_once = !is_shown && seconds == 50;
        if asks_at_once {
            does(&mut story, &name, what).await;
        }
        story
            .campus
            .clock
            .advance(SignedDuration::from_secs(seconds))
            .unwrap();
        story.gate.run_late().await;
        story.sign_in().await;
        story.judged("it appears").await;
        if !is_shown && !asks_at_once {
            does(&mut story, &name, what).await;
        }
        story.campus.minutes(62);
        comes_to_hold(&mut story, &name, "").await;
        assert_eq!(
            story
                .enabled()
                .iter()
                .filter(|enabled| **enabled == name)
                .count(),
            1,
            "{name}"
        );
    }
    story.campus.finish_faulted().await;
}

/// A programme whose keys are restricted, and whose account is known.
async fn restricted() -> Story {
    let story = Story::begins(100_000, &Quirks::default()).await;
    story.campus.restrict().await;
    story.syncs().await;
    story
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(", ").filter(|word| !word.is_empty())
}

async fn does(story: &mut Story, name: &str, what: &str) {
    if let Some(("reveal", act)) = what.split_once(" meanwhile ") {
        let held = story.gate.hold(Matcher::call(MAKE).of(FunctionName::Claim));
        let pressed = tokio::spawn(story.press(name, "reveal"));
        held.arrived().await;
        let acted = story.act(name, act, &[]).await;
        story.ends(acted).await;
        drop(held);
        return story.ends(pressed.await.unwrap()).await;
    }
    let request = match what.split_once(' ') {
        Some(("models", models)) => story.form("/settings", "", &[("models", models)]),
        Some((act, cap)) => story.act(name, act, &[("cap_usd", cap)]),
        None => match what {
            "pause" | "resume" | "revoke" => story.act(name, what, &[]),
            "work" => story.run(FunctionName::Console, json!({"task": "work"})),
            _ => story.press(name, what),
        },
    };
    let ended = request.await;
    story.ends(ended).await;
}

/// Does these, and returns what is yet to take effect.
async fn sent(story: &mut Story, name: &str, acts: &str) -> Vec<Effect> {
    let rules =
        [DISABLE, ASSIGN, TELL].map(|call| story.gate.at(Matcher::call(call).every(), Fault::Late));
    let (mut by_hand, mut answered) = (Vec::new(), Vec::new());
    for what in words(acts) {
        if let Some(change) = what.strip_prefix("by hand ") {
            by_hand.push(Effect::ByHand(serde_json::from_str(change).unwrap()));
        } else if let Some(what) = what.strip_prefix("answered ") {
            answered.push(what);
        } else {
            does(story, name, what).await;
        }
    }
    rules.into_iter().for_each(|rule| story.gate.lift(rule));
    for what in answered {
        does(story, name, what).await;
    }
    let late = story.gate.pending();
    late.into_iter()
        .map(|pending| Effect::Call(pending.call))
        .chain(by_hand)
        .collect()
}

async fn takes(story: &mut Story, name: &str, effect: Effect) {
    story
        .campus
        .clock
        .advance(SignedDuration::from_secs(9))
        .unwrap();
    match effect {
        Effect::Call(call) => story.gate.run_this_late(&call).await,
        Effect::ByHand(change) => story
            .provider()
            .change_by_hand(&story.key(name).hash, &change)
            .unwrap(),
    }
    story.judged("it takes effect").await;
    does(story, name, "work").await;
}

async fn comes_to_hold(story: &mut Story, name: &str, after: &str) {
    story.works_for(3).await;
    assert_eq!(story.syncs().await["complete"], true);
    story.works_for(1).await;
    story.holds_what_is_wanted().await;
    for what in words(after) {
        assert!(story.presses(name, what).await, "{name} is shown no key");
        story.holds_what_is_wanted().await;
    }
}

/// The `nth` of all orders of these, from that which they have to its opposite.
fn order<T>(mut of: Vec<T>, mut nth: usize) -> Vec<T> {
    let mut ordered = Vec::new();
    while !of.is_empty() {
        let left = of.len();
        ordered.push(of.remove(nth % left));
        nth /= left;
    }
    ordered
}
