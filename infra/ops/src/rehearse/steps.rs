//! The steps in their order. Each says in a sentence what it saw, or why it failed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bursar_core::clock::Moment;
use bursar_core::domain::usage::reading::SETTLING;
use bursar_core::domain::values::key::PlaintextKey;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_visitor::{Found, Page, Visitor};
use http::Method;
use jiff::ToSpan;
use serde_json::{Value, json};

use super::{Record, Run};
use crate::provider_check::wire::{Answer, Wire};
use crate::provider_check::{amount, within};

/// What the programme and its one key may cost, and the least that the account is to have for a rehearsal.
const BUDGET: Usd = Usd::from_micros(500_000);
const LEAST: Usd = Usd::from_micros(50_000);
/// What is spent: more than the hundredth of the budget at which the alert comes.
const ENOUGH: Usd = Usd::from_micros(6_000);
const MOST_REQUESTS: u32 = 20;
/// Words of a question, which are its tokens. A long question is answered sooner than a long answer.
const WORDS: usize = 8_000;
/// The most that a page may stay behind what was done.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);
/// A link is mailed at most once in a minute.
const BETWEEN_LINKS: Duration = Duration::from_secs(61);
pub(super) const PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Deployment,
    SignIn,
    FirstSync,
    Money,
    Programme,
    Invitation,
    Claim,
    Spend,
    SecondSync,
    Alert,
    Leak,
    Replacement,
    Close,
    Statement,
    FinalReading,
}

pub(super) struct Facts {
    pub(super) name: &'static str,
    /// The page of the runbook that helps where it fails.
    pub(super) help: &'static str,
}

impl Step {
    /// Those of a rehearsal, in their order.
    pub const ALL: &[Step] = &[
        Step::Deployment,
        Step::SignIn,
        Step::FirstSync,
        Step::Money,
        Step::Programme,
        Step::Invitation,
        Step::Claim,
        Step::Spend,
        Step::SecondSync,
        Step::Alert,
        Step::Leak,
        Step::Replacement,
        Step::Close,
        Step::Statement,
    ];

    pub(super) fn facts(self) -> Facts {
        let (name, help) = match self {
            Step::Deployment => ("the deployment answers", "night.md#the-domain-or-certificate-is-gone"),
            Step::SignIn => ("an admin signs in", "night.md#students-cannot-claim"),
            Step::FirstSync => ("a sync", "use.md#sync-by-hand"),
            Step::Money => ("money at the provider", "night.md#the-balance-is-gone"),
            Step::Programme => ("a programme of $0.50", "first.md#first-programme"),
            Step::Invitation => ("the invitation arrives", "trouble.md#mail-is-paused"),
            Step::Claim => ("the key is claimed and shown", "night.md#students-cannot-claim"),
            Step::Spend => ("a cent is spent", "night.md#the-provider-is-down"),
            Step::SecondSync => ("a sync reads it", "use.md#sync-by-hand"),
            Step::Alert => ("the alert arrives", "trouble.md#mail-is-paused"),
            Step::Leak => ("the leaked key is dead", "night.md#a-students-key-leaked"),
            Step::Replacement => ("a replacement with the exact rest", "night.md#students-cannot-claim"),
            Step::Close => ("the programme is closed, its keys off", "use.md#end-of-term"),
            Step::Statement => ("the statement adds up", "use.md#end-of-term"),
            Step::FinalReading => ("the final reading", "use.md#end-of-term"),
        };
        Facts { name, help }
    }
}

