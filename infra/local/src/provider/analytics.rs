//! `POST /analytics/query`: what may be asked, and what its answer is wrapped in. The sums are `report.rs`. The simulator knows
//! whole days, so it answers for days, weeks and months and not for hours and minutes.

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use super::Provider;
use super::access::Management;
use super::asked::{Fields, invalid, nested, not_null, required};
use super::errors::Refusal;
use super::memory::Memory;
use super::report::{Bucket, Dimension, Filter, Metric, Operator, Order, Query};

const MOST_DIMENSIONS: usize = 2;
const MOST_FILTERS: usize = 20;
const DEFAULT_ROWS: usize = 1_000;
const MOST_ROWS: usize = 10_000;
const MOST_DAYS: i64 = 365;
/// With the one dimension that is not kept for longer.
const MOST_DAYS_OF_EXTERNAL_USERS: i64 = 31;

pub(super) fn routes() -> Router<Provider> {
    Router::new().route("/analytics/query", post(query))
}

async fn query(_: Management, State(provider): State<Provider>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let fields = Fields::parse(&body)?;
    let (now, memory) = (provider.now(), provider.memory());
    let query = asked_for(&fields, now)?;
    if let Some(status) = memory.quirks.analytics_failure {
        return Err(Refusal::failed(status));
    }
    let report = query.report(&memory);
    let mut metadata = json!({ "query_time_ms": 12, "row_count": report.rows.len() });
    if memory.quirks.truncation_told {
        metadata["truncated"] = report.truncated.into();
    }
    let mut data = json!({ "data": report.rows, "metadata": metadata });
    let warnings = warnings(&query, &memory);
    if !warnings.is_empty() {
        data["warnings"] = warnings.into();
    }
    if memory.quirks.analytics_cached {
        data["cachedAt"] = now.as_millisecond().into();
    }
    Ok(Json(json!({ "data": data })))
}

/// The trap: a hash that is nobody's is no error.
fn warnings(query: &Query, memory: &Memory) -> Vec<String> {
    let of_keys = query.filters.iter().filter(|filter| filter.dimension == Dimension::ApiKeyId);
    let is_known = |hash: &str| {
        let forgotten = |deleted: bool| deleted && memory.quirks.deleted_keys_forgotten;
        memory.keys().iter().any(|key| key.hash == hash && !forgotten(key.deleted))
    };
    let unknown = of_keys.flat_map(|filter| &filter.values).filter(|hash| !is_known(hash));
    unknown.map(|hash| format!("api_key_id {hash} could not be resolved to an API key")).collect()
}

fn asked_for(fields: &Fields, now: Timestamp) -> Result<Query, Refusal> {
    let metrics = required("metrics", fields.texts("metrics")?)?;
    let metrics: Vec<Metric> = metrics.iter().map(|name| metric(name)).collect::<Result<_, _>>()?;
    let dimensions = fields.read("dimensions", "must be a list of at most 2 strings", |dimensions| {
        let dimensions = dimensions.as_array().filter(|all| all.len() <= MOST_DIMENSIONS)?;
        dimensions.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
    })?;
    let dimensions = not_null("dimensions", dimensions)?.unwrap_or_default();
    let dimensions: Vec<Dimension> = dimensions.iter().map(|name| dimension(name)).collect::<Result<_, _>>()?;
    let buckets = fields.read("granularity", "must be day, week or month in the simulator", |name| {
        Bucket::ALL.into_iter().find(|bucket| Some(bucket.name()) == name.as_str())
    })?;
    let (start, end) = time_range(fields, &dimensions, now)?;
    Ok(Query {
        order: order(fields, &metrics, &dimensions)?,
        filters: filters(fields)?,
        metrics,
        dimensions,
        buckets: not_null("granularity", buckets)?,
        start,
        end,
        limit: rows(fields, "limit")?.unwrap_or(DEFAULT_ROWS),
        group_limit: rows(fields, "group_limit")?,
    })
}

fn metric(name: &str) -> Result<Metric, Refusal> {
    let known = Metric::ALL.into_iter().find(|metric| metric.name() == name);
    known.ok_or_else(|| Refusal::bad_request(format!("Unknown metric: {name}")))
}

