//! The spending of spans of days compared with what was really spent: random histories with missed nights,
//! through real syncs.

use std::collections::BTreeMap;

use bursar_core::domain::programme::Byok;
use bursar_core::domain::usage::days::{Accuracy, Days};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::usage::span::Span;
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::window::{Reset, utc_date};
use bursar_local::provider::Nano;
use bursar_tests::office::Office;
use bursar_tests::seeds::{LONG, seeds};
use bursar_tests::stack::Stack;
use fastrand::Rng;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::json;

use super::crooked::{Crooked, Told, without};
use super::{foreign, hours, in_the_morning, instant, invite, mint, problems, provider, rich, shape, spend, sync};

const SIDE_BY_SIDE: usize = 2;
/// The number of days in a history.
const DAYS: i64 = if LONG { 34 } else { 14 };

/// What was really spent, by scope and UTC day.
type Truth = BTreeMap<(String, Date), i64>;

struct Life<'s> {
    stack: &'s Stack,
    offices: [Office<'s>; 2],
    grants: [GrantId; 3],
    keys: Vec<String>,
    by_hand: String,
    truth: Truth,
    synced: Vec<Timestamp>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_span_is_the_sum_of_what_was_spent_in_it_or_says_that_it_is_not_known_exactly() {
    let lives = seeds(1, 1, 10).map(|seed| tokio::spawn(live(seed)));
    stream::iter(lives).buffer_unordered(SIDE_BY_SIDE).for_each(async |life| life.unwrap()).await;
}

async fn live(seed: u64) {
    let stack = in_the_morning().await;
    let offices = [rich(&stack).await, rich(&stack).await];
    shape(&stack, &offices[1], |settings| (settings.reset, settings.byok) = (Reset::Daily, Byok::Inside)).await;
    let grants = [
        invite(&stack, &offices[0], "ada", Some("A")).await,
        invite(&stack, &offices[0], "ben", None).await,
        invite(&stack, &offices[1], "cat", None).await,
    ];
    let mut keys = Vec::new();
    for (grant, office) in grants.iter().zip([&offices[0], &offices[0], &offices[1]]) {
        keys.push(mint(&stack, office, grant).await);
    }
    let by_hand = foreign(&stack, "by hand");
    let mut life = Life { stack: &stack, offices, grants, keys, by_hand, truth: Truth::new(), synced: Vec::new() };
    assert_eq!(sync(&stack).await["complete"], true);
    life.synced.push(stack.clock.now());
    let mut dice = Rng::with_seed(seed);
    for day in 0..DAYS {
        life.day(day, &mut dice).await;
    }
    stack.finish().await;
}

impl Life<'_> {
    async fn day(&mut self, day: i64, dice: &mut Rng) {
        // The sync runs after midnight, unless the night is missed, and sometimes once more during the day.
        let mut syncs = Vec::new();
        if day > 0 && dice.usize(..4) > 0 {
            syncs.push(20);
        }
        if dice.usize(..5) == 0 {
            syncs.push(700 + dice.usize(..300) as i64);
        }
        let mut moments: Vec<i64> = (0..dice.usize(..4)).map(|_| 610 + dice.usize(..820) as i64).collect();
        if dice.usize(..2) == 0 && day > 0 {
            moments.push(5);
        }
        moments.extend(&syncs);
        moments.sort_unstable();
        for minute in moments {
            self.stack.clock.stop_at(instant(day, minute)).unwrap();
            if syncs.contains(&minute) {
                let report = sync(self.stack).await;
                assert_eq!(
                    (&report["complete"], &report["residual_usd"]),
                    (&json!(true), &json!("0.000000")),
                    "{report}"
                );
                self.synced.push(self.stack.clock.now());
                self.judge().await;
            } else {
                self.spend(dice);
            }
        }
        if day == 15 {
            self.keys[0] = mint(self.stack, &self.offices[0], &self.grants[0]).await;
        }
    }

    fn spend(&mut self, dice: &mut Rng) {
        let (who, amount) = (dice.usize(..5), 1 + dice.usize(..900_000) as i64);
        let (key, scopes): (&str, &[&str]) = match who {
            0 => (&self.keys[0], &["ada", "A", "first", "ours"]),
            1 => (&self.keys[1], &["ben", "first", "ours"]),
            2 => (&self.keys[2], &["cat", "second", "ours"]),
            3 => (&self.keys[2], &["cat byok"]),
            _ => (&self.by_hand, &["by hand", "foreign"]),
        };
        let now = self.stack.clock.now();
        match who {
            3 => provider(self.stack).spend_byok(key, Nano::micros(amount), now, "a/model").unwrap(),
            _ => spend(self.stack, key, amount),
        }
        for scope in scopes {
            *self.truth.entry(((*scope).to_owned(), utc_date(now))).or_default() += amount;
        }
    }

    async fn judge(&self) {
        let table = &self.offices[0].table;
        for (name, grant, office) in [("ada", 0, 0), ("ben", 1, 0), ("cat", 2, 1)] {
            let office = &self.offices[office];
            let view = office.table.view(&office.programme, &self.grants[grant]).await.unwrap().unwrap();
            let mut used = DailyUse::default();
            view.readings.iter().for_each(|reading| used.add(&reading.used));
            self.compare(name, &used.credits, view.programme.settings.reset);
            if name == "cat" {
                self.compare("cat byok", &used.byok, Reset::Daily);
            }
        }
        for (name, office) in ["first", "second"].into_iter().zip(&self.offices) {
            let totals = table.totals(&office.programme).await.unwrap().unwrap();
            self.compare(name, &totals.used.credits, Reset::None);
            if let Some(group) = totals.by_group.get("A") {
                self.compare("A", &group.credits, Reset::None);
            }
        }
        let account = table.account().await.unwrap().unwrap();
        self.compare("ours", &account.ours.credits, Reset::Monthly);
        self.compare("foreign", &account.foreign.credits, Reset::Weekly);
        let foreign = table.foreign_keys().await.unwrap();
        self.compare("by hand", &foreign[0].used.credits, Reset::None);
    }

    /// Checks that a span is exact, or that the nights at one of its ends were missed.
    fn compare(&self, scope: &str, days: &Days, reset: Reset) {
        let now = self.stack.clock.now();
        let today = utc_date(now);
        let back = |days: i64| today.checked_sub(days.days()).unwrap();
        for span in Span::EACH {
            let from = match span {
                Span::Day => back(1),
                Span::Week => back(7),
                Span::Month => back(30),
                Span::Window => reset.window_at(now).begins().unwrap_or(Date::MIN),
                Span::Term | Span::All => Date::MIN,
            };
            let to = if matches!(span, Span::Day | Span::Week | Span::Month) { back(1) } else { today };
            let of_scope = self.truth.iter().filter(|((of, day), _)| of == scope && from <= *day && *day <= to);
            let truth: i64 = of_scope.map(|(_, spent)| spent).sum();
            let sum = span.of(days, reset, None, self.synced.last().copied(), now);
            let tell = format!("{scope}, {} at {now}: {sum:?} of {truth}, {days:?}", span.as_str());
            match sum.known {
                Accuracy::Exactly => assert_eq!(sum.spent.micros(), truth, "{tell}"),
                known => assert!(known == Accuracy::Estimated && self.was_missed(from), "{tell}"),
            }
        }
    }

    /// Whether a night was missed near that day or after it.
    fn was_missed(&self, from: Date) -> bool {
        let days: Vec<Date> = self.synced.iter().map(|at| utc_date(*at)).collect();
        days.windows(2).any(|pair| pair[0].tomorrow().unwrap() < pair[1] && pair[1] >= from)
    }
}

