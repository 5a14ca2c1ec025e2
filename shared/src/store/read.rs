//! Reading: strongly consistent wherever an act is decided on it.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Select};

use futures_util::future::try_join_all;
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use jiff::Timestamp;

use super::items::{self, Item, ListedProgramme, MailClass, Queue, Stored};
use super::keys::{self, Key};
use super::{StoreError, Table};
use crate::domain::audit::Entry;
use crate::domain::grant::{Grant, Reading, Urgency, View};
use crate::domain::id::{GrantId, ProgrammeId};
use crate::domain::programme::{Pot, Programme};
use crate::sdk_error::reduce;

/// So many programmes are read side by side.
const PROGRAMMES_AT_ONCE: usize = 16;

impl Table {
    pub async fn programme(&self, id: &ProgrammeId) -> Result<Option<Programme>, StoreError> {
        self.get(&keys::programme(id)).await
    }

    /// Every programme's id, in their order.
    pub async fn programme_ids(&self) -> Result<Vec<ProgrammeId>, StoreError> {
        let listed: Vec<ListedProgramme> = self.query(keys::PROGRAMMES, "").await?;
        Ok(listed.into_iter().map(|listed| listed.programme).collect())
    }

    /// Every programme, in the order of their ids.
    pub async fn programmes(&self) -> Result<Vec<Programme>, StoreError> {
        self.programmes_by_id(&self.programme_ids().await?).await
    }

    /// Every programme that can be read, in the order of their ids, and the ids of those that cannot.
    pub async fn readable_programmes(&self) -> Result<(Vec<Programme>, Vec<ProgrammeId>), StoreError> {
        let ids = self.programme_ids().await?;
        let each: Vec<_> = ids.iter().map(|id| self.listed_programme(id)).collect();
        let read: Vec<_> = iter(each).buffered(PROGRAMMES_AT_ONCE).collect().await;
        let (mut programmes, mut unreadable) = (Vec::new(), Vec::new());
        for (id, read) in ids.into_iter().zip(read) {
            match read {
                Ok(programme) => programmes.push(programme),
                Err(StoreError::Corrupt { .. }) => unreadable.push(id),
                Err(error) => return Err(error),
            }
        }
        Ok((programmes, unreadable))
    }

    /// The programmes of these ids, in their order. None of them can be missing: a programme is never removed.
    pub async fn programmes_by_id(&self, ids: &[ProgrammeId]) -> Result<Vec<Programme>, StoreError> {
        let each: Vec<_> = ids.iter().map(|id| self.listed_programme(id)).collect();
        iter(each).buffered(PROGRAMMES_AT_ONCE).try_collect().await
    }

    async fn listed_programme(&self, id: &ProgrammeId) -> Result<Programme, StoreError> {
        let missing = || StoreError::corrupt(&keys::programme(id), Programme::KIND, &"it is listed, and not there");
        self.programme(id).await?.ok_or_else(missing)
    }

    pub async fn pot(&self, programme: &ProgrammeId) -> Result<Option<Pot>, StoreError> {
        self.get(&keys::pot(programme)).await
    }

    pub async fn grant(&self, programme: &ProgrammeId, grant: &GrantId) -> Result<Option<Grant>, StoreError> {
        self.get(&keys::grant(programme, grant)).await
    }

