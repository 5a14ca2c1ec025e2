//! The weekly digests, at the moment of sending: whether the recipient still gets one, and what
//! their role may read. A digest on record holds ids of grants; their names are looked up here, for
//! permitted readers only.

mod programme;
mod say;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use bursar_core::clock::Moment;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::mail::digest::{Digest, DigestPeople};
use bursar_core::domain::programme::role::is_among;
use bursar_core::domain::values::id::{GrantId, PersonId, ProgrammeId};
use bursar_core::store::{StaffPerson, StoreError};
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use jiff::civil::Date;

use crate::App;
use crate::compose::{GONE, NoMail};
use crate::letter::{Letter, plain};

/// The number of names that are looked up concurrently.
const SIDE_BY_SIDE: usize = 16;

/// The names of a digest's grants; an address where there is no name. Who was erased since has
/// none.
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
    ) -> Result<Letter, NoMail> {
        let digest = self
            .table
            .get(Digest::key_of(programme, week))
            .await?
            .ok_or(GONE)?;
        let programme = self.programme(programme).await?;
        // A person who was erased since needs no digest.
        let person = self
            .table
            .get(StaffPerson::key_of(recipient))
            .await?
            .ok_or(GONE)?;
        let settings = &programme.settings;
        let address = person.address.matched();
        let reader = if is_among(address, &settings.people.faculty) {
            DigestReader::Faculty(self.names(&digest).await?)
        } else if is_among(address, &settings.people.assistants) {
            DigestReader::Assistant
        } else {
            return Err(NoMail::NotDue(
                "this person no longer has a role on the programme",
            ));
        };
        Ok(self.to(&person.address, |words| {
            words.digest(&programme, &digest, &reader, now)
        }))
    }

    async fn names(&self, digest: &Digest) -> Result<DigestNames, StoreError> {
        let standing_out = digest.standing_out.most.iter().map(|(grant, _)| grant);
        let grants: BTreeSet<&GrantId> = digest
            .people
            .iter()
            .flat_map(DigestPeople::grants)
            .chain(standing_out)
            .collect();
        let named = grants
            .into_iter()
            .map(|grant| self.named(&digest.programme, grant))
            .collect::<Vec<_>>();
        let named: Vec<Option<(GrantId, String)>> =
            iter(named).buffered(SIDE_BY_SIDE).try_collect().await?;
        Ok(named.into_iter().flatten().collect())
    }

    async fn named(
        &self,
        programme: &ProgrammeId,
        grant: &GrantId,
    ) -> Result<Option<(GrantId, String)>, StoreError> {
        let grant: Option<Grant> = self.table.get(Grant::key_of(programme, grant)).await?;
        Ok(grant.and_then(|grant| Some((grant.id.clone(), name_of(&grant)?))))
    }
}

/// The name of a grant's person, unless they were erased.
fn name_of(grant: &Grant) -> Option<String> {
    let is_erased = grant.person.address.is_erased();
    (!is_erased).then(|| plain(grant.person.known_as()))
}
