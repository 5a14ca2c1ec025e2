//! The account's page: its balance against what is reserved, foreign keys, and the last syncs.

use bursar_core::domain::audit::Act;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::usage::days::{Days, KeyCounters};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{Account, AccountDay, ForeignKey, OrphanName, Run, SyncState, Table};
use bursar_local::invoke::FunctionName;
use bursar_tests::office::ProgrammeEdits;
use bursar_tests::office::{Office, as_sync, soon};
use bursar_tests::stack::{self, Setup, Stack};
use bursar_tests::visitor::{Page, Visitor};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{ADMIN, signed_in};

pub(super) const PATH: &str = "/console/account";
pub(super) const RELEASE: &str = "/console/account/release";
/// The noon after the night's sync.
const NOON: &str = "2026-11-20T12:00:00Z";
pub(super) const LOOKED: &str = "2026-11-20T00:20:00Z";

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn dollars(amount: i32) -> Usd {
    Usd::from_dollars(amount)
}

pub(super) async fn at_noon() -> Stack {
    let admins = &[ADMIN, "deputy@example.edu"];
    stack::of(Setup { admins, at: Some(at(NOON)), ..Setup::default() }).await.unwrap()
}

/// The sync state after a complete run.
pub(super) fn good() -> SyncState {
    SyncState { listed_at: Some(at(LOOKED)), completed_at: Some(at(LOOKED)), ..SyncState::default() }
}

pub(super) async fn set_state(stack: &Stack, state: SyncState) {
    let table = Table::new(&stack.config);
    let version = table.sync_state().await.unwrap().version;
    assert!(as_sync(&table, async |sync| sync.set_sync_state(&SyncState { version, ..state }.next()).await).await);
}

pub(super) fn day(day: &str, spent: i32, residual: i32) -> AccountDay {
    AccountDay {
        day: date(day),
        as_of: at(&format!("{day}T00:20:00Z")),
        bought: dollars(1000),
        spent: dollars(spent),
        ours: dollars(40),
        ours_gone: dollars(2),
        foreign: dollars(10),
        foreign_gone: dollars(1),
        opening: dollars(3),
        residual: dollars(residual),
        unsettled: dollars(0),
        tolerance: Usd::from_micros(214),
    }
}

fn foreign(digits: &str, name: &str, limit: Option<Usd>, used: Days) -> ForeignKey {
    let since = at("2026-11-01T00:20:00Z");
    ForeignKey {
        key: digits.repeat(32).parse().unwrap(),
        name: name.to_owned(),
        enabled: true,
        limit,
        used: DailyUse { credits: used, byok: Days::default() },
        created_at: Some(since),
        last_used_at: None,
        first_seen_at: since,
        gone_at: None,
        as_of: at(LOOKED),
        recorded_by: since,
        in_cut: Default::default(),
    }
}

fn run(ended: &str, complete: bool, problems: &[&str]) -> Run {
    let report = json!({
        "keys_listed": if problems.contains(&"nothing was listed") { 0 } else { 214 },
        "readings_recorded": 17, "complete": complete, "duration_ms": 4_321,
        "account_balance_usd": "939.000000", "residual_usd": "4.000000", "problems": problems,
    });
    Run::ended(at(ended) - SignedDuration::from_secs(5), at(ended), complete, report.to_string())
}

pub(super) async fn admin(stack: &Stack) -> Visitor {
    signed_in(stack, ADMIN).await
}

pub(super) fn warns(page: &Page, of: &str) -> bool {
    page.texts("warning").iter().any(|warning| warning.contains(of))
}

