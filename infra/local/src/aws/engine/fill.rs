//! Bulk loading of a table, for benchmarks. It writes no stream records.

use anyhow::{Result, bail};
use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::store::items::Item;
use dynoxide::ImportOptions;

use super::{Engine, Open};

impl Engine {
    /// Puts any number of items into the table, replacing those with equal keys.
    pub async fn fill(&self, items: Vec<Item>) -> Result<()> {
        self.run(move |engine, Open { database, .. }| {
            let items: Result<Vec<dynoxide::Item>> = items.into_iter().map(to_item).collect();
            database.import_items(&engine.table, items?, ImportOptions::default())?;
            Ok(())
        })
        .await
    }
}

fn to_item(attributes: Item) -> Result<dynoxide::Item> {
    attributes
        .into_iter()
        .map(|(name, value)| Ok((name, attribute(value)?)))
        .collect()
}

fn attribute(value: AttributeValue) -> Result<dynoxide::AttributeValue> {
    use dynoxide::AttributeValue as Of;
    Ok(match value {
        AttributeValue::S(text) => Of::S(text),
        AttributeValue::N(number) => Of::N(number),
        AttributeValue::B(bytes) => Of::B(bytes.into_inner()),
        AttributeValue::Bool(flag) => Of::BOOL(flag),
        AttributeValue::Null(flag) => Of::NULL(flag),
        AttributeValue::L(values) => {
            Of::L(values.into_iter().map(attribute).collect::<Result<_>>()?)
        }
        AttributeValue::M(values) => Of::M(to_item(values)?),
        unsupported => bail!("no item of ours has an attribute such as {unsupported:?}"),
    })
}
