//! I4: a secret is nowhere but in the one answer or mail that brings it.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::values::token::RegistrarToken;
use bursar_core::store::items::Item;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::snapshot::text;
use super::{Snapshot, Step};

/// A text that must be nowhere but in the places that may have it.
#[derive(Clone)]
pub struct Secret {
    pub what: &'static str,
    /// The text, and the other forms by which it is recognised.
    pub forms: Vec<String>,
    /// How many answers and how many mails may have it.
    pub answers: usize,
    pub mails: usize,
}

/// The prefix of all keys, management keys included.
const PREFIX: &str = "sk-or-v1-";
/// The least number of hexadecimal digits of a key. The provider's labels begin with the same
/// prefix, and are cut to fewer digits.
const DIGITS: usize = 40;
const ROSTER_TOKEN: &str = "bursar-roster-";

impl Secret {
    /// A student's key, which may be in the one answer that reveals it.
    pub(super) fn key(text: &str) -> Secret {
        Secret {
            what: "a key",
            forms: vec![text.to_owned()],
            answers: 1,
            mails: 0,
        }
    }

    /// The token of a link, or a code, which may be in the one mail that brings it.
    pub(super) fn mailed(text: String) -> Secret {
        Secret {
            what: "a link or code",
            forms: vec![text],
            answers: 0,
            mails: 1,
        }
    }

    /// The registrar's token, which may be in the one answer to whoever makes it.
    pub(super) fn roster_token(text: String) -> Secret {
        Secret {
            what: "a registrar's token",
            forms: vec![text],
            answers: 1,
            mails: 0,
        }
    }

    fn is_in(&self, text: &str) -> bool {
        self.forms.iter().any(|form| text.contains(form))
    }
}

/// The keys whose plaintext is in these texts, by the provider's hash of them.
pub(super) fn keys_in(texts: &[String]) -> BTreeMap<String, String> {
    let keys = texts.iter().flat_map(|text| plaintexts_in(text));
    keys.map(|key| {
        (
            HEXLOWER.encode(&Sha256::digest(key.as_bytes())),
            key.to_owned(),
        )
    })
    .collect()
}

/// The registrar's tokens that were shown.
pub(super) fn roster_tokens_in(answer: &str) -> impl Iterator<Item = Secret> {
    let begins = answer
        .match_indices(ROSTER_TOKEN)
        .map(|(begin, prefix)| &answer[begin + prefix.len()..]);
    let tokens = begins.filter_map(|rest| RegistrarToken::parse(rest.get(..43)?));
    tokens.map(|token| Secret::roster_token(token.reveal().to_owned()))
}

/// I4: guarded secrets, and everything of the form of a key, are in no item, no stream record and
/// no log line. They are in no more answers and mails than may bring them.
pub(super) fn secrets_are_nowhere(step: &Step<'_>, wrong: &mut Vec<String>) {
    let now = step.now;
    let mut search = |place: &dyn Fn() -> String, text: &str| {
        let guarded = step
            .guarded
            .iter()
            .filter(|secret| secret.is_in(text))
            .map(|secret| secret.what);
        let key = plaintexts_in(text).next().map(|_| "what looks like a key");
        wrong.extend(
            guarded
                .chain(key)
                .map(|what| format!("{} holds {what}", place())),
        );
    };
    for ((pk, sk), item) in &now.items {
        search(&|| format!("{pk} / {sk}"), &text_of(item));
    }
    for record in &now.stream {
        search(
            &|| format!("stream record {}", record["dynamodb"]["SequenceNumber"]),
            &record.to_string(),
        );
    }
    for line in &now.logs {
        // A person reads the message, so it has no secret.
        let forms = || step.guarded.iter().flat_map(|secret| &secret.forms);
        let masked = || forms().fold(line.clone(), |line, form| line.replace(form, "…"));
        search(&|| format!("a log line: {}", masked()), line);
    }
    let mails: Vec<&str> = now.mails.iter().map(|mail| &*mail.legible).collect();
    for text in &mails {
        wrong.extend(plaintexts_in(text).map(|_| "a mail holds what looks like a key".to_owned()));
    }
    let answers: Vec<String> = now
        .answers
        .iter()
        .map(|answer| without_typed_code(answer))
        .collect();
    let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
    for secret in step.guarded {
        for (place, texts, allowed) in [
            ("answers", &answers, secret.answers),
            ("mails", &mails, secret.mails),
        ] {
            let times = texts.iter().filter(|text| secret.is_in(text)).count();
            if times > allowed {
                wrong.push(format!(
                    "{} is in {times} {place}, and may be in {allowed}",
                    secret.what
                ));
            }
        }
    }
}

/// An answer without what was typed as a code: its form gives that back, wherever it came from.
fn without_typed_code(answer: &str) -> String {
    match answer.split_once("name=\"code\" value=\"") {
        Some((before, typed)) => {
            before.to_owned() + typed.split_once('"').map_or("", |(_, after)| after)
        }
        None => answer.to_owned(),
    }
}

impl Snapshot {
    /// The items and log lines that have one of these texts, in lower case. A person who was erased
    /// is looked for like a secret.
    pub fn places_of(&self, texts: &[&str]) -> Vec<String> {
        let has = |text: &str| texts.iter().any(|one| text.to_lowercase().contains(one));
        let items = self.items.iter().filter(|(_, item)| has(&text_of(item)));
        let items =
            items.map(|((pk, sk), item)| format!("{pk} / {sk} of the kind {}", text(item, "kind")));
        items
            .chain(self.logs.iter().filter(|line| has(line)).cloned())
            .collect()
    }
}

/// Every text of an item at any depth, names of attributes included, a line each.
pub(super) fn text_of(item: &Item) -> String {
    let mut texts = String::new();
    item.iter()
        .for_each(|(name, value)| collect(name, value, &mut texts));
    texts
}

fn collect(name: &str, value: &AttributeValue, texts: &mut String) {
    let mut add = |text: &str| texts.extend([text, "\n"]);
    add(name);
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => add(text),
        AttributeValue::Ss(list) => list.iter().for_each(|text| add(text)),
        AttributeValue::B(bytes) => add(&String::from_utf8_lossy(bytes.as_ref())),
        AttributeValue::L(list) => list.iter().for_each(|value| collect("", value, texts)),
        AttributeValue::M(map) => map
            .iter()
            .for_each(|(name, value)| collect(name, value, texts)),
        _ => {}
    }
}

fn plaintexts_in(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices(PREFIX).map(|(start, _)| &text[start..]);
    starts.filter_map(|key| {
        let digits = key[PREFIX.len()..].find(|c: char| !c.is_ascii_hexdigit());
        let digits = digits.unwrap_or(key.len() - PREFIX.len());
        (digits >= DIGITS).then(|| &key[..PREFIX.len() + digits])
    })
}
