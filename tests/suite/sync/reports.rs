//! Reports, statements and the provider's own books over one drawn history.

use bursar_tests::seeds::{LONG, seeds, sized};
use bursar_tests::visitor::Page;
use fastrand::Rng;

use super::statement::{Season, micros, rows, season, statement};
use super::*;

const NIGHTS: i64 = if LONG { 75 } else { 14 };
const FIRST: u64 = 6;
const REPORT: &str = "/console/report";
const COLUMNS: [&str; 4] = ["day", "group", "model", "person"];

/// Three ways to the same money: the readings by UTC day (report), the difference of two cuts (statement), and the
/// simulator's lifetime counters. A day of a report begins at midnight and a statement runs from sync to sync, and what
/// a key used between two syncs of different days is dated by an estimate. So they need not agree over a part of the
/// season. They must, to the micro-dollar, over a range that begins before the first use and the cut before it, and ends
/// after a sync that listed all use: for each person, each group, each programme and in all, by every grouping.
/// Of models only the sum is compared, since the provider tells of a day's models after that day; the rest is a line
/// without a model. What keys of nobody used is in the statement's rows `unowned` and in no report. Foreign keys with an owner are
/// the programme's, without group and person; what they used before a sync first saw them is of no day, so it is in no report.
#[tokio::test]
async fn over_a_whole_drawn_season_reports_statement_and_provider_agree_by_every_grouping() {
    for seed in seeds(FIRST, 1, 2) {
        let stack = in_the_morning().await;
        // A cut before the first use, and at the end a listing of all of it.
        stack.clock.begin_at(instant(-1, 600)).unwrap();
        sync(&stack).await;
        let season = season(&stack, seed, NIGHTS).await;
        stack.clock.begin_at(instant(NIGHTS + 1, 30)).unwrap();
        let report = sync(&stack).await;
        assert_eq!(report["complete"], true, "{report}");
        let seen = watch(&stack);
        let truth = Truth::of(&stack, seen, &season).await;
        assert!(truth.all > 0 && truth.by_group.len() > 1, "seed {seed}: {truth:?}");

        let admin = signed_in(&stack, ADMIN).await;
        let days = (date(-1), date(NIGHTS + 1));
        let of_statement = rows(&statement(&admin, days).await);
        let of_kind = |kind: &str| -> BTreeMap<String, i64> {
            let rows = of_statement.iter().filter(|((_, of), used)| of == kind && **used != 0);
            rows.map(|((programme, _), used)| (programme.clone(), *used)).collect()
        };
        assert_eq!(of_kind("keys"), truth.keys, "seed {seed}: the statement's keys");
        assert_eq!(of_kind("assigned"), truth.assigned, "seed {seed}: foreign keys with an owner");
        let has_owners = !truth.assigned.is_empty();
        assert!(has_owners || LONG || seed != FIRST, "in the first short season some foreign key has an owner");
        for bits in (0..1 << COLUMNS.len()).step_by(sized(5, 1)) {
            let chosen = COLUMNS.iter().enumerate().filter(|(place, _)| bits & (1 << place) > 0);
            let by: String = chosen.map(|(_, name)| format!("&by={name}")).collect();
            let query = format!("from={}&to={}{by}", days.0, days.1);
            let file = admin.get(&format!("{REPORT}.csv?{query}")).await.expect(200);
            assert_eq!(sums(&file, |_| String::new()).values().sum::<i64>(), truth.all, "seed {seed}: {by}");
            assert_eq!(sums(&file, |row| row["programme"].clone()), truth.by_programme, "seed {seed}: {by}");
            if by.contains("group") {
                assert_eq!(sums(&file, |row| row["group"].clone()), truth.by_group, "seed {seed}: {by}");
            }
            if by.contains("person") {
                assert_eq!(sums(&file, |row| row["person"].clone()), truth.by_person, "seed {seed}: {by}");
            }
            let page = admin.get(&format!("{REPORT}?{query}")).await.expect(200);
            assert_eq!(micros(page.one("report-total").get("data-usd")), truth.all, "seed {seed}: {by}");
        }
        // However the days are cut into ranges, the reports of the parts are the report of the whole.
        let mut rng = Rng::with_seed(seed);
        for _ in 0..4 {
            let cut = date(rng.i64(0..NIGHTS));
            let mut all = 0;
            for (from, to) in [(days.0, cut), (cut.tomorrow().unwrap(), days.1)] {
                let page = admin.get(&format!("{REPORT}?from={from}&to={to}&by=day&by=model")).await.expect(200);
                all += micros(page.one("report-total").get("data-usd"));
            }
            assert_eq!(all, truth.all, "seed {seed}: cut after {cut}");
        }
        stack.finish().await;
    }
}

/// What keys used by the provider's own books, in micro-dollars, where they used anything.
#[derive(Debug, Default)]
struct Truth {
    /// The keys of grants, and foreign keys with all that counts for their owners, by programme.
    keys: BTreeMap<String, i64>,
    assigned: BTreeMap<String, i64>,
    /// What reports have: of foreign keys only what is of a day.
    all: i64,
    by_programme: BTreeMap<String, i64>,
    by_group: BTreeMap<String, i64>,
    by_person: BTreeMap<String, i64>,
}

impl Truth {
    async fn of(stack: &Stack, mut watch: Watch, season: &Season) -> Truth {
        let seen = watch.check_after_sync().await;
        let mut truth = Truth::default();
        for key in provider(stack).keys() {
            let is_its = |grant: &&Grant| {
                grant
                    .attempts
                    .iter()
                    .any(|attempt| attempt.key.as_ref().is_some_and(|known| known.as_str() == key.hash))
            };
            let used = Usd::parse_ceil(&key.usage.to_string()).unwrap().micros();
            let Some(grant) = seen.grants.values().find(is_its).filter(|_| used != 0) else { continue };
            truth.all += used;
            *truth.keys.entry(grant.programme.to_string()).or_default() += used;
            *truth.by_programme.entry(grant.programme.to_string()).or_default() += used;
            *truth.by_group.entry(grant.group.clone().unwrap_or_default()).or_default() += used;
            *truth.by_person.entry(grant.id.to_string()).or_default() += used;
        }
        for key in &season.keys {
            let Some((owner, _)) = &key.owner else { continue };
            *truth.assigned.entry(owner.to_string()).or_default() += key.counted(key.days.values().sum());
            let used = key.counted_by_day();
            truth.all += used;
            *truth.by_programme.entry(owner.to_string()).or_default() += used;
            *truth.by_group.entry(String::new()).or_default() += used;
            *truth.by_person.entry(String::new()).or_default() += used;
        }
        for sums in [&mut truth.assigned, &mut truth.by_programme, &mut truth.by_group, &mut truth.by_person] {
            sums.retain(|_, used| *used != 0);
        }
        truth
    }
}

/// The amounts of a report's file by a text of each row, where they are not zero: own keys alone make a row too.
fn sums(file: &Page, by: impl Fn(&BTreeMap<String, String>) -> String) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for row in csv::Reader::from_reader(file.body.as_bytes()).deserialize() {
        let row: BTreeMap<String, String> = row.unwrap();
        *sums.entry(by(&row)).or_default() += micros(&row["spent_usd"]);
    }
    sums.retain(|_, used| *used != 0);
    sums
}
