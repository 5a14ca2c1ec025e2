//! The events of the demonstration by day: a programme with some thirty students, a small seminar whose pot
//! runs low, a leaked key, returned mail. Everything is done through pages, mails and schedules.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use bursar_core::clock::Clock;
use bursar_core::domain::values::address::EmailAddress;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use serde_json::json;

use super::cast::{self, Habit, Student};
use crate::aws::inbox::{Contents, KnownLogin};
use crate::aws::ses::Mail;
use crate::command::settle::LIMIT;
use crate::command::stack::Stack;
use crate::provider::{Nano, hash_of};
use crate::visitor::Visitor;

/// The length of the story in days. Whatever weekday it begins on, two Monday mornings lie in it, each with a day before it.
pub(super) const DAYS: u16 = 15;
/// The day on which a student publishes a key.
const LEAK: u16 = 6;
/// The day on which the students' work is due.
const DEADLINE: u16 = 11;
/// The time of night, in minutes after midnight UTC, when the sync is over and its mails are sent.
const AFTER_THE_SYNC: i64 = 30;
/// The address of the faculty member of both programmes.
const FACULTY: &str = "grace.hopper@example.edu";
/// The address of the assistant of both programmes.
const ASSISTANT: &str = "edsger.dijkstra@example.edu";
/// The number of concurrent page requests.
const AT_ONCE: usize = 8;

/// A programme of the story.
struct Offer {
    name: &'static str,
    id: &'static str,
    cap: i64,
    pot: &'static str,
    thresholds: &'static str,
    cost_code: &'static str,
    students: Vec<Student>,
    /// The factor by which spending there exceeds the usual.
    pace: i64,
}

/// A key that a student was shown.
struct Held {
    hash: String,
    spent: i64,
}

/// A story in progress.
pub(super) struct Story<'a> {
    stack: &'a Stack,
    http: reqwest::Client,
    began: Date,
    admin: String,
    offers: Vec<Offer>,
    /// The keys by programme and address.
    keys: BTreeMap<(usize, String), Held>,
}

