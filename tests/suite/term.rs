//! One drawn term of three programmes, as everybody reads it: overview, grants, report, close-out,
//! statement, digest, alert and their files tell one figure for one thing. There are weekly and
//! monthly caps and groups, a key made elsewhere that is given on, a cost centre, a break of four
//! weeks, a programme that is closed, an alert after the end, two time zones, and three statements
//! that finance is mailed.

use std::collections::BTreeMap;

use bursar_core::clock::Moment;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::ledger::mailed::MailedStatement;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::usage::crossing::{Crossing, Scope};
use bursar_core::domain::values::format::time_in;
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::{Reset, utc_date};
use bursar_core::store::{ActContext, AssignOutcome, UsedNow};
use bursar_local::provider::Nano;
use bursar_tests::campus::{Campus, Got, address};
use bursar_tests::office::soon;
use bursar_tests::visitor::{Page, Visitor};
use fastrand::Rng;
use jiff::civil::{Date, Weekday, date};

use crate::sync::owners::{ASSIGN, fill};

const FIRST: Date = date(2026, 11, 29);
/// The place of the key made elsewhere that the second programme owns at first.
const OWNED: usize = 4;
/// The days on which keys are used; before one of them are four weeks without use, and before
/// another the second programme is closed.
const WORKING_DAYS: i64 = 14;
const BREAK: i64 = 9;
const CLOSED: i64 = 12;
/// The day on which somebody gets another group.
const REGROUPED: i64 = 5;
/// The day on which the key made elsewhere goes from the second programme to the cost centre.
const GIVEN_ON: i64 = 7;

