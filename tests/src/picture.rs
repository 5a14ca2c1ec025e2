//! A picture of a table without random values, versions and times, so that two stacks can be
//! compared.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::values::id::{GrantId, KeyName};
use bursar_core::store::{Job, StaffPerson};

use crate::invariants::{Snapshot, text};
use crate::stack::Stack;

/// The kinds of items that are no part of a picture. Who has claimed is counted after an act, so a
/// death in between leaves one off until the night; what the mail server said is as of the minute
/// in which it was asked.
const LEFT_OUT: &str = "meta run lease checkpoint checkpoint-part cut model-rows alarm outbox sent-as session \
                        link sign-in roster-counts mail-server";

/// The items of a stack's table, a line each.
pub fn picture(stack: &Stack, seen: &Snapshot) -> Vec<String> {
    let names = names(stack, seen);
    let items = seen
        .items
        .values()
        .filter(|item| LEFT_OUT.split(' ').all(|kind| kind != text(item, "kind")));
    let mut lines: Vec<String> = items
        .map(|item| pictured(&AttributeValue::M(item.clone()), &names))
        .collect();
    lines.sort();
    lines
}

/// The names that stand for random texts in a picture.
pub fn names(stack: &Stack, seen: &Snapshot) -> Vec<(String, String)> {
    let person = |id: &GrantId| {
        let of_it = seen
            .grants
            .values()
            .find(|grant| grant.id == *id && !grant.person.address.is_none());
        of_it.map_or("nobody".to_owned(), |grant| {
            grant.person.address.matched().as_str().to_owned()
        })
    };
    let mut names = Vec::new();
    for key in stack.provider.as_ref().unwrap().keys() {
        let name = key
            .name
            .parse::<KeyName>()
            .map(|name| format!("{}:{}", person(&name.grant), name.epoch.number()));
        names.push((key.hash.clone(), name.unwrap_or(key.name)));
    }
    names.extend(
        seen.grants
            .values()
            .map(|grant| (grant.id.to_string(), person(&grant.id))),
    );
    let people = seen.all::<StaffPerson>();
    names.extend(people.map(|known| {
        (
            known.person.to_string(),
            known.address.matched().as_str().to_owned(),
        )
    }));
    let guardrails = seen
        .guardrails
        .values()
        .filter_map(|known| known.remote.as_ref());
    names.extend(guardrails.map(|guardrail| (guardrail.id.clone(), "guardrail".to_owned())));
    for job in seen.all::<Job>() {
        names.push((job.job.to_string(), "job".to_owned()));
    }
    names.push((stack.ready.deployment.clone(), "here".to_owned()));
    names
}

/// What of a value was sent that is not as it was confirmed.
fn doubts(held: &HashMap<String, AttributeValue>) -> Vec<&AttributeValue> {
    let value =
        |of: Option<&'_ AttributeValue>| of.and_then(|of| of.as_m().ok()?.get("value").cloned());
    let confirmed = value(held.get("confirmed"));
    let notes = held
        .get("in_doubt")
        .and_then(|notes| notes.as_l().ok())
        .into_iter()
        .flatten();
    notes
        .filter(|note| value(Some(note)) != confirmed)
        .collect()
}

fn pictured(value: &AttributeValue, names: &[(String, String)]) -> String {
    const RANDOM: [&str; 14] = [
        "import", "roster", "pk", "sk", "version", "nonce", "entry", "row", "first", "rows",
        "person", "due", "queue", "label",
    ];
    /// In milliseconds; amounts and counts stay below it.
    const A_TIME: i64 = 1_500_000_000_000;
    let named = |text: &String| {
        names.iter().fold(text.clone(), |text, (random, name)| {
            text.replace(random.as_str(), name)
        })
    };
    match value {
        AttributeValue::S(text) if text.parse::<bursar_core::clock::Moment>().is_ok() => {
            "T".to_owned()
        }
        AttributeValue::S(text) => named(text),
        AttributeValue::B(bytes) => {
            // What is packed lies in the order of random ids.
            let text = named(&String::from_utf8_lossy(bytes.as_ref()).into_owned());
            let mut parts: Vec<_> = text.split(['{', '}', '[', ']', ',']).collect();
            parts.sort_unstable();
            parts.join(",")
        }
        AttributeValue::N(number) if number.parse::<i64>().is_ok_and(|number| number > A_TIME) => {
            "T".to_owned()
        }
        AttributeValue::M(map) => {
            // That a call for what is there may come once more.
            let is_no_doubt = |name: &str| name == "in_doubt" && doubts(map).is_empty();
            let fields = map
                .iter()
                .filter(|(name, _)| !RANDOM.contains(&name.as_str()) && !is_no_doubt(name));
            let mut fields: Vec<_> = fields
                .map(|(name, value)| match name.as_str() {
                    "ttl" => "ttl: T".to_owned(),
                    _ => format!("{}: {}", named(name), pictured(value, names)),
                })
                .collect();
            fields.sort();
            format!("{{{}}}", fields.join(", "))
        }
        AttributeValue::L(list) => {
            let mut list: Vec<_> = list.iter().map(|value| pictured(value, names)).collect();
            // Some lists are in the order of random texts.
            list.sort();
            format!("[{}]", list.join(", "))
        }
        other => format!("{other:?}"),
    }
}
