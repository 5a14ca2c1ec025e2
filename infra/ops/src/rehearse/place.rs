//! Where a rehearsal is: a stack, which the AWS CLI reaches, or one machine, by its port for
//! monitors.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bursar_core::tls;
use http::Method;
use jiff::SignedDuration;
use serde_json::Value;

use super::Options;
use super::steps::PATIENCE;
use crate::aws::{Aws, Deployment};
use crate::provider_check::within;

pub struct Place(pub(super) Kind);

pub(super) enum Kind {
    Stack { aws: Aws, deployment: Deployment },
    Machine { origin: String, health: String },
}

/// What every deployment of Bursar has.
const OURS: [&str; 6] = [
    "Claim",
    "Console",
    "UsageSync",
    "ThresholdAlerts",
    "Mail",
    "ManagementKey",
];

impl Place {
    /// One machine: the origin of its pages, and its port for monitors.
    pub fn machine(origin: String, health: String) -> Place {
        Place(Kind::Machine { origin, health })
    }

    pub(super) fn origin(&self) -> &str {
        match &self.0 {
            Kind::Stack { deployment, .. } => deployment.value("Origin"),
            Kind::Machine { origin, .. } => origin,
        }
    }

    pub(super) fn is_machine(&self) -> bool {
        matches!(self.0, Kind::Machine { .. })
    }

    /// Whether this is a deployment of Bursar, and in which words it is named.
    pub(super) async fn look(&self) -> Result<String> {
        match &self.0 {
            Kind::Stack { aws, deployment } => {
                let lacks: Vec<&str> = OURS
                    .into_iter()
                    .filter(|name| deployment.resource(name).is_empty())
                    .collect();
                ensure!(
                    lacks.is_empty(),
                    "the stack {} is not one of Bursar: it lacks {}",
                    aws.stack,
                    lacks.join(", ")
                );
                Ok(format!(
                    "a stack of version {}",
                    deployment.value("Version")
                ))
            }
            Kind::Machine { health, .. } => {
                let (_, report) = ask(Method::GET, format!("{health}/health")).await?;
                let problems = report["problems"].as_array();
                let problems = problems.with_context(|| {
                    format!("{health} is not Bursar's: --health is what `ready` says")
                })?;
                Ok(format!(
                    "a machine that tells of {} problems",
                    problems.len()
                ))
            }
        }
    }

    /// Has a sync run, waits for its end, and says what it did.
    pub(super) async fn sync(&self, options: &Options) -> Result<String> {
        let mut begun = options.clock.now();
        let mut report = Value::Null;
        let (has_run, _) = within(&options.wait, PATIENCE, async || match &self.0 {
            Kind::Stack { aws, deployment } => {
                report = invoked(aws, deployment)?;
                Ok(report["skipped"].is_null())
            }
            Kind::Machine { health, .. } => {
                // Its age in whole seconds is to tell it from the one before.
                (options.wait)(Duration::from_secs(2)).await;
                begun = options.clock.now();
                match ask(Method::POST, format!("{health}/sync")).await? {
                    (202, _) => Ok(true),
                    (409, _) => Ok(false),
                    (status, _) => bail!("{health}/sync answered {status}"),
                }
            }
        })
        .await?;
        ensure!(has_run, "another sync has run for ten minutes");
        let Kind::Machine { health, .. } = &self.0 else {
            ensure!(
                report["complete"] == true,
                "it is not complete: {}",
                report["problems"]
            );
            return Ok(format!(
                "complete, {} keys in {} ms",
                report["keys_listed"], report["duration_ms"]
            ));
        };
        let (is_complete, _) = within(&options.wait, PATIENCE, async || {
            let age =
                ask(Method::GET, format!("{health}/health")).await?.1["complete_sync_s"].as_i64();
            Ok(age.is_some_and(|age| {
                options.clock.now() - SignedDuration::from_secs(age - 1) >= begun
            }))
        })
        .await?;
        ensure!(
            is_complete,
            "no sync was complete within ten minutes: the account page says why"
        );
        Ok("complete".to_owned())
    }
}

fn invoked(aws: &Aws, deployment: &Deployment) -> Result<Value> {
    let function = deployment.resource("UsageSync");
    let words = [
        "lambda",
        "invoke",
        "--function-name",
        function,
        "--cli-read-timeout",
        "900",
        "/dev/stdout",
    ];
    let answer = aws
        .ask(&words, "FunctionError")?
        .map_err(anyhow::Error::msg)?
        .context("AWS knows no such function")?;
    report_in(&answer)
}

/// The report of a sync: before `None`, or in which way the function failed.
fn report_in(answer: &str) -> Result<Value> {
    let mut values = serde_json::Deserializer::from_str(answer).into_iter::<Value>();
    let report = values
        .next()
        .and_then(Result::ok)
        .with_context(|| format!("usage-sync answered {answer}"))?;
    let failure = answer[values.byte_offset()..].trim();
    ensure!(
        failure == "None",
        "usage-sync failed ({failure}): {}",
        report["errorMessage"].as_str().unwrap_or("without a word")
    );
    Ok(report)
}

async fn ask(method: Method, url: String) -> Result<(u16, Value)> {
    let answer = tls::loopback()
        .build()?
        .request(method, url)
        .send()
        .await
        .context("nothing answers at --health")?;
    let status = answer.status().as_u16();
    Ok((
        status,
        serde_json::from_str(&answer.text().await?).unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_that_dies_says_of_what() {
        let why = report_in("{\"errorMessage\":\"Task timed out\"}\nUnhandled\n").unwrap_err();
        assert_eq!(
            why.to_string(),
            "usage-sync failed (Unhandled): Task timed out"
        );
    }
}
