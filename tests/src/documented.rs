//! The files of the repository, and the tables of its documents.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bursar_local::invoke::FunctionName;

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The text of a file of the repository.
pub fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The rows of a document's tables as cells without back-ticks; heads are included.
fn rows(path: &str) -> Vec<Vec<String>> {
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
