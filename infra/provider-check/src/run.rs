//! The state of one run, and the calls that several steps make.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bursar_core::domain::values::key::PlaintextKey;
use bursar_core::domain::values::money::Usd;
use bursar_core::provider::inventory::EVERY_KEY;
use bursar_core::provider::keys::KeyPatch;
use bursar_core::provider::wire::calls::{
    CREATE_GUARDRAIL, CREDITS, Call, GET_KEY, LIST_KEYS, OWN_KEY, PATCH_KEY, Repeatable,
};
use http::Method;
use jiff::{SignedDuration, Timestamp};

use crate::Options;
use crate::findings::Findings;
use crate::leftovers;
use crate::wire::{Answer, Object, Request, Wire};

pub(crate) struct Run<'a> {
    pub(crate) options: &'a Options,
    pub(crate) wire: Wire,
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
    pub(crate) hash: String,
    pub(crate) plaintext: PlaintextKey,
    pub(crate) expires_at: Timestamp,
    pub(crate) workspace: Option<String>,
}

/// The limit of every key that a run makes.
pub(crate) const LIMIT: Usd = Usd::CENT;
/// The time after which every key that a run makes expires.
pub(crate) const EXPIRES_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// The time within which a change must bind for Bursar to keep its promises.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// The most that a run spends, and the most requests for it.
const MOST_SPENT: Usd = Usd::from_micros(5_000);
const MOST_REQUESTS: u32 = 50;
/// Some models answer no request for fewer tokens.
const TOKENS: u32 = 16;

pub(crate) const COMPLETE: Call = Call {
    name: "complete",
    method: Method::POST,
    path: "/chat/completions",
    time_out: Duration::from_secs(60),
    again: Repeatable::Never("it spends money"),
};

impl<'a> Run<'a> {
    pub(crate) fn new(options: &'a Options) -> Result<Run<'a>> {
        let waiting = options.waiting.clone();
        Ok(Run {
            options,
            wire: Wire::new(&options.provider, Arc::clone(&options.management_key), waiting)?,
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

    /// Asks with the management key.
    pub(crate) async fn ask(
        &self,
        call: &Call,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<String>,
    ) -> Result<Answer> {
        self.wire.ask(&Request { call, path, query, body, key: None }).await
    }

    /// Asks with the plaintext of the key that was made.
    pub(crate) async fn ask_as_key(&self, call: &Call, path: &[&str]) -> Result<Answer> {
        let key = Some(&self.made_key()?.plaintext);
        self.wire.ask(&Request { call, path, query: &[], body: None, key }).await
    }

    pub(crate) async fn get_key(&self) -> Result<Answer> {
        self.ask(&GET_KEY, &["keys", &self.made_key()?.hash], &[], None).await
    }

    /// The key as it is read by its hash now.
    pub(crate) async fn read_key(&self) -> Result<Object> {
        Ok(self.get_key().await?.or_refused("reading the key by its hash")?.data())
    }

    pub(crate) async fn own_key(&self) -> Result<Answer> {
        self.ask_as_key(&OWN_KEY, &["key"]).await
    }

    pub(crate) async fn credits(&self) -> Result<Object> {
        Ok(self.ask(&CREDITS, &["credits"], &[], None).await?.or_refused("reading the credits")?.data())
    }

    /// Changes the key, as the client does, and returns it as it was answered.
    pub(crate) async fn patch_key(&self, patch: KeyPatch) -> Result<Object> {
        let answer = self.patch_raw(serde_json::to_string(&patch)?).await?;
        Ok(answer.or_refused("changing the key")?.data())
    }

    pub(crate) async fn patch_raw(&self, body: String) -> Result<Answer> {
        self.ask(&PATCH_KEY, &["keys", &self.made_key()?.hash], &[], Some(body)).await
    }

    /// The first page of the workspace in which the key lies, as the sync asks for it.
    pub(crate) async fn first_page(&self) -> Result<Vec<Object>> {
        let mut query = EVERY_KEY.to_vec();
        query.extend(self.made_key()?.workspace.as_deref().map(|id| ("workspace_id", id)));
        self.ask(&LIST_KEYS, &["keys"], &query, None).await?.rows("keys")
    }

    /// The key's row in the first page.
    pub(crate) async fn listed_key(&self) -> Result<Option<Object>> {
        let hash = self.made_key()?.hash.clone();
        Ok(self.first_page().await?.into_iter().find(|row| row.text("hash").as_ref() == Some(&hash)))
    }

    /// Makes something, and remembers if its answer did not come.
    pub(crate) async fn make(&mut self, call: &Call, path: &[&str], body: String) -> Result<Answer> {
        self.is_unanswered = true;
        let answer = self.ask(call, path, &[], Some(body)).await?;
        self.is_unanswered = answer.status >= 500;
        Ok(answer)
    }

    pub(crate) async fn make_guardrail(&mut self, body: String) -> Result<Answer> {
        self.make(&CREATE_GUARDRAIL, &["guardrails"], body).await
    }

    /// Spends on the key: a question of two words with the shortest answer.
    pub(crate) async fn complete(&mut self) -> Result<Answer> {
        if self.findings.requests >= MOST_REQUESTS || self.findings.spent >= MOST_SPENT {
            bail!("${} were spent in {} requests, and more may not be", self.findings.spent, self.findings.requests);
        }
        let body = serde_json::json!({
            "model": self.options.model,
            "messages": [{ "role": "user", "content": "Say yes." }],
            "max_tokens": TOKENS,
            "usage": { "include": true },
        });
        let key = Some(&self.made_key()?.plaintext);
        let request =
            Request { call: &COMPLETE, path: &["chat", "completions"], query: &[], body: Some(body.to_string()), key };
        let answer = self.wire.ask(&request).await?;
        if answer.is_done() {
            self.findings.requests += 1;
            self.findings.spent += cost(&answer).unwrap_or_default();
        }
        Ok(answer)
    }
}

/// What a completion cost, where its answer says so.
pub(crate) fn cost(answer: &Answer) -> Option<Usd> {
    answer.object().object("usage").usd_spent("cost")
}
