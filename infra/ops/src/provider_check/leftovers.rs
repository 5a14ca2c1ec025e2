//! What runs of the check left in the account, known by its name alone: keys and guardrails.
//! Nothing else is ever deleted.

use anyhow::{Result, ensure};
use http::Method;
use ulid::Ulid;

use super::wire::Wire;

/// The beginning of the name of everything that the check makes. A deployment's own names begin
/// with `bursar/`.
const PREFIX: &str = "bursar-provider-check/";
/// The end of such a name, which makes it as long as the name of a student's key and of the same
/// characters.
const SUFFIX: &str = "1-0123456789abcdef";

/// The name of everything that one run makes. A count adds a number to it.
pub(crate) fn new_name() -> String {
    format!("{PREFIX}{}/{}/{SUFFIX}", Ulid::generate(), Ulid::generate())
}

/// Whether the check gave this name: a person's may begin alike.
fn is_of_the_check(name: &str) -> bool {
    let is_ulid = |part: &str| part.parse::<Ulid>().is_ok();
    match name
        .strip_prefix(PREFIX)
        .unwrap_or_default()
        .split('/')
        .collect::<Vec<&str>>()
        .as_slice()
    {
        [run, second, SUFFIX] => is_ulid(run) && is_ulid(second),
        [run, second, SUFFIX, number] => {
            is_ulid(run) && is_ulid(second) && number.parse::<u32>().is_ok()
        }
        _ => false,
    }
}

/// The list of every key, which the provider does not show by itself.
pub(crate) const EVERY_KEY: &str = "keys?include_disabled=true&include_expired=true";
/// Deletes every key and every guardrail of the check, and says what they were. Keys go first,
/// since a guardrail that restricts one may be refused its deletion. All of them lie in the default
/// workspace, which is listed where none is named.
pub(crate) async fn take_away(wire: &Wire) -> Result<Vec<String>> {
    let mut taken_away = Vec::new();
    for (what, id, list) in [
        ("key", "hash", EVERY_KEY),
        ("guardrail", "id", "guardrails?limit=100"),
    ] {
        let mut ours = Vec::new();
        let mut offset = 0;
        loop {
            let answer = wire
                .ask(Method::GET, &format!("{list}&offset={offset}"), None)
                .await?;
            // An account that can have no guardrail may refuse to list them at all.
            let rows = if id == "id" && matches!(answer.status, 403 | 404) {
                Vec::new()
            } else {
                answer.rows()?
            };
            if rows.is_empty() {
                break;
            }
            ensure!(offset < 1_000_000, "a list does not end");
            offset += rows.len();
            ours.extend(
                rows.into_iter()
                    .filter(|row| row["name"].as_str().is_some_and(is_of_the_check)),
            );
        }
        for row in ours {
            let (Some(id), Some(name)) = (row[id].as_str(), row["name"].as_str()) else {
                continue;
            };
            wire.delete(&format!("{what}s/{id}")).await?;
            taken_away.push(format!("the {what} {name}"));
        }
    }
    Ok(taken_away)
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
            assert!(
                own.parse::<KeyName>().is_err(),
                "a deployment's sync takes it for its own: {own}"
            );
        }
        let other = name.replacen(PREFIX, "bursar/", 1);
        for foreign in [
            &format!("{PREFIX}notes"),
            PREFIX,
            &format!("{name}/of/mine"),
            &format!("{name}/mine"),
            &other,
        ] {
            assert!(!is_of_the_check(foreign), "{foreign}");
        }
    }
}
