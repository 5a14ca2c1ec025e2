//! Reads: strongly consistent wherever an act is decided on one.

use crate::clock::Moment;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::sdk_error::reduce;
use crate::store::table::items::{Item, Queue, Stored};
use crate::store::table::keys::{ItemKey, Key};
use crate::store::table::{StoreError, Table, items, keys};

impl Table {
    /// The items of a queue that are due, longest due first; at most `limit`. The index is a moment behind.
    pub(in crate::store) async fn due(
        &self,
        queue: Queue,
        now: Moment,
        limit: i32,
    ) -> Result<Vec<ItemKey>, StoreError> {
        let query = self.waiting_in(queue, "due <= :when", keys::due(now)).limit(limit);
        let page = query.send().await.map_err(|error| StoreError::Service(reduce(&error)))?;
        Ok(page.items.unwrap_or_default().iter().map(items::key_of).collect())
    }

    /// Every entry of a queue that is due from then on, or at all, first due first.
    pub(in crate::store) async fn each_in(
        &self,
        queue: Queue,
        from: Option<Moment>,
        mut take: impl FnMut(&Item),
    ) -> Result<(), StoreError> {
        // Every due time begins with a digit, and no digit sorts before `0`.
        let from = from.map_or_else(|| "0".to_owned(), keys::due);
        Self::each(self.waiting_in(queue, "due >= :when", from), |item| {
            take(&item);
            Ok(())
        })
        .await
    }

    fn waiting_in(&self, queue: Queue, condition: &str, when: String) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.name)
            .index_name("due")
            .key_condition_expression(format!("queue = :queue AND {condition}"))
            .expression_attribute_values(":queue", AttributeValue::S(queue.as_str().to_owned()))
            .expression_attribute_values(":when", AttributeValue::S(when))
    }

    /// The item with a key.
    pub async fn get<T: Stored>(&self, key: Key<T>) -> Result<Option<T>, StoreError> {
        self.get_item(&key).await?.map(items::from_item).transpose()
    }

    pub(in crate::store) async fn get_item(&self, key: &ItemKey) -> Result<Option<Item>, StoreError> {
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

    /// All items of a partition whose sort key has this prefix, page after page.
    pub(in crate::store) async fn query<T: Stored>(&self, pk: &str, sk_begins: &str) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        let each = |item| {
            found.push(items::from_item(item)?);
            Ok(())
        };
        Self::each(self.partition(pk, sk_begins), each).await?;
        Ok(found)
    }

    /// All items from one key to another of the same partition, both included.
    pub(in crate::store) async fn query_between<T: Stored>(
        &self,
        first: &ItemKey,
        last: &ItemKey,
    ) -> Result<Vec<T>, StoreError> {
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

    /// Passes every item to a function, page after page: as attributes they take many times the room of their
    /// values.
    pub(in crate::store) async fn each(
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

    /// The last items with this prefix, last first.
    pub(in crate::store) async fn newest<T: Stored>(
        &self,
        pk: &str,
        sk_begins: &str,
        limit: i32,
    ) -> Result<Vec<T>, StoreError> {
        let query = self.partition(pk, sk_begins).scan_index_forward(false).limit(limit);
        let page = query.send().await.map_err(|error| StoreError::Service(reduce(&error)))?;
        page.items.unwrap_or_default().into_iter().map(items::from_item).collect()
    }

    /// The first item with this prefix.
    pub(in crate::store) async fn oldest<T: Stored>(&self, pk: &str, sk_begins: &str) -> Result<Option<T>, StoreError> {
        let page = self.partition(pk, sk_begins).limit(1).send().await;
        let page = page.map_err(|error| StoreError::Service(reduce(&error)))?;
        page.items.unwrap_or_default().into_iter().next().map(items::from_item).transpose()
    }

    pub(in crate::store) fn partition(&self, pk: &str, sk_begins: &str) -> QueryFluentBuilder {
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
