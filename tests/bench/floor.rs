//! The floor: the least that any sync does. It lists the same pages, reads the stored readings once with the
//! same queries, and writes what changed. It makes no decisions and no sums.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::config::Config;
use bursar_core::store::keys;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::seed;
use crate::world::MANAGEMENT_KEY;

/// Queries and writes in flight at once, as many as in the product.
const IN_FLIGHT: usize = 16;
/// The most pages in flight at once, as many as in the product.
const PAGES_IN_FLIGHT: usize = 12;
/// Pages that the product asks for at first; one is added after `GOOD_FOR_ONE_MORE` good answers.
const AT_FIRST: usize = 4;
const GOOD_FOR_ONE_MORE: usize = 50;
const FAILING: [StatusCode; 2] = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE];
/// New rows of each page: a page has a hundred and shares ten with the next.
const STEP: usize = 90;

/// The number of pages that the floor requests at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AtOnce {
    /// As many as the product at each moment, few at first.
    Paced,
    /// Twelve from the beginning.
    Twelve,
}

type Item = HashMap<String, AttributeValue>;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    data: Vec<Row<'a>>,
}

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    usage: f64,
}

/// The whole floor; returns the number of items written.
pub(crate) async fn sync(
    config: &Config,
    table: &Client,
    keys: usize,
    programmes: usize,
    at_once: AtOnce,
) -> Result<usize> {
    let used = list(config, keys, at_once).await?;
    let changed = read(config, table, programmes, &used).await?;
    let count = changed.len();
    stream::iter(changed)
        .map(|item| table.put_item().table_name(&config.table).set_item(Some(item)).send())
        .buffer_unordered(IN_FLIGHT)
        .try_for_each(async |_| Ok(()))
        .await?;
    Ok(count)
}

/// The use of each grant's key in micro-dollars, as the provider lists it.
async fn list(config: &Config, keys: usize, at_once: AtOnce) -> Result<HashMap<String, i64>> {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
    let (client, base) = (&client, &config.provider);
    let workspace = {
        let answer = client.get(format!("{base}/workspaces")).bearer_auth(MANAGEMENT_KEY).send().await?;
        let answer: serde_json::Value = answer.error_for_status()?.json().await?;
        answer["data"][0]["id"].as_str().context("there is no workspace")?.to_owned()
    };
    let workspace = workspace.as_str();
    let at_first = if at_once == AtOnce::Paced { AT_FIRST } else { PAGES_IN_FLIGHT };
    let turns = &Semaphore::new(at_first);
    let one = |offset: usize| async move {
        let _turn = turns.acquire().await?;
        let query = [
            ("include_disabled", "true"),
            ("include_expired", "true"),
            ("workspace_id", workspace),
            ("offset", &offset.to_string()),
        ]
        .map(|(name, value)| format!("{name}={value}"))
        .join("&");
        loop {
            let answer = client.get(format!("{base}/keys?{query}")).bearer_auth(MANAGEMENT_KEY).send().await?;
            // A page that fails is requested again at once.
            if !FAILING.contains(&answer.status()) {
                break Ok::<_, anyhow::Error>(answer.error_for_status()?.bytes().await?);
            }
        }
    };
    let mut used = HashMap::with_capacity(keys);
    let (mut good, most_good) = (0, (PAGES_IN_FLIGHT - at_first) * GOOD_FOR_ONE_MORE);
    let mut pages = stream::iter((0..keys).step_by(STEP)).map(one).buffer_unordered(PAGES_IN_FLIGHT);
    while let Some(page) = pages.try_next().await? {
        good += 1;
        turns.add_permits(usize::from(good <= most_good && good % GOOD_FOR_ONE_MORE == 0));
        let page: Page<'_> = serde_json::from_slice(&page)?;
        for row in page.data {
            let grant = row.name.split('/').nth(3).context("a key has a strange name")?;
            used.insert(grant.to_owned(), (row.usage * 1e6).round() as i64);
        }
    }
    anyhow::ensure!(used.len() == keys, "{} of {keys} keys were listed", used.len());
    Ok(used)
}

/// The stored readings that are lower than what was listed.
async fn read(config: &Config, table: &Client, programmes: usize, used: &HashMap<String, i64>) -> Result<Vec<Item>> {
    let (first, last) = keys::GRANTS_AND_READINGS;
    let partitions = (0..programmes).flat_map(|number| {
        let programme = seed::programme(number);
        keys::SHARDS.map(|shard| keys::grant_partition(&programme, shard))
    });
    let one = |partition: String| async move {
        let query = table
            .query()
            .table_name(&config.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", AttributeValue::S(partition))
            .expression_attribute_values(":first", AttributeValue::S(first.to_owned()))
            .expression_attribute_values(":last", AttributeValue::S(last.to_owned()));
        let mut pages = query.into_paginator().send();
        let mut changed = Vec::new();
        while let Some(page) = pages.next().await {
            let items = page?.items.unwrap_or_default();
            changed.extend(items.into_iter().filter(|item| is_behind(item, used)));
        }
        Ok::<_, anyhow::Error>(changed)
    };
    stream::iter(partitions).map(one).buffer_unordered(IN_FLIGHT).try_concat().await
}

fn is_behind(item: &Item, used: &HashMap<String, i64>) -> bool {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let lifetime = item.get("lifetime").and_then(|value| value.as_n().ok()?.parse::<i64>().ok());
    let listed = text("grant").and_then(|grant| used.get(grant));
    text("kind").is_some_and(|kind| kind == "reading") && lifetime.zip(listed).is_some_and(|(was, is)| was < *is)
}
