//! Demonstration data: a term under way, with twenty students, a small seminar whose budget runs
//! low, a leaked key, returned mail. A story acts through the real pages, mails and schedules while
//! the clock moves from its first day to the present.

mod cast;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use bursar_core::clock::Clock;
use bursar_core::clock::Moment;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::tls;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};
use reqwest::Client;
use serde_json::{Value, json};

use self::cast::{MODELS, Student, students};
use crate::aws::inbox::Contents;
use crate::aws::invoke::logs::Logs;
use crate::aws::schedules::SyncEvery;
use crate::aws::ses::Quota;
use crate::command::folder::Folder;
use crate::command::settle::LIMIT;
use crate::command::stack::{Options, Stack, listen};
use crate::provider::{Nano, Provider, hash_of};
use crate::visitor::Visitor;

/// The length of the story in days. Whatever weekday it begins on, two Monday mornings lie in it,
/// each with a day before it.
const DAYS: u16 = 15;
const LEAK: u16 = 6;
const DEADLINE: u16 = 11;
/// The time of night when the sync is over and its mails are sent.
const AFTER_THE_SYNC: (i8, i8) = (0, 30);
const FACULTY: &str = "grace.hopper@example.edu";
const ASSISTANT: &str = "edsger.dijkstra@example.edu";
const AT_ONCE: usize = 8;

struct Offer {
    name: &'static str,
    id: &'static str,
    cap_usd: i64,
    budget_usd: &'static str,
    thresholds: &'static str,
    cost_code: &'static str,
    students: Vec<Student>,
    /// The factor by which spending there exceeds the usual, in per cent.
    pace: i64,
}

/// A key that a student was shown.
struct Held {
    hash: String,
    spent: i64,
}

struct Story<'a> {
    stack: &'a Stack,
    provider: &'a Provider,
    http: Client,
    began: Date,
    admin: &'a str,
    offers: [Offer; 2],
    /// The keys by programme and address.
    keys: BTreeMap<(usize, String), Held>,
}

/// Fills a new folder with a story that ends at the time of `clock`. Links in its mails lead to
/// `origin`.
pub async fn build(
    folder: &Folder,
    origin: &str,
    admins: &[EmailAddress],
    clock: &Clock,
    progress: impl FnMut(String),
) -> Result<()> {
    folder.begin()?;
    let began = clock.now().to_zoned(TimeZone::UTC).date() - i64::from(DAYS).days();
    let stack = Stack::start(Options {
        files: Some(folder.files()),
        origin: Some(origin.to_owned()),
        begins_at: Some(at(began, 0, (7, 0))?),
        sync_every: SyncEvery::Every(SignedDuration::from_hours(24)),
        logs: Logs::new(0, |_| ()),
        ..Options::new(listen(0).await?, admins.to_vec())
    })
    .await?;
    // The roster mails are sent at once, not at the rate of a new account.
    stack.ses.set_quota(Quota {
        per_second: 10_000,
        ..Quota::PRODUCTION
    });
    let mut story = Story {
        stack: &stack,
        provider: stack
            .provider
            .as_ref()
            .context("the demonstration has its own provider")?,
        http: tls::loopback().build()?,
        began,
        admin: admins.first().context("there is no admin")?.as_written(),
        offers: offers(),
        keys: BTreeMap::new(),
    };
    story.tell(clock, progress).await?;
    stack.stop().await?;
    folder.finish()?;
    Ok(())
}

fn offers() -> [Offer; 2] {
    let pilot = Offer {
        name: "CS pilot",
        id: "cs-pilot",
        cap_usd: 20,
        budget_usd: "400",
        thresholds: "25,50,80,95,100",
        cost_code: "CS-2041",
        students: students(20, 0, 9),
        pace: 270,
    };
    let seminar = Offer {
        name: "Compilers seminar",
        id: "compilers-seminar",
        cap_usd: 10,
        // All of it is promised, so that the forecast names the day on which it is gone.
        budget_usd: "50",
        thresholds: "25,40,80,95,100",
        cost_code: "CS-2077",
        students: students(5, 1, 4),
        pace: 260,
    };
    [pilot, seminar]
}