    /// One sixteenth of a programme's grants.
    pub async fn grants_of_shard(&self, programme: &ProgrammeId, shard: char) -> Result<Vec<Grant>, StoreError> {
        self.query(&keys::grant_partition(programme, shard), keys::GRANTS).await
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

    /// Every audit entry on a programme itself, oldest first.
    pub async fn entries_on_programme(&self, programme: &ProgrammeId) -> Result<Vec<Entry>, StoreError> {
        self.query(&keys::programme(programme).pk, keys::audit_of_programme()).await
    }

    /// Every audit entry on a grant, oldest first.
    pub async fn entries_on_grant(&self, programme: &ProgrammeId, grant: &GrantId) -> Result<Vec<Entry>, StoreError> {
        self.query(&keys::grant(programme, grant).pk, &keys::audit_of(grant)).await
    }

    /// One sixteenth of a programme's grants with what their keys have used, each grant's readings in the order of their epochs. They
    /// lie side by side, so one query reads both and leaves the audit out.
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

    /// The grants of which the provider was to be told something so urgent, and due, a moment ago: longest due first, at most `limit`.
    pub async fn grants_with_orders(
        &self,
        urgency: Urgency,
        now: Timestamp,
        limit: i32,
    ) -> Result<Vec<(ProgrammeId, GrantId)>, StoreError> {
        let due = self.due(Queue::Order(urgency), now, limit).await?;
        Ok(due.iter().filter_map(keys::grant_of).collect())
    }

    /// What waits in a queue and has come due, longest due first; at most `limit`. The index is a moment behind.
    pub(super) async fn due(&self, queue: Queue, now: Timestamp, limit: i32) -> Result<Vec<Key>, StoreError> {
        let page = self
            .client
            .query()
            .table_name(&self.name)
            .index_name("due")
            .key_condition_expression("queue = :queue AND due <= :now")
            .expression_attribute_values(":queue", AttributeValue::S(queue.as_str().to_owned()))
            .expression_attribute_values(":now", AttributeValue::S(keys::due(now)))
            .limit(limit)
            .send()
            .await
            .map_err(|error| StoreError::Service(reduce(&error)))?;
        Ok(page.items.unwrap_or_default().iter().map(items::key_of).collect())
    }

    /// How many mails wait to be sent.
    pub async fn waiting_mails(&self) -> Result<u64, StoreError> {
        let mut waiting = 0;
        for class in MailClass::ALL {
            let mut from = None;
            loop {
                let page = self
                    .client
                    .query()
                    .table_name(&self.name)
                    .index_name("due")
                    .key_condition_expression("queue = :queue")
                    .expression_attribute_values(":queue", AttributeValue::S(class.queue().as_str().to_owned()))
                    .select(Select::Count)
                    .set_exclusive_start_key(from)
                    .send()
                    .await
                    .map_err(|error| StoreError::Service(reduce(&error)))?;
                waiting += u64::try_from(page.count).unwrap_or_default();
                from = page.last_evaluated_key;
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(waiting)
    }

    /// A grant with all that an act on it is decided on. The reads need no order: the write is conditional on the grant's
    /// version, on the pot and, where it gives money back, on the readings, which otherwise only grow; and a programme that
    /// closes ends each of its grants.
    pub async fn view(&self, programme: &ProgrammeId, grant: &GrantId) -> Result<Option<View>, StoreError> {
        let (key, readings) = (keys::grant(programme, grant), keys::readings_of(grant));
        let (programme, pot, grant, readings) = tokio::try_join!(
            self.programme(programme),
            self.pot(programme),
            self.get::<Grant>(&key),
            self.query::<Reading>(&key.pk, &readings),
        )?;
        let (Some(programme), Some(pot), Some(grant)) = (programme, pot, grant) else { return Ok(None) };
        Ok(Some(View { programme, pot, grant, readings }))
    }

    /// What was done to a grant and by whom, oldest first.
    pub async fn entries_of(&self, programme: &ProgrammeId, grant: &GrantId) -> Result<Vec<Entry>, StoreError> {
        self.query(&keys::grant(programme, grant).pk, &keys::audit_of(grant)).await
    }

    pub(super) async fn get<T: Stored>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        self.get_item(key).await?.map(items::from_item).transpose()
    }

    pub(super) async fn get_item(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .key("pk", AttributeValue::S(key.pk.clone()))
            .key("sk", AttributeValue::S(key.sk.clone()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::Service(reduce(&error)))?;
        Ok(answer.item)
    }

    /// All items of a partition whose sort key begins so, page after page.
    pub(super) async fn query<T: Stored>(&self, pk: &str, sk_begins: &str) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        let each = |item| {
            found.push(items::from_item(item)?);
            Ok(())
        };
        Self::each(self.partition(pk, sk_begins), each).await?;
        Ok(found)
    }

    /// All items from one key to another of the same partition, both included.
    pub(super) async fn query_between<T: Stored>(&self, first: &Key, last: &Key) -> Result<Vec<T>, StoreError> {
        if first.sk > last.sk {
            return Ok(Vec::new());
        }
        let range = self
            .partition(&first.pk, "")
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":first", AttributeValue::S(first.sk.clone()))
            .expression_attribute_values(":last", AttributeValue::S(last.sk.clone()));
        let mut found = Vec::new();
        let each = |item| {
            found.push(items::from_item(item)?);
            Ok(())
        };
        Self::each(range, each).await?;
        Ok(found)
    }

    /// Hands every item over, page after page: as attributes they take many times the room of what they say.
    async fn each(
        query: QueryFluentBuilder,
        mut take: impl FnMut(Item) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut from = None;
        loop {
            let page = query.clone().set_exclusive_start_key(from).send().await;
            let page = page.map_err(|error| StoreError::Service(reduce(&error)))?;
            page.items.unwrap_or_default().into_iter().try_for_each(&mut take)?;
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    /// The last items of such a range, last first.
    pub(super) async fn newest<T: Stored>(&self, pk: &str, sk_begins: &str, limit: i32) -> Result<Vec<T>, StoreError> {
        let query = self.partition(pk, sk_begins).scan_index_forward(false).limit(limit);
        let page = query.send().await.map_err(|error| StoreError::Service(reduce(&error)))?;
        page.items.unwrap_or_default().into_iter().map(items::from_item).collect()
    }

    /// The first item of such a range.
    pub(super) async fn oldest<T: Stored>(&self, pk: &str, sk_begins: &str) -> Result<Option<T>, StoreError> {
        let page = self.partition(pk, sk_begins).limit(1).send().await;
        let page = page.map_err(|error| StoreError::Service(reduce(&error)))?;
        page.items.unwrap_or_default().into_iter().next().map(items::from_item).transpose()
    }

    fn partition(&self, pk: &str, sk_begins: &str) -> QueryFluentBuilder {
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()));
        if sk_begins.is_empty() {
            return query.key_condition_expression("pk = :pk");
        }
        query
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":sk", AttributeValue::S(sk_begins.to_owned()))
    }
}
