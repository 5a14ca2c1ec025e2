//! Spending by model: real syncs against the simulator over several days. Whatever the provider answers, what is
//! recorded of a day sums to the account's spending, or the run reports what is missing.

mod kept;

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bursar_core::domain::grant::Person;
use bursar_core::domain::usage::models::UnattributedReason;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{GrantId, KeyName};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{Author, ModelDay, NewPerson, UnattributedDay};
use bursar_local::provider::Nano;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::invariants::RawTable;
use bursar_tests::office::{Office, soon};
use bursar_tests::stack::Stack;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::sync::crooked::{Crooked, Told};
use crate::sync::{still, sync, watch, without_runs};

const QUERY: &str = "provider:POST /analytics/query";
const ACTIVITY: &str = "provider:GET /activity";
const SMALL: &str = "openai/gpt-4o-mini";
const LARGE: &str = "anthropic/claude-sonnet-4.5";

/// A stack on which keys are used, with the account's spending on each day.
struct World {
    stack: Stack,
    spent: BTreeMap<Date, i64>,
}

impl World {
    /// A world at noon; its nights pass only on request.
    async fn new() -> World {
        let stack = still().await;
        let noon = utc_date(stack.clock.now()).at(12, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap();
        stack.clock.begin_at(noon.timestamp()).unwrap();
        World { stack, spent: BTreeMap::new() }
    }

    /// A world in which Ada of this group has a key, with her grant and the key's hash.
    async fn with_ada(group: Option<&str>) -> (World, GrantId, String) {
        let world = World::new().await;
        let office = programme(&world.stack, "CS pilot").await;
        let (grant, key) = student(&world.stack, &office, "ada@x.edu", group).await;
        (world, grant, key)
    }

    fn today(&self) -> Date {
        utc_date(self.stack.clock.now())
    }

    fn spend(&mut self, key: &str, micros: i64, model: &str) {
        self.spend_at(key, micros, model, self.stack.clock.now());
    }

    fn spend_at(&mut self, key: &str, micros: i64, model: &str, when: Timestamp) {
        self.stack.provider.as_ref().unwrap().spend(key, Nano::micros(micros), when, model).unwrap();
        self.spent.entry(utc_date(when)).or_default().add_assign(micros);
    }

    fn foreign(&self, name: &str) -> String {
        let provider = self.stack.provider.as_ref().unwrap();
        provider.add_foreign_key(name, None, self.stack.clock.now()).unwrap().hash
    }

    /// Moves the clock by this many days, to noon again, without a sync.
    fn nights(&self, count: i64) {
        self.stack.clock.advance((24 * count).hours().try_into().unwrap()).unwrap();
    }

    async fn sync(&self) -> Value {
        sync(&self.stack).await
    }

    fn office(&self, programme: &str) -> Office<'_> {
        Office::of(&self.stack, programme)
    }

    /// The numbers of analytics queries and of activity requests.
    fn asked(&self) -> (usize, usize) {
        let names: Vec<String> =
            self.stack.gate.calls().iter().map(|recorded| recorded.call.name.to_string()).collect();
        let count = |of: &str| names.iter().filter(|name| *name == of).count();
        (count(QUERY), count(ACTIVITY))
    }

    /// All recorded model days of the programmes, and all unattributed days.
    async fn written(&self, programmes: &[&Office<'_>]) -> (Vec<ModelDay>, Vec<UnattributedDay>) {
        let all = (Date::MIN, Date::MAX);
        let mut days = Vec::new();
        for office in programmes {
            days.extend(office.table.model_days(&office.programme, all).await.unwrap());
        }
        (days, programmes[0].table.unattributed_days(all).await.unwrap())
    }

    /// Asserts that the record of each completed day sums to the account's spending on it.
    async fn adds_up(&self, programmes: &[&Office<'_>]) {
        let (models, nobodys) = self.written(programmes).await;
        let mut sums: BTreeMap<Date, i64> = BTreeMap::new();
        for day in &models {
            *sums.entry(day.day).or_default() += day.by.iter().map(|used| used.spent.micros()).sum::<i64>();
        }
        for day in &nobodys {
            *sums.entry(day.day).or_default() += day.by.iter().map(|used| used.spent.micros()).sum::<i64>();
        }
        sums.retain(|_, sum| *sum != 0);
        let mut over = self.spent.clone();
        over.retain(|day, _| *day < self.today());
        assert_eq!(sums, over, "{models:?} {nobodys:?}");
    }
}

async fn programme<'s>(stack: &'s Stack, name: &str) -> Office<'s> {
    if name == "CS pilot" {
        return Office::open(stack).await;
    }
    let office = Office::of(stack, "cs-pilot");
    let mut settings = office.table.programme(&office.programme).await.unwrap().unwrap().settings;
    name.clone_into(&mut settings.name);
    settings.term = Term::new(settings.term.starts_on(), settings.term.ends_on(), "UTC").unwrap();
    let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
    let id = office.table.create_programme(settings, Usd::from_dollars(100), by).await.unwrap();
    Office::of(stack, id.as_str())
}