#[tokio::test]
async fn what_a_key_used_that_was_looked_for_in_vain_is_not_said_to_be_of_one_day_until_it_was_read_again() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    // An account without any key would count as another one.
    foreign(&stack, "other");
    spend(&stack, &key, 1_000_000);
    assert_eq!(sync(&stack).await["complete"], true);
    let first = utc_date(stack.clock.now());
    spend(&stack, &key, 2_000_000);
    stack.clock.advance(hours(24)).unwrap();
    let blind = Crooked::before(&stack).await;
    let hidden = key.clone();
    blind.bend(move |path, told| match path.starts_with(&format!("/keys/{hidden}")) {
        true => Told { status: 400, body: "{}".to_owned(), ..told },
        false => without(path, told, &hidden),
    });
    let report = blind.sync().await;
    assert_eq!((&report["complete"], &report["keys_listed"]), (&json!(false), &json!(1)), "{report}");
    assert!(problems(&report).contains("something that was to be done was not"), "{report}");
    let on = async |days: i64| {
        let view = office.table.view(&office.programme, &ada).await.unwrap().unwrap();
        let (credits, day) = (view.readings[0].used.credits.clone(), first.saturating_add(days.days()));
        credits.between(day, day, Some(day)).known
    };
    for _ in 0..2 {
        stack.clock.advance(hours(24)).unwrap();
        spend(&stack, &key, 10);
        assert_eq!(sync(&stack).await["complete"], true);
    }
    // The two dollars were used on the first day, between its sync and the next one.
    assert_eq!((on(0).await, on(3).await), (Accuracy::Estimated, Accuracy::Exactly));
    stack.finish().await;
}
