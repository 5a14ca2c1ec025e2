//! What the tests of the words share: a programme, a student with a key, and a letter as its reader
//! gets it.

use std::sync::Arc;

use bursar_core::aws::AwsAccess;
use bursar_core::clock::Moment;
use bursar_core::config::Config;
use bursar_core::domain::grant::{Grant, GrantKey, GrantState, Person, View};
use bursar_core::domain::held::Held;
use bursar_core::domain::programme::counts::Stage;
use bursar_core::domain::programme::{Budget, Programme, Settings};
use bursar_core::domain::usage::reading::{DailyUse, Reading};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::format::Joined;
use bursar_core::domain::values::id::{Epoch, KeyHash, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::utc_date;
use jiff::civil::date;

use crate::letter::Letter;
use crate::letter::words::Words;

pub(crate) fn at(text: &str) -> Moment {
    text.parse().unwrap()
}

/// The moment of most letters: a Friday in the middle of the term.
pub(crate) fn now() -> Moment {
    at("2026-11-20T10:00:00Z")
}

pub(crate) fn address(name: &str) -> EmailAddress {
    EmailAddress::parse(&format!("{name}@example.edu")).unwrap()
}

pub(crate) fn programme() -> Programme {
    let term = Term::new(date(2026, 10, 12), date(2027, 2, 6), "Europe/Berlin").unwrap();
    let mut settings = Settings::new("CS pilot", term, Usd::from_dollars(20));
    settings.people.faculty = vec![address("frida")];
    Programme::new(ProgrammeId::from_name("CS pilot"), settings)
}

/// Ada's grant, with a key that she was shown.
pub(crate) fn with_key() -> View {
    let programme = programme();
    let person = Person {
        address: address("ada"),
        name: None,
        roster_id: None,
    };
    let mut grant = Grant::invited(
        programme.id.clone(),
        "0123456789abcdef".parse().unwrap(),
        person,
        None,
    );
    let epoch = Epoch::new(1);
    let key: KeyHash = "ab".repeat(32).parse().unwrap();
    let limit = Held::confirmed(Usd::from_dollars(20), now());
    grant.keys = vec![GrantKey {
        limit,
        shown_at: Some(now()),
        ..GrantKey::made(epoch, key.clone(), now())
    }];
    (grant.state, grant.epoch, grant.stage) = (GrantState::Live { key }, epoch, Stage::Claimed);
    let budget = Budget::new(programme.id.clone(), Usd::from_dollars(4000));
    View {
        programme: programme.into(),
        budget: budget.into(),
        grant,
        readings: Vec::new(),
        guardrails: Arc::default(),
    }
}

/// All that the key has used, read at this moment.
pub(crate) fn read(view: &mut View, as_of: Moment, micros: i64) {
    let used = DailyUse::on_one(utc_date(as_of), Usd::from_micros(micros));
    view.readings = vec![Reading {
        used,
        ..Reading::new(&view.programme.id, &view.grant.id, Epoch::new(1), as_of)
    }];
}

pub(crate) async fn config() -> Config {
    Config::read(variable, AwsAccess::from_environment().await).unwrap()
}

fn variable(name: &str) -> Option<String> {
    let value = match name {
        "BURSAR_TABLE" => "bursar",
        "BURSAR_ORIGIN" => "https://bursar.example.edu",
        "BURSAR_MAIL_FROM" => "bursar@example.edu",
        "BURSAR_ADMINS" => "admin@example.edu",
        "BURSAR_MANAGEMENT_KEY_SECRET" => "secret",
        "BURSAR_INSTITUTION" => "Example University",
        _ => return None,
    };
    Some(value.to_owned())
}

/// A letter with its subject and text.
pub(crate) async fn written(write: impl FnOnce(Words<'_>) -> Letter) -> (String, Letter, Config) {
    let config = config().await;
    let letter = write(Words {
        recipient: &address("grace"),
        config: &config,
    });
    let text = letter.text(&config).unwrap();
    (format!("{}\n\n{text}", letter.subject), letter, config)
}

/// The subject and text of a letter without its empty lines and the institution at its end.
pub(crate) async fn told(write: impl FnOnce(Words<'_>) -> Letter) -> String {
    let text = written(write).await.0;
    let lines = text
        .lines()
        .filter(|line| !["", "-- ", "Example University"].contains(line));
    lines.joined("\n").replace(":\nhttps://", ": https://")
}
