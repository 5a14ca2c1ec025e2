//! The table of `docs/items.md` against items as they are stored: each kind has one row, and its keys, its expiry and its queues are
//! those of the samples whose raw form is on record, and of a few more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{a_crossing, a_full_grant, a_key, ada, asked, at, lines, ulid};
use crate::domain::grant::testing::a_grant;
use crate::domain::grant::{Attempt, AttemptState, Grant, GrantState, Stopped, SwitchState};
use crate::domain::mail::class::MailClass;
use crate::domain::usage::crossing::{Crossing, Scope};
use crate::domain::values::id::Epoch;
use crate::store::kinds::KINDS;
use crate::store::table::items::{self, Stored};
use crate::store::table::keys;
use crate::store::{OutboxRow, Undeliverable, UnreachableReason};

const DOCUMENT: &str = "../docs/items.md";
const ON_RECORD: &str =
    "src/store/snapshots/bursar_core__store__tests__every_item_has_the_raw_form_that_is_on_record.snap";
const FUNCTIONS: [&str; 5] = ["claim", "console", "usage-sync", "threshold-alerts", "mail"];

/// One row of the document: its cells by the heads of their columns, without their back-ticks.
type Row = BTreeMap<&'static str, String>;

/// One item: its attributes as text.
type Sample = BTreeMap<String, String>;

/// A file, by its path from this crate.
fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn rows() -> Vec<Row> {
    let document = text(DOCUMENT);
    let columns = ["kind", "what it is", "pk", "sk", "ttl", "queue", "written by", "read by"];
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
        assert_eq!(cells.len(), columns.len(), "{line}");
        columns.into_iter().zip(cells).collect()
    })
    .collect()
}

fn samples() -> Vec<Sample> {
    let (on_record, more) = (text(ON_RECORD), more());
    let lines = on_record.lines().chain(more.lines());
    let mut samples: Vec<Sample> = Vec::new();
    for line in lines {
        if KINDS.contains(&line) {
            samples.push(Sample::new());
        } else if let Some(((name, value), sample)) =
            line.strip_prefix("  ").and_then(|line| line.split_once(": ")).zip(samples.last_mut())
        {
            sample.insert(name.to_owned(), value.trim_matches('"').to_owned());
        }
    }
    samples
}

/// What the samples on record do not show: every queue, and every scope of a crossing.
fn more() -> String {
    let of_class = |class| OutboxRow { class, ..OutboxRow::queued(ulid(), asked(), at("2026-01-02T08:00:01Z")) };
    let mark = |why| Undeliverable { address: ada(), why, at: at("2026-01-02T08:00:03Z") };
    let ordered = |state, switch, limit_ordered| Grant {
        state,
        attempts: vec![Attempt {
            state: AttemptState::Shown,
            switch,
            key: Some(a_key()),
            limit_ordered,
            ..Attempt::open(Epoch::new(1), "0123456789abcdef".parse().unwrap(), at("2026-01-02T08:00:00Z"))
        }],
        ..a_full_grant()
    };
    let since = at("2026-01-02T09:00:00Z");
    let (leaked, pending) = (GrantState::Stopped { why: Stopped::Leaked }, SwitchState::OffOrdered { since });
    let mut all: Vec<String> = MailClass::ALL.map(|class| sample(&of_class(class))).into();
    all.extend(
        [UnreachableReason::Suppressed, UnreachableReason::Bounced, UnreachableReason::Complained]
            .map(|why| sample(&mark(why))),
    );
    all.push(sample(&ordered(leaked, pending, None)));
    all.push(sample(&ordered(GrantState::Live { key: a_key() }, pending, None)));
    all.push(sample(&ordered(GrantState::Live { key: a_key() }, SwitchState::On, Some(since))));
    all.push(sample(&Crossing { scope: Scope::Reserved, ..a_crossing() }));
    all.push(sample(&Crossing { scope: Scope::Cap(a_grant().id), ..a_crossing() }));
    all.join("\n")
}

fn sample<T: Stored>(value: &T) -> String {
    format!("{}\n{}", T::KIND, lines(&items::to_item(value).unwrap()))
}

/// The alternatives of a cell.
fn either(cell: &str) -> Vec<&str> {
    cell.split(" or ").collect()
}

/// The key that a pattern gives for this item, of which `actual` fills what only a key says.
fn key(pattern: &str, sample: &Sample, actual: &str) -> String {
    let mut key = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        key.push_str(before);
        let (name, after) = after.split_once('}').unwrap();
        let (name, width) = name.split_once(":0").map_or((name, 0), |(name, width)| (name, width.parse().unwrap()));
        let id = || sample.get("grant").or(sample.get("key")).and_then(|id| id.chars().next());
        let value = match (name, sample.get(name)) {
            ("shard", None) => id().unwrap_or_default().to_string(),
            ("digit", _) => sample["part"].chars().last().unwrap().to_string(),
            // The cause of an alarm has a spelling of its own in its key.
            ("name", None) => actual.strip_prefix(&key).unwrap_or_default().to_owned(),
            (_, None) => format!("<no {name}>"),
            (_, Some(null)) if null == "null" => "term".to_owned(),
            (_, Some(value)) => in_key(value, width),
        };
        key.push_str(&value);
        rest = after;
    }
    key + rest
}

