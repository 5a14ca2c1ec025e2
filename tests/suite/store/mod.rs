//! The table under acts that meet. Two acts run at once, one of them held at its write; or one
//! act's write meets a fault. Each table is compared with a fresh one after a serial run, so no
//! second opinion on what is right is needed.

mod acts;
mod crowds;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::aws::AwsAccess;
use bursar_core::config::Config;
use bursar_core::domain::grant::{Grant, Person};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::GrantId;
use bursar_core::store::Table;
use bursar_core::store::items::Item;
use bursar_local::engine::{Engine, Place};
use bursar_local::invoke::{Between, FunctionName};
use bursar_tests::aws;
use bursar_tests::faults::{Fault, Gate, Matcher};
use bursar_tests::invariants::{REGION, RawTable};
use ulid::Ulid;

use self::acts::{Act, Seen, Start, programme};

const WRITE: &str = "dynamodb:TransactWriteItems";

/// What a table holds.
#[derive(Default)]
struct Picture {
    /// Every item, a line each, without what is drawn at random.
    lines: Vec<String>,
    /// What the budget's item says is reserved. It may say too much until the nightly recount, and
    /// never too little.
    reserved: i64,
}

/// A table of its own, with the fault layer before it.
struct Bench {
    gate: Gate,
    raw: RawTable,
    origin: String,
}

impl Bench {
    async fn empty() -> Bench {
        let engine = Engine::start(&Place::Memory, "bursar").unwrap();
        let gate = Gate::default();
        let origin = aws::serve(gate.before(engine.router())).await;
        Bench {
            raw: RawTable::at(&origin, "bursar"),
            gate,
            origin,
        }
    }

    /// A table at the start of a case, and what everybody has seen of it.
    async fn at(start: Start) -> (Bench, Seen) {
        let bench = Bench::empty().await;
        let seen = start.set_up(&bench.actor(0)).await;
        (bench, seen)
    }

    /// The table as the n-th caller has it.
    fn actor(&self, number: u32) -> Table {
        let base = format!("{}/actor/{}/{number}", self.origin, FunctionName::Claim);
        let http = aws_smithy_http_client::Builder::new().build_http();
        let access = AwsAccess::under(&base, REGION, http);
        let variable = |name: &str| {
            let value = match name {
                "BURSAR_TABLE" => "bursar",
                "BURSAR_ORIGIN" => "https://bursar.uni.edu",
                "BURSAR_MAIL_FROM" | "BURSAR_ADMINS" => "bursar@uni.edu",
                "BURSAR_MANAGEMENT_KEY_SECRET" => "management-key",
                "BURSAR_INSTITUTION" => "University of Example",
                _ => return None,
            };
            Some(value.to_owned())
        };
        Table::new(&Config::read(variable, access).unwrap())
    }

    async fn picture(&self, seen: &Seen) -> Picture {
        let mut picture = Picture::default();
        for mut row in self.raw.items().await {
            if let Some(AttributeValue::N(reserved)) = row.remove("reserved") {
                picture.reserved = reserved.parse().unwrap();
                row.remove("version");
            }
            // It rests on what was read when the act was decided, and the next count is by what is
            // read then.
            row.remove("freed");
            picture.lines.push(line(row, seen));
        }
        picture.lines.sort();
        picture
    }
}

fn line(mut row: Item, seen: &Seen) -> String {
    // The end of the key follows from an id that is drawn.
    row.remove("pk");
    let mut text = shown(&AttributeValue::M(row));
    for (random, name) in &seen.names {
        text = text.replace(random, name);
    }
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    words
        .map(|word| if is_ulid(word) { "*" } else { word })
        .collect()
}

/// A value with its fields in order.
fn shown(value: &AttributeValue) -> String {
    match value {
        AttributeValue::M(fields) => {
            let fields: BTreeMap<_, _> = fields
                .iter()
                .map(|(name, value)| (name, shown(value)))
                .collect();
            format!("{fields:?}").replace('\\', "")
        }
        AttributeValue::L(values) => format!("{:?}", values.iter().map(shown).collect::<Vec<_>>()),
        AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
        other => format!("{other:?}"),
    }
}

fn is_ulid(word: &str) -> bool {
    let word = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    word.starts_with('0') && Ulid::from_string(word).is_ok() && word.to_ascii_uppercase() == word
}

/// The table after these acts one after the other.
async fn serially(start: Start, acts: &[Act]) -> Picture {
    let (bench, seen) = Bench::at(start).await;
    let table = bench.actor(1);
    for act in acts {
        act.run(&seen, &table).await;
    }
    bench.picture(&seen).await
}

