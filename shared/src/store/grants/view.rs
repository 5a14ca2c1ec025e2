//! Reads of grants: one with everything that an act on it is decided on, and all grants of a programme.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::Select;
use futures_util::future::try_join_all;
use futures_util::stream::{Stream, StreamExt, iter};
use jiff::Timestamp;

use crate::domain::grant::{Grant, Urgency, View};
use crate::domain::programme::{Budget, Programme};
use crate::domain::usage::reading::Reading;
use crate::domain::values::id::{GrantId, ProgrammeId};
use crate::sdk_error::reduce;
use crate::store::keys::{Range, SHARDS};
use crate::store::table::items::Queue;
use crate::store::table::{StoreError, Table, items, keys};

/// How many shards are read at once where they are read one after another.
const SHARDS_AT_ONCE: usize = 8;

/// The number of a programme, and the grants in one of its shards with their readings.
pub type ProgrammeShard = (u16, Vec<(Grant, Vec<Reading>)>);

impl Table {
    /// Some grants of a shard after this one, in the order of their ids, each by itself, so that one that cannot be read is no obstacle to
    /// the others; empty after the last.
    pub async fn grants_after(
        &self,
        programme: &ProgrammeId,
        shard: char,
        after: Option<&GrantId>,
        limit: i32,
    ) -> Result<Vec<(GrantId, Result<Grant, StoreError>)>, StoreError> {
        let range = Grant::of_shard(programme, shard);
        let query = match after {
            Some(after) => self.query(&Range { first: format!("{}#", Grant::key_of(programme, after).sk), ..range }),
            None => self.query(&range),
        };
        let named = |item: items::Item| Some((keys::grant_of(&items::key_of(&item))?.1, items::from_item(item)));
        Ok(Self::page(query.limit(limit)).await?.into_iter().filter_map(named).collect())
    }

    /// How many grants a programme has.
    pub async fn count_grants(&self, programme: &ProgrammeId) -> Result<u32, StoreError> {
        let counts = SHARDS.map(|shard| self.count(Grant::of_shard(programme, shard)));
        Ok(try_join_all(counts).await?.into_iter().sum())
    }

    async fn count(&self, grants: Range<Grant>) -> Result<u32, StoreError> {
        let (mut count, mut from) = (0, None);
        loop {
            let page = self.query(&grants).select(Select::Count).set_exclusive_start_key(from).send().await;
            let page = page.map_err(|error| StoreError::Service(reduce(&error)))?;
            count += page.count.unsigned_abs();
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(count);
            }
        }
    }

    /// All grants of a programme, shard after shard.
    pub async fn grants(&self, programme: &ProgrammeId) -> Result<Vec<Grant>, StoreError> {
        let shards = SHARDS.map(|shard| self.list(Grant::of_shard(programme, shard)));
        Ok(try_join_all(shards).await?.into_iter().flatten().collect())
    }

    /// All grants of a programme, each with its readings.
    pub async fn grants_with_readings(
        &self,
        programme: &ProgrammeId,
    ) -> Result<Vec<(Grant, Vec<Reading>)>, StoreError> {
        let shards = SHARDS.map(|shard| self.shard_of(programme, shard));
        Ok(try_join_all(shards).await?.into_iter().flatten().collect())
    }

    /// The grants in one shard of a programme with their readings, each grant's in the order of their epochs.
    /// They are neighbours in the table, so one query reads both and leaves the audit out.
    pub async fn shard_of(
        &self,
        programme: &ProgrammeId,
        shard: char,
    ) -> Result<Vec<(Grant, Vec<Reading>)>, StoreError> {
        // From the grants to the readings, before what is told of them.
        let range = Range { last: "R#~".to_owned(), ..Grant::of_shard(programme, shard) };
        let mut grants = Vec::new();
        let mut readings: HashMap<GrantId, Vec<Reading>> = HashMap::new();
        let each = |item| {
            if items::is_kind::<Reading>(&item) {
                let reading: Reading = items::from_item(item)?;
                readings.entry(reading.grant.clone()).or_default().push(reading);
            } else {
                grants.push(items::from_item::<Grant>(item)?);
            }
            Ok(())
        };
        Self::each(self.query(&range), each).await?;
        let with_readings = |grant: Grant| {
            let readings = readings.remove(&grant.id).unwrap_or_default();
            (grant, readings)
        };
        Ok(grants.into_iter().map(with_readings).collect())
    }

    /// The grants of these programmes with their readings, a shard at a time, each with the number of its
    /// programme. Of very many grants only few are held at once.
    pub fn shards_of_programmes(
        &self,
        programmes: &[ProgrammeId],
    ) -> impl Stream<Item = Result<ProgrammeShard, StoreError>> {
        let numbered = (0_u16..).zip(programmes);
        let each = numbered.flat_map(|programme| SHARDS.map(|shard| (programme, shard)));
        let shards: Vec<_> = each
            .map(|((number, programme), shard)| async move { Ok((number, self.shard_of(programme, shard).await?)) })
            .collect();
        iter(shards).buffered(SHARDS_AT_ONCE)
    }

    /// The grants with an order of this urgency that is due: longest due first, at most `limit`. The index is
    /// a moment behind.
    pub async fn grants_with_orders(
        &self,
        urgency: Urgency,
        now: Timestamp,
        limit: i32,
    ) -> Result<Vec<(ProgrammeId, GrantId)>, StoreError> {
        let due = self.due(Queue::Order(urgency), now, limit).await?;
        Ok(due.iter().filter_map(keys::grant_of).collect())
    }

    /// A grant with everything that an act on it is decided on.
    ///
    /// The reads need no order, because the write is conditional on the grant's version and on the budget. Where
    /// it gives money back it is conditional on the readings too, which otherwise only grow. And a programme
    /// that closes ends each of its grants.
    pub async fn view(&self, programme: &ProgrammeId, grant: &GrantId) -> Result<Option<View>, StoreError> {
        let (programme, budget, grant, readings) = tokio::try_join!(
            self.get(Programme::key_of(programme)),
            self.get(Budget::key_of(programme)),
            self.get(Grant::key_of(programme, grant)),
            self.list(Reading::of_grant(programme, grant)),
        )?;
        let (Some(programme), Some(budget), Some(grant)) = (programme, budget, grant) else { return Ok(None) };
        Ok(Some(View { programme, budget, grant, readings }))
    }
}
