//! A mail as a person gets it, and the bytes that bring it: headers, text and HTML. Headers are built by a library that encodes what
//! does not belong there, so that no name on a roster can add one.

pub(crate) mod burn;
pub(crate) mod words;

use std::borrow::Cow;
use std::time::SystemTime;

use askama::Template;
use bursar_core::config::Config;
use bursar_core::domain::values::address::{EmailAddress, is_invisible};
use bursar_core::store::OutboxRow;
use jiff::Timestamp;
use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart};

use self::burn::Picture;

/// By this header what SES reports leads back to the row.
pub(crate) const ROW_HEADER: &str = "X-Bursar-Row";

/// What is to be said to one person.
pub(crate) struct Letter {
    pub(crate) to: EmailAddress,
    pub(crate) subject: String,
    pub(crate) heading: String,
    pub(crate) parts: Vec<LetterPart>,
    /// Why they get it, a whole sentence.
    pub(crate) why: String,
}

/// What a mail is made of, in the same order in text and HTML.
pub(crate) enum LetterPart {
    Sentences(String),
    /// What each is called, and what it is.
    Facts(Vec<(Cow<'static, str>, String)>),
    /// The one thing to follow.
    Link {
        label: &'static str,
        url: String,
    },
    Code(String),
    /// What follows is about this.
    Heading(&'static str),
    Table(LetterTable),
    /// The same as facts, where what is said is long.
    Notes(Vec<(&'static str, String)>),
    /// Text says the same in other parts.
    Picture(Picture),
    /// Whom an answer goes to, where that is not the address for help.
    ReplyTo(EmailAddress),
}

/// A small table: what its rows are, what its columns hold, and the rows.
pub(crate) struct LetterTable {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<LetterRow>,
}

/// What stands in a cell that has nothing to say.
pub(crate) const NOT_TOLD: &str = "–";

pub(crate) struct LetterRow {
    pub(crate) name: String,
    pub(crate) cells: Vec<String>,
}

/// A mail that can be sent.
pub(crate) struct SealedLetter {
    pub(crate) from: String,
    pub(crate) to: String,
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
    /// What the picture is called within the mail.
    cid: &'a str,
}

impl LetterPart {
    pub(crate) fn facts<Name: Into<Cow<'static, str>>>(facts: impl IntoIterator<Item = (Name, String)>) -> LetterPart {
        LetterPart::Facts(facts.into_iter().map(|(name, fact)| (name.into(), fact)).collect())
    }
}

impl Letter {
    /// Puts it into an envelope. None if one of the addresses is none that a mail can carry.
    pub(crate) fn sealed(&self, row: &OutboxRow, now: Timestamp, config: &Config) -> Option<SealedLetter> {
        let (kind, is_of_choice, row) = (row.mail.kind(), row.mail.of_choice().is_some(), row.row);
        let (from, to) = (config.mail_from.for_mail(), self.to.for_mail());
        let sender: Address = from.parse().ok()?;
        let domain = sender.domain().to_owned();
        let mut message = Message::builder()
            .from(Mailbox::new(Some(plain(&config.institution)), sender))
            .to(Mailbox::new(None, to.parse().ok()?))
            .subject(plain(&self.subject))
            .date(SystemTime::from(now))
            .message_id(Some(format!("<{row}@{domain}>")))
            .raw_header(header("X-Bursar-Mail", kind.as_str()))
            .raw_header(header(ROW_HEADER, &row.to_string()))
            .raw_header(header("Auto-Submitted", "auto-generated"));
        // It leads to the sign-in and then to a form. What a press in a mail program alone could do would need a right in the mail,
        // and a mail carries none: so there is no `List-Unsubscribe-Post`.
        if is_of_choice {
            message = message.raw_header(header("List-Unsubscribe", &format!("<{}>", choice_at(config))));
        }
        if let Some(answers_to) = self.answers_to().or_else(|| support_address(config)) {
            message = message.reply_to(Mailbox::new(None, answers_to));
        }
        let cid = format!("burn.{row}@{domain}");
        let html = SinglePart::html(self.html(config, &cid)?);
        let both = MultiPart::alternative().singlepart(SinglePart::plain(self.text(config)?));
        let body = match self.picture() {
            Some(picture) => {
                let png = ContentType::parse("image/png").ok()?;
                let inline =
                    Attachment::new_inline_with_name(cid, "burn.png".to_owned()).body(picture.png.clone(), png);
                both.multipart(MultiPart::related().singlepart(html).singlepart(inline))
            }
            None => both.singlepart(html),
        };
        let message = message.multipart(body).ok()?;
        Some(SealedLetter { from, to, bytes: message.formatted() })
    }

    pub(crate) fn text(&self, config: &Config) -> Option<String> {
        LetterText { letter: self, config }.render().ok()
    }

    pub(crate) fn html(&self, config: &Config, cid: &str) -> Option<String> {
        Html { letter: self, config, cid }.render().ok()
    }

    fn answers_to(&self) -> Option<Address> {
        self.parts.iter().find_map(|part| match part {
            LetterPart::ReplyTo(address) => address.for_mail().parse().ok(),
            _ => None,
        })
    }

    /// There is one at most.
    fn picture(&self) -> Option<&Picture> {
        self.parts.iter().find_map(|part| match part {
            LetterPart::Picture(picture) => Some(picture),
            _ => None,
        })
    }
}

impl LetterPart {
    fn is_picture(&self) -> bool {
        matches!(self, LetterPart::Picture(_))
    }
}

impl LetterTable {
    pub(crate) fn new<const COLUMNS: usize>(head: [&str; COLUMNS], rows: Vec<LetterRow>) -> LetterTable {
        LetterTable { head: head.map(str::to_owned).to_vec(), rows }
    }

    /// A row in one line, where there are no columns.
    fn line(&self, row: &LetterRow) -> String {
        let cells = self.head.iter().skip(1).zip(&row.cells).filter(|(_, cell)| *cell != NOT_TOLD);
        let cells: Vec<String> = cells.map(|(title, cell)| format!("{title} {cell}")).collect();
        format!("{}: {}", row.name, cells.join(", "))
    }
}

impl LetterRow {
    /// The name in pieces between which a line may break: models have long names without a blank.
    fn pieces(&self) -> impl Iterator<Item = &str> {
        self.name.split_inclusive('/')
    }
}

/// People get help at an address, or where a text says.
fn support_address(config: &Config) -> Option<Address> {
    let address = EmailAddress::parse(config.support.as_deref()?).ok()?;
    address.for_mail().parse().ok()
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// Where a reader chooses which mails they get.
pub(crate) fn choice_at(config: &Config) -> String {
    format!("{}/my#mails", config.origin.as_str())
}

/// One line without anything that is not seen.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if is_invisible(c) { ' ' } else { c }).collect()
}
