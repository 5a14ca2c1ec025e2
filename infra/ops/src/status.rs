//! `status`: why students cannot claim now, and what to do about it.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;

use crate::aws::{
    self, Answer, Aws, Deployment, LATELY, Login, NOT_CHECKED, OK, Report, seconds_ago,
};

/// In the order of what keeps students from their keys most often.
const CHECKS: &str = include_str!("status.txt");
/// What is counted in the logs.
const SEARCHES: [(&str, &str); 3] = [
    (
        "answers of 400 and more",
        "filter message = 'answered' and status >= 400 | stats count(*) as n by span.route, status | sort n desc | limit 12",
    ),
    (
        "refusals, warnings, errors",
        "filter ispresent(refused) or level in ['WARN', 'ERROR'] | stats count(*) as n by message, \
         refused, span.route, status, operation, code | sort n desc | limit 20",
    ),
    (
        "the provider",
        "filter message = \"the provider's answers\" | stats sum(calls) as of_calls, sum(failed) as have_failed, \
         max(slowest_ms) as slowest",
    ),
];
const LOGS: [&str; 5] = [
    "ClaimLog",
    "ConsoleLog",
    "MailLog",
    "ThresholdAlertsLog",
    "UsageSyncLog",
];
/// A search has so long to end.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Args)]
pub struct Arguments {
    /// The name of the deployment's stack
    #[arg(long, value_name = "NAME")]
    stack: String,
    #[command(flatten)]
    login: Login,
}

pub(crate) fn status(arguments: Arguments) -> anyhow::Result<()> {
    let aws = Aws {
        stack: arguments.stack,
        login: arguments.login,
    };
    let stack = Deployment::read(&aws)?;
    let mut report = Report::default();
    writeln!(
        std::io::stdout(),
        "{} in the last {} minutes:\n",
        aws.stack,
        LATELY / 60
    )?;
    for (name, verdict) in aws::check(&aws, &stack, CHECKS, &short)? {
        report.tell(&name, verdict)?;
    }
    let counted = aws::at_once(&SEARCHES, |(_, query)| search(&aws, &stack, query))?;
    for ((name, _), rows) in SEARCHES.iter().zip(counted) {
        let verdict = match rows {
            Err(why) => (NOT_CHECKED, why),
            Ok(rows) if rows.is_empty() => (OK, "none".to_owned()),
            Ok(rows) => (OK, format!("\n{rows}").replace('\n', "\n             ")),
        };
        report.tell(name, verdict)?;
    }
    report.end("of these keep students from their keys, or soon will. Do what the first says, and look again")
}

/// Whether the API turned away far more than the functions did, or the day's mails are nearly used
/// up.
fn short(expected: &str, numbers: &[f64]) -> Option<String> {
    let &[first, second] = numbers else {
        return None;
    };
    // A quota below zero is none.
    let is_short = if expected == "enough mails" {
        second >= 0.0 && first >= second * 0.9
    } else {
        first >= second + 10.0
    };
    is_short.then(|| "That is too many.".to_owned())
}

/// The rows that a search in the stack's logs finds, each as `field=value` words.
fn search(aws: &Aws, stack: &Deployment, query: &str) -> anyhow::Result<Result<String, String>> {
    let start = seconds_ago(LATELY).to_string();
    let end = seconds_ago(0).to_string();
    let mut words = vec![
        "logs",
        "start-query",
        "--start-time",
        &start,
        "--end-time",
        &end,
        "--query-string",
        query,
    ];
    words.push("--log-group-names");
    words.extend(LOGS.iter().map(|log| stack.resource(log)));
    let require = |answer: Answer| {
        answer.and_then(|text| text.ok_or_else(|| "AWS knows no such log".to_owned()))
    };
    let id = match require(aws.ask(&words, "queryId")?) {
        Ok(id) => id,
        Err(why) => return Ok(Err(why)),
    };
    let rows = "[[[status]], results[*].[join(' ', [*].join('=', [field, value]))]][]";
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let text = match require(aws.ask(
            &["logs", "get-query-results", "--query-id", id.trim()],
            rows,
        )?) {
            Ok(text) => text,
            Err(why) => return Ok(Err(why)),
        };
        match text.split_once('\n') {
            Some(("Complete", rows)) => return Ok(Ok(rows.trim_end().to_owned())),
            Some(("Scheduled" | "Running", _)) => sleep(Duration::from_millis(500)),
            _ => {
                return Ok(Err(format!(
                    "a search of the logs ended as {}",
                    text.trim()
                )));
            }
        }
    }
    Ok(Err(format!(
        "a search of the logs had not ended after {} seconds: ask again",
        PATIENCE.as_secs()
    )))
}
