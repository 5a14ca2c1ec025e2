//! The table's machinery: keys and items, reads, single writes, transactions, leases. It knows no
//! acts of the product. Reads are strongly consistent wherever an act is decided on one.

pub mod items;
pub(super) mod meta;
pub(super) mod write;

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use futures_util::future::try_join_all;
use items::Item;
use meta::SHAPE;
use write::{key_item, text};

use crate::aws::{AwsAccess, SdkFailure, reduce};
use crate::clock::Moment;
use crate::config::Config;
use crate::domain::values::address::EmailAddress;
use crate::schema;
use crate::schema::{ItemKey, Queue, Range, Stored, TableKey};

#[derive(Clone)]
pub struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
    /// The admins of the environment. Others are in the table.
    pub(crate) environment_admins: Arc<[EmailAddress]>,
}

impl Table {
    pub fn new(config: &Config) -> Table {
        Table {
            client: config.aws.dynamodb(),
            name: config.table.clone(),
            environment_admins: config.admins.clone().into(),
        }
    }

    /// A handle on a table by its name, without the rest of a function's configuration.
    pub fn named(name: &str, aws: &AwsAccess) -> Table {
        Table {
            client: aws.dynamodb(),
            name: name.to_owned(),
            environment_admins: Arc::default(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this table is a copy of the one that the deployment's own item names.
    pub fn is_copy(&self, meta: &meta::Meta) -> bool {
        meta.table != self.name
    }
}

/// A fault between the code and the table. Outcomes that a caller chooses between are enums of the
/// acts.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The table did not do it, or did not say whether it did.
    #[error("the table: {0}")]
    Service(SdkFailure),
    /// An item does not fit its key or type. It is never taken for absent.
    #[error("an item of the kind {kind} is corrupt ({shape}): {why}")]
    Corrupt {
        kind: &'static str,
        shape: String,
        why: String,
    },
    /// Nothing of such a table is read, and nothing is migrated.
    #[error(
        "the table was written in the shape {0}, and this version reads the shape {SHAPE} alone: begin with a new table, or go back to the version that wrote it"
    )]
    OtherShape(u32),
    /// Conflicts with other writers went on until the time was up.
    #[error("the same items were changed by others until the time was up")]
    Contended,
}

/// What the table's methods answer, unless they say otherwise.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl StoreError {
    pub fn may_pass(&self) -> bool {
        match self {
            StoreError::Service(failure) => failure.retryable,
            StoreError::Contended => true,
            StoreError::Corrupt { .. } | StoreError::OtherShape(_) => false,
        }
    }

    /// A corrupt item's error, with only the prefixes of its key: keys can hold addresses.
    pub(crate) fn corrupt(
        key: &ItemKey,
        kind: &'static str,
        why: &dyn std::fmt::Display,
    ) -> StoreError {
        let shape = format!("{}/{}", prefix_of(&key.pk), prefix_of(&key.sk));
        StoreError::Corrupt {
            kind,
            shape,
            why: why.to_string(),
        }
    }
}

fn prefix_of(key: &str) -> &str {
    key.split('#').next().unwrap_or_default()
}

