//! The steps in their order. Each says in a sentence what it saw, or why it failed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bursar_core::clock::Moment;
use bursar_core::domain::values::address::EmailAddress;
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

/// What the programme and its one key may cost, and the least that the account is to have for a
/// rehearsal.
const BUDGET: Usd = Usd::from_micros(500_000);
const LEAST: Usd = Usd::from_micros(50_000);
/// What is spent: more than the hundredth of the budget at which the alert comes.
const ENOUGH: Usd = Usd::from_micros(6_000);
const MOST_REQUESTS: u32 = 20;
/// So many of them may get no answer, though each may cost as much.
const MOST_LOST: u32 = 3;
/// Words of a question, which are its tokens, or at most twice as many. A long question is answered
/// sooner than a long answer.
const WORDS: u32 = 8_000;
const ANSWER: u32 = 16;
/// So often at most a key is asked whether it is dead, with a word.
const LOOKS: u32 = 60;
/// The most that anything may stay behind what was done.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);
/// A link is mailed at most once in a minute.
const BETWEEN_LINKS: Duration = Duration::from_secs(61);

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

/// A rehearsal, and what the day after does.
pub(super) const WALK: [Step; 14] = [
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
pub(super) const NEXT_DAY: [Step; 3] = [Step::Deployment, Step::SignIn, Step::FinalReading];

impl Step {
    /// Its name, and the page of the runbook that helps where it fails.
    pub(super) fn facts(self) -> [&'static str; 2] {
        match self {
            Step::Deployment => [
                "the deployment answers",
                "night.md#the-domain-or-certificate-is-gone",
            ],
            Step::SignIn => ["an admin signs in", "night.md#students-cannot-claim"],
            Step::FirstSync => ["a sync", "use.md#sync-by-hand"],
            Step::Money => ["money at the provider", "night.md#the-balance-is-gone"],
            Step::Programme => ["a programme of $0.50", "first.md#first-programme"],
            Step::Invitation => ["the invitation arrives", "trouble.md#mail-is-paused"],
            Step::Claim => [
                "the key is claimed and shown",
                "night.md#students-cannot-claim",
            ],
            Step::Spend => ["a cent is spent", "night.md#the-provider-is-down"],
            Step::SecondSync => ["a sync reads it", "use.md#sync-by-hand"],
            Step::Alert => ["the alert arrives", "trouble.md#mail-is-paused"],
            Step::Leak => ["the leaked key is dead", "night.md#a-students-key-leaked"],
            Step::Replacement => [
                "a replacement with the exact rest",
                "night.md#students-cannot-claim",
            ],
            Step::Close => [
                "the programme is closed, its keys off",
                "use.md#end-of-term",
            ],
            Step::Statement => ["the statement adds up", "use.md#end-of-term"],
            Step::FinalReading => ["the final reading", "use.md#end-of-term"],
        }
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

    /// Looks until something is so, and notes how long that took.
    async fn wait_until(
        &self,
        what: &str,
        look: impl AsyncFnMut() -> Result<bool>,
    ) -> Result<String> {
        let begun = self.options.clock.now();
        let (is_so, _) = within(&self.options.wait, PATIENCE, look).await?;
        ensure!(is_so, "it is not so within ten minutes: {what}");
        self.timed(what, begun);
        Ok(what.to_owned())
    }

    fn timed(&self, what: &str, begun: Moment) {
        self.report
            .figure(what, &format!("{:.1} s", self.since(begun).as_secs_f64()));
    }

    async fn deployment(&mut self) -> Result<String> {
        let words = self.options.place.look().await?;
        if !self.options.takes_session {
            let start = self
                .admin
                .get("/")
                .await
                .context("the pages do not answer")?;
            ensure!(
                start.offers("/link"),
                "the pages are not those of Bursar, or links are shut: use --session"
            );
        }
        Ok(words)
    }

    async fn sign_in(&mut self) -> Result<String> {
        if self.options.takes_session {
            self.session = Some((self.options.prompt)("Cookie:").await?);
        }
        self.enter(&self.admin).await?;
        self.signed_in_at = self.options.clock.now();
        let export = self.admin.get("/my/data").await?;
        ensure!(
            !matches!(export.status, 302 | 303 | 307 | 401),
            "the session is not accepted, or the front wants its own cookie"
        );
        let export: Value = serde_json::from_str(&expect(export, 200)?.body)
            .context("the front wants its own cookie")?;
        let address = EmailAddress::parse(&self.options.address)?;
        ensure!(
            export["address"] == address.matched().as_str(),
            "the session is not of the address in --to"
        );
        let account = self
            .get("/console/account")
            .await
            .context("is the address an admin's?")?;
        if let Some((_, version)) = account.readable().rsplit_once(" Bursar ") {
            version.clone_into(&mut self.report.version);
        }
        let Some(Record {
            programme,
            is_closed: false,
            ..
        }) = &self.record
        else {
            return Ok("an admin is in".to_owned());
        };
        let name = programme.clone();
        self.close()
            .await
            .with_context(|| format!("“{name}” of an earlier run cannot be closed"))?;
        Ok(format!(
            "an admin is in; “{name}” of an earlier run is closed"
        ))
    }

    /// Signs in by the code of a mail, or with a session that is there.
    async fn enter(&self, visitor: &Visitor) -> Result<()> {
        if let Some(session) = &self.session {
            for pair in session.trim_start_matches("Cookie:").split(';') {
                let (name, value) = pair
                    .trim()
                    .split_once('=')
                    .context("what was typed is no Cookie header")?;
                visitor.set_cookie(name, value);
            }
            return Ok(());
        }
        let start = visitor.get("/").await?;
        let mut page = expect(
            visitor
                .submit(&start, "/link", &[("address", &self.options.address)])
                .await?,
            202,
        )?;
        for words in [
            "Code:",
            "It does not match. Code:",
            "It does not match. Code, the last try:",
        ] {
            let code = (self.options.prompt)(words).await?;
            ensure!(
                !code.is_empty(),
                "no code came: the address is on no list here, mail does not arrive, or a link was mailed within the last minute, \
                 or five within the hour: wait and run again"
            );
            page = visitor.submit(&page, "/code", &[("code", &code)]).await?;
            if page.status != 403 {
                break;
            }
        }
        expect(page, 303).map(drop)
    }

    async fn sync(&mut self) -> Result<String> {
        let words = self.options.place.sync(self.options).await?;
        self.synced_at = self.options.clock.now();
        Ok(words)
    }

    async fn money(&mut self) -> Result<String> {
        let balance = usd(&self.get("/console/account").await?, "balance")?;
        ensure!(
            balance >= LEAST,
            "the account has ${balance} left: buy credit before students come"
        );
        let help = self.get("/my/help").await?.examples().join(" ");
        let provider = help
            .split_whitespace()
            .find_map(|word| word.trim_matches('\'').strip_suffix("/key"));
        provider
            .context("the page of help does not name the provider")?
            .clone_into(&mut self.provider);
        let most = self.most_expected().await?;
        Ok(format!(
            "${balance}; with {} at most ${most} are spent",
            self.options.model
        ))
    }

    /// The most that a rehearsal costs at the model's price. It fails where that is too much, or
    /// too little is spent for an alert.
    async fn most_expected(&self) -> Result<Usd> {
        let model = self.options.model.as_str();
        let models = Wire::new(&self.provider, None, &self.options.wait)?
            .ask(Method::GET, "models", None)
            .await?
            .rows()?;
        let listed = models
            .iter()
            .find(|row| [&row["id"], &row["canonical_slug"]].contains(&&json!(model)));
        let pricing = &listed
            .with_context(|| format!("the provider lists no {model}: take another --model"))?["pricing"];
        // Of a million tokens, or of a million requests.
        let price = |name: &str| Usd::parse_ceil(&format!("{}e6", pricing[name].as_str()?)).ok();
        let of_tokens = price("prompt")
            .zip(price("completion"))
            .filter(|(word, answer)| *word.min(answer) >= Usd::ZERO);
        let (word, answer) = of_tokens
            .with_context(|| format!("{model} has no fixed price: take another --model"))?;
        let questions = 1 + MOST_LOST;
        let millionfold = word.times(questions * WORDS * 2 + LOOKS * ANSWER)
            + answer.times((questions + LOOKS) * ANSWER)
            + price("request")
                .unwrap_or_default()
                .times(questions + LOOKS);
        let most = ENOUGH + Usd::from_micros(millionfold.micros() / 1_000_000);
        ensure!(
            most <= LEAST,
            "with {model} it could cost ${most}, and ${LEAST} are enough: take a cheaper --model"
        );
        let least = Usd::from_micros(word.times(MOST_REQUESTS * WORDS).micros() / 1_000_000);
        ensure!(
            least >= ENOUGH,
            "{model} costs too little for an alert: take another --model"
        );
        Ok(most)
    }

    async fn programme(&mut self) -> Result<String> {
        // It is written down before, so that the next run finds it whatever happens now.
        let mut record = Record::new(self.options);
        record.keep(self.options)?;
        let budget = BUDGET.to_string();
        let fields = [
            ("name", record.programme.as_str()),
            ("starts_on", &record.began_on.to_string()),
            (
                "ends_on",
                &record.began_on.checked_add(1.day())?.to_string(),
            ),
            ("timezone", "UTC"),
            ("cap_usd", &budget),
            ("budget_usd", &budget),
            ("faculty", &self.options.address),
            ("thresholds", "1"),
            ("digest", "never"),
        ];
        let page = self
            .send("/console/programmes/new", "/console/programmes", &fields)
            .await;
        let name = record.programme.clone();
        if let Some(path) = page.as_ref().ok().and_then(Page::location) {
            path.clone_into(&mut record.path);
            record.keep(self.options)?;
        }
        self.record = Some(record);
        page.map(|_| format!("“{name}”, which ends tomorrow"))
    }

    /// A page of the programme.
    fn path(&self, page: &str) -> String {
        self.record
            .as_ref()
            .map(|record| format!("{}{page}", record.path))
            .unwrap_or_default()
    }

    fn programme_id(&self) -> String {
        self.path("")
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    async fn invitation(&mut self) -> Result<String> {
        let roster = self.path("/roster");
        self.send(
            &roster,
            &self.path("/people"),
            &[("email", &self.options.address)],
        )
        .await?;
        self.wait_until("the invitation is delivered", async || {
            let page = self.get(&roster).await?;
            ensure!(
                page.text("roster-bounced").as_deref() == Some("0"),
                "the invitation came back"
            );
            Ok(page.text("roster-delivered").as_deref() != Some("0"))
        })
        .await
    }

    async fn claim(&mut self) -> Result<String> {
        if self.session.is_none() {
            // The first link was made before its code was typed.
            (self.options.wait)(BETWEEN_LINKS.saturating_sub(self.since(self.signed_in_at))).await;
        }
        self.enter(&self.student).await?;
        self.take_key("reveal").await?;
        Ok(format!("a key for {}", self.provider))
    }

    /// Presses a button of the student's page.
    async fn press(&self, button: &str, status: u16) -> Result<Page> {
        let my = self.student.get("/my").await?;
        expect(
            self.student
                .submit(&my, &format!("/my/{}/{button}", self.programme_id()), &[])
                .await?,
            status,
        )
    }

    async fn take_key(&mut self, button: &str) -> Result<()> {
        let begun = self.options.clock.now();
        let page = self.press(button, 200).await?;
        self.timed(&format!("{button} answered"), begun);
        let key = page
            .text("key")
            .and_then(PlaintextKey::new)
            .context("no key is shown")?;
        self.key = Some(Wire::new(
            &self.provider,
            Some(Arc::new(key)),
            &self.options.wait,
        )?);
        Ok(())
    }

    /// Asks the provider with the newest key.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer> {
        self.key
            .as_ref()
            .context("there is no key")?
            .ask(method, path, body)
            .await
    }

    async fn chat(&self, words: u32) -> Result<Answer> {
        let messages =
            json!([{ "role": "user", "content": "yes ".repeat(usize::try_from(words)?) }]);
        let body = json!({ "model": self.options.model, "max_tokens": ANSWER, "messages": messages, "usage": { "include": true } });
        self.ask(Method::POST, "chat/completions", Some(body)).await
    }

    async fn spend(&mut self) -> Result<String> {
        let begun = self.options.clock.now();
        let mut requests = 0;
        let mut lost = 0;
        while self.spent < ENOUGH {
            ensure!(
                requests < MOST_REQUESTS,
                "${} were spent in {requests} requests: take another --model",
                self.spent
            );
            requests += 1;
            let answer = match self.chat(WORDS).await {
                Ok(Answer { status: 500.., .. }) | Err(_) if lost < MOST_LOST => {
                    lost += 1;
                    (self.options.wait)(Duration::from_secs(10)).await;
                    continue;
                }
                answer => answer?,
            };
            ensure!(
                answer.is_done(),
                "the provider refuses the key: {} (400 and 404: take another --model; 402: buy credit, night.md#the-balance-is-gone)",
                answer.words
            );
            self.spent += amount(&answer.json["usage"]["cost"])
                .context("the provider does not say what a request costs")?;
        }
        self.timed(&format!("{requests} requests at the provider"), begun);
        self.wait_until("the provider counts them", async || {
            Ok(is_near(
                self.about_key("usage").await?.unwrap_or_default(),
                self.spent,
            ))
        })
        .await?;
        Ok(format!("${} in {requests} requests", self.spent))
    }

    /// An amount that the provider tells of the newest key.
    async fn about_key(&self, name: &str) -> Result<Option<Usd>> {
        let answer = self.ask(Method::GET, "key", None).await?;
        ensure!(
            answer.is_done(),
            "the provider refuses the key: {}",
            answer.words
        );
        Ok(amount(&answer.json["data"][name]))
    }

    async fn reading(&mut self) -> Result<String> {
        let words = self.sync().await?;
        self.synced = self.read().await?;
        ensure!(
            is_near(self.synced, self.spent),
            "${} was read, and ${} was spent",
            self.synced,
            self.spent
        );
        Ok(format!("{words}; ${} read", self.synced))
    }

    /// What was spent, as the student's page says.
    async fn read(&self) -> Result<Usd> {
        let my = self.student.get("/my").await?;
        let id = self.programme_id();
        let grant = my
            .all("grant")
            .into_iter()
            .find(|grant| grant.get("data-programme") == id);
        Ok(Usd::parse_floor(
            grant
                .context("the student's page lacks the grant")?
                .get("data-spent-usd"),
        )?)
    }

    async fn alert(&mut self) -> Result<String> {
        let to = &self.options.address;
        let is_ours = |alert: &Found| {
            alert.get("data-threshold") == "1"
                && alert.get("data-recipient").eq_ignore_ascii_case(to)
        };
        self.wait_until("the alert is delivered", async || {
            let alerts = self.get(&self.path("/alerts")).await?.all("alert");
            match alerts
                .iter()
                .find(|alert| is_ours(alert))
                .map_or("", |alert| alert.get("data-outcome"))
            {
                "delivered" => Ok(true),
                "" | "waiting" | "sent" => Ok(false),
                outcome => bail!("the alert is {outcome}"),
            }
        })
        .await?;
        self.timed("from the sync's end to the alert delivered", self.synced_at);
        Ok("delivered: your mailbox should show it".to_owned())
    }

    async fn leak(&mut self) -> Result<String> {
        self.press("leaked", 303).await?;
        self.is_dead("the provider refuses the leaked key").await
    }

    /// Waits until the provider refuses the newest key twice, some seconds apart.
    async fn is_dead(&self, what: &str) -> Result<String> {
        self.wait_until(what, async || {
            if !self
                .chat(1)
                .await
                .is_ok_and(|answer| answer.is_refusal(&[401, 403]))
            {
                return Ok(false);
            }
            (self.options.wait)(Duration::from_secs(5)).await;
            Ok(self
                .ask(Method::GET, "key", None)
                .await
                .is_ok_and(|answer| answer.is_refusal(&[401])))
        })
        .await
    }

    async fn replacement(&mut self) -> Result<String> {
        self.take_key("replace").await?;
        let rest = BUDGET - self.read().await?;
        let limit = self
            .about_key("limit")
            .await?
            .context("the provider names no limit of the new key")?;
        ensure!(
            limit == rest.whole_cents(),
            "the new key may spend ${limit}, and ${rest} are left"
        );
        Ok(format!("${limit}, which is ${rest} in whole cents"))
    }

    /// Closes the programme of this or an earlier run, and waits until its keys are off.
    pub(super) async fn close(&mut self) -> Result<String> {
        let record = self.record.as_mut().context("no programme was made")?;
        let name = record.programme.clone();
        if record.path.is_empty() {
            let programmes = expect(self.admin.get("/console").await?, 200)?.all("programme");
            let row = programmes.iter().find(|row| row.text.contains(&name));
            let row = row.with_context(|| {
                format!("no “{name}” is among the programmes: look whether it was made")
            })?;
            record.path = format!("/console/programmes/{}", row.get("data-programme"));
        }
        let close = self.path("/close");
        let settings = self.get(&self.path("/settings")).await?;
        if settings.offers(&close) {
            let look = self.admin.submit(&settings, &close, &[]).await?;
            expect(
                self.admin
                    .submit(&look, &close, &[("confirm", &name)])
                    .await?,
                303,
            )?;
        }
        self.wait_until("the keys are confirmed off", async || {
            let jobs = self
                .get(&self.path(""))
                .await?
                .attributes("job", "data-state");
            ensure!(
                !jobs.iter().any(|state| state == "failed"),
                "a job of the programme failed: its page says why"
            );
            let grants = self
                .get(&self.path("/grants"))
                .await?
                .attributes("grant", "data-state");
            let is_over = grants
                .iter()
                .all(|state| ["revoked", "ended"].contains(&state.as_str()));
            Ok(is_over && jobs.iter().all(|state| state == "done"))
        })
        .await?;
        if self.key.is_some() {
            let is_dead = self.is_dead("the provider refuses the last key").await;
            is_dead.context("closed, but the provider was not seen to refuse its key")?;
        }
        if let Some(record) = &mut self.record {
            record.is_closed = true;
            record.keep(self.options)?;
        }
        Ok("closed, and its keys are confirmed off".to_owned())
    }

    async fn statement(&mut self) -> Result<String> {
        let began_on = self
            .record
            .as_ref()
            .context("no programme was made")?
            .began_on;
        let today = utc_date(self.options.clock.now());
        let page = self
            .get(&format!(
                "/console/account/statement?from={began_on}&to={today}"
            ))
            .await?;
        let total = usd(&page, "statement-total")?;
        let change = usd(&page, "account-change")?;
        ensure!(
            total == change,
            "its rows are ${total}, and the account spent ${change}"
        );
        let id = self.programme_id();
        let rows = page.all("statement-row");
        let ours = rows
            .iter()
            .find(|row| row.get("data-kind") == "keys" && row.get("data-programme") == id);
        let ours = Usd::parse_floor(
            ours.context("it has no row of the programme")?
                .get("data-usd"),
        )?;
        // A later reading may have seen more.
        ensure!(
            ours >= self.synced,
            "it has ${ours} of the programme, and the sync read ${}",
            self.synced
        );
        Ok(format!("${total} in all, ${ours} of them the programme's"))
    }

    async fn final_reading(&mut self) -> Result<String> {
        let page = self.get(&self.path("/closeout")).await?;
        if let Some(why) = page.text("preliminary") {
            bail!("it is not made yet: {why}");
        }
        let spent = usd(&page, "closeout-spent")?;
        std::fs::remove_file(&self.options.state)?;
        Ok(format!("${spent} were spent in all"))
    }

    /// A page that an admin sees.
    async fn get(&self, path: &str) -> Result<Page> {
        expect(self.admin.get(path).await?, 200)
    }

    /// Sends a form of such a page.
    async fn send(&self, path: &str, action: &str, fields: &[(&str, &str)]) -> Result<Page> {
        expect(
            self.admin
                .submit(&self.get(path).await?, action, fields)
                .await?,
            303,
        )
    }
}

/// Fails with what a page says where it is not what was expected.
fn expect(page: Page, status: u16) -> Result<Page> {
    let says = page
        .alert()
        .map(|alert| format!(": {alert}"))
        .unwrap_or_default();
    ensure!(
        page.status == status,
        "{} answered {}{says}",
        page.path,
        page.status
    );
    Ok(page)
}

/// Each request's cost is rounded.
fn is_near(amount: Usd, other: Usd) -> bool {
    (amount - other).abs() <= Usd::from_micros(i64::from(MOST_REQUESTS))
}

/// The amount of an element.
fn usd(page: &Page, hook: &str) -> Result<Usd> {
    let usd = page
        .attribute(hook, "data-usd")
        .with_context(|| format!("{} does not say its {hook}", page.path))?;
    Ok(Usd::parse_floor(&usd)?)
}
