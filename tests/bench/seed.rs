//! The account that is measured: programmes of many grants, each with a live key, a reading with
//! thirty days of history, its audit, and its use at the provider. It is written directly, since
//! claiming that many keys would take hours.

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::domain::audit::{Act, Actor, AuditDetail, AuditEntry};
use bursar_core::domain::grant::{Grant, GrantKey, GrantState, Person, Reading};
use bursar_core::domain::held::Held;
use bursar_core::domain::programme::counts::Stage;
use bursar_core::domain::programme::{Budget, Programme, Settings};
use bursar_core::domain::usage::days::Days;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::address::{EmailAddress, MatchedAddress};
use bursar_core::domain::values::id::{DeploymentId, Epoch, GrantId, KeyName, Nonce, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::Enrolment;
use bursar_core::store::items::{Item, to_item};
use bursar_local::engine::Engine;
use bursar_local::provider::{Nano, Provider};
use jiff::ToSpan;
use serde_json::json;

const DAYS: i64 = 30;
const ON_A_DAY: i64 = 123_456;
const CAP: i32 = 20;

/// A key of the world, with the name that says whose it is.
pub(crate) struct SeededKey {
    pub(crate) hash: String,
    pub(crate) name: KeyName,
}

/// Writes programmes of so many grants into the table and the provider's memory; returns the keys.
pub(crate) async fn fill(
    engine: &Engine,
    provider: &Provider,
    deployment: &DeploymentId,
    (count, each): (usize, usize),
    now: Moment,
) -> Result<Vec<SeededKey>> {
    provider.set_credits(Nano::usd(100_000_000))?;
    let mut keys = Vec::with_capacity(count);
    while keys.len() < count {
        let (id, today) = (
            ProgrammeId::from_name(&format!("CS {}", keys.len() / each)),
            utc_date(now),
        );
        let term = Term::new(
            today - (DAYS + 5).days(),
            today + 60.days(),
            "Europe/Berlin",
        )?;
        let settings = Settings::new(id.as_str(), term, Usd::from_dollars(CAP));
        let mut items = vec![
            to_item(&Programme::new(id.clone(), settings))?,
            to_item(&Budget::new(
                id.clone(),
                Usd::from_dollars(CAP * 2 * i32::try_from(each)?),
            ))?,
        ];
        for _ in 0..each.min(count - keys.len()) {
            keys.push(one(&mut items, provider, deployment, &id, keys.len(), now)?);
        }
        engine.fill(items).await?;
    }
    Ok(keys)
}

fn one(
    items: &mut Vec<Item>,
    provider: &Provider,
    deployment: &DeploymentId,
    programme: &ProgrammeId,
    number: usize,
    now: Moment,
) -> Result<SeededKey> {
    let (id, nonce, epoch) = (GrantId::random(), Nonce::random(), Epoch::new(1));
    let (programme, deployment) = (programme.clone(), deployment.clone());
    let made_at = now - (24 * (DAYS + 1)).hours() + i64::try_from(number)?.milliseconds();
    let name = KeyName {
        deployment,
        programme: programme.clone(),
        grant: id.clone(),
        epoch,
        nonce: nonce.clone(),
    };
    for act in [Act::Invited, Act::Begun, Act::Shown] {
        let entry = AuditEntry::new_on_programme(
            &programme,
            &Actor::Student,
            made_at,
            AuditDetail::new(act),
        );
        items.push(to_item(&AuditEntry {
            grant: Some(id.clone()),
            ..entry
        })?);
    }
    let made = provider.add_foreign_key(&name.to_string(), Some(Nano::usd(CAP.into())), made_at)?;
    provider.change_by_hand(&made.hash, &json!({"include_byok_in_limit": true}))?;
    let used_at = now - 24.hours();
    provider.spend(
        &made.hash,
        Nano::micros(DAYS * ON_A_DAY),
        used_at,
        "a/model",
    )?;

    let mut credits = Days::default();
    for day in 1..=DAYS {
        credits.add(&Days::on_one(
            utc_date(now) - day.days(),
            Usd::from_micros(ON_A_DAY),
        ));
    }
    items.push(to_item(&Reading {
        used: DailyUse {
            credits,
            byok: Days::default(),
        },
        last_used_at: Some(used_at),
        ..Reading::new(&programme, &id, epoch, now - 12.hours())
    })?);
    let person = Person {
        address: EmailAddress::parse(&format!("student-{number}@students.example.edu"))?,
        name: Some(format!("Student Number {number}")),
        roster_id: Some(format!("{:08}", 10_000_000 + number)),
    };
    let address = person.address.matched().clone();
    items.push(to_item(&Enrolment {
        address,
        programme: programme.clone(),
        grant: id.clone(),
        enrolled_at: made_at,
        is_anothers: false,
    })?);
    let hash: bursar_core::domain::values::id::KeyHash = made.hash.parse()?;
    let limit = Held::confirmed(Usd::from_dollars(CAP), made_at);
    let key = GrantKey {
        limit,
        shown_at: Some(made_at),
        ..GrantKey::made(epoch, hash.clone(), made_at)
    };
    items.push(to_item(&Grant {
        state: GrantState::Live { key: hash },
        epoch,
        has_reservation: true,
        stage: Stage::Claimed,
        keys: vec![key],
        ..Grant::invited(
            programme,
            id,
            person,
            Some(format!("section-{}", number % 4)),
        )
    })?);
    Ok(SeededKey {
        hash: made.hash,
        name,
    })
}

/// A programme without people, with money for so many.
pub(crate) fn programme(id: &str, students: usize, now: Moment) -> Result<Vec<Item>> {
    let (id, today) = (ProgrammeId::from_name(id), utc_date(now));
    let term = Term::new(today - 5.days(), today + 60.days(), "Europe/Berlin")?;
    let budget = Budget::new(
        id.clone(),
        Usd::from_dollars(CAP * i32::try_from(students)?),
    );
    let settings = Settings::new(id.as_str(), term, Usd::from_dollars(CAP));
    Ok(vec![
        to_item(&Programme::new(id, settings))?,
        to_item(&budget)?,
    ])
}

/// Somebody new on its roster, by their address.
pub(crate) fn invited(
    items: &mut Vec<Item>,
    programme: &str,
    number: usize,
    now: Moment,
) -> Result<MatchedAddress> {
    let (programme, id) = (ProgrammeId::from_name(programme), GrantId::random());
    let address = EmailAddress::parse(&format!("claims-{number}@students.example.edu"))?;
    let matched = address.matched().clone();
    let person = Person {
        address,
        name: None,
        roster_id: None,
    };
    items.push(to_item(&Enrolment {
        address: matched.clone(),
        programme: programme.clone(),
        grant: id.clone(),
        enrolled_at: now,
        is_anothers: false,
    })?);
    items.push(to_item(&Grant::invited(programme, id, person, None))?);
    Ok(matched)
}
