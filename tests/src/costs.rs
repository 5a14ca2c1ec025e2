//! The samples of deployments, what people do there in a month, and the prices: the files that `infra/COSTS.md` is computed from,
//! and its beginning, which says so. Counting and computing is left to `tests/costs`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::documented::{root, text};

/// A deployment, with what happens there in its busiest month: everybody is invited and claims.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    pub name: String,
    /// The file of its parameters, beside `use.json`.
    pub parameters: String,
    pub students: f64,
    pub programmes: f64,
    pub claimed_in_the_month: f64,
    /// How often a student looks at what is left, in the month.
    pub visits_of_a_student: f64,
    /// How often somebody opens a programme, its grants and the list of programmes, in the month.
    pub visits_of_staff: f64,
    /// The share of the keys that are used on a day.
    pub keys_used_on_a_day: f64,
    pub alerts: f64,
}

/// The list prices, and what is assumed of durations.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    pub region: String,
    pub as_known_in: String,
    pub source: String,
    pub dollars: BTreeMap<String, f64>,
    pub assumed_ms: BTreeMap<String, f64>,
}

impl Prices {
    /// The prices of `infra/prices.json`.
    pub fn read() -> Result<Prices> {
        serde_json::from_str(&text("infra/prices.json")).context("infra/prices.json")
    }

    pub fn of(&self, what: &str) -> Result<f64> {
        self.dollars.get(what).copied().with_context(|| format!("infra/prices.json has no price of {what:?}"))
    }

    pub fn assumed_ms(&self, what: &str) -> Result<f64> {
        self.assumed_ms.get(what).copied().with_context(|| format!("infra/prices.json assumes nothing of {what:?}"))
    }
}

/// The samples of `infra/samples/use.json`.
pub fn samples() -> Result<Vec<Sample>> {
    serde_json::from_str(&text("infra/samples/use.json")).context("infra/samples/use.json")
}

/// Whether a sample's parameters switch the log of requests on.
pub fn logs_requests(sample: &Sample) -> Result<bool> {
    let path = root().join("infra/samples").join(&sample.parameters);
    let parameters = std::fs::read_to_string(&path).with_context(|| format!("{} is missing", path.display()))?;
    Ok(parameters.lines().any(|line| line.trim() == "AccessLog: 'on'"))
}

/// The beginning of the document: what was assumed.
pub fn header(samples: &[Sample], prices: &Prices) -> String {
    let row = |what: &str, of: &dyn Fn(&Sample) -> String| {
        let cells: Vec<String> = samples.iter().map(of).collect();
        format!("| {what} | {} |\n", cells.join(" | "))
    };
    let mut out = format!(
        "# What a month costs\n\n\
         Written by `cargo xtask costs` from requests that it counted, `infra/samples/use.json` and `infra/prices.json`.\n\
         The prices are of {}, as known in {}: {}.\n\n",
        prices.region, prices.as_known_in, prices.source
    );
    out += &row("in the busiest month, when everybody claims", &|sample| {
        format!("[{}](samples/{})", sample.name, sample.parameters)
    });
    out += &format!("| --- | {} |\n", vec!["---:"; samples.len()].join(" | "));
    out += &row("students", &|sample| grouped(sample.students));
    out += &row("programmes", &|sample| grouped(sample.programmes));
    out += &row("students who claim a key", &|sample| grouped(sample.claimed_in_the_month));
    out += &row("looks of each student at what is left", &|sample| grouped(sample.visits_of_a_student));
    out += &row("looks of staff at a programme, its grants and the list", &|sample| grouped(sample.visits_of_staff));
    out += &row("keys that are used on a day", &|sample| format!("{:.0} %", sample.keys_used_on_a_day * 100.0));
    out += &row("alerts", &|sample| grouped(sample.alerts));
    out
}

/// A whole number with commas.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
