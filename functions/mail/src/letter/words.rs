//! The words that mails share: their recipient, and the names of a programme's people.

use bursar_core::config::Config;
use bursar_core::domain::values::address::EmailAddress;

use super::LetterPart;
use crate::letter::Letter;

/// The writer of a mail to one person, for one deployment.
pub(crate) struct Words<'a> {
    pub(crate) recipient: &'a EmailAddress,
    pub(crate) config: &'a Config,
}

impl Words<'_> {
    /// The link to a page of ours.
    pub(crate) fn page(&self, label: &'static str, path: &str) -> LetterPart {
        LetterPart::Link {
            label,
            url: format!("{}{path}", self.config.origin.as_str()),
        }
    }

    /// A letter to this recipient in the institution's name, still without words.
    pub(crate) fn letter(&self) -> Letter {
        let text = String::new;
        let recipient = self.recipient.clone();
        Letter {
            recipient,
            from: None,
            subject: text(),
            heading: text(),
            parts: Vec::new(),
            why: text(),
        }
    }

    pub(crate) fn own_page(&self) -> LetterPart {
        self.page("Open my page", "/my")
    }
}

pub(crate) fn say(sentences: impl Into<String>) -> LetterPart {
    LetterPart::Sentences(sentences.into())
}
