//! The steps of a run in their order, and its end, which takes away what it made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::programme::Basis;
use bursar_core::domain::programme::rules::{Region, Rules};
use bursar_core::domain::usage::reading::SETTLING;
use bursar_core::domain::values::id::KeyHash;
use bursar_core::domain::values::key::PlaintextKey;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::provider::account::Credits;
use bursar_core::provider::guardrails::GuardrailRules;
use bursar_core::provider::key::ProviderKey;
use bursar_core::provider::keys::{KeyPatch, NewKey};
use bursar_core::provider::{FailureKind, Provider};
use bursar_core::secrets::ManagementKey;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use ulid::Ulid;

use super::leftovers::{self, EVERY_KEY};
use super::report::clean;
use super::wire::{Answer, Wire};
use super::{Findings, Options, Wait};

/// The limit of every key that a run makes. It expires after an hour.
const LIMIT: Usd = Usd::CENT;
/// The least limit that is not zero. The client sends none below a cent, so it is written by hand.
const LEAST: Usd = Usd::from_micros(1);
/// The most that a run spends, and the most requests for it.
const MOST_SPENT: Usd = Usd::from_micros(5_000);
const MOST_REQUESTS: u32 = 50;
/// The most keys that a count makes.
pub const MOST_KEYS: usize = 50;
/// The most requests side by side, what they may spend before they are the last, and the limit of
/// their key, which must pay for a longest answer.
const MOST_AT_ONCE: u32 = 512;
const MOST_SPENT_AT_ONCE: Usd = Usd::from_micros(50_000);
const LIMIT_AT_ONCE: Usd = Usd::from_dollars(2);
/// The time after which requests that were answered are no more in the way of others.
const SETTLES: Duration = Duration::from_secs(5);
/// The time after which a key expires that is to be seen to expire.
const SHORT: Duration = Duration::from_secs(90);
/// The time within which a change must bind for Bursar to keep its promises.
const SOON: Duration = Duration::from_secs(60);
/// The time for which a request without an answer may still make something, and the longest wait
/// between two looks.
const LATE: Duration = Duration::from_secs(30);

struct Run<'a> {
    options: &'a Options,
    wire: Wire,
    provider: Provider,
    findings: Findings,
    /// The name of everything that this run makes.
    name: String,
    /// The expiry of every key that it makes, in whole seconds, as it is sent.
    expires_at: Moment,
    /// The paths of what it made and did not delete yet, keys before guardrails.
    made_paths: Vec<String>,
    /// Whether completions passed so far, so that a refusal proves something.
    can_spend: bool,
}

struct Key {
    hash: KeyHash,
    wire: Wire,
    workspace: String,
}

/// Checks an account until it is interrupted, and takes away what the check made, whatever happens.
/// An error says that nothing was begun.
pub async fn check(options: &Options, interrupt: impl Future<Output = ()>) -> Result<Findings> {
    carried_out(options, interrupt, Run::check_all).await
}

/// Counts how many keys the account takes, up to [`MOST_KEYS`] and until it is interrupted, and
/// takes them away.
pub async fn count_keys(
    options: &Options,
    interrupt: impl Future<Output = ()>,
) -> Result<Findings> {
    carried_out(options, interrupt, Run::count).await
}

/// Makes so many keys side by side, says how fast that went, and takes them away.
pub async fn rate(
    options: &Options,
    interrupt: impl Future<Output = ()>,
    keys: u16,
) -> Result<Findings> {
    carried_out(options, interrupt, async |run: &mut Run<'_>| {
        run.side_by_side(keys).await
    })
    .await
}

/// Finds how many requests the account takes at once.
pub async fn in_flight(options: &Options, interrupt: impl Future<Output = ()>) -> Result<Findings> {
    carried_out(options, interrupt, Run::requests_at_once).await
}

