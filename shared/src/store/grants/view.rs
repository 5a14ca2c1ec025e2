//! Reads of grants: one with everything that an act on it is decided on, and all grants of a programme.

use std::collections::HashMap;

use crate::clock::Moment;
use aws_sdk_dynamodb::types::{AttributeValue, Select};
use futures_util::future::try_join_all;
use futures_util::stream::{Stream, StreamExt, iter};

use crate::domain::audit::Entry;
use crate::domain::grant::{Grant, Urgency, View};
use crate::domain::programme::{Budget, Programme};
use crate::domain::usage::reading::Reading;
use crate::domain::values::id::{GrantId, ProgrammeId};
use crate::sdk_error::reduce;
use crate::store::table::items::Queue;
use crate::store::table::{StoreError, Table, items, keys};

/// How many shards are read at once where they are read one after another.
const SHARDS_AT_ONCE: usize = 8;

/// The number of a programme, and the grants in one of its shards with their readings.
pub type ProgrammeShard = (u16, Vec<(Grant, Vec<Reading>)>);

impl Table {
    /// The grants in one shard of a programme.
    pub async fn grants_of_shard(&self, programme: &ProgrammeId, shard: char) -> Result<Vec<Grant>, StoreError> {
        self.query(&keys::grant_partition(programme, shard), keys::GRANTS).await
    }

    /// Some grants of a shard after this one, in the order of their ids, each by itself, so that one that cannot be read is no obstacle to
    /// the others; empty after the last.
    pub async fn grants_after(
        &self,
        programme: &ProgrammeId,
        shard: char,
        after: Option<&GrantId>,
        limit: i32,
    ) -> Result<Vec<(GrantId, Result<Grant, StoreError>)>, StoreError> {
        let first =
            after.map_or_else(|| keys::GRANTS.to_owned(), |after| format!("{}#", Grant::key_of(programme, after).sk));
        let page = self
            .partition(&keys::grant_partition(programme, shard), "")
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":first", AttributeValue::S(first))
            .expression_attribute_values(":last", AttributeValue::S(format!("{}~", keys::GRANTS)))
            .limit(limit)
            .send()
            .await
            .map_err(|error| StoreError::Service(reduce(&error)))?;
        let named = |item: items::Item| Some((keys::grant_of(&items::key_of(&item))?.1, items::from_item(item)));
        Ok(page.items.unwrap_or_default().into_iter().filter_map(named).collect())
    }

    /// How many grants a programme has.
    pub async fn count_grants(&self, programme: &ProgrammeId) -> Result<u32, StoreError> {
        let counts = keys::SHARDS.iter().map(|shard| self.count_in(keys::grant_partition(programme, *shard)));
        Ok(try_join_all(counts).await?.into_iter().sum())
    }

    async fn count_in(&self, partition: String) -> Result<u32, StoreError> {
        let (mut count, mut from) = (0, None);
        loop {
            let query = self.partition(&partition, keys::GRANTS).select(Select::Count);
            let page = query.set_exclusive_start_key(from).send().await;
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
        let shards = keys::SHARDS.iter().map(|shard| self.grants_of_shard(programme, *shard));
        Ok(try_join_all(shards).await?.into_iter().flatten().collect())
    }

    /// All grants of a programme, each with its readings.
    pub async fn grants_with_readings(
        &self,
        programme: &ProgrammeId,
    ) -> Result<Vec<(Grant, Vec<Reading>)>, StoreError> {
        let shards = keys::SHARDS.iter().map(|shard| self.shard_of(programme, *shard));
        Ok(try_join_all(shards).await?.into_iter().flatten().collect())
    }

    /// Every audit entry on a grant, oldest first.
    pub async fn entries_on_grant(&self, programme: &ProgrammeId, grant: &GrantId) -> Result<Vec<Entry>, StoreError> {
        self.query(&Grant::key_of(programme, grant).pk, &keys::audit_of(grant)).await
    }

    /// The grants in one shard of a programme with their readings, each grant's in the order of their epochs.
    /// They are neighbours in the table, so one query reads both and leaves the audit out.
    pub async fn shard_of(
        &self,
        programme: &ProgrammeId,
        shard: char,
    ) -> Result<Vec<(Grant, Vec<Reading>)>, StoreError> {
        let (first, last) = keys::GRANTS_AND_READINGS;
        let range = self
            .partition(&keys::grant_partition(programme, shard), "")
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":first", AttributeValue::S(first.to_owned()))
            .expression_attribute_values(":last", AttributeValue::S(last.to_owned()));
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
        Self::each(range, each).await?;
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
        let each = numbered.flat_map(|programme| keys::SHARDS.iter().map(move |shard| (programme, *shard)));
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
        now: Moment,
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
        let key = Grant::key_of(programme, grant);
        let (partition, readings) = (key.pk.clone(), keys::readings_of(grant));
        let (programme, budget, grant, readings) = tokio::try_join!(
            self.get(Programme::key_of(programme)),
            self.get(Budget::key_of(programme)),
            self.get(key),
            self.query::<Reading>(&partition, &readings),
        )?;
        let (Some(programme), Some(budget), Some(grant)) = (programme, budget, grant) else { return Ok(None) };
        Ok(Some(View { programme, budget, grant, readings }))
    }
}
