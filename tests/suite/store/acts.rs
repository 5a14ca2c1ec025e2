//! The acts that meet, the states in which they do, and what their callers have seen before they
//! act.

use bursar_core::clock::Moment;
use bursar_core::domain::audit::{Act as Entry, Actor, AuditDetail};
use bursar_core::domain::grant::{
    Answered, Grant, HoldKind, KeyCall, KeyRequest, KeyRequestKind, MintedKey, OpenClaim, Person,
    Stopped, Tell,
};
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::usage::reading::{DailyUse, Reading};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{Epoch, GrantId, Nonce, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{ActContext, ActOutcome, Author, EditOutcome, ProgrammeEdit, Table};
use bursar_tests::office::{new_programme, soon};
use jiff::ToSpan;

/// An act on the first person's grant or on the programme, by somebody who has seen the start.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Begin,
    Record,
    Pause,
    Leaked,
    Revoke,
    /// The disable of the key is noted, as it is before it is sent.
    Noted,
    Disabled,
    OwnCap,
    Cap,
    Read,
    /// The last reading of a key that was disabled a while ago.
    LastRead,
}

/// The state in which a case begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    Invited,
    Minting,
    Live,
    /// Ended by its student, confirmed to be off, and read since. Its reservation is still kept.
    OffAndRead,
    Revoked,
}

/// What everybody has seen, and the names for what is drawn at random.
pub(super) struct Seen {
    pub(super) grant: Grant,
    settings: Settings,
    version: u64,
    begun: OpenClaim,
    used: Usd,
    pub(super) names: Vec<(String, String)>,
}

pub(super) fn now() -> Moment {
    "2026-11-02T10:00:00Z".parse().unwrap()
}

pub(super) fn programme() -> ProgrammeId {
    "cs-pilot".parse().unwrap()
}

pub(super) fn faculty() -> Actor {
    Actor::Person("fac0000000000000".parse().unwrap())
}

pub(super) fn by(actor: &Actor) -> Author<'_> {
    Author {
        actor,
        now: now(),
        deadline: soon(),
    }
}

pub(super) fn settings() -> Settings {
    let term = Term::new(
        "2026-10-12".parse().unwrap(),
        "2027-02-06".parse().unwrap(),
        "UTC",
    )
    .unwrap();
    Settings::new("CS pilot", term, Usd::from_dollars(20))
}

pub(super) fn person(name: &str) -> Grant {
    let address = EmailAddress::parse(&format!("{name}@uni.edu")).unwrap();
    Grant::invited(
        programme(),
        GrantId::random(),
        Person {
            address,
            name: None,
            roster_id: None,
        },
        None,
    )
}

pub(super) fn press(kind: KeyRequestKind, epoch: Epoch) -> KeyRequest {
    KeyRequest {
        kind,
        epoch,
        terms: None,
    }
}

fn reading(grant: &GrantId, epoch: Epoch, dollars: i32, as_of: Moment) -> Reading {
    let used = DailyUse::on_one(utc_date(as_of), Usd::from_dollars(dollars));
    Reading {
        epoch,
        ..bursar_tests::office::reading(&programme(), grant, used, as_of)
    }
}

fn answer(at: Moment) -> Answered {
    Answered {
        noted: at,
        sent: at,
        is_read: true,
    }
}

fn nonce(number: u32) -> Nonce {
    format!("{number:016x}").parse().unwrap()
}

impl Start {
    /// Brings a fresh table there.
    pub(super) async fn set_up(self, table: &Table) -> Seen {
        let actor = faculty();
        table
            .create(new_programme(settings(), 100), by(&actor))
            .await
            .unwrap();
        let people = [person("ada"), person("bob")];
        let grants = table
            .invite(&programme(), &people, by(&actor))
            .await
            .unwrap();
        let acts: &[Act] = match self {
            Start::Invited => &[],
            Start::Minting => &[Act::Begin],
            Start::Live => &[Act::Begin, Act::Record, Act::Read],
            Start::OffAndRead => &[
                Act::Begin,
                Act::Record,
                Act::Read,
                Act::Leaked,
                Act::Noted,
                Act::Disabled,
                Act::Read,
            ],
            Start::Revoked => &[
                Act::Begin,
                Act::Record,
                Act::Read,
                Act::Revoke,
                Act::Noted,
                Act::Disabled,
            ],
        };
        let mut seen = seen(table, &grants).await;
        for act in acts {
            act.run(&seen, table).await;
            seen = self::seen(table, &grants).await;
        }
        seen
    }
}

