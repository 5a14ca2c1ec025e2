//! Dumps of a whole deployment at rest: the table as DynamoDB prints it, and the simulated provider's account. They
//! are kept in `tests/fixtures`, so that each later version is seen to read what an earlier one stored.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::store::items::Item;
use bursar_local::folder::Folder;
use bursar_local::state_file::StateFile;
use data_encoding::BASE64;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::documented::root;
use crate::invariants::RawTable;
use crate::stack::{self, Setup, Stack};

/// The collections of the provider's state. Management keys are left out: a stack has its own.
const ACCOUNT: [&str; 5] =
    ["provider-account", "provider-days", "provider-guardrails", "provider-keys", "provider-workspaces"];

/// How a dump's file is named: lines of JSON, compressed.
const ENDING: &str = ".jsonl.gz";

/// A deployment at one moment.
pub struct Dump {
    pub at: Timestamp,
    pub items: Vec<Item>,
    /// The provider's documents by collection and id.
    account: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Dump {
    /// The deployment of a stack over this folder, in which nothing may be under way.
    pub async fn of(stack: &Stack, data: &Path) -> Result<Dump> {
        let mut items = RawTable::at(stack.engine.origin(), &stack.ready.table).items().await?;
        // The table would have cleaned away what is over.
        items.retain(|item| item.get("ttl").and_then(seconds).is_none_or(|end| end > stack.clock.now().as_second()));
        items.sort_by_key(|item| ["pk", "sk"].map(|key| item[key].as_s().cloned().unwrap_or_default()));
        let state = StateFile::open(&state_of(data))?;
        let documents = |collection: &str| Ok((collection.to_owned(), state.all(collection)?.into_iter().collect()));
        let account = ACCOUNT.into_iter().map(documents).collect::<Result<_>>()?;
        Ok(Dump { at: stack.clock.now(), items, account })
    }

    /// Every dump that is kept, by its name.
    pub fn kept() -> Result<Vec<(String, Dump)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder())? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(ENDING)).context("not a dump")?;
            let read = || Dump::parse(&std::io::read_to_string(GzDecoder::new(File::open(&path)?))?);
            found.push((name.to_owned(), read().with_context(|| path.display().to_string())?));
        }
        Ok(found)
    }

    /// Keeps the dump under this name.
    pub fn keep(&self, name: &str) -> Result<()> {
        std::fs::create_dir_all(folder())?;
        let mut file = GzEncoder::new(File::create(folder().join(format!("{name}{ENDING}")))?, Compression::best());
        file.write_all(self.printed()?.as_bytes())?;
        Ok(file.finish().map(drop)?)
    }

    /// Starts a stack with this deployment over a new folder. Its clock stands where the dump was made.
    pub async fn restore(&self, data: &Path) -> Result<Stack> {
        drop(Folder::open(data)?);
        let state = StateFile::open(&state_of(data))?;
        for (collection, documents) in &self.account {
            for (id, document) in documents {
                state.put(collection, id, document)?;
            }
        }
        drop(state);
        let stack = stack::of(Setup { at: Some(self.at), data: Some(data), ..Setup::default() }).await?;
        let table = RawTable::at(stack.engine.origin(), &stack.ready.table);
        for item in &self.items {
            table.put(item.clone()).await?;
        }
        Ok(stack)
    }

    /// The kinds of its items, each with the attributes that it has and their types: the shapes that are stored.
    pub fn shapes(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut shapes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for item in &self.items {
            let kind = item.get("kind").and_then(|kind| kind.as_s().ok()).cloned().unwrap_or_default();
            shapes
                .entry(kind)
                .or_default()
                .extend(item.iter().map(|(name, value)| format!("{name}: {}", type_of(value))));
        }
        shapes
    }

    /// One line for the moment, one for each item, one for each document of the provider's.
    fn printed(&self) -> Result<String> {
        let mut lines = vec![json!({"at": self.at}).to_string()];
        for item in &self.items {
            lines.push(json!({"item": printed_item(item)?}).to_string());
        }
        for (collection, documents) in &self.account {
            for (id, document) in documents {
                lines.push(json!({"collection": collection, "id": id, "document": document}).to_string());
            }
        }
        Ok(lines.join("\n") + "\n")
    }

    fn parse(text: &str) -> Result<Dump> {
        let mut dump = Dump { at: Timestamp::UNIX_EPOCH, items: Vec::new(), account: BTreeMap::new() };
        for line in text.lines() {
            let line: Value = serde_json::from_str(line)?;
            match (line["at"].as_str(), &line["item"], line["collection"].as_str(), line["id"].as_str()) {
                (Some(at), ..) => dump.at = at.parse()?,
                (None, Value::Object(item), ..) => dump.items.push(read_item(item)?),
                (None, _, Some(collection), Some(id)) => {
                    let documents = dump.account.entry(collection.to_owned()).or_default();
                    documents.insert(id.to_owned(), line["document"].clone());
                }
                _ => bail!("a line that says nothing: {line}"),
            }
        }
        Ok(dump)
    }
}

fn seconds(ttl: &AttributeValue) -> Option<i64> {
    ttl.as_n().ok()?.parse().ok()
}

fn folder() -> PathBuf {
    root().join("tests/fixtures")
}

fn state_of(data: &Path) -> PathBuf {
    data.join("stand-ins/state.db")
}

fn printed_item(item: &Item) -> Result<Map<String, Value>> {
    item.iter().map(|(name, value)| Ok((name.clone(), printed(value)?))).collect()
}

fn printed(value: &AttributeValue) -> Result<Value> {
    Ok(match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::Bool(truth) => json!({"BOOL": truth}),
        AttributeValue::Null(truth) => json!({"NULL": truth}),
        AttributeValue::B(bytes) => json!({"B": BASE64.encode(bytes.as_ref())}),
        AttributeValue::L(list) => json!({"L": list.iter().map(printed).collect::<Result<Vec<_>>>()?}),
        AttributeValue::M(map) => json!({"M": printed_item(map)?}),
        other => bail!("no item has such a value: {other:?}"),
    })
}

/// The type of a value, as DynamoDB prints it.
fn type_of(value: &AttributeValue) -> String {
    printed(value).ok().and_then(|printed| printed.as_object()?.keys().next().cloned()).unwrap_or_default()
}

fn read_item(item: &Map<String, Value>) -> Result<Item> {
    item.iter().map(|(name, value)| Ok((name.clone(), read(value)?))).collect()
}

fn read(value: &Value) -> Result<AttributeValue> {
    let wrong = || format!("no value of DynamoDB: {value}");
    let (kind, inner) = value.as_object().and_then(|value| value.iter().next()).with_context(wrong)?;
    Ok(match (kind.as_str(), inner) {
        ("S", Value::String(text)) => AttributeValue::S(text.clone()),
        ("N", Value::String(number)) => AttributeValue::N(number.clone()),
        ("BOOL", Value::Bool(truth)) => AttributeValue::Bool(*truth),
        ("NULL", Value::Bool(truth)) => AttributeValue::Null(*truth),
        ("B", Value::String(bytes)) => AttributeValue::B(Blob::new(BASE64.decode(bytes.as_bytes())?)),
        ("L", Value::Array(list)) => AttributeValue::L(list.iter().map(read).collect::<Result<_>>()?),
        ("M", Value::Object(map)) => AttributeValue::M(read_item(map)?),
        _ => bail!(wrong()),
    })
}
