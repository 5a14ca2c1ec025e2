//! Calls that make, read, change and delete keys; what they send is in `keys/sent.rs`, what comes back in
//! `keys/answered.rs`. When each call may be made, and what is recorded of it, is the caller's protocol.

use super::Provider;
use super::key::ProviderKey;
use crate::prelude::*;
use crate::provider::wire::calls::{CREATE_KEY, DELETE_KEY, GET_KEY, PATCH_KEY, Request};
use crate::provider::wire::error::{ProviderError, Trouble};
use crate::provider::wire::json::{self, Unreadable};

mod answered;
mod sent;

use answered::CreateAnswer;
pub use answered::CreatedKey;
pub(super) use answered::one;
use sent::at_least_a_cent;
pub use sent::{KeyPatch, NewKey};

/// The result of a patch or a reading of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPresence {
    Key(Box<ProviderKey>),
    /// The provider has no key with this hash.
    Gone,
}

/// The result of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    Now,
    AlreadyGone,
}

impl Provider {
    /// Makes a key. It is sent once, and only with its whole time-out left. After an unknown outcome a key of
    /// that name may exist or appear later. `made` in the error names a key whose plaintext cannot be shown.
    pub async fn create_key(&self, key: &NewKey<'_>, deadline: Deadline) -> Result<CreatedKey, ProviderError> {
        at_least_a_cent(&CREATE_KEY, key.limit)?;
        let request = CREATE_KEY.request().json(key)?;
        let answer = self.ask(request, deadline, json::read::<CreateAnswer>).await?;
        answer.take(key.limit)
    }

    /// Reads a key by its hash.
    pub async fn get_key(&self, hash: &KeyHash, deadline: Deadline) -> Result<KeyPresence, ProviderError> {
        let request = GET_KEY.about(hash.as_str());
        let answer = self.ask(request, deadline, |body| one(body, hash)).await;
        or_gone(answer)
    }

    /// Reads a key together with the time of the request. It is read again if a UTC day turned in between,
    /// since its counters could be of either day.
    pub async fn get_key_in_a_day(
        &self,
        hash: &KeyHash,
        clock: &Clock,
        deadline: Deadline,
    ) -> Result<(Moment, KeyPresence), ProviderError> {
        loop {
            let asked = clock.now();
            let found = self.get_key(hash, deadline).await?;
            if utc_date(asked) == utc_date(clock.now()) {
                return Ok((asked, found));
            }
        }
    }

    /// Changes a key and returns it as it is afterwards.
    pub async fn patch_key(
        &self,
        hash: &KeyHash,
        patch: KeyPatch,
        deadline: Deadline,
    ) -> Result<KeyPresence, ProviderError> {
        self.patch(hash, patch, false, deadline).await
    }

    /// Changes a key in one try, for callers to whom the answer of a second try would hide that the first may
    /// still take effect.
    pub async fn patch_key_once(
        &self,
        hash: &KeyHash,
        patch: KeyPatch,
        deadline: Deadline,
    ) -> Result<KeyPresence, ProviderError> {
        self.patch(hash, patch, true, deadline).await
    }

    /// Disables a key. A single answer that it does not exist may be wrong, so the key is `Gone` only if it
    /// cannot be read either.
    pub async fn disable_key(&self, hash: &KeyHash, deadline: Deadline) -> Result<KeyPresence, ProviderError> {
        if let KeyPresence::Key(key) = self.patch_key(hash, KeyPatch::disabled(true), deadline).await? {
            return Ok(KeyPresence::Key(key));
        }
        match self.get_key(hash, deadline).await? {
            KeyPresence::Key(key) if !key.disabled => {
                let why = "the key is there, but was not found to be disabled".to_owned();
                Err(ProviderError::Unknown { trouble: Trouble::unsent(&PATCH_KEY, why), after: None, made: None })
            }
            found => Ok(found),
        }
    }

    /// Enables a key in one try: a second could take effect after a later disable of the grant.
    pub async fn enable_key(&self, hash: &KeyHash, deadline: Deadline) -> Result<KeyPresence, ProviderError> {
        self.patch_key_once(hash, KeyPatch::disabled(false), deadline).await
    }

    async fn patch(
        &self,
        hash: &KeyHash,
        patch: KeyPatch,
        once: bool,
        deadline: Deadline,
    ) -> Result<KeyPresence, ProviderError> {
        if let Some(Some(limit)) = patch.limit {
            at_least_a_cent(&PATCH_KEY, limit)?;
        }
        let request = Request { once, ..PATCH_KEY.about(hash.as_str()).json(&patch)? };
        let done = |body: &str| {
            let key = one(body, hash)?;
            match patch.lacking_in(&key) {
                Some(why) => Err(Unreadable(format!("the key answered is not the one asked for: {why}"))),
                None => Ok(key),
            }
        };
        or_gone(self.ask(request, deadline, done).await)
    }

    /// Deletes a key for ever.
    pub async fn delete_key(&self, hash: &KeyHash, deadline: Deadline) -> Result<Deletion, ProviderError> {
        #[derive(Deserialize)]
        struct DeleteAnswer {
            deleted: Option<bool>,
        }
        let request = DELETE_KEY.about(hash.as_str());
        // The status decides, unless the answer explicitly contradicts it.
        let done = |body: &str| match json::read::<DeleteAnswer>(body) {
            Ok(DeleteAnswer { deleted: Some(false) }) => Err(Unreadable("the key was not deleted".to_owned())),
            _ => Ok(()),
        };
        match self.ask(request, deadline, done).await {
            Ok(()) => Ok(Deletion::Now),
            Err(error) if error.is_not_found() => Ok(Deletion::AlreadyGone),
            Err(error) => Err(error),
        }
    }
}

fn or_gone(answer: Result<Box<ProviderKey>, ProviderError>) -> Result<KeyPresence, ProviderError> {
    match answer {
        Ok(key) => Ok(KeyPresence::Key(key)),
        Err(error) if error.is_not_found() => Ok(KeyPresence::Gone),
        Err(error) => Err(error),
    }
}
