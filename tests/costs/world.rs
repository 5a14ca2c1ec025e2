//! A stack with so many students, on which each act of a month is done once and counted.

use anyhow::{Context, Result, ensure};
use bursar_core::deadline::Waits;
use bursar_core::domain::grant::GrantState;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_local::inbox::Contents;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::{Nano, Provider, hash_of};
use bursar_local::ses::Quota;
use bursar_local::template::Template;
use bursar_local::visitor::Visitor;
use bursar_tests::aws;
use bursar_tests::costs::Prices;
use bursar_tests::office::{Office, crossing, soon};
use bursar_tests::stack::{self, Left, Setup, Stack};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};
use serde_json::{Value, json};

use crate::counted::{Counts, behind_the_api};

const ADMIN: &str = "admin@example.edu";
const FACULTY: &str = "faye@example.edu";
const PROGRAMME: &str = "cs-pilot";
/// The students who come by the pages; the others' keys are made without them.
const BY_THE_PAGES: usize = 10;

/// What was counted with so many students.
pub(crate) struct Counted {
    pub(crate) students: f64,
    /// Each schedule when nothing is due, with its function and input.
    pub(crate) idle: Vec<(FunctionName, Value, Counts)>,
    /// A roster from the upload to the last mail.
    pub(crate) import: Counts,
    /// One student from the start page to the key, with the mails.
    pub(crate) claim: Counts,
    /// One look of a student at what is left.
    pub(crate) look: Counts,
    /// One look of staff at the list, the programme and its grants.
    pub(crate) staff: Counts,
    /// A night in which every key was used, and one in which none was.
    pub(crate) busy_night: Counts,
    pub(crate) quiet_night: Counts,
    /// One alert to one person.
    pub(crate) alert: Counts,
    /// The digests of a week, with their mails.
    pub(crate) digest: Counts,
    /// The news that a mail was delivered.
    pub(crate) delivered: Counts,
}

struct World<'a> {
    stack: &'a Stack,
    uncounted: usize,
    prices: &'a Prices,
}

/// A moment from which something is counted.
#[derive(Clone, Copy)]
struct Mark {
    counts: Counts,
    pages: f64,
}

/// Does every act once.
pub(crate) async fn count(students: usize, prices: &Prices) -> Result<Counted> {
    let stack = stack::of(Setup { waits: Waits::shortened(1_000), ..Setup::default() }).await?;
    // Nothing runs but what is counted.
    stack.schedules.stop().await;
    stack.clock.stop_at(stack.clock.now())?;
    stack.gate.count_units();
    let uncounted = stack.gate.calls().len();
    stack.ses.set_quota(Quota { per_day: 10_000_000, per_second: 100_000 });
    let provider = stack.provider.clone().context("the stack has its own provider")?;
    provider.set_credits(Nano::usd(10_000_000))?;
    let world = World { stack: &stack, uncounted, prices };
    let outcome = world.every_act(students, &provider).await;
    stack.finish_after(outcome, &[Left::PerhapsMails]).await
}

