//! Use by key, model and day as the provider reports it, and the account's activity by model, which knows no
//! keys. An unreadable row is counted apart and never as zero. `domain/usage/models.rs` attributes the use.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use jiff::civil::Date;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Provider;
use crate::deadline::Deadline;
use crate::domain::usage::models::{ActivityRow, ModelRow};
use crate::domain::values::money::{MoneyError, Usd};
use crate::provider::wire::calls::{ACTIVITY, QUERY_ANALYTICS, Request};
use crate::provider::wire::error::ProviderError;
use crate::provider::wire::json::{self, Envelope, Unreadable};
use crate::provider::wire::text::harmless;

/// The most rows that the provider's documents let a query ask for.
pub const MOST_ROWS: usize = 10_000;
/// The most warnings of an answer that are logged.
const MOST_WARNINGS: usize = 10;

/// The use of every model by every key on some days. Keys of one name are one row, since the provider reports
/// only the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelUsage {
    /// The rows, the largest first.
    pub rows: Vec<ModelRow>,
    pub unreadable: UnreadableRows,
    /// Whether rows are missing, none of them larger than those that are here.
    pub truncated: bool,
    pub warnings: Vec<String>,
}

/// The whole account's use of every model on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    pub rows: Vec<ActivityRow>,
    pub unreadable: UnreadableRows,
}

/// Rows that could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnreadableRows {
    pub count: u64,
    /// The reason that the first of them could not be read, fit for a log.
    pub why: Option<String>,
}

impl Provider {
    /// Queries the use of every model by every key on each of these UTC days, in one request.
    pub async fn model_usage(
        &self,
        days: RangeInclusive<Date>,
        deadline: Deadline,
    ) -> Result<ModelUsage, ProviderError> {
        let ask = QUERY_ANALYTICS.request().json(&Query::of(&days))?;
        self.ask(ask, deadline, |body| model_usage(body, &days)).await
    }

    /// Reads the account's use of each model on one UTC day, which is over and not more than thirty days ago.
    pub async fn activity(&self, day: Date, deadline: Deadline) -> Result<Activity, ProviderError> {
        let date = day.to_string();
        let ask = Request { query: &[("date", &date)], ..ACTIVITY.request() };
        self.ask(ask, deadline, |body| activity(body, day)).await
    }
}

/// The one query. Its order leaves the smallest rows out.
#[derive(Serialize)]
struct Query {
    metrics: [&'static str; 4],
    dimensions: [&'static str; 2],
    granularity: &'static str,
    time_range: TimeRange,
    order_by: OrderBy,
    limit: usize,
    /// The limit again, without which the provider may answer with more rows.
    group_limit: usize,
}

#[derive(Serialize)]
struct TimeRange {
    start: String,
    end: String,
}

#[derive(Serialize)]
struct OrderBy {
    field: &'static str,
    direction: &'static str,
}

impl Query {
    fn of(days: &RangeInclusive<Date>) -> Query {
        let midnight = |day: Date| format!("{day}T00:00:00Z");
        let (first, last) = (*days.start(), *days.end());
        let after = last.tomorrow().unwrap_or(last);
        // One bucket more than the days: it is not documented whether the end belongs to the range.
        let buckets = usize::try_from(after.duration_since(first).as_hours() / 24 + 1).unwrap_or(1);
        Query {
            metrics: ["total_usage", "credits_usage", "byok_usage", "request_count"],
            dimensions: ["api_key_id", "model"],
            granularity: "day",
            time_range: TimeRange { start: midnight(first), end: midnight(after) },
            order_by: OrderBy { field: "total_usage", direction: "desc" },
            limit: MOST_ROWS,
            group_limit: buckets.clamp(1, MOST_ROWS),
        }
    }
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
struct ReportRow {
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

#[derive(Deserialize)]
struct ActivityLine {
    #[serde(deserialize_with = "day")]
    date: Date,
    #[serde(deserialize_with = "label")]
    model: String,
    #[serde(default, deserialize_with = "label")]
    model_permaslug: String,
    #[serde(deserialize_with = "used")]
    usage: Usd,
    #[serde(deserialize_with = "used")]
    byok_usage_inference: Usd,
    #[serde(deserialize_with = "counted")]
    requests: u64,
}

fn model_usage(body: &str, days: &RangeInclusive<Date>) -> Result<ModelUsage, Unreadable> {
    let Envelope { data: report } =
        serde_json::from_str::<Envelope<AnalyticsReport<'_>>>(body).map_err(|error| json::unreadable(&error))?;
    let (rows, unreadable) = read_rows::<ReportRow>(&report.data);
    let rows = rows.into_iter().filter(|row| days.contains(&row.day)).map(|row| ModelRow {
        key_name: row.api_key_id,
        model: row.model,
        day: row.day,
        spent: row.credits_usage,
        byok: row.byok_usage,
        requests: row.request_count,
    });
    let warnings = report.warnings.as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok(ModelUsage {
        rows: rows.collect(),
        unreadable,
        truncated: is_truncated(&report.metadata, report.data.len()),
        warnings: warnings.take(MOST_WARNINGS).map(harmless).collect(),
    })
}

/// Whether rows are missing. Where the provider does not say so, an answer with the most rows possible is
/// taken to be cut off.
fn is_truncated(metadata: &Value, came: usize) -> bool {
    let said = metadata["row_count"].as_u64().and_then(|rows| usize::try_from(rows).ok());
    let lost_on_the_way = said.is_some_and(|rows| rows > came);
    lost_on_the_way || metadata["truncated"].as_bool().unwrap_or(came >= MOST_ROWS)
}

fn activity(body: &str, day: Date) -> Result<Activity, Unreadable> {
    #[derive(Deserialize)]
    struct ActivityBody<'a> {
        #[serde(borrow)]
        data: Vec<&'a RawValue>,
    }
    let ActivityBody { data } = serde_json::from_str(body).map_err(|error| json::unreadable(&error))?;
    let (lines, unreadable) = read_rows::<ActivityLine>(&data);
    // The provider has a row for each endpoint of a model; they are added up here.
    let mut rows: BTreeMap<(String, String), ActivityRow> = BTreeMap::new();
    for line in lines.into_iter().filter(|line| line.date == day) {
        let row = rows.entry((line.model.clone(), line.model_permaslug.clone())).or_insert_with(|| ActivityRow {
            day,
            model: line.model,
            permaslug: line.model_permaslug,
            spent: Usd::ZERO,
            byok: Usd::ZERO,
            requests: 0,
        });
        row.spent += line.usage;
        row.byok += line.byok_usage_inference;
        row.requests = row.requests.saturating_add(line.requests);
    }
    Ok(Activity { rows: rows.into_values().collect(), unreadable })
}

fn read_rows<T: for<'de> Deserialize<'de>>(raw: &[&RawValue]) -> (Vec<T>, UnreadableRows) {
    let mut rows = Vec::with_capacity(raw.len());
    let mut unreadable = UnreadableRows::default();
    for row in raw {
        match serde_json::from_str(row.get()) {
            Ok(row) => rows.push(row),
            Err(error) => {
                unreadable.count += 1;
                unreadable.why.get_or_insert_with(|| harmless(&error.to_string()));
            }
        }
    }
    (rows, unreadable)
}

/// A day, whatever time may follow it.
fn day<'de, D: Deserializer<'de>>(from: D) -> Result<Date, D::Error> {
    let text = String::deserialize(from)?;
    let date = text.get(..10).and_then(|date| date.parse().ok());
    date.ok_or_else(|| D::Error::custom("this is no day"))
}

/// A readable label: an id where there is none, and empty where the provider has neither.
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
