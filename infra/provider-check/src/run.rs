//! The state of one run, and the calls that several steps make.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bursar_core::deadline::Deadline;
use bursar_core::domain::values::key::{KeyHash, PlaintextKey};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_core::provider::Provider;
use bursar_core::provider::inventory::EVERY_KEY;
use bursar_core::provider::key::ProviderKey;
use bursar_core::provider::keys::{CreatedKey, KeyPresence, NewKey};
use bursar_core::provider::wire::calls::{Call, LIST_KEYS, Repeatable};
use bursar_core::provider::wire::error::ProviderError;
use bursar_core::secrets::ManagementKey;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::leftovers;
use crate::report::Findings;
use crate::wire::{Answer, LONGEST_WAIT, TRIES, Wire};
use crate::{Options, Wait};

pub(crate) struct Run<'a> {
    pub(crate) options: &'a Options,
    pub(crate) wire: Wire,
    pub(crate) provider: Provider,
    pub(crate) findings: Findings,
    /// The name of everything that this run makes.
    pub(crate) name: String,
    pub(crate) key: Option<MadeKey>,
    /// The hashes of the keys that it made and did not delete yet.
    pub(crate) hashes: Vec<String>,
    pub(crate) guardrail: Option<String>,
    /// The listed workspaces.
    pub(crate) workspaces: Vec<String>,
    /// Whether the account can pay for a completion.
    pub(crate) can_spend: bool,
    /// Whether something may have been made whose answer did not come.
    pub(crate) is_unanswered: bool,
}

/// The key of this run.
pub(crate) struct MadeKey {
    pub(crate) hash: KeyHash,
    pub(crate) plaintext: PlaintextKey,
    pub(crate) workspace: Option<String>,
}

/// The limit of every key that a run makes.
pub(crate) const LIMIT: Usd = Usd::CENT;
/// The time after which every key that a run makes expires.
const EXPIRES_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// The time within which a change must bind for Bursar to keep its promises.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// The longest wait between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The most that a run spends, and the most requests for it.
const MOST_SPENT: Usd = Usd::from_micros(5_000);
const MOST_REQUESTS: u32 = 50;
/// Some models answer no request for fewer tokens.
const TOKENS: u32 = 16;

const COMPLETE: Call = Call {
    name: "complete",
    method: Method::POST,
    path: "/chat/completions",
    time_out: Duration::from_secs(60),
    again: Repeatable::Never("it spends money"),
};

/// The deadline of one call of the client, with its repetitions.
pub(crate) fn soon() -> Deadline {
    Deadline::after(SOON)
}