#[tokio::test]
async fn only_admins_see_the_account_and_before_any_sync_nothing_is_said_to_be_nothing() {
    let stack = at_noon().await;
    let visitor = admin(&stack).await;
    let page = visitor.get(PATH).await.expect(200);
    assert!(page.texts("warning").is_empty() && page.body.contains("No sync has run yet"));
    for hook in ["balance", "residual"] {
        assert!(page.all(hook).is_empty(), "{hook} is not known");
    }
    assert_eq!(page.attribute("spent", "data-usd"), None);
    assert_eq!(page.text("spent").as_deref(), Some("not known"));
    assert_eq!(page.attributes("reserved", "data-usd"), ["0.000000"]);
    assert!(visitor.get("/console").await.body.contains(r#"href="/console/account""#));

    let office = Office::open(&stack).await;
    let table = &office.table;
    let mut settings = table.programme(&office.programme).await.unwrap().unwrap().settings;
    settings.faculty = vec![bursar_core::domain::values::address::EmailAddress::parse("faye@example.edu").unwrap()];
    let by = bursar_core::store::Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
    table
        .save_settings(&office.programme, settings, 1, bursar_core::domain::audit::AuditDetail::new(Act::Edited), by)
        .await
        .unwrap();
    let faye = signed_in(&stack, "faye@example.edu").await;
    assert!(!faye.get("/console").await.expect(200).body.contains("/console/account"));
    assert!(!faye.get("/console/programmes/cs-pilot").await.expect(200).body.contains("/console/account"));
    assert_eq!(faye.get(PATH).await.status, 404);
    let form = faye.get("/console").await.form("/sign-out");
    let csrf = form.value("csrf").unwrap();
    assert_eq!(faye.post(RELEASE, &[("csrf", csrf), ("held", LOOKED)]).await.status, 404);
    assert_eq!(visitor.post(RELEASE, &[("held", LOOKED)]).await.status, 403, "without csrf");
    let stranger = Visitor::new(&stack.ready.web);
    assert_eq!((stranger.get(PATH).await.status, stranger.post(RELEASE, &[]).await.status), (303, 401));
    stack.finish().await;
}

#[tokio::test]
async fn the_money_is_held_against_what_is_reserved_and_the_residual_stands_day_by_day() {
    let stack = at_noon().await;
    let table = Table::new(&stack.config);
    set_state(&stack, good()).await;
    for (of, spent, residual) in [("2026-11-17", 52, 0), ("2026-11-19", 56, 2), ("2026-11-20", 60, 4)] {
        let used = DailyUse::on_one(date("2026-11-19"), dollars(42));
        let account = Account { as_of: at(LOOKED), ours: used.clone(), foreign: DailyUse::default() };
        assert!(as_sync(&table, async |sync| sync.note_account(&account).await).await);
        assert!(as_sync(&table, async |sync| sync.note_account_day(&day(of, spent, residual)).await).await);
    }
    assert!(as_sync(&table, async |sync| sync.record_run(&run(LOOKED, true, &[])).await).await);
    let visitor = admin(&stack).await;
    let page = visitor.get(PATH).await.expect(200);
    assert!(page.texts("warning").is_empty(), "{:?}", page.texts("warning"));
    assert_eq!(page.attributes("balance", "data-usd"), ["940.000000"], "the day's is newer than the run's");
    assert_eq!(page.attributes("residual", "data-usd"), ["4.000000"], "without the opening");
    assert_eq!(page.attributes("spent", "data-usd"), ["42.000000"]);
    let text = page.readable();
    assert!(text.contains("Opening $3.00"), "{text}");
    assert!(text.contains("2026-11-20 $60.00 +$4.00 $40.00 $10.00 $2.00 $1.00 $4.00 +$2.00"), "{text}");
    assert!(text.contains("2026-11-19 2 days $56.00 +$4.00"), "{text}");
    assert!(text.contains("2026-11-17 $52.00 $40.00"), "{text}");

    // What is reserved and not yet spent must be covered by the balance.
    let office = Office::open(&stack).await;
    let grant = office.invite("ada@example.edu").await;
    office.claim(&grant).await;
    let page = visitor.get(PATH).await;
    assert_eq!(page.attributes("reserved", "data-usd"), ["20.000000"]);
    assert!(!warns(&page, "below what keys may still spend"));
    let poor = AccountDay { bought: dollars(79), as_of: at(NOON), ..day("2026-11-20", 60, 4) };
    let account = Account { as_of: at(NOON), ours: DailyUse::default(), foreign: DailyUse::default() };
    assert!(as_sync(&table, async |sync| sync.note_account(&account).await).await);
    assert!(as_sync(&table, async |sync| sync.note_account_day(&poor).await).await);
    let page = visitor.get(PATH).await;
    assert!(warns(&page, "The balance is $1.00 below what keys may still spend"), "{:?}", page.texts("warning"));
    stack.finish().await;
}

#[tokio::test]
async fn each_thing_that_is_wrong_with_the_syncs_is_one_warning() {
    let stack = at_noon().await;
    let table = Table::new(&stack.config);
    let visitor = admin(&stack).await;
    let warnings = async || visitor.get(PATH).await.expect(200).texts("warning");
    let stale = SyncState { completed_at: Some(at("2026-11-19T09:59:59Z")), ..good() };
    set_state(&stack, stale.clone()).await;
    assert!(as_sync(&table, async |sync| sync.record_run(&run("2026-11-19T10:00:00Z", true, &[])).await).await);
    let old = warnings().await;
    assert!(old.len() == 1 && old[0].contains("more than 26 hours"), "{old:?}");
    set_state(&stack, SyncState { completed_at: Some(at("2026-11-19T10:00:00Z")), ..stale }).await;
    assert!(warnings().await.is_empty(), "26 hours to the second");

    let problems = ["the key ab could not be read", "the <b>listing</b> did not reach its end"];
    assert!(as_sync(&table, async |sync| sync.record_run(&run("2026-11-20T00:20:09Z", false, &problems)).await).await);
    let page = visitor.get(PATH).await;
    assert_eq!(page.texts("warning"), ["The last sync was not complete: the key ab could not be read"]);
    let text = page.readable();
    assert!(
        text.contains("2026-11-20 00:20 UTC 4.3 s 214 17 not known not known $4.00 $939.00 no 2 problems"),
        "{text}"
    );
    assert!(page.body.contains("the &#60;b&#62;listing&#60;/b&#62; did not reach its end"), "all of them, folded");

    let admins = [table.person_of(&stack.config.admins[0], soon()).await.unwrap()];
    let raise = async |cause| {
        let alarm = Alarm::now(cause, at("2026-11-20T00:20:05Z"));
        assert!(table.raise(&alarm, &admins, stack.clock.now(), soon()).await.unwrap());
    };
    raise(Cause::ManagementKey).await;
    assert_eq!(warnings().await.len(), 1, "the newest run listed keys, so the management key works again");
    assert!(
        as_sync(&table, async |sync| sync
            .record_run(&run("2026-11-20T09:00:00Z", false, &["nothing was listed"]))
            .await)
        .await
    );
    assert!(warnings().await.iter().any(|warning| warning.starts_with("The management key does not work")));

    let account = Account { as_of: at(LOOKED), ours: DailyUse::default(), foreign: DailyUse::default() };
    assert!(as_sync(&table, async |sync| sync.note_account(&account).await).await);
    assert!(as_sync(&table, async |sync| sync.note_account_day(&day("2026-11-20", 60, 4)).await).await);
    let page = visitor.get(PATH).await;
    assert_eq!(page.one("residual").get("data-usd"), "4.000000");
    assert!(page.readable().contains("Usual reasons of a residual are"));
    let rounded = AccountDay { tolerance: dollars(4), ..day("2026-11-21", 60, 4) };
    assert!(as_sync(&table, async |sync| sync.note_account_day(&rounded).await).await);
    let page = visitor.get(PATH).await;
    assert!(!page.readable().contains("Usual reasons of a residual are"), "rounding may come to as much");
    assert_eq!(page.texts("warning").len(), 2, "only the run and the management key are left");
    stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    assert_eq!(stack.ses.unread().len(), 1);
    stack.finish().await;
}

#[tokio::test]
async fn keys_without_an_owner_are_named_those_without_a_limit_first_over_the_span_that_is_asked_for() {
    let stack = at_noon().await;
    let table = Table::new(&stack.config);
    let name = "bursar/0123456789/cs-pilot/0123456789abcdef/1-0123456789abcdef".parse().unwrap();
    let stranger = OrphanName::of(&"5a".repeat(32).parse().unwrap(), &name, true);
    set_state(&stack, SyncState { orphan_names: vec![stranger], ..good() }).await;
    // First seen on the 15th, with earlier spending whose days are unknown.
    let counted = KeyCounters { lifetime: dollars(50), today: Some(dollars(2)), on: date("2026-11-15") };
    let found = Days::default().with(counted, None);
    let mut known = Days::on_one(date("2026-11-10"), dollars(9));
    known.add(&Days::on_one(date("2026-11-19"), dollars(1)));
    let gone = Some(at(LOOKED));
    for key in [
        foreign("aa", "capped <i>", Some(dollars(10)), known.clone()),
        foreign("bb", "open", None, found.clone()),
        ForeignKey { gone_at: gone, ..foreign("cc", "old", None, Days::on_one(date("2026-11-02"), dollars(90))) },
        ForeignKey { enabled: false, ..foreign("dd", "", None, Days::default()) },
    ] {
        table.note_foreign_key(&key, soon()).await.unwrap();
    }
    let foreign_days = known.clone();
    let account = Account {
        as_of: at(LOOKED),
        ours: DailyUse::default(),
        foreign: DailyUse { credits: foreign_days, ..DailyUse::default() },
    };
    assert!(as_sync(&table, async |sync| sync.note_account(&account).await).await);
    let visitor = admin(&stack).await;
    let page = visitor.get(PATH).await.expect(200);
    let hashes: Vec<String> =
        page.attributes("unowned-key", "data-hash").iter().map(|hash| hash[..2].to_owned()).collect();
    assert_eq!(hashes, ["bb", "dd", "aa", "cc"]);
    let text = page.readable();
    assert!(text.contains("One of them is enabled and has no limit"), "{text}");
    assert!(text.contains("enabled $50.00 no limit never 2026-11-01 2026-11-01"), "{text}");
    assert!(text.contains("gone $90.00") && text.contains("without a name"), "{text}");
    assert!(page.body.contains("capped &#60;i&#62;") && text.contains("bursar/0123456789/cs-pilot"), "{text}");

    let rows = async |window: &str| visitor.get(&format!("{PATH}?window={window}")).await.texts("unowned-key");
    let spent_by = |rows: &[String], name: &str| rows.iter().find(|row| row.contains(name)).unwrap().clone();
    assert!(spent_by(&rows("1d").await, "capped").contains("$1.00"));
    let month = rows("30d").await;
    assert!(spent_by(&month, "capped").contains("$10.00"), "{month:?}");
    assert!(spent_by(&month, "open").contains("at least $2.00"), "{month:?}");
    for (window, usd) in [
        ("1d", "1.000000"),
        ("7d", "1.000000"),
        ("30d", "10.000000"),
        ("window", "10.000000"),
        ("all", "10.000000"),
        ("2d", "10.000000"),
    ] {
        let page = visitor.get(&format!("{PATH}?window={window}")).await;
        assert_eq!(page.attributes("spent", "data-usd"), [usd], "{window}");
        assert!(page.readable().contains("as of 2026-11-20 00:20 UTC"));
    }
    // No sync in the next night: the last day is unknown, which is not zero.
    stack.clock.advance(SignedDuration::from_hours(24)).unwrap();
    let visitor = admin(&stack).await;
    let page = visitor.get(&format!("{PATH}?window=1d")).await;
    assert_eq!((page.text("spent").as_deref(), page.attribute("spent", "data-usd")), (Some("not known"), None));
    assert!(page.readable().contains("not known yet for all of these days"));
    stack.finish().await;
}

#[tokio::test]
async fn a_real_sync_leaves_its_run_and_what_it_read_on_the_page() {
    let stack = stack::in_process().await.unwrap();
    let office = Office::open(&stack).await;
    let grant = office.invite("ada@example.edu").await;
    office.claim(&grant).await;
    let report = stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap();
    let page = admin(&stack).await.get(PATH).await.expect(200);
    let balance = report["account_balance_usd"].as_str().unwrap();
    assert_eq!(page.attributes("balance", "data-usd"), [balance]);
    assert_eq!(page.attributes("reserved", "data-usd"), ["20.000000"]);
    let run = page.readable();
    let complete = if report["complete"] == true { "yes" } else { "no" };
    // The columns after orphans and missing keys: no residual, and the balance that the tile shows.
    let balance = page.texts("balance").remove(0);
    let listed = format!("{} {} 0 0 $0.00 {balance} {complete}", report["keys_listed"], report["readings_recorded"]);
    assert!(run.contains(&listed), "{listed}: {run}");
    assert!(run.contains(&utc_date(stack.clock.now()).to_string()));
    stack.finish().await;
}
