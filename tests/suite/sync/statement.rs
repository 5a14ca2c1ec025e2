//! Statements over a season of drawn nights: whatever is spent, deleted, bought or missed, each statement adds up to the account
//! to the micro-dollar, each programme has what the provider says its keys used, and what is lost is told.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::values::id::{Epoch, ProgrammeId};
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{AssignOutcome, TakeBackOutcome, keys};
use bursar_tests::faults::Matcher;
use bursar_tests::seeds::{LONG, seeds, sized};
use bursar_tests::visitor::Page;
use fastrand::Rng;

use super::*;

/// A month, and in `long` a year, of which some nights have no sync.
const NIGHTS: i64 = if LONG { 365 } else { 14 };

/// A key of the season, and whose it is: a programme's, or that of nobody or whoever owns it.
pub(super) struct SeasonKey {
    hash: String,
    programme: Option<String>,
    pub(super) owner: Option<(ProgrammeId, Date)>,
    /// What was used on each day, by the provider's clock.
    pub(super) days: BTreeMap<Date, i64>,
    /// The day of the first sync that could see it.
    first_seen: Option<Date>,
    is_gone: bool,
    /// Whether it was used since a sync last listed it: what a key uses before it is deleted unseen is a residual.
    is_unread: bool,
}

/// What each key had used by the provider's own account when a sync began.
type Truth = (Timestamp, BTreeMap<String, i64>);

/// What was true in a season, when each sync began and at its end.
pub(super) struct Season {
    truths: Vec<Truth>,
    pub(super) keys: Vec<SeasonKey>,
}

#[tokio::test]
async fn each_statement_of_a_drawn_season_adds_up_to_the_account_and_each_programme_to_its_keys() {
    for seed in seeds(0, 1, 1) {
        let stack = in_the_morning().await;
        let season = season(&stack, seed, NIGHTS).await;
        let mut watch = watch(&stack);
        watch.check_after_sync().await;
        let admin = signed_in(&stack, ADMIN).await;
        let mut rng = Rng::with_seed(seed);
        for _ in 0..sized(5, 20) {
            let first = rng.i64(0..NIGHTS - 1);
            let days = (date(first), date(rng.i64(first..NIGHTS)));
            let page = statement(&admin, days).await;
            adds_up(&page, &season, days, seed);
        }
        stack.finish().await;
    }
}

/// Plays the nights of a season, and returns what was true when each sync began.
pub(super) async fn season(stack: &Stack, seed: u64, nights: i64) -> Season {
    let mut rng = Rng::with_seed(seed);
    let offices = offices(stack).await;
    let (mut keys, mut truths, mut bought) = (Vec::new(), Vec::new(), 1_000);
    for night in 0..nights {
        stack.clock.begin_at(instant(night, 60 + rng.i64(0..600))).unwrap();
        if rng.f64() < 0.3 {
            keys.push(new_key(stack, &offices, &mut rng, night).await);
        }
        for key in keys.iter_mut().filter(|key| !key.is_gone) {
            match rng.u32(0..20) {
                0..12 => key.spends(stack, rng.i64(1..3_000_000), ["a/model", "another/model"][night as usize % 2]),
                12 => provider(stack)
                    .spend_byok(&key.hash, Nano::micros(rng.i64(1..500_000)), stack.clock.now(), "a/model")
                    .unwrap(),
                13 if key.programme.is_none() && !key.is_unread => {
                    provider(stack).delete(&key.hash).unwrap();
                    key.is_gone = true;
                }
                _ => {}
            }
        }
        if rng.f64() < 0.1 {
            provider(stack).spend_elsewhere(Nano::micros(rng.i64(1..9_000))).unwrap();
        }
        if rng.f64() < 0.1 {
            bought += 500;
            provider(stack).set_credits(Nano::usd(bought)).unwrap();
        }
        if rng.f64() < 0.1 {
            continue;
        }
        truths.push(truth(stack, &keys));
        let held = stack.gate.hold_answers(Matcher::call("provider:GET /keys").of(FunctionName::UsageSync));
        let during = async {
            held.arrived().await;
            // A key that was deleted before any sync was never used either.
            for key in keys.iter_mut().filter(|key| !key.is_gone) {
                key.is_unread = false;
                key.first_seen.get_or_insert(date(night));
            }
            for key in keys.iter_mut().rev().filter(|key| !key.is_gone).take(3) {
                key.spends(stack, rng.i64(1..50_000), "a/model");
            }
            drop(held);
        };
        let (report, ()) = tokio::join!(sync(stack), during);
        assert_eq!(report["complete"], true, "{report}");
        if rng.f64() < 0.2 {
            change_an_owner(stack, &offices, &mut keys, &mut rng, date(night)).await;
        }
    }
    Season { truths, keys }
}

impl SeasonKey {
    fn new(hash: String, programme: Option<String>) -> SeasonKey {
        let (is_gone, is_unread) = (false, false);
        SeasonKey { hash, programme, owner: None, days: BTreeMap::new(), first_seen: None, is_gone, is_unread }
    }