impl<'a> Story<'a> {
    pub(super) fn new(stack: &'a Stack, began: Date, admin: &EmailAddress) -> Story<'a> {
        let pilot = Offer {
            name: "CS pilot",
            id: "cs-pilot",
            cap: 20_000_000,
            pot: "640",
            thresholds: "10,25,50,80,95,100",
            cost_code: "CS-2041",
            students: cast::students(32, 0, 9),
            pace: 100,
        };
        let seminar = Offer {
            name: "Compilers seminar",
            id: "compilers-seminar",
            cap: 10_000_000,
            // All of it is promised, so that the forecast names the day on which it is gone.
            pot: "70",
            thresholds: "25,40,80,95,100",
            cost_code: "CS-2077",
            students: cast::students(7, 1, 4),
            pace: 260,
        };
        let admin = admin.as_written().to_owned();
        let http = reqwest::Client::new();
        Story { stack, http, began, admin, offers: vec![pilot, seminar], keys: BTreeMap::new() }
    }

    /// The people who may sign in, for a visitor to try.
    pub(super) fn who(&self) -> Vec<KnownLogin> {
        let person =
            |address: &str, as_whom: &str| KnownLogin { address: address.to_owned(), as_whom: as_whom.to_owned() };
        let pilot = &self.offers[0].students;
        let has_key = |student: &&Student| self.keys.contains_key(&(0, student.address.clone()));
        let with_key = pilot.iter().filter(has_key).find(|student| student.habit == Habit::Regular);
        let without = pilot.iter().rev().find(|student| student.claims_on.is_none());
        let mut who = vec![
            person(&self.admin, "admin: makes programmes and sees all of them"),
            person(FACULTY, "faculty of both programmes"),
            person(ASSISTANT, "assistant: sees them, and may pause a key"),
        ];
        who.extend(without.map(|student| person(&student.address, "student who has not pressed the button yet")));
        who.extend(with_key.map(|student| person(&student.address, "student with a key in use")));
        who
    }

    /// Plays the story from the first sign-in to the time of `clock`, with which the stack's clock runs on.
    pub(super) async fn tell(&mut self, clock: &Clock, mut progress: impl FnMut(u16)) -> Result<()> {
        self.set_up().await?;
        for day in 0..DAYS {
            progress(day);
            if day == 1 {
                // The next sync is counted from the last one, so from here on they run at night.
                self.reach(day, 0, 20).await?;
                self.ask_inbox("/sync", &json!({})).await?;
            }
            // One halt a day: whoever claims a key begins to spend on the next.
            self.reach(day, 10, 0).await?;
            self.spending(day)?;
            if day == LEAK {
                self.a_leak().await?;
            }
            self.claims(day).await?;
        }
        self.pass(clock.now()).await?;
        self.deliver().await?;
        self.settle().await?;
        self.stack.clock.run_from(clock.now())
    }

    /// An admin creates the programmes and uploads the rosters. The account's foreign keys exist already.
    async fn set_up(&mut self) -> Result<()> {
        let provider = self.stack.provider.as_ref().context("the demonstration has its own provider")?;
        provider.set_credits(Nano::usd(1_500))?;
        for (name, limit, spent) in [
            ("old-chatbot-prototype", None, 37_i64),
            ("prof-laptop", Some(Nano::usd(50)), 12),
            ("ci-benchmarks", Some(Nano::usd(100)), 4),
        ] {
            let made = provider.add_foreign_key(name, limit, self.stack.clock.now())?;
            let history = history(self.stack.clock.now(), spent * 1_000_000, 400);
            provider.spend_history(&made.hash, &history, cast::MODELS[0].0)?;
        }
        let admin = self.sign_in(&self.admin).await?;
        let (starts, ends) = (self.began, self.began.saturating_add(110.days()));
        for offer in &self.offers {
            let form = admin.get("/console/programmes/new").await?;
            let cap = (offer.cap / 1_000_000).to_string();
            let (starts, ends) = (starts.to_string(), ends.to_string());
            let fields = [
                ("name", offer.name),
                ("starts_on", &starts),
                ("ends_on", &ends),
                ("timezone", "Europe/Berlin"),
                ("cap_usd", &cap),
                ("pot_usd", offer.pot),
                ("faculty", FACULTY),
                ("assistants", ASSISTANT),
                ("thresholds", offer.thresholds),
                ("cost_code", offer.cost_code),
                ("contact", "bursar-help@example.edu"),
            ];
            let made = admin.submit(&form, "/console/programmes", &fields).await?;
            made.expect(303).with_context(|| format!("{} could not be created", offer.name))?;
            let path = format!("/console/programmes/{}", offer.id);
            let overview = admin.get(&path).await?.expect(200)?;
            let preview = admin
                .upload(&overview, &format!("{path}/roster"), &[], "roster.csv", cast::csv(&offer.students).as_bytes())
                .await?
                .expect(200)?;
            ensure!(
                preview.text("added").as_deref() == Some(&offer.students.len().to_string()),
                "the roster is not what was meant"
            );
            admin.submit(&preview, &format!("{path}/roster/apply"), &[]).await?.expect(303)?;
        }
        self.settle().await?;
        self.a_bounce().await
    }

    /// Returns the mail to one student.
    async fn a_bounce(&self) -> Result<()> {
        let unlucky =
            self.offers[0].students.iter().find(|student| student.claims_on.is_none()).context("everybody claims")?;
        let mails = self.stack.ses.mails_to(&unlucky.address);
        let mail = mails.first().context("no mail was sent to a student")?;
        self.ask_inbox("/events", &json!({"mail": mail.id, "type": "bounce", "permanent": true})).await
    }

    /// Reports the other mails as delivered.
    async fn deliver(&self) -> Result<()> {
        let mails = self.stack.ses.unread();
        let delivered = mails.iter().map(|mail| json!({"mail": mail.id, "type": "delivery"}));
        let delivered = delivered.map(|event| async move { self.ask_inbox("/events", &event).await });
        stream::iter(delivered).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await.map(drop)
    }

    async fn claims(&mut self, day: u16) -> Result<()> {
        for number in 0..self.offers.len() {
            let offer = &self.offers[number];
            let today: Vec<_> = offer
                .students
                .iter()
                .filter(|student| student.claims_on == Some(day))
                .map(|student| student.address.clone())
                .collect();
            let story = &*self;
            let claims = today.into_iter().map(|address| async move {
                let student = story.sign_in(&address).await?;
                let hash = story.press(&student, offer.id, "reveal").await?;
                anyhow::Ok((address, hash))
            });
            let claimed: Vec<_> = stream::iter(claims).buffer_unordered(AT_ONCE).try_collect().await?;
            for (address, hash) in claimed {
                self.keys.insert((number, address), Held { hash, spent: 0 });
            }
        }
        Ok(())
    }

    /// Lets a student report a key that they published in a repository, and claim a new one.
    async fn a_leak(&mut self) -> Result<()> {
        let (of, held) = self
            .keys
            .iter()
            .filter(|((programme, _), _)| *programme == 0)
            .max_by_key(|(_, held)| held.spent)
            .context("nobody claimed")?;
        let (of, spent) = (of.clone(), held.spent);
        let student = self.sign_in(&of.1).await?;
        let page = student.get("/my").await?;
        student.submit(&page, "/my/cs-pilot/leaked", &[]).await?.expect(303)?;
        let hash = self.press(&student, "cs-pilot", "replace").await?;
        self.keys.insert(of, Held { hash, spent });
        Ok(())
    }

    /// Spends from each key of the story, at some hour of the day.
    fn spending(&mut self, day: u16) -> Result<()> {
        let provider = self.stack.provider.as_ref().context("the demonstration has its own provider")?;
        let weekday = self.began.saturating_add(i64::from(day).days()).weekday().to_monday_one_offset();
        for (number, offer) in self.offers.iter().enumerate() {
            for (place, student) in offer.students.iter().enumerate() {
                let Some(held) = self.keys.get_mut(&(number, student.address.clone())) else { continue };
                let wants = cast::spends(student, day, weekday, DEADLINE) * offer.pace / 100;
                let amount = wants.min(offer.cap - held.spent);
                if amount <= 0 {
                    continue;
                }
                held.spent += amount;
                // The hours until now, one student after the other.
                let ago = SignedDuration::from_mins(10 * i64::try_from(place).unwrap_or_default());
                let when = self.stack.clock.now() - ago;
                for (model, amount, requests) in cast::spread(student, amount) {
                    provider.spend_history(&held.hash, &history(when, amount, requests), model)?;
                }
            }
        }
        Ok(())
    }

    /// Asks for a link, opens the mail and follows it.
    async fn sign_in(&self, address: &str) -> Result<Visitor> {
        let visitor = Visitor::of(&self.stack.served_at, &self.stack.ready.web)?;
        let form = visitor.get("/").await?.expect(200)?;
        visitor.submit(&form, "/link", &[("address", address)]).await?.expect(202)?;
        self.stack.pump.drained().await?;
        let mails = self.stack.ses.mails_to(address);
        let link = mails.iter().rev().find_map(link_in).with_context(|| format!("no link came to {address}"))?;
        let page = visitor.get(&link).await?.expect(200)?;
        visitor.submit(&page, &link, &[]).await?.expect(303)?;
        Ok(visitor)
    }

    /// Presses a button that shows a key, and returns the key's hash at the provider.
    async fn press(&self, student: &Visitor, programme: &str, button: &str) -> Result<String> {
        let page = student.get("/my").await?.expect(200)?;
        let shown = student.submit(&page, &format!("/my/{programme}/{button}"), &[]).await?.expect(200)?;
        let key = shown.text("key").context("no key was shown")?;
        Ok(hash_of(&key))
    }

    /// Moves the clock to a moment of a day of the story, running whatever is due on the way.
    async fn reach(&self, day: u16, hour: i8, minute: i8) -> Result<()> {
        let date = self.began.saturating_add(i64::from(day).days());
        self.pass(date.at(hour, minute, 0, 0).to_zoned(TimeZone::UTC)?.timestamp()).await
    }

    /// Lets time pass, with a halt after each night's sync: a schedule runs once in a move of the clock, and mail that
    /// a sync causes would wait in the same move for hours.
    async fn pass(&self, until: Timestamp) -> Result<()> {
        loop {
            self.settle().await?;
            self.deliver().await?;
            let now = self.stack.clock.now();
            let left = after_the_next_sync(now)?.min(until).duration_since(now);
            if !left.is_positive() {
                return Ok(());
            }
            self.stack.schedules.advance(left).await?;
        }
    }

    async fn settle(&self) -> Result<()> {
        Ok(self.stack.settle.settle(LIMIT).await?)
    }

    async fn ask_inbox(&self, path: &str, body: &serde_json::Value) -> Result<()> {
        let answer = self
            .http
            .post(format!("{}{path}", self.stack.ready.inbox))
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await?;
        ensure!(answer.status().is_success(), "{path} answered {}", answer.status());
        Ok(())
    }
}

/// The instants and amounts of this many consecutive requests, which cost `amount` together.
fn history(last: Timestamp, amount: i64, requests: i64) -> Vec<(Timestamp, Nano)> {
    let each = amount / requests;
    let request = |number: i64| {
        let cost = if number == 0 { amount - each * (requests - 1) } else { each };
        (last - SignedDuration::from_secs(20 * number), Nano::micros(cost))
    };
    (0..requests).rev().map(request).collect()
}

fn after_the_next_sync(now: Timestamp) -> Result<Timestamp> {
    let midnight = Zoned::new(now, TimeZone::UTC).start_of_day()?.timestamp();
    let tonight = midnight + SignedDuration::from_mins(AFTER_THE_SYNC);
    Ok(if tonight > now { tonight } else { tonight + SignedDuration::from_hours(24) })
}

/// The path of the link in a mail.
fn link_in(mail: &Mail) -> Option<String> {
    let text = Contents::of(&mail.raw).text?;
    let line = text.lines().map(str::trim).find(|line| line.contains("/c/"))?;
    line.find("/c/").map(|from| line[from..].to_owned())
}

/// The first day of a story that ends today.
pub(super) fn first_day(now: Timestamp) -> Date {
    Zoned::new(now, TimeZone::UTC).date().saturating_sub(i64::from(DAYS).days())
}