/// A student of a group with a key: the grant and the key's hash.
async fn student(stack: &Stack, office: &Office<'_>, address: &str, group: Option<&str>) -> (GrantId, String) {
    let person = Person { address: EmailAddress::parse(address).unwrap(), name: None, roster_id: None };
    let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
    let invited = [NewPerson { person, group: group.map(str::to_owned) }];
    let grant = office.table.invite(&office.programme, &invited, by).await.unwrap().remove(0);
    let key = office.claim(&grant).await;
    (grant, key)
}

/// Group, model, micro-dollars and requests of a programme's day.
fn rows(days: &[ModelDay], programme: &str, day: Date) -> Vec<(Option<String>, String, i64, u64)> {
    let of = days.iter().filter(|of| of.programme.as_str() == programme && of.day == day);
    let used = of.flat_map(|of| &of.by);
    used.map(|used| (used.group.clone(), used.model.clone(), used.spent.micros(), used.requests)).collect()
}

/// Reason, name and micro-dollars of the unattributed use of a day.
fn nobodys(days: &[UnattributedDay], day: Date) -> Vec<(UnattributedReason, Option<String>, i64)> {
    let used = days.iter().filter(|of| of.day == day).flat_map(|of| &of.by);
    used.map(|used| (used.why, used.name.clone(), used.spent.micros())).collect()
}

fn mentions(report: &Value, what: &str) -> bool {
    report["problems"].as_array().unwrap().iter().any(|problem| problem.as_str().unwrap().contains(what))
}

#[tokio::test]
async fn what_programmes_groups_and_others_used_is_told_apart_by_day_though_nights_were_missed() {
    let mut world = World::new().await;
    let first = world.today();
    let (ada, bob, eve) = {
        let (pilot, seminar) = (programme(&world.stack, "CS pilot").await, programme(&world.stack, "Seminar").await);
        (
            student(&world.stack, &pilot, "ada@x.edu", Some("A")).await.1,
            student(&world.stack, &pilot, "bob@x.edu", None).await.1,
            student(&world.stack, &seminar, "eve@x.edu", Some("A")).await.1,
        )
    };
    let laptop = world.foreign("prof-laptop");
    let others = world.foreign("bursar/0123456789/cs-pilot/0123456789abcdef/1-0123456789abcdef");
    world.spend(&ada, 1_000_000, SMALL);
    world.spend(&ada, 500_000, SMALL);
    world.spend(&bob, 250_000, LARGE);
    world.nights(1);
    world.spend(&ada, 2_000_000, LARGE);
    world.spend(&laptop, 70_000, SMALL);
    world.nights(1);
    world.spend(&eve, 3_000_000, LARGE);
    world.spend(&others, 40_000, SMALL);
    world.nights(1);
    world.spend(&ada, 9_000_000, SMALL);

    let report = world.sync().await;
    assert_eq!(world.asked(), (1, 0), "one query for all days: {report}");
    let (pilot, seminar) = (world.office("cs-pilot"), world.office("seminar"));
    let (models, nobody) = world.written(&[&pilot, &seminar]).await;
    let [second, third] = [1, 2].map(|days: i64| first.saturating_add(days.days()));
    let group = Some("A".to_owned());
    assert_eq!(
        rows(&models, "cs-pilot", first),
        [(None, LARGE.to_owned(), 250_000, 1), (group.clone(), SMALL.to_owned(), 1_500_000, 2)]
    );
    assert_eq!(rows(&models, "cs-pilot", second), [(group.clone(), LARGE.to_owned(), 2_000_000, 1)]);
    assert_eq!(rows(&models, "seminar", third), [(group, LARGE.to_owned(), 3_000_000, 1)]);
    assert_eq!(nobodys(&nobody, second), [(UnattributedReason::Foreign, Some("prof-laptop".to_owned()), 70_000)]);
    let not_ours = nobodys(&nobody, third);
    assert!(
        matches!(&*not_ours, [(UnattributedReason::NotOurs, Some(name), 40_000)] if name.starts_with("bursar/")),
        "{not_ours:?}"
    );
    world.adds_up(&[&pilot, &seminar]).await;
    let state = pilot.table.sync_state().await.unwrap();
    assert_eq!((state.models_until, state.models_missed.len()), (Some(third), 0));
    world.stack.finish().await;
}

