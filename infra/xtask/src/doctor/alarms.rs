//! Whether somebody hears the alarms, what rings now, and what was given up.

use serde_json::Value;

use super::check::{Check, Finding, Item, PUT_BACK};
use super::deployment::{Deployment, lacks, text};

pub(super) fn items(deployment: &Deployment) -> Vec<Item> {
    let mail = deployment.about("operator's mail", "OperatorTopic", |topic| {
        let ask = ["sns", "list-subscriptions-by-topic", "--topic-arn", topic];
        Check::new("operator's mail", "sns:ListSubscriptionsByTopic", &ask, heard)
    });
    let letters = deployment.about("dead letters", "DeadLetters", |queue| {
        let mut ask = vec!["sqs", "get-queue-attributes", "--queue-url", queue];
        ask.extend(["--attribute-names", "ApproximateNumberOfMessages"]);
        Check::new("dead letters", "sqs:GetQueueAttributes", &ask, given_up)
    });
    let names: Vec<&str> = deployment.of_type("AWS::CloudWatch::Alarm").map(|(_, id)| id).collect();
    let alarms = match names.len() {
        0 => Item::Known("alarms".to_owned(), lacks("alarm")),
        all => {
            let ask = [&["cloudwatch", "describe-alarms", "--alarm-names"], names.as_slice()].concat();
            Item::Ask(Check::new("alarms", "cloudwatch:DescribeAlarms", &ask, move |answer| alarms(answer, all)))
        }
    };
    vec![mail, alarms, letters]
}

fn heard(answer: &Value) -> Option<Finding> {
    let subscriptions = answer.get("Subscriptions")?.as_array()?;
    let arns: Vec<&str> = subscriptions.iter().map(|each| text(each, "SubscriptionArn")).collect::<Option<_>>()?;
    Some(match arns.iter().filter(|arn| arn.starts_with("arn:")).count() {
        0 if arns.contains(&"PendingConfirmation") => Finding::mend(
            "The address of OperatorMail has not confirmed, so nobody hears an alarm.",
            "Press the link in the mail from AWS; it may lie under junk. A new one: section Deploy of infra/RUNBOOK.md.",
        ),
        0 => Finding::mend(
            "Nobody is subscribed, so nobody hears an alarm.",
            "Subscribe OperatorMail again: section Deploy of infra/RUNBOOK.md.",
        ),
        _ => Finding::fine("somebody has confirmed to hear of alarms"),
    })
}

fn alarms(answer: &Value, all: usize) -> Option<Finding> {
    let alarms = answer.get("MetricAlarms")?.as_array()?;
    let (mut ringing, mut silenced) = (Vec::new(), Vec::new());
    for alarm in alarms {
        let (name, state) = (text(alarm, "AlarmName")?, text(alarm, "StateValue")?);
        if state == "ALARM" {
            ringing.push(format!("{name}: {}", text(alarm, "AlarmDescription")?));
        }
        if !alarm.get("ActionsEnabled")?.as_bool()? {
            silenced.push(name);
        }
    }
    Some(if !ringing.is_empty() {
        Finding::mend(format!("{} of {all} ring.", ringing.len()), ringing.join(" "))
    } else if alarms.len() < all {
        Finding::mend(format!("{} of {all} were deleted.", all - alarms.len()), PUT_BACK)
    } else if !silenced.is_empty() {
        Finding::mend(
            format!("Nobody hears {}.", silenced.join(", ")),
            "Switch the actions on: aws cloudwatch enable-alarm-actions.",
        )
    } else {
        Finding::fine(format!("none of {all} rings"))
    })
}

fn given_up(answer: &Value) -> Option<Finding> {
    let count: u64 = text(answer.get("Attributes")?, "ApproximateNumberOfMessages")?.parse().ok()?;
    Some(match count {
        0 => Finding::fine("no function gave up on an event in four days"),
        _ => Finding::mend(
            format!("Functions gave up on {count} events in four days."),
            "Read why, and empty the queue once each is understood: section An alarm rings of infra/RUNBOOK.md.",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::check::recorded::{check, is_fine, is_mend, judged};
    use super::*;

    const RECORDED: &str = include_str!("answers/alarms.json");

    fn found(name: &str, answer: &str) -> Finding {
        judged(&check(items(&Deployment::example().unwrap()), name), RECORDED, answer)
    }

    #[test]
    fn the_operator_has_confirmed_or_not() {
        assert!(is_fine(&found("operator's mail", "fine"), "confirmed"));
        assert!(is_mend(&found("operator's mail", "pending"), "has not confirmed"));
        assert!(is_mend(&found("operator's mail", "deleted"), "Nobody is subscribed"));
        assert!(is_mend(&found("operator's mail", "none"), "Nobody is subscribed"));
    }

    #[test]
    fn an_alarm_that_rings_is_named_with_what_to_do() {
        assert!(is_fine(&found("alarms", "fine"), "none of 2 rings"));
        let ringing = found("alarms", "ringing");
        assert!(is_mend(&ringing, "1 of 2 ring"));
        assert!(ringing.to_string().contains("Is its schedule on"), "{ringing}");
        assert!(is_mend(&found("alarms", "silenced"), "Nobody hears bursar-MailSilent"));
        assert!(is_mend(&found("alarms", "deleted"), "1 of 2 were deleted"));
    }

    #[test]
    fn dead_letters_are_counted() {
        assert!(is_fine(&found("dead letters", "fine"), "no function gave up"));
        assert!(is_mend(&found("dead letters", "some"), "gave up on 3 events"));
    }
}
