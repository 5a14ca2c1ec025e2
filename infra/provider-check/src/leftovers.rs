//! What runs of the check left in the account, known by its name alone: keys and guardrails. Nothing else is
//! ever deleted.

use std::time::Duration;

use anyhow::{Result, bail};
use bursar_core::provider::inventory::EVERY_KEY;
use bursar_core::provider::wire::calls::{Call, DELETE_KEY, LIST_GUARDRAILS, LIST_KEYS, Repeatable};
use http::Method;
use serde_json::Value;
use ulid::Ulid;

use crate::wire::Wire;

/// The beginning of the name of everything that the check makes. A deployment's own names begin with `bursar/`.
const PREFIX: &str = "bursar-provider-check/";
/// The end of such a name, which makes it as long as the name of a student's key and of the same characters.
const SUFFIX: &str = "1-0123456789abcdef";

pub(crate) const DELETE_GUARDRAIL: Call = Call {
    name: "delete guardrail",
    method: Method::DELETE,
    path: "/guardrails/{id}",
    time_out: Duration::from_secs(5),
    again: Repeatable::Safely("what is already gone answers 404, which counts as deleted"),
};

/// The name of everything that one run makes. A count adds a number to it.
pub(crate) fn new_name() -> String {
    format!("{PREFIX}{}/{}/{SUFFIX}", Ulid::generate(), Ulid::generate())
}

/// Whether the check gave this name: a person's may begin alike.
fn is_of_the_check(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let parts: Vec<&str> = rest.split('/').collect();
    let is_ulid = |part: &str| part.parse::<Ulid>().is_ok();
    match parts.as_slice() {
        [run, second, SUFFIX] => is_ulid(run) && is_ulid(second),
        [run, second, SUFFIX, number] => is_ulid(run) && is_ulid(second) && number.parse::<u32>().is_ok(),
        _ => false,
    }
}

/// The pages after which a list counts as endless.
const MOST_PAGES: usize = 10_000;

/// Deletes every key and every guardrail of the check, and says what they were. Keys go first, since a
/// guardrail that restricts one may be refused its deletion.
pub(crate) async fn take_away(wire: &Wire) -> Result<Vec<String>> {
    let mut taken_away = Vec::new();
    for (what, list, id, call) in
        [("key", "keys", "hash", &DELETE_KEY), ("guardrail", "guardrails", "id", &DELETE_GUARDRAIL)]
    {
        for object in of_the_check(wire, list).await? {
            let (Some(id), Some(name)) = (object[id].as_str(), object["name"].as_str()) else { continue };
            delete(wire, call, list, id).await?;
            taken_away.push(format!("the {what} {name}"));
        }
    }
    Ok(taken_away)
}

/// Deletes one thing. One that is gone already counts as deleted.
pub(crate) async fn delete(wire: &Wire, call: &Call, list: &str, id: &str) -> Result<()> {
    let answer = wire.ask(call, &[list, id], &[], None).await?;
    match answer.is_done() || answer.status == 404 {
        true => Ok(()),
        false => bail!("“{}” was refused with {}", call.name, answer.words()),
    }
}

/// The keys or guardrails that the check made. All of them lie in the default workspace, which is listed where
/// none is named.
async fn of_the_check(wire: &Wire, list: &str) -> Result<Vec<Value>> {
    let is_keys = list == "keys";
    let (call, fixed) = match is_keys {
        true => (&LIST_KEYS, &EVERY_KEY[..]),
        false => (&LIST_GUARDRAILS, &[("limit", "100")][..]),
    };
    let (mut ours, mut offset) = (Vec::new(), 0);
    for _ in 0..MOST_PAGES {
        let offset_text = offset.to_string();
        let query = [fixed, &[("offset", offset_text.as_str())]].concat();
        let answer = wire.ask(call, &[list], &query, None).await?;
        // An account that can have no guardrail may refuse to list them at all.
        if !is_keys && offset == 0 && matches!(answer.status, 403 | 404) {
            return Ok(ours);
        }
        let rows = answer.rows(list)?;
        if rows.is_empty() {
            return Ok(ours);
        }
        offset += rows.len();
        ours.extend(rows.into_iter().filter(|row| row["name"].as_str().is_some_and(is_of_the_check)));
    }
    bail!("the list of {list} does not end")
}

#[cfg(test)]
mod tests {
    use bursar_core::domain::values::id::KeyName;

    use super::*;

    #[test]
    fn only_whole_names_of_the_check_are_taken_for_its_own() {
        let name = new_name();
        for own in [name.clone(), format!("{name}/50")] {
            assert!(is_of_the_check(&own), "{own}");
            assert!(own.parse::<KeyName>().is_err(), "a deployment's sync takes it for its own: {own}");
        }
        let other = name.replacen(PREFIX, "bursar/", 1);
        for foreign in [&format!("{PREFIX}notes"), PREFIX, &format!("{name}/of/mine"), &format!("{name}/mine"), &other]
        {
            assert!(!is_of_the_check(foreign), "{foreign}");
        }
    }
}