#[tokio::test]
async fn a_run_that_is_repeated_asks_nothing_again_and_changes_nothing() {
    let (mut world, _, ada) = World::with_ada(None).await;
    // On a Sunday the next morning would bring a digest.
    world.stack.schedules.stop().await;
    world.spend(&ada, 1_000_000, SMALL);
    world.nights(1);
    let mut watch = watch(&world.stack);
    watch.check().await;
    world.sync().await;
    let first = without_runs(watch.check_after_sync().await);
    let report = world.sync().await;
    assert_eq!((world.asked(), &report["complete"]), ((1, 0), &Value::Bool(true)), "{report}");
    let second = without_runs(watch.check_after_sync().await);
    let changed: Vec<_> = second.iter().filter(|(key, item)| first.get(*key) != Some(*item)).collect();
    assert!(changed.is_empty() && first.len() == second.len(), "{changed:?}");
    world.stack.finish().await;
}

#[tokio::test]
async fn use_that_settles_late_is_found_the_night_after() {
    let (mut world, _, ada) = World::with_ada(None).await;
    let (day, noon) = (world.today(), world.stack.clock.now());
    world.spend(&ada, 1_000_000, SMALL);
    world.nights(1);
    world.sync().await;
    // Late use: the answer to a request of the day before, which took until now.
    world.spend_at(&ada, 30_000, LARGE, noon);
    world.nights(1);
    world.sync().await;
    let office = world.office("cs-pilot");
    let (models, _) = world.written(&[&office]).await;
    let late: Vec<_> = rows(&models, "cs-pilot", day).into_iter().map(|(_, model, spent, _)| (model, spent)).collect();
    assert_eq!(late, [(LARGE.to_owned(), 30_000), (SMALL.to_owned(), 1_000_000)]);
    world.adds_up(&[&office]).await;
    world.stack.finish().await;
}

#[tokio::test]
async fn where_the_answer_is_cut_off_the_accounts_activity_names_the_rest() {
    let mut world = World::new().await;
    let (ada, bob) = {
        let office = programme(&world.stack, "CS pilot").await;
        (
            student(&world.stack, &office, "ada@x.edu", None).await.1,
            student(&world.stack, &office, "bob@x.edu", None).await.1,
        )
    };
    let day = world.today();
    world.spend(&ada, 3_000_000, LARGE);
    world.spend(&bob, 2_000_000, LARGE);
    world.spend(&ada, 30_000, SMALL);
    world.spend(&bob, 20_000, SMALL);
    world.nights(1);
    let crooked = Crooked::before(&world.stack).await;
    let activities = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&activities);
    crooked.bend(move |path, told| {
        if path.starts_with("/activity") {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        if path != "/analytics/query" {
            return told;
        }
        let mut report: Value = serde_json::from_str(&told.body).unwrap();
        report["data"]["data"].as_array_mut().unwrap().truncate(2);
        report["data"]["metadata"] = json!({ "row_count": 2, "truncated": true });
        Told { body: report.to_string(), ..told }
    });
    crooked.sync().await;
    let activities = activities.load(Ordering::SeqCst);
    assert!((1..=7).contains(&activities), "one for each day at most: {activities}");
    let office = world.office("cs-pilot");
    let (models, nobody) = world.written(&[&office]).await;
    assert_eq!(rows(&models, "cs-pilot", day), [(None, LARGE.to_owned(), 5_000_000, 2)]);
    assert_eq!(nobodys(&nobody, day), [(UnattributedReason::Rest, None, 50_000)]);
    world.adds_up(&[&office]).await;

    // The next night's answer is complete, and its models replace the unattributed rest.
    world.nights(1);
    world.sync().await;
    assert!(nobodys(&world.written(&[&office]).await.1, day).is_empty());
    world.adds_up(&[&office]).await;
    world.stack.finish().await;
}