/// A value as keys spell it: numbers with leading zeros, moments in seconds where they are numbers and else as text.
fn in_key(value: &str, width: usize) -> String {
    let moment = value.parse().ok().filter(|millis| *millis > 1_000_000_000_000_i64);
    match moment {
        Some(millis) if width > 0 => format!("{:0width$}", millis / 1000),
        Some(millis) => keys::due(Timestamp::from_millisecond(millis).unwrap()),
        None if width > 0 => format!("{value:0>width$}"),
        None => value.to_owned(),
    }
}

/// Whether an item expires as a cell says: `at + 14 d`, `ends_at`, or never.
fn expires(cell: &str, sample: &Sample) -> bool {
    let Some(ttl) = sample.get("ttl") else { return cell == "—" };
    // Words say what no sum can.
    if cell.starts_with("when ") {
        return true;
    }
    let (from, after) = cell.split_once(" + ").unwrap_or((cell, "0 h"));
    let Some(from) = sample.get(from) else { return false };
    let from = match from.parse::<Date>() {
        Ok(day) => day.to_zoned(TimeZone::UTC).unwrap().timestamp(),
        Err(_) => Timestamp::from_millisecond(from.parse().unwrap()).unwrap(),
    };
    let (number, unit) = after.split_once(' ').unwrap();
    let hours = number.parse::<i64>().unwrap() * if unit == "d" { 24 } else { 1 };
    (from + SignedDuration::from_hours(hours)).as_second().to_string() == *ttl
}

#[test]
fn each_kind_of_item_has_one_row_of_the_document_and_each_row_is_of_a_kind() {
    let documented: Vec<String> = rows().iter().map(|row| row["kind"].clone()).collect();
    let mut kinds = KINDS.to_vec();
    // What a programme used is stored in two shapes.
    kinds.dedup();
    assert_eq!(documented, in_the_order_of(&documented, &kinds));
    let on_record: BTreeSet<String> = samples().iter().map(|sample| sample["kind"].clone()).collect();
    assert_eq!(on_record, kinds.iter().map(ToString::to_string).collect(), "each kind has a raw form on record");
}

/// The kinds as the document orders them, which is by what they are about.
fn in_the_order_of(documented: &[String], kinds: &[&str]) -> Vec<String> {
    let mut ordered: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    ordered.sort_by_key(|kind| documented.iter().position(|known| known == kind));
    ordered
}

#[test]
fn each_item_lies_expires_and_waits_as_the_document_says() {
    let samples = samples();
    for row in rows() {
        let of_kind: Vec<&Sample> = samples.iter().filter(|sample| sample["kind"] == row["kind"]).collect();
        let keys: Vec<(&str, &str)> = {
            let (pk, sk) = (either(&row["pk"]), either(&row["sk"]));
            pk.iter().flat_map(|pk| sk.iter().map(move |sk| (*pk, *sk))).collect()
        };
        let queues: Vec<&str> = row["queue"].split(", ").collect();
        let mut met: BTreeSet<String> = BTreeSet::new();
        for sample in &of_kind {
            let lies = |part, pattern| key(pattern, sample, &sample[part]) == sample[part];
            let place = keys.iter().find(|(pk, sk)| lies("pk", pk) && lies("sk", sk));
            let (pk, sk) = place.unwrap_or_else(|| panic!("{sample:#?} lies elsewhere than {row:#?} says"));
            let ttl = either(&row["ttl"]).into_iter().find(|cell| expires(cell, sample));
            let ttl = ttl.unwrap_or_else(|| panic!("{sample:#?} expires otherwise than {row:#?} says"));
            let queue = sample.get("queue").map(String::as_str);
            assert!(
                queue.is_none_or(|queue| queues.contains(&queue)),
                "{sample:#?} waits otherwise than {row:#?} says"
            );
            met.extend([*pk, *sk, ttl, queue.unwrap_or("—")].map(str::to_owned));
        }
        for said in [&row["pk"], &row["sk"], &row["ttl"]].into_iter().flat_map(|cell| either(cell)).chain(queues) {
            assert!(met.contains(said), "no item of the kind {} has {said}", row["kind"]);
        }
    }
}

#[test]
fn who_writes_and_reads_an_item_is_said_of_functions_that_exist() {
    for row in rows() {
        for column in ["written by", "read by"] {
            let known = |name: &str| FUNCTIONS.contains(&name) || name == "all";
            assert!(row[column].split(", ").all(known), "{row:#?}");
        }
    }
}
