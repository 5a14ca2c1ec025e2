//! I4: a secret is nowhere but in the one answer or mail that brings it.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::store::items::Item;
use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD, Encoding, HEXLOWER, HEXUPPER};
use sha2::{Digest, Sha256};

use super::Step;

/// A text that must be nowhere but in the one place that may have it.
#[derive(Clone)]
pub struct Secret {
    what: &'static str,
    text: String,
    /// The text, and the other forms by which it is recognised.
    forms: Vec<String>,
    answers: usize,
    mails: usize,
}

/// The prefix of all keys, management keys included.
const PREFIX: &str = "sk-or-v1-";
/// The number of bytes of the shortest token.
const TOKEN: usize = 16;
/// The least number of hexadecimal digits of a key. The provider's labels begin with the same prefix, and are
/// cut to fewer digits.
const DIGITS: usize = 40;

impl Secret {
    /// A student's key, which may be in the one answer that reveals it.
    pub fn key(text: &str) -> Secret {
        Secret::new("a key", text, 1, 0)
    }

    /// A session's cookie, which may be in the one answer that begins it.
    pub fn session(text: &str) -> Secret {
        Secret::new("a session", text, 1, 0)
    }

    /// The token of a link, or a code, which may be in the one mail that brings it.
    pub fn mailed(text: &str) -> Secret {
        Secret::new("a link or code", text, 0, 1)
    }

    /// The token of a form or of an asking browser, which may be in any number of answers, and nowhere else.
    pub fn of_pages(text: &str) -> Secret {
        Secret::new("a cookie or a form's token", text, usize::MAX, 0)
    }

    /// The management key, which may be nowhere.
    pub fn management_key(text: &str) -> Secret {
        Secret::new("the management key", text, 0, 0)
    }

    fn new(what: &'static str, text: &str, answers: usize, mails: usize) -> Secret {
        Secret { what, text: text.to_owned(), forms: vec![text.to_owned()], answers, mails }
    }

    /// A secret that is recognised in encoded forms as well: hexadecimal digits, either base 64 within a longer text, a code without
    /// its hyphens, and a token's bytes. Escaping for a URL or a page leaves it as it is.
    pub(super) fn seen_through_encodings(mut self) -> Secret {
        let mut bytes = vec![self.text.as_bytes().to_vec()];
        bytes.extend(BASE64URL_NOPAD.decode(self.text.as_bytes()).ok().filter(|token| token.len() >= TOKEN));
        bytes.extend(HEXLOWER.decode(self.text.as_bytes()).ok().filter(|token| token.len() >= TOKEN));
        if self.text.contains('-') && self.text.len() < 2 * TOKEN {
            let typed = self.text.replace('-', "");
            self.forms.extend([typed.to_lowercase(), typed]);
        }
        for bytes in &bytes {
            self.forms.extend([HEXLOWER.encode(bytes), HEXUPPER.encode(bytes)]);
            for before in 0..3 {
                self.forms.extend([within(&BASE64, bytes, before), within(&BASE64URL, bytes, before)]);
            }
        }
        self
    }

    fn is_in(&self, text: &str) -> bool {
        self.forms.iter().any(|form| text.contains(form))
    }
}

/// The base 64 of these bytes after `before` others, without the characters that depend on a neighbour.
fn within(base: &Encoding, bytes: &[u8], before: usize) -> String {
    let text = base.encode(&[&vec![0; before], bytes].concat());
    let (first, end) = ((before * 8).div_ceil(6), (before + bytes.len()) * 8 / 6);
    text[first..end].to_owned()
}

/// The keys whose plaintext is in these texts, by the provider's hash of them.
pub(super) fn keys_in(texts: &[String]) -> BTreeMap<String, String> {
    let keys = texts.iter().flat_map(|text| plaintexts_in(text));
    keys.map(|key| (HEXLOWER.encode(&Sha256::digest(key.as_bytes())), key.to_owned())).collect()
}

/// I4: guarded secrets, and everything of the form of a key, are in no item, no stream record and no log line.
/// They are in no more answers and mails than may bring them.
pub(super) fn secrets_are_nowhere(step: &Step<'_>, wrong: &mut Vec<String>) {
    let mut search = |place: &dyn Fn() -> String, text: &str| {
        let guarded = step.guarded.iter().filter(|secret| secret.is_in(text)).map(|secret| secret.what);
        let others = plaintexts_in(text).filter(|key| !step.guarded.iter().any(|secret| secret.text == *key));
        wrong.extend(
            guarded.chain(others.map(|_| "what looks like a key")).map(|what| format!("{} holds {what}", place())),
        );
    };
    for ((pk, sk), item) in &step.now.items {
        search(&|| format!("{pk} / {sk}"), &text_of(item));
    }
    for record in &step.now.stream {
        search(&|| format!("stream record {}", record["dynamodb"]["SequenceNumber"]), &record.to_string());
    }
    for line in &step.now.logs {
        search(&|| format!("a log line: {}", masked(step, line)), line);
    }
    let mails: Vec<String> = step.now.mails.iter().flatten().map(|mail| mail.legible.clone()).collect();
    wrong.extend(
        mails.iter().flat_map(|text| plaintexts_in(text)).map(|_| "a mail holds what looks like a key".to_owned()),
    );
    for secret in step.guarded {
        let places = [("answers", &step.now.answers, secret.answers), ("mails", &mails, secret.mails)];
        for (place, texts, allowed) in places {
            let times = texts.iter().filter(|text| secret.is_in(text)).count();
            if times > allowed {
                wrong.push(format!("{} is in {times} {place}, and may be in {allowed}", secret.what));
            }
        }
    }
}

/// Every text of an item at any depth, names of attributes included, a line each.
pub(super) fn text_of(item: &Item) -> String {
    let mut texts = String::new();
    item.iter().for_each(|(name, value)| collect(name, value, &mut texts));
    texts
}

fn collect(name: &str, value: &AttributeValue, texts: &mut String) {
    let mut add = |text: &str| texts.extend([text, "\n"]);
    add(name);
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => add(text),
        AttributeValue::Ss(list) | AttributeValue::Ns(list) => list.iter().for_each(|text| add(text)),
        AttributeValue::B(bytes) => add(&String::from_utf8_lossy(bytes.as_ref())),
        AttributeValue::Bs(list) => list.iter().for_each(|bytes| add(&String::from_utf8_lossy(bytes.as_ref()))),
        AttributeValue::L(list) => list.iter().for_each(|value| collect("", value, texts)),
        AttributeValue::M(map) => map.iter().for_each(|(name, value)| collect(name, value, texts)),
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

/// The line with its secrets masked, for a message that a person reads.
fn masked(step: &Step<'_>, line: &str) -> String {
    let forms = step.guarded.iter().flat_map(|secret| &secret.forms);
    forms.fold(line.to_owned(), |line, form| line.replace(form, "…"))
}
