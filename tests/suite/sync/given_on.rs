//! Keys made elsewhere that change their owner while months are mailed: what was counted stays with
//! whom it was, and all that finance was mailed together is what the account spent.

use bursar_core::domain::ledger::mailed::MailedStatement;
use bursar_core::domain::ledger::statement::RowKind;
use bursar_core::domain::values::money::Usd;
use bursar_tests::campus::{Campus, address};
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::visitor::Page;

use super::owners::{ASSIGN, fill};
use super::{ACCOUNT, complete};

/// Cost centres of these names, each with a cost code and finance, on 10 November, and a first
/// check in the night after.
async fn open(names: &[&str], keys: &[&str]) -> (Campus, Vec<String>) {
    let mut campus = Campus::at("2026-11-10T12:00:00Z").await;
    campus.pump.stop().await;
    for name in names {
        let centre = campus.programme(name, |settings| {
            (settings.roster, settings.allowance.cap) = (false, Usd::from_dollars(1));
            settings.texts.cost_code = Some(format!("code {name}"));
            settings.people.finance = vec![address("fin")];
        });
        centre.await;
        campus.budget(100).await;
    }
    let keys = keys.iter().map(|name| campus.foreign(name)).collect();
    night(&campus, "2026-11-11").await;
    (campus, keys)
}

async fn night(campus: &Campus, day: &str) {
    at(campus, day, "00:20");
    complete(campus).await;
}

fn at(campus: &Campus, day: &str, time: &str) {
    campus
        .clock
        .stop_at(format!("{day}T{time}:00Z").parse().unwrap())
        .unwrap();
}

/// The night on the first of a month, and what is mailed on its third.
async fn month_is_over(campus: &Campus, next: &str) {
    night(campus, &format!("{next}-01")).await;
    at(campus, &format!("{next}-03"), "01:00");
    assert_eq!(campus.look().await["statements"], 1);
}

/// Gives a key to an owner, or takes it back where there is none. Returns the look before the
/// press.
async fn give(campus: &Campus, key: &str, owner: &str) -> Page {
    let admin = campus.admin().await;
    let look = fill(&admin, &[("hash", key), ("owner", owner)])
        .await
        .expect(200);
    admin.submit(&look, ASSIGN, &[]).await.expect(303);
    look
}

async fn spent(campus: &Campus, owner: &str) -> [String; 2] {
    let admin = campus.admin().await;
    let overview = admin
        .get(&format!("/console/programmes/{owner}"))
        .await
        .expect(200);
    let closeout = admin
        .get(&format!("/console/programmes/{owner}/closeout"))
        .await
        .expect(200);
    [overview.one("spent"), closeout.one("closeout-spent")]
        .map(|shown| shown.get("data-usd").to_owned())
}

/// The page of a month that was mailed says that nothing differs since. Returns what it has of
/// owners, and what is nobody's.
async fn as_mailed(campus: &Campus, from: &str, to: &str) -> (Vec<(String, String)>, String) {
    let page = campus
        .admin()
        .await
        .get(&format!("{ACCOUNT}/statement?from={from}&to={to}"))
        .await
        .expect(200);
    assert!(
        page.one("statement-mailed")
            .text
            .contains("Nothing on it has changed since"),
        "{}",
        page.readable()
    );
    let mut owned = Vec::new();
    let mut unowned = String::new();
    for row in page.all("statement-row") {
        match row.get("data-kind") {
            "assigned" => owned.push((
                row.get("data-programme").to_owned(),
                row.get("data-usd").to_owned(),
            )),
            "unowned" => unowned = row.get("data-usd").to_owned(),
            _ => {}
        }
    }
    (owned, unowned)
}

fn owned(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter()
        .map(|(owner, spent)| ((*owner).to_owned(), (*spent).to_owned()))
        .collect()
}