async fn carried_out<'a>(
    options: &'a Options,
    interrupt: impl Future<Output = ()>,
    steps: impl AsyncFnOnce(&mut Run<'a>) -> Result<()>,
) -> Result<Findings> {
    let provider = Provider::with_key(
        &options.provider,
        ManagementKey::parse(options.management_key.reveal())?,
    );
    provider.check_management_key(soon()).await.map_err(|error| match error.is_of_the_key() {
        true => anyhow!("{error}: make a management key on the provider's page for them and put it into the file"),
        false => anyhow!("{error}: try again later, or look at --provider"),
    })?;
    let wire = options.wire(&options.management_key)?;
    let name = leftovers::new_name();
    let expires_at =
        Moment::from_second((options.clock.now() + SignedDuration::from_hours(1)).as_second())?;
    let findings = Findings::default();
    let made_paths = Vec::new();
    let mut run = Run {
        options,
        wire,
        provider,
        findings,
        name,
        expires_at,
        made_paths,
        can_spend: false,
    };
    (options.progress)("taking away what an earlier run left");
    let work = async {
        run.findings.taken_away = leftovers::take_away(&run.wire).await?;
        steps(&mut run).await
    };
    let ended = tokio::select! {
        ended = work => ended,
        () = interrupt => Err(anyhow!("it was interrupted")),
    };
    if let Err(error) = &ended {
        run.findings.ended_early = Some(clean(error));
        run.findings.unjudged("the check ended before it");
    }
    (options.progress)("taking away what was made");
    for wait in [Duration::ZERO, LATE] {
        // What a request without an answer made may appear late.
        (options.wait)(wait).await;
        // Its own name may not be kept, so what is known to be made goes first.
        let outcome = run.take_away_made().await;
        run.findings.leftover = outcome
            .and(leftovers::take_away(&run.wire).await.map(drop))
            .err()
            .map(clean);
        if ended.is_ok() && run.findings.leftover.is_none() {
            break;
        }
    }
    Ok(run.findings)
}

/// The deadline of one call of the client, with its repetitions.
fn soon() -> Deadline {
    Deadline::after(SOON)
}

/// Looks until something is seen or the time is up, with growing waits in between, and says when
/// that was.
pub(crate) async fn within(
    wait: &Wait,
    most: Duration,
    mut look: impl AsyncFnMut() -> Result<bool>,
) -> Result<(bool, String)> {
    let mut pause = Duration::from_secs(1);
    let mut passed = Duration::ZERO;
    while !look().await? {
        if passed >= most {
            return Ok((false, format!("not within {} s", passed.as_secs())));
        }
        let now = pause.min(most - passed);
        wait(now).await;
        passed += now;
        pause = (pause * 2).min(LATE);
    }
    Ok((
        true,
        if passed.is_zero() {
            "at once".to_owned()
        } else {
            format!("within {} s", passed.as_secs())
        },
    ))
}

/// The path of a key that was made.
fn path_of(answer: &Answer) -> Result<String> {
    let hash = answer.json["data"]["hash"]
        .as_str()
        .context("the answer to a new key names no hash")?;
    Ok(format!("keys/{hash}"))
}

pub(crate) fn amount(value: &Value) -> Option<Usd> {
    Usd::parse_ceil(&value.to_string()).ok()
}

