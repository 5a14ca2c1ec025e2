//! The stack as CloudFormation describes it: how it stands, what was given to it, and the names of what it made.

use std::collections::BTreeMap;

use serde_json::Value;

use super::check::{Check, Finding, Item};

/// A deployed stack.
#[derive(Debug)]
pub(super) struct Deployment {
    pub(super) name: String,
    status: String,
    parameters: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
    resources: BTreeMap<String, Resource>,
}

#[derive(Debug)]
struct Resource {
    id: String,
    kind: String,
}

/// The question for the stack itself.
pub(super) fn stack(name: &str) -> Vec<String> {
    ["cloudformation", "describe-stacks", "--stack-name", name].map(str::to_owned).into()
}

/// The question for its resources. Of `describe-stack-resources` a hundred are the most, and there are more.
pub(super) fn resources(name: &str) -> Vec<String> {
    ["cloudformation", "list-stack-resources", "--stack-name", name].map(str::to_owned).into()
}

impl Deployment {
    /// Reads both answers; `None` where they have another form.
    pub(super) fn read(stack: &Value, resources: &Value) -> Option<Deployment> {
        let [stack] = stack.get("Stacks")?.as_array()?.as_slice() else { return None };
        let pairs = |list: &str, key: &str, value: &str| -> Option<BTreeMap<String, String>> {
            let Some(listed) = stack.get(list) else { return Some(BTreeMap::new()) };
            let pair = |each: &Value| Some((text(each, key)?.to_owned(), text(each, value)?.to_owned()));
            listed.as_array()?.iter().map(pair).collect()
        };
        let resource = |each: &Value| {
            // What was never made has no id.
            let id = text(each, "PhysicalResourceId").unwrap_or_default().to_owned();
            let resource = Resource { id, kind: text(each, "ResourceType")?.to_owned() };
            Some((text(each, "LogicalResourceId")?.to_owned(), resource))
        };
        Some(Deployment {
            name: text(stack, "StackName")?.to_owned(),
            status: text(stack, "StackStatus")?.to_owned(),
            parameters: pairs("Parameters", "ParameterKey", "ParameterValue")?,
            outputs: pairs("Outputs", "OutputKey", "OutputValue")?,
            resources: resources
                .get("StackResourceSummaries")?
                .as_array()?
                .iter()
                .map(resource)
                .collect::<Option<_>>()?,
        })
    }

    /// A parameter that was given a value.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn output(&self, name: &str) -> Option<&str> {
        self.outputs.get(name).map(String::as_str)
    }

    pub(super) fn id(&self, logical: &str) -> Option<&str> {
        self.resources.get(logical).map(|resource| resource.id.as_str()).filter(|id| !id.is_empty())
    }

    /// The resources of a type, by their names in the template, with their ids.
    pub(super) fn of_type(&self, kind: &str) -> impl Iterator<Item = (&str, &str)> {
        let is_one = move |(_, resource): &(&String, &Resource)| resource.kind == kind && !resource.id.is_empty();
        self.resources.iter().filter(is_one).map(|(name, resource)| (name.as_str(), resource.id.as_str()))
    }

    /// A check of one resource, or that the stack lacks it.
    pub(super) fn about(&self, name: &str, logical: &str, check: impl FnOnce(&str) -> Check) -> Item {
        match self.id(logical) {
            Some(id) => Item::Ask(check(id)),
            None => Item::Known(name.to_owned(), lacks(logical)),
        }
    }

    pub(super) fn items(&self) -> Vec<Item> {
        let ask = ["cloudformation", "get-stack-policy", "--stack-name", &self.name];
        vec![
            Item::Known("stack".to_owned(), standing(&self.status)),
            Item::Ask(
                Check::new("stack policy", "cloudformation:GetStackPolicy", &ask, policy).or_if_absent(no_policy()),
            ),
        ]
    }

    /// A deployment with a domain of its own, as the recorded answers describe it.
    pub(super) fn example() -> Option<Deployment> {
        let recorded: Value = serde_json::from_str(RECORDED).ok()?;
        let answer = |command: &str| recorded.get(command)?.get("fine");
        Deployment::read(answer("cloudformation describe-stacks")?, answer("cloudformation list-stack-resources")?)
    }
}

const RECORDED: &str = include_str!("answers/stack.json");

/// The finding where the stack has no such resource.
pub(super) fn lacks(logical: &str) -> Finding {
    let how = match logical {
        // A deployment would make a new, empty one.
        "Table" => IMPORT,
        _ => "Deploy template.yaml again, of the version that you run.",
    };
    Finding::mend(format!("The stack has no {logical}."), how)
}

