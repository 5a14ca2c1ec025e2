//! Reads: strongly consistent wherever an act is decided on one.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;

use crate::aws::reduce;
use crate::prelude::*;
use crate::store::items::{Item, Queue, Stored};
use crate::store::keys::{ItemKey, Key, Range};
use crate::store::table::write::{key_item, text};
use crate::store::{items, keys};

impl Table {
    /// The item with a key.
    pub async fn get<T: Stored>(&self, key: Key<T>) -> Result<Option<T>, StoreError> {
        let get = self.client.get_item().table_name(&self.name).set_key(Some(key_item(&key))).consistent_read(true);
        let answer = get.send().await.map_err(|error| StoreError::Service(reduce(&error)))?;
        answer.item.map(items::from_item).transpose()
    }

    /// All items of a range, in the order of their sort keys.
    pub async fn list<T: Stored>(&self, range: Range<T>) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        let each = |item| {
            found.push(items::from_item(item)?);
            Ok(())
        };
        if range.first <= range.last {
            Self::each(self.query(&range), each).await?;
        }
        Ok(found)
    }

    /// The last items of a range, last first.
    pub async fn newest<T: Stored>(&self, range: Range<T>, limit: i32) -> Result<Vec<T>, StoreError> {
        let page = Self::page(self.query(&range).scan_index_forward(false).limit(limit)).await?;
        page.into_iter().map(items::from_item).collect()
    }

    /// The first item of a range.
    pub async fn oldest<T: Stored>(&self, range: Range<T>) -> Result<Option<T>, StoreError> {
        Self::page(self.query(&range).limit(1)).await?.pop().map(items::from_item).transpose()
    }

    pub(crate) fn query<T>(&self, range: &Range<T>) -> QueryFluentBuilder {
        let query = self.client.query().table_name(&self.name).consistent_read(true);
        query
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(&range.pk))
            .expression_attribute_values(":first", text(&range.first))
            .expression_attribute_values(":last", text(&range.last))
    }

    /// The first page of a query.
    pub(crate) async fn page(query: QueryFluentBuilder) -> Result<Vec<Item>, StoreError> {
        let page = query.send().await.map_err(|error| StoreError::Service(reduce(&error)))?;
        Ok(page.items.unwrap_or_default())
    }

    /// Passes every item to a function, page after page: as attributes they take many times the room of their
    /// values.
    pub(crate) async fn each(
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

    /// The items of a queue that are due, longest due first; at most `limit`. The index is a moment behind.
    pub(crate) async fn due(&self, queue: Queue, now: Moment, limit: i32) -> Result<Vec<ItemKey>, StoreError> {
        let page = Self::page(self.waiting_in(queue, "due <= :when", keys::due(now)).limit(limit)).await?;
        Ok(page.iter().map(items::key_of).collect())
    }

    /// Every entry of a queue that is due from then on, or at all, first due first.
    pub(crate) async fn each_in(
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
            .expression_attribute_values(":queue", text(queue.as_str()))
            .expression_attribute_values(":when", text(when))
    }
}
