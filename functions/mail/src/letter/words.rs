//! The words that mails share: their recipient, and the names of a programme's people.

use bursar_core::config::Config;
use bursar_core::domain::programme::Settings;
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
        LetterPart::Link { label, url: format!("{}{path}", self.config.origin.as_str()) }
    }

    /// A letter to this recipient in the institution's name, still without words.
    pub(crate) fn letter(&self) -> Letter {
        let text = String::new;
        let recipient = self.recipient.clone();
        Letter { recipient, from: None, subject: text(), heading: text(), parts: Vec::new(), why: text() }
    }

    pub(crate) fn own_page(&self) -> LetterPart {
        self.page("Open my page", "/my")
    }
}

pub(crate) fn said(sentences: impl Into<String>) -> LetterPart {
    LetterPart::Sentences(sentences.into())
}

/// The people who run a programme, as a sentence or fact names them: the first three.
pub(crate) fn faculty(settings: &Settings) -> Option<String> {
    const NAMED: usize = 3;
    let people = &settings.people;
    let named: Vec<String> = people.faculty.iter().take(NAMED).map(|person| people.in_words(person)).collect();
    match people.faculty.len().saturating_sub(NAMED) {
        _ if named.is_empty() => None,
        0 => Some(named.join(", ")),
        unnamed => Some(format!("{}, and {unnamed} more", named.join(", "))),
    }
}

/// The people who a student may ask.
pub(crate) fn people(settings: &Settings) -> String {
    let contact = settings.texts.contact.clone().or_else(|| faculty(settings));
    contact.unwrap_or_else(|| "the people who run the programme".to_owned())
}
