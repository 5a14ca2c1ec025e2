//! Values as tests write them, and what the tests of the rules begin with.

use std::sync::Arc;

use jiff::civil::Date;

use crate::clock::Moment;
use crate::domain::grant::{Grant, Person, View};
use crate::domain::programme::{Budget, Programme, Settings};
use crate::domain::values::address::EmailAddress;
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::Usd;
use crate::domain::values::term::Term;

pub(crate) fn at(text: &str) -> Moment {
    text.parse().unwrap()
}

pub(crate) fn date(text: &str) -> Date {
    text.parse().unwrap()
}

pub(crate) fn dollars(dollars: i32) -> Usd {
    Usd::from_dollars(dollars)
}

pub(crate) fn micros(micros: i64) -> Usd {
    Usd::from_micros(micros)
}

pub(crate) fn a_programme() -> Programme {
    let term = Term::new(date("2026-01-01"), date("2026-04-10"), "UTC").unwrap();
    Programme::new(
        ProgrammeId::from_name("CS pilot"),
        Settings::new("CS pilot", term, dollars(20)),
    )
}

pub(crate) fn a_grant() -> Grant {
    let person = Person {
        address: EmailAddress::parse("ada@uni.edu").unwrap(),
        name: None,
        roster_id: None,
    };
    Grant::invited(
        a_programme().id,
        "0123456789abcdef".parse().unwrap(),
        person,
        None,
    )
}

pub(crate) fn a_view() -> View {
    let programme = a_programme();
    let budget = Budget::new(programme.id.clone(), dollars(100));
    View {
        programme: programme.into(),
        budget: budget.into(),
        grant: a_grant(),
        readings: Vec::new(),
        guardrails: Arc::default(),
    }
}

impl View {
    pub(crate) fn settings_mut(&mut self) -> &mut Settings {
        &mut Arc::make_mut(&mut self.programme).settings
    }

    pub(crate) fn budget_mut(&mut self) -> &mut Budget {
        Arc::make_mut(&mut self.budget)
    }
}
