//! The table: its stream and its protection, recovery, expiry, and the two readers of its stream.

use serde_json::Value;

use super::check::{Check, Finding, Item};
use super::deployment::{Deployment, IMPORT, lacks, text};

/// The readers of the stream by their names in the expanded template.
const READERS: [&str; 2] = ["ThresholdAlertsSpending", "MailUrgent"];
/// The days that people are told.
const RECOVERY_DAYS: u64 = 35;
const AGAIN: &str = "Set it again as section Restore the table of infra/RUNBOOK.md does.";

pub(super) fn items(deployment: &Deployment) -> Vec<Item> {
    // The functions' table, which after a restore may not be the stack's own yet.
    let Some(name) = deployment.output("Table") else { return vec![Item::Known("table".to_owned(), lacks("Table"))] };
    let mut items = vec![Item::Known("table's place".to_owned(), place(deployment.id("Table"), name))];
    let ask = |operation: &'static str| ["dynamodb", operation, "--table-name", name];
    let check = |about: &str, right, operation, judge: fn(&Value) -> Option<Finding>| {
        Item::Ask(Check::new(about, right, &ask(operation), judge))
    };
    items.extend([
        check("table", "dynamodb:DescribeTable", "describe-table", table),
        check("table recovery", "dynamodb:DescribeContinuousBackups", "describe-continuous-backups", recovery),
        check("table expiry", "dynamodb:DescribeTimeToLive", "describe-time-to-live", expiry),
    ]);
    items.extend(READERS.map(|reader| {
        let (about, table) = (format!("stream {reader}"), name.to_owned());
        deployment.about(&about, reader, |id| {
            let ask = ["lambda", "get-event-source-mapping", "--uuid", id];
            Check::new(&about, "lambda:GetEventSourceMapping", &ask, move |answer| reads(answer, &table))
        })
    }));
    items
}

fn place(in_stack: Option<&str>, in_use: &str) -> Finding {
    match in_stack {
        Some(id) if id == in_use => Finding::fine("the functions use the stack's table"),
        _ => Finding::mend(format!("The functions use {in_use}, which is not in the stack."), IMPORT),
    }
}

fn table(answer: &Value) -> Option<Finding> {
    let table = answer.get("Table")?;
    let status = text(table, "TableStatus")?;
    let is_protected = table.get("DeletionProtectionEnabled").is_some_and(|each| each == true);
    let stream = table.get("StreamSpecification");
    let images =
        stream.filter(|stream| stream["StreamEnabled"] == true).and_then(|stream| text(stream, "StreamViewType"));
    let is_encrypted = table.get("SSEDescription").is_some_and(|sse| sse["Status"] == "ENABLED");
    Some(match (status, images) {
        ("ACTIVE" | "UPDATING", Some("NEW_AND_OLD_IMAGES")) => match (is_protected, is_encrypted) {
            (true, true) => Finding::fine("its stream is on, and nobody deletes it by mistake"),
            (false, _) => Finding::mend("It may be deleted by mistake.", AGAIN),
            (_, false) => Finding::mend("It is not encrypted with a key that CloudTrail shows.", AGAIN),
        },
        ("ACTIVE" | "UPDATING", _) => Finding::mend("Its stream is off, so no mail and no alert leaves.", AGAIN),
        _ => Finding::mend(format!("It is {status}."), "Wait until it is ACTIVE, and ask again."),
    })
}

fn recovery(answer: &Value) -> Option<Finding> {
    let backups = answer.get("ContinuousBackupsDescription")?.get("PointInTimeRecoveryDescription")?;
    let days = backups.get("RecoveryPeriodInDays").and_then(Value::as_u64);
    Some(match (text(backups, "PointInTimeRecoveryStatus")?, days) {
        ("ENABLED", Some(RECOVERY_DAYS) | None) => Finding::fine("it can be put back to any moment of 35 days"),
        ("ENABLED", Some(days)) => {
            Finding::mend(format!("It can be put back by {days} days, and people are told 35."), AGAIN)
        }
        _ => Finding::mend("It cannot be put back to a moment before a mistake.", AGAIN),
    })
}