impl Story<'_> {
    /// Plays the story from the first sign-in to the time of `clock`, with which the stack's clock
    /// runs on.
    async fn tell(&mut self, clock: &Clock, mut progress: impl FnMut(String)) -> Result<()> {
        self.foreign_keys()?;
        self.set_up().await?;
        for day in 0..DAYS {
            progress(format!("day {} of {DAYS}", day + 1));
            if day == 1 {
                // The next sync is counted from the last one, so from here on they run at night.
                self.pass(at(self.began, day, (0, 20))?).await?;
                self.tell_inbox("/sync", &json!({})).await?;
            }
            // One halt a day: whoever claims a key begins to spend on the next.
            self.pass(at(self.began, day, (10, 0))?).await?;
            self.spending(day)?;
            if day == LEAK {
                self.a_leak().await?;
            }
            self.claims(day).await?;
        }
        self.pass(clock.now()).await?;
        self.settle().await?;
        // What the last reports of delivery began.
        self.settle().await?;
        self.stack.clock.run_from(clock.now())
    }

    /// What the account holds before Bursar comes.
    fn foreign_keys(&self) -> Result<()> {
        self.provider.set_credits(Nano::usd(1_500))?;
        let now = self.stack.clock.now();
        for (name, limit, spent) in [
            ("old-chatbot-prototype", None, 37),
            ("prof-laptop", Some(Nano::usd(50)), 12),
            ("ci-benchmarks", Some(Nano::usd(100)), 4),
        ] {
            let key = self.provider.add_foreign_key(name, limit, now)?;
            self.provider
                .spend_many(&key.hash, Nano::usd(spent), 400, now, MODELS[0].0)?;
        }
        Ok(())
    }

    /// An admin creates the programmes and uploads the rosters; the mail to one student comes back.
    async fn set_up(&self) -> Result<()> {
        let admin = sign_in(self.stack, self.admin).await?;
        let starts = self.began.to_string();
        let ends = (self.began + 110.days()).to_string();
        for offer in &self.offers {
            let form = admin.get("/console/programmes/new").await?;
            let fields = [
                ("name", offer.name),
                ("starts_on", &starts),
                ("ends_on", &ends),
                ("timezone", "Europe/Berlin"),
                ("cap_usd", &offer.cap_usd.to_string()),
                ("budget_usd", offer.budget_usd),
                ("faculty", &format!("Grace Hopper <{FACULTY}>")),
                ("assistants", &format!("Edsger Dijkstra <{ASSISTANT}>")),
                ("thresholds", offer.thresholds),
                ("cost_code", offer.cost_code),
                ("contact", "bursar-help@example.edu"),
            ];
            admin
                .submit(&form, "/console/programmes", &fields)
                .await?
                .expect(303)?;
            let path = format!("/console/programmes/{}/roster", offer.id);
            let roster = cast::csv(&offer.students);
            let page = admin.get(&path).await?;
            let preview = admin
                .upload(&page, &path, &[], "roster.csv", roster.as_bytes())
                .await?;
            let added = preview.text("added").unwrap_or_default();
            ensure!(
                added == offer.students.len().to_string(),
                "the roster of {} is not what was meant",
                offer.name
            );
            admin
                .submit(&preview, &format!("{path}/apply"), &[])
                .await?
                .expect(303)?;
        }
        self.settle().await?;
        let groups = format!("/console/programmes/{}/groups", self.offers[0].id);
        let fewer: Vec<&str> = MODELS[..cast::FEWER]
            .iter()
            .map(|(model, _)| *model)
            .collect();
        let fields = [(format!("models.{}", cast::RESTRICTED), fewer.join("\r\n"))];
        let fields = fields
            .each_ref()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        admin
            .submit(&admin.get(&groups).await?, &groups, &fields)
            .await?
            .expect(303)?;
        let unlucky = self.offers[0]
            .students
            .iter()
            .find(|student| student.claims_on.is_none());
        let mails = self
            .stack
            .ses
            .mails_to(&unlucky.context("everybody claims")?.address);
        let mail = mails.first().context("no mail was sent to a student")?;
        self.tell_inbox(
            "/events",
            &json!({"mail": mail.id, "type": "bounce", "permanent": true}),
        )
        .await
    }

    async fn claims(&mut self, day: u16) -> Result<()> {
        let story = &*self;
        let today = story.offers.iter().enumerate().flat_map(|(number, offer)| {
            let students = offer
                .students
                .iter()
                .filter(|student| student.claims_on == Some(day));
            students.map(move |student| async move {
                let browser = sign_in(story.stack, &student.address).await?;
                let hash = story.take_key(&browser, offer.id, "reveal").await?;
                anyhow::Ok(((number, student.address.clone()), Held { hash, spent: 0 }))
            })
        });
        let claimed: Vec<_> = stream::iter(today)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        self.keys.extend(claimed);
        Ok(())
    }

    /// Lets a student report a key that they published in a repository, and claim a new one.
    async fn a_leak(&mut self) -> Result<()> {
        let of_pilot = self
            .keys
            .iter()
            .filter(|((programme, _), _)| *programme == 0);
        let ((_, address), _) = of_pilot
            .max_by_key(|(_, held)| held.spent)
            .context("nobody claimed")?;
        let address = address.clone();
        let pilot = self.offers[0].id;
        let student = sign_in(self.stack, &address).await?;
        student
            .submit(
                &student.get("/my").await?,
                &format!("/my/{pilot}/leaked"),
                &[],
            )
            .await?
            .expect(303)?;
        let hash = self.take_key(&student, pilot, "replace").await?;
        self.keys
            .entry((0, address))
            .and_modify(|held| held.hash = hash);
        Ok(())
    }

    /// Spends from each key of the story, at some hour of the day.
    fn spending(&mut self, day: u16) -> Result<()> {
        let weekday = (self.began + i64::from(day).days())
            .weekday()
            .to_monday_one_offset();
        for (number, offer) in self.offers.iter().enumerate() {
            for (place, student) in (1..).zip(&offer.students) {
                let Some(held) = self.keys.get_mut(&(number, student.address.clone())) else {
                    continue;
                };
                let wants = student.spends(day, weekday, DEADLINE) * offer.pace / 100;
                let amount = wants.min(offer.cap_usd * 1_000_000 - held.spent);
                held.spent += amount;
                // The hours until now, one student after the other.
                let when = self.stack.clock.now() - SignedDuration::from_mins(10 * place);
                for (model, amount, requests) in student.spread(amount) {
                    self.provider.spend_many(
                        &held.hash,
                        Nano::micros(amount),
                        requests,
                        when,
                        model,
                    )?;
                }
            }
        }
        Ok(())
    }

    /// Presses a button that shows a key, and returns the key's hash at the provider.
    async fn take_key(&self, student: &Visitor, programme: &str, button: &str) -> Result<String> {
        let shown = student
            .submit(
                &student.get("/my").await?,
                &format!("/my/{programme}/{button}"),
                &[],
            )
            .await?;
        Ok(hash_of(
            &shown.expect(200)?.text("key").context("no key was shown")?,
        ))
    }

    /// Lets time pass, with a halt after each night's sync: a schedule runs once in a move of the
    /// clock, and mail that a sync causes would wait in the same move for hours.
    async fn pass(&self, until: Moment) -> Result<()> {
        while self.stack.clock.now() < until {
            self.settle().await?;
            let now = self.stack.clock.now();
            let today = now.to_zoned(TimeZone::UTC).date();
            let tonight = at(today, 0, AFTER_THE_SYNC)?;
            let next = if tonight > now {
                tonight
            } else {
                at(today, 1, AFTER_THE_SYNC)?
            };
            self.stack
                .schedules
                .advance(next.min(until).duration_since(now))
                .await?;
        }
        Ok(())
    }

    /// Until nothing is due, the reports included that the mails were delivered.
    async fn settle(&self) -> Result<()> {
        self.stack.settle.settle(LIMIT).await?;
        let mails = self.stack.ses.unread();
        let delivered = mails
            .iter()
            .map(|mail| json!({"mail": mail.id, "type": "delivery"}));
        let delivered =
            delivered.map(|event| async move { self.tell_inbox("/events", &event).await });
        stream::iter(delivered)
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await
            .map(drop)
    }

    async fn tell_inbox(&self, path: &str, body: &Value) -> Result<()> {
        let response = self
            .http
            .post(format!("{}{path}", self.stack.ready.inbox))
            .json(body)
            .send()
            .await?;
        response.error_for_status()?;
        Ok(())
    }
}

/// A browser in which this person has followed the link of their mail.
pub async fn sign_in(stack: &Stack, address: &str) -> Result<Visitor> {
    let visitor = Visitor::new(&stack.served_at, &stack.ready.web)?;
    visitor
        .submit(&visitor.get("/").await?, "/link", &[("address", address)])
        .await?
        .expect(202)?;
    stack.pump.drained().await?;
    let texts = stack
        .ses
        .mails_to(address)
        .into_iter()
        .rev()
        .filter_map(|mail| Contents::parse(&mail.raw).text);
    let link = |text: String| Some(text[text.find("/c/")?..].lines().next()?.trim().to_owned());
    let link = texts
        .filter_map(link)
        .next()
        .with_context(|| format!("no link came to {address}"))?;
    visitor
        .submit(&visitor.get(&link).await?, &link, &[])
        .await?
        .expect(303)?;
    Ok(visitor)
}

/// A time of a day that is so many days after another, in UTC.
fn at(first: Date, days: u16, (hour, minute): (i8, i8)) -> Result<Moment> {
    let date = first.checked_add(i64::from(days).days())?;
    Ok(date
        .at(hour, minute, 0, 0)
        .to_zoned(TimeZone::UTC)?
        .timestamp()
        .into())
}
