//! Whose account a management key is of. One that the table does not name is proved by a witness before anything else is asked
//! with it (`send`). A witness is a key that the last complete sync listed.
//!
//! A management key of another account works, and answers 404 for every key of ours. Taken at its word it would stop everybody.
//! So the deployment's own item keeps some hashes, the witnesses, and a fingerprint of the management key that listed them. The
//! fingerprint is a hash that is bound to the deployment.
//!
//! The client holds the key in use against it before it asks anything, so no caller can forget to; only `GET /key` goes before. A
//! key of another fingerprint asks for the witnesses one by one:
//!
//! - One that is found proves the account, and is remembered for the process.
//! - When the provider says 404 to all, nothing more is asked with that key, and no press is begun.
//! - What is neither proves nothing, and is for later.
//!
//! What is owed to keys stays owed meanwhile, and reports of leaks are taken. An admin hears of it once a day. If the account was
//! changed on purpose, a press on the account page drops the witnesses, and the next complete sync names others.
//!
//! Before the first complete sync any key passes, but a run in which it is exchanged ends without a trace. An account that lists
//! no key, though one is on record, is believed by no run before that press.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Provider;
use super::keys::one;
use crate::deadline::Deadline;
use crate::domain::values::key::{Fingerprint, KeyHash};
use crate::provider::wire::calls::{Call, GET_KEY};
use crate::provider::wire::error::{ProviderError, Trouble};
use crate::provider::wire::send::{ApiRequest, not_begun};
use crate::secrets::ManagementKey;
use crate::store::{KnownAccount, Table};

/// The time for which a key without witnesses is accepted unchecked; a sync may name witnesses after that.
const UNWITNESSED_FOR: Duration = Duration::from_secs(60);
/// The time for which an account that lacked the witnesses is not asked for them again.
const ANOTHER_FOR: Duration = Duration::from_secs(10);
/// The number of management keys whose verdict a process keeps; it meets few.
const MOST_KEPT: usize = 8;

/// The verdicts of this process on the management keys that it used.
pub(super) struct AccountProof {
    table: Table,
    known: Mutex<Vec<(ManagementKey, AccountVerdict)>>,
}

#[derive(Clone)]
enum AccountVerdict {
    /// The table names the key, or the key found a witness.
    Ours,
    /// There was no witness to ask for.
    Unwitnessed(Instant),
    /// The key found none of these witnesses.
    Another { witnesses: Vec<KeyHash>, asked_at: Instant },
}

impl AccountProof {
    pub(super) fn in_table(table: &Table) -> AccountProof {
        AccountProof { table: table.clone(), known: Mutex::new(Vec::new()) }
    }

    /// The account as the table knows it, with this key's fingerprint; `None` as long as the table does not.
    async fn account(
        &self,
        call: &Call,
        key: &ManagementKey,
        deadline: Deadline,
    ) -> Result<Option<(Fingerprint, KnownAccount)>, ProviderError> {
        let meta = deadline.wait_for(self.table.known_meta()).await;
        let meta = meta.map_err(|_| not_looked_up(call, "the time was up"))?;
        let meta = meta.map_err(|error| not_looked_up(call, &error.to_string()))?;
        Ok(meta.and_then(|meta| Some((key.fingerprint(&meta.deployment), meta.account?))))
    }
}

impl Provider {
    /// Proves that the management key is of this deployment's account, before anything is made or written.
    /// Every call does so by itself; after the first it costs nothing.
    pub async fn prove_account(&self, deadline: Deadline) -> Result<(), ProviderError> {
        let one_try = move |key: ManagementKey| async move { self.prove(&GET_KEY, &key, deadline).await };
        self.patiently(&GET_KEY, deadline, move || self.with_the_key(&GET_KEY, deadline, one_try)).await
    }

