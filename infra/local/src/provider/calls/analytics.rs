//! `POST /analytics/query`: usage by key, model and day, largest first. Only the query that the product
//! makes is answered; any other is refused. The simulator knows whole days.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::provider::entrance::access::Management;
use crate::provider::handle::Provider;
use crate::provider::memory::Memory;
use crate::provider::memory::days::{DayUse, Row};
use crate::provider::values::asked::{Fields, invalid, nested, not_null, required};
use crate::provider::values::refusal::Refusal;
use crate::provider::values::windows::utc_day;

const METRICS: [&str; 4] = ["total_usage", "credits_usage", "byok_usage", "request_count"];
const DIMENSIONS: [&str; 2] = ["api_key_id", "model"];
const DEFAULT_ROWS: usize = 1_000;
const MOST_ROWS: usize = 10_000;
const MOST_DAYS: i64 = 365;

struct Query {
    start: Timestamp,
    end: Timestamp,
    limit: usize,
    group_limit: Option<usize>,
}

/// The subject of a row. A key is identified by its name, so keys of one name share a row: a trap of the
/// real provider.
type Group = (Date, Labels);
type Labels = (String, String);

pub(crate) fn routes() -> Router<Provider> {
    Router::new().route("/analytics/query", post(query))
}

async fn query(_: Management, State(provider): State<Provider>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let query = Query::asked(&Fields::parse(&body)?)?;
    let memory = provider.memory();
    if let Some(status) = memory.quirks.analytics_failure {
        return Err(Refusal::failed(status));
    }
    let (rows, truncated) = query.report(&memory);
    let metadata = json!({ "query_time_ms": 12, "row_count": rows.len(), "truncated": truncated });
    Ok(Json(json!({ "data": { "data": rows, "metadata": metadata } })))
}

impl Query {
    fn asked(fields: &Fields) -> Result<Query, Refusal> {
        let only = |name: &str, wanted: &[&str]| match required(name, fields.texts(name)?)? {
            asked if asked == wanted => Ok(()),
            _ => Err(invalid(name, &format!("must be {wanted:?} in the simulator"))),
        };
        only("metrics", &METRICS)?;
        only("dimensions", &DIMENSIONS)?;
        let one = |fields: &Fields, name: &str, wanted: &str| match required(name, fields.text(name, 1..=100)?)? {
            asked if asked == wanted => Ok(()),
            _ => Err(invalid(name, &format!("must be {wanted} in the simulator"))),
        };
        one(fields, "granularity", "day")?;
        let order = required("order_by", fields.read("order_by", "must be an object", nested)?)?;
        one(&order, "field", "total_usage")?;
        one(&order, "direction", "desc")?;
        let range = required("time_range", fields.read("time_range", "must be an object", nested)?)?;
        let (start, end) = (required("start", range.instant("start")?)?, required("end", range.instant("end")?)?);
        if start >= end {
            return Err(invalid("time_range", "must start before it ends"));
        }
        if end.duration_since(start).as_hours() > MOST_DAYS * 24 {
            return Err(invalid("time_range", "is longer than these metrics and dimensions are kept for"));
        }
        let rows = |name: &str| {
            let sent = fields.read(name, "must be a number from 1 to 10000", |value| {
                usize::try_from(value.as_u64()?).ok().filter(|rows| (1..=MOST_ROWS).contains(rows))
            })?;
            not_null(name, sent)
        };
        Ok(Query { start, end, limit: rows("limit")?.unwrap_or(DEFAULT_ROWS), group_limit: rows("group_limit")? })
    }

    /// The printed rows, and whether there were more.
    fn report(&self, memory: &Memory) -> (Vec<Value>, bool) {
        let mut rows: Vec<(Group, DayUse)> = self.sums(memory).into_iter().collect();
        // The sort is stable, so equal rows stay in the order of their groups.
        rows.sort_by_key(|(_, used)| Reverse(used.credit + used.byok));
        if let Some(most) = self.group_limit {
            let mut seen: HashMap<Labels, usize> = HashMap::new();
            rows.retain(|((_, labels), _)| {
                let count = seen.entry(labels.clone()).or_default();
                *count += 1;
                *count <= most
            });
        }
        let most = self.limit.min(memory.quirks.analytics_rows);
        let truncated = rows.len() > most;
        rows.truncate(most);
        (rows.iter().map(printed).collect(), truncated)
    }

    fn sums(&self, memory: &Memory) -> BTreeMap<Group, DayUse> {
        let mut sums: BTreeMap<Group, DayUse> = BTreeMap::new();
        for (place, Row { day, model, used, .. }) in memory.days.between(utc_day(self.start), utc_day(self.end)) {
            *sums.entry((*day, (memory.key(place).name.clone(), model.to_string()))).or_default() += *used;
        }
        sums
    }
}

fn printed(((day, (key, model)), used): &(Group, DayUse)) -> Value {
    json!({
        "date__day": day.to_string(),
        "api_key_id": key,
        "model": model,
        "total_usage": (used.credit + used.byok).json(),
        "credits_usage": used.credit.json(),
        "byok_usage": used.byok.json(),
        "request_count": used.requests.to_string(),
    })
}
