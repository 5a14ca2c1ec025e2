//! I4: a secret is nowhere but in the one answer or mail that brings it.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::store::items::Item;
use bursar_local::inbox::Contents;
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

    /// A secret that is recognised in encoded forms as well. These are hexadecimal digits, either base 64
    /// within a longer text, a code without its hyphens, and a token's bytes. Escaping for a URL or a page
    /// leaves it as it is, since it has no character to escape.
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

    pub(super) fn is(&self, other: &Secret) -> bool {
        self.text == other.text
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
/// They are in no more answers and mails than may bring them. Mails are searched decoded and raw; what is
/// encrypted or compressed is not.
pub(super) fn secrets_are_nowhere(step: &Step<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((pk, sk), item) in &step.now.items {
        for text in texts_of(item) {
            wrong.extend(found_in(step, &text).map(|what| format!("{pk} / {sk} holds {what}")));
        }
    }
    for record in &step.now.stream {
        let number = &record["dynamodb"]["SequenceNumber"];
        wrong.extend(found_in(step, &record.to_string()).map(|what| format!("stream record {number} holds {what}")));
    }
    for line in &step.now.logs {
        wrong.extend(found_in(step, line).map(|what| format!("a log line holds {what}: {}", masked(step, line))));
    }
    let mails: Vec<String> = step.now.mails.iter().flatten().map(|mail| legible(&mail.raw)).collect();
    for text in &mails {
        wrong.extend(plaintexts_in(text).map(|_| "a mail holds what looks like a key".to_owned()));
    }
    for secret in step.guarded {
        for (place, texts, allowed) in [("answers", &step.now.answers, secret.answers), ("mails", &mails, secret.mails)]
        {
            let times = texts.iter().filter(|text| secret.is_in(text)).count();
            if times > allowed {
                wrong.push(format!("{} is in {times} {place}, and may be in {allowed}", secret.what));
            }
        }
    }
    wrong
}

/// Every text of an item at any depth, names of attributes included.
pub(super) fn texts_of(item: &Item) -> Vec<String> {
    let mut texts = Vec::new();
    for (name, value) in item {
        texts.push(name.clone());
        collect(value, &mut texts);
    }
    texts
}

fn collect(value: &AttributeValue, texts: &mut Vec<String>) {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => texts.push(text.clone()),
        AttributeValue::Ss(list) | AttributeValue::Ns(list) => texts.extend(list.iter().cloned()),
        AttributeValue::B(bytes) => texts.push(String::from_utf8_lossy(bytes.as_ref()).into_owned()),
        AttributeValue::Bs(list) => {
            texts.extend(list.iter().map(|bytes| String::from_utf8_lossy(bytes.as_ref()).into_owned()));
        }
        AttributeValue::L(list) => list.iter().for_each(|value| collect(value, texts)),
        AttributeValue::M(map) => map.iter().for_each(|(name, value)| {
            texts.push(name.clone());
            collect(value, texts);
        }),
        _ => {}
    }
}

fn found_in<'a>(step: &'a Step<'_>, text: &'a str) -> impl Iterator<Item = &'static str> + 'a {
    let guarded = step.guarded.iter().filter(|secret| secret.is_in(text)).map(|secret| secret.what);
    let others = plaintexts_in(text).filter(|key| !step.guarded.iter().any(|secret| secret.text == *key));
    guarded.chain(others.map(|_| "what looks like a key"))
}

fn plaintexts_in(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices(PREFIX).map(|(start, _)| &text[start..]);
    starts.filter_map(|key| {
        let digits = key[PREFIX.len()..].find(|c: char| !c.is_ascii_hexdigit());
        let digits = digits.unwrap_or(key.len() - PREFIX.len());
        (digits >= DIGITS).then(|| &key[..PREFIX.len() + digits])
    })
}

fn legible(raw: &[u8]) -> String {
    let contents = Contents::of(raw);
    let headers = contents.headers.values().map(String::as_str);
    let parts = [contents.text.as_deref(), contents.html.as_deref()];
    let parts = headers.chain(parts.into_iter().flatten());
    let attached = contents.attachments.iter().map(|attached| String::from_utf8_lossy(&attached.bytes).into_owned());
    let texts: Vec<String> = parts.map(str::to_owned).chain(attached).collect();
    format!("{}\n{}", texts.join("\n"), String::from_utf8_lossy(raw))
}

/// The line with its secrets masked, for a message that a person reads.
fn masked(step: &Step<'_>, line: &str) -> String {
    step.guarded
        .iter()
        .fold(line.to_owned(), |line, secret| secret.forms.iter().fold(line, |line, form| line.replace(form, "…")))
}