impl Table {
    // A call of the SDK is a large future, which is boxed here and wherever one is awaited: else
    // all that wait for it were as large.
    pub async fn get<T: Stored>(&self, key: TableKey<T>) -> Result<Option<T>> {
        let get = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(key_item(&key)))
            .consistent_read(true);
        let answer = Box::pin(get.send())
            .await
            .map_err(|error| StoreError::Service(reduce(&error)))?;
        answer.item.map(items::from_item).transpose()
    }

    /// An item without which the table is not whole.
    pub async fn get_existing<T: Stored>(&self, key: TableKey<T>) -> Result<T> {
        let named = ItemKey::clone(&key);
        self.get(key)
            .await?
            .ok_or_else(|| StoreError::corrupt(&named, T::KIND, &"it is not there"))
    }

    /// All items of a range, in the order of their sort keys.
    pub async fn list<T: Stored>(&self, range: Range<T>) -> Result<Vec<T>> {
        if range.first <= range.last {
            Self::read_all(self.query(&range)).await
        } else {
            Ok(Vec::new())
        }
    }

    /// All items that a query finds.
    pub(crate) async fn read_all<T: Stored>(query: QueryFluentBuilder) -> Result<Vec<T>> {
        let mut values = Vec::new();
        Self::each(query, |attributes| {
            values.push(items::from_item(attributes)?);
            Ok(())
        })
        .await?;
        Ok(values)
    }

    pub async fn newest<T: Stored>(&self, range: Range<T>, limit: i32) -> Result<Vec<T>> {
        let page = Self::page(self.query(&range).scan_index_forward(false).limit(limit)).await?;
        page.items
            .unwrap_or_default()
            .into_iter()
            .map(items::from_item)
            .collect()
    }

    /// All items of a range that this version can read, for who only tells of them: one of a newer
    /// version is left out, so that the rest is told. What is reckoned with or erased is read
    /// whole.
    pub async fn list_known<T: Stored>(&self, range: Range<T>) -> Result<Vec<T>> {
        let mut values = Vec::new();
        Self::each(self.query(&range), |attributes| {
            values.extend(
                items::from_item(attributes)
                    .inspect_err(|error| tracing::warn!(%error, "it is left out")),
            );
            Ok(())
        })
        .await?;
        Ok(values)
    }

    pub async fn oldest<T: Stored>(&self, range: Range<T>) -> Result<Option<T>> {
        let page = Self::page(self.query(&range).limit(1)).await?;
        page.items
            .unwrap_or_default()
            .pop()
            .map(items::from_item)
            .transpose()
    }

    pub(crate) fn query<T>(&self, range: &Range<T>) -> QueryFluentBuilder {
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true);
        query
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(&range.pk))
            .expression_attribute_values(":first", text(&range.first))
            .expression_attribute_values(":last", text(&range.last))
    }

    /// One page, which ends at the query's limit, or at a megabyte before.
    pub(crate) async fn page(query: QueryFluentBuilder) -> Result<QueryOutput> {
        Box::pin(query.send())
            .await
            .map_err(|error| StoreError::Service(reduce(&error)))
    }

    /// Passes every item to a function, page after page: as attributes they take many times the
    /// room of their values.
    pub(crate) async fn each(
        query: QueryFluentBuilder,
        mut take: impl FnMut(Item) -> Result<()>,
    ) -> Result<()> {
        let mut from = None;
        loop {
            let page = Self::page(query.clone().set_exclusive_start_key(from)).await?;
            page.items
                .unwrap_or_default()
                .into_iter()
                .try_for_each(&mut take)?;
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    /// The items of a queue that are due, longest due first; at most `limit`. The index is a moment
    /// behind.
    pub(crate) async fn due(&self, queue: Queue, now: Moment, limit: i32) -> Result<Vec<ItemKey>> {
        let page = Self::page(
            self.waiting_in(queue, "due <= :when", schema::due(now))
                .limit(limit),
        )
        .await?;
        Ok(page.items().iter().map(items::key_of).collect())
    }

    /// The first entries of a queue that are due from then on.
    pub(crate) async fn due_from(
        &self,
        queue: Queue,
        from: Moment,
        limit: i32,
    ) -> Result<Vec<ItemKey>> {
        let page = Self::page(
            self.waiting_in(queue, "due >= :when", schema::due(from))
                .limit(limit),
        )
        .await?;
        Ok(page.items().iter().map(items::key_of).collect())
    }

    /// Every entry of a queue that is due from then on, or at all, first due first.
    pub(crate) async fn visit_queue(
        &self,
        queue: Queue,
        from: Option<Moment>,
        mut take: impl FnMut(&Item),
    ) -> Result<()> {
        // Every due time begins with a digit, and no digit sorts before `0`.
        let from = from.map_or_else(|| "0".to_owned(), schema::due);
        Self::each(self.waiting_in(queue, "due >= :when", from), |attributes| {
            take(&attributes);
            Ok(())
        })
        .await
    }

    /// Every entry of a queue that is due, longest due first.
    pub(crate) async fn visit_due(
        &self,
        queue: Queue,
        now: Moment,
        mut take: impl FnMut(&Item),
    ) -> Result<()> {
        Self::each(
            self.waiting_in(queue, "due <= :when", schema::due(now)),
            |attributes| {
                take(&attributes);
                Ok(())
            },
        )
        .await
    }

    fn waiting_in(&self, queue: Queue, condition: &str, when: String) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.name)
            .index_name("due")
            .key_condition_expression(format!("queue = :queue AND {condition}"))
            .expression_attribute_values(":queue", text(queue.0))
            .expression_attribute_values(":when", text(when))
    }
}

/// What these reads find, which are made side by side, in their order.
pub(crate) async fn collect_reads<F, I>(reads: impl IntoIterator<Item = F>) -> Result<Vec<I::Item>>
where
    F: Future<Output = Result<I>>,
    I: IntoIterator,
{
    Ok(try_join_all(reads).await?.into_iter().flatten().collect())
}