async fn seen(table: &Table, grants: &[GrantId]) -> Seen {
    let grant = table
        .get(Grant::key_of(&programme(), &grants[0]))
        .await
        .unwrap()
        .unwrap();
    let read = table
        .get(Programme::key_of(&programme()))
        .await
        .unwrap()
        .unwrap();
    let nonce = match &grant.lease {
        Some(lease) => lease.nonce.clone(),
        None => nonce(0),
    };
    let begun = OpenClaim {
        epoch: grant.epoch,
        nonce,
    };
    let names = grants
        .iter()
        .zip(["ada", "bob"])
        .map(|(id, name)| (id.to_string(), name.to_owned()))
        .collect();
    let readings = table
        .view(&programme(), &grants[0])
        .await
        .unwrap()
        .unwrap()
        .readings;
    let used = readings.iter().map(Reading::lifetime).sum();
    Seen {
        grant,
        settings: read.settings,
        version: read.version,
        begun,
        used,
        names,
    }
}

fn minted() -> MintedKey {
    let hash = "ada0".repeat(16).parse().unwrap();
    MintedKey {
        hash,
        label: None,
        limit: Usd::from_dollars(20),
        guardrail: None,
        expires_at: None,
    }
}

impl Act {
    /// Does it, and checks that it was committed.
    pub(super) async fn run(self, seen: &Seen, table: &Table) {
        let (actor, id) = (faculty(), programme());
        let at = ActContext {
            programme: &id,
            grant: &seen.grant.id,
            now: now(),
            deadline: soon(),
        };
        let epoch = seen.grant.epoch;
        let why = Some("a reason");
        let call = |tell| KeyCall {
            epoch,
            key: minted().hash,
            tell,
            due: now(),
        };
        macro_rules! rule {
            ($rule:expr) => {
                is_committed(&Box::pin(table.act(at, $rule)).await.unwrap())
            };
        }
        let is_done = match self {
            Act::LastRead => {
                let at = ActContext {
                    now: now() + 20.minutes(),
                    ..at
                };
                is_committed(
                    &table
                        .act(at, |view, now| {
                            view.answered(&call(Tell::Read), answer(now), now)
                        })
                        .await
                        .unwrap(),
                )
            }
            Act::Begin => {
                rule!(|view, now| view.begin(
                    press(KeyRequestKind::Reveal, epoch),
                    nonce(epoch.number() + 1),
                    now
                ))
            }
            Act::Record => rule!(|view, now| view.record(&seen.begun, &minted(), now)),
            Act::Pause => rule!(|view, now| view.hold(HoldKind::Paused, &actor, why, now)),
            Act::Leaked => rule!(|view, _| view.stop(Stopped::Leaked, &Actor::Student)),
            Act::Revoke => rule!(|view, _| view.revoke(&actor, why)),
            Act::Disabled => {
                rule!(|view, now| view.answered(&call(Tell::Off), answer(now), now))
            }
            Act::Noted => rule!(|view, now| view.with_note(&call(Tell::Off), now)),
            Act::OwnCap => {
                rule!(|view, now| view.set_cap(Some(Usd::from_dollars(50)), &actor, why, now))
            }
            Act::Cap => {
                let mut settings = seen.settings.clone();
                settings.allowance.cap = Usd::from_dollars(30);
                let edit = ProgrammeEdit::new_for_settings(
                    settings,
                    seen.version,
                    AuditDetail::new(Entry::Edited),
                );
                table.edit(&id, &edit, by(&actor)).await.unwrap() == EditOutcome::Done
            }
            Act::Read => {
                // More each time, and so late that a key which is off by then has nothing left to
                // be read.
                let (dollars, minutes) = match seen.used.micros() {
                    0 => (5, 1),
                    5_000_000 => (9, 31),
                    _ => (13, 61),
                };
                let reading = reading(&seen.grant.id, epoch, dollars, now() + minutes.minutes());
                table.note_reading(&reading, soon()).await.unwrap()
            }
        };
        assert!(is_done, "{self:?}");
    }
}

fn is_committed<T, R>(outcome: &ActOutcome<T, R>) -> bool {
    matches!(outcome, ActOutcome::Done(_))
}
