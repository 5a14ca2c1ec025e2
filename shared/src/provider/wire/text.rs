//! Redaction of the provider's texts for a log: short, on one line, and without anything that looks like a
//! key.

use serde_json::Value;

const LONGEST: usize = 300;
const KEY: &str = "sk-or-";

/// The text without control characters, keys and excess length.
pub fn harmless(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(KEY) {
        let (before, key) = rest.split_at(at);
        let end = key.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        shown.push_str(before);
        shown.push_str("sk-or-…");
        rest = &key[end.unwrap_or(key.len())..];
    }
    shown.push_str(rest);
    let one_line = shown.chars().map(|c| if c.is_control() { ' ' } else { c });
    let cut: String = one_line.clone().take(LONGEST).collect();
    if one_line.count() > LONGEST { cut + "…" } else { cut }
}

/// The message of an error answer: the provider's own, else the beginning of whatever came instead.
pub fn of_error(body: &str) -> String {
    let message = provider_error(body).and_then(|error| {
        let text = error.get("message").unwrap_or(&error).as_str();
        text.filter(|text| !text.trim().is_empty()).map(str::to_owned)
    });
    match message {
        Some(message) => harmless(&message),
        None if body.trim().is_empty() => "without a word".to_owned(),
        None => {
            let beginning: String = body.trim().chars().take(100).collect();
            format!("not the provider's own words: {}", harmless(&beginning))
        }
    }
}

/// Whether the body is an error of the provider itself, and not of a proxy on the way.
pub fn is_of_provider(body: &str) -> bool {
    provider_error(body).is_some()
}

fn provider_error(body: &str) -> Option<Value> {
    let mut body: Value = serde_json::from_str(body).ok()?;
    body.get_mut("error").map(Value::take)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_line_ends_and_length_do_not_reach_a_log() {
        let said = format!("bad key sk-or-v1-0123abc, or (sk-or-v1-9)\n\u{1b}[31m {}", "x".repeat(400));
        let shown = harmless(&said);
        assert!(shown.starts_with("bad key sk-or-…, or (sk-or-…)  [31m x"), "{shown}");
        assert_eq!(shown.chars().count(), LONGEST + 1);
    }

    #[test]
    fn an_error_is_told_in_the_providers_words_or_by_its_beginning() {
        for (body, told) in [
            (r#"{"error":{"code":401,"message":"User not found."}}"#, "User not found."),
            (r#"{"error":"no"}"#, "no"),
            (r#"{"error":{"message":"key sk-or-v1-aa"}}"#, "key sk-or-…"),
            ("", "without a word"),
            ("<html>\n<p>busy</p>", "not the provider's own words: <html> <p>busy</p>"),
            (r#"{"error":{}}"#, r#"not the provider's own words: {"error":{}}"#),
        ] {
            assert_eq!(of_error(body), told);
        }
    }
}
