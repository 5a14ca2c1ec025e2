//! A call through the gate: its name, its numbers, and a description without any of its content. The
//! verdict on it is left to others.

mod request;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::{HeaderMap, Method};
use serde::Deserialize;

use self::request::{Kinded, TableRequest};
use crate::base::function::FunctionName;

/// The services that our functions call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    DynamoDb,
    Ses,
    SecretsManager,
    Provider,
}

/// The operation of a call without its target: `dynamodb:PutItem`, `provider:PATCH /keys/{hash}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallName {
    pub service: Service,
    pub operation: Arc<str>,
}

/// One call of one function. All numbers begin at 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its number among all calls of the gate.
    pub number: u64,
    pub function: FunctionName,
    pub instance: u32,
    pub name: CallName,
    /// Its number among the calls of this name.
    pub nth: u64,
    /// Its number among the calls of this name by this function.
    pub nth_of_function: u64,
    /// Its number among the calls of this name by this instance.
    pub nth_of_instance: u64,
    pub shape: Shape,
}

/// A description of a request that does not keep it, since it may contain a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    pub bytes: usize,
    /// The items of a table call, in their order; a query is one part.
    pub parts: Vec<Part>,
    /// The kinds of the items that are put, by their attribute `kind`.
    pub kinds: Vec<String>,
    /// The index of the table that is read.
    pub index: Option<String>,
}

/// One item that a table call writes, checks or gets, or the partition that it queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The action of an IAM policy: a transaction needs the right to each of its parts.
    pub action: &'static str,
    pub conditional: bool,
    /// The beginning of the partition's key, up to its first `#`; of an index the whole key. The rest names
    /// somebody or something.
    pub partition: String,
}

impl Service {
    pub const ALL: [Service; 4] = [Service::DynamoDb, Service::Ses, Service::SecretsManager, Service::Provider];

    /// The name in calls and in the gate's paths.
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
            Service::SecretsManager => !["Get", "Describe", "List"].iter().any(|read| self.operation.starts_with(read)),
            // The provider's report is a POST that changes nothing.
            Service::Provider => !self.operation.starts_with("GET ") && &*self.operation != "POST /analytics/query",
        }
    }

    /// The name of a request to `service`; `rest` is its path there.
    pub(super) fn of(service: Service, method: &Method, rest: &str, headers: &HeaderMap, body: &[u8]) -> CallName {
        let operation = match service {
            Service::DynamoDb | Service::SecretsManager => {
                headers.get("x-amz-target").and_then(|target| target.to_str().ok()?.rsplit('.').next()).map(Arc::from)
            }
            Service::Ses => query_action(body).map(Arc::from),
            Service::Provider => Some(format!("{method} {}", folded(rest)).into()),
        };
        CallName { service, operation: operation.unwrap_or_else(|| Arc::from("?")) }
    }
}

impl Shape {
    pub(super) fn of(name: &CallName, body: &[u8]) -> Shape {
        let mut shape = Shape { bytes: body.len(), ..Shape::default() };
        if name.service != Service::DynamoDb {
            return shape;
        }
        if let Ok(request) = serde_json::from_slice::<TableRequest>(body) {
            shape.kinds = request.kinds_put();
            shape.parts = request.parts(&name.operation);
            shape.index = request.index_name;
        }
        shape
    }

    /// Whether a condition of the request can fail.
    pub fn is_conditional(&self) -> bool {
        self.parts.iter().any(|part| part.conditional)
    }
}

/// The kinds of the items in an answer of the table.
pub(super) fn kinds_read(name: &CallName, body: &[u8]) -> BTreeSet<String> {
    if name.service != Service::DynamoDb || name.has_effect() {
        return BTreeSet::new();
    }
    let answer: TableAnswer = serde_json::from_slice(body).unwrap_or_default();
    answer.items.into_iter().chain(answer.item).filter_map(|item| Some(item.kind?.text)).collect()
}

/// The parts of an answer that kinds are read from.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TableAnswer {
    item: Option<Kinded>,
    #[serde(default)]
    items: Vec<Kinded>,
}

/// The `Action` of a request in the Query protocol, whose fields come in any order.
fn query_action(body: &[u8]) -> Option<&str> {
    let pair = body.split(|byte| *byte == b'&').find_map(|pair| pair.strip_prefix(b"Action="))?;
    std::str::from_utf8(pair).ok()
}

/// The provider's path with its parameter, the segment after a collection's name, replaced by a
/// placeholder.
fn folded(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
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

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Service, String> {
        Service::ALL
            .into_iter()
            .find(|service| service.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no service"))
    }
}

impl fmt::Display for CallName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.operation)
    }
}

impl fmt::Debug for CallName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CallName {
    type Err = String;

    fn from_str(text: &str) -> Result<CallName, String> {
        let (service, operation) = text
            .split_once(':')
            .ok_or_else(|| format!("`{text}` is no call's name, which is like dynamodb:PutItem"))?;
        Ok(CallName { service: service.parse()?, operation: operation.into() })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call { number, function, instance, name, nth_of_instance, .. } = self;
        write!(f, "{number}. {function}/{instance} {name}#{nth_of_instance}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_named_with_its_parameter_folded_and_has_an_effect_if_it_may_change_something() {
        for (method, path, named, has_effect) in [
            (Method::POST, "/keys/", "provider:POST /keys", true),
            (Method::PATCH, "/keys/0a1b", "provider:PATCH /keys/{hash}", true),
            (Method::GET, "/keys?offset=100", "provider:GET /keys", false),
            (Method::POST, "/guardrails/7/assignments/keys", "provider:POST /guardrails/{id}/assignments/keys", true),
            (Method::GET, "/guardrails/assignments/keys?limit=9", "provider:GET /guardrails/assignments/keys", false),
            (Method::POST, "/analytics/query", "provider:POST /analytics/query", false),
        ] {
            let name = CallName::of(Service::Provider, &method, path, &HeaderMap::new(), b"");
            assert_eq!((name.to_string().as_str(), name.has_effect()), (named, has_effect));
        }
        for (name, has_effect) in [
            ("dynamodb:TransactWriteItems", true),
            ("dynamodb:DeleteItem", true),
            ("dynamodb:TransactGetItems", false),
            ("ses:SendRawEmail", true),
            ("ses:GetSendQuota", false),
            ("secretsmanager:UpdateSecretVersionStage", true),
            ("secretsmanager:GetSecretValue", false),
        ] {
            assert_eq!(name.parse::<CallName>().unwrap().has_effect(), has_effect, "{name}");
        }
    }
}