impl Run<'_> {
    fn say(&self, what: &str) {
        (self.options.progress)(what);
    }

    async fn take_away_made(&mut self) -> Result<()> {
        while let Some(path) = self.made_paths.first() {
            self.wire.delete(path).await?;
            self.made_paths.remove(0);
        }
        Ok(())
    }

    /// Money is spent before anything restricts the key, since a refusal proves a restriction only
    /// if the same request passed before.
    async fn check_all(&mut self) -> Result<()> {
        self.callers_key().await?;
        let workspaces = self.account().await?;
        let (short, ends) = self.make_short().await?;
        let key = self.make(&workspaces).await?;
        self.policies(&key).await?;
        self.spend(&key).await?;
        self.restrict(&key).await?;
        self.expire(short, ends).await?;
        self.disable_and_delete(&key).await
    }

    /// What is asked for a key that is made by hand: a special one, or one of many.
    fn by_hand(&self, suffix: &str) -> Value {
        let name = format!("{}{suffix}", self.name);
        let expires_at = self.expires_at.to_string();
        json!({ "name": name, "limit": LIMIT.to_json(), "expires_at": expires_at })
    }

    /// It is the caller's to read a refusal.
    async fn make_by_hand(&mut self, body: Value) -> Result<Answer> {
        let answer = self.wire.ask(Method::POST, "keys", Some(body)).await?;
        if answer.is_done() {
            self.made_paths.push(path_of(&answer)?);
        }
        Ok(answer)
    }

    /// Whether `POST /keys` takes a key of the caller's: then a lost answer would lose no key. The
    /// key is deleted at once, since Bursar makes none of this kind.
    async fn callers_key(&mut self) -> Result<()> {
        self.say("trying whether it takes a key of the caller's");
        let text = format!("sk-or-v1-{}{}", Ulid::generate(), Ulid::generate()).to_lowercase();
        let mut body = self.by_hand("");
        body["external"] = json!({ "user": "bursar-provider-check", "api_key": text });
        let answer = self.make_by_hand(body).await?;
        let seen = if !answer.is_done() {
            format!(
                "not taken (external.api_key of POST /keys): {}. Bursar does not need it",
                answer.words
            )
        } else if answer.json["key"].as_str().is_some_and(|key| key != text) {
            "ignored: the provider answered another (external.api_key of POST /keys)".to_owned()
        } else {
            let key = Arc::new(PlaintextKey::new(text).context("no key can be thought of")?);
            let wire = self.options.wire(&key)?;
            let is_known = async || Ok(wire.ask(Method::GET, "key", None).await?.is_done());
            let (works, when) = within(&self.options.wait, SOON, is_known).await?;
            let taken = if works { "taken" } else { "answered as taken" };
            format!("{taken} (external.api_key of POST /keys), and works {when}")
        };
        self.findings.note("a key of the caller's", seen);
        self.take_away_made().await
    }

    /// What the account has, and whether the management key is scoped to a workspace: it says so of
    /// itself, or is refused the others. Gives the listed workspaces.
    async fn account(&mut self) -> Result<Vec<String>> {
        self.say("reading the account");
        let credits = self.provider.credits(soon()).await;
        let seen = credits
            .as_ref()
            .map_or_else(ToString::to_string, |_| "told".to_owned());
        self.findings.check("credits-told", credits.is_ok(), seen);
        let credit_left = credits.map_or(Usd::ZERO, Credits::balance);
        self.can_spend = credit_left >= LIMIT;
        if !self.can_spend {
            self.findings.unjudged(
                "the account has less than a cent of credit: buy some and run this again",
            );
        }
        self.findings
            .note("credits left", credit_left.whole_cents().to_cents());
        let workspaces: Vec<String> = self
            .provider
            .workspaces(soon())
            .await?
            .into_iter()
            .map(|workspace| workspace.id)
            .collect();
        let own_key = self.wire.ask(Method::GET, "key", None).await?.json;
        let mut refused = Vec::new();
        for id in &workspaces {
            let answer = self
                .wire
                .ask(Method::GET, &format!("keys?workspace_id={id}"), None)
                .await?;
            match answer.status {
                403 | 404 => refused.push(format!("{id} ({})", answer.words)),
                _ => drop(answer.rows()?),
            }
        }
        let count = workspaces.len() - refused.len();
        let total = workspaces.len();
        let seen = match own_key["data"]["workspace_id"].as_str() {
            Some(id) => format!("scoped to the workspace {id}"),
            None if refused.is_empty() => {
                format!("not known to be scoped: it reads all {total} workspaces")
            }
            None => format!("scoped: it reads {count} of {total} workspaces"),
        };
        self.findings.note("the management key", seen);
        let seen = if refused.is_empty() {
            format!("{count} of {total}")
        } else {
            format!("not {}", refused.join(", "))
        };
        self.findings
            .check("workspaces-read", count > 0 && refused.is_empty(), seen);
        Ok(workspaces)
    }

    /// Makes a key exactly as Bursar makes a student's, and reads it.
    async fn make(&mut self, workspaces: &[String]) -> Result<Key> {
        self.say("making a key and changing it");
        let name = self.name.clone();
        let expires_at = Some(self.expires_at);
        let counting = Basis::default().into();
        let new = NewKey {
            name: &name,
            limit: LIMIT,
            counting,
            expires_at,
        };
        let created = self.provider.create_key(&new, soon()).await?;
        self.made_paths
            .push(format!("keys/{}", created.hash.as_str()));
        let wire = self.options.wire(&Arc::new(created.plaintext))?;
        let key = Key {
            hash: created.hash,
            wire,
            workspace: String::new(),
        };
        // A new key may be found a while later.
        within(&self.options.wait, SOON, async || {
            Ok(self.read(&key).await.is_ok())
        })
        .await?;
        let before = self.read(&key).await?;
        self.findings.check(
            "name-kept",
            before.name == name,
            format!("“{}” for “{name}”", before.name),
        );
        let seen = format!("{:?} for {expires_at:?}", before.expires_at);
        self.findings
            .check("expiry-kept", before.expires_at == expires_at, seen);
        let workspace = before.workspace_id.clone().unwrap_or_default();
        self.findings.check(
            "key-in-workspace",
            workspaces.contains(&workspace),
            format!("“{workspace}”"),
        );
        let mut after = self.limited(&key, Usd::from_micros(10_001)).await?;
        (after.limit, after.limit_remaining) = (before.limit, before.limit_remaining);
        let seen = if after == before {
            "only it changed".to_owned()
        } else {
            format!("{before:?} became {after:?}")
        };
        self.findings.check("patch-leaves", after == before, seen);
        self.limited(&key, LIMIT).await?;
        Ok(Key { workspace, ..key })
    }

    async fn read(&self, key: &Key) -> Result<Box<ProviderKey>> {
        match self.provider.get_key(&key.hash, soon()).await? {
            Some(key) => Ok(key),
            None => bail!("the key that was made is gone"),
        }
    }

    async fn limited(&self, key: &Key, limit: Usd) -> Result<Box<ProviderKey>> {
        self.provider
            .patch_key(&key.hash, KeyPatch::limit(Some(limit)), soon())
            .await?;
        self.read(key).await
    }

    /// The key's row in the first page of its workspace, as the sync asks for it; null if it is not
    /// there.
    async fn listed(&self, key: &Key) -> Result<Value> {
        let page = format!("{EVERY_KEY}&workspace_id={}", key.workspace);
        let rows = self.wire.ask(Method::GET, &page, None).await?.rows()?;
        Ok(rows
            .into_iter()
            .find(|row| row["hash"] == key.hash.as_str())
            .unwrap_or_default())
    }

    /// Whether guardrail policies apply to a new key. Guardrails flow into them, and what is
    /// changed in them does not flow back: Bursar would not see it.
    async fn policies(&mut self, key: &Key) -> Result<()> {
        let mut applied = Vec::new();
        for kind in ["budget", "model_availability", "moderation", "rate_limit"] {
            let of_key = format!(
                "guardrails/policies/assignments/api-keys/{}",
                key.hash.as_str()
            );
            let path = format!("{of_key}?workspace_id={}&policy_type={kind}", key.workspace);
            let answer = self.wire.ask(Method::GET, &path, None).await?;
            if !answer.is_done() {
                self.findings.note(
                    "guardrail policies",
                    format!("not known here ({})", answer.words),
                );
                return Ok(());
            }
            let lists = ["policy_ids", "workspace_default_policy_ids"]
                .map(|list| answer.json["data"][list].as_array());
            match lists.into_iter().flatten().map(Vec::len).sum::<usize>() {
                0 => {}
                count => applied.push(format!("{count} of {kind}")),
            }
        }
        let seen = if applied.is_empty() {
            "none".to_owned()
        } else {
            format!("in use: {}", applied.join(", "))
        };
        let rule = "Change no guardrail of Bursar's on their page: it would not learn of it";
        self.findings.note(
            "guardrail policies",
            format!("{seen} for a new key. {rule}"),
        );
        Ok(())
    }

    /// A question of two words.
    fn question(&self) -> Value {
        let messages = json!([{ "role": "user", "content": "Say yes." }]);
        json!({ "model": self.options.model, "messages": messages, "usage": { "include": true } })
    }

    /// Spends on the key: a question with the shortest answer.
    async fn complete(&mut self, key: &Key) -> Result<Answer> {
        let Findings {
            spent, requests, ..
        } = &self.findings;
        if *requests >= MOST_REQUESTS || *spent >= MOST_SPENT {
            bail!("${spent} were spent in {requests} requests, and more may not be");
        }
        let mut body = self.question();
        // Some models answer no request for fewer tokens.
        body["max_tokens"] = 16.into();
        let answer = key
            .wire
            .ask(Method::POST, "chat/completions", Some(body))
            .await?;
        self.note_spent(&answer);
        Ok(answer)
    }

    fn note_spent(&mut self, answer: &Answer) {
        if answer.is_done() {
            self.findings.requests += 1;
            self.findings.spent += amount(&answer.json["usage"]["cost"]).unwrap_or_default();
        }
    }

    async fn spend(&mut self, key: &Key) -> Result<()> {
        self.say("spending on the key, and waiting until its counters show it, up to 15 minutes");
        let spent_before = self.findings.spent;
        self.can_spend = self.can_spend && self.passes_again(key).await?;
        if !self.can_spend {
            return Ok(());
        }
        // A provider that does not tell the cost must at least show some. Two roundings may differ
        // by two micro-dollars.
        let cost = (self.findings.spent - spent_before).max(LEAST);
        let shows = |usage: Option<Usd>| {
            usage.is_some_and(|usage| usage > Usd::ZERO && usage + LEAST.times(2) > cost)
        };
        let mut key_shows = false;
        let mut listing_shows = false;
        let (_, when) = within(
            &self.options.wait,
            Duration::try_from(SETTLING)?,
            async || {
                key_shows = key_shows || shows(self.read(key).await?.usage);
                listing_shows = listing_shows || shows(amount(&self.listed(key).await?["usage"]));
                Ok(key_shows && listing_shows)
            },
        )
        .await?;
        let seen = format!("${cost} spent, and both show it {when}");
        self.findings.check("key-settles", key_shows, &seen);
        self.findings.check("listing-settles", listing_shows, &seen);
        let now = self.read(key).await?;
        let counters = [
            now.usage,
            now.usage_daily,
            now.usage_weekly,
            now.usage_monthly,
        ]
        .map(|counter| counter.is_some());
        self.findings.check(
            "counters-told",
            !counters.contains(&false),
            format!("of life, day, week, month: {counters:?}"),
        );
        let today = utc_date(self.options.clock.now());
        let models = self.provider.model_usage(today..=today, soon()).await;
        let is_told = models.as_ref().is_ok_and(|models| models.unreadable == 0);
        let seen = models.map_or_else(
            |error| error.to_string(),
            |models| format!("{} rows of today", models.rows.len()),
        );
        self.findings.check("models-told", is_told, seen);
        self.say("lowering its limit below what it used");
        let free_before = self.ask_free_model(key).await?;
        let used = now.usage.unwrap_or_default();
        let body = json!({ "limit": LEAST.to_json() });
        let answer = self
            .wire
            .ask(
                Method::PATCH,
                &format!("keys/{}", key.hash.as_str()),
                Some(body),
            )
            .await?;
        match self.read(key).await?.limit {
            Some(limit) if limit > Usd::ZERO && limit < used => {
                self.refused(key, "limit-binds", Answer::is_of_key_limit)
                    .await?;
                let free = self.ask_free_model(key).await?;
                self.findings.note(
                    "a free model before and after a key's limit is spent",
                    format!("{free_before}; {free}"),
                );
            }
            _ => self.findings.check(
                "limit-binds",
                None,
                format!("${LEAST} is not kept, below ${used}: {}", answer.words),
            ),
        }
        let now = self
            .limited(key, LIMIT)
            .await?
            .usage
            .filter(|_| used > Usd::ZERO);
        let seen = format!(
            "${used} before, ${} after two changes",
            now.unwrap_or_default()
        );
        self.findings
            .check("usage-kept", now.map(|now| now >= used), seen);
        self.can_spend = self.passes_again(key).await?;
        Ok(())
    }

    /// What a question to a free model is answered; the first in the list is taken.
    async fn ask_free_model(&self, key: &Key) -> Result<String> {
        let models = self.provider.models(soon()).await?;
        let Some(free) = models
            .into_iter()
            .find(|model| model.slug.ends_with(":free"))
        else {
            return Ok("none".to_owned());
        };
        let mut body = self.question();
        body["model"] = free.slug.into();
        Ok(key
            .wire
            .ask(Method::POST, "chat/completions", Some(body))
            .await?
            .words)
    }

    /// Spends until a request is refused in this way, and judges how soon that was. A refusal of
    /// another kind says nothing of the assumption.
    async fn refused(
        &mut self,
        key: &Key,
        id: &'static str,
        is_it: impl Fn(&Answer) -> bool,
    ) -> Result<()> {
        let (is_refused, when, last) = self.spend_until(key, is_it).await?;
        let judged = (is_refused || last.is_done()).then_some(is_refused);
        self.findings.check(
            id,
            judged,
            format!("refused for this {when}, last answered {}", last.words),
        );
        Ok(())
    }

    /// Waits until requests pass again, so that later refusals have other reasons.
    async fn passes_again(&mut self, key: &Key) -> Result<bool> {
        let (passes, _, last) = self.spend_until(key, Answer::is_done).await?;
        if !passes {
            self.findings.unjudged(format!(
                "nothing passed before it, although nothing forbids it (try --model): {}",
                last.words
            ));
        }
        Ok(passes)
    }

    async fn spend_until(
        &mut self,
        key: &Key,
        is_it: impl Fn(&Answer) -> bool,
    ) -> Result<(bool, String, Answer)> {
        let options = self.options;
        let mut last = None;
        let (is_seen, when) = within(&options.wait, SOON, async || {
            Ok(is_it(last.insert(self.complete(key).await?)))
        })
        .await?;
        Ok((is_seen, when, last.context("nothing was asked")?))
    }

    async fn restrict(&mut self, key: &Key) -> Result<()> {
        self.say("putting the key under a guardrail");
        let models = vec!["anthropic/claude-sonnet-4.5".to_owned()];
        let mut sent = GuardrailRules {
            name: self.name.clone(),
            rules: Rules {
                models,
                ..Rules::default()
            },
        };
        let id = match self.provider.create_guardrail(&sent, soon()).await {
            Ok(guardrail) => guardrail.id,
            Err(error) if !matches!(error.kind, FailureKind::Unknown(_)) => {
                self.findings.unjudged(format!(
                    "no guardrail was made, so restrict no programme: {}",
                    error.trouble
                ));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.made_paths.push(format!("guardrails/{id}"));
        let assigned = self.provider.assign_key(&id, &key.hash, soon()).await;
        let is_listed = self
            .provider
            .keys_under(&id, soon)
            .await?
            .contains(&key.hash);
        let seen = assigned.as_ref().map_or_else(
            |error| error.trouble.to_string(),
            |()| "assigned".to_owned(),
        );
        self.findings.check(
            "assignment-listed",
            assigned.is_ok() && is_listed,
            format!("{seen}, listed: {is_listed}"),
        );
        if assigned.is_err() || !self.can_spend {
            return Ok(());
        }
        // It passed before, and is refused for what it asks, not for money or haste.
        let is_forbidden = |answer: &Answer| answer.is_refusal(&[400, 403, 404]);
        self.refused(key, "rules-bind", is_forbidden).await?;
        sent.rules.models = vec![self.options.model.clone()];
        self.provider.patch_guardrail(&id, &sent, soon()).await?;
        if self.passes_again(key).await? {
            sent.rules.regions = vec![Region::Europe];
            match self.provider.patch_guardrail(&id, &sent, soon()).await {
                Ok(_) => self.refused(key, "regions-bind", is_forbidden).await?,
                Err(error) => self
                    .findings
                    .check("regions-bind", None, error.trouble.to_string()),
            }
        }
        // The guardrail would refuse what the disabled key must refuse. One that stays goes after
        // the key.
        if self.wire.delete(&format!("guardrails/{id}")).await.is_ok() {
            self.made_paths.pop();
        }
        self.can_spend = self.passes_again(key).await?;
        Ok(())
    }

    /// Makes a key that soon expires, and spends on it, so that its refusal proves something.
    async fn make_short(&mut self) -> Result<(Option<Key>, Moment)> {
        let ends = Moment::from_second(
            (self.options.clock.now() + SignedDuration::try_from(SHORT)?).as_second(),
        )?;
        let mut body = self.by_hand("/2");
        body["expires_at"] = ends.to_string().into();
        let answer = self.make_by_hand(body).await?;
        let Some(key) = self.key_of(&answer)? else {
            self.findings.check(
                "expiry-binds",
                None,
                format!("no key is made for so short: {}", answer.words),
            );
            return Ok((None, ends));
        };
        let spends = self.can_spend && self.complete(&key).await?.is_done();
        Ok((spends.then_some(key), ends))
    }

    /// The key that an answer brings, if it does.
    fn key_of(&self, answer: &Answer) -> Result<Option<Key>> {
        let plaintext = answer.json["key"]
            .as_str()
            .and_then(|key| PlaintextKey::new(key.to_owned()));
        let Some((plaintext, hash)) = plaintext.zip(answer.json["data"]["hash"].as_str()) else {
            return Ok(None);
        };
        Ok(Some(Key {
            hash: hash.parse()?,
            wire: self.options.wire(&Arc::new(plaintext))?,
            workspace: String::new(),
        }))
    }

    async fn expire(&mut self, short: Option<Key>, ends: Moment) -> Result<()> {
        let Some(key) = short else { return Ok(()) };
        self.say("waiting until a key has expired");
        let remaining = ends.duration_since(self.options.clock.now());
        (self.options.wait)(Duration::try_from(remaining).unwrap_or_default()).await;
        self.refused(&key, "expiry-binds", |answer| {
            answer.is_refusal(&[401, 403])
        })
        .await
    }

    async fn disable_and_delete(&mut self, key: &Key) -> Result<()> {
        self.say("disabling and deleting the key");
        self.provider
            .patch_key(&key.hash, KeyPatch::disabled(true), soon())
            .await?;
        if self.can_spend {
            self.refused(key, "disable-binds", |answer| {
                answer.is_refusal(&[401, 403])
            })
            .await?;
        }
        let (shown, when) = within(&self.options.wait, SOON, async || {
            Ok(self.listed(key).await?["disabled"] == true)
        })
        .await?;
        self.findings
            .check("disabled-listed", shown, format!("shown {when}"));
        self.provider
            .patch_key(&key.hash, KeyPatch::disabled(false), soon())
            .await?;
        self.take_away_made().await?;
        let is_gone = async || {
            Ok(matches!(
                self.provider.get_key(&key.hash, soon()).await,
                Ok(None)
            ))
        };
        let (gone, when) = within(&self.options.wait, SOON, is_gone).await?;
        self.findings
            .check("gone-is-json", gone, format!("so answered {when}"));
        let (gone, when) = within(&self.options.wait, SOON, async || {
            Ok(self.listed(key).await?.is_null())
        })
        .await?;
        self.findings
            .check("unlisted", gone, format!("gone from the listing {when}"));
        Ok(())
    }

    /// Makes keys until the provider refuses one.
    async fn count(&mut self) -> Result<()> {
        self.say("making keys");
        self.findings.counted = Some((0, None));
        for number in 1..=MOST_KEYS {
            let answer = self
                .make_by_hand(self.by_hand(&format!("/{number}")))
                .await?;
            if !answer.is_done() {
                ensure!(
                    matches!(answer.status, 400 | 402..=404 | 409 | 422),
                    "making a key was answered {}",
                    answer.words
                );
                self.findings.counted = Some((number - 1, Some(answer.words)));
                break;
            }
            self.findings.counted = Some((number, None));
        }
        Ok(())
    }

    /// Makes keys side by side, each asked for once, and counts the answers as they come.
    async fn side_by_side(&mut self, keys: u16) -> Result<()> {
        self.say("making keys side by side");
        self.findings.measured = Some("The rate was not measured.".to_owned());
        let bodies: Vec<Value> = (1..=keys)
            .map(|number| self.by_hand(&format!("/{number}")))
            .collect();
        let mut requests: FuturesUnordered<_> = bodies
            .iter()
            .map(|body| self.wire.ask_once(&Method::POST, "keys", Some(body)))
            .collect();
        let mut answers = 0;
        let mut created = 0;
        let mut too_many = None;
        let mut failure = None;
        let begun = Instant::now();
        let mut took = Duration::ZERO;
        while let Some(answer) = requests.next().await {
            answers += 1;
            match answer {
                Ok(answer) if answer.is_done() => {
                    self.made_paths.push(path_of(&answer)?);
                    (created, took) = (created + 1, begun.elapsed());
                }
                Ok(answer) if answer.status == 429 => {
                    let wait = answer
                        .retry_after
                        .map_or("no Retry-After".to_owned(), |wait| {
                            format!("Retry-After {wait}")
                        });
                    too_many = too_many.or(Some(format!(
                        "answer {answers} was the first 429, with {wait}"
                    )));
                }
                Ok(answer) => {
                    failure = failure.or(Some(anyhow!("a new key was answered {}", answer.words)));
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let took = took.as_secs_f64().max(0.001);
        let first = too_many.unwrap_or("none was answered 429".to_owned());
        let rate = f64::from(created) / took;
        self.findings.measured = Some(format!(
            "{created} of {keys} keys asked for at once were made in {took:.1} seconds; {first}.\nTell doctor: --keys-per-second {rate:.1}"
        ));
        failure.map_or(Ok(()), Err)
    }

    /// Asks side by side, each time twice as many, until one is refused because of the others. They
    /// set no length, so that the most is held for each, and their answers are short.
    async fn requests_at_once(&mut self) -> Result<()> {
        self.say("asking side by side, twice as many each time");
        self.findings.measured =
            Some("How many requests it takes at once was not measured.".to_owned());
        let mut body = self.by_hand("");
        body["limit"] = json!(LIMIT_AT_ONCE.to_json());
        let answer = self.make_by_hand(body).await?;
        let key = self
            .key_of(&answer)?
            .with_context(|| format!("a new key was answered {}", answer.words))?;
        let question = self.question();
        for power in 0..=MOST_AT_ONCE.ilog2() {
            let count = 2_u32.pow(power);
            let requests = (0..count).map(|_| {
                key.wire
                    .ask_once(&Method::POST, "chat/completions", Some(&question))
            });
            let mut taken = 0;
            let mut refusal = None;
            for answer in join_all(requests).await {
                let answer = answer?;
                self.note_spent(&answer);
                if answer.is_done() {
                    taken += 1;
                } else if answer.is_of_requests_in_flight() {
                    refusal = Some(answer);
                } else {
                    bail!("a request was answered {}", answer.words);
                }
            }
            let Findings {
                spent, requests, ..
            } = self.findings;
            let outcome =
                refusal
                    .as_ref()
                    .map_or("it was asked for no more".to_owned(), |answer| {
                        let wait = answer.retry_after.as_deref().unwrap_or("none");
                        format!(
                            "others were refused ({}; Retry-After: {wait})",
                            clean(&answer.words)
                        )
                    });
            self.findings.measured = Some(format!(
                "The account took {taken} requests at once that set no length; {outcome}.\nSpent: ${spent} in {requests} requests.\n\
             Tell doctor: --requests-at-once {taken}"
            ));
            if refusal.is_some() || spent >= MOST_SPENT_AT_ONCE {
                break;
            }
            (self.options.wait)(SETTLES).await;
        }
        Ok(())
    }
}
