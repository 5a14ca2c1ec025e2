//! The bill of a month: each line a quantity, its price and the amount, as AWS charges it.

use anyhow::{Context, Result};
use bursar_tests::costs::{Prices, Sample, logs_requests};
use bursar_tests::documented::text;
use serde_json::Value;

use crate::counted::Counts;
use crate::month::DAYS;

const HOURS: f64 = DAYS * 24.0;
/// A line of the log of requests.
const KB_OF_A_REQUEST: f64 = 0.2;
/// The functions and people who have the table and the topics opened, each at most once in five minutes.
const OPENED_BY: f64 = 7.0;
const OPENINGS_AN_HOUR: f64 = 12.0;

/// One line of a bill.
pub(crate) struct Charge {
    pub(crate) what: &'static str,
    pub(crate) quantity: f64,
    pub(crate) dollars: f64,
}

/// What stands in the template and costs something whether it is used or not.
struct Standing {
    alarms: f64,
    /// Metrics of which a figure comes in each hour, or may.
    metrics: f64,
    /// Metrics of which a figure comes each night.
    nightly: f64,
}

/// The lines of a month's bill.
pub(crate) fn bill(sample: &Sample, month: Counts, prices: &Prices) -> Result<Vec<Charge>> {
    let Standing { alarms, metrics, nightly } = standing()?;
    let gb_kept = month.table_kb() / 1e6;
    let request_log = if logs_requests(sample)? { month.requests() * KB_OF_A_REQUEST } else { 0.0 };
    let gb_logged = (month.log_kb() + request_log) / 1e6;
    let lines = [
        ("table: a million write request units", month.writes() / 1e6),
        ("table: a million read request units", month.reads() / 1e6),
        ("table: a GB kept for a month", gb_kept),
        ("table: a GB of point-in-time recovery for a month", gb_kept),
        ("functions: a million invocations", month.invocations() / 1e6),
        ("functions: a million GB-seconds on arm64", month.gb_seconds() / 1e6),
        ("api: a million requests", month.requests() / 1e6),
        ("mail: a thousand mails", month.mails() / 1e3),
        ("mail: a GB of mails", month.mail_kb() / 1e6),
        ("mail: a million notifications of what became of mails", month.mails() / 1e6),
        ("watch: an alarm on one metric for a month", alarms),
        // A metric is charged for the hours in which it has figures.
        ("watch: a metric for a month", metrics + nightly * DAYS / HOURS),
        ("logs: a GB written", gb_logged),
        ("logs: a GB kept for a month", gb_logged),
        ("keys: a key of the account for a month", 1.0),
        ("keys: ten thousand requests", OPENED_BY * OPENINGS_AN_HOUR * HOURS / 1e4),
        ("secret: a secret for a month", 1.0),
        ("secret: ten thousand reads", month.secrets() / 1e4),
    ];
    lines
        .into_iter()
        .map(|(what, quantity)| Ok(Charge { what, quantity, dollars: quantity * prices.of(what)? }))
        .collect()
}

fn standing() -> Result<Standing> {
    let template: Value = serde_saphyr::from_str(&text("template.yaml"))?;
    let resources = template["Resources"].as_object().context("the template has no resources")?;
    let mut standing = Standing { alarms: 0.0, metrics: 0.0, nightly: 0.0 };
    for resource in resources.values() {
        let properties = &resource["Properties"];
        match resource["Type"].as_str() {
            // One that computes with several metrics is charged for each.
            Some("AWS::CloudWatch::Alarm") => {
                let several = properties["Metrics"].as_array().into_iter().flatten();
                standing.alarms += several.filter(|metric| !metric["MetricStat"].is_null()).count().max(1) as f64;
            }
            Some("AWS::Logs::MetricFilter") => {
                let pattern = properties["FilterPattern"].as_str().unwrap_or_default();
                let is_nightly = pattern.contains("\"synced\"");
                *(if is_nightly { &mut standing.nightly } else { &mut standing.metrics }) += 1.0;
            }
            _ => {}
        }
    }
    Ok(standing)
}
