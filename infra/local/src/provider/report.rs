//! A report of `POST /analytics/query`: which use counts, how it is summed, in what order rows come and which are left out. How it
//! is asked for is `analytics.rs`; what was used is `days.rs`.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde_json::{Map, Value};

use super::USER_ID;
use super::days::{DayUse, Row};
use super::key::{Key, money};
use super::memory::Memory;
use super::models;
use super::money::Nano;
use super::quirks::{ModelNames, Quirks};

/// What was asked for.
pub(super) struct Query {
    pub(super) metrics: Vec<Metric>,
    pub(super) dimensions: Vec<Dimension>,
    pub(super) filters: Vec<Filter>,
    pub(super) buckets: Option<Bucket>,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    /// And whether the largest comes first.
    pub(super) order: Option<(Order, bool)>,
    pub(super) limit: usize,
    pub(super) group_limit: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    TotalUsage,
    CreditsUsage,
    ByokUsage,
    RequestCount,
    TokensPrompt,
    TokensCompletion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dimension {
    ApiKeyId,
    Model,
    User,
    Workspace,
    ExternalUser,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bucket {
    Day,
    Week,
    Month,
}

pub(super) enum Order {
    Metric(Metric),
    Dimension(usize),
    Date,
}

pub(super) struct Filter {
    pub(super) dimension: Dimension,
    pub(super) operator: Operator,
    pub(super) values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    In,
    NotIn,
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// Rows as they are printed, and whether there were more.
pub(super) struct Report {
    pub(super) rows: Vec<Value>,
    pub(super) truncated: bool,
}

/// What a row is about. The trap: a dimension is its label, so that keys of one name are one row.
type Group = (Option<Date>, Vec<Option<String>>);

impl Metric {
    pub(super) const ALL: [Metric; 6] = [
        Metric::TotalUsage,
        Metric::CreditsUsage,
        Metric::ByokUsage,
        Metric::RequestCount,
        Metric::TokensPrompt,
        Metric::TokensCompletion,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Metric::TotalUsage => "total_usage",
            Metric::CreditsUsage => "credits_usage",
            Metric::ByokUsage => "byok_usage",
            Metric::RequestCount => "request_count",
            Metric::TokensPrompt => "tokens_prompt",
            Metric::TokensCompletion => "tokens_completion",
        }
    }

    fn of(self, used: &DayUse) -> Result<Nano, u64> {
        match self {
            Metric::TotalUsage => Ok(used.credit + used.byok),
            Metric::CreditsUsage => Ok(used.credit),
            Metric::ByokUsage => Ok(used.byok),
            Metric::RequestCount => Err(used.requests),
            Metric::TokensPrompt => Err(used.prompt_tokens),
            Metric::TokensCompletion => Err(used.completion_tokens),
        }
    }

    fn printed(self, used: &DayUse, quirks: &Quirks) -> Value {
        match self.of(used) {
            Ok(amount) => money(amount, quirks),
            Err(count) if quirks.counts_as_strings => count.to_string().into(),
            Err(count) => count.into(),
        }
    }
}

impl Dimension {
    pub(super) const ALL: [Dimension; 5] =
        [Dimension::ApiKeyId, Dimension::Model, Dimension::User, Dimension::Workspace, Dimension::ExternalUser];

    pub(super) fn name(self) -> &'static str {
        match self {
            Dimension::ApiKeyId => "api_key_id",
            Dimension::Model => "model",
            Dimension::User => "user",
            Dimension::Workspace => "workspace",
            Dimension::ExternalUser => "external_user",
        }
    }

    /// As rows show it: for people to read.
    fn label(self, memory: &Memory, key: &Key, model: &str) -> Option<String> {
        match self {
            Dimension::ApiKeyId if key.deleted && memory.quirks.deleted_keys_forgotten => None,
            Dimension::ApiKeyId => Some(key.name.clone()),
            Dimension::Model => Some(match (memory.quirks.analytics_models, models::find(model)) {
                (ModelNames::Display, Some(known)) => known.name.to_owned(),
                _ => model.to_owned(),
            }),
            Dimension::User => Some(USER_ID.to_owned()),
            Dimension::Workspace => {
                memory.workspaces().iter().find(|there| there.id == key.workspace).map(|there| there.name.clone())
            }
            Dimension::ExternalUser => key.external_user.clone(),
        }
    }

    /// As filters want it: by its id, which for a key is its hash and never its name.
    fn id<'a>(self, memory: &Memory, key: &'a Key, model: &'a str) -> Option<&'a str> {
        match self {
            Dimension::ApiKeyId if key.deleted && memory.quirks.deleted_keys_forgotten => None,
            Dimension::ApiKeyId => Some(&key.hash),
            Dimension::Model => Some(model),
            Dimension::User => Some(USER_ID),
            Dimension::Workspace => Some(&key.workspace),
            Dimension::ExternalUser => key.external_user.as_deref(),
        }
    }
}

impl Bucket {
    pub(super) const ALL: [Bucket; 3] = [Bucket::Day, Bucket::Week, Bucket::Month];