impl World<'_> {
    async fn every_act(&self, students: usize, provider: &Provider) -> Result<Counted> {
        let admin = self.sign_in(ADMIN).await?;
        self.make_programme(&admin, students).await?;
        let idle = self.idle().await?;
        let empty = self.table_kb().await?;
        let import = self.import(&admin, students).await?;
        let mut claims = Counts::default();
        let mut visitors = Vec::new();
        for number in 0..BY_THE_PAGES {
            let mark = self.begin()?;
            let visitor = self.sign_in(&address(number)).await?;
            let page = visitor.get("/my").await?.expect(200)?;
            let shown = visitor.submit(&page, &format!("/my/{PROGRAMME}/reveal"), &[]).await?.expect(200)?;
            let hash = hash_of(&shown.text("key").context("no key was shown")?);
            self.stack.pump.drained().await?;
            claims = claims + self.end(mark)?;
            visitors.push((visitor, hash));
        }
        let mark = self.begin()?;
        for (visitor, _) in &visitors {
            visitor.get("/my").await?.expect(200)?;
        }
        let look = self.end(mark)? * (1.0 / BY_THE_PAGES as f64);
        let mut hashes: Vec<String> = visitors.into_iter().map(|(_, hash)| hash).collect();
        hashes.extend(self.claims_without_pages().await?);
        ensure!(hashes.len() == students, "{} of {students} have a key", hashes.len());
        let mark = self.begin()?;
        for path in [
            "/console",
            &format!("/console/programmes/{PROGRAMME}"),
            &format!("/console/programmes/{PROGRAMME}/grants"),
        ] {
            admin.get(path).await?.expect(200)?;
        }
        let staff = self.end(mark)?;

        self.night().await?;
        for hash in &hashes {
            provider.spend(hash, Nano::micros(50_000), self.stack.clock.now(), "a/model")?;
        }
        let busy_night = self.night().await?;
        let quiet_night = self.night().await?;
        let kept = (self.table_kb().await? - empty) * (1.0 / students as f64);
        let alert = self.alert(students).await?;
        let delivered = self.delivered().await?;
        let digest = self.digest(&idle).await?;

        Ok(Counted {
            students: students as f64,
            idle,
            import,
            claim: (claims * (1.0 / BY_THE_PAGES as f64)).with_table_kb(kept),
            look,
            staff,
            busy_night,
            quiet_night,
            alert,
            digest,
            delivered,
        })
    }

    fn begin(&self) -> Result<Mark> {
        Ok(Mark { counts: Counts::so_far(self.stack, self.uncounted, self.prices)?, pages: behind_the_api(self.stack) })
    }

    /// What was done since then, all of it by pages and the stream.
    fn end(&self, since: Mark) -> Result<Counts> {
        let pages = behind_the_api(self.stack) - since.pages;
        Ok((Counts::so_far(self.stack, self.uncounted, self.prices)? - since.counts).with_requests(pages))
    }

    async fn invoke(&self, function: FunctionName, input: &Value) -> Result<Value> {
        let answer = self.stack.invoke.invoke(function, input.clone()).await;
        let answer = answer.map_err(|error| anyhow::anyhow!("{function:?} with {input}: {error:?}"))?;
        self.stack.pump.drained().await?;
        Ok(answer)
    }

    /// Each schedule of the template but the sync's own, when it finds nothing to do.
    async fn idle(&self) -> Result<Vec<(FunctionName, Value, Counts)>> {
        let mut counted = Vec::new();
        for schedule in Template::bundled()?.schedules {
            if schedule.input == json!({}) {
                continue;
            }
            // The first run of each may find something.
            self.invoke(schedule.function, &schedule.input).await?;
            let mark = self.begin()?;
            self.invoke(schedule.function, &schedule.input).await?;
            counted.push((schedule.function, schedule.input, self.end(mark)?.with_requests(0.0)));
        }
        Ok(counted)
    }

    async fn sign_in(&self, address: &str) -> Result<Visitor> {
        let visitor = Visitor::of(&self.stack.served_at, &self.stack.ready.web)?;
        let form = visitor.get("/").await?.expect(200)?;
        visitor.submit(&form, "/link", &[("address", address)]).await?.expect(202)?;
        self.stack.pump.drained().await?;
        let mails = self.stack.ses.mails_to(address);
        let text = mails.iter().rev().find_map(|mail| Contents::of(&mail.raw).text.filter(|text| text.contains("/c/")));
        let text = text.with_context(|| format!("no link came to {address}"))?;
        let line = text.lines().find(|line| line.contains("/c/")).context("no line has a link")?;
        let link = &line.trim()[line.trim().find("/c/").unwrap_or_default()..];
        let page = visitor.get(link).await?.expect(200)?;
        visitor.submit(&page, link, &[]).await?.expect(303)?;
        Ok(visitor)
    }

    async fn make_programme(&self, admin: &Visitor, students: usize) -> Result<()> {
        let form = admin.get("/console/programmes/new").await?.expect(200)?;
        let (pot, today) = ((students * 20).to_string(), utc_date(self.stack.clock.now()));
        let (starts, ends) = (today.to_string(), today.saturating_add(110.days()).to_string());
        let fields = [
            ("name", "CS pilot"),
            ("starts_on", &starts),
            ("ends_on", &ends),
            ("timezone", "UTC"),
            ("cap_usd", "20"),
            ("pot_usd", &pot),
            ("faculty", FACULTY),
        ];
        admin.submit(&form, "/console/programmes", &fields).await?.expect(303)?;
        self.stack.pump.drained().await
    }

    async fn import(&self, admin: &Visitor, students: usize) -> Result<Counts> {
        let rows: String = (0..students)
            .map(|number| format!("{},Student Number {number},section-{},{number}\n", address(number), number % 4))
            .collect();
        let path = format!("/console/programmes/{PROGRAMME}");
        let mark = self.begin()?;
        let overview = admin.get(&path).await?.expect(200)?;
        let roster = format!("email,name,group,id\n{rows}");
        let preview = admin
            .upload(&overview, &format!("{path}/roster"), &[], "roster.csv", roster.as_bytes())
            .await?
            .expect(200)?;
        admin.submit(&preview, &format!("{path}/roster/apply"), &[]).await?.expect(303)?;
        let before = behind_the_api(self.stack);
        let pages = before - mark.pages;
        let mailed =
            || self.stack.ses.mails().iter().filter(|mail| mail.to.iter().any(|to| to.starts_with("student-"))).count();
        for _ in 0..1_000 {
            self.invoke(FunctionName::Console, &json!({ "task": "work" })).await?;
            self.invoke(FunctionName::Mail, &json!({ "task": "drain" })).await?;
            if mailed() >= students {
                return Ok(self.end(mark)?.with_requests(pages));
            }
        }
        anyhow::bail!("only {} of {students} mails of the roster were sent", mailed())
    }

    async fn claims_without_pages(&self) -> Result<Vec<String>> {
        let office = Office::of(self.stack, PROGRAMME);
        let mut hashes = Vec::new();
        for grant in office.table.grants(&office.programme).await? {
            if grant.state == GrantState::Invited {
                hashes.push(office.claim(&grant.id).await);
            }
        }
        self.stack.pump.drained().await?;
        Ok(hashes)
    }

    /// A day later, one whole sync with what the stream does about it.
    async fn night(&self) -> Result<Counts> {
        self.stack.clock.advance(SignedDuration::from_hours(24))?;
        let mark = self.begin()?;
        let report = self.invoke(FunctionName::UsageSync, &json!({})).await?;
        ensure!(report["complete"] == true, "the sync is not complete: {report}");
        Ok(self.end(mark)?.with_requests(0.0))
    }

    async fn alert(&self, students: usize) -> Result<Counts> {
        let office = Office::of(self.stack, PROGRAMME);
        let (now, limit) = (self.stack.clock.now(), Usd::from_dollars(i32::try_from(students * 20)?));
        let faculty = office.table.person_of(&EmailAddress::parse(FACULTY)?, soon()).await?;
        let mark = self.begin()?;
        let written = office
            .table
            .record_crossings(&[crossing(&office.programme, limit, 50, now)], &[faculty], now, soon())
            .await?;
        ensure!(written, "the crossing was there already");
        self.stack.pump.drained().await?;
        let counts = self.end(mark)?.with_requests(0.0);
        ensure!(counts.mails() == 1.0, "{} mails of one alert", counts.mails());
        Ok(counts)
    }

    async fn delivered(&self) -> Result<Counts> {
        let mail = self.stack.ses.mails().first().context("no mail was sent")?.id.clone();
        let mark = self.begin()?;
        let event = json!({ "mail": mail, "type": "delivery" });
        let told =
            reqwest::Client::new().post(format!("{}/events", self.stack.ready.inbox)).json(&event).send().await?;
        ensure!(told.status().is_success(), "the inbox answered {}", told.status());
        self.stack.pump.drained().await?;
        Ok(self.end(mark)?.with_requests(0.0))
    }

    /// The hour of a Monday at which digests are made, and the drain that sends them; without what both do when idle.
    async fn digest(&self, idle: &[(FunctionName, Value, Counts)]) -> Result<Counts> {
        let tomorrow = utc_date(self.stack.clock.now()).tomorrow()?;
        let to_monday = (7 - tomorrow.weekday().to_monday_zero_offset()) % 7;
        let monday = tomorrow.saturating_add(to_monday.days()).at(8, 0, 0, 0).to_zoned(TimeZone::UTC)?.timestamp();
        self.stack.clock.advance(monday.duration_since(self.stack.clock.now()))?;
        self.night_before().await?;
        let mark = self.begin()?;
        let mut counts = Counts::default();
        for (function, task) in [(FunctionName::ThresholdAlerts, "watch"), (FunctionName::Mail, "drain")] {
            let input = json!({ "task": task });
            self.invoke(function, &input).await?;
            let of_idle = idle.iter().find(|(idle, known, _)| *idle == function && *known == input);
            counts = counts - of_idle.with_context(|| format!("no schedule has {input}"))?.2;
        }
        let counts = counts + self.end(mark)?.with_requests(0.0);
        ensure!(counts.mails() >= 1.0, "no digest was sent");
        Ok(counts)
    }

    async fn night_before(&self) -> Result<()> {
        let report = self.invoke(FunctionName::UsageSync, &json!({})).await?;
        ensure!(report["complete"] == true, "the sync is not complete: {report}");
        Ok(())
    }

    /// The size of the table by what a look at all of it is billed with.
    async fn table_kb(&self) -> Result<f64> {
        use aws_sdk_dynamodb::types::ReturnConsumedCapacity::Total;
        let client = aws::dynamodb(&self.stack.ready);
        let (mut units, mut from) = (0.0, None);
        loop {
            let scan = client.scan().table_name(&self.stack.ready.table).return_consumed_capacity(Total);
            let page = scan.set_exclusive_start_key(from).send().await?;
            units += page.consumed_capacity.and_then(|capacity| capacity.capacity_units).unwrap_or_default();
            from = page.last_evaluated_key;
            if from.is_none() {
                // Half a unit is 4 KiB.
                return Ok(units * 8.192);
            }
        }
    }
}

fn address(number: usize) -> String {
    format!("student-{number}@students.example.edu")
}