    /// Whether one of the witnesses is found now, with a management key that is of this deployment's account.
    /// False if there is no witness.
    pub async fn finds_a_witness(&self, deadline: Deadline) -> Result<bool, ProviderError> {
        let one_try = move |key: ManagementKey| async move {
            let Some(proof) = &self.proof else { return Ok(false) };
            self.prove(&GET_KEY, &key, deadline).await?;
            match proof.account(&GET_KEY, &key, deadline).await? {
                Some((_, account)) => self.finds_one_of(&account, &key, deadline).await,
                None => Ok(false),
            }
        };
        self.patiently(&GET_KEY, deadline, move || self.with_the_key(&GET_KEY, deadline, one_try)).await
    }

    /// Proves this key for a call. Concurrent calls wait for the result.
    pub(super) async fn prove(
        &self,
        call: &Call,
        key: &ManagementKey,
        deadline: Deadline,
    ) -> Result<(), ProviderError> {
        let Some(proof) = &self.proof else { return Ok(()) };
        let known = deadline.wait_for(proof.known.lock()).await;
        let mut known = known.map_err(|_| not_looked_up(call, "the time was up"))?;
        let before = known.iter().find(|(of, _)| of == key).map(|(_, known)| known.clone());
        match &before {
            Some(AccountVerdict::Ours) => return Ok(()),
            Some(AccountVerdict::Unwitnessed(at)) if at.elapsed() < UNWITNESSED_FOR => return Ok(()),
            _ => {}
        }
        let now = match proof.account(call, key, deadline).await? {
            Some((fingerprint, account)) if account.management_key == fingerprint => AccountVerdict::Ours,
            Some((fingerprint, account)) if !account.witnesses.is_empty() => {
                let is_same = matches!(&before, Some(AccountVerdict::Another { witnesses, asked_at })
                    if *witnesses == account.witnesses && asked_at.elapsed() < ANOTHER_FOR);
                if is_same || !self.finds_one_of(&account, key, deadline).await? {
                    if !is_same {
                        let another =
                            AccountVerdict::Another { witnesses: account.witnesses.clone(), asked_at: Instant::now() };
                        remember(&mut known, key, another);
                    }
                    return Err(another_account(call, &account, fingerprint));
                }
                AccountVerdict::Ours
            }
            _ => AccountVerdict::Unwitnessed(Instant::now()),
        };
        remember(&mut known, key, now);
        Ok(())
    }

    /// Asks for one witness after another. An answer that is neither a key nor the provider's own 404 proves
    /// nothing, and ends the search.
    async fn finds_one_of(
        &self,
        account: &KnownAccount,
        key: &ManagementKey,
        deadline: Deadline,
    ) -> Result<bool, ProviderError> {
        for witness in &account.witnesses {
            let ask = ApiRequest { call: &GET_KEY, path: &["keys", witness.as_str()], query: &[], body: None };
            match self.send(&ask, key, deadline, &|body| one(body, witness)).await {
                Ok(_) => return Ok(true),
                Err(error) if error.is_not_found() => {}
                Err(error @ ProviderError::ManagementKey { .. }) => return Err(error),
                Err(error) => {
                    let (trouble, after) = (error.trouble().clone(), error.retry_after());
                    return Err(ProviderError::Later { trouble, after });
                }
            }
        }
        tracing::warn!(
            asked = account.witnesses.len(),
            "the management key finds none of the keys that the last complete sync listed"
        );
        Ok(false)
    }
}

fn not_looked_up(call: &Call, why: &str) -> ProviderError {
    not_begun(call, &format!("whose account it is could not be looked up: {why}"))
}

fn remember(known: &mut Vec<(ManagementKey, AccountVerdict)>, key: &ManagementKey, now: AccountVerdict) {
    known.retain(|(of, _)| of != key);
    if known.len() == MOST_KEPT {
        known.remove(0);
    }
    known.push((key.clone(), now));
}

fn another_account(call: &Call, account: &KnownAccount, management_key: Fingerprint) -> ProviderError {
    let message = format!(
        "none of the keys that the last complete sync listed is found with it ({} were asked for), and nothing more was asked. Put the \
         right key into the secret; if this is the account from now on, an admin says so on the account page",
        account.witnesses.len()
    );
    ProviderError::AnotherAccount { trouble: Trouble::unsent(call, message), management_key }
}
