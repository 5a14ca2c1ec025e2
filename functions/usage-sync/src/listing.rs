//! The first part of a run: every key of the account, page by page, packed away by the grant whose name it bears.

use std::collections::HashMap;

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::alarm::Cause;
use bursar_core::domain::grant::{Attempt, GRACE};
use bursar_core::domain::id::{KeyName, ProgrammeId};
use bursar_core::provider::inventory::KeyPage;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::progress::Progress;
use crate::row::{ForeignRow, Row, Terms};
use crate::run::{Run, Step};

/// How far a listing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Listing {
    Begun,
    /// To its end, and each row could be read.
    Whole,
    /// To its end, but some rows could not be read.
    WithGaps,
    Broken,
}

/// The programmes by their ids: the number that a run gives each, and how the limits of its keys are counted.
type Numbered<'a> = HashMap<&'a ProgrammeId, (u16, Terms)>;

impl Run<'_> {
    /// Lists until the end, or until the time is up.
    pub(crate) async fn list(&self, progress: &mut Progress, deadline: Deadline) -> Result<Step> {
        let numbered = self.programmes.iter().zip(0_u16..);
        let numbered: Numbered<'_> =
            numbered.map(|(programme, number)| (&programme.id, (number, Terms::of(&programme.settings)))).collect();
        let mut inventory = {
            let (position, hashes) = (std::mem::take(&mut progress.position), progress.rows.hashes()?);
            self.provider.inventory_from(self.clock, position, hashes.iter())
        };
        progress.listing = loop {
            if !self.goes_on(deadline).await? {
                progress.position = inventory.position();
                return Ok(Step::TimeIsUp);
            }
            match inventory.next(self.until(deadline)).await {
                Ok(Some(page)) => self.pack(progress, page, &numbered)?,
                Ok(None) if progress.has_gaps => break Listing::WithGaps,
                Ok(None) => break Listing::Whole,
                // What was asked for as the time ran out comes the next time.
                Err(_) if !self.has_time(deadline) => {
                    progress.position = inventory.position();
                    return Ok(Step::TimeIsUp);
                }
                Err(error) => {
                    progress.position = inventory.position();
                    if let Some(obstacle) = self.obstacle(&error) {
                        return Ok(Step::Blocked(obstacle));
                    }
                    progress.note_refusal(&error);
                    progress.report.problem(format!("the keys could not all be listed: {error}"));
                    break Listing::Broken;
                }
            }
        };
        progress.report.keys_listed = inventory.listed();
        if progress.report.keys_listed == 0 && progress.listing == Listing::Whole {
            self.doubt_an_empty_account(progress).await?;
        }
        Ok(Step::Done)
    }

    /// An account that had keys has none: rather it is another one, or its answer is wrong. Nothing is gone because of it.
    async fn doubt_an_empty_account(&self, progress: &mut Progress) -> Result<()> {
        let expected = match &self.account {
            Some(account) => account.witnesses.len(),
            None => self.recorded_by(progress.began_at - GRACE).await?,
        };
        if expected == 0 {
            return Ok(());
        }
        progress.listing = Listing::Broken;
        progress.report.problem(format!(
            "the account lists no key at all, and {expected} or more are on record: nothing is taken for gone. If they were all deleted on \
             purpose, or the account was changed, an admin says so on the account page"
        ));
        let management_key = self.provider.management_keys().current().await?.fingerprint(&self.deployment);
        progress.key_refused = Some(Cause::AnotherAccount { management_key });
        Ok(())
    }

    /// How many keys were made by then that should be there still, as far as the table knows.
    async fn recorded_by(&self, made_by: Timestamp) -> Result<usize> {
        let mut recorded = 0;
        for programme in self.programmes.iter().filter(|programme| made_by < programme.settings.keys_expire_at()) {
            let grants = self.table.grants(&programme.id).await?;
            let attempts = grants.iter().flat_map(|grant| &grant.attempts);
            let should_be =
                |attempt: &&Attempt| attempt.key.is_some() && attempt.gone.is_none() && attempt.begun_at < made_by;
            recorded += attempts.filter(should_be).count();
        }
        Ok(recorded)
    }

    fn pack(&self, progress: &mut Progress, page: KeyPage, numbered: &Numbered<'_>) -> Result<()> {
        for row in page.unreadable {
            let which = row.hash.map_or("without a hash".to_owned(), |hash| hash.to_string());
            progress.report.problem(format!("the key {which} could not be read: {}", row.why));
            progress.has_gaps = true;
        }
        for key in &page.keys {
            self.note_witness(progress, &key.hash);
            let name = key.name.parse::<KeyName>().ok().filter(|name| name.deployment == self.deployment);
            let Some(name) = name else {
                progress.rows.add_foreign(&ForeignRow::of(key, page.asked))?;
                continue;
            };
            match numbered.get(&name.programme) {
                Some((number, terms)) => progress.rows.add(*number, &Row::of(key, &name, *terms, page.asked))?,
                // It may be as young as the run; whether it is there by now is looked at later.
                None => progress.rows.add_stranger(&ForeignRow::of(key, page.asked))?,
            }
        }
        Ok(())
    }
}
