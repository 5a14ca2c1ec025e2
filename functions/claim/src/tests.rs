//! Fixtures for the tests of the pages, and a page as its reader sees it.

use std::sync::Arc;

use bursar_core::clock::Moment;
use bursar_core::domain::grant::{Grant, Person, View};
use bursar_core::domain::programme::rules::ListedModel;
use bursar_core::domain::programme::{Budget, Programme, Settings};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::format::Joined;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::store::ListedModels;

pub(crate) fn at(text: &str) -> Moment {
    text.parse().unwrap()
}

/// The view of a person on the roster of a programme in Berlin who has done nothing yet.
pub(crate) fn a_view() -> View {
    let term = Term::new(
        "2026-10-12".parse().unwrap(),
        "2027-02-06".parse().unwrap(),
        "Europe/Berlin",
    )
    .unwrap();
    let settings = Settings::new("CS pilot", term, Usd::from_dollars(20));
    let programme = Programme::new(ProgrammeId::from_name("CS pilot"), settings);
    let person = Person {
        address: EmailAddress::parse("ada@uni.edu").unwrap(),
        name: None,
        roster_id: None,
    };
    let grant = Grant::invited(
        programme.id.clone(),
        "0123456789abcdef".parse().unwrap(),
        person,
        None,
    );
    let budget = Budget::new(programme.id.clone(), Usd::from_dollars(4000));
    View {
        programme: programme.into(),
        budget: budget.into(),
        grant,
        readings: Vec::new(),
        guardrails: Arc::default(),
    }
}

/// The provider's list of these models, each with the dollars of a million tokens of its answers.
pub(crate) fn listed<'a>(prices: impl IntoIterator<Item = (&'a str, i32)>) -> ListedModels {
    let models = prices.into_iter().map(|(slug, dollars)| ListedModel {
        slug: slug.to_owned(),
        canonical: None,
        answer_price: Some(Usd::from_dollars(dollars)),
        gone_on: None,
    });
    ListedModels {
        models: models.collect(),
        as_of: at("2026-11-20T03:00:00Z"),
    }
}

/// The text of a page: one line for each block, buttons in brackets.
pub(crate) fn readable(html: &str) -> String {
    let mut text = String::new();
    for (tag, after) in html
        .split('<')
        .skip(1)
        .map(|piece| piece.split_once('>').unwrap())
    {
        match tag.split([' ', '\n']).next().unwrap() {
            "h2" | "p" | "dl" | "dt" | "summary" | "small" | "label" | "form" | "details"
            | "div" => text.push('\n'),
            "span" if tag.contains("badge") => text.push('\n'),
            "dd" => text.push_str(": "),
            "button" => text.push_str("\n["),
            "/button" => text.push(']'),
            "meter" => continue,
            _ => {}
        }
        text.push_str(&after.replace('\n', " "));
    }
    let text = text.replace("&#39;", "'").replace("&#38;", "&");
    let lines = text
        .lines()
        .map(|line| line.split_whitespace().joined(" ").replace(" :", ":"));
    lines.filter(|line| !line.is_empty()).joined("\n")
}

pub(crate) fn settings_mut(view: &mut View) -> &mut Settings {
    &mut Arc::make_mut(&mut view.programme).settings
}