struct Story {
    campus: Campus,
    dice: Rng,
    programmes: Vec<(ProgrammeId, Settings)>,
    /// Somebody of the first programme, who moves to its group.
    bob: GrantId,
    /// Each key with the programme that its use counts for; the last was given to nobody.
    keys: Vec<(String, Option<usize>)>,
    spent: Vec<i64>,
    /// What each programme had spent a night ago.
    spent_before: Vec<i64>,
    /// What all keys spent, whoever owns them.
    in_all: i64,
    /// What the key that the second programme owns spent on this day.
    assigned_tonight: i64,
    /// How many alerts each programme's faculty got, and how many mails students got about their
    /// caps.
    alerts: BTreeMap<usize, usize>,
    cap_mails: usize,
    /// How many alerts came after the end of their term.
    late_alerts: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_term_is_told_alike_everywhere() {
    let mut story = Story::begun().await;
    for day in 0..WORKING_DAYS {
        if day == BREAK {
            for _ in 0..4 {
                story.campus.pass(7 * 24).await;
                story.night().await;
            }
            story.agree().await;
        }
        if day == CLOSED {
            let (admin, path) = (
                story.campus.admin().await,
                format!("/console/programmes/{}", story.programmes[1].0),
            );
            let sure = [("confirm", &*story.programmes[1].1.name)];
            admin
                .fill(&format!("{path}/settings"), &format!("{path}/close"), &sure)
                .await
                .expect(303);
        }
        story.campus.pass(12).await;
        story.mails(None);
        story.spends();
        if day == 3 {
            // Most of a month's cap.
            story.spend(3, 2_700_000);
        }
        if day == GIVEN_ON {
            story.give_on().await;
        }
        story.campus.pass(12).await;
        story.night().await;
        if day == REGROUPED {
            let (campus, now) = (&story.campus, story.campus.clock.now());
            let at = ActContext {
                programme: &story.programmes[0].0,
                grant: &story.bob,
                now,
                deadline: soon(),
            };
            campus
                .table
                .act(at, |view, now| view.move_to(Some("lab"), &Actor::Rule, now))
                .await
                .unwrap();
        }
        if day % 4 == 1 {
            story.agree().await;
        }
    }
    // Of the week's cap most is used; what is spent in the last hours of the term is found after
    // them.
    story.spend(0, 2_500_000);
    story.campus.pass(6 * 24).await;
    story.night().await;
    story.campus.pass(10).await;
    story.spend(1, 4_500_000);
    story.campus.pass(14).await;
    story.night().await;
    assert_eq!(story.late_alerts, 1);
    story.agree().await;
    story.campus.pass(14 * 24).await;
    story.night().await;
    story.campus.pass(60).await;
    story.statements().await;
    story.crossings().await;
    story.campus.finish().await;
}

impl Story {
    async fn begun() -> Story {
        let mut campus = Campus::at("2026-11-29T11:30:00Z").await;
        campus.provider().set_credits(Nano::usd(2_000)).unwrap();
        campus.provider().spend_elsewhere(Nano::usd(10)).unwrap();
        let (mut programmes, mut keys, mut bob) = (Vec::new(), Vec::new(), None);
        for (name, zone, reset, budget) in [
            ("Maths", "Pacific/Auckland", Reset::Weekly, 90),
            ("Physics", "Europe/Berlin", Reset::Monthly, 40),
            ("Office", "Pacific/Auckland", Reset::None, 2),
        ] {
            let id = campus
                .programme(name, |settings| {
                    settings.term = Term::new(date(2026, 11, 30), date(2027, 1, 17), zone).unwrap();
                    (settings.basis.reset, settings.roster) = (reset, name != "Office");
                    settings.claims.claim_opens_at = Some("2026-11-29T11:00:00Z".parse().unwrap());
                    settings.allowance.cap = Usd::from_dollars(if name == "Maths" { 5 } else { 4 });
                    settings
                        .allowance
                        .group_caps
                        .insert("lab".to_owned(), Usd::from_dollars(3));
                    settings.people.faculty = vec![address("fay")];
                    settings.people.finance = vec![address("fin")];
                    settings.mails.thresholds = vec![5, 10, 15, 50, 100];
                    settings.texts.cost_code = Some(name.to_owned());
                })
                .await;
            campus.budget(budget).await;
            if name != "Office" {
                campus.student_in("ada", Some("lab")).await;
                campus.students_with_keys(&["bob"]).await;
                keys.extend(
                    ["ada", "bob"].map(|name| (campus.key(name).hash, Some(programmes.len()))),
                );
                campus.students(&["cyd", "dan"]).await;
                campus.revoke("dan").await;
                bob.get_or_insert(campus.id("bob").clone());
            }
            programmes.push((id, campus.settings().await));
        }
        let foreign = ["owned", "office", "nobody's"].map(|name| campus.foreign(name));
        let spent = vec![0; programmes.len()];
        let mut story = Story {
            dice: Rng::with_seed(59),
            bob: bob.unwrap(),
            keys,
            spent_before: spent.clone(),
            spent,
            in_all: 0,
            assigned_tonight: 0,
            alerts: BTreeMap::new(),
            cap_mails: 0,
            late_alerts: 0,
            campus,
            programmes,
        };
        story.campus.settle().await;
        story.mails(None);
        // No sync has read the account yet.
        story.spends();
        story.campus.sync().await;
        for (hash, owner) in foreign.into_iter().zip([Some(1), Some(2), None]) {
            if let Some(owner) = owner {
                let table = &story.campus.table;
                let (id, by) = (&story.programmes[owner].0, story.campus.by());
                let given = table
                    .assign_keys(id, &[hash.parse().unwrap()], &UsedNow::new(), by)
                    .await;
                assert_eq!(given.unwrap(), AssignOutcome::Done);
            }
            story.keys.push((hash, owner));
        }
        story.campus.settle().await;
        story.mails(None);
        // In Auckland the term has begun.
        story.spends();
        story
            .campus
            .clock
            .stop_at("2026-11-30T00:20:00Z".parse().unwrap())
            .unwrap();
        story.campus.sync().await;
        story.spent_before.clone_from(&story.spent);
        story
    }

    /// Of this day each owner has what was used in its part.
    async fn give_on(&mut self) {
        let admin = self.campus.admin().await;
        for owner in ["", self.programmes[2].0.as_str()] {
            let look = fill(&admin, &[("hash", &self.keys[OWNED].0), ("owner", owner)])
                .await
                .expect(200);
            admin.submit(&look, ASSIGN, &[]).await.expect(303);
        }
        self.keys[OWNED].1 = Some(2);
        self.spend(OWNED, 123_457);
    }

    fn spend(&mut self, key: usize, micros: i64) {
        let (hash, owner) = &self.keys[key];
        self.campus
            .provider()
            .spend(
                hash,
                Nano::micros(micros),
                self.campus.clock.now(),
                "a/model",
            )
            .unwrap();
        self.in_all += micros;
        owner.iter().for_each(|owner| self.spent[*owner] += micros);
    }

