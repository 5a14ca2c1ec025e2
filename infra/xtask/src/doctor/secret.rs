//! The secret of the management key: whether somebody put a key there and no other one waits. Whether the key works is
//! read from the syncs, so that nobody needs a right to read it.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::check::{Check, Finding, Item};
use super::deployment::{Deployment, text};

/// The hours in which there is at least one nightly sync.
const A_NIGHT: SignedDuration = SignedDuration::from_hours(26);

pub(super) fn items(deployment: &Deployment, now: Timestamp) -> Vec<Item> {
    let secret = deployment.about("secret", "ManagementKey", |id| {
        let ask = ["secretsmanager", "describe-secret", "--secret-id", id];
        Check::new("secret", "secretsmanager:DescribeSecret", &ask, holds_a_key)
    });
    let namespace = format!("{}/sync", deployment.name);
    let whole = |time: Timestamp| Timestamp::from_second(time.as_second()).unwrap_or(time).to_string();
    let (since, until) = (whole(now - A_NIGHT), whole(now));
    let mut ask = vec!["cloudwatch", "get-metric-statistics", "--namespace", &namespace];
    ask.extend(["--metric-name", "SyncComplete", "--statistics", "Maximum", "--period", "3600"]);
    ask.extend(["--start-time", &since, "--end-time", &until]);
    vec![secret, Item::Ask(Check::new("management key", "cloudwatch:GetMetricStatistics", &ask, has_synced))]
}

fn holds_a_key(answer: &Value) -> Option<Finding> {
    text(answer, "ARN")?;
    if answer.get("DeletedDate").is_some() {
        return Some(Finding::mend(
            "The secret is to be deleted.",
            "Take that back: aws secretsmanager restore-secret. Then put the key there.",
        ));
    }
    let Some(versions) = answer.get("VersionIdsToStages") else { return Some(empty()) };
    let with = |stage: &str| {
        let has = |stages: &Value| stages.as_array().is_some_and(|stages| stages.iter().any(|each| each == stage));
        let mut versions = versions.as_object()?.iter();
        versions.find(|(_, stages)| has(stages)).map(|(version, _)| version.clone())
    };
    versions.as_object()?;
    let (current, pending) = (with("AWSCURRENT"), with("AWSPENDING"));
    if current.is_none() {
        return Some(empty());
    }
    if pending.is_some() && pending != current {
        return Some(Finding::mend(
            "A new management key waits, and the old one is still in use.",
            "Promote it: section Rotate the management key of infra/RUNBOOK.md.",
        ));
    }
    Some(Finding::fine("it holds a key, and no other one waits"))
}

fn empty() -> Finding {
    Finding::mend("It holds no key.", "Put the provider's management key there: section Deploy of infra/RUNBOOK.md.")
}

fn has_synced(answer: &Value) -> Option<Finding> {
    let points = answer.get("Datapoints")?.as_array()?;
    let ended: Vec<f64> = points.iter().map(|point| point.get("Maximum")?.as_f64()).collect::<Option<_>>()?;
    let start = "Start a sync, and read what it reports: section Sync by hand of infra/RUNBOOK.md.";
    Some(match (ended.is_empty(), ended.iter().any(|&complete| complete > 0.0)) {
        (_, true) => Finding::fine("a sync was complete within the last 26 hours, so the key works"),
        (true, _) => {
            Finding::mend("No sync has ended within the last 26 hours, so nobody knows if the key works.", start)
        }
        (false, _) => Finding::mend("No sync of the last 26 hours was complete.", start),
    })
}

#[cfg(test)]
mod tests {
    use super::super::check::recorded::{check, is_fine, is_mend, judged};
    use super::*;

    const RECORDED: &str = include_str!("answers/secret.json");

    fn found(name: &str, answer: &str) -> Finding {
        let now = Timestamp::from_second(1_770_000_000).unwrap();
        judged(&check(items(&Deployment::example().unwrap(), now), name), RECORDED, answer)
    }

    #[test]
    fn a_secret_holds_one_key_and_no_other_waits() {
        assert!(is_fine(&found("secret", "fine"), "it holds a key"));
        assert!(is_fine(&found("secret", "promoted"), "it holds a key"));
        assert!(is_mend(&found("secret", "empty"), "holds no key"));
        assert!(is_mend(&found("secret", "pending alone"), "holds no key"));
        assert!(is_mend(&found("secret", "pending"), "the old one is still in use"));
        assert!(is_mend(&found("secret", "deleted"), "to be deleted"));
    }

    #[test]
    fn a_key_works_when_a_sync_of_the_last_night_was_complete() {
        assert!(is_fine(&found("management key", "fine"), "was complete"));
        assert!(is_mend(&found("management key", "silent"), "No sync has ended"));
        assert!(is_mend(&found("management key", "incomplete"), "was complete"));
    }

    #[test]
    fn the_night_is_asked_for_in_whole_seconds() {
        let now = "2026-11-22T19:42:29.5Z".parse().unwrap();
        let ask = check(items(&Deployment::example().unwrap(), now), "management key").ask;
        assert!(ask.ends_with(
            &["--start-time", "2026-11-21T17:42:29Z", "--end-time", "2026-11-22T19:42:29Z"].map(str::to_owned)
        ));
    }
}
