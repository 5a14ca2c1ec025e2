//! A call: its name, its numbers, and a description without any of its content.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use bursar_local::invoke::FunctionName;
use http::{HeaderMap, Method};
use serde_json::Value;

use super::Fault;

/// The services that our functions call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    DynamoDb,
    Ses,
    SecretsManager,
    Provider,
}

/// The operation of a call without its target: `dynamodb:PutItem`, `provider:PATCH /keys/{hash}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallName {
    pub service: Service,
    pub operation: Arc<str>,
}

/// One call of one function. All numbers begin at 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its number among all calls.
    pub number: u64,
    pub function: FunctionName,
    pub instance: u32,
    pub name: CallName,
    /// Its number among the calls of this name by this function.
    pub nth_of_function: u64,
    /// The items of a table call, in their order; a query is one part. No more is kept of a
    /// request, since it may contain a secret.
    pub parts: Vec<Part>,
    /// Whether the table is read by its index.
    pub by_index: bool,
    /// What it came to, if not to its answer.
    pub fault: Option<Fault>,
}

/// One item that a table call writes, checks or gets, or the partition that it queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The action of an IAM policy: a transaction needs the right to each of its parts.
    pub action: String,
    pub conditional: bool,
    /// The beginning of the partition's key, up to its first `#`; of an index the whole key. The
    /// rest names somebody or something.
    pub partition: String,
    /// The attributes that an update reads or writes, its key's among them.
    pub attributes: BTreeSet<String>,
}

impl Service {
    /// The name in calls and in paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Service::DynamoDb => "dynamodb",
            Service::Ses => "ses",
            Service::SecretsManager => "secretsmanager",
            Service::Provider => "provider",
        }
    }
}

impl CallName {
    /// Whether the call can change something.
    pub fn has_effect(&self) -> bool {
        match self.service {
            Service::DynamoDb => ["Put", "Update", "Delete", "TransactWrite", "BatchWrite"]
                .iter()
                .any(|write| self.operation.starts_with(write)),
            Service::Ses => self.operation.starts_with("Send"),
            Service::SecretsManager => !["Get", "Describe", "List"]
                .iter()
                .any(|read| self.operation.starts_with(read)),
            // The provider's report is a POST that changes nothing.
            Service::Provider => {
                !self.operation.starts_with("GET ") && &*self.operation != "POST /analytics/query"
            }
        }
    }

