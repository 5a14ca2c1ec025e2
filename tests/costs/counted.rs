//! What AWS bills, counted on a running stack: the difference between two moments.

use std::ops::{Add, Mul, Sub};

use anyhow::{Context, Result};
use bursar_local::gate::{Recorded, Service};
use bursar_local::invoke::FunctionName;
use bursar_tests::costs::Prices;
use bursar_tests::stack::Stack;

/// The memory of each function in GB, which the template gives to all alike.
const MEMORY_GB: f64 = 0.5;
/// The lines that Lambda itself logs of an invocation: its start, end and report.
const LINES_OF_LAMBDA: f64 = 350.0;
/// Numbers in the order of `NAMES`.
const LENGTH: usize = 11;

pub(crate) const NAMES: [&str; LENGTH] = [
    "write units",
    "read units",
    "invocations",
    "GB-seconds",
    "page requests",
    "mails",
    "KB of mails",
    "calls to the provider",
    "reads of the secret",
    "KB of logs",
    "KB in the table",
];

/// Counted quantities, which may be parts of one where they are a mean.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Counts(pub(crate) [f64; LENGTH]);

impl Counts {
    pub(crate) fn writes(&self) -> f64 {
        self.0[0]
    }

    pub(crate) fn reads(&self) -> f64 {
        self.0[1]
    }

    pub(crate) fn invocations(&self) -> f64 {
        self.0[2]
    }

    pub(crate) fn gb_seconds(&self) -> f64 {
        self.0[3]
    }

    pub(crate) fn requests(&self) -> f64 {
        self.0[4]
    }

    pub(crate) fn mails(&self) -> f64 {
        self.0[5]
    }

    pub(crate) fn mail_kb(&self) -> f64 {
        self.0[6]
    }

    pub(crate) fn secrets(&self) -> f64 {
        self.0[8]
    }

    pub(crate) fn log_kb(&self) -> f64 {
        self.0[9]
    }

    pub(crate) fn table_kb(&self) -> f64 {
        self.0[10]
    }

    /// These counts with so many page requests: the gate does not see what comes to functions.
    pub(crate) fn with_requests(mut self, requests: f64) -> Counts {
        self.0[4] = requests;
        self
    }

    /// These counts with so many kilobytes in the table.
    pub(crate) fn with_table_kb(mut self, kb: f64) -> Counts {
        self.0[10] = kb;
        self
    }

    /// Everything after so many calls, of which the table did not yet say what it bills.
    pub(crate) fn so_far(stack: &Stack, uncounted: usize, prices: &Prices) -> Result<Counts> {
        let mut counts = Counts::default();
        let mut ms = 0.0;
        for call in stack.gate.calls().into_iter().skip(uncounted) {
            let took = match call.call.name.service {
                Service::DynamoDb => {
                    let (reads, writes) = units(&call)?;
                    (counts.0[1], counts.0[0]) = (counts.0[1] + reads, counts.0[0] + writes);
                    "a call to the table"
                }
                Service::Provider => {
                    counts.0[7] += 1.0;
                    "a call to the provider"
                }
                Service::SecretsManager => {
                    counts.0[8] += 1.0;
                    "a call to the secret"
                }
                Service::Ses => "a call to the mail service",
            };
            ms += prices.assumed_ms(took)?;
        }
        let invocations: u64 = stack.gate.invocations().values().sum();
        counts.0[2] = invocations as f64;
        // As if every call waited for the one before it, which is more than is billed.
        ms += counts.0[2] * prices.assumed_ms("an invocation by itself")?;
        counts.0[3] = ms / 1e3 * MEMORY_GB;
        let mails = stack.ses.mails();
        counts.0[5] = mails.len() as f64;
        counts.0[6] = mails.iter().map(|mail| mail.raw.len()).sum::<usize>() as f64 / 1e3;
        let lines: usize = stack.logs.all().iter().map(|line| line.text.len() + 1).sum();
        counts.0[9] = (lines as f64 + counts.0[2] * LINES_OF_LAMBDA) / 1e3;
        Ok(counts)
    }
}

/// The read and write units of a call to the table. A write whose condition failed is billed as if it had been done; the table
/// does not say so in its refusal, so one unit is taken for each item, twice in a transaction.
fn units(call: &Recorded) -> Result<(f64, f64)> {
    let operation = &*call.call.name.operation;
    let is_read = ["GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"].contains(&operation);
    let billed = match call.effect {
        Some(200) => call.units.with_context(|| format!("{operation} was not billed"))?,
        Some(_) if operation.starts_with("Transact") => 2.0 * call.call.shape.parts.len() as f64,
        Some(_) => 1.0,
        None => 0.0,
    };
    Ok(if is_read { (billed, 0.0) } else { (0.0, billed) })
}

/// The invocations of the functions behind the API.
pub(crate) fn behind_the_api(stack: &Stack) -> f64 {
    let of = stack.gate.invocations();
    let pages = [FunctionName::Claim, FunctionName::Console];
    pages.iter().filter_map(|function| of.get(function)).sum::<u64>() as f64
}

impl Sub for Counts {
    type Output = Counts;

    fn sub(self, other: Counts) -> Counts {
        Counts(std::array::from_fn(|place| self.0[place] - other.0[place]))
    }
}

impl Add for Counts {
    type Output = Counts;

    fn add(self, other: Counts) -> Counts {
        Counts(std::array::from_fn(|place| self.0[place] + other.0[place]))
    }
}

impl Mul<f64> for Counts {
    type Output = Counts;

    fn mul(self, times: f64) -> Counts {
        Counts(self.0.map(|count| count * times))
    }
}