    /// Each key spends up to half a dollar, to the micro-dollar.
    fn spends(&mut self) {
        self.assigned_tonight = 0;
        for key in 0..self.keys.len() {
            let micros = self.dice.i64(1..500_000);
            if self.campus.is_on(&self.keys[key].0) {
                self.spend(key, micros);
                if key == OWNED && self.keys[key].1 == Some(1) {
                    self.assigned_tonight = micros;
                }
            }
        }
    }

    /// The sync, and what it causes.
    async fn night(&mut self) {
        assert_eq!(self.campus.sync().await["complete"], true);
        self.campus.settle().await;
        let listed_at = self.campus.table.sync_state().await.unwrap().listed_at;
        self.mails(listed_at);
        self.spent_before.clone_from(&self.spent);
    }

    /// What alerts and digests of this night say of what is spent.
    fn mails(&mut self, listed_at: Option<Moment>) {
        let name = |mail: &Got| {
            let named = |(_, settings): &(ProgrammeId, Settings)| {
                mail.contents.subject.starts_with(&settings.name)
            };
            self.programmes.iter().position(named)
        };
        for mail in self.campus.mails("alert") {
            let programme = name(&mail).unwrap();
            if self.programmes[programme].1.term.ends_at() <= self.campus.clock.now() {
                self.late_alerts += 1;
                says(&mail, "The term is over, and no");
            }
            *self.alerts.entry(programme).or_default() += 1;
            if let Some(at) = listed_at {
                let zone = self.programmes[programme].1.term.zone();
                says(&mail, &format!("As of: {}\n", time_in(at, zone)));
            }
            // The keys made elsewhere are read after the programme's own, which wake the alert.
            let whole = self.spent[programme];
            let own = if programme == 1 {
                whole - self.assigned_tonight
            } else {
                whole
            };
            says_one_of(
                &mail,
                &[own, whole]
                    .map(|spent| format!("Spent: {}\n", Usd::from_micros(spent).to_dollars())),
            );
        }
        let of_caps = self
            .campus
            .mails("student")
            .into_iter()
            .filter(|mail| mail.contents.subject.contains("% of"));
        self.cap_mails += of_caps.count();
        for mail in self.campus.mails("digest") {
            if let Some(programme) = name(&mail) {
                // In Auckland it is Monday morning before the night's sync.
                let listed = if programme == 1 {
                    &self.spent
                } else {
                    &self.spent_before
                };
                let spent = Usd::from_micros(listed[programme]);
                says(
                    &mail,
                    &format!("Spent so far: {} of the budget", spent.to_cents()),
                );
            }
        }
    }

    /// Every page and file tells the same of each programme.
    async fn agree(&mut self) {
        let admin = self.campus.admin().await;
        let yesterday = utc_date(self.campus.clock.now()).yesterday().unwrap();
        let statement = admin
            .get(&format!(
                "/console/account/statement?from={FIRST}&to={yesterday}"
            ))
            .await
            .expect(200);
        for (programme, (id, settings)) in self.programmes.iter().enumerate() {
            let path = format!("/console/programmes/{id}");
            let truth = usd(self.spent[programme]);
            let overview = admin.get(&path).await.expect(200);
            assert_eq!(overview.one("spent").get("data-usd"), truth, "{id}");
            let grants = admin
                .get(&format!("{path}/grants?window=all"))
                .await
                .expect(200);
            let of_grants = sum(&grants.attributes("grant", "data-spent-usd"));
            assert_eq!(
                of_grants + self.owned(programme).await,
                self.spent[programme],
                "{id}"
            );
            let report = admin.get(&format!("{path}/report")).await.expect(200);
            assert_eq!(report.one("report-total").get("data-usd"), truth, "{id}");
            for by in ["day", "group", "model"] {
                let file = admin
                    .get(&format!("{path}/report.csv?by={by}"))
                    .await
                    .expect(200);
                assert_eq!(usd(in_file(&file)), truth, "{id} by {by}");
            }
            let closeout = admin.get(&format!("{path}/closeout")).await.expect(200);
            assert_eq!(
                closeout.one("closeout-spent").get("data-usd"),
                truth,
                "{id}"
            );
            let (_, link) = closeout
                .body
                .split_once("button secondary\" href=\"")
                .unwrap();
            let file = link.split('"').next().unwrap().replace("&#38;", "&");
            assert_eq!(
                usd(in_file(&admin.get(&file).await.expect(200))),
                truth,
                "{id}: {file}"
            );
            let rows = statement.all("statement-row");
            let of_it: Vec<String> = rows
                .iter()
                .filter(|row| row.get("data-programme") == id.as_str())
                .map(|row| row.get("data-usd").to_owned())
                .collect();
            assert_eq!(usd(sum(&of_it)), truth, "the statement of {id}");
            self.test_alert(&admin, &path, settings, programme).await;
        }
    }

