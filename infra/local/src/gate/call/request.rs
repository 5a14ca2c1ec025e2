//! What is read of a request to the table: what it does with which kinds and partitions, and none of its content.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::Part;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TableRequest {
    pub index_name: Option<String>,
    condition_expression: Option<IgnoredAny>,
    item: Option<Kinded>,
    key: Option<Keyed>,
    #[serde(default)]
    transact_items: Vec<TransactItem>,
    #[serde(default)]
    expression_attribute_values: BTreeMap<String, Value>,
}

/// An item of ours, of which only its kind and its partition are read.
#[derive(Deserialize)]
pub(super) struct Kinded {
    pk: Option<Text>,
    pub kind: Option<Text>,
}

#[derive(Deserialize)]
pub(super) struct Text {
    #[serde(rename = "S")]
    pub text: String,
}

#[derive(Deserialize)]
struct Keyed {
    pk: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TransactItem {
    put: Option<ItemRequest>,
    update: Option<ItemRequest>,
    delete: Option<ItemRequest>,
    condition_check: Option<ItemRequest>,
    get: Option<ItemRequest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ItemRequest {
    condition_expression: Option<IgnoredAny>,
    item: Option<Kinded>,
    key: Option<Keyed>,
}

impl TableRequest {
    /// The kinds of the items that are put.
    pub(super) fn kinds_put(&self) -> Vec<String> {
        let puts = self.transact_items.iter().filter_map(|item| item.put.as_ref()?.item.as_ref());
        puts.chain(&self.item).filter_map(|item| Some(item.kind.as_ref()?.text.clone())).collect()
    }

    /// The items that the operation writes, checks or gets, in their order; a query is one part.
    pub(super) fn parts(&self, operation: &str) -> Vec<Part> {
        let part = |action, partition| Part { action, conditional: self.condition_expression.is_some(), partition };
        let partition = || partition(self.key.as_ref(), self.item.as_ref());
        match operation {
            "GetItem" => vec![part("GetItem", partition())],
            "PutItem" => vec![part("PutItem", partition())],
            "UpdateItem" => vec![part("UpdateItem", partition())],
            "DeleteItem" => vec![part("DeleteItem", partition())],
            "Query" => vec![part("Query", self.queried())],
            "TransactWriteItems" | "TransactGetItems" => {
                self.transact_items.iter().filter_map(TransactItem::part).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The partition that a query reads, by the names that the store gives to its value.
    fn queried(&self) -> String {
        let value = |name: &str| self.expression_attribute_values.get(name)?["S"].as_str();
        value(":queue").map(str::to_owned).or_else(|| value(":pk").map(beginning)).unwrap_or_default()
    }
}

impl TransactItem {
    fn part(&self) -> Option<Part> {
        let parts = [
            ("PutItem", &self.put),
            ("UpdateItem", &self.update),
            ("DeleteItem", &self.delete),
            ("ConditionCheckItem", &self.condition_check),
            ("GetItem", &self.get),
        ];
        parts.into_iter().find_map(|(action, part)| {
            let part = part.as_ref()?;
            let partition = partition(part.key.as_ref(), part.item.as_ref());
            Some(Part { action, conditional: part.condition_expression.is_some(), partition })
        })
    }
}

fn partition(key: Option<&Keyed>, item: Option<&Kinded>) -> String {
    let pk = key.and_then(|key| key.pk.as_ref()).or_else(|| item?.pk.as_ref());
    pk.map(|pk| beginning(&pk.text)).unwrap_or_default()
}

/// The beginning of a partition's key, up to its first `#`.
fn beginning(pk: &str) -> String {
    pk.split_inclusive('#').next().unwrap_or_default().to_owned()
}
