//! `restored`: the two templates that put a restored table in the place of the stack's own. The first points everything at
//! it by name and lets go of the old table; the second takes it in under the old one's logical name.
//!
//! Both are the deployed template but for that, since an import must change nothing else.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value, json};
use xshell::Shell;

const FOLDER: &str = "target/restored";
const LOGICAL: &str = "Table";

/// What stands for the table in the template that points at it.
struct Names {
    name: String,
    arn: String,
    stream: String,
}

/// `restored <the processed template> <the description of the restored table>`
pub(crate) fn restored(shell: &Shell, words: &[String]) -> anyhow::Result<()> {
    let [template, table] = words else {
        bail!("cargo xtask restored takes two files: the processed template and the description of the restored table");
    };
    let [template, table] = [template, table].map(|file| read(Path::new(file)));
    let (template, names) = (template?, Names::read(&table?)?);
    let pointed = pointed(&template, &names)?;
    let imported = imported(&template, &pointed)?;
    let resources = json!([{
        "ResourceType": "AWS::DynamoDB::Table",
        "LogicalResourceId": LOGICAL,
        "ResourceIdentifier": {"TableName": names.name},
    }]);
    let files = [
        ("pointed.json", &pointed),
        ("imported.json", &imported),
        ("parameters.json", &as_they_are(&template)),
        ("resources.json", &resources),
    ];
    let folder = shell.create_dir(FOLDER)?;
    for (name, value) in files {
        fs::write(folder.join(name), serde_json::to_vec(value)?)?;
        eprintln!("restored: {FOLDER}/{name}");
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Value> {
    let text = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let value: Value = serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", file.display()))?;
    // A template that AWS keeps as text comes as one string.
    match value {
        Value::String(text) => serde_json::from_str(&text).with_context(|| format!("{} holds no JSON", file.display())),
        value => Ok(value),
    }
}

impl Names {
    fn read(described: &Value) -> anyhow::Result<Names> {
        let table = &described["Table"];
        let text = |field: &str| table[field].as_str().map(str::to_owned);
        ensure!(table["TableStatus"] == "ACTIVE", "the restored table is not ACTIVE yet: wait for it");
        ensure!(
            table["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES",
            "the restored table has no stream of new and old images yet: switch it on first"
        );
        let names = (text("TableName"), text("TableArn"), text("LatestStreamArn"));
        let (Some(name), Some(arn), Some(stream)) = names else { bail!("this is no description of a table") };
        Ok(Names { name, arn, stream })
    }
}

/// The template without the table, and with the restored one's names wherever the table was named.
fn pointed(template: &Value, names: &Names) -> anyhow::Result<Value> {
    let mut pointed = template.clone();
    let resources = pointed["Resources"].as_object_mut().context("this is no template: it has no Resources")?;
    let table =
        resources.remove(LOGICAL).context("the deployed stack has no Table: is it pointed at another already?")?;
    ensure!(
        table["DeletionPolicy"] == "Retain" && table["UpdateReplacePolicy"] == "Retain",
        "the deployed stack would delete its table, so this is not safe: deploy the current template first"
    );
    rewrite(&mut pointed, names)?;
    Ok(pointed)
}

/// The pointed template with the table, as the stack had it.
fn imported(template: &Value, pointed: &Value) -> anyhow::Result<Value> {
    let mut imported = pointed.clone();
    let resources = imported["Resources"].as_object_mut().context("this is no template: it has no Resources")?;
    resources.insert(LOGICAL.to_owned(), template["Resources"][LOGICAL].clone());
    Ok(imported)
}

/// Each parameter with the value that it has.
fn as_they_are(template: &Value) -> Value {
    let names = template["Parameters"].as_object().into_iter().flat_map(Map::keys);
    names.map(|name| json!({"ParameterKey": name, "UsePreviousValue": true})).collect()
}

fn rewrite(value: &mut Value, names: &Names) -> anyhow::Result<()> {
    if let Some(text) = named(value, names)? {
        *value = Value::String(text);
        return Ok(());
    }
    match value {
        Value::Object(fields) => {
            if let Some(needed) = fields.get_mut("DependsOn") {
                without_table(needed);
            }
            if let Some(Value::String(text)) = fields.get_mut("Fn::Sub") {
                *text = substituted(text, names)?;
            }
            fields.values_mut().try_for_each(|field| rewrite(field, names))
        }
        Value::Array(list) => list.iter_mut().try_for_each(|each| rewrite(each, names)),
        _ => Ok(()),
    }
}

/// The text in the place of a reference to the table.
fn named(value: &Value, names: &Names) -> anyhow::Result<Option<String>> {
    let Some(fields) = value.as_object().filter(|fields| fields.len() == 1) else { return Ok(None) };
    if fields.get("Ref").is_some_and(|name| name == LOGICAL) {
        return Ok(Some(names.name.clone()));
    }
    let attribute = match fields.get("Fn::GetAtt") {
        Some(Value::Array(parts)) if parts.first().is_some_and(|name| name == LOGICAL) => {
            parts.get(1).and_then(Value::as_str)
        }
        Some(Value::String(text)) => text.strip_prefix("Table."),
        _ => None,
    };
    attribute.map(|attribute| names.attribute(attribute)).transpose()
}

impl Names {
    fn attribute(&self, name: &str) -> anyhow::Result<String> {
        match name {
            "Arn" => Ok(self.arn.clone()),
            "StreamArn" => Ok(self.stream.clone()),
            other => bail!("the template names the table's {other}, for which nothing is known to put"),
        }
    }
}

fn substituted(text: &str, names: &Names) -> anyhow::Result<String> {
    let text = text.replace("${Table}", &names.name);
    let text = text.replace("${Table.Arn}", &names.arn).replace("${Table.StreamArn}", &names.stream);
    ensure!(
        !text.contains("${Table."),
        "the template names something of the table for which nothing is known to put: {text}"
    );
    Ok(text)
}

fn without_table(needed: &mut Value) {
    match needed {
        Value::Array(list) => list.retain(|each| each != LOGICAL),
        Value::String(one) if one == LOGICAL => *needed = json!([]),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "arn:aws:dynamodb:eu-central-1:123456789012:table/restored/stream/2026-11-22T00:00:00.000";

    fn template() -> Value {
        json!({
            "Parameters": {"Admins": {"Type": "String"}, "Origin": {"Type": "String"}},
            "Resources": {
                "Table": {
                    "Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain",
                    "Properties": {"BillingMode": "PAY_PER_REQUEST"},
                },
                "Claim": {"DependsOn": ["Table", "Log"], "Properties": {"Table": {"Ref": "Table"}, "Log": {"Ref": "Log"}}},
                "Role": {"DependsOn": "Table", "Properties": {"Of": [
                    {"Fn::GetAtt": ["Table", "Arn"]}, {"Fn::Sub": "${Table.Arn}/index/*"}, {"Fn::GetAtt": ["Log", "Arn"]},
                ]}},
                "Reader": {"Properties": {"From": {"Fn::GetAtt": "Table.StreamArn"}, "At": {"Fn::Sub": "a/${Table}/${Log}"}}},
            },
            "Outputs": {"Table": {"Value": {"Ref": "Table"}}},
        })
    }

    fn described() -> Value {
        json!({"Table": {
            "TableName": "restored", "TableStatus": "ACTIVE", "TableArn": "arn:restored", "LatestStreamArn": STREAM,
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        }})
    }

    #[test]
    fn whatever_named_the_table_names_the_restored_one_and_nothing_else_changes() {
        let pointed = pointed(&template(), &Names::read(&described()).unwrap()).unwrap();
        assert_eq!(
            pointed,
            json!({
                "Parameters": {"Admins": {"Type": "String"}, "Origin": {"Type": "String"}},
                "Resources": {
                    "Claim": {"DependsOn": ["Log"], "Properties": {"Table": "restored", "Log": {"Ref": "Log"}}},
                    "Role": {"DependsOn": [], "Properties": {"Of": [
                        "arn:restored", {"Fn::Sub": "arn:restored/index/*"}, {"Fn::GetAtt": ["Log", "Arn"]},
                    ]}},
                    "Reader": {"Properties": {"From": STREAM, "At": {"Fn::Sub": "a/restored/${Log}"}}},
                },
                "Outputs": {"Table": {"Value": "restored"}},
            })
        );
    }

    #[test]
    fn the_import_adds_the_table_alone() {
        let pointed = pointed(&template(), &Names::read(&described()).unwrap()).unwrap();
        let mut imported = imported(&template(), &pointed).unwrap();
        let table = imported["Resources"].as_object_mut().unwrap().remove("Table").unwrap();
        assert_eq!((&table, &imported), (&template()["Resources"]["Table"], &pointed));
    }

    #[test]
    fn every_parameter_keeps_its_value() {
        let names = json!([
            {"ParameterKey": "Admins", "UsePreviousValue": true}, {"ParameterKey": "Origin", "UsePreviousValue": true},
        ]);
        assert_eq!(as_they_are(&template()), names);
    }

    #[test]
    fn what_would_lose_a_table_or_a_mail_is_refused() {
        let names = Names::read(&described()).unwrap();
        let refused = |change: fn(&mut Value)| {
            let mut template = template();
            change(&mut template);
            pointed(&template, &names).unwrap_err().to_string()
        };
        let without_retain = |template: &mut Value| template["Resources"]["Table"]["DeletionPolicy"] = json!("Delete");
        assert!(refused(without_retain).contains("would delete its table"));
        let twice = |template: &mut Value| drop(template["Resources"].as_object_mut().unwrap().remove("Table"));
        assert!(refused(twice).contains("has no Table"));
        let unknown =
            |template: &mut Value| template["Outputs"]["Table"]["Value"] = json!({"Fn::GetAtt": ["Table", "Id"]});
        assert!(refused(unknown).contains("the table's Id"));
        for (field, part) in [("TableStatus", "not ACTIVE"), ("StreamSpecification", "no stream")] {
            let mut described = described();
            described["Table"][field] = json!("other");
            assert!(Names::read(&described).is_err_and(|error| error.to_string().contains(part)));
        }
    }
}
