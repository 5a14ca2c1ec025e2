//! The keys of the account that nobody here made: what they are and what they used is recorded, and nothing is ever done to them.

use std::collections::HashMap;

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::id::KeyName;
use bursar_core::domain::key::KeyHash;
use bursar_core::domain::reading::Doubtful;
use bursar_core::domain::window::utc_date;
use bursar_core::store::{ForeignKey, Stranger, keys};
use jiff::Timestamp;

use crate::listing::Listing;
use crate::progress::Progress;
use crate::row::{FOREIGN, ForeignRow, STRANGERS};
use crate::run::{Run, Step};

/// More keys with a name of ours and without a grant are not named one by one.
const MOST_STRANGERS: usize = 100;

impl Run<'_> {
    pub(crate) async fn look_at_foreign(&self, progress: &mut Progress, deadline: Deadline) -> Result<Step> {
        progress.note_what_is_not_listed();
        while let Some(shard) = keys::SHARDS.get(usize::from(progress.next.1)) {
            if !self.goes_on(deadline).await? {
                return Ok(Step::TimeIsUp);
            }
            let known = self.table.foreign_keys_of_shard(*shard).await?;
            let mut known: HashMap<KeyHash, ForeignKey> = known.into_iter().map(|key| (key.key.clone(), key)).collect();
            let mut rows = progress.rows.of::<ForeignRow>((FOREIGN, progress.next.1))?;
            rows.extend(self.strangers(progress).await?);
            progress.account.keys += known.len() + rows.iter().filter(|row| !known.contains_key(&row.key())).count();
            for row in rows {
                let before = known.remove(&row.key());
                // A key of ours by its hash: its grant has it, whatever it is called now.
                if progress.renamed.contains(&row.key()) {
                    if before.is_some() {
                        self.table.forget_foreign_key(&row.key(), deadline).await?;
                    }
                    progress.report.problem(format!("the key {} of ours has another name at the provider", row.key()));
                    continue;
                }
                let after = after(before.as_ref(), &row, progress);
                progress.account.foreign.add(&after.used);
                self.note_foreign(before, after).await?;
            }
            for before in known.into_values() {
                progress.account.foreign.add(&before.used);
                progress.account.foreign_gone += before.used.credits.total();
                if progress.listing == Listing::Whole && before.gone_at.is_none() {
                    let after =
                        ForeignKey { gone_at: Some(progress.began_at), as_of: progress.began_at, ..before.clone() };
                    self.note_foreign(Some(before), after).await?;
                }
            }
            progress.next.1 += 1;
        }
        Ok(Step::Done)
    }

    /// Keys with a name of ours whose grant is not there. One that is by now was made since the run began, and is the next run's.
    async fn strangers(&self, progress: &mut Progress) -> Result<Vec<ForeignRow>> {
        let mut strangers = Vec::new();
        for row in progress.rows.of::<ForeignRow>((STRANGERS, progress.next.1))? {
            let Ok(name) = row.name.parse::<KeyName>() else { continue };
            if self.table.grant(&name.programme, &name.grant).await?.is_some() {
                continue;
            }
            if progress.strangers.len() < MOST_STRANGERS {
                progress.strangers.push(Stranger::of(&row.key(), &name, row.said.enabled));
            }
            strangers.push(row);
        }
        Ok(strangers)
    }

    async fn note_foreign(&self, before: Option<ForeignKey>, after: ForeignKey) -> Result<()> {
        if before.is_some_and(|before| ForeignKey { as_of: after.as_of, ..before } == after) {
            return Ok(());
        }
        Ok(self.table.note_foreign_key(&after, self.deadline).await?)
    }
}

fn after(before: Option<&ForeignKey>, row: &ForeignRow, progress: &mut Progress) -> ForeignKey {
    let asked = row.said.asked;
    // What is seen for the first time has a past that nobody here can tell apart by days.
    let known = before.map(|before| progress.looked_at.map_or(before.as_of, |looked| looked.max(before.as_of)));
    let was = before.map(|before| before.used.clone()).unwrap_or_default();
    let told = row.said.told.as_ref().ok_or(Doubtful::Silent);
    let used = match told.and_then(|told| was.with(told, utc_date(asked), known.map(utc_date))) {
        Ok((used, doubt)) => {
            doubt.into_iter().for_each(|doubt| progress.report.problem(format!("of the key {} {doubt}", row.key())));
            used
        }
        Err(doubtful) => {
            progress.report.problem(format!("of the key {} nothing is recorded: {doubtful}", row.key()));
            progress.has_gaps = true;
            was
        }
    };
    let last_used_at = row.said.told.as_ref().and_then(|told| told.last_used_at);
    ForeignKey {
        key: row.key(),
        name: row.name.clone(),
        enabled: row.said.enabled,
        limit: row.said.limit,
        used,
        created_at: row.said.created_at,
        last_used_at: last_used_at.max(before.and_then(|before| before.last_used_at)),
        first_seen_at: before.map_or(progress.began_at, |before| before.first_seen_at),
        gone_at: None,
        as_of: latest(asked, before),
    }
}

fn latest(asked: Timestamp, before: Option<&ForeignKey>) -> Timestamp {
    before.map_or(asked, |before| before.as_of.max(asked))
}
