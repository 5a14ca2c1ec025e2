//! A table as raw items, read and written past the fault layer and the store. What the items mean
//! is left to `invariants`.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::schema::Stored;
use bursar_core::store::items::{self, Item};

/// The region of tables that no stack made.
pub const REGION: &str = "us-east-1";

/// A table at the engine's own origin, past the fault layer and the store.
#[derive(Clone)]
pub struct RawTable {
    pub client: Client,
    pub name: String,
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
        RawTable {
            client: Client::from_conf(config),
            name: name.to_owned(),
        }
    }

    /// Puts an item without a condition.
    pub async fn put(&self, item: Item) {
        self.client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .send()
            .await
            .unwrap();
    }

    /// Puts a value as the item that the store would write.
    pub async fn keep<T: Stored>(&self, value: &T) {
        self.put(items::to_item(value).unwrap()).await;
    }

    pub async fn delete(&self, pk: &str, sk: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let delete = self
            .client
            .delete_item()
            .table_name(&self.name)
            .key("pk", text(pk))
            .key("sk", text(sk));
        delete.send().await.unwrap();
    }

    /// Every item of the table, in which nothing may be written meanwhile.
    pub async fn items(&self) -> Vec<Item> {
        let scan = self
            .client
            .scan()
            .table_name(&self.name)
            .consistent_read(true)
            .into_paginator();
        scan.items().send().collect::<Result<_, _>>().await.unwrap()
    }
}
