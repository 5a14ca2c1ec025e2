//! Least privilege, held wherever a stack ends: what a function did in AWS is allowed by its role,
//! as it stands in `template.yaml`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use bursar_local::invoke::FunctionName;
use serde_json::Value;

use crate::faults::{Call, Service};
use crate::stack::Stack;

/// The template that is deployed.
pub static TEMPLATE: LazyLock<Value> =
    LazyLock::new(|| serde_saphyr::from_str(include_str!("../../template.yaml")).unwrap());

/// The statements of each function's role, read once.
static ROLES: LazyLock<BTreeMap<FunctionName, Vec<Value>>> =
    LazyLock::new(|| FunctionName::ALL.map(role).into());

/// One permission that a function used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Used {
    pub function: FunctionName,
    /// The action as a policy names it: `dynamodb:PutItem`, also within a transaction.
    pub action: String,
    /// The table or its index, by the end of the ARN, and the beginning of the partition's key or
    /// the queue.
    pub on: Option<(&'static str, String)>,
    /// The attributes that an update names; empty of all else.
    pub attributes: BTreeSet<String>,
}

/// What the functions of this stack did that their roles do not allow. Calls by the test itself do
/// not count.
pub(crate) fn not_allowed(stack: &Stack) -> BTreeSet<String> {
    let refused = used(stack).into_iter().filter(|used| !is_allowed(used));
    refused
        .map(|used| {
            format!(
                "{used:?}: the role of {} in template.yaml does not allow it",
                used.function
            )
        })
        .collect()
}

/// The permissions that the functions of a stack used.
pub fn used(stack: &Stack) -> BTreeSet<Used> {
    let calls = stack.gate.calls().into_iter();
    calls
        .filter(|call| call.instance > 0)
        .flat_map(needed)
        .collect()
}

/// The permissions that a call needs. A call of the table in which no item is recognised needs one
/// that no role has.
fn needed(call: Call) -> Vec<Used> {
    let used = |action, on| Used {
        function: call.function,
        action,
        on,
        attributes: BTreeSet::new(),
    };
    match call.name.service {
        Service::Provider => Vec::new(),
        Service::Ses | Service::SecretsManager => vec![used(call.name.to_string(), None)],
        Service::DynamoDb if call.parts.is_empty() => {
            vec![used(call.name.to_string(), Some(("", "?".to_owned())))]
        }
        Service::DynamoDb => {
            let of = if call.by_index { "/index/due" } else { "" };
            let parts = call.parts.into_iter();
            parts
                .map(|part| Used {
                    attributes: part.attributes,
                    ..used(
                        format!("dynamodb:{}", part.action),
                        Some((of, part.partition)),
                    )
                })
                .collect()
        }
    }
}

/// Whether the function's role allows this: by one statement at least, and no other denies it.
pub fn is_allowed(used: &Used) -> bool {
    let fits = |effect| {
        ROLES[&used.function]
            .iter()
            .any(move |each| each["Effect"] == effect && concerns(each, used))
    };
    fits("Allow") && !fits("Deny")
}

/// Whether a statement is about this: its action, its resource and the leading keys that it names.
fn concerns(statement: &Value, used: &Used) -> bool {
    if !texts(&statement["Action"]).any(|action| is_like(action, &used.action)) {
        return false;
    }
    let named = &statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"];
    // Of an empty list nothing is known, and AWS tells the attributes of every write.
    let is_named = |attribute: &String| texts(named).any(|name| name == attribute);
    if !named.is_null() && (used.attributes.is_empty() || !used.attributes.iter().all(is_named)) {
        return false;
    }
    let resource = &statement["Resource"];
    let of_the_table = resource["Fn::Sub"][0]
        .as_str()
        .and_then(|arn| arn.split_once(":table/${Used}"));
    match (&used.on, of_the_table) {
        (Some((of, key)), Some((_, end))) => end == *of && leads(statement, key),
        (Some((_, key)), None) => resource == "*" && leads(statement, key),
        (None, of_the_table) => of_the_table.is_none(),
    }
}

/// Whether a key is one of the leading keys that a statement names, or it names none.
fn leads(statement: &Value, key: &str) -> bool {
    let Some(condition) = statement["Condition"].as_object() else {
        return true;
    };
    condition
        .values()
        .any(|named| texts(&named["dynamodb:LeadingKeys"]).any(|pattern| is_like(pattern, key)))
}

/// Whether a text fits a pattern of a policy, which has a star at its end or none.
fn is_like(pattern: &str, text: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == text, |beginning| text.starts_with(beginning))
}

/// The statements of a function's role.
fn role(function: FunctionName) -> (FunctionName, Vec<Value>) {
    let resources = TEMPLATE["Resources"].as_object().unwrap();
    let code = format!("target/lambda/{function}/");
    let found = resources
        .values()
        .find(|resource| resource["Properties"]["CodeUri"] == code.as_str())
        .unwrap();
    let name = found["Properties"]["Role"]["Fn::GetAtt"][0]
        .as_str()
        .unwrap();
    let policies = resources[name]["Properties"]["Policies"]
        .as_array()
        .unwrap();
    let statements = policies
        .iter()
        .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap());
    (function, statements.cloned().collect())
}

/// A text, or a list of texts.
pub fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let list = value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str)
}
