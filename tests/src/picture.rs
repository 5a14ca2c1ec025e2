//! A picture of a table without random values, versions and times, so that two stacks can be compared.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::values::id::{GrantId, KeyName};
use bursar_core::store::items::Item;

use crate::invariants::Snapshot;
use crate::stack::Stack;

/// The items of a stack's table, a line each. `known` are random texts with the names that stand for them, besides those of `names`.
pub fn picture(stack: &Stack, seen: &Snapshot, known: &[(String, String)]) -> Vec<String> {
    let names = names(stack, seen, known);
    const LEFT_OUT: [&str; 15] = [
        "meta",
        "run",
        "lease",
        "checkpoint",
        "checkpoint-part",
        "cut",
        "cut-keys",
        "model-rows",
        "alarm",
        "outbox",
        "sent-as",
        "session",
        "address-session",
        "link",
        "sign-in",
    ];
    let items = seen.items.values().filter(|item| !LEFT_OUT.contains(&kind_of(item).as_str()));
    let mut lines: Vec<String> = items
        .map(|item| {
            // What a foreign key had used by the newest cut depends on when that was; the invariants judge it.
            let lasting = item.iter().filter(|(name, _)| *name != "in_cut");
            let lasting = lasting.map(|(name, value)| (name.clone(), value.clone()));
            pictured(&AttributeValue::M(lasting.collect()), &names)
        })
        .collect();
    lines.sort();
    lines
}

/// The names that stand for random texts in a picture.
pub fn names(stack: &Stack, seen: &Snapshot, known: &[(String, String)]) -> Vec<(String, String)> {
    let person = |id: &GrantId| {
        let of_it = seen.grants.values().find(|grant| grant.id == *id);
        of_it.map_or("nobody".to_owned(), |grant| grant.person.address.matched().as_str().to_owned())
    };
    let mut names = known.to_vec();
    for key in stack.provider.as_ref().unwrap().keys() {
        let name = key.name.parse::<KeyName>().map(|name| format!("{}:{}", person(&name.grant), name.epoch.number()));
        names.push((key.hash.clone(), name.unwrap_or(key.name)));
    }
    names.extend(seen.grants.values().map(|grant| (grant.id.to_string(), person(&grant.id))));
    names.extend(
        seen.people.iter().map(|known| (known.person.to_string(), known.address.matched().as_str().to_owned())),
    );
    let guardrails = seen.rule_sets.values().filter_map(|set| set.guardrail.as_ref());
    names.extend(guardrails.map(|guardrail| (guardrail.id.clone(), "guardrail".to_owned())));
    for job in &seen.jobs {
        names.extend([(job.job.to_string(), "job".to_owned()), (job.writer.to_string(), "its writer".to_owned())]);
    }
    names.push((stack.ready.deployment.clone(), "here".to_owned()));
    names
}

fn kind_of(item: &Item) -> String {
    item["kind"].as_s().cloned().unwrap_or_default()
}

/// The number of milliseconds above which a number counts as a time; amounts and counts stay below it.
const A_TIME: i64 = 1_500_000_000_000;
const A_TIME_IN_SECONDS: i64 = A_TIME / 1_000;

fn is_after(number: &str, time: i64) -> bool {
    number.parse::<i64>().is_ok_and(|number| number > time)
}

fn pictured(value: &AttributeValue, names: &[(String, String)]) -> String {
    const RANDOM: [&str; 10] = ["import", "pk", "sk", "version", "nonce", "entry", "row", "person", "due", "queue"];
    match value {
        AttributeValue::S(text) if text.parse::<jiff::Timestamp>().is_ok() => "T".to_owned(),
        AttributeValue::S(text) => {
            names.iter().fold(text.clone(), |text, (random, name)| text.replace(random.as_str(), name))
        }
        AttributeValue::N(number) if is_after(number, A_TIME) => "T".to_owned(),
        AttributeValue::M(map) => {
            let named = |text: &String| {
                names.iter().fold(text.clone(), |text, (random, name)| text.replace(random.as_str(), name))
            };
            let fields = map.iter().filter(|(name, _)| !RANDOM.contains(&name.as_str()));
            let mut fields: Vec<_> = fields
                .map(|(name, value)| match value {
                    AttributeValue::N(seconds) if name == "ttl" && is_after(seconds, A_TIME_IN_SECONDS) => {
                        "ttl: T".to_owned()
                    }
                    value => format!("{}: {}", named(name), pictured(value, names)),
                })
                .collect();
            fields.sort();
            format!("{{{}}}", fields.join(", "))
        }
        AttributeValue::L(list) => {
            let list: Vec<_> = list.iter().map(|value| pictured(value, names)).collect();
            format!("[{}]", list.join(", "))
        }
        other => format!("{other:?}"),
    }
}
