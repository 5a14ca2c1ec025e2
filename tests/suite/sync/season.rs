//! A season of drawn nights, some of them missed: one truth, and four who tell it. What pages show
//! over a span, reports of any days, statements and the residual of each sync agree with what was
//! spent, to the micro-dollar, or say that they do not know exactly.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};

use bursar_core::clock::Moment;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::ledger::cut::LifetimeUse;
use bursar_core::domain::programme::{Byok, Settings};
use bursar_core::domain::usage::days::Accuracy;
use bursar_core::domain::usage::span::Span;
use bursar_core::domain::values::id::{KeyHash, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::{Reset, utc_date};
use bursar_core::store::{AssignOutcome, Author, UsedNow};
use bursar_local::invoke::FunctionName::UsageSync;
use bursar_local::provider::Nano;
use bursar_tests::campus::{Campus, reports};
use bursar_tests::faults::Matcher;
use bursar_tests::office::soon;
use bursar_tests::seeds::{LONG, seeds, sized};
use bursar_tests::visitor::{Page, Visitor};
use fastrand::Rng;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;

use super::crooked::{Crooked, Told, without};
use super::{ACCOUNT, complete, date, instant, problems, quiet};

const NIGHTS: i64 = if LONG { 365 } else { 40 };
const MODELS: [&str; 2] = ["a/model", "another/model"];

type Sums = BTreeMap<String, i64>;

struct Season {
    campus: Campus,
    dice: Rng,
    /// Two programmes with one cost code, one with monthly windows, and a cost centre, with their
    /// settings.
    programmes: Vec<(ProgrammeId, Settings)>,
    keys: Vec<Key>,
    uses: Vec<Use>,
    /// When each sync began, and how many uses it could list.
    cuts: Vec<(Moment, usize)>,
    elsewhere: i64,
    bought: i32,
}

struct Key {
    hash: String,
    /// The programme and the name of whoever got it; a foreign key has neither.
    person: Option<(usize, String)>,
    group: &'static str,
    /// The owner of a foreign key now.
    owner: Option<usize>,
    is_gone: bool,
}

struct Use {
    key: usize,
    /// The programme that it counts for: whose the key was then.
    programme: Option<usize>,
    day: Date,
    micros: i64,
    model: &'static str,
    is_byok: bool,
    /// Whether it was while a run went on.
    is_meanwhile: bool,
}

impl Key {
    fn programme(&self) -> Option<usize> {
        self.person.as_ref().map(|(programme, _)| *programme)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_season_adds_up_for_every_reader() {
    for seed in seeds(1, 1, 6) {
        let mut season = Season::begun(seed).await;
        for day in 0..NIGHTS {
            season.day(day).await;
        }
        season
            .campus
            .clock
            .stop_at(instant(NIGHTS + 1, 30))
            .unwrap();
        season.sync().await;
        // In the last run nobody spends meanwhile, so every sum is exact.
        season
            .campus
            .clock
            .stop_at(instant(NIGHTS + 2, 30))
            .unwrap();
        season
            .cuts
            .push((season.campus.clock.now(), season.uses.len()));
        assert_eq!(season.campus.sync().await["complete"], true);
        season.read_spans(&season.campus.admin().await).await;
        season.read_reports().await;
        season.read_statements().await;
        season.campus.judged_after_sync().await;
        season.campus.finish().await;
    }
}

impl Season {
    async fn begun(seed: u64) -> Season {
        let mut campus = Campus::at("2026-11-09T10:00:00Z").await;
        campus.pump.stop().await;
        let none = campus
            .admin()
            .await
            .get(&statement(".csv", (date(-1), date(0))))
            .await;
        assert_eq!(none.status, 409, "there is no statement");
        let mut programmes = Vec::new();
        for (name, cost_code, reset, byok, cap) in [
            ("Maths", "=4711", Reset::None, Byok::Outside, 9_000),
            ("Physics", "=4711", Reset::Daily, Byok::Inside, 20),
            ("Seminar", "9000", Reset::Monthly, Byok::Outside, 300),
            ("Office", "9001", Reset::None, Byok::Inside, 1),
        ] {
            let id = campus
                .programme(name, |settings| {
                    settings.term = Term::new(date(-1), date(500), "UTC").unwrap();
                    (settings.texts.cost_code, settings.roster) =
                        (Some(cost_code.to_owned()), name != "Office");
                    (
                        settings.basis.reset,
                        settings.basis.byok,
                        settings.allowance.cap,
                    ) = (reset, byok, Usd::from_dollars(cap));
                })
                .await;
            campus.budget(1_000_000).await;
            programmes.push((id, campus.settings().await));
        }
        let dice = Rng::with_seed(seed);
        let (keys, uses, cuts) = (Vec::new(), Vec::new(), Vec::new());
        let mut season = Season {
            campus,
            dice,
            programmes,
            keys,
            uses,
            cuts,
            elsewhere: 0,
            bought: 1_000,
        };
        season.sync().await;
        season
    }

    async fn day(&mut self, day: i64) {
        // A row of the outbox is forgotten ninety days after its mail has left, as the invariants
        // have it.
        if day % 30 == 0 {
            self.campus.drain().await;
        }
        self.campus
            .clock
            .stop_at(instant(day, 20 + self.dice.i64(0..600)))
            .unwrap();
        if day == 0 || self.dice.i64(0..NIGHTS) < 14 {
            self.new_key(day).await;
        }
        self.spends();
        if self.one_in(8) {
            let micros = self.dice.i64(1..9_000);
            self.campus
                .provider()
                .spend_elsewhere(Nano::micros(micros))
                .unwrap();
            self.elsewhere += micros;
        }
        if self.one_in(10) {
            self.bought += 500;
            self.campus
                .provider()
                .set_credits(Nano::usd(self.bought.into()))
                .unwrap();
        }
        if !self.one_in(6) {
            self.sync().await;
            if self.one_in(3) {
                self.change_an_owner().await;
            }
            if LONG && day % 13 == 12 {
                self.read_spans(&self.campus.admin().await).await;
            }
        }
        self.campus
            .clock
            .stop_at(instant(day, 700 + self.dice.i64(0..700)))
            .unwrap();
        self.spends();
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.dice.u32(0..count) == 0
    }

    /// A key of somebody new, another one of somebody who has one, or one that was made by hand.
    async fn new_key(&mut self, day: i64) {
        let programme = self.dice.usize(0..4);
        let name = format!("student-{day}");
        let group = if programme < 3 {
            ["", "first", "second"][self.dice.usize(0..3)]
        } else {
            ""
        };
        let (hash, person) = if programme < 3 {
            self.campus.programme = self.programmes[programme].0.clone();
            self.campus
                .student_in(&name, Some(group).filter(|group| !group.is_empty()))
                .await;
            self.campus.reveal(&self.campus.student(&name).await).await;
            if self.one_in(3) {
                let key = self.campus.key(&name).hash;
                let person = Some((programme, name.clone()));
                self.keys.push(Key {
                    hash: key,
                    person,
                    group,
                    owner: None,
                    is_gone: false,
                });
                self.campus.replace(&name).await;
            }
            (self.campus.key(&name).hash, Some((programme, name)))
        } else {
            (self.campus.foreign(&format!("lab-{day}")), None)
        };
        self.keys.push(Key {
            hash,
            person,
            group,
            owner: None,
            is_gone: false,
        });
    }

    fn spends(&mut self) {
        for key in 0..self.keys.len() {
            if self.dice.bool() && !self.keys[key].is_gone {
                let (micros, is_byok) = (self.dice.i64(1..2_000_000), self.one_in(6));
                self.spend(key, micros, is_byok);
                self.note(key, micros, is_byok);
            }
        }
    }

    fn spend(&self, key: usize, micros: i64, is_byok: bool) {
        let (provider, now, hash) = (
            self.campus.provider(),
            self.campus.clock.now(),
            &self.keys[key].hash,
        );
        let (amount, model) = (Nano::micros(micros), MODELS[key % 2]);
        match is_byok {
            true => provider.spend_byok(hash, amount, now, model).unwrap(),
            false => provider.spend(hash, amount, now, model).unwrap(),
        }
    }

    fn note(&mut self, key: usize, micros: i64, is_byok: bool) {
        let (day, model) = (utc_date(self.campus.clock.now()), MODELS[key % 2]);
        let programme = self.keys[key].programme().or(self.keys[key].owner);
        self.uses.push(Use {
            key,
            programme,
            day,
            micros,
            model,
            is_byok,
            is_meanwhile: false,
        });
    }

    /// A sync during whose listing some keys are used.
    async fn sync(&mut self) {
        let now = self.campus.clock.now();
        self.cuts.push((now, self.uses.len()));
        let there = (0..self.keys.len())
            .rev()
            .filter(|key| !self.keys[*key].is_gone);
        let during: Vec<(usize, i64)> = there
            .take(2)
            .map(|key| (key, self.dice.i64(1..50_000)))
            .collect();
        let held = self
            .campus
            .gate
            .hold_answers(Matcher::call("provider:GET /keys").of(UsageSync));
        let spending = async {
            held.arrived().await;
            during
                .iter()
                .for_each(|(key, micros)| self.spend(*key, *micros, false));
            drop(held);
        };
        let (report, ()) = tokio::join!(self.campus.sync(), spending);
        let residual = micros(report["residual_usd"].as_str().unwrap_or("0.000001"));
        // An answer of the same run may tell what was used after the listing, before which the
        // account was asked.
        let since: i64 = during.iter().map(|(_, micros)| micros).sum();
        let is_known = ((self.elsewhere - since).max(0)..=self.elsewhere).contains(&residual);
        assert!(
            report["complete"] == true && is_known,
            "{}: {report}",
            self.elsewhere
        );
        for (key, micros) in during {
            self.note(key, micros, false);
            self.uses.last_mut().unwrap().is_meanwhile = true;
        }
        // One that was listed with all of its use goes.
        let listed = self.cuts[self.cuts.len() - 1].1;
        let is_read = |key: &usize| self.uses[listed..].iter().all(|used| used.key != *key);
        let of_nobody = (0..self.keys.len())
            .find(|key| self.keys[*key].person.is_none() && !self.keys[*key].is_gone);
        if let Some(key) = of_nobody.filter(is_read)
            && self.one_in(8)
        {
            self.campus.provider().delete(&self.keys[key].hash).unwrap();
            self.keys[key].is_gone = true;
        }
    }

    /// Gives a foreign key to a programme or cost centre, or takes one back, by what it used until
    /// now.
    async fn change_an_owner(&mut self) {
        let foreign: Vec<usize> = (0..self.keys.len())
            .filter(|key| self.keys[*key].person.is_none())
            .collect();
        let Some(key) = self.dice.choice(foreign) else {
            return;
        };
        let (table, now) = (&self.campus.table, self.campus.clock.now());
        let hash: [KeyHash; 1] = [self.keys[key].hash.parse().unwrap()];
        let by = Author {
            actor: &Actor::Sync,
            now,
            deadline: soon(),
        };
        let sum = |is_byok| {
            let of_it = self
                .uses
                .iter()
                .filter(|used| used.key == key && used.is_byok == is_byok);
            Usd::from_micros(of_it.map(|used| used.micros).sum())
        };
        let used = UsedNow::from([(
            hash[0].clone(),
            LifetimeUse {
                credits: sum(false),
                byok: sum(true),
            },
        )]);
        if self.keys[key].owner.is_some() {
            assert!(table.take_keys_back(&hash, &used, by).await.unwrap());
            self.keys[key].owner = None;
            return;
        }
        let owner = self.dice.choice([0, 3, 3]).unwrap();
        let given = table
            .assign_keys(&self.programmes[owner].0, &hash, &used, by)
            .await
            .unwrap();
        assert_eq!(given, AssignOutcome::Done);
        self.keys[key].owner = Some(owner);
    }

    /// What pages show over each span: of programmes in all, of people, and of the account.
    async fn read_spans(&self, admin: &Visitor) {
        for span in Span::ALL {
            for (programme, (id, settings)) in self.programmes.iter().enumerate() {
                let all = self.range(Span::All, settings.basis.reset, Some(&settings.term));
                let range = self.range(span, settings.basis.reset, Some(&settings.term));
                let counts = |used: &Use| !used.is_byok || settings.basis.byok == Byok::Inside;
                let path = format!("/console/programmes/{id}");
                let shown = admin.get(&path).await.expect(200).one("spent");
                let truth = self.listed(all, |used| {
                    counts(used) && used.programme == Some(programme)
                });
                self.tells(
                    &path,
                    &shown.text,
                    shown.attributes.get("data-usd"),
                    truth,
                    all.0,
                );
                let path = format!("/console/programmes/{id}/grants?window={}", span.as_str());
                for row in admin.get(&path).await.expect(200).all("grant") {
                    let whose = row.get("data-email");
                    let truth = self.listed(range, |used| {
                        let person = self.keys[used.key].person.as_ref();
                        counts(used)
                            && person
                                .is_some_and(|(_, name)| whose == format!("{name}@example.edu"))
                    });
                    let tell = format!("{path}: {}", row.text);
                    self.tells(
                        &tell,
                        &row.text,
                        row.attributes.get("data-spent-usd"),
                        truth,
                        range.0,
                    );
                }
            }
            // An account has neither window nor term, and then shows all.
            let shown = if matches!(span, Span::Window | Span::Term) {
                Span::All
            } else {
                span
            };
            let range = self.range(shown, Reset::None, None);
            let page = admin
                .get(&format!("{ACCOUNT}?window={}", span.as_str()))
                .await
                .expect(200);
            for (hook, is_ours) in [("spent-ours", true), ("spent-foreign", false)] {
                let (shown, tell) = (page.one(hook), format!("{hook} over {}", span.as_str()));
                let truth = self.listed(range, |used| {
                    !used.is_byok && self.keys[used.key].person.is_some() == is_ours
                });
                self.tells(
                    &tell,
                    &shown.text,
                    shown.attributes.get("data-usd"),
                    truth,
                    range.0,
                );
            }
        }
    }

    /// The days of a span; without a first one it is all that ever was.
    fn range(&self, span: Span, reset: Reset, term: Option<&Term>) -> (Date, Date) {
        let newest = self.cuts.last().map(|(read, _)| *read);
        span.range(reset, term, newest, self.campus.clock.now())
    }

    /// What was spent on these days as far as the last sync could list it; at most with what was
    /// spent meanwhile, since an answer to a call of its own may tell that.
    fn listed(
        &self,
        (from, to): (Date, Date),
        counts: impl Fn(&Use) -> bool,
    ) -> RangeInclusive<i64> {
        let spent = |uses: &[Use]| {
            let uses = uses
                .iter()
                .filter(|used| from <= used.day && used.day <= to && counts(used));
            uses.map(|used| used.micros).sum()
        };
        spent(&self.uses[..self.cuts[self.cuts.len() - 1].1])..=spent(&self.uses)
    }

    /// An amount is exact, or says that it is not, and a night was missed near the first of its
    /// days or later.
    fn tells(
        &self,
        tell: &str,
        text: &str,
        usd: Option<&String>,
        truth: RangeInclusive<i64>,
        from: Date,
    ) {
        if ["about", "at least", "not known"]
            .iter()
            .any(|word| text.contains(word))
        {
            let days: Vec<Date> = self.cuts.iter().map(|(at, _)| utc_date(*at)).collect();
            let is_gap = |pair: &[Date]| pair[0].tomorrow().unwrap() < pair[1] && pair[1] >= from;
            assert!(days.windows(2).any(is_gap), "{tell}: no night was missed");
        } else {
            let usd = usd.map(|usd| micros(usd));
            assert!(
                usd.is_some_and(|usd| truth.contains(&usd)),
                "{tell}: {usd:?} of {truth:?}"
            );
        }
    }

    /// By every grouping a report of the whole season has all that was used on known days. Of
    /// models it knows all completed days.
    async fn read_reports(&mut self) {
        let admin = self.campus.admin().await;
        let (first, last) = (date(-1), date(NIGHTS + 1));
        let uses = &self.uses[..self.cuts[self.cuts.len() - 1].1];
        let truth = |by: &dyn Fn(&Use, usize) -> Option<String>| {
            let mut sums = Sums::new();
            for used in uses.iter().filter(|used| !used.is_byok) {
                let programme = used.programme;
                if let Some(name) = programme.and_then(|programme| by(used, programme)) {
                    *sums.entry(name).or_default() += used.micros;
                }
            }
            sums
        };
        let id = |programme: usize| self.programmes[programme].0.to_string();
        let by_person = |used: &Use, _: usize| {
            let person = self.keys[used.key].person.as_ref();
            Some(person.map_or(String::new(), |(_, name)| self.campus.id(name).to_string()))
        };
        let by_programme = truth(&|_, programme| Some(id(programme)));
        let (all, by_person) = (by_programme.values().sum::<i64>(), truth(&by_person));
        let by_group = truth(&|used, _| Some(self.keys[used.key].group.to_owned()));
        // The model days of keys with an owner have their own names, and what of them has no day is
        // taken off.
        let foreign = self
            .uses
            .iter()
            .filter(|used| self.keys[used.key].person.is_none());
        let owned: BTreeSet<usize> = foreign.filter_map(|used| used.programme).collect();
        let by_model = truth(&|used, programme| {
            (!owned.contains(&programme)).then(|| format!("{} {}", id(programme), used.model))
        });
        assert!(
            all > 0 && by_group.len() > 1 && !by_model.is_empty(),
            "{by_group:?} {by_model:?}"
        );
        for by in ["", "day", "group", "model", "person"] {
            let query = format!("from={first}&to={last}&by={by}");
            let page = admin
                .get(&format!("/console/report?{query}"))
                .await
                .expect(200);
            assert_eq!(
                micros(page.one("report-total").get("data-usd")),
                all,
                "{by}"
            );
            let file = rows(
                &admin
                    .get(&format!("/console/report.csv?{query}"))
                    .await
                    .expect(200),
            );
            assert_eq!(
                sums(&file, |row| Some(row["programme"].clone())),
                by_programme,
                "{by}"
            );
            for (column, truth) in [("group", &by_group), ("person", &by_person)] {
                if by == column {
                    assert_eq!(sums(&file, |row| Some(row[column].clone())), *truth, "{by}");
                }
            }
            if by == "model" {
                let is_whole = |row: &Row| owned.iter().all(|owner| id(*owner) != row["programme"]);
                let told = sums(&file, |row| {
                    is_whole(row).then(|| format!("{} {}", row["programme"], row["model"]))
                });
                assert_eq!(told, by_model, "{by}");
            }
        }
        // However the days are cut into ranges, the parts are the whole, and each is exact if a
        // sync ran on the day of the cut.
        let syncs: BTreeSet<Date> = self.cuts.iter().map(|(at, _)| utc_date(*at)).collect();
        for _ in 0..sized(3, 30) {
            let cut = date(self.dice.i64(0..NIGHTS));
            let mut parts = Vec::new();
            for (from, to) in [(first, cut.yesterday().unwrap()), (cut, last)] {
                let page = admin
                    .get(&format!("/console/report?from={from}&to={to}&by=model"))
                    .await
                    .expect(200);
                parts.push(micros(page.one("report-total").get("data-usd")));
            }
            assert_eq!(parts.iter().sum::<i64>(), all, "before {cut}");
            let before = self
                .uses
                .iter()
                .filter(|used| !used.is_byok && used.day < cut);
            let before: i64 = before
                .filter(|used| used.programme.is_some())
                .map(|used| used.micros)
                .sum();
            assert!(!syncs.contains(&cut) || parts[0] == before, "before {cut}");
        }
    }

    /// What of these uses was whose, as a statement has it.
    fn by_kind(&self, uses: Range<usize>) -> BTreeMap<(String, String), i64> {
        let mut sums: BTreeMap<(String, String), i64> = BTreeMap::new();
        for used in self.uses[uses].iter().filter(|used| !used.is_byok) {
            let key = &self.keys[used.key];
            let whose = used
                .programme
                .map_or("", |programme| self.programmes[programme].0.as_str());
            let kind = match key.person {
                Some(_) => "keys",
                None if whose.is_empty() => "unowned",
                None => "assigned",
            };
            *sums.entry((whose.to_owned(), kind.to_owned())).or_default() += used.micros;
        }
        sums
    }

    /// A statement runs from sync to sync, adds up to the account, and its file says the same.
    async fn read_statements(&mut self) {
        let admin = self.campus.admin().await;
        for _ in 0..sized(4, 30) {
            let first = self.dice.i64(0..NIGHTS - 1);
            let (from, to) = (date(first), date(self.dice.i64(first..NIGHTS)));
            let page = admin.get(&statement("", (from, to))).await.expect(200);
            let told = statement_rows(&page);
            let total: i64 = told
                .iter()
                .filter(|((_, kind), _)| kind != "byok")
                .map(|(_, usd)| usd)
                .sum();
            let shown = ["statement-total", "account-change"]
                .map(|hook| micros(page.one(hook).get("data-usd")));
            assert_eq!(shown, [total, total], "{from} to {to}");
            let cut = |day: Date| {
                let midnight = day.to_zoned(TimeZone::UTC).unwrap().timestamp();
                self.cuts
                    .iter()
                    .find(|(began, _)| **began >= midnight)
                    .or(self.cuts.last())
                    .unwrap()
                    .1
            };
            // What was spent while a run went on may be in its cut.
            let after = |cut: usize| {
                cut + self.uses[cut..]
                    .iter()
                    .take_while(|used| used.is_meanwhile)
                    .count()
            };
            let (begins, ends) = (cut(from), cut(to.tomorrow().unwrap()));
            let least = self.by_kind(after(begins).min(ends)..ends);
            let most = self.by_kind(begins..after(ends));
            let of_keys = |((_, kind), used): &(&(String, String), &i64)| {
                ["keys", "assigned", "unowned"].contains(&kind.as_str()) && **used != 0
            };
            let of_keys: BTreeMap<_, _> = told
                .iter()
                .filter(of_keys)
                .map(|(row, used)| (row.clone(), *used))
                .collect();
            for (row, most) in &most {
                let told = of_keys.get(row).copied().unwrap_or_default();
                let least = least.get(row).copied().unwrap_or_default();
                assert!(
                    (least..=*most).contains(&told),
                    "{from} to {to}: {row:?} {told} of {least} to {most}"
                );
            }
            assert!(
                of_keys.keys().all(|row| most.contains_key(row)),
                "{from} to {to}"
            );
            let file = admin.get(&statement(".csv", (from, to))).await.expect(200);
            let row = |row: Row| {
                (
                    (row["programme"].clone(), row["kind"].clone()),
                    micros(&row["spent_usd"]),
                )
            };
            assert_eq!(
                rows(&file).into_iter().map(row).collect::<BTreeMap<_, _>>(),
                told,
                "{from} to {to}"
            );
            assert!(
                !file.body.contains("\n=4711"),
                "no spreadsheet takes a cost code for a formula"
            );
        }
        for bad in [
            "from=2026-02-02&to=2026-02-01",
            "from=x&to=2026-02-01",
            "from=2026-02-01",
        ] {
            admin
                .get(&format!("{ACCOUNT}/statement?{bad}"))
                .await
                .expect(422);
        }
    }
}

type Row = BTreeMap<String, String>;

fn rows(file: &Page) -> Vec<Row> {
    csv::Reader::from_reader(file.body.as_bytes())
        .deserialize()
        .map(Result::unwrap)
        .collect()
}

/// The amounts of a report's rows by what is made of each, where they are not zero: BYOK alone
/// makes a row too.
fn sums(rows: &[Row], by: impl Fn(&Row) -> Option<String>) -> Sums {
    let mut sums = Sums::new();
    for row in rows {
        if let Some(name) = by(row) {
            *sums.entry(name).or_default() += micros(&row["spent_usd"]);
        }
    }
    sums.retain(|_, used| *used != 0);
    sums
}

fn micros(text: &str) -> i64 {
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text),
    };
    sign * Usd::from_form(text).unwrap().micros()
}

fn statement(file: &str, (from, to): (Date, Date)) -> String {
    format!("{ACCOUNT}/statement{file}?from={from}&to={to}")
}

/// The rows of a statement by programme and kind.
fn statement_rows(page: &Page) -> BTreeMap<(String, String), i64> {
    let rows = page.all("statement-row");
    rows.iter()
        .map(|row| {
            (
                (
                    row.get("data-programme").to_owned(),
                    row.get("data-kind").to_owned(),
                ),
                micros(row.get("data-usd")),
            )
        })
        .collect()
}

#[tokio::test]
async fn use_before_a_key_was_missed_is_of_no_single_day() {
    let campus = quiet(&["ada"]).await;
    // An account without any key would count as another one.
    campus.foreign("other");
    campus.spend("ada", "1");
    complete(&campus).await;
    campus.spend("ada", "2");
    campus.hours(24);
    let (blind, hidden) = (Crooked::before(&campus).await, campus.key("ada").hash);
    blind.bend(
        move |path, told| match path.starts_with(&format!("/keys/{hidden}")) {
            true => Told {
                status: 400,
                body: "{}".to_owned(),
                ..told
            },
            false => without(path, told, &hidden),
        },
    );
    let report = blind.sync().await;
    reports(&report, &json!({"complete": true, "keys_listed": 1}));
    assert!(
        problems(&report).contains("get key: status 400"),
        "{report}"
    );
    assert_eq!(
        campus.table.sync_state().await.unwrap().residual_told,
        Usd::ZERO,
        "nobody is told that it is unexplained"
    );
    for _ in 0..2 {
        campus.hours(24);
        campus.spend("ada", "0.00001");
        complete(&campus).await;
    }
    let credits = campus.view("ada").await.readings[0].used.credits.clone();
    let on = |day: Date| credits.between(day, day, Some(day)).accuracy;
    // The two dollars were used on the first day, between its sync and the next one.
    assert_eq!(
        [0, 3].map(|day| on(date(day))),
        [Accuracy::Estimated, Accuracy::Exactly]
    );
    campus.finish().await;
}