impl Run<'_> {
    pub(super) async fn carry_out(&mut self, step: Step) -> Result<String> {
        match step {
            Step::Deployment => self.deployment().await,
            Step::SignIn => self.sign_in().await,
            Step::FirstSync => self.sync().await,
            Step::Money => self.money().await,
            Step::Programme => self.programme().await,
            Step::Invitation => self.invitation().await,
            Step::Claim => self.claim().await,
            Step::Spend => self.spend().await,
            Step::SecondSync => self.reading().await,
            Step::Alert => self.alert().await,
            Step::Leak => self.leak().await,
            Step::Replacement => self.replacement().await,
            Step::Close => self.close().await,
            Step::Statement => self.statement().await,
            Step::FinalReading => self.final_reading().await,
        }
    }

    async fn deployment(&mut self) -> Result<String> {
        let what = self.options.place.look().await?;
        if !self.options.takes_session {
            let start = self.admin.get("/").await.context("the pages do not answer")?;
            ensure!(start.offers("/link"), "the pages are not those of Bursar, or links are shut: use --session");
        }
        Ok(what)
    }

    async fn sign_in(&mut self) -> Result<String> {
        if self.options.takes_session {
            self.session = Some((self.options.prompt)("Session:").await?);
        }
        self.enter(&self.admin, None).await?;
        let account = self.admin.get("/console/account").await?;
        ensure!(account.status != 404, "the address is no admin's: name one of Admins, or add it on the account page");
        expect(&account, 200)?;
        if let Some((_, version)) = account.readable().rsplit_once(" Bursar ") {
            version.clone_into(&mut self.report.version);
        }
        let Some(Record { programme, is_closed: false, .. }) = &self.record else {
            return Ok("an admin is in".to_owned());
        };
        let name = programme.clone();
        self.close().await.with_context(|| format!("“{name}” of an earlier run cannot be closed"))?;
        Ok(format!("an admin is in; “{name}” of an earlier run is closed"))
    }

    /// Signs in by the code of a mail, or with a session that is there. `before` is when the link before was mailed.
    async fn enter(&self, visitor: &Visitor, before: Option<Moment>) -> Result<()> {
        if let Some(session) = &self.session {
            let prefix = if self.options.place.origin().starts_with("https:") { "__Host-" } else { "" };
            visitor.set_cookie(&format!("{prefix}bursar"), session);
            return Ok(());
        }
        if let Some(before) = before {
            let remaining = BETWEEN_LINKS.saturating_sub(self.since(before));
            (self.options.wait)(remaining).await;
        }
        let start = visitor.get("/").await?;
        let page = visitor.submit(&start, "/link", &[("address", &self.options.address)]).await?;
        expect(&page, 202)?;
        let code = (self.options.prompt)("Code:").await?;
        ensure!(!code.is_empty(), "no code came: the address is on no list here, or mail does not arrive");
        expect(&visitor.submit(&page, "/code", &[("code", &code)]).await?, 303).context("the code was refused")
    }

    async fn sync(&mut self) -> Result<String> {
        let words = self.options.place.sync(self.options).await?;
        self.synced_at = self.options.clock.now();
        Ok(words)
    }

    async fn money(&mut self) -> Result<String> {
        let account = self.admin.get("/console/account").await?;
        let balance = usd(&account, "balance").context("the balance is not known")?;
        ensure!(balance >= LEAST, "the account has ${balance} left: buy credit before students come");
        Ok(format!("${balance}"))
    }

    async fn programme(&mut self) -> Result<String> {
        // It is written down before, so that the next run finds it whatever happens now.
        let record = self.record.insert(Record::new(self.options.place.origin(), self.options.clock.now()));
        record.keep(&self.options.state)?;
        let budget = BUDGET.to_string();
        let fields = [
            ("name", record.programme.as_str()),
            ("starts_on", &record.began_on.to_string()),
            ("ends_on", &record.began_on.checked_add(1.day())?.to_string()),
            ("timezone", "UTC"),
            ("cap_usd", &budget),
            ("budget_usd", &budget),
            ("faculty", &self.options.address),
            ("thresholds", "1"),
            ("digest", "never"),
            ("models", ""),
        ];
        let form = self.admin.get("/console/programmes/new").await?;
        let page = self.admin.submit(&form, "/console/programmes", &fields).await?;
        expect(&page, 303)?;
        page.location().unwrap_or_default().clone_into(&mut record.path);
        record.keep(&self.options.state)?;
        Ok(format!("“{}”, which ends tomorrow", record.programme))
    }

    /// A page of the programme.
    fn path(&self, page: &str) -> String {
        self.record.as_ref().map(|record| format!("{}{page}", record.path)).unwrap_or_default()
    }

    fn programme_id(&self) -> String {
        self.path("").rsplit('/').next().unwrap_or_default().to_owned()
    }

    async fn invitation(&mut self) -> Result<String> {
        let roster = self.path("/roster");
        let page = self.admin.get(&roster).await?;
        expect(&self.admin.submit(&page, &self.path("/people"), &[("email", &self.options.address)]).await?, 303)?;
        let begun = self.options.clock.now();
        let (is_delivered, _) = within(&self.options.wait, PATIENCE, async || {
            let page = self.admin.get(&roster).await?;
            let counts = |hook: &str| page.text(hook).is_some_and(|count| count != "0");
            ensure!(!counts("roster-bounced"), "the invitation came back");
            Ok(counts("roster-delivered"))
        })
        .await?;
        ensure!(is_delivered, "the invitation was not delivered within five minutes");
        self.timed("the invitation delivered", begun);
        Ok("delivered".to_owned())
    }

    async fn claim(&mut self) -> Result<String> {
        self.enter(&self.student, Some(self.report.begun_at())).await?;
        let page = self.take_key("reveal").await?;
        // `curl https://…/chat/completions \\`
        let examples = page.examples();
        let mut words = examples.iter().flat_map(|text| text.split_whitespace());
        let provider = words.find_map(|word| {
            word.trim_matches(|letter: char| !letter.is_alphanumeric()).strip_suffix("/chat/completions")
        });
        provider.context("the page with the key has no example of its use")?.clone_into(&mut self.provider);
        self.hold_key(&page)?;
        Ok(format!("a key for {}", self.provider))
    }

    /// Presses a button that shows a key.
    async fn take_key(&mut self, button: &str) -> Result<Page> {
        let my = self.student.get("/my").await?;
        let begun = self.options.clock.now();
        let page = self.student.submit(&my, &format!("/my/{}/{button}", self.programme_id()), &[]).await?;
        expect(&page, 200)?;
        self.timed(&format!("{button} answered"), begun);
        Ok(page)
    }

    fn hold_key(&mut self, page: &Page) -> Result<()> {
        let key = page.text("key").and_then(PlaintextKey::new).context("no key is shown")?;
        self.key = Some(Wire::new(&self.provider, &Arc::new(key), &self.options.wait)?);
        Ok(())
    }

    /// Asks the provider with the newest key.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer> {
        self.key.as_ref().context("there is no key")?.ask(method, path, body).await
    }

    async fn chat(&mut self, words: usize) -> Result<Answer> {
        let messages = json!([{ "role": "user", "content": "yes ".repeat(words) }]);
        let body = json!({ "model": self.options.model, "max_tokens": 16, "messages": messages, "usage": { "include": true } });
        let answer = self.ask(Method::POST, "chat/completions", Some(body)).await?;
        if answer.is_done() {
            self.spent +=
                amount(&answer.json["usage"]["cost"]).context("the provider does not say what a request costs")?;
        }
        Ok(answer)
    }

    async fn spend(&mut self) -> Result<String> {
        let begun = self.options.clock.now();
        let mut requests = 0;
        while self.spent < ENOUGH {
            ensure!(
                requests < MOST_REQUESTS,
                "${} were spent in {requests} requests: take another --model",
                self.spent
            );
            let answer = self.chat(WORDS).await?;
            ensure!(answer.is_done(), "the provider refuses the key: {}", answer.words);
            requests += 1;
        }
        self.timed(&format!("{requests} requests at the provider"), begun);
        let begun = self.options.clock.now();
        let (is_counted, _) = within(&self.options.wait, Duration::try_from(SETTLING)?, async || {
            Ok(is_near(amount(&self.about_key().await?["usage"]).unwrap_or_default(), self.spent))
        })
        .await?;
        ensure!(is_counted, "the provider does not count what was spent within {} minutes", SETTLING.as_mins());
        self.timed("the provider counts them", begun);
        Ok(format!("${} in {requests} requests", self.spent))
    }

    /// What the provider says of the newest key.
    async fn about_key(&self) -> Result<Value> {
        let mut answer = self.ask(Method::GET, "key", None).await?;
        ensure!(answer.is_done(), "the provider refuses the key: {}", answer.words);
        Ok(answer.json["data"].take())
    }

    async fn reading(&mut self) -> Result<String> {
        let words = self.sync().await?;
        let read = self.read().await?;
        ensure!(is_near(read, self.spent), "${read} was read, and ${} was spent", self.spent);
        self.synced = read;
        Ok(format!("{words}; ${read} read"))
    }

    /// What was spent, as the student's page says.
    async fn read(&self) -> Result<Usd> {
        let my = self.student.get("/my").await?;
        let id = self.programme_id();
        let grant = my.all("grant").into_iter().find(|grant| grant.get("data-programme") == id);
        let grant = grant.with_context(|| format!("/my answered {} without the grant", my.status))?;
        Usd::parse_floor(grant.get("data-spent-usd")).context("the student's page does not say what was spent")
    }

    async fn alert(&mut self) -> Result<String> {
        let (is_delivered, _) = within(&self.options.wait, PATIENCE, async || {
            let page = self.admin.get(&self.path("/alerts")).await?;
            let is_ours = |alert: &Found| {
                alert.get("data-threshold") == "1"
                    && alert.get("data-recipient").eq_ignore_ascii_case(&self.options.address)
            };
            match page.all("alert").iter().find(|alert| is_ours(alert)).map_or("", |alert| alert.get("data-outcome")) {
                "delivered" => Ok(true),
                "" | "waiting" | "sent" => Ok(false),
                outcome => bail!("the alert is {outcome}"),
            }
        })
        .await?;
        ensure!(is_delivered, "no alert was delivered within five minutes");
        self.timed("the alert delivered, from the sync's end", self.synced_at);
        Ok("delivered: your mailbox should show it".to_owned())
    }

    async fn leak(&mut self) -> Result<String> {
        let my = self.student.get("/my").await?;
        expect(&self.student.submit(&my, &format!("/my/{}/leaked", self.programme_id()), &[]).await?, 303)?;
        self.is_dead("the leaked key is dead").await
    }

    /// Waits until the provider refuses the newest key.
    async fn is_dead(&mut self, figure: &str) -> Result<String> {
        let options = self.options;
        let begun = options.clock.now();
        let (is_dead, _) =
            within(&options.wait, PATIENCE, async || Ok(self.chat(1).await?.is_refusal(&[401, 403]))).await?;
        ensure!(is_dead, "the provider still takes it after five minutes");
        self.timed(figure, begun);
        Ok("the provider refuses it".to_owned())
    }

    async fn replacement(&mut self) -> Result<String> {
        let page = self.take_key("replace").await?;
        self.hold_key(&page)?;
        let rest = BUDGET - self.read().await?;
        let limit = amount(&self.about_key().await?["limit"]).context("the provider names no limit of the new key")?;
        ensure!(limit == rest.whole_cents(), "the new key may spend ${limit}, and ${rest} are left");
        Ok(format!("${limit}, which is ${rest} in whole cents"))
    }

    /// Closes the programme of this or an earlier run, and waits until its keys are off.
    pub(super) async fn close(&mut self) -> Result<String> {
        let record = self.record.as_mut().context("no programme was made")?;
        if record.path.is_empty() {
            let programmes = self.admin.get("/console").await?.all("programme");
            if let Some(row) = programmes.iter().find(|row| row.text.contains(&record.programme)) {
                record.path = format!("/console/programmes/{}", row.get("data-programme"));
            }
        }
        let is_there = !record.path.is_empty();
        let name = record.programme.clone();
        if is_there {
            let close = self.path("/close");
            let settings = self.admin.get(&self.path("/settings")).await?;
            if settings.offers(&close) {
                let look = self.admin.submit(&settings, &close, &[]).await?;
                expect(&look, 200)?;
                expect(&self.admin.submit(&look, &close, &[("confirm", &name)]).await?, 303)?;
            }
            let (is_done, _) = within(&self.options.wait, PATIENCE, async || {
                let overview = self.admin.get(&self.path("")).await?;
                expect(&overview, 200)?;
                Ok(overview.attributes("job", "data-state").iter().all(|state| state == "done"))
            })
            .await?;
            ensure!(is_done, "its keys are not confirmed off within five minutes");
        }
        if self.key.is_some() {
            self.is_dead("the last key is dead").await?;
        }
        let record = self.record.as_mut().context("no programme was made")?;
        record.is_closed = true;
        record.keep(&self.options.state)?;
        Ok("closed, and its keys are confirmed off".to_owned())
    }

    async fn statement(&mut self) -> Result<String> {
        let (page, ours) = self.statement_page().await?;
        let [total, change] = ["statement-total", "account-change"].map(|hook| usd(&page, hook));
        let (total, change) = total.zip(change).context("there is no statement")?;
        ensure!(total == change, "its rows are ${total}, and the account spent ${change}");
        ensure!(ours == self.synced, "it has ${ours} of the programme, and the sync read ${}", self.synced);
        Ok(format!("${total} in all, ${ours} of them the programme's"))
    }

    /// The statement since the day of the rehearsal, and what it has of its programme.
    async fn statement_page(&self) -> Result<(Page, Usd)> {
        let began_on = self.record.as_ref().context("no programme was made")?.began_on;
        let today = utc_date(self.options.clock.now());
        let page = self.admin.get(&format!("/console/account/statement?from={began_on}&to={today}")).await?;
        expect(&page, 200)?;
        let id = self.programme_id();
        let rows = page.all("statement-row");
        let ours = rows.iter().find(|row| row.get("data-kind") == "keys" && row.get("data-programme") == id);
        let ours = Usd::parse_floor(ours.context("the statement has no row of the programme")?.get("data-usd"))?;
        Ok((page, ours))
    }

    async fn final_reading(&mut self) -> Result<String> {
        let page = self.admin.get(&self.path("/closeout")).await?;
        expect(&page, 200)?;
        if let Some(why) = page.text("preliminary") {
            bail!("it is not made yet: {why}");
        }
        let spent = usd(&page, "closeout-spent").context("the close-out has no sum")?;
        let (_, ours) = self.statement_page().await?;
        ensure!(spent == ours, "${spent} by the close-out, and ${ours} by the statement");
        std::fs::remove_file(&self.options.state)?;
        Ok(format!("${spent}, and the statement has the same"))
    }

    fn timed(&mut self, figure: &str, begun: Moment) {
        let took = self.since(begun).as_secs_f64();
        self.report.figure(figure, format!("{took:.1} s"));
    }
}

/// Fails with what a page says where it is not what was expected.
fn expect(page: &Page, status: u16) -> Result<()> {
    let says = page.alert().map(|alert| format!(": {alert}")).unwrap_or_default();
    ensure!(page.status == status, "{} answered {}{says}", page.path, page.status);
    Ok(())
}

/// Each request's cost is rounded.
fn is_near(amount: Usd, other: Usd) -> bool {
    (amount - other).abs() <= Usd::from_micros(i64::from(MOST_REQUESTS))
}

/// The amount of an element.
fn usd(page: &Page, hook: &str) -> Option<Usd> {
    Usd::parse_floor(&page.attribute(hook, "data-usd")?).ok()
}