    pub(super) fn name(self) -> &'static str {
        match self {
            Bucket::Day => "day",
            Bucket::Week => "week",
            Bucket::Month => "month",
        }
    }

    fn of(self, day: Date) -> Date {
        match self {
            Bucket::Day => day,
            Bucket::Week => day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days()),
            Bucket::Month => day.first_of_month(),
        }
    }
}

impl Filter {
    fn lets_through(&self, id: Option<&str>) -> bool {
        let named = id.is_some_and(|id| self.values.iter().any(|value| value == id));
        let compared = |wanted: fn(Ordering) -> bool| {
            id.zip(self.values.first()).is_some_and(|(id, value)| wanted(id.cmp(value.as_str())))
        };
        match self.operator {
            Operator::In => named,
            Operator::NotIn => !named,
            Operator::Above => compared(Ordering::is_gt),
            Operator::AtLeast => compared(Ordering::is_ge),
            Operator::Below => compared(Ordering::is_lt),
            Operator::AtMost => compared(Ordering::is_le),
        }
    }
}

impl Query {
    pub(super) fn report(&self, memory: &Memory) -> Report {
        let quirks = &memory.quirks;
        let mut rows: Vec<(Group, DayUse)> = self.sums(memory).into_iter().collect();
        // Rows that are equal in this stay in the order of their groups.
        rows.sort_by(|a, b| self.compare(a, b));
        if let Some(most) = self.group_limit.filter(|_| !self.dimensions.is_empty()) {
            let mut seen: HashMap<Vec<Option<String>>, usize> = HashMap::new();
            rows.retain(|((_, labels), _)| {
                let count = seen.entry(labels.clone()).or_default();
                *count += 1;
                *count <= most
            });
        }
        let most = self.limit.min(quirks.analytics_rows);
        let truncated = rows.len() > most;
        rows.truncate(most);
        Report { rows: rows.iter().map(|row| self.printed(row, quirks)).collect(), truncated }
    }

    fn sums(&self, memory: &Memory) -> BTreeMap<Group, DayUse> {
        let mut sums: BTreeMap<Group, DayUse> = BTreeMap::new();
        let (from, until) = self.days(memory.quirks.end_of_range_included);
        for (place, Row { day, model, used, .. }) in memory.days.between(from, until) {
            let key = memory.key(place);
            if !self.filters.iter().all(|filter| filter.lets_through(filter.dimension.id(memory, key, model))) {
                continue;
            }
            let labels = self.dimensions.iter().map(|dimension| dimension.label(memory, key, model)).collect();
            *sums.entry((self.buckets.map(|bucket| bucket.of(*day)), labels)).or_default() += *used;
        }
        sums
    }

    /// The first day, and the day after the last. All use of a day counts as of its midnight.
    fn days(&self, end_included: bool) -> (Date, Date) {
        let day_of = |at: Timestamp| super::credits::utc_day(at);
        let midnight = |at: Timestamp| super::windows::Interval::Daily.end(at) - 24.hours();
        let from = if midnight(self.start) == self.start { day_of(self.start) } else { next(day_of(self.start)) };
        let is_midnight = midnight(self.end) == self.end;
        let until = if is_midnight && !end_included { day_of(self.end) } else { next(day_of(self.end)) };
        (from, until)
    }

    fn compare(&self, (a, a_used): &(Group, DayUse), (b, b_used): &(Group, DayUse)) -> Ordering {
        let (order, largest_first) = match &self.order {
            Some((order, largest_first)) => (order, *largest_first),
            None => (&Order::Date, true),
        };
        let order = match order {
            Order::Metric(metric) => metric.of(a_used).cmp(&metric.of(b_used)),
            Order::Dimension(index) => a.1[*index].cmp(&b.1[*index]),
            Order::Date => a.0.cmp(&b.0),
        };
        if largest_first { order.reverse() } else { order }
    }

    fn printed(&self, ((bucket, labels), used): &(Group, DayUse), quirks: &Quirks) -> Value {
        let mut row = Map::new();
        if let Some((bucket, first_day)) = self.buckets.zip(*bucket) {
            row.insert(format!("date__{}", bucket.name()), first_day.to_string().into());
        }
        for (dimension, label) in self.dimensions.iter().zip(labels) {
            row.insert(dimension.name().to_owned(), label.clone().into());
        }
        for metric in &self.metrics {
            row.insert(metric.name().to_owned(), metric.printed(used, quirks));
        }
        row.into()
    }
}

fn next(day: Date) -> Date {
    day.saturating_add(1.day())
}
