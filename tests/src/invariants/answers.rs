//! What the functions answered, as far as the person who asked can read it. Which secrets it may contain is
//! left to `secrets`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use data_encoding::BASE64;
use serde_json::Value;

/// The answers of one stack, in the order in which they were given. Clones share them.
#[derive(Clone, Default)]
pub struct Answers(Arc<Mutex<Vec<String>>>);

impl Answers {
    /// Records an answer as the function gave it. Of an HTTP answer that is the headers, the cookies and the
    /// decoded body.
    pub fn note(&self, answer: &Value) {
        let body = answer["body"].as_str().unwrap_or_default();
        let decoded = match answer["isBase64Encoded"].as_bool() {
            Some(true) => BASE64.decode(body.as_bytes()).ok(),
            _ => None,
        };
        let decoded = decoded.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        self.texts().push(format!("{answer}\n{}", decoded.unwrap_or_default()));
    }

    /// Each answer as one text.
    pub(super) fn all(&self) -> Vec<String> {
        self.texts().clone()
    }

    fn texts(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
