//! The keys of the account that nobody here made: what they are and what they used is recorded, and nothing is ever done to them.

use std::collections::{HashMap, VecDeque};

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::id::KeyName;
use bursar_core::domain::key::KeyHash;
use bursar_core::domain::money::Usd;
use bursar_core::domain::reading::{Doubtful, Used};
use bursar_core::domain::window::utc_date;
use bursar_core::store::{ForeignKey, StoreError, Stranger, keys};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;

use crate::grants::{FOR_ONE_WRITE, REFUSED_IN_A_ROW, SIDE_BY_SIDE};
use crate::listing::Listing;
use crate::progress::Progress;
use crate::row::{FOREIGN, ForeignRow, STRANGERS};
use crate::run::{Run, Step};

/// More keys with a name of ours and without a grant are not named one by one.
const MOST_STRANGERS: usize = 100;

/// What a sixteenth of these keys comes to. It counts once all of it is written.
#[derive(Default)]
struct Sixteenth {
    used: Used,
    gone: Usd,
    keys: usize,
    strangers: Vec<Stranger>,
    problems: Vec<String>,
    has_gaps: bool,
    writes: VecDeque<Write>,
}

enum Write {
    Note(Box<ForeignKey>),
    /// It is a key of ours after all.
    Forget(KeyHash),
}

impl Run<'_> {
    pub(crate) async fn look_at_foreign(&self, progress: &mut Progress, deadline: Deadline) -> Result<Step> {
        progress.note_what_is_not_listed();
        while let Some(shard) = keys::SHARDS.get(usize::from(progress.next.1)) {
            if !self.goes_on(deadline).await? {
                return Ok(Step::TimeIsUp);
            }
            let mut seen = self.look_at_sixteenth(*shard, progress).await?;
            if !self.write_all(std::mem::take(&mut seen.writes), deadline).await? {
                return Ok(Step::TimeIsUp);
            }
            progress.account.foreign.add(&seen.used);
            progress.account.foreign_gone += seen.gone;
            progress.account.keys += seen.keys;
            let room = MOST_STRANGERS.saturating_sub(progress.strangers.len());
            progress.strangers.extend(seen.strangers.into_iter().take(room));
            seen.problems.into_iter().for_each(|problem| progress.report.problem(problem));
            progress.has_gaps |= seen.has_gaps;
            progress.next.1 += 1;
        }
        Ok(Step::Done)
    }

    async fn look_at_sixteenth(&self, shard: char, progress: &Progress) -> Result<Sixteenth> {
        let known = self.table.foreign_keys_of_shard(shard).await?;
        let mut known: HashMap<KeyHash, ForeignKey> = known.into_iter().map(|key| (key.key.clone(), key)).collect();
        let mut rows = progress.rows.of::<ForeignRow>((FOREIGN, progress.next.1))?;
        let mut seen = Sixteenth::default();
        rows.extend(self.strangers(progress, &mut seen).await?);
        seen.keys = known.len() + rows.iter().filter(|row| !known.contains_key(&row.key())).count();
        for row in rows {
            let before = known.remove(&row.key());
            // A key of ours by its hash: its grant has it, whatever it is called now.
            if progress.renamed.contains(&row.key()) {
                seen.writes.extend(before.map(|before| Write::Forget(before.key)));
                seen.problems.push(format!("the key {} of ours has another name at the provider", row.key()));
                continue;
            }
            let after = seen.take_in(before.as_ref(), &row, progress);
            seen.used.add(&after.used);
            seen.note(before, after);
        }
        for before in known.into_values() {
            seen.used.add(&before.used);
            seen.gone += before.used.credits.total();
            if progress.listing == Listing::Whole && before.gone_at.is_none() {
                let began_at = progress.began_at;
                let after = ForeignKey { gone_at: Some(began_at), as_of: began_at, ..before.clone() };
                seen.note(Some(before), after);
            }
        }
        Ok(seen)
    }

    /// Keys with a name of ours whose grant is not there. One that is by now was made since the run began, and is the next run's.
    async fn strangers(&self, progress: &Progress, seen: &mut Sixteenth) -> Result<Vec<ForeignRow>> {
        let mut strangers = Vec::new();
        for row in progress.rows.of::<ForeignRow>((STRANGERS, progress.next.1))? {
            let Ok(name) = row.name.parse::<KeyName>() else { continue };
            if self.table.grant(&name.programme, &name.grant).await?.is_some() {
                continue;
            }
            if seen.strangers.len() < MOST_STRANGERS {
                seen.strangers.push(Stranger::of(&row.key(), &name, row.said.enabled));
            }
            strangers.push(row);
        }
        Ok(strangers)
    }

    /// Writes side by side. What the table refuses for now is tried again after the others. False when the time is up.
    async fn write_all(&self, mut writes: VecDeque<Write>, deadline: Deadline) -> Result<bool> {
        let (mut under_way, mut refused) = (FuturesUnordered::new(), 0);
        loop {
            let goes_on = self.goes_on(deadline).await?;
            while goes_on
                && under_way.len() < SIDE_BY_SIDE
                && let Some(write) = writes.pop_front()
            {
                under_way.push(Box::pin(self.write(write)));
            }
            match under_way.next().await {
                Some((_, Ok(()))) => refused = 0,
                Some((write, Err(error))) if error.may_pass() && refused < REFUSED_IN_A_ROW => {
                    refused += 1;
                    writes.push_back(write);
                }
                Some((_, Err(error))) => return Err(error.into()),
                None => return Ok(writes.is_empty()),
            }
        }
    }

    async fn write(&self, write: Write) -> (Write, Result<(), StoreError>) {
        let deadline = self.deadline.at_most(FOR_ONE_WRITE);
        let written = match &write {
            Write::Note(key) => self.table.note_foreign_key(key, deadline).await,
            Write::Forget(key) => self.table.forget_foreign_key(key, deadline).await,
        };
        (write, written)
    }
}

impl Sixteenth {
    /// Has it written, if it is news.
    fn note(&mut self, before: Option<ForeignKey>, after: ForeignKey) {
        if before.is_none_or(|before| ForeignKey { as_of: after.as_of, ..before } != after) {
            self.writes.push_back(Write::Note(Box::new(after)));
        }
    }

    fn take_in(&mut self, before: Option<&ForeignKey>, row: &ForeignRow, progress: &Progress) -> ForeignKey {
        let asked = row.said.asked;
        // What is seen for the first time has a past that nobody here can tell apart by days.
        let known = before.map(|before| progress.looked_at.map_or(before.as_of, |looked| looked.max(before.as_of)));
        let was = before.map(|before| before.used.clone()).unwrap_or_default();
        let told = row.said.told.as_ref().ok_or(Doubtful::Silent);
        let used = match told.and_then(|told| was.with(told, utc_date(asked), known.map(utc_date))) {
            Ok((used, doubt)) => {
                self.problems.extend(doubt.map(|doubt| format!("of the key {} {doubt}", row.key())));
                used
            }
            Err(doubtful) => {
                self.problems.push(format!("of the key {} nothing is recorded: {doubtful}", row.key()));
                self.has_gaps = true;
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
}

fn latest(asked: Timestamp, before: Option<&ForeignKey>) -> Timestamp {
    before.map_or(asked, |before| before.as_of.max(asked))
}
