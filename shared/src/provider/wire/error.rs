//! The failures of a call to the provider, by what callers do about them. An error never holds a
//! key, the body of a request, or the body of a 2xx answer; the provider's texts are short in it,
//! on one line, and without anything that looks like a key.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::domain::mail::alarm::Cause;
use crate::domain::values::id::KeyHash;
use crate::domain::values::key::Fingerprint;
use crate::provider::wire::calls::Call;

/// What a call of the provider answers, unless it says otherwise.
pub type Result<T, E = ProviderError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
#[error("{kind}: {trouble}")]
pub struct ProviderError {
    pub kind: FailureKind,
    pub trouble: Trouble,
    /// The wait that the provider asked for.
    pub after: Option<Duration>,
}

#[derive(Debug, PartialEq, thiserror::Error)]
pub enum FailureKind {
    /// An equal request would be refused again.
    #[error("the provider refused")]
    Refused,
    /// An equal request may succeed later.
    #[error("the provider cannot do it now")]
    Later,
    /// The management key is missing, refused or an ordinary one. It never means that there are no
    /// keys.
    #[error("the management key does not work")]
    ManagementKey,
    /// This management key is of an account without any key that this deployment's account had.
    /// That account was asked for nothing but those keys.
    #[error("the management key is of another account")]
    AnotherAccount(Fingerprint),
    /// The call may have taken effect, may do so later, or never. A read was simply not answered.
    /// It has the key that was made although its plaintext cannot be shown; it has to be disabled.
    #[error("the outcome is not known")]
    Unknown(Option<KeyHash>),
}

/// The known facts of a failed call, fit for a log.
#[derive(Debug)]
pub struct Trouble {
    pub operation: &'static str,
    pub status: Option<u16>,
    pub message: String,
    /// The id by which the provider finds the call in its own logs.
    pub request_id: Option<String>,
}

impl ProviderError {
    /// The failure of a call of which the provider has not answered anything.
    pub(crate) fn unsent(kind: FailureKind, call: &Call, why: impl Into<String>) -> ProviderError {
        let trouble = Trouble {
            operation: call.name,
            status: None,
            message: why.into(),
            request_id: None,
        };
        ProviderError {
            kind,
            trouble,
            after: None,
        }
    }

    /// Whether the request is certain to have changed nothing: it was never sent, or refused for
    /// what it says. After any other refusal it may have been done all the same.
    pub fn changed_nothing(&self) -> bool {
        match self.kind {
            FailureKind::ManagementKey
            | FailureKind::AnotherAccount(_)
            | FailureKind::Unknown(_) => false,
            FailureKind::Refused | FailureKind::Later => self
                .trouble
                .status
                .is_none_or(|status| status == 400 || status == 422),
        }
    }

    /// The alarm for the admins, if the management key is at fault.
    pub fn refusal(&self) -> Option<Cause> {
        match &self.kind {
            FailureKind::ManagementKey => Some(Cause::ManagementKey),
            FailureKind::AnotherAccount(management_key) => Some(Cause::AnotherAccount {
                management_key: management_key.clone(),
            }),
            FailureKind::Refused | FailureKind::Later | FailureKind::Unknown(_) => None,
        }
    }

    /// Whether the management key is at fault: another may make the request succeed.
    pub fn is_of_the_key(&self) -> bool {
        self.refusal().is_some()
    }

    /// Whether the provider said that the requested object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.kind == FailureKind::Refused && self.trouble.status == Some(404)
    }

    /// Whether a management key that works may not do just this, such as list a workspace of
    /// others.
    pub fn is_forbidden(&self) -> bool {
        self.kind == FailureKind::Later && self.trouble.status == Some(403)
    }

    /// Whether it was asked too much, and said for how long it is to be left alone.
    pub fn asks_for_patience(&self) -> bool {
        self.kind == FailureKind::Later && self.after.is_some()
    }

    pub fn may_pass(&self) -> bool {
        matches!(self.kind, FailureKind::Later | FailureKind::Unknown(_))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation)?;
        if let Some(status) = self.status {
            write!(f, "status {status}, ")?;
        }
        f.write_str(&self.message)?;
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

const LONGEST: usize = 300;
const KEY: &str = "sk-or-";

pub fn harmless(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(KEY) {
        let (before, key) = rest.split_at(start);
        let end = key.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        shown.push_str(before);
        shown.push_str("sk-or-…");
        rest = &key[end.unwrap_or(key.len())..];
    }
    shown.push_str(rest);
    let one_line = shown.chars().map(|c| if c.is_control() { ' ' } else { c });
    let cut: String = one_line.clone().take(LONGEST).collect();
    if one_line.count() > LONGEST {
        cut + "…"
    } else {
        cut
    }
}

/// The message of an error answer: the provider's own, else the beginning of whatever came instead.
pub fn read_error(body: &str) -> String {
    let message = provider_error(body).and_then(|error| {
        let text = error.get("message").unwrap_or(&error).as_str();
        text.filter(|text| !text.trim().is_empty())
            .map(str::to_owned)
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
        let said = format!(
            "bad key sk-or-v1-0123abc, or (sk-or-v1-9)\n\u{1b}[31m {}",
            "x".repeat(400)
        );
        let shown = harmless(&said);
        assert!(
            shown.starts_with("bad key sk-or-…, or (sk-or-…)  [31m x"),
            "{shown}"
        );
        assert_eq!(shown.chars().count(), LONGEST + 1);
    }

    #[test]
    fn an_error_is_told_in_the_providers_words_or_by_its_beginning() {
        for (body, told) in [
            (
                r#"{"error":{"code":401,"message":"User not found."}}"#,
                "User not found.",
            ),
            (r#"{"error":"no"}"#, "no"),
            (r#"{"error":{"message":"key sk-or-v1-aa"}}"#, "key sk-or-…"),
            ("", "without a word"),
            (
                "<html>\n<p>busy</p>",
                "not the provider's own words: <html> <p>busy</p>",
            ),
            (
                r#"{"error":{}}"#,
                r#"not the provider's own words: {"error":{}}"#,
            ),
        ] {
            assert_eq!(read_error(body), told);
        }
    }
}
