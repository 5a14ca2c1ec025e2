//! The schedules, which wake what nobody asks for.

use serde_json::Value;

use super::check::{Check, Finding, Item};
use super::deployment::{Deployment, lacks, text};

const RULE: &str = "AWS::Events::Rule";

pub(super) fn items(deployment: &Deployment) -> Vec<Item> {
    let rule = |(logical, id): (&str, &str)| {
        let ask = ["events", "describe-rule", "--name", id];
        Item::Ask(Check::new(format!("schedule {logical}"), "events:DescribeRule", &ask, comes))
    };
    let items: Vec<Item> = deployment.of_type(RULE).map(rule).collect();
    if items.is_empty() {
        return vec![Item::Known("schedules".to_owned(), lacks("schedule"))];
    }
    items
}

fn comes(answer: &Value) -> Option<Finding> {
    let expression = text(answer, "ScheduleExpression")?;
    Some(match text(answer, "State")? {
        "ENABLED" => Finding::fine(format!("it is on: {expression}, in UTC")),
        _ => Finding::mend("It is off.", "Switch it on: aws events enable-rule."),
    })
}

#[cfg(test)]
mod tests {
    use super::super::check::recorded::{check, is_fine, is_mend, judged};
    use super::*;

    const RECORDED: &str = include_str!("answers/schedules.json");

    #[test]
    fn each_schedule_is_on_or_off() {
        for logical in ["ConsoleWork", "MailDrain", "ThresholdAlertsWatch", "UsageSyncNightly", "UsageSyncResume"] {
            let check = check(items(&Deployment::example().unwrap()), &format!("schedule {logical}"));
            assert!(is_fine(&judged(&check, RECORDED, "fine"), "cron(20 0 * * ? *)"));
            assert!(is_mend(&judged(&check, RECORDED, "off"), "It is off"));
        }
    }
}
