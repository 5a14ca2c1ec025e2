//! Statements by mail: each finance address has those of its programmes, once a month, whatever fails and however often the watch
//! runs. What was mailed stays as it was.

mod once;
mod since;
mod unreached;

use bursar_core::domain::audit::Actor;
use bursar_core::domain::ledger::cut::{AccountCut, LifetimeUse, ProgrammeCut};
use bursar_core::domain::programme::Settings;
use bursar_core::domain::usage::reconciliation::AccountSpending;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{PersonId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::store::{Author, QueuedMail, StaffPerson};
use bursar_local::invoke::FunctionName;
use bursar_local::ses::Quota;
use bursar_tests::campus::{Campus, Got};
use bursar_tests::office::soon;
use jiff::Timestamp;
use jiff::civil::date;

const STATEMENT: &str = "/console/account/statement?from=2026-11-01&to=2026-11-30";

/// The last hour before the statement of November is due. The stream is not delivered, and the cuts are made up.
async fn open() -> Campus {
    let campus = Campus::at("2026-12-02T23:00:00Z").await;
    campus.pump.stop().await;
    campus.ses.set_quota(Quota { per_second: 1_000, ..Quota::PRODUCTION });
    campus
}

/// A programme with this cost code, that names these people of `uni.edu` for finance.
async fn programme(campus: &Campus, name: &str, cost_code: &str, finance: &[&str]) -> ProgrammeId {
    let term = Term::new(date(2026, 10, 12), date(2027, 8, 6), "UTC").unwrap();
    let mut settings = Settings::new(name, term, Usd::from_dollars(20));
    settings.cost_code = Some(cost_code.to_owned());
    settings.finance = finance.iter().map(|name| address(name)).collect();
    let by = Author { actor: &Actor::Rule, now: at("2026-10-01T08:00:00Z"), deadline: soon() };
    campus.table.create_programme(settings, Usd::from_dollars(100), by).await.unwrap()
}

/// A cut with what programmes' keys have used in all, in dollars, and a residual of one dollar.
async fn cut(campus: &Campus, as_of: &str, used: &[(&ProgrammeId, i32)]) {
    let of = |(programme, dollars): &(&ProgrammeId, i32)| ProgrammeCut {
        programme: (*programme).clone(),
        used: LifetimeUse { credits: Usd::from_dollars(*dollars), byok: Usd::ZERO },
    };
    let spent = Usd::from_dollars(1 + used.iter().map(|(_, dollars)| dollars).sum::<i32>());
    let cut = AccountCut {
        as_of: at(as_of),
        bought: Usd::from_dollars(500),
        spent: AccountSpending { before: spent, after: spent },
        programmes: used.iter().map(of).collect(),
        foreign: Usd::ZERO,
        opening: Usd::ZERO,
        residual: Usd::from_dollars(1),
        unsettled: Usd::ZERO,
    };
    campus.raw().keep(&cut).await;
}

/// Two programmes with finance and one without, and the cuts of November; the first of the account is of its fifth day.
async fn november(campus: &Campus) -> [ProgrammeId; 3] {
    let maths = programme(campus, "Maths", "4711", &["fin", "fay"]).await;
    let physics = programme(campus, "Physics", "4712", &["FIN"]).await;
    let law = programme(campus, "Law", "4713", &[]).await;
    cut(campus, "2026-11-05T00:20:00Z", &[(&maths, 10), (&physics, 20), (&law, 30)]).await;
    cut(campus, "2026-12-01T00:20:00Z", &[(&maths, 15), (&physics, 27), (&law, 90)]).await;
    [maths, physics, law]
}

/// The finance people with a queued statement, one for each row.
async fn owed(campus: &Campus) -> Vec<String> {
    let seen = campus.judged().await;
    let recipients = seen.outbox.iter().filter_map(|row| match &row.mail {
        QueuedMail::Statement { recipient, .. } => Some(recipient),
        _ => None,
    });
    let name = |recipient: &PersonId| {
        let person = seen.all().find(|person: &StaffPerson| person.person == *recipient).unwrap();
        person.address.matched().as_str().split('@').next().unwrap().to_owned()
    };
    let mut owed: Vec<String> = recipients.map(name).collect();
    owed.sort();
    owed
}

/// Runs the watch, and returns how many statements it recorded.
async fn look(campus: &Campus) -> i64 {
    campus.look().await["statements"].as_i64().unwrap()
}

/// Sends all that is queued, and what is told of mails that could not be sent. Returns the statements.
async fn sent(campus: &Campus) -> Vec<Got> {
    for _ in 0..2 {
        campus.drain().await;
    }
    campus.mails("statement")
}

async fn edit(campus: &mut Campus, programme: &ProgrammeId, change: impl FnOnce(&mut Settings)) {
    campus.programme = programme.clone();
    campus.set(change).await;
}

fn address(name: &str) -> EmailAddress {
    EmailAddress::parse(&format!("{name}@uni.edu")).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