#[tokio::test]
async fn analytics_that_fail_stop_no_run_and_are_asked_again() {
    tokio::join!(goes_on_despite(StatusCode::REQUEST_TIMEOUT), goes_on_despite(StatusCode::INTERNAL_SERVER_ERROR));
}

async fn goes_on_despite(status: StatusCode) {
    let (mut world, _, ada) = World::with_ada(None).await;
    world.spend(&ada, 1_000_000, SMALL);
    world.nights(1);
    let rule = world.stack.gate.at(Matcher::call(QUERY).every(), Fault::Status(status.as_u16()));
    let report = world.sync().await;
    assert!(mentions(&report, "what was used by model could not be read"), "{report}");
    assert_eq!((&report["readings_recorded"], &report["complete"]), (&Value::from(1), &Value::Bool(true)), "{report}");
    let office = world.office("cs-pilot");
    assert_eq!(office.table.sync_state().await.unwrap().models_until, None, "{status}");
    world.stack.gate.lift(rule);
    let report = world.sync().await;
    assert!(!mentions(&report, "by model"), "{report}");
    assert!(office.table.sync_state().await.unwrap().models_until.is_some());
    world.adds_up(&[&office]).await;
    world.stack.finish().await;
}

#[tokio::test]
async fn the_calls_of_a_night_do_not_grow_with_the_number_of_keys() {
    let mut asked = Vec::new();
    for keys in [3, 300] {
        let (mut world, _, ada) = World::with_ada(None).await;
        world.spend(&ada, 1_000_000, SMALL);
        for number in 1..keys {
            let key = world.foreign(&format!("script-{number}"));
            world.spend(&key, 1_000 + number, if number % 2 == 0 { SMALL } else { LARGE });
        }
        world.nights(1);
        let report = world.sync().await;
        assert_eq!(report["keys_listed"], keys, "{report}");
        asked.push(world.asked());
        world.adds_up(&[&world.office("cs-pilot")]).await;
        world.stack.finish().await;
    }
    assert_eq!(asked, [(1, 0), (1, 0)]);
}

#[tokio::test]
async fn days_before_the_last_week_that_were_missed_are_on_record_as_not_known() {
    let (mut world, _, ada) = World::with_ada(None).await;
    let first = world.today();
    world.spend(&ada, 1_000_000, SMALL);
    world.nights(1);
    world.sync().await;
    world.nights(10);
    world.sync().await;
    let state = world.office("cs-pilot").table.sync_state().await.unwrap();
    let after = |days: i64| first.saturating_add(days.days());
    assert_eq!(state.models_missed, [(after(1), after(3))]);
    assert!(state.knows_models_of(first) && state.knows_models_of(after(4)) && state.knows_models_of(after(10)));
    assert_eq!(world.asked(), (2, 0));
    world.stack.finish().await;
}

#[tokio::test]
async fn whose_use_it_was_is_asked_again_when_a_grant_could_not_be_read() {
    let (mut world, grant, ada) = World::with_ada(Some("A")).await;
    let day = world.today();
    world.spend(&ada, 1_000_000, SMALL);
    world.nights(1);
    let office = world.office("cs-pilot");
    let name: KeyName = office.key(&ada).name.parse().unwrap();
    assert_eq!(name.grant, grant);
    let raw = RawTable::at(&world.stack.ready.dynamodb, &world.stack.ready.table);
    let whole = {
        let mut watch = watch(&world.stack);
        let items = &watch.check().await.items;
        let is_grant = |item: &&bursar_core::store::items::Item| item["kind"].as_s().is_ok_and(|kind| kind == "grant");
        items.values().find(is_grant).unwrap().clone()
    };
    let mut broken = whole.clone();
    broken.remove("state");
    raw.put(broken).await.unwrap();
    let report = world.sync().await;
    assert_eq!(report["complete"], false, "{report}");
    let (models, nobody) = world.written(&[&office]).await;
    assert!(rows(&models, "cs-pilot", day).is_empty());
    assert!(matches!(&*nobodys(&nobody, day), [(UnattributedReason::UnknownGrant, Some(_), 1_000_000)]), "{nobody:?}");

    raw.put(whole).await.unwrap();
    world.sync().await;
    let (models, nobody) = world.written(&[&office]).await;
    assert_eq!(rows(&models, "cs-pilot", day), [(Some("A".to_owned()), SMALL.to_owned(), 1_000_000, 1)]);
    assert!(nobodys(&nobody, day).is_empty(), "{nobody:?}");
    world.adds_up(&[&office]).await;
    world.stack.finish().await;
}