fn expiry(answer: &Value) -> Option<Finding> {
    let expiry = answer.get("TimeToLiveDescription")?;
    Some(match (text(expiry, "TimeToLiveStatus")?, text(expiry, "AttributeName")) {
        ("ENABLED" | "ENABLING", Some("ttl")) => Finding::fine("what is over expires"),
        ("ENABLED" | "ENABLING", _) => Finding::mend("Items expire by another attribute than ttl.", AGAIN),
        _ => Finding::mend("Nothing expires: sessions and sign-ins pile up.", AGAIN),
    })
}

fn reads(answer: &Value, table: &str) -> Option<Finding> {
    let (state, source) = (text(answer, "State")?, text(answer, "EventSourceArn")?);
    if !source.contains(&format!(":table/{table}/stream/")) {
        return Some(Finding::mend(
            format!("It reads {source}, which is not the stream of {table}."),
            "Point the stack at the table: section Restore the table of infra/RUNBOOK.md.",
        ));
    }
    let last = text(answer, "LastProcessingResult").unwrap_or("No records processed");
    Some(match (state, last) {
        ("Enabled", last) if last.starts_with("OK") || last == "No records processed" => {
            Finding::fine(format!("it is on; the last result: {last}"))
        }
        ("Enabled", problem) => {
            Finding::mend(format!("Its last result: {problem}."), "Read the function's log: it says what fails.")
        }
        _ => Finding::mend(
            format!("It is {state}."),
            "Switch it on: aws lambda update-event-source-mapping --enabled, or wait where it is changing.",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::check::recorded::{check, is_fine, is_mend, judged};
    use super::*;

    const RECORDED: &str = include_str!("answers/table.json");

    fn found(name: &str, answer: &str) -> Finding {
        judged(&check(items(&Deployment::example().unwrap()), name), RECORDED, answer)
    }

    #[test]
    fn a_table_streams_and_is_protected() {
        assert!(is_fine(&found("table", "fine"), "its stream is on"));
        assert!(is_mend(&found("table", "restored"), "Its stream is off"));
        assert!(is_mend(&found("table", "old images"), "Its stream is off"));
        assert!(is_mend(&found("table", "unprotected"), "deleted by mistake"));
        assert!(is_mend(&found("table", "restoring"), "It is CREATING"));
        assert!(is_mend(&found("table", "owned by AWS"), "not encrypted"));
    }

    #[test]
    fn a_table_can_be_put_back_and_forgets() {
        assert!(is_fine(&found("table recovery", "fine"), "35 days"));
        assert!(is_mend(&found("table recovery", "off"), "cannot be put back"));
        assert!(is_mend(&found("table recovery", "a week"), "by 7 days"));
        assert!(is_fine(&found("table expiry", "fine"), "expires"));
        assert!(is_mend(&found("table expiry", "off"), "Nothing expires"));
        assert!(is_mend(&found("table expiry", "another attribute"), "another attribute"));
    }

    #[test]
    fn a_reader_is_on_and_reads_this_table() {
        for reader in READERS.map(|reader| format!("stream {reader}")) {
            assert!(is_fine(&found(&reader, "fine"), "OK"));
            assert!(is_fine(&found(&reader, "counted"), "OK - 1 records"));
            assert!(is_fine(&found(&reader, "new"), "No records processed"));
            assert!(is_mend(&found(&reader, "failing"), "PROBLEM"));
            assert!(is_mend(&found(&reader, "off"), "It is Disabled"));
            assert!(is_mend(&found(&reader, "another table"), "not the stream of"));
        }
    }

    #[test]
    fn a_restored_table_belongs_into_the_stack() {
        assert!(is_fine(&place(Some("a"), "a"), "the stack's table"));
        assert!(is_mend(&place(Some("a"), "b"), "The functions use b"));
        assert!(is_mend(&place(None, "b"), "not in the stack"));
        for finding in [place(None, "b"), lacks("Table")] {
            assert!(finding.to_string().contains("Do not deploy"), "{finding}");
        }
    }
}
