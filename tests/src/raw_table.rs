//! A table as raw items, read and written past the fault layer and the store. What the items mean is left to
//! `invariants`.

use anyhow::{Context, Result};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use bursar_core::store::items::{self, Item, Stored};

/// The region of tables that no stack made.
pub const REGION: &str = "us-east-1";

/// A table at the engine's own origin, past the fault layer and the store.
#[derive(Clone)]
pub struct RawTable {
    client: Client,
    name: String,
}

impl RawTable {
    pub fn at(origin: &str, name: &str) -> RawTable {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new("any", "any", None, None, "by hand"))
            .retry_config(RetryConfig::disabled())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(origin)
            .build();
        RawTable::of(Client::from_conf(config), name)
    }

    /// Another table of the same engine, over the same connections.
    pub fn of(client: Client, name: &str) -> RawTable {
        RawTable { client, name: name.to_owned() }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts an item without a condition.
    pub async fn put(&self, item: Item) -> Result<()> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        put.send().await.context("an item cannot be put")?;
        Ok(())
    }

    /// Puts a value as the item that the store would write.
    pub async fn keep<T: Stored>(&self, value: &T) -> Result<()> {
        self.put(items::to_item(value)?).await
    }

    /// Every item of the table, in which nothing may be written meanwhile.
    pub async fn items(&self) -> Result<Vec<Item>> {
        let mut found = Vec::new();
        let mut from = None;
        loop {
            let scan = self.client.scan().table_name(&self.name).consistent_read(true);
            let page = scan.set_exclusive_start_key(from).send().await;
            let page = page.context("the table cannot be scanned")?;
            found.extend(page.items.unwrap_or_default());
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(found);
            }
        }
    }
}