/// What to do where the functions' table is not the stack's.
pub(super) const IMPORT: &str = "Do not deploy, which could make an empty table. Import the one in use: section Restore the table of infra/RUNBOOK.md.";

/// The text of a field.
pub(super) fn text<'v>(value: &'v Value, field: &str) -> Option<&'v str> {
    value.get(field)?.as_str()
}

fn standing(status: &str) -> Finding {
    let failed = "Look for what failed first: aws cloudformation describe-stack-events.";
    match status {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => Finding::fine(format!("it is {status}")),
        "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_ROLLBACK_COMPLETE" => {
            Finding::mend("The last change failed and was taken back, so the version before it runs.", failed)
        }
        "ROLLBACK_COMPLETE" | "CREATE_FAILED" | "ROLLBACK_FAILED" => Finding::mend(
            format!("It was never made: it is {status}."),
            "Look for what failed first, delete the stack and deploy again: aws cloudformation describe-stack-events.",
        ),
        "UPDATE_ROLLBACK_FAILED" => Finding::mend(
            "A change failed and could not be taken back.",
            "Mend what its events name, then: aws cloudformation continue-update-rollback.",
        ),
        _ if status.ends_with("_IN_PROGRESS") => {
            Finding::mend(format!("A change is under way: it is {status}."), "Wait for its end, and ask again.")
        }
        _ if status.ends_with("_FAILED") => Finding::mend(format!("It is {status}."), failed),
        other => Finding::NotChecked(format!("it is {other}, which is not known here")),
    }
}

/// The stack policy keeps a deployment from replacing the table or the secret.
fn policy(answer: &Value) -> Option<Finding> {
    let body: Value = serde_json::from_str(text(answer, "StackPolicyBody")?).ok()?;
    let denies = |resource: &str| {
        body["Statement"].as_array().into_iter().flatten().any(|each| {
            let named = |field: &str, wanted: &str| match &each[field] {
                Value::Array(list) => list.iter().any(|value| value == wanted),
                value => value == wanted,
            };
            each["Effect"] == "Deny" && named("Resource", resource) && named("Action", "Update:Replace")
        })
    };
    body.get("Statement")?;
    match ["LogicalResourceId/Table", "LogicalResourceId/ManagementKey"].into_iter().find(|each| !denies(each)) {
        None => Some(Finding::fine("no deployment replaces the table or the secret")),
        Some(_) => Some(no_policy()),
    }
}

fn no_policy() -> Finding {
    Finding::mend(
        "A deployment may replace the table or the secret.",
        "Set infra/stack-policy.json: aws cloudformation set-stack-policy.",
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::recorded::{check, is_fine, is_mend, judged};
    use super::*;

    #[test]
    fn a_stack_is_read_with_what_was_given_to_it_and_what_it_made() {
        let deployment = Deployment::example().unwrap();
        assert_eq!(deployment.parameter("MailFrom"), Some("bursar@cs.example.edu"));
        assert_eq!(deployment.parameter("Support"), None, "an empty one was not given");
        assert!(deployment.id("ManagementKey").unwrap().contains(":secret:"));
        assert_eq!(deployment.of_type("AWS::Events::Rule").count(), 5);
        assert!(matches!(deployment.about("x", "Nothing", |_| panic!()), Item::Known(_, Finding::Mend { .. })));
    }

    #[test]
    fn each_state_of_a_stack_is_fine_or_to_be_mended() {
        for fine in ["CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"] {
            assert!(is_fine(&standing(fine), fine));
        }
        for (status, part) in [
            ("ROLLBACK_COMPLETE", "never made"),
            ("UPDATE_ROLLBACK_COMPLETE", "was taken back"),
            ("UPDATE_ROLLBACK_FAILED", "could not be taken back"),
            ("UPDATE_IN_PROGRESS", "under way"),
            ("DELETE_FAILED", "DELETE_FAILED"),
        ] {
            assert!(is_mend(&standing(status), part), "{status}");
        }
        assert!(matches!(standing("SOMETHING_NEW"), Finding::NotChecked(_)));
    }

    #[test]
    fn the_policy_of_this_repository_is_enough_and_another_is_not() {
        let deployment = Deployment::example().unwrap();
        let check = check(deployment.items(), "stack policy");
        let ours = serde_json::json!({"StackPolicyBody": include_str!("../../../stack-policy.json")});
        assert!(is_fine(&policy(&ours).unwrap(), "no deployment replaces"));
        assert!(is_fine(&judged(&check, RECORDED, "fine"), "no deployment replaces"));
        assert!(is_mend(&judged(&check, RECORDED, "all allowed"), "may replace"));
        assert!(is_mend(&judged(&check, RECORDED, "allowed by name"), "may replace"));
    }
}
