//! The weekly digests through the stack: one for each recipient and week, on the programme's own day, whatever
//! fails and however often it runs. Only faculty get names, and no digest has a key.

mod once;
mod readers;

use std::collections::BTreeMap;

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{MintedKey, Person, Press, PressKind, Reading};
use bursar_core::domain::programme::Settings;
use bursar_core::domain::usage::models::GroupUse;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::id::{Epoch, GrantId, Nonce, PersonId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::store::{
    ActContext, ActOutcome, Author, Meta, ModelDay, NewPerson, QueuedMail, StaffPerson, SyncState, Totals,
};
use bursar_local::invoke::FunctionName;
use bursar_local::ses::Quota;
use bursar_tests::campus::{Campus, Got, address};
use bursar_tests::office::{as_sync, reading, soon};
use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

/// A Monday, an hour before digests are due, in a table that is as old as its programmes. The stream is not delivered.
async fn early() -> Campus {
    let campus = Campus::at("2026-11-16T06:00:00Z").await;
    campus.pump.stop().await;
    campus.ses.set_quota(Quota { per_second: 1_000, ..Quota::PRODUCTION });
    let meta = campus.table.meta(campus.clock.now()).await.unwrap();
    campus.raw().keep(&Meta { born: at("2026-10-01T00:00:00Z"), ..meta }).await;
    campus
}

/// A programme that was created weeks ago, with two faculty and an assistant; no programme shares them.
async fn programme(campus: &mut Campus, name: &str, change: impl FnOnce(&mut Settings)) -> ProgrammeId {
    let term = Term::new(date(2026, 10, 12), date(2027, 2, 6), "UTC").unwrap();
    let mut settings = Settings::new(name, term, Usd::from_dollars(20));
    let of = |who: &str| address(&format!("{who}@{}.edu", ProgrammeId::of_name(name)));
    settings.faculty = ["ann", "ben", "ann"].map(of).to_vec();
    settings.assistants = ["tom", "ben"].map(of).to_vec();
    change(&mut settings);
    let by = Author { actor: &Actor::Rule, now: at("2026-10-01T08:00:00Z"), deadline: soon() };
    campus.programme = campus.table.create_programme(settings, Usd::from_dollars(100), by).await.unwrap();
    campus.programme.clone()
}

async fn student(campus: &Campus, programme: &ProgrammeId, name: &str, group: Option<&str>) -> GrantId {
    let address = address(&format!("{}@students.edu", name.to_lowercase().replace(' ', ".")));
    let person = Person { address, name: Some(name.to_owned()), roster_id: None };
    let by = Author { actor: &Actor::Rule, now: campus.clock.now(), deadline: soon() };
    let new = NewPerson { person, group: group.map(str::to_owned) };
    campus.table.invite(programme, &[new], by).await.unwrap().remove(0)
}

/// A made-up key that was shown to a student weeks ago.
async fn claim(campus: &Campus, programme: &ProgrammeId, grant: &GrantId) {
    let at = ActContext { programme, grant, now: at("2026-10-20T08:00:00Z"), deadline: soon() };
    let press = Press { kind: PressKind::Reveal, epoch: Epoch::BEFORE_THE_FIRST, terms: None };
    let ActOutcome::Done(begun) =
        campus.table.act(at, |view, now| view.begin(press, Nonce::random(), now)).await.unwrap()
    else {
        panic!("not begun")
    };
    let minted =
        MintedKey { key: grant.as_str().repeat(4).parse().unwrap(), limit: Usd::from_dollars(20), rule_set: None };
    campus.table.act(at, |view, now| view.record(&begun, &minted, now)).await.unwrap();
}

/// A student's spending as pairs of days ago and amount.
async fn used(campus: &Campus, programme: &ProgrammeId, grant: &GrantId, days: &[(i64, i64)]) -> DailyUse {
    let mut used = DailyUse::default();
    for (ago, cents) in days {
        let day = date(2026, 11, 16).checked_sub(ago.days()).unwrap();
        used.add(&DailyUse::on_one(day, Usd::from_micros(cents * 10_000)));
    }
    let recorded = reading(programme, grant, used.clone(), campus.clock.now());
    let reading = Reading { last_used_at: Some(campus.clock.now()), ..recorded };
    campus.table.note_reading(&reading, soon()).await.unwrap();
    used
}

/// The programme's totals, as tonight's sync would record them.
async fn summed_up(campus: &Campus, programme: &ProgrammeId, grants: &[(Option<&str>, &DailyUse)]) {
    let (mut used, mut by_group) = (DailyUse::default(), BTreeMap::<String, DailyUse>::new());
    for (group, of_one) in grants {
        used.add(of_one);
        if let Some(group) = group {
            by_group.entry((*group).to_owned()).or_default().add(of_one);
        }
    }
    let claimed = u32::try_from(grants.len()).unwrap();
    let totals = Totals {
        programme: programme.clone(),
        as_of: campus.clock.now(),
        used,
        by_group,
        implied: Usd::from_dollars(60),
        grants: claimed,
        claimed,
    };
    assert!(as_sync(&campus.table, async |sync| sync.note_totals(&totals).await).await);
}

async fn looked(campus: &Campus) {
    let state = campus.table.sync_state().await.unwrap();
    let now = campus.clock.now();
    let state = SyncState { listed_at: Some(now), completed_at: Some(now), ..state };
    let state = state.with_models_of(date(2026, 10, 12), date(2026, 11, 15));
    assert!(as_sync(&campus.table, async |sync| sync.set_sync_state(&state.next()).await).await);
}

async fn model_day(campus: &Campus, programme: &ProgrammeId, day: Date, uses: &[(&str, i64, u64)]) {
    let used = |(model, cents, requests): &(&str, i64, u64)| GroupUse {
        group: None,
        model: (*model).to_owned(),
        spent: Usd::from_micros(cents * 10_000),
        byok: Usd::ZERO,
        requests: *requests,
    };
    let by = uses.iter().map(used).collect();
    let day = ModelDay { programme: programme.clone(), day, as_of: campus.clock.now(), by };
    campus.raw().keep(&day).await;
}

/// Runs the digests, and returns how many were made.
async fn digests(campus: &Campus) -> Value {
    campus.run(FunctionName::ThresholdAlerts, json!({"task": "digest"})).await.unwrap()["digests"].clone()
}

/// Sends all that is queued, and returns the digests.
async fn sent(campus: &Campus) -> Vec<Got> {
    campus.drain().await;
    campus.mails("digest")
}

/// The recipients' addresses of the queued digests of a programme, or of the account, one for each row.
async fn owed(campus: &Campus, of: Option<&ProgrammeId>) -> Vec<String> {
    let seen = campus.judged().await;
    let recipients = seen.outbox.iter().filter_map(|row| match (&row.mail, of) {
        (QueuedMail::Digest { programme, recipient, .. }, Some(of)) if programme == of => Some(recipient),
        (QueuedMail::AccountDigest { recipient, .. }, None) => Some(recipient),
        _ => None,
    });
    let address = |recipient: &PersonId| {
        let known = seen.all().find(|person: &StaffPerson| person.person == *recipient).unwrap();
        known.address.as_written().split('@').next().unwrap().to_owned()
    };
    let mut owed: Vec<String> = recipients.map(address).collect();
    owed.sort();
    owed
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
