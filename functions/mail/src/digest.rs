//! The weekly digests, at the moment of sending: whether the recipient still gets one, and what their role
//! may read. A digest on record holds ids of grants and keys; their names are looked up here, for permitted
//! readers only.

mod account;
mod programme;
mod say;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use bursar_core::domain::mail::digest::{AccountDigest, Digest};
use bursar_core::domain::values::id::KeyHash;
use bursar_core::store::ForeignKey;
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use crate::prelude::*;

/// The number of names that are looked up concurrently.
const SIDE_BY_SIDE: usize = 16;

/// The names of a digest's grants; an address where there is no name.
pub(crate) type DigestNames = HashMap<GrantId, String>;

/// The reader of a digest, by what they may see.
pub(crate) enum DigestReader {
    Faculty(DigestNames),
    Assistant,
}

impl App {
    /// The digest of a programme, if its recipient still has a role there.
    pub(crate) async fn digest(
        &self,
        programme: &ProgrammeId,
        week: Date,
        recipient: &PersonId,
        now: Moment,
    ) -> Result<ComposedRow, StoreError> {
        let (programme, digest, person) = tokio::try_join!(
            self.table.get(Programme::key_of(programme)),
            self.table.get(Digest::key_of(programme, week)),
            self.table.get(StaffPerson::key_of(recipient))
        )?;
        // A person who was erased since needs no digest.
        let (Some(programme), Some(digest), Some(person)) = (programme, digest, person) else { return Ok(GONE) };
        let (settings, address) = (&programme.settings, person.address.matched());
        let reader = if is_among(address, &settings.people.faculty) {
            DigestReader::Faculty(self.names(&digest).await?)
        } else if is_among(address, &settings.people.assistants) {
            DigestReader::Assistant
        } else {
            return Ok(ComposedRow::Nothing("this person no longer has a role on the programme"));
        };
        Ok(self.to(&person.address, |words| words.digest(&programme, &digest, &reader, now)))
    }

    /// The digest of the account, if its recipient is still an admin.
    pub(crate) async fn account_digest(&self, week: Date, recipient: &PersonId) -> Result<ComposedRow, StoreError> {
        let (digest, person) = tokio::try_join!(
            self.table.get(AccountDigest::key_of(week)),
            self.table.get(StaffPerson::key_of(recipient))
        )?;
        let (Some(digest), Some(person)) = (digest, person) else { return Ok(GONE) };
        if !self.table.is_admin(person.address.matched()).await? {
            return Ok(ComposedRow::Nothing("this person is no longer an admin"));
        }
        let keys = digest.first_new_keys.iter().map(|key| self.key_named(&key.key)).collect::<Vec<_>>();
        let keys: Vec<String> = iter(keys).buffered(SIDE_BY_SIDE).try_collect().await?;
        let programmes = self.table.list(Programme::all()).await?;
        let programmes = programmes.into_iter().map(|programme| (programme.id, programme.settings.name)).collect();
        let admins = self.table.admins().await?.len();
        Ok(self.to(&person.address, |words| words.account_digest(&digest, &programmes, &keys, admins)))
    }

    async fn names(&self, digest: &Digest) -> Result<DigestNames, StoreError> {
        let people = &digest.people;
        let spenders = people.spenders.iter().map(|spender| &spender.grant);
        let standing_out = people.standing_out.iter().map(|(grant, _)| grant);
        let blocked = people.blocked.iter().map(|(_, few)| few);
        let few = [&people.unused, &people.unclaimed, &people.unreached, &people.complained]
            .into_iter()
            .chain(blocked)
            .flat_map(|few| &few.first);
        let grants: BTreeSet<&GrantId> = spenders.chain(standing_out).chain(few).collect();
        let named = grants.into_iter().map(|grant| self.named(&digest.programme, grant)).collect::<Vec<_>>();
        let named: Vec<Option<(GrantId, String)>> = iter(named).buffered(SIDE_BY_SIDE).try_collect().await?;
        Ok(named.into_iter().flatten().collect())
    }

    async fn named(&self, programme: &ProgrammeId, grant: &GrantId) -> Result<Option<(GrantId, String)>, StoreError> {
        let Some(grant) = self.table.get(Grant::key_of(programme, grant)).await? else { return Ok(None) };
        let name = plain(grant.person.known_as());
        Ok(Some((grant.id, name)))
    }

    async fn key_named(&self, key: &KeyHash) -> Result<String, StoreError> {
        let key = self.table.get(ForeignKey::key_of(key)).await?.filter(|key| !key.name.trim().is_empty());
        Ok(key.map_or_else(|| "a key without a name".to_owned(), |key| plain(&key.name)))
    }
}
