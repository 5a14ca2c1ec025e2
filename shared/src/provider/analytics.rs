//! Use by key, model and day as the provider reports it. An unreadable row is counted apart and
//! never as zero. [`models`](crate::domain::usage::models) attributes the use.

use std::ops::RangeInclusive;

use jiff::civil::Date;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Provider;
use crate::deadline::Deadline;
use crate::domain::usage::models::{ModelRow, Sums};
use crate::domain::values::money::{MoneyError, Usd};
use crate::provider::wire::calls::QUERY_ANALYTICS;
use crate::provider::wire::error::{Result, harmless};
use crate::provider::wire::json;
use crate::provider::wire::json::{Envelope, Unreadable};

pub const MOST_ROWS: usize = 10_000;
/// The most warnings of an answer that are logged.
const MOST_WARNINGS: usize = 10;

/// The use of every model by every key on some days. Keys of one name are one row, since the
/// provider reports only the name.
#[derive(Debug)]
pub struct ModelUsage {
    pub rows: Vec<ModelRow>,
    /// How many further rows could not be read, and why the first of them could not, fit for a log.
    pub unreadable: u64,
    pub why_unreadable: Option<String>,
    /// Whether rows are missing, none of them larger than those that are here.
    pub truncated: bool,
    pub warnings: Vec<String>,
}

impl Provider {
    pub async fn model_usage(
        &self,
        days: RangeInclusive<Date>,
        deadline: Deadline,
    ) -> Result<ModelUsage> {
        let request = QUERY_ANALYTICS.request().json(&query(&days))?;
        self.ask(request, deadline, |body| model_usage(body, &days))
            .await
    }
}

/// The one query. Its order leaves the smallest rows out.
fn query(days: &RangeInclusive<Date>) -> Value {
    let first = *days.start();
    let last = *days.end();
    let after = last.tomorrow().unwrap_or(last);
    // One bucket more than the days: it is not documented whether the end belongs to the range.
    let buckets = (after.duration_since(first).as_hours() / 24 + 1) as usize;
    json!({
        "metrics": ["total_usage", "credits_usage", "byok_usage", "request_count"],
        "dimensions": ["api_key_id", "model"],
        "granularity": "day",
        "time_range": {"start": format!("{first}T00:00:00Z"), "end": format!("{after}T00:00:00Z")},
        "order_by": {"field": "total_usage", "direction": "desc"},
        "limit": MOST_ROWS,
        // The limit again, without which the provider may answer with more rows.
        "group_limit": buckets.clamp(1, MOST_ROWS),
    })
}

#[derive(Deserialize)]
struct AnalyticsReport<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    warnings: Value,
}

#[derive(Deserialize)]
struct AnalyticsRow {
    #[serde(rename = "date__day", deserialize_with = "day")]
    day: Date,
    #[serde(deserialize_with = "label")]
    api_key_id: String,
    #[serde(deserialize_with = "label")]
    model: String,
    #[serde(deserialize_with = "used")]
    credits_usage: Usd,
    #[serde(deserialize_with = "used")]
    byok_usage: Usd,
    #[serde(deserialize_with = "counted")]
    request_count: u64,
}

fn model_usage(body: &str, days: &RangeInclusive<Date>) -> Result<ModelUsage, Unreadable> {
    let Envelope { data: report } = serde_json::from_str::<Envelope<AnalyticsReport<'_>>>(body)
        .map_err(|error| json::unreadable(&error))?;
    let warnings = report
        .warnings
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let mut usage = ModelUsage {
        rows: Vec::with_capacity(report.data.len()),
        unreadable: 0,
        why_unreadable: None,
        truncated: is_truncated(&report.metadata, report.data.len()),
        warnings: warnings.take(MOST_WARNINGS).map(harmless).collect(),
    };
    for row in report.data {
        match serde_json::from_str::<AnalyticsRow>(row.get()) {
            Ok(row) if days.contains(&row.day) => usage.rows.push(ModelRow {
                key_name: row.api_key_id,
                model: row.model,
                day: row.day,
                used: Sums {
                    spent: row.credits_usage,
                    byok: row.byok_usage,
                    requests: row.request_count,
                },
            }),
            // A bucket more than the days was asked for.
            Ok(_) => {}
            Err(error) => {
                usage.unreadable += 1;
                usage
                    .why_unreadable
                    .get_or_insert_with(|| harmless(&error.to_string()));
            }
        }
    }
    Ok(usage)
}

/// Whether rows are missing. Where the provider does not say so, an answer with the most rows
/// possible is taken to be cut off.
fn is_truncated(metadata: &Value, came: usize) -> bool {
    let said = metadata["row_count"]
        .as_u64()
        .and_then(|rows| usize::try_from(rows).ok());
    let lost_on_the_way = said.is_some_and(|rows| rows > came);
    lost_on_the_way || metadata["truncated"].as_bool().unwrap_or(came >= MOST_ROWS)
}

/// A day, whatever time may follow it.
fn day<'de, D: Deserializer<'de>>(from: D) -> Result<Date, D::Error> {
    let text = String::deserialize(from)?;
    let date = text.get(..10).and_then(|date| date.parse().ok());
    date.ok_or_else(|| D::Error::custom("this is no day"))
}

fn label<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    match Value::deserialize(from)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null => Ok(String::new()),
        _ => Err(D::Error::custom("this is no name")),
    }
}

/// An amount by its decimal text, written as a number or as a string.
fn used<'de, D: Deserializer<'de>>(from: D) -> Result<Usd, D::Error> {
    let raw = <&RawValue>::deserialize(from)?;
    match Usd::parse_ceil(raw.get().trim_matches('"')) {
        Ok(amount) if amount < Usd::ZERO => Err(D::Error::custom("less than nothing was used")),
        Ok(amount) => Ok(amount),
        Err(MoneyError::TooLarge) => Err(D::Error::custom("an absurd amount was used")),
        Err(_) => Err(D::Error::custom("this is no amount")),
    }
}

fn counted<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    json::count(from)?.ok_or_else(|| D::Error::custom("this is no count"))
}
