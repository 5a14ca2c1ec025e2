//! The tables of the documents, and what every stack of a test is held against: which functions write and read each
//! kind of item, and which make each call to the provider.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bursar_core::provider::wire::calls;
use bursar_local::gate::Service;
use bursar_local::invoke::FunctionName;
use bursar_local::stack::Stack;

type Functions = BTreeMap<String, BTreeSet<FunctionName>>;

static WRITERS: LazyLock<Functions> = LazyLock::new(|| who_touches("written by"));
static READERS: LazyLock<Functions> = LazyLock::new(|| who_touches("read by"));
static CALLERS: LazyLock<Functions> = LazyLock::new(who_asks);

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The text of a file of the repository.
pub fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The rows of a document's tables as cells without back-ticks; heads are included.
pub fn rows(path: &str) -> Vec<Vec<String>> {
    let text = text(path);
    let lines = text.lines().filter(|line| line.starts_with('|'));
    let rows = lines.map(|line| {
        let line = line.trim_start_matches('|').trim_end().trim_end_matches('|');
        line.split('|').map(|cell| cell.trim().replace('`', "")).collect()
    });
    rows.collect()
}

/// The rows of the document's one table with this head.
pub fn table<T: AsRef<str>>(path: &str, head: &[T]) -> Vec<Vec<String>> {
    let is_head = |row: &Vec<String>| row.iter().map(String::as_str).eq(head.iter().map(AsRef::as_ref));
    let rows = rows(path).into_iter().skip_while(|row| !is_head(row)).skip(2);
    rows.take_while(|row| row.len() == head.len() && row[0] != "action" && row[0] != "where").collect()
}

/// The functions that a cell names.
pub fn functions(cell: &str) -> BTreeSet<FunctionName> {
    match cell {
        "all" => FunctionName::ALL.into(),
        "nobody" => BTreeSet::new(),
        names => names.split(", ").map(|name| name.parse().unwrap()).collect(),
    }
}

/// The functions that make each call to the provider, by the call's name.
pub fn who_asks() -> Functions {
    let rows = rows("docs/calls.md").into_iter().skip_while(|row| row.get(1).is_none_or(|head| head != "asked by"));
    let rows = rows.skip(2).take_while(|row| row.len() == 3);
    rows.map(|row| (row[0].clone(), functions(&row[1]))).collect()
}

/// The functions that write or read each kind of item.
fn who_touches(column: &str) -> Functions {
    let rows = rows("docs/items.md");
    let head = rows.iter().find(|row| row[0] == "kind").unwrap();
    let column = head.iter().position(|cell| cell == column).unwrap();
    let items = rows.iter().filter(|row| row.len() == head.len() && row[0] != "kind" && row[0] != "---");
    items.map(|row| (row[0].clone(), functions(&row[column]))).collect()
}

/// What the functions of this stack did that no document says. Calls by the test itself do not count, and an update is
/// seen by its reads only, since a request that updates an item does not name its kind.
pub(crate) fn undocumented(stack: &Stack) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for recorded in stack.gate.calls() {
        let (call, function) = (&recorded.call, recorded.call.function);
        if (function, call.instance) == (stack.own.function(), stack.own.number()) {
            continue;
        }
        let mut hold = |document: &str, table: &Functions, done: &str, what: &str| {
            if !table.get(what).is_some_and(|known| known.contains(&function)) {
                found.insert(format!("{function} {done} {what}, which {document} does not say"));
            }
        };
        for kind in &call.shape.kinds {
            hold("docs/items.md", &WRITERS, "writes", kind);
        }
        for kind in &recorded.read {
            hold("docs/items.md", &READERS, "reads", kind);
        }
        if call.name.service == Service::Provider {
            let call = calls::ALL
                .into_iter()
                .find(|known| requests(known).iter().any(|request| **request == *call.name.operation));
            hold("docs/calls.md", &CALLERS, "makes the call", call.map_or("?", |call| call.name));
        }
    }
    found
}

/// The requests of a call in the gate's spelling: without and with the optional part of its path.
fn requests(call: &calls::Call) -> [String; 2] {
    let without = match call.path.split_once('[') {
        Some((before, after)) => format!("{before}{}", after.split_once(']').unwrap().1),
        None => call.path.to_owned(),
    };
    [without, call.path.replace(['[', ']'], "")].map(|path| format!("{} {path}", call.method))
}
