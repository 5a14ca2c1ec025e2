//! A mail as a person gets it, and its bytes: headers, text and HTML. A library builds and encodes
//! the headers, so that no name on a roster can inject one.

pub(crate) mod burn;
pub(crate) mod words;

use std::borrow::Cow;
use std::time::SystemTime;

use askama::Template;
use bursar_core::clock::Moment;
use bursar_core::config::Config;
use bursar_core::domain::values::address::{EmailAddress, is_invisible};
use bursar_core::domain::values::format::Joined;
use bursar_core::store::{Facts, OutboxRow};
use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart};

use self::burn::BurnBars;

/// The header that names the row, by which an SES event finds it if the record of sending was lost.
pub(crate) const ROW_HEADER: &str = "X-Bursar-Row";

pub(crate) struct Letter {
    pub(crate) recipient: EmailAddress,
    /// In whose name it comes, if not in the institution's. The address is always the deployment's
    /// own.
    pub(crate) from: Option<String>,
    pub(crate) subject: String,
    pub(crate) heading: String,
    pub(crate) parts: Vec<LetterPart>,
    /// The reason why they get it, as a whole sentence.
    pub(crate) why: String,
}

/// A part of a mail; text and HTML have them in one order.
pub(crate) enum LetterPart {
    Sentences(String),
    /// Short facts, as label and value.
    Facts(Vec<(Cow<'static, str>, String)>),
    /// The one link to follow.
    Link {
        label: &'static str,
        url: String,
    },
    Code(String),
    /// A heading over the parts that follow.
    Heading(&'static str),
    Table(LetterTable),
    /// Facts whose values are long.
    Notes(Vec<(&'static str, String)>),
    /// The bars are in HTML alone, and their figures in text too.
    Burn(BurnBars),
    /// The address for replies, where that is not the address for help.
    ReplyTo(EmailAddress),
    /// An attached file, of which other parts tell.
    File(LetterFile),
}

pub(crate) struct LetterFile {
    pub(crate) name: String,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// A small table: the name of its rows, the headings of its columns, and the rows.
pub(crate) struct LetterTable {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<LetterRow>,
}

/// The text of a cell without a value.
pub(crate) const NOT_TOLD: &str = "–";

pub(crate) struct LetterRow {
    pub(crate) name: String,
    pub(crate) cells: Vec<String>,
}

/// A mail as bytes, ready to be sent.
pub(crate) struct SealedLetter {
    pub(crate) from: String,
    pub(crate) recipient: String,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Template)]
#[template(path = "letter.txt")]
struct LetterText<'a> {
    letter: &'a Letter,
    config: &'a Config,
}

#[derive(Template)]
#[template(path = "letter.html")]
struct Html<'a> {
    letter: &'a Letter,
    config: &'a Config,
}

impl LetterPart {
    pub(crate) fn facts<Name: Into<Cow<'static, str>>>(
        facts: impl IntoIterator<Item = (Name, String)>,
    ) -> LetterPart {
        LetterPart::Facts(
            facts
                .into_iter()
                .map(|(name, fact)| (name.into(), fact))
                .collect(),
        )
    }
}

impl Letter {
    /// Builds the bytes of the mail. `None` if an address cannot stand in a mail header.
    pub(crate) fn seal(
        &self,
        row: &OutboxRow,
        now: Moment,
        config: &Config,
    ) -> Option<SealedLetter> {
        let Facts { kind, choice, .. } = row.mail.facts();
        let row = row.row;
        let from = config.mail_from.for_mail();
        let recipient = self.recipient.for_mail();
        let sender: Address = from.parse().ok()?;
        let domain = sender.domain().to_owned();
        let mut message = Message::builder()
            .from(Mailbox::new(
                Some(plain(self.from.as_deref().unwrap_or(&config.institution))),
                sender,
            ))
            .to(Mailbox::new(None, recipient.parse().ok()?))
            .subject(plain(&self.subject))
            .date(SystemTime::from(*now))
            .message_id(Some(format!("<{row}@{domain}>")))
            .raw_header(header("X-Bursar-Mail", kind.as_str()))
            .raw_header(header(ROW_HEADER, &row.to_string()))
            .raw_header(header("Auto-Submitted", "auto-generated"));
        // The link leads through the sign-in to a form. Unsubscribing in one click would need a
        // credential in the mail, which holds none: hence no `List-Unsubscribe-Post`.
        if choice.is_some() {
            message = message.raw_header(header(
                "List-Unsubscribe",
                &format!("<{}>", choice_at(config)),
            ));
        }
        if let Some(answers_to) = self.answers_to().or_else(|| support_address(config)) {
            message = message.reply_to(Mailbox::new(None, answers_to));
        }
        let body = MultiPart::alternative()
            .singlepart(SinglePart::plain(self.text(config)?))
            .singlepart(SinglePart::html(self.html(config)?));
        let body = match self.file() {
            Some(file) => {
                let media_type = ContentType::parse(file.media_type).ok()?;
                let attached =
                    Attachment::new(file.name.clone()).body(file.bytes.clone(), media_type);
                MultiPart::mixed().multipart(body).singlepart(attached)
            }
            None => body,
        };
        let message = message.multipart(body).ok()?;
        Some(SealedLetter {
            from,
            recipient,
            bytes: message.formatted(),
        })
    }

    pub(crate) fn text(&self, config: &Config) -> Option<String> {
        LetterText {
            letter: self,
            config,
        }
        .render()
        .ok()
    }

    pub(crate) fn html(&self, config: &Config) -> Option<String> {
        Html {
            letter: self,
            config,
        }
        .render()
        .ok()
    }

    fn answers_to(&self) -> Option<Address> {
        self.parts.iter().find_map(|part| {
            if let LetterPart::ReplyTo(address) = part {
                address.for_mail().parse().ok()
            } else {
                None
            }
        })
    }

    /// The attached file; a mail has one at most.
    pub(crate) fn file(&self) -> Option<&LetterFile> {
        self.parts.iter().find_map(|part| {
            if let LetterPart::File(file) = part {
                Some(file)
            } else {
                None
            }
        })
    }
}

impl LetterPart {
    /// Whether the text of the mail has anything of it.
    fn is_in_text(&self) -> bool {
        !matches!(self, LetterPart::File(_))
    }
}

impl LetterTable {
    pub(crate) fn new<const COLUMNS: usize>(
        head: [&str; COLUMNS],
        rows: Vec<LetterRow>,
    ) -> LetterTable {
        LetterTable {
            head: head.map(str::to_owned).to_vec(),
            rows,
        }
    }

    /// A row on one line, for the text without columns.
    fn line(&self, row: &LetterRow) -> String {
        let cells = self
            .head
            .iter()
            .skip(1)
            .zip(&row.cells)
            .filter(|(_, cell)| *cell != NOT_TOLD);
        format!(
            "{}: {}",
            row.name,
            cells
                .map(|(title, cell)| format!("{title} {cell}"))
                .joined(", ")
        )
    }
}

impl LetterRow {
    /// The name in pieces between which a line may break, since model names are long and have no
    /// spaces.
    fn pieces(&self) -> impl Iterator<Item = &str> {
        self.name.split_inclusive('/')
    }
}

/// The mail address for help, or `None` if the deployment gives a text instead.
fn support_address(config: &Config) -> Option<Address> {
    let address = EmailAddress::parse(config.support.as_deref()?).ok()?;
    address.for_mail().parse().ok()
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// The URL of the page where a reader chooses their mails.
pub(crate) fn choice_at(config: &Config) -> String {
    format!("{}/my#mails", config.origin.as_str())
}

/// The text as one line, without invisible characters.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if is_invisible(c) { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;
