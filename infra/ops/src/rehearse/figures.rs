//! What a stack itself has measured meanwhile: its functions' starts, the table's transactions, the provider's answers, its alarms.

use super::Run;
use super::place::Kind;
use crate::aws::{Answer, Aws, Deployment};
use crate::status;

const FUNCTIONS: [(&str, &str); 5] = [
    ("claim", "ClaimLog"),
    ("console", "ConsoleLog"),
    ("usage-sync", "UsageSyncLog"),
    ("threshold-alerts", "ThresholdAlertsLog"),
    ("mail", "MailLog"),
];

impl Run<'_> {
    /// What cannot be had is said in the place of its value, since nothing else depends on it.
    pub(super) async fn figures(&mut self) {
        let Kind::Stack { aws, deployment } = &self.options.place.0 else { return };
        let since = self.report.begun_at();
        for (name, log) in FUNCTIONS {
            let start = since.as_millisecond().to_string();
            let log = deployment.resource(log);
            let words = ["logs", "filter-log-events", "--log-group-name", log, "--start-time", &start];
            let words = [&words[..], &["--filter-pattern", "\"REPORT RequestId\""]].concat();
            let value = text(aws.ask(&words, "events[].[message]")).map_or_else(|why| why, |lines| starts(&lines));
            self.report.figure(format!("{name}: first answer cold, then warm"), value);
        }
        self.report.figure("a transaction of the table", transactions(aws, deployment));
        let answers = status::search(aws, deployment, status::PROVIDER);
        let answers = answers.unwrap_or_else(|error| Err(format!("{error:#}"))).unwrap_or_else(|why| why);
        self.report.figure("the provider's answers to the functions", answers);
        let prefix = format!("{}-", aws.stack);
        let alarms = ["cloudwatch", "describe-alarms", "--alarm-name-prefix", &prefix];
        let query = "[length(MetricAlarms[?StateValue=='OK']), length(MetricAlarms), join(' ', MetricAlarms[?StateValue=='ALARM'].AlarmName)]";
        self.report.figure(
            "alarms in OK, of all, and those that ring",
            text(aws.ask(&alarms, query)).unwrap_or_else(|why| why),
        );
    }
}

fn transactions(aws: &Aws, deployment: &Deployment) -> String {
    let question = "cloudwatch get-metric-statistics --namespace AWS/DynamoDB --metric-name SuccessfulRequestLatency --dimensions \
                    Name=TableName,Value=$table Name=Operation,Value=TransactWriteItems --statistics Average Maximum --period 3600 \
                    --start-time $lately --end-time $now";
    let Some(question) = deployment.fill(question, "") else { return "not known".to_owned() };
    let words: Vec<&str> = question.split_whitespace().collect();
    let value = text(aws.ask(&words, "Datapoints[-1].[Average, Maximum]"));
    value.map_or_else(|why| why, |value| format!("mean and longest in ms: {value}"))
}

fn text(answer: anyhow::Result<Answer>) -> Result<String, String> {
    let text = answer.map_err(|error| format!("{error:#}"))??;
    text.map(|text| text.trim().to_owned()).ok_or_else(|| "AWS knows no such thing".to_owned())
}

/// The first answer of a copy that started, its start included, and the middle one of those that had.
fn starts(lines: &str) -> String {
    let mut cold = Vec::new();
    let mut warm = Vec::new();
    for report in lines.split("REPORT RequestId").skip(1) {
        let Some(duration) = milliseconds(report, "Duration: ") else { continue };
        match milliseconds(report, "Init Duration: ") {
            Some(start) => cold.push(start + duration),
            None => warm.push(duration),
        }
    }
    [cold, warm]
        .map(|mut times| {
            times.sort_by(f64::total_cmp);
            times
                .get(times.len() / 2)
                .map_or("none seen".to_owned(), |middle| format!("{middle:.0} ms ({} seen)", times.len()))
        })
        .join(", ")
}

fn milliseconds(report: &str, name: &str) -> Option<f64> {
    report.split_once(name)?.1.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_told_apart() {
        let lines = "REPORT RequestId: a\tDuration: 80.5 ms\tBilled Duration: 121 ms\tMemory Size: 512 MB\tInit Duration: 40.00 ms\n\
                     REPORT RequestId: b\tDuration: 9.20 ms\tBilled Duration: 10 ms\nREPORT RequestId: c\tDuration: 7.00 ms";
        assert_eq!(starts(lines), "120 ms (1 seen), 9 ms (2 seen)");
        assert_eq!(starts(""), "none seen, none seen");
    }
}
