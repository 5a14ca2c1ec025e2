//! What may run at once, in the account and of each function, and that each function is ready.

use serde_json::Value;

use super::check::{Check, Finding, Item};
use super::deployment::{Deployment, IMPORT, text};

/// The functions by their names in the template, each with the parameter that keeps copies for it.
const FUNCTIONS: [(&str, &str); 5] = [
    ("Claim", "ClaimConcurrency"),
    ("Console", "ConsoleConcurrency"),
    ("UsageSync", "UsageSyncConcurrency"),
    ("ThresholdAlerts", "ThresholdAlertsConcurrency"),
    ("Mail", "MailConcurrency"),
];

/// One copy for so many of those who press within ten seconds: a claim takes about two.
const STUDENTS_OF_A_COPY: u32 = 4;
/// Copies for all that runs beside the claims.
const BESIDE: u32 = 20;
/// The copies for a hall whose size nobody said.
const UNKNOWN_HALL: u32 = 100;

/// `at_once` are the students who press within ten seconds.
pub(super) fn items(deployment: &Deployment, at_once: Option<u32>) -> Vec<Item> {
    let for_claims = at_once.map(|students| students.div_ceil(STUDENTS_OF_A_COPY));
    let kept = deployment.parameter("ClaimConcurrency").and_then(|copies| copies.parse().ok());
    let account =
        Check::new("concurrency", "lambda:GetAccountSettings", &["lambda", "get-account-settings"], move |answer| {
            concurrency(answer, for_claims, kept)
        });
    let table = deployment.output("Table").unwrap_or_default();
    let each = FUNCTIONS.map(|(logical, parameter)| {
        let name = format!("function {logical}");
        let table = table.to_owned();
        deployment.about(&name, logical, |id| {
            let ask = ["lambda", "get-function", "--function-name", id];
            Check::new(&name, "lambda:GetFunction", &ask, move |answer| function(answer, parameter, &table))
        })
    });
    [Item::Ask(account)].into_iter().chain(each).collect()
}

/// Compares the account's limit with what a hall needs; claims have a share of their own where one is kept.
fn concurrency(answer: &Value, for_claims: Option<u32>, kept: Option<u32>) -> Option<Finding> {
    let limit = answer.get("AccountLimit")?;
    let number = |field: &str| limit.get(field)?.as_u64();
    let (all, free) = (number("ConcurrentExecutions")?, number("UnreservedConcurrentExecutions")?);
    let claims = for_claims.unwrap_or(UNKNOWN_HALL);
    let hall = if for_claims.is_some() { "of so many students" } else { "of unknown size" };
    let ask = "Ask AWS for a higher quota: section Concurrency before claim day of infra/RUNBOOK.md.";
    let (have, need) = match kept {
        Some(kept) => (u64::from(kept), u64::from(claims)),
        None => (free, u64::from(claims + BESIDE)),
    };
    Some(match (have < need, kept) {
        (true, Some(kept)) => Finding::mend(
            format!("ClaimConcurrency keeps {kept} copies, and a hall {hall} needs {claims}."),
            "Raise ClaimConcurrency and deploy.",
        ),
        (true, None) => Finding::mend(
            format!("{free} of the account's {all} copies are free for all functions, and a hall {hall} needs {need}."),
            ask,
        ),
        (false, _) => Finding::fine(format!("{have} copies are there for a hall {hall}, which needs {need}")),
    })
}

fn function(answer: &Value, parameter: &str, table: &str) -> Option<Finding> {
    let configuration = answer.get("Configuration")?;
    let state = text(configuration, "State")?;
    let update = text(configuration, "LastUpdateStatus")?;
    let reads = text(configuration.get("Environment")?.get("Variables")?, "BURSAR_TABLE")?;
    let reserved = answer.get("Concurrency").and_then(|kept| kept.get("ReservedConcurrentExecutions"));
    let reserved = match reserved {
        Some(number) => Some(number.as_u64()?),
        None => None,
    };
    Some(match (state, update, reserved) {
        (_, _, Some(0)) => Finding::mend(
            "It is stopped: no copy of it may run.",
            format!(
                "Let it run: aws lambda delete-function-concurrency, or the number of {parameter} if that is given."
            ),
        ),
        ("Active" | "Inactive", "Successful", _) if reads != table => {
            Finding::mend(format!("It uses the table {reads}, and the stack's is {table}."), IMPORT)
        }
        ("Active" | "Inactive", "Successful", Some(kept)) => {
            Finding::fine(format!("it is ready, with {kept} copies kept"))
        }
        // What was not called for weeks sleeps, and wakes by a call.
        ("Active" | "Inactive", "Successful", None) => Finding::fine("it is ready"),
        _ => Finding::mend(
            format!("It is {state}, and its last update is {update}."),
            "Wait a minute and ask again; if it stays so, deploy again.",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::check::recorded::{check, is_fine, is_mend, judged};
    use super::*;

    const RECORDED: &str = include_str!("answers/functions.json");

    fn found(name: &str, at_once: Option<u32>, answer: &str) -> Finding {
        judged(&check(items(&Deployment::example().unwrap(), at_once), name), RECORDED, answer)
    }

    #[test]
    fn an_account_has_room_for_a_hall_or_not() {
        assert!(is_fine(&found("concurrency", None, "fine"), "1000 copies are there for a hall of unknown size"));
        assert!(is_mend(&found("concurrency", None, "new account"), "10 of the account's 10 copies"));
        assert!(is_fine(&found("concurrency", Some(3_920), "fine"), "which needs 1000"));
        assert!(is_mend(&found("concurrency", Some(3_921), "fine"), "needs 1001"));
    }

    #[test]
    fn copies_that_are_kept_for_claims_are_what_counts() {
        let answer =
            serde_json::json!({"AccountLimit": {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}});
        assert!(is_fine(&concurrency(&answer, Some(50), Some(50)).unwrap(), "50 copies"));
        assert!(is_mend(&concurrency(&answer, Some(51), Some(50)).unwrap(), "keeps 50 copies"));
    }

    #[test]
    fn a_function_is_ready_stopped_broken_or_at_another_table() {
        assert!(is_fine(&found("function Claim", None, "fine"), "it is ready"));
        assert!(is_fine(&found("function Claim", None, "kept"), "50 copies kept"));
        assert!(is_mend(&found("function Claim", None, "stopped"), "no copy of it may run"));
        assert!(is_mend(&found("function Claim", None, "failed"), "its last update is Failed"));
        assert!(is_mend(&found("function Claim", None, "another table"), "It uses the table bursar-restored"));
    }
}
