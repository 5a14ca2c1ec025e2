//! The table under acts that meet. Two acts run at once, one of them held at a call; or one act's write meets a fault.
//! Whatever was committed must be what the committed acts leave one after the other: each table is compared with those
//! that a fresh one holds after a serial run, so that no second opinion on what is right is needed.

pub(crate) mod acts;
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
use bursar_tests::seeds::{sample, sized};
use tokio::sync::OnceCell;
use ulid::Ulid;

use self::acts::{Act, Seen, Start, programme};

const WRITE: &str = "dynamodb:TransactWriteItems";

/// What a table holds.
#[derive(Default, Clone)]
struct Picture {
    /// Every item, a line each, without what is drawn at random.
    lines: Vec<String>,
    /// What the budget's item says is reserved. It may say too much until the nightly recount, and never too little.
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
        Bench { raw: RawTable::at(&origin, "bursar"), gate, origin }
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
        for mut item in self.raw.items().await {
            if let Some(AttributeValue::N(reserved)) = item.remove("reserved") {
                picture.reserved = reserved.parse().unwrap();
                item.remove("version");
            }
            // It rests on what was read when the act was decided, and the next count is by what is read then.
            item.remove("freed");
            picture.lines.push(line(item, seen));
        }
        picture
    }
}

fn line(mut item: Item, seen: &Seen) -> String {
    // The end of the key follows from an id that is drawn.
    item.remove("pk");
    let mut text = shown(&AttributeValue::M(item));
    for (random, name) in &seen.names {
        text = text.replace(random, name);
    }
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    words.map(|word| if is_ulid(word) { "*" } else { word }).collect()
}

