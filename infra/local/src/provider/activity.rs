//! `GET /activity`: what the account used of each model and endpoint on the last 30 completed UTC days. Today is missing, and no
//! row says whose use it was.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use super::access::Management;
use super::asked::{Parameters, invalid};
use super::credits::utc_day;
use super::days::{DayUse, Row};
use super::errors::Refusal;
use super::key::money;
use super::memory::Memory;
use super::quirks::Quirks;
use super::{Provider, USER_ID, ids, models};

const DAYS: i64 = 30;

pub(super) fn routes() -> Router<Provider> {
    Router::new().route("/activity", get(activity))
}

/// What a row sums up: the use of a model at one of its endpoints. What is paid to the model's maker has an endpoint of its own.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    day: Date,
    workspace: Option<String>,
    model: String,
    byok: bool,
}

/// Whose use is asked for.
struct Asked {
    from: Date,
    until: Date,
    place: Option<usize>,
    workspace: Option<String>,
    by_workspace: bool,
    nobodys: bool,
}

async fn activity(_: Management, State(provider): State<Provider>, asked: Parameters) -> Result<Json<Value>, Refusal> {
    let (now, memory) = (provider.now(), provider.memory());
    let asked = asked_for(&memory, &asked, now)?;
    if let Some(status) = memory.quirks.analytics_failure {
        return Err(Refusal::failed(status));
    }
    let mut sums: BTreeMap<Group, DayUse> = BTreeMap::new();
    let counted = memory.days.between(asked.from, asked.until).filter(|(place, _)| asked.counts(&memory, *place));
    for (place, Row { day, model, byok, used }) in counted {
        let workspace = asked.by_workspace.then(|| memory.key(place).workspace.clone());
        let group = Group { day: *day, workspace, model: model.to_string(), byok: *byok };
        *sums.entry(group).or_default() += *used;
    }
    let rows: Vec<Value> = sums.iter().rev().map(|(group, used)| row(group, used, &memory.quirks)).collect();
    Ok(Json(json!({ "data": rows })))
}

impl Asked {
    fn counts(&self, memory: &Memory, place: usize) -> bool {
        let in_workspace = |id: &String| *id == memory.key(place).workspace;
        !self.nobodys
            && self.place.is_none_or(|asked| asked == place)
            && self.workspace.as_ref().is_none_or(in_workspace)
    }
}

fn asked_for(memory: &Memory, asked: &Parameters, now: Timestamp) -> Result<Asked, Refusal> {
    let today = utc_day(now);
    let (mut from, mut until) = (today.saturating_sub(DAYS.days()), today);
    if let Some(day) = asked.get("date") {
        let day: Date = day.parse().ok().filter(|_| day.len() == 10).ok_or_else(|| invalid("date", "must be a day"))?;
        if !(from..until).contains(&day) {
            return Err(Refusal::bad_request("Date must be within the last 30 (completed) UTC days"));
        }
        (from, until) = (day, day.saturating_add(1.day()));
    }
    let known = |hash: &str| {
        let forgotten = |deleted: bool| deleted && memory.quirks.deleted_keys_forgotten;
        memory.keys().iter().position(|key| key.hash == hash && !forgotten(key.deleted))
    };
    Ok(Asked {
        from,
        until,
        place: asked.get("api_key_hash").map(|hash| known(hash).ok_or_else(Refusal::not_found)).transpose()?,
        workspace: match asked.get("workspace_id") {
            Some(id) => Some(memory.workspace_asked(Some(id))?.id.clone()),
            None => None,
        },
        by_workspace: match asked.get("group_by") {
            None => false,
            Some("workspace") => true,
            Some(_) => return Err(invalid("group_by", "must be workspace")),
        },
        nobodys: asked.get("user_id").is_some_and(|user| user != USER_ID),
    })
}

fn row(group: &Group, used: &DayUse, quirks: &Quirks) -> Value {
    let known = models::find(&group.model);
    let permaslug = known.map_or(group.model.as_str(), |known| known.canonical);
    let endpoint = format!("endpoint of {permaslug}{}", if group.byok { " with the account's own key" } else { "" });
    let mut row = json!({
        "date": if quirks.activity_days_with_time { format!("{} 00:00:00", group.day) } else { group.day.to_string() },
        "model": group.model,
        "model_permaslug": permaslug,
        "endpoint_id": ids::derived_uuid(&endpoint),
        "provider_name": known.map_or("unknown", |known| known.provider),
        "usage": money(used.credit, quirks),
        "byok_usage_inference": money(used.byok, quirks),
        "requests": used.requests,
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "reasoning_tokens": 0,
        "cached_tokens": 0,
    });
    if let Some(workspace) = &group.workspace {
        row["workspace_id"] = workspace.clone().into();
    }
    row
}