fn dimension(name: &str) -> Result<Dimension, Refusal> {
    let known = Dimension::ALL.into_iter().find(|dimension| dimension.name() == name);
    known.ok_or_else(|| Refusal::bad_request(format!("Unknown dimension: {name}")))
}

fn rows(fields: &Fields, name: &str) -> Result<Option<usize>, Refusal> {
    let sent = fields.read(name, "must be a number from 1 to 10000", |value| {
        usize::try_from(value.as_u64()?).ok().filter(|rows| (1..=MOST_ROWS).contains(rows))
    })?;
    not_null(name, sent)
}

/// The last seven days unless others are named.
fn time_range(fields: &Fields, dimensions: &[Dimension], now: Timestamp) -> Result<(Timestamp, Timestamp), Refusal> {
    let Some(range) = not_null("time_range", fields.read("time_range", "must be an object", nested)?)? else {
        return Ok((now - (7 * 24).hours(), now));
    };
    let start = required("start", range.instant("start")?)?;
    let end = required("end", range.instant("end")?)?;
    let most_days = match dimensions.contains(&Dimension::ExternalUser) {
        true => MOST_DAYS_OF_EXTERNAL_USERS,
        false => MOST_DAYS,
    };
    if start >= end {
        return Err(invalid("time_range", "must start before it ends"));
    }
    if end.duration_since(start).as_hours() > most_days * 24 {
        return Err(invalid("time_range", "is longer than these metrics and dimensions are kept for"));
    }
    Ok((start, end))
}

fn order(fields: &Fields, metrics: &[Metric], dimensions: &[Dimension]) -> Result<Option<(Order, bool)>, Refusal> {
    let Some(order) = not_null("order_by", fields.read("order_by", "must be an object", nested)?)? else {
        return Ok(None);
    };
    let field = required("field", order.text("field", 1..=100)?)?;
    let largest_first = order.read("direction", "must be asc or desc", |direction| match direction.as_str()? {
        "desc" => Some(true),
        "asc" => Some(false),
        _ => None,
    })?;
    let by_metric = metric(&field)
        .ok()
        .filter(|metric| metrics.contains(metric) || *metric == Metric::RequestCount)
        .map(Order::Metric);
    let by_dimension = || dimensions.iter().position(|dimension| dimension.name() == field).map(Order::Dimension);
    let by_date = || (field == "date").then_some(Order::Date);
    let order = by_metric.or_else(by_dimension).or_else(by_date);
    let order = order.ok_or_else(|| invalid("order_by", "must name a metric or dimension of the query, or date"))?;
    Ok(Some((order, required("direction", largest_first)?)))
}

fn filters(fields: &Fields) -> Result<Vec<Filter>, Refusal> {
    let filters = fields.read("filters", "must be a list of at most 20 objects", |filters| {
        let filters = filters.as_array().filter(|all| all.len() <= MOST_FILTERS)?;
        filters.iter().map(nested).collect::<Option<Vec<Fields>>>()
    })?;
    let filters = not_null("filters", filters)?.unwrap_or_default();
    filters.iter().map(filter).collect()
}

fn filter(fields: &Fields) -> Result<Filter, Refusal> {
    let dimension = dimension(&required("field", fields.text("field", 1..=100)?)?)?;
    let operator = required("operator", fields.text("operator", 1..=10)?)?;
    let (operator, takes_list) = match operator.as_str() {
        "eq" => (Operator::In, false),
        "neq" => (Operator::NotIn, false),
        "in" => (Operator::In, true),
        "not_in" => (Operator::NotIn, true),
        "gt" => (Operator::Above, false),
        "gte" => (Operator::AtLeast, false),
        "lt" => (Operator::Below, false),
        "lte" => (Operator::AtMost, false),
        _ => return Err(invalid("operator", "must be eq, neq, in, not_in, gt, gte, lt or lte")),
    };
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let values =
        fields.read("value", "must be a list for in and not_in, and else one string or number", |value| match value
            .as_array()
        {
            Some(values) if takes_list => values.iter().map(one).collect::<Option<Vec<String>>>(),
            None if !takes_list => Some(vec![one(value)?]),
            _ => None,
        })?;
    Ok(Filter { dimension, operator, values: required("value", values)? })
}