/// A value with its fields in order.
fn shown(value: &AttributeValue) -> String {
    match value {
        AttributeValue::M(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().map(|(name, value)| (name, shown(value))).collect();
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

/// The table after these acts one after the other, all of which must be committed.
async fn serially(start: Start, acts: &[Act]) -> Option<Picture> {
    if let [act] = acts {
        let mut alone = possible().await.iter().filter(|done| (done.start, done.act) == (start, *act));
        return alone.next().map(|done| done.left.clone());
    }
    let (bench, seen) = Bench::at(start).await;
    let table = bench.actor(1);
    for act in acts {
        if !act.run(&seen, &table).await.ok()? {
            return None;
        }
    }
    Some(bench.picture(&seen).await)
}

/// An act that is committed where it is done alone, and what it leaves.
struct Alone {
    start: Start,
    act: Act,
    left: Picture,
}

async fn possible() -> &'static [Alone] {
    static POSSIBLE: OnceCell<Vec<Alone>> = OnceCell::const_new();
    let find = async || {
        let mut possible = Vec::new();
        // To find out what is possible takes longer than the meetings.
        for &start in sized(&[Start::Invited, Start::Live, Start::Replacing][..], Start::ALL) {
            let (mut bench, mut seen) = Bench::at(start).await;
            for &act in Act::ALL {
                // A table on which nothing was committed is as good as a fresh one.
                if matches!(act.run(&seen, &bench.actor(1)).await, Ok(true)) {
                    possible.push(Alone { start, act, left: bench.picture(&seen).await });
                    (bench, seen) = Bench::at(start).await;
                }
            }
        }
        possible
    };
    POSSIBLE.get_or_init(find).await
}

/// One act is held at its n-th call of this name while another is done; then it goes on. Both may count as done in either order, but
/// for `in_turn`: what was held at its write comes after the other.
async fn meet((start, slow, fast, call, nth): Meeting, in_turn: bool) {
    let tell = format!("{start:?}: {fast:?} while {slow:?} is held at call {nth} of {call}");
    let (bench, seen) = Bench::at(start).await;
    let held = bench.gate.hold(Matcher::call(call).of_instance(FunctionName::Claim, 1).nth(nth));
    let (first, second) = (bench.actor(1), bench.actor(2));
    let slowly = slow.run(&seen, &first);
    let meanwhile = async {
        held.arrived().await;
        let done = fast.run(&seen, &second).await;
        held.release(None);
        done
    };
    tokio::pin!(slowly);
    let (slow_done, fast_done) = tokio::select! {
        biased;
        done = &mut slowly => (done, Ok(false)),
        fast_done = meanwhile => ((&mut slowly).await, fast_done),
    };
    drop(held);
    let (slow_done, fast_done) = (slow_done.unwrap(), fast_done.unwrap());
    assert!(!in_turn || (slow_done && fast_done), "{tell}: done {slow_done} and {fast_done}");
    let found = bench.picture(&seen).await;
    let orders = match (slow_done, fast_done) {
        (true, true) if in_turn => vec![vec![fast, slow]],
        (true, true) => vec![vec![fast, slow], vec![slow, fast]],
        (true, false) => vec![vec![slow]],
        (false, true) => vec![vec![fast]],
        (false, false) => vec![Vec::new()],
    };
    let mut differences = Vec::new();
    for order in &orders {
        let left = serially(start, order).await;
        match found.differs_from(&left.unwrap_or_default()) {
            None => return,
            Some(difference) => differences.push(format!("{order:?}: {difference}")),
        }
    }
    panic!("{tell}: no order leaves this\n{}", differences.join("\n"));
}

impl Picture {
    /// What only one of two tables has.
    fn differs_from(&self, expected: &Picture) -> Option<String> {
        let only = |some: &Picture, other: &Picture| -> Vec<String> {
            some.lines.iter().filter(|line| !other.lines.contains(line)).cloned().collect()
        };
        let (more, less) = (only(self, expected), only(expected, self));
        let promised_twice = self.reserved < expected.reserved;
        (promised_twice || !more.is_empty() || !less.is_empty()).then(|| {
            let reserved = (self.reserved, expected.reserved);
            format!("reserved {reserved:?}, found\n{more:#?}\nand not\n{less:#?}")
        })
    }
}

type Meeting = (Start, Act, Act, &'static str, u64);

/// Meetings that were once got wrong, or that nothing else plays: a cap that is edited while a key is begun or recorded, or while a
/// cap of one's own is set; and a reading that comes while a reservation is given back, where nothing was read before, where something was,
/// and while another is written.
const FOUND: [(Start, Act, Act); 7] = [
    (Start::Invited, Act::Cap, Act::Begin),
    (Start::Invited, Act::Begin, Act::Cap),
    (Start::Invited, Act::OwnCap, Act::Cap),
    (Start::Minting, Act::Record, Act::Cap),
    (Start::Minting, Act::Revoke, Act::Read),
    (Start::OffAndRead, Act::Revoke, Act::Read),
    (Start::Revoked, Act::LastRead, Act::Read),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acts_that_meet_leave_what_they_leave_one_after_the_other() {
    let mut cases = Vec::new();
    for slow in possible().await {
        for fast in possible().await.iter().filter(|fast| fast.start == slow.start) {
            cases.push((slow.start, slow.act, fast.act, WRITE, 1));
            cases.extend([1, 2, 3].map(|nth| (slow.start, slow.act, fast.act, "dynamodb:GetItem", nth)));
        }
    }
    for (start, slow, fast) in FOUND {
        meet((start, slow, fast, WRITE, 1), true).await;
    }
    for case in sample(cases, sized(20, usize::MAX)) {
        meet(case, false).await;
    }
}

/// An act whose write meets a fault is either done or not, and its caller knows which.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_knows_if_it_happened() {
    let faults = [
        Fault::Before,
        Fault::LoseAnswer,
        Fault::Status(500),
        Fault::StatusAfter(500),
        Fault::StatusAfter(200),
        Fault::Throttle,
        Fault::Conflict,
    ];
    let cases = possible().await.iter().flat_map(|done| faults.map(|fault| (done.start, done.act, fault)));
    let found = [Fault::LoseAnswer, Fault::StatusAfter(200)].map(|fault| (Start::Invited, Act::Begin, fault));
    for (start, act, fault) in found.into_iter().chain(sample(cases, sized(20, usize::MAX))) {
        let (bench, seen) = Bench::at(start).await;
        bench.gate.at(Matcher::call(WRITE).of_instance(FunctionName::Claim, 1), fault);
        let done = act.run(&seen, &bench.actor(1)).await;
        assert!(matches!(done, Ok(true)), "{start:?}: {act:?} whose write came to {fault:?}: {done:?}");
        let differs = bench.picture(&seen).await.differs_from(&serially(start, &[act]).await.unwrap());
        assert!(differs.is_none(), "{start:?}: {act:?}, {fault:?}: {}", differs.unwrap_or_default());
    }
}

/// Whichever of its reads is held meanwhile: where a view has the grant as an act left it, it has the readings that the act rests on.
#[tokio::test]
async fn a_view_has_all_that_its_grant_rests_on() {
    for nth in 1..=4 {
        let (bench, seen) = Bench::at(Start::Live).await;
        let (first, second) = (bench.actor(1), bench.actor(2));
        let held = bench.gate.hold(Matcher::call("*").of_instance(FunctionName::Claim, 1).nth(nth));
        let id = programme();
        let meanwhile = async {
            held.arrived().await;
            assert!(Act::Read.run(&seen, &second).await.unwrap() && Act::Pause.run(&seen, &second).await.unwrap());
            drop(held);
        };
        let (view, ()) = tokio::join!(first.view(&id, &seen.grant.id), meanwhile);
        let (view, after) = (view.unwrap().unwrap(), second.view(&id, &seen.grant.id).await.unwrap().unwrap());
        let is_older = view.grant.version < after.grant.version;
        assert!(is_older || view.readings == after.readings, "read {nth}");
    }
}

/// Large grants fill a page before all are read. A walk over the programme comes to each of them all the same.
#[tokio::test]
async fn a_walk_leaves_no_grant_out() {
    let bench = Bench::empty().await;
    let ids = [1, 2, 3, 4, 5, 1 << 60].map(|number: u64| format!("{number:016x}"));
    for id in &ids {
        let address = EmailAddress::parse(&format!("{id}@uni.edu")).unwrap();
        let person = Person { address, name: Some("x".repeat(300_000)), roster_id: None };
        bench.raw.keep(&Grant::invited(programme(), id.parse().unwrap(), person, None)).await;
    }
    let seen = bench.actor(0).grant_ids(&programme()).await.unwrap();
    assert_eq!(seen.iter().map(GrantId::as_str).collect::<Vec<_>>(), ids);
}