    fn spends(&mut self, stack: &Stack, micros: i64, model: &str) {
        provider(stack).spend(&self.hash, Nano::micros(micros), stack.clock.now(), model).unwrap();
        *self.days.entry(utc_date(stack.clock.now())).or_default() += micros;
        self.is_unread = true;
    }

    /// What counted for the owner at the end on days that are known. What a key used before the day on which a sync first saw
    /// it is of no day.
    pub(super) fn counted_by_day(&self) -> i64 {
        let Some((_, from)) = &self.owner else { return 0 };
        let since = self.first_seen.map_or(*from, |seen| seen.max(*from));
        self.days.range(since..).map(|(_, micros)| micros).sum()
    }

    /// What counts for the owner when the key has used this much.
    pub(super) fn counted(&self, used: i64) -> i64 {
        let Some((_, from)) = &self.owner else { return 0 };
        let is_known = self.first_seen.is_some_and(|seen| seen <= *from);
        let before: i64 = self.days.range(..*from).map(|(_, micros)| micros).sum();
        if is_known { (used - before).max(0) } else { used }
    }
}

/// Gives a foreign key that a sync has seen to a programme or cost centre, from this day or from the beginning, or takes one back.
async fn change_an_owner(stack: &Stack, offices: &[Office<'_>], keys: &mut [SeasonKey], rng: &mut Rng, today: Date) {
    let mut seen: Vec<_> = keys.iter_mut().filter(|key| key.programme.is_none() && key.first_seen.is_some()).collect();
    if seen.is_empty() {
        return;
    }
    let place = rng.usize(0..seen.len());
    let key = &mut seen[place];
    let hash = [key.hash.parse().unwrap()];
    let table = &offices[0].table;
    let by = Author { actor: &Actor::Sync, now: stack.clock.now(), deadline: soon() };
    if key.owner.take().is_some() {
        assert_eq!(table.take_keys_back(&hash, by).await.unwrap(), TakeBackOutcome::Done);
        return;
    }
    let owner = offices[rng.usize(0..offices.len())].programme.clone();
    let from = if rng.bool() { today } else { date(-40) };
    assert_eq!(table.assign_keys(&owner, &hash, from, by).await.unwrap(), AssignOutcome::Done);
    key.owner = Some((owner, from));
}

/// Three programmes, of which the first two share a cost code, and two cost centres.
async fn offices(stack: &Stack) -> Vec<Office<'_>> {
    let table = rich(stack).await.table;
    let by = Author { actor: &Actor::Sync, now: stack.clock.now(), deadline: soon() };
    let mut offices = Vec::new();
    let each = [
        ("Maths", Some("4711"), true),
        ("Physics", Some("4711"), true),
        ("Seminar", None, true),
        ("Office", Some("9000"), false),
        ("Library", Some("9001"), false),
    ];
    for (name, cost_code, roster) in each {
        let today = utc_date(stack.clock.now());
        let term = Term::new(today, today.saturating_add(500.days()), "UTC").unwrap();
        let cost_code = cost_code.map(str::to_owned);
        let settings = Settings { cost_code, roster, ..Settings::new(name, term, Usd::from_dollars(9_000)) };
        let id = table.create_programme(settings, Usd::from_dollars(1_000_000), by).await.unwrap();
        offices.push(Office::of(stack, id.as_str()));
    }
    offices
}

