//! Stage 3, list: every key of the account, page by page, packed by the grant whose name it bears.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::domain::grant::{Attempt, GRACE};
use bursar_core::domain::mail::alarm::Cause;
use bursar_core::domain::programme::Basis;
use bursar_core::domain::values::id::KeyHash;
use bursar_core::domain::values::id::{KeyName, ProgrammeId};
use bursar_core::provider::inventory::{InventoryPage, InventoryPosition};
use bursar_core::store::KnownAccount;
use serde::{Deserialize, Serialize};

use crate::journal::Journal;
use crate::runner::{Runner, StageEnd, ensure_written};
use crate::scan::row::{ForeignRow, KeyRow};
use crate::scan::rows::Rows;

/// The number of keys by which the account is known: more than one, since one may be deleted before it is needed.
const KEPT: usize = 3;
/// The number of keys of which they are chosen at the end of the run, which may delete some.
const FIRST: usize = 10;

/// The state of stage 3: how far the listing of all keys came, and how much of it can be relied on.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Listing {
    position: InventoryPosition,
    extent: Extent,
    has_gaps: bool,
    listed: usize,
    /// The first of the listed keys in the order of their hashes, so that the same are chosen again.
    first: BTreeSet<KeyHash>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Extent {
    #[default]
    UnderWay,
    ToTheEnd,
    Broken,
}

/// The programmes by id: the number in the run, and the basis of its keys' limits.
type ProgrammeNumbers<'a> = HashMap<&'a ProgrammeId, (u16, Basis)>;

impl Listing {
    /// Lists until the end, or until the time is up.
    pub(crate) async fn run(
        &mut self,
        runner: &Runner<'_>,
        rows: &mut Rows,
        journal: &mut Journal,
    ) -> Result<StageEnd> {
        let numbered = runner.programmes().iter().zip(0_u16..);
        let numbered: ProgrammeNumbers<'_> =
            numbered.map(|(programme, number)| (&programme.id, (number, programme.settings.basis))).collect();
        let mut inventory = {
            let (position, hashes) = (std::mem::take(&mut self.position), rows.hashes()?);
            runner.provider.inventory_from(runner.clock, position, hashes.iter())
        };
        self.extent = loop {
            if !runner.goes_on().await? {
                self.position = inventory.position();
                return Ok(StageEnd::TimeIsUp);
            }
            match inventory.next(runner.until()).await {
                Ok(Some(page)) => self.pack(runner, page, &numbered, rows, journal)?,
                Ok(None) => break Extent::ToTheEnd,
                // A page that was requested as the time ran out is requested again next time.
                Err(_) if !runner.has_time() => {
                    self.position = inventory.position();
                    return Ok(StageEnd::TimeIsUp);
                }
                Err(error) => {
                    self.position = inventory.position();
                    if let Some(obstacle) = runner.obstacle(&error) {
                        return Ok(StageEnd::Blocked(obstacle));
                    }
                    journal.note_refusal(&error);
                    journal.problem(format!("the keys could not all be listed: {error}"));
                    break Extent::Broken;
                }
            }
        };
        self.listed = inventory.listed();
        if self.listed == 0 && self.is_whole() {
            self.reject_an_empty_listing(runner, journal).await?;
        }
        Ok(StageEnd::Done)
    }

    /// Rejects an empty listing of an account that had keys: it is another account, or the answer is wrong.
    /// No key counts as gone because of it.
    async fn reject_an_empty_listing(&mut self, runner: &Runner<'_>, journal: &mut Journal) -> Result<()> {
        let expected = match &runner.account {
            Some(account) => account.listed.len(),
            None => recorded_by(runner, runner.baseline.began_at - GRACE).await?,
        };
        if expected == 0 {
            return Ok(());
        }
        self.extent = Extent::Broken;
        journal.problem(format!(
            "the account lists no key at all, and {expected} or more are on record: nothing is taken for gone. If they were all deleted on \
             purpose, or the account was changed, an admin says so on the account page"
        ));
        let management_key = runner.provider.management_keys().current().await?.fingerprint(&runner.deployment);
        journal.refuse(Cause::AnotherAccount { management_key });
        Ok(())
    }

    fn pack(
        &mut self,
        runner: &Runner<'_>,
        page: InventoryPage,
        numbered: &ProgrammeNumbers<'_>,
        rows: &mut Rows,
        journal: &mut Journal,
    ) -> Result<()> {
        for row in page.unreadable {
            let which = row.hash.map_or("without a hash".to_owned(), |hash| hash.to_string());
            journal.problem(format!("the key {which} could not be read: {}", row.why));
            self.has_gaps = true;
        }
        for key in &page.keys {
            self.first.insert(key.hash.clone());
            if self.first.len() > FIRST {
                self.first.pop_last();
            }
            let name = key.name.parse::<KeyName>().ok().filter(|name| name.deployment == runner.deployment);
            let Some(name) = name else {
                rows.add_foreign(&ForeignRow::of(key, page.asked))?;
                continue;
            };
            match numbered.get(&name.programme) {
                Some((number, basis)) => rows.add(*number, &KeyRow::of(key, &name, *basis, page.asked))?,
                // Its programme may be as young as the run; a later stage checks whether it exists by now.
                None => rows.add_orphan(&ForeignRow::of(key, page.asked))?,
            }
        }
        Ok(())
    }

    pub(crate) fn begin_at(&mut self, position: InventoryPosition) {
        self.position = position;
    }

    pub(crate) fn position(&self) -> &InventoryPosition {
        &self.position
    }

    /// Whether the listing reached its end, and each row could be read.
    pub(crate) fn is_whole(&self) -> bool {
        self.extent == Extent::ToTheEnd && !self.has_gaps
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.extent == Extent::Broken
    }

    /// Whether some rows could not be read.
    pub(crate) fn has_gaps(&self) -> bool {
        self.has_gaps
    }

    pub(crate) fn listed(&self) -> usize {
        self.listed
    }

    /// Notes by which keys the account is known from now on: some that were listed, and are not deleted since. None is left
    /// where this run deleted them all.
    pub(crate) async fn remember_account(&self, runner: &Runner<'_>, deleted: &BTreeSet<KeyHash>) -> Result<()> {
        let listed: Vec<KeyHash> =
            self.first.iter().filter(|key| !deleted.contains(*key)).take(KEPT).cloned().collect();
        if listed.is_empty() {
            if runner.account.is_some() {
                ensure_written(runner.fenced().forget_account().await?)?;
            }
            return Ok(());
        }
        let management_key = runner.provider.management_keys().current().await?.fingerprint(&runner.deployment);
        let account = KnownAccount { management_key, listed };
        if runner.account.as_ref() != Some(&account) {
            ensure_written(runner.fenced().know_account(&account).await?)?;
        }
        Ok(())
    }
}

/// The number of recorded keys that were made by this time and should still exist.
async fn recorded_by(runner: &Runner<'_>, made_by: Moment) -> Result<usize> {
    let mut recorded = 0;
    for programme in runner.programmes().iter().filter(|programme| made_by < programme.settings.keys_expire_at()) {
        let grants = runner.table.grants(&programme.id).await?;
        let attempts = grants.iter().flat_map(|grant| &grant.attempts);
        let should_be =
            |attempt: &&Attempt| attempt.key.is_some() && attempt.gone.is_none() && attempt.begun_at < made_by;
        recorded += attempts.filter(should_be).count();
    }
    Ok(recorded)
}