    /// The part of a programme's spending that keys made elsewhere had.
    async fn owned(&self, programme: usize) -> i64 {
        let owned = self.campus.table.list_owned_keys().await.unwrap();
        let of_it = owned
            .iter()
            .filter(|owned| owned.owner.owner == self.programmes[programme].0);
        of_it
            .map(|owned| {
                owned
                    .owner
                    .counted(&owned.key.used)
                    .credits
                    .total()
                    .micros()
            })
            .sum()
    }

    async fn test_alert(&self, admin: &Visitor, path: &str, settings: &Settings, programme: usize) {
        let page = admin.get(&format!("{path}/alerts")).await.expect(200);
        admin
            .submit(&page, &format!("{path}/alerts/test"), &[])
            .await
            .expect(303);
        self.campus.settle().await;
        let mails = self.campus.mails("test");
        let [mail] = &mails[..] else {
            panic!("{} mails", mails.len())
        };
        let spent = Usd::from_micros(self.spent[programme]);
        says(mail, &format!("Spent: {}\n", spent.to_dollars()));
        if settings.roster {
            says(mail, "Students: 2 of 3 have claimed\n");
        }
        let listed_at = self
            .campus
            .table
            .sync_state()
            .await
            .unwrap()
            .listed_at
            .unwrap();
        says(
            mail,
            &format!("As of: {}\n", time_in(listed_at, settings.term.zone())),
        );
        self.campus.minutes(2);
    }

    /// All statements that were mailed are together the account's change since before the first
    /// key.
    async fn statements(&self) {
        assert_eq!(self.campus.mails("statement").len(), 3);
        let mut total = Usd::ZERO;
        for MailedStatement { statement, .. } in self
            .campus
            .table
            .list(MailedStatement::all())
            .await
            .unwrap()
        {
            total += statement.total();
        }
        assert_eq!(total, Usd::from_micros(self.in_all));
    }

    /// Each crossing that is to be told was mailed to who hears.
    async fn crossings(&self) {
        let seen = self.campus.judged().await;
        let is_of_cap = |crossing: &&Crossing| matches!(crossing.scope, Scope::Cap(_));
        let (of_caps, of_programmes): (Vec<_>, Vec<_>) = seen
            .crossings
            .iter()
            .filter(|crossing| crossing.is_mailed)
            .partition(is_of_cap);
        assert_eq!(
            (of_caps.len(), of_programmes.len()),
            (self.cap_mails, self.alerts.values().sum())
        );
        // A month's cap counts in months, and a week's in weeks.
        let (months, weeks): (Vec<_>, Vec<_>) = of_caps
            .iter()
            .partition(|crossing| crossing.programme == self.programmes[1].0);
        let begins = |crossing: &&Crossing| crossing.window.begins().unwrap();
        assert!(
            !months.is_empty() && months.iter().map(&begins).all(|day| day.day() == 1),
            "{months:?}"
        );
        assert!(
            !weeks.is_empty()
                && weeks
                    .iter()
                    .map(&begins)
                    .all(|day| day.weekday() == Weekday::Monday)
        );
        assert_eq!(self.alerts.len(), 3, "{:?}", self.alerts);
    }
}

fn says_one_of(mail: &Got, words: &[String; 2]) {
    let text = mail.contents.text.as_ref().unwrap();
    assert!(
        words.iter().any(|words| text.contains(words)),
        "{words:?}: {text}"
    );
}

fn says(mail: &Got, words: &str) {
    let text = mail.contents.text.as_ref().unwrap();
    assert!(
        text.contains(words),
        "{words}: {}\n{text}",
        mail.contents.subject
    );
}

fn usd(micros: i64) -> String {
    Usd::from_micros(micros).to_string()
}

fn sum(amounts: &[String]) -> i64 {
    amounts
        .iter()
        .map(|amount| Usd::parse_floor(amount).unwrap().micros())
        .sum()
}

fn in_file(file: &Page) -> i64 {
    let mut rows = csv::Reader::from_reader(file.body.as_bytes());
    let rows = rows
        .deserialize()
        .map(|row: Result<BTreeMap<String, String>, _>| row.unwrap()["spent_usd"].clone());
    sum(&rows.collect::<Vec<_>>())
}