    /// The name of a request to `service`; `rest` is its path there.
    pub(super) fn of(
        service: Service,
        method: &Method,
        rest: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> CallName {
        let operation = match service {
            Service::DynamoDb | Service::SecretsManager => headers
                .get("x-amz-target")
                .and_then(|target| target.to_str().ok()?.rsplit('.').next())
                .map(Arc::from),
            // A request in the Query protocol, whose fields come in any order.
            Service::Ses => {
                let action = body
                    .split(|byte| *byte == b'&')
                    .find_map(|pair| pair.strip_prefix(b"Action="));
                action
                    .and_then(|action| std::str::from_utf8(action).ok())
                    .map(Arc::from)
            }
            Service::Provider => Some(format!("{method} {}", folded(rest)).into()),
        };
        CallName {
            service,
            operation: operation.unwrap_or_else(|| Arc::from("?")),
        }
    }
}

/// The parts of a call of the table.
pub(super) fn parts(name: &CallName, request: &Value) -> Vec<Part> {
    match &*name.operation {
        _ if name.service != Service::DynamoDb => Vec::new(),
        "TransactWriteItems" | "TransactGetItems" => {
            let items = request["TransactItems"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_object);
            items
                .flatten()
                .map(|(action, item)| part(&format!("{action}Item"), item))
                .collect()
        }
        action if action.ends_with("Item") => vec![part(action, request)],
        "Query" => {
            // By the names that the store gives to the value.
            let values = &request["ExpressionAttributeValues"];
            let queue = values[":queue"]["S"].as_str().map(str::to_owned);
            let partition = queue.unwrap_or_else(|| beginning(&values[":pk"]));
            vec![Part {
                action: "Query".to_owned(),
                conditional: false,
                partition,
                attributes: BTreeSet::new(),
            }]
        }
        _ => Vec::new(),
    }
}

fn part(action: &str, of: &Value) -> Part {
    let pk = if of["Key"].is_null() {
        &of["Item"]["pk"]
    } else {
        &of["Key"]["pk"]
    };
    let attributes = if of["UpdateExpression"].is_null() {
        BTreeSet::new()
    } else {
        attributes(of)
    };
    let conditional = !of["ConditionExpression"].is_null();
    Part {
        action: action.to_owned(),
        conditional,
        partition: beginning(pk),
        attributes,
    }
}

/// What the expressions of an update name: words that are neither values nor keywords nor
/// functions.
fn attributes(of: &Value) -> BTreeSet<String> {
    const FUNCTIONS: [&str; 4] = [
        "attribute_exists",
        "attribute_not_exists",
        "begins_with",
        "if_not_exists",
    ];
    let expressions = ["UpdateExpression", "ConditionExpression"]
        .map(|name| of[name].as_str().unwrap_or_default());
    let expressions = expressions.join(" ");
    let words =
        expressions.split(|letter: char| !letter.is_alphanumeric() && !"_#:.".contains(letter));
    let named = words
        .filter_map(|path| path.split('.').next())
        .filter(|word| {
            let is_keyword = word.chars().all(|letter| letter.is_ascii_uppercase());
            !is_keyword && !word.starts_with(':') && !FUNCTIONS.contains(word)
        });
    let named = named.map(|word| {
        of["ExpressionAttributeNames"][word]
            .as_str()
            .unwrap_or(word)
    });
    ["pk", "sk"]
        .into_iter()
        .chain(named)
        .map(str::to_owned)
        .collect()
}

/// The beginning of a partition's key, up to its first `#`.
fn beginning(pk: &Value) -> String {
    pk["S"]
        .as_str()
        .and_then(|pk| pk.split_inclusive('#').next())
        .unwrap_or_default()
        .to_owned()
}

/// The provider's path with its parameter, the segment after a collection's name, replaced by a
/// placeholder.
fn folded(path: &str) -> String {
    let path = path
        .split('?')
        .next()
        .unwrap_or_default()
        .trim_end_matches('/');
    let mut segments: Vec<&str> = path.split('/').collect();
    let parameter = match segments.get(1).copied() {
        Some("keys") => "{hash}",
        Some("guardrails") if segments.get(2) != Some(&"assignments") => "{id}",
        _ => return path.to_owned(),
    };
    if let Some(segment) = segments.get_mut(2) {
        *segment = parameter;
    }
    segments.join("/")
}

/// The function, instance, service and rest of a path of a function's call:
/// `/{pass}/{function}/{instance}/{service}` at AWS, `/{function}/{instance}/api/v1/…` at the
/// provider.
pub(super) fn addressed(path: &str) -> Option<(FunctionName, u32, Service, &str)> {
    let (first, rest) = path.strip_prefix('/')?.split_once('/')?;
    if let Ok(function) = first.parse() {
        let (instance, rest) = rest.split_once('/')?;
        return Some((
            function,
            instance.parse().ok()?,
            Service::Provider,
            rest.strip_prefix("api/v1")?,
        ));
    }
    let (function, rest) = rest.split_once('/')?;
    let (instance, rest) = rest.split_once('/')?;
    let (service, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let aws = [Service::DynamoDb, Service::Ses, Service::SecretsManager];
    let service = aws.into_iter().find(|known| known.as_str() == service)?;
    Some((
        function.parse().ok()?,
        instance.parse().ok()?,
        service,
        rest,
    ))
}

impl fmt::Display for CallName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service.as_str(), self.operation)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call {
            number,
            function,
            instance,
            name,
            nth_of_function,
            fault,
            ..
        } = self;
        write!(
            f,
            "{number}. {function}/{instance} {name}#{nth_of_function} {fault:?}"
        )
    }
}
