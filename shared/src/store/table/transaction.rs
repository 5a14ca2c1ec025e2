//! The parts of a conditional transaction, built one by one. `commit.rs` runs it.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update};

use crate::store::table::items::{Item, Stored};
use crate::store::table::keys::ItemKey;
use crate::store::table::{StoreError, items};

/// The writes of one act, all or none.
pub(in crate::store) struct Transaction {
    pub(super) table: String,
    pub(super) writes: Vec<TransactWriteItem>,
}

/// Numbers to add to in an item, and attributes to set with them.
pub(in crate::store) struct Counter<'a> {
    pub(in crate::store) says: &'a [(&'a str, AttributeValue)],
    /// Attributes to set only where the item has none.
    pub(in crate::store) at_first: &'a [(&'a str, AttributeValue)],
    pub(in crate::store) add: &'a [(&'a str, i64)],
}

impl Counter<'_> {
    /// The update expression with its names and values. Every name is a placeholder, since it may be a
    /// reserved word.
    pub(super) fn written(&self) -> (String, HashMap<String, String>, HashMap<String, AttributeValue>) {
        let (mut set, mut adds) = (Vec::new(), Vec::new());
        let (mut names, mut values) = (HashMap::new(), HashMap::new());
        let said = self.says.iter().chain(self.at_first).cloned();
        let all = said.chain(self.add.iter().map(|(name, by)| (*name, number(by))));
        for (index, (name, value)) in all.enumerate() {
            if index < self.says.len() {
                set.push(format!("#n{index} = :v{index}"));
            } else if index < self.says.len() + self.at_first.len() {
                set.push(format!("#n{index} = if_not_exists(#n{index}, :v{index})"));
            } else {
                adds.push(format!("#n{index} :v{index}"));
            }
            names.insert(format!("#n{index}"), name.to_owned());
            values.insert(format!(":v{index}"), value);
        }
        (format!("SET {} ADD {}", set.join(", "), adds.join(", ")), names, values)
    }
}

impl Transaction {
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Writes an item that must not be there yet.
    pub(in crate::store) fn create<T: Stored>(self, value: &T) -> Result<Transaction, StoreError> {
        self.replace_if(value, "attribute_not_exists(pk)", &[])
    }

    /// Writes an item on condition that there is none yet, or that the one that is there meets the condition.
    pub(in crate::store) fn create_or_replace<T: Stored>(
        self,
        value: &T,
        condition: &str,
        values: &[(&str, AttributeValue)],
    ) -> Result<Transaction, StoreError> {
        self.replace_if(value, &format!("attribute_not_exists(pk) OR {condition}"), values)
    }

    /// Replaces an item on condition that its version is still this one.
    pub(in crate::store) fn replace<T: Stored>(self, value: &T, version: u64) -> Result<Transaction, StoreError> {
        self.replace_if(value, "version = :version", &[(":version", number(version))])
    }

    /// Writes an item over whatever is there.
    pub(in crate::store) fn set<T: Stored>(mut self, value: &T) -> Result<Transaction, StoreError> {
        let put = Put::builder().table_name(&self.table).set_item(Some(items::to_item(value)?));
        let put = put.build().map_err(|error| unbuildable(&value.key(), &error))?;
        self.writes.push(TransactWriteItem::builder().put(put).build());
        Ok(self)
    }

    /// Removes an item, if it is there.
    pub(in crate::store) fn unset(mut self, key: &ItemKey) -> Result<Transaction, StoreError> {
        let delete = Delete::builder().table_name(&self.table).set_key(Some(key_item(key)));
        let delete = delete.build().map_err(|error| unbuildable(key, &error))?;
        self.writes.push(TransactWriteItem::builder().delete(delete).build());
        Ok(self)
    }

    /// Removes an item, on a condition.
    pub(in crate::store) fn remove(
        mut self,
        key: &ItemKey,
        condition: &str,
        values: &[(&str, AttributeValue)],
    ) -> Result<Transaction, StoreError> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key_item(key)))
            .condition_expression(condition)
            .set_expression_attribute_values(named(values));
        let delete = delete.build().map_err(|error| unbuildable(key, &error))?;
        self.writes.push(TransactWriteItem::builder().delete(delete).build());
        Ok(self)
    }

    /// Changes an item in place, on a condition.
    pub(in crate::store) fn update(
        mut self,
        key: &ItemKey,
        expression: &str,
        condition: &str,
        values: &[(&str, AttributeValue)],
    ) -> Result<Transaction, StoreError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key_item(key)))
            .update_expression(expression)
            .condition_expression(condition)
            .set_expression_attribute_values(named(values));
        let update = update.build().map_err(|error| unbuildable(key, &error))?;
        self.writes.push(TransactWriteItem::builder().update(update).build());
        Ok(self)
    }

    /// Adds to numbers of an item and sets attributes, and creates the item where there is none.
    pub(in crate::store) fn add(
        mut self,
        key: &ItemKey,
        says: &[(&str, AttributeValue)],
        add: &[(&str, i64)],
    ) -> Result<Transaction, StoreError> {
        let (expression, names, values) = Counter { says, at_first: &[], add }.written();
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key_item(key)))
            .update_expression(expression)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values));
        let update = update.build().map_err(|error| unbuildable(key, &error))?;
        self.writes.push(TransactWriteItem::builder().update(update).build());
        Ok(self)
    }

    /// Requires a condition of an item and leaves it as it is.
    pub(in crate::store) fn check(
        mut self,
        key: &ItemKey,
        condition: &str,
        values: &[(&str, AttributeValue)],
    ) -> Result<Transaction, StoreError> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key_item(key)))
            .condition_expression(condition)
            .set_expression_attribute_values(named(values));
        let check = check.build().map_err(|error| unbuildable(key, &error))?;
        self.writes.push(TransactWriteItem::builder().condition_check(check).build());
        Ok(self)
    }

    /// Writes an item on a condition.
    pub(in crate::store) fn replace_if<T: Stored>(
        mut self,
        value: &T,
        condition: &str,
        values: &[(&str, AttributeValue)],
    ) -> Result<Transaction, StoreError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(items::to_item(value)?))
            .condition_expression(condition)
            .set_expression_attribute_values(named(values));
        let put = put.build().map_err(|error| unbuildable(&value.key(), &error))?;
        self.writes.push(TransactWriteItem::builder().put(put).build());
        Ok(self)
    }
}

pub(in crate::store) fn number(value: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(in crate::store) fn key_item(key: &ItemKey) -> Item {
    Item::from([
        ("pk".to_owned(), AttributeValue::S(key.pk.clone())),
        ("sk".to_owned(), AttributeValue::S(key.sk.clone())),
    ])
}

fn named(values: &[(&str, AttributeValue)]) -> Option<Item> {
    // The table refuses an empty map.
    let values: Item = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    (!values.is_empty()).then_some(values)
}

fn unbuildable(key: &ItemKey, error: &BuildError) -> StoreError {
    StoreError::corrupt(key, "write", error)
}