/// Looks until something is seen or the time is up, with growing waits in between, and says when that was.
pub(crate) async fn within<T>(
    wait: &Wait,
    most: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<(Option<T>, String)> {
    let (mut next, mut passed) = (Duration::from_secs(1), Duration::ZERO);
    loop {
        if let Some(seen) = look().await? {
            let when = if passed.is_zero() { "at once".to_owned() } else { format!("within {} s", passed.as_secs()) };
            return Ok((Some(seen), when));
        }
        let pause = next.min(most.saturating_sub(passed));
        if pause.is_zero() {
            return Ok((None, format!("not within {} s", passed.as_secs())));
        }
        wait(pause).await;
        passed += pause;
        next = (next * 2).min(LONGEST_PAUSE);
    }
}

impl<'a> Run<'a> {
    pub(crate) fn new(options: &'a Options) -> Result<Run<'a>> {
        let management_key = ManagementKey::parse(options.management_key.reveal())?;
        Ok(Run {
            options,
            wire: Wire::new(&options.provider, Arc::clone(&options.management_key), Arc::clone(&options.wait))?,
            provider: Provider::with_key(&options.provider, management_key),
            findings: Findings::default(),
            name: leftovers::new_name(),
            key: None,
            hashes: Vec::new(),
            guardrail: None,
            workspaces: Vec::new(),
            can_spend: false,
            is_unanswered: false,
        })
    }

    pub(crate) fn made_key(&self) -> Result<&MadeKey> {
        self.key.as_ref().context("no key was made")
    }

    pub(crate) fn hash(&self) -> Result<KeyHash> {
        Ok(self.made_key()?.hash.clone())
    }

    /// The expiry of a key that is made now, in whole seconds, as it is sent.
    pub(crate) fn expiry(&self) -> Timestamp {
        let at = self.options.clock.now() + EXPIRES_AFTER;
        Timestamp::from_second(at.as_second()).unwrap_or(at)
    }

    /// Makes a key exactly as Bursar makes a student's. A request that the provider puts off did nothing, and is
    /// repeated.
    pub(crate) async fn make_key(&mut self, name: &str, expires_at: Timestamp) -> Result<CreatedKey, ProviderError> {
        let key = NewKey {
            name,
            limit: LIMIT,
            reset: Reset::None,
            include_byok_in_limit: true,
            expires_at: Some(expires_at),
            workspace: None,
        };
        self.is_unanswered = true;
        let mut wait = Duration::from_secs(1);
        let mut made = self.provider.create_key(&key, soon()).await;
        for _ in 1..TRIES {
            let Err(ProviderError::Later { after, .. }) = &made else { break };
            (self.options.wait)(after.unwrap_or(wait).clamp(wait, LONGEST_WAIT)).await;
            wait *= 2;
            made = self.provider.create_key(&key, soon()).await;
        }
        self.is_unanswered = made.as_ref().is_err_and(|error| !error.changed_nothing());
        match &made {
            Ok(key) => self.hashes.push(key.hash.to_string()),
            Err(ProviderError::Unknown { made: Some(hash), .. }) => self.hashes.push(hash.to_string()),
            Err(_) => {}
        }
        made
    }

    /// The key as it is read by its hash now. A new one may be found a while later.
    pub(crate) async fn read_key(&self) -> Result<Box<ProviderKey>> {
        let hash = self.hash()?;
        let (found, when) = within(&self.options.wait, SOON, async || {
            Ok(match self.provider.get_key(&hash, soon()).await? {
                KeyPresence::Key(key) => Some(key),
                KeyPresence::Gone => None,
            })
        })
        .await?;
        found.with_context(|| format!("the key that was made is found by its hash {when}"))
    }

    /// The key's row in the first page of its workspace, as the sync asks for it.
    pub(crate) async fn listed_key(&self) -> Result<Option<ProviderKey>> {
        let key = self.made_key()?;
        let mut query = EVERY_KEY.to_vec();
        query.extend(key.workspace.as_deref().map(|id| ("workspace_id", id)));
        let rows = self.wire.ask(&LIST_KEYS, &["keys"], &query, None).await?.keys()?;
        Ok(rows.into_iter().find(|row| row.hash == key.hash))
    }

    /// Spends on the key: a question of two words with the shortest answer.
    pub(crate) async fn complete(&mut self) -> Result<Answer> {
        let Findings { spent, requests, .. } = &self.findings;
        if *requests >= MOST_REQUESTS || *spent >= MOST_SPENT {
            bail!("${spent} were spent in {requests} requests, and more may not be");
        }
        let body = json!({
            "model": self.options.model,
            "messages": [{ "role": "user", "content": "Say yes." }],
            "max_tokens": TOKENS,
            "usage": { "include": true },
        });
        let key = &self.made_key()?.plaintext;
        let answer = self.wire.ask_as(key, &COMPLETE, &["chat", "completions"], &[], Some(body)).await?;
        if answer.is_done() {
            self.findings.requests += 1;
            self.findings.spent += cost(&answer).unwrap_or_default();
        }
        Ok(answer)
    }
}

/// What a completion cost, where its answer says so.
pub(crate) fn cost(answer: &Answer) -> Option<Usd> {
    Usd::parse_ceil(&answer.json()["usage"]["cost"].to_string()).ok()
}
