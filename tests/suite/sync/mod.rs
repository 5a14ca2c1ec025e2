//! The sync over a whole stack: what it records, and what it does about what it finds. It meets
//! providers that fail, lie or disappear, is killed, repeated and overtaken, and runs on restored
//! tables.

mod again;
mod another_account;
mod corrected;
pub(crate) mod crooked;
mod ends;
mod given_on;
mod lifecycle;
pub(crate) mod owners;
mod pages;
mod reconciliation;
mod restored;
pub(crate) mod rotation;
mod safety_limit;
mod season;
mod second_keys;
mod sums;

use std::collections::BTreeMap;

use bursar_core::clock::Moment;
use bursar_core::deadline::Waits;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::HoldKind;
use bursar_core::domain::values::id::Epoch;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::items::Item;
use bursar_tests::campus::{Campus, reports};
use bursar_tests::faults::{Call, Fault};
use bursar_tests::invariants::Snapshot;
use bursar_tests::stack::{self, Setup};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};
use serde_json::{Value, json};

use crate::console::account::RELEASE;

const ACCOUNT: &str = "/console/account";

/// A campus with a key for each of these people, whose stream is not delivered, so that nothing
/// runs but what a test calls.
pub(crate) async fn quiet(names: &[&str]) -> Campus {
    quiet_with(Setup::default(), names).await
}

/// Such a campus, where a failed call is soon tried again.
async fn hasty(names: &[&str]) -> Campus {
    quiet_with(
        Setup {
            waits: Waits::shorten_by(20),
            ..Setup::default()
        },
        names,
    )
    .await
}

async fn quiet_with(setup: Setup<'_>, names: &[&str]) -> Campus {
    let mut campus = Campus::of(setup).await;
    campus.pump.stop().await;
    campus.programme("CS pilot", |_| {}).await;
    campus.students_with_keys(names).await;
    campus
}

/// An evening after the first sync, with something of every kind for the next one: a used-up, a
/// leaked, a paused, a dropped, a revoked, a replaced, a renamed and a deleted key, one that was
/// enabled by hand, claims that died, and keys of somebody else.
pub(crate) async fn busy() -> Campus {
    let mut campus = quiet(&[
        "ada", "bob", "cat", "dan", "eve", "fay", "gus", "hal", "ian",
    ])
    .await;
    let [by_hand, deleted] = ["by hand", "by hand and deleted"].map(|name| campus.foreign(name));
    campus.spend_on(&by_hand, "5");
    campus.spend_on(&deleted, "5");
    campus.sync().await;
    campus.hours(22);
    for name in ["ada", "bob", "dan", "fay", "gus"] {
        campus.spend(name, "1.25");
    }
    // With what she used before she is past a threshold of her cap.
    campus.spend("ada", "15.50");
    let leaked = campus.table.act(campus.on("bob"), |view, _| {
        view.report_leaked(Epoch::new(1), &Actor::Student)
    });
    leaked.await.unwrap();
    campus.hold("cat", HoldKind::Paused).await;
    campus.hold("ian", HoldKind::Dropped).await;
    campus.revoke("dan").await;
    let replaced = campus.key("fay").hash;
    campus.replace("fay").await;
    // The last use of a replaced key settles late.
    campus.spend_on(&replaced, "0.123456");
    let provider = campus.provider();
    provider.disable(&campus.key("eve").hash).unwrap();
    provider
        .change_by_hand(&campus.key("gus").hash, &json!({"name": "mine"}))
        .unwrap();
    provider.delete(&campus.key("hal").hash).unwrap();
    provider.delete(&deleted).unwrap();
    campus.students(&["jan", "kim"]).await;
    campus.press_with("jan", "reveal", Fault::KillAfter).await;
    campus.press_with("kim", "reveal", Fault::KillBefore).await;
    campus.hours(2);
    campus
}

/// A sync that leaves nothing to be done and nothing unexplained.
async fn complete(campus: &Campus) -> Value {
    let report = campus.sync().await;
    reports(
        &report,
        &json!({"complete": true, "residual_usd": "0.000000"}),
    );
    report
}

/// What a complete run calls, itself and what works beside it.
async fn calls_of_a_run(campus: &Campus) -> Vec<Call> {
    let before = campus.gate.calls().len();
    complete(campus).await;
    campus.gate.calls().split_off(before)
}

/// An admin lets the next sync do what the last one held back.
async fn release(campus: &Campus) {
    let admin = campus.admin().await;
    let page = admin.get(ACCOUNT).await.expect(200);
    admin.submit(&page, RELEASE, &[]).await.expect(303);
}

pub(crate) fn problems(report: &Value) -> String {
    report["problems"].to_string()
}

/// The instant so many days after the first day of a campus, and so many minutes after midnight
/// UTC.
fn instant(day: i64, minutes: i64) -> Moment {
    let midnight = Moment::from(date(day).to_zoned(TimeZone::UTC).unwrap().timestamp());
    midnight + SignedDuration::from_mins(minutes)
}

fn date(day: i64) -> Date {
    utc_date(stack::begins()).saturating_add(day.days())
}

/// Every item except the records of runs, and without the instants of totals and report: nothing
/// that a repeated run may change.
pub(crate) fn without_runs(seen: &Snapshot) -> BTreeMap<(String, String), Item> {
    let is_of = |item: &Item, kinds: &[&str]| {
        item["kind"]
            .as_s()
            .is_ok_and(|kind| kinds.contains(&kind.as_str()))
    };
    let mut left = seen.items.clone();
    left.retain(|_, item| !is_of(item, &["run", "lease", "sync", "cut"]));
    for item in left
        .values_mut()
        .filter(|item| is_of(item, &["totals", "people", "account"]))
    {
        item.remove("as_of");
        item.remove("ttl");
    }
    left
}

/// The differences between two moments, apart from the records of runs.
fn changed(before: &BTreeMap<(String, String), Item>, seen: &Snapshot) -> Vec<String> {
    let now = without_runs(seen);
    let keys = before
        .keys()
        .chain(now.keys().filter(|key| !before.contains_key(*key)));
    let different = keys.filter(|key| before.get(*key) != now.get(*key));
    different
        .map(|key| format!("{key:?}: {:?} became {:?}", before.get(key), now.get(key)))
        .collect()
}