async fn new_key(stack: &Stack, offices: &[Office<'_>], rng: &mut Rng, night: i64) -> SeasonKey {
    match offices[..3].get(rng.usize(0..4)) {
        Some(office) => {
            let group = (night % 3 > 0).then(|| format!("section {}", night % 3));
            let grant = invite(stack, office, &format!("student-{night}"), group.as_deref()).await;
            SeasonKey::new(mint(stack, office, &grant).await, Some(office.programme.to_string()))
        }
        None => SeasonKey::new(foreign(stack, &format!("lab {night}")), None),
    }
}

fn truth(stack: &Stack, keys: &[SeasonKey]) -> Truth {
    let all = provider(stack).keys();
    let used = |key: &SeasonKey| {
        let known = all.iter().find(|known| known.hash == key.hash).unwrap();
        (key.hash.clone(), Usd::parse_ceil(&known.usage.to_string()).unwrap().micros())
    };
    (stack.clock.now(), keys.iter().map(used).collect())
}

pub(super) async fn statement(admin: &Visitor, (from, to): (Date, Date)) -> Page {
    admin.get(&format!("/console/account/statement?from={from}&to={to}")).await.expect(200)
}

pub(super) fn micros(text: &str) -> i64 {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    sign * Usd::from_form(text).unwrap().micros()
}

/// The rows by programme and kind.
pub(super) fn rows(page: &Page) -> BTreeMap<(String, String), i64> {
    let columns = ["data-programme", "data-kind", "data-usd"].map(|name| page.attributes("statement-row", name));
    let [programmes, kinds, amounts] = columns;
    programmes.into_iter().zip(kinds).zip(amounts).map(|(row, usd)| (row, micros(&usd))).collect()
}

fn adds_up(page: &Page, season: &Season, (from, to): (Date, Date), seed: u64) {
    let tell = format!("seed {seed}, {from} to {to}");
    let rows = rows(page);
    let total: i64 = rows.iter().filter(|((_, kind), _)| kind != "byok").map(|(_, usd)| usd).sum();
    let shown = |hook: &str| micros(page.one(hook).get("data-usd"));
    assert_eq!((total, total), (shown("statement-total"), shown("account-change")), "{tell}");
    let midnight = |day: Date| day.to_zoned(TimeZone::UTC).unwrap().timestamp();
    let truths = &season.truths;
    let at = |instant: Timestamp| truths.iter().find(|(began, _)| *began >= instant).or(truths.last()).unwrap();
    let edges = [at(midnight(from)), at(midnight(to.tomorrow().unwrap()))];
    let mut expected: BTreeMap<(String, String), i64> = BTreeMap::new();
    for key in &season.keys {
        let [before, after] = edges.map(|(_, truth)| truth.get(&key.hash).copied().unwrap_or_default());
        let owned = key.counted(after) - key.counted(before);
        let (whose, kind) = key.programme.as_ref().map_or(("", "unowned"), |programme| (programme.as_str(), "keys"));
        *expected.entry((whose.to_owned(), kind.to_owned())).or_default() += after - before - owned;
        if let Some((owner, _)) = &key.owner {
            *expected.entry((owner.to_string(), "assigned".to_owned())).or_default() += owned;
        }
    }
    for whose in ["maths", "physics", "seminar", "office", "library", ""] {
        for kind in ["keys", "assigned", "unowned"] {
            let of = (whose.to_owned(), kind.to_owned());
            let row = rows.get(&of).copied().unwrap_or_default();
            assert_eq!(row, expected.get(&of).copied().unwrap_or_default(), "{tell}: {kind} of {whose:?}");
        }
    }
}

#[tokio::test]
async fn a_reading_that_was_lost_makes_a_statement_say_by_how_much_it_does_not_add_up() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    foreign(&stack, "by hand");
    sync(&stack).await;
    stack.clock.begin_at(instant(1, 60)).unwrap();
    spend(&stack, &key, 2_345_678);
    sync(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    let days = (date(0), date(1));
    let page = statement(&admin, days).await;
    assert!(page.attributes("warning", "class").is_empty(), "{}", page.body);
    // The key is gone at the provider, and somebody deletes what is on record of it.
    provider(&stack).delete(&key).unwrap();
    let lost = keys::reading(&office.programme, &ada, Epoch::new(1));
    let [pk, sk] = [lost.pk, lost.sk].map(AttributeValue::S);
    let table = raw(&stack);
    table.client().delete_item().table_name(table.name()).key("pk", pk).key("sk", sk).send().await.unwrap();
    stack.clock.begin_at(instant(2, 60)).unwrap();
    let report = sync(&stack).await;
    assert_eq!(report["residual_usd"], "2.345678", "{report}");
    let page = statement(&signed_in(&stack, ADMIN).await, days).await;
    let rows = rows(&page);
    assert_eq!(rows[&(String::new(), "residual".to_owned())], 2_345_678);
    assert!(page.texts("warning").iter().any(|warning| warning.contains("$2.345678")), "{}", page.body);
    stack.finish_unjudged().await;
}

#[tokio::test]
async fn the_file_says_what_the_page_says() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    shape(&stack, &office, |settings| settings.cost_code = Some("=4711".to_owned())).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    let from = date(0).first_of_month();
    stack.clock.begin_at(from.to_zoned(TimeZone::UTC).unwrap().timestamp() + minutes(100)).unwrap();
    let admin = signed_in(&stack, ADMIN).await;
    let path = format!("/console/account/statement?from={from}&to={}", from.last_of_month());
    let empty = admin.get(&path).await.expect(200);
    assert!(empty.body.contains("nothing to make a statement of"));
    admin.get(&path.replace("statement?", "statement.csv?")).await.expect(409);
    sync(&stack).await;
    stack.clock.begin_at(from.to_zoned(TimeZone::UTC).unwrap().timestamp() + hours(50)).unwrap();
    spend(&stack, &key, 1_250_000);
    sync(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    let page = admin.get(&path).await.expect(200);
    assert!(page.body.contains("and will change"), "the month is not over");

    let csv = admin.get(&path.replace("statement?", "statement.csv?")).await.expect(200);
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    let lines: Vec<&str> = csv.body.split("\r\n").collect();
    assert_eq!(lines[..2], ["cost_code,programme,kind,spent_usd", "'=4711,cs-pilot,keys,1.250000"]);
    let mut file = csv::Reader::from_reader(csv.body.as_bytes());
    let of_row =
        |row: BTreeMap<String, String>| ((row["programme"].clone(), row["kind"].clone()), micros(&row["spent_usd"]));
    let said: BTreeMap<_, _> = file.deserialize().map(Result::unwrap).map(of_row).collect();
    assert_eq!(said, rows(&page));
    for bad in ["from=2026-02-02&to=2026-02-01", "from=x&to=2026-02-01", "from=2026-02-01"] {
        for what in ["statement", "statement.csv"] {
            admin.get(&format!("/console/account/{what}?{bad}")).await.expect(422);
        }
    }
    stack.finish().await;
}