impl Picture {
    fn assert_is(&self, expected: &Picture, tell: &str) {
        assert!(
            self.reserved >= expected.reserved,
            "{tell}: {} of {}",
            self.reserved,
            expected.reserved
        );
        assert_eq!(self.lines, expected.lines, "{tell}");
    }
}

/// Meetings of which the first act is held at its write while the second is done. Most were once
/// got wrong: a cap that is edited while a key is begun or recorded, or while a cap of one's own is
/// set; and a reading that comes while a reservation is given back, where nothing was read before,
/// where something was, and while another is written. Two are acts on one grant.
const MEETINGS: [(Start, Act, Act); 9] = [
    (Start::Invited, Act::Cap, Act::Begin),
    (Start::Invited, Act::Begin, Act::Cap),
    (Start::Invited, Act::OwnCap, Act::Cap),
    (Start::Minting, Act::Record, Act::Cap),
    (Start::Minting, Act::Revoke, Act::Read),
    (Start::OffAndRead, Act::Revoke, Act::Read),
    (Start::Revoked, Act::LastRead, Act::Read),
    (Start::Live, Act::Pause, Act::OwnCap),
    (Start::Live, Act::Revoke, Act::Pause),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acts_that_meet_leave_what_they_leave_one_after_the_other() {
    for (start, slow, fast) in MEETINGS {
        let tell = format!("{start:?}: {fast:?} while {slow:?} is held at its write");
        let (bench, seen) = Bench::at(start).await;
        let held = bench
            .gate
            .hold(Matcher::call(WRITE).of_instance(FunctionName::Claim, 1));
        let (first, second) = (bench.actor(1), bench.actor(2));
        let meanwhile = async {
            held.arrived().await;
            fast.run(&seen, &second).await;
            drop(held);
        };
        tokio::join!(slow.run(&seen, &first), meanwhile);
        bench
            .picture(&seen)
            .await
            .assert_is(&serially(start, &[fast, slow]).await, &tell);
    }
}

/// An act whose write meets a fault is done once, and its caller knows that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_knows_if_it_happened() {
    let expected = serially(Start::Invited, &[Act::Begin]).await;
    for fault in [
        Fault::Before,
        Fault::LoseAnswer,
        Fault::Status(500),
        Fault::StatusAfter(500),
        Fault::StatusAfter(200),
        Fault::Throttle,
        Fault::Conflict,
    ] {
        let (bench, seen) = Bench::at(Start::Invited).await;
        bench.gate.at(
            Matcher::call(WRITE).of_instance(FunctionName::Claim, 1),
            fault,
        );
        Act::Begin.run(&seen, &bench.actor(1)).await;
        bench
            .picture(&seen)
            .await
            .assert_is(&expected, &format!("{fault:?}"));
    }
}

/// Whichever of its reads is held meanwhile: where a view has the grant as an act left it, it has
/// the readings that the act rests on.
#[tokio::test]
async fn a_view_has_all_that_its_grant_rests_on() {
    for nth in 1..=4 {
        let (bench, seen) = Bench::at(Start::Live).await;
        let (first, second) = (bench.actor(1), bench.actor(2));
        let held = bench.gate.hold(
            Matcher::call("*")
                .of_instance(FunctionName::Claim, 1)
                .nth(nth),
        );
        let id = programme();
        let meanwhile = async {
            held.arrived().await;
            Act::Read.run(&seen, &second).await;
            Act::Pause.run(&seen, &second).await;
            drop(held);
        };
        let (view, ()) = tokio::join!(first.view(&id, &seen.grant.id), meanwhile);
        let (view, after) = (
            view.unwrap().unwrap(),
            second.view(&id, &seen.grant.id).await.unwrap().unwrap(),
        );
        let is_older = view.grant.version < after.grant.version;
        assert!(is_older || view.readings == after.readings, "read {nth}");
    }
}

/// Large grants fill a page before all are read. A walk over the programme comes to each of them
/// all the same.
#[tokio::test]
async fn a_walk_leaves_no_grant_out() {
    let bench = Bench::empty().await;
    let ids = [1, 2, 3, 4, 5, 1 << 60].map(|number: u64| format!("{number:016x}"));
    for id in &ids {
        let address = EmailAddress::parse(&format!("{id}@uni.edu")).unwrap();
        let person = Person {
            address,
            name: Some("x".repeat(300_000)),
            roster_id: None,
        };
        bench
            .raw
            .keep(&Grant::invited(
                programme(),
                id.parse().unwrap(),
                person,
                None,
            ))
            .await;
    }
    let seen = bench.actor(0).grant_ids(&programme()).await.unwrap();
    assert_eq!(seen.iter().map(GrantId::as_str).collect::<Vec<_>>(), ids);
}
