//! What `bursar keys --assess` adds: what an account holds before anything is deployed, and what a term would
//! cost at its recent pace.

use std::collections::BTreeMap;

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::values::key_name::prefix;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::provider::Provider;
use bursar_core::provider::analytics::ModelUsage;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use super::Listed;

/// The assessment. Amounts are texts with six decimals.
#[derive(Debug, Serialize)]
pub(super) struct Assessment {
    pub without_limit: usize,
    pub unused_30_days: usize,
    pub prefixes: Vec<PrefixSums>,
    /// The use on the last thirty UTC days that are over; none where the provider does not report it.
    pub last_30_days_usd: Option<String>,
    /// The cost of four months at that pace.
    pub term_usd: Option<String>,
    #[serde(skip)]
    pub names_without_limit: Vec<String>,
    #[serde(skip)]
    pub names_unused: Vec<String>,
}

/// The keys whose names begin alike.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct PrefixSums {
    /// The beginning of the names, its last character included; empty for names of one part.
    pub prefix: String,
    pub keys: usize,
    pub usage_usd: String,
}

const DAYS: i64 = 30;
const MONTHS_OF_A_TERM: u32 = 4;

impl Assessment {
    pub(super) fn of(listed: &[Listed], last_30_days: Option<Usd>) -> Assessment {
        let names = |wanted: fn(&Listed) -> bool| -> Vec<String> {
            listed.iter().filter(|listed| wanted(listed)).map(|listed| listed.row.name.clone()).collect()
        };
        let (names_without_limit, names_unused) =
            (names(|listed| listed.row.limit_usd.is_none()), names(|listed| listed.unused));
        Assessment {
            without_limit: names_without_limit.len(),
            unused_30_days: names_unused.len(),
            prefixes: prefixes(listed),
            last_30_days_usd: last_30_days.map(|used| used.to_string()),
            term_usd: last_30_days.map(|used| used.times(MONTHS_OF_A_TERM).to_string()),
            names_without_limit,
            names_unused,
        }
    }
}

/// The sums by the first part of the names, the most used first.
fn prefixes(listed: &[Listed]) -> Vec<PrefixSums> {
    let mut sums: BTreeMap<&str, (usize, Usd)> = BTreeMap::new();
    for key in listed {
        let sum = sums.entry(prefix(&key.row.name)).or_insert((0, Usd::ZERO));
        sum.0 += 1;
        sum.1 += key.usage;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, (_, usage))| std::cmp::Reverse(*usage));
    let printed = |(prefix, (keys, usage)): (&str, (usize, Usd))| PrefixSums {
        prefix: prefix.to_owned(),
        keys,
        usage_usd: usage.to_string(),
    };
    sums.into_iter().map(printed).collect()
}

/// Sums what the keys of such names used on each of the last thirty completed UTC days. The days are asked for
/// one by one, since an answer has a largest number of rows.
pub(super) async fn last_30_days(
    provider: &Provider,
    wanted: impl Fn(&str) -> bool,
    now: Timestamp,
    deadline: Deadline,
) -> Result<Usd> {
    let today = utc_date(now);
    let mut sum = Usd::ZERO;
    for ago in 1..=DAYS {
        let day = today.checked_sub(ago.days())?;
        let ModelUsage { rows, unreadable, truncated, .. } = provider.model_usage(day..=day, deadline).await?;
        anyhow::ensure!(!truncated, "the provider left out rows of {day}");
        anyhow::ensure!(unreadable.count == 0, "{} rows of {day} cannot be read", unreadable.count);
        sum += rows.iter().filter(|row| wanted(&row.key_name)).map(|row| row.spent).sum();
    }
    Ok(sum)
}
