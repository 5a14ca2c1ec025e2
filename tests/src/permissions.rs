//! The permissions that functions use, as `docs/permissions.md` lists them: which function does what in which partitions of the
//! table, and what else it asks of AWS. `cargo xtask permissions` writes that document from what the whole suite recorded.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::sync::LazyLock;

use bursar_local::gate::{Call, Service};
use bursar_local::invoke::FunctionName;
use bursar_local::stack::Stack;

use crate::documented::{functions, table};

/// One permission that a function uses. Its text is one line of the record that the whole suite makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    pub function: FunctionName,
    /// The action as a policy names it: `dynamodb:PutItem`, also within a transaction.
    pub action: String,
    pub place: Place,
}

/// Where a permission is used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The partitions of the table whose keys begin so.
    Partition(String),
    /// A queue of the table's index.
    Queue(String),
    /// No part of the table.
    Elsewhere,
}

const DOCUMENT: &str = "docs/permissions.md";
/// The columns of the recorded table.
const COLUMNS: [FunctionName; 5] = FunctionName::ALL;

/// The file that each stack of the suite adds its permissions to, if the recipe wants them.
pub const RECORD: &str = "BURSAR_TEST_PERMISSIONS";

/// The permissions that the document lists, read once.
static DOCUMENTED: LazyLock<BTreeSet<Permission>> = LazyLock::new(documented);

/// The permissions that the functions of a stack used. Calls by the test itself do not count.
pub fn used(stack: &Stack) -> BTreeSet<Permission> {
    let own = (stack.own.function(), stack.own.number());
    let calls = stack.gate.calls().into_iter().map(|recorded| recorded.call);
    calls.filter(|call| (call.function, call.instance) != own).flat_map(needed).collect()
}

/// The permissions that a call needs. A call of the table in which no item is recognised needs one that no role has.
pub fn needed(call: Call) -> Vec<Permission> {
    let function = call.function;
    let plain = |place| Permission { function, action: call.name.to_string(), place };
    match call.name.service {
        Service::Provider => Vec::new(),
        Service::Ses | Service::SecretsManager => vec![plain(Place::Elsewhere)],
        Service::DynamoDb if call.shape.parts.is_empty() => vec![plain(Place::Partition("?".to_owned()))],
        Service::DynamoDb => {
            let place = |partition| match call.shape.index {
                Some(_) => Place::Queue(partition),
                None => Place::Partition(partition),
            };
            let parts = call.shape.parts.into_iter();
            parts
                .map(|part| Permission {
                    function,
                    action: format!("dynamodb:{}", part.action),
                    place: place(part.partition),
                })
                .collect()
        }
    }
}

/// The permissions that the document lists as used.
pub fn documented() -> BTreeSet<Permission> {
    let mut found = BTreeSet::new();
    let head: Vec<String> =
        ["where".to_owned()].into_iter().chain(COLUMNS.map(|function| function.to_string())).collect();
    for row in table(DOCUMENT, &head) {
        let (service, place) = match row[0].split_once(' ') {
            Some(("queue", queue)) => ("dynamodb", Place::Queue(queue.to_owned())),
            Some(("service", service)) => (service, Place::Elsewhere),
            _ => ("dynamodb", Place::Partition(row[0].clone())),
        };
        for (function, cell) in COLUMNS.into_iter().zip(&row[1..]) {
            for action in cell.split(", ").filter(|action| *action != "—") {
                found.insert(Permission { function, action: format!("{service}:{action}"), place: place.clone() });
            }
        }
    }
    found
}

/// The actions that the document says a reason for.
pub fn explained() -> BTreeSet<String> {
    table(DOCUMENT, &["action", "on", "for"]).into_iter().map(|row| row[0].clone()).collect()
}

/// The actions that Lambda itself makes with a function's role, as the document lists them with their reasons.
pub fn of_the_platform() -> BTreeSet<(FunctionName, String)> {
    let rows = table(DOCUMENT, &["action", "whose role", "why"]);
    rows.into_iter()
        .flat_map(|row| functions(&row[1]).into_iter().map(move |function| (function, row[0].clone())))
        .collect()
}

/// The permissions that the functions of this stack used and no document lists. Where the whole suite is recorded they
/// are added to the record instead, which the recipe compares with the document.
pub(crate) fn undocumented(stack: &Stack) -> Vec<String> {
    let used = used(stack);
    let Some(path) = std::env::var_os(RECORD) else {
        return used.difference(&DOCUMENTED).map(|new| format!("{new}: docs/permissions.md does not say so")).collect();
    };
    let lines: String = used.iter().map(|permission| format!("{permission}\n")).collect();
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    // One write, so that the lines of tests that end at once do not mix.
    file.write_all(lines.as_bytes()).unwrap();
    Vec::new()
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Permission { function, action, place } = self;
        match place {
            Place::Partition(partition) => write!(f, "{function} {action} {partition}"),
            Place::Queue(queue) => write!(f, "{function} {action} queue {queue}"),
            Place::Elsewhere => write!(f, "{function} {action}"),
        }
    }
}