/// All that was mailed together is what the account spent, and of each owner what its pages say.
async fn mailed_is_what_was_spent(campus: Campus, owners: &[&str], account: &str) {
    let mailed = campus.table.list(MailedStatement::all()).await.unwrap();
    let sum = |counts: &dyn Fn(&str, RowKind) -> bool| -> String {
        let rows = mailed
            .iter()
            .flat_map(|month| &month.statement.rows)
            .filter(|row| {
                counts(
                    row.programme
                        .as_ref()
                        .map_or("", |programme| programme.as_str()),
                    row.kind,
                )
            });
        rows.map(|row| row.spent).sum::<Usd>().to_string()
    };
    let change: Usd = mailed.iter().map(|month| month.statement.change).sum();
    assert_eq!(
        (sum(&|_, kind| kind.counts()), change.to_string()),
        (account.to_owned(), account.to_owned())
    );
    for owner in owners {
        let all = sum(&|programme, _| programme == *owner);
        assert_eq!(spent(&campus, owner).await, [all.clone(), all], "{owner}");
    }
    campus.finish().await;
}

#[tokio::test]
async fn given_on_each_keeps_its_part() {
    let (campus, keys) = open(&["Autumn", "Spring"], &["server"]).await;
    let server = &keys[0];
    at(&campus, "2026-12-10", "09:00");
    give(&campus, server, "autumn").await;
    month_is_over(&campus, "2027-01").await;
    at(&campus, "2027-01-15", "09:00");
    campus.spend_on(server, "30");
    night(&campus, "2027-01-16").await;
    month_is_over(&campus, "2027-02").await;
    let january = as_mailed(&campus, "2027-01-01", "2027-01-31").await;
    assert_eq!(january.0, owned(&[("autumn", "30.000000")]));

    // Of the day on which it is given on, each has what was used in its part.
    at(&campus, "2027-02-03", "09:00");
    campus.spend_on(server, "1.25");
    campus.minutes(10);
    give(&campus, server, "").await;
    campus.minutes(10);
    campus.spend_on(server, "0.10");
    campus.minutes(10);
    give(&campus, server, "spring").await;
    at(&campus, "2027-02-03", "18:00");
    campus.spend_on(server, "4.99999");
    for day in ["2027-02-04", "2027-02-20"] {
        night(&campus, day).await;
        assert_eq!(spent(&campus, "autumn").await, ["31.250000"; 2]);
        assert_eq!(spent(&campus, "spring").await, ["4.999990"; 2]);
        assert_eq!(
            as_mailed(&campus, "2027-01-01", "2027-01-31").await,
            january
        );
    }
    // A check that was missed changes nothing of that: the key goes back within one night without a
    // check.
    at(&campus, "2027-02-22", "09:00");
    campus.spend_on(server, "2");
    campus.minutes(10);
    give(&campus, server, "").await;
    campus.minutes(10);
    give(&campus, server, "autumn").await;
    campus.minutes(10);
    campus.spend_on(server, "3");
    month_is_over(&campus, "2027-03").await;
    let february = as_mailed(&campus, "2027-02-01", "2027-02-28").await;
    assert_eq!(
        february,
        (
            owned(&[("autumn", "4.250000"), ("spring", "6.999990")]),
            "0.100000".to_owned()
        )
    );
    mailed_is_what_was_spent(campus, &["autumn", "spring"], "41.349990").await;
}

/// Taken back by what OpenRouter says, and given on while it does not answer: what the first owner
/// was counted is not the second's too.
#[tokio::test]
async fn a_missing_reading_counts_nothing_twice() {
    let (campus, keys) = open(&["Autumn", "Spring"], &["server"]).await;
    give(&campus, &keys[0], "autumn").await;
    campus.spend_on(&keys[0], "30");
    at(&campus, "2026-11-12", "10:00");
    give(&campus, &keys[0], "").await;
    let silent = campus.gate.at(
        Matcher::call("provider:GET /keys/{hash}").every(),
        Fault::Status(500),
    );
    give(&campus, &keys[0], "spring").await;
    campus.gate.lift(silent);
    campus.spend_on(&keys[0], "20");
    night(&campus, "2026-11-13").await;
    assert_eq!(spent(&campus, "autumn").await, ["30.000000"; 2]);
    assert_eq!(spent(&campus, "spring").await, ["20.000000"; 2]);
    campus.finish_faulted().await;
}
