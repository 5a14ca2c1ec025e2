//! The parser of a roster file, from bytes to rows. It does not know the current roster.

use std::borrow::Cow;

use axum::http::StatusCode;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::format::Joined;
use bursar_core::web::AppError;
use csv::{ByteRecord, ReaderBuilder};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use super::compare::{PlannedRow, RosterChange};
use super::line;

const MOST_COLUMNS: usize = 1_000;
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
/// The most headings from which the one of the addresses is chosen, and the longest in bytes.
const OFFERED: (usize, usize) = (50, 200);
/// The most names that show whether the encoding was guessed well.
const SHOWN_NAMES: usize = 5;

// The names of each column, in lower case: first our own, then those of Canvas' gradebook and
// `users.csv`, of Moodle's participants in English and German, and what people write. A column with
// our own name is taken before any other.
const EMAIL: [&str; 10] = [
    "email",
    "email address",
    "e-mail-adresse",
    "sis login id",
    "login_id",
    "e-mail",
    "mail",
    "e-mail address",
    "university email",
    "primary email",
];
const NAME: [&str; 4] = ["name", "student", "full_name", "full name"];
/// Read where there is no column for the whole name.
const FIRST_NAME: [&str; 4] = ["first name", "first_name", "firstname", "vorname"];
const LAST_NAME: [&str; 5] = ["last name", "last_name", "lastname", "surname", "nachname"];
const GROUP: [&str; 4] = ["group", "section", "groups", "gruppen"];
const ID: [&str; 6] = [
    "id",
    "sis user id",
    "user_id",
    "id number",
    "id-nummer",
    "student id",
];

/// The column that only Canvas' gradebook has.
const GRADEBOOK_LOGIN: &str = "sis login id";
/// What Canvas' gradebook has in place of a name in the rows that are about no student: what is
/// posted by hand, the points that can be reached, and the student as whom teachers look at their
/// course.
const NOBODY: [&str; 3] = ["", "Points Possible", "Test Student"];

#[derive(Debug, Default, PartialEq)]
pub(crate) struct RosterFile {
    pub(super) rows: Vec<RosterRow>,
    /// Each with the person whom it names, by what of it is legible, so that nobody is dropped for
    /// a mistake in their row.
    pub(super) refused: Vec<PlannedRow>,
    /// The unknown columns, as the header spells them.
    pub(super) ignored: Vec<String>,
    pub(super) has_group: bool,
    pub(super) encoding: &'static str,
}

/// One person. A field is `None` when its cell is empty or its column missing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RosterRow {
    /// The line on which the record begins; the header is line 1.
    pub(super) line: u64,
    pub(super) address: EmailAddress,
    pub(super) name: Option<String>,
    pub(super) group: Option<String>,
    pub(super) id: Option<String>,
}

#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum FileError {
    #[error(
        "This is a spreadsheet or another file that is not text. In the spreadsheet, save it as CSV (\"CSV UTF-8\"), and upload that."
    )]
    Binary,
    #[error(
        "The file is damaged: it begins as {0}, and what follows is not. In a spreadsheet, save it as \"CSV UTF-8\"."
    )]
    Damaged(&'static str),
    #[error("No file was chosen, or it is empty.")]
    Empty,
    #[error("The file has a header and no rows.")]
    NoRows,
    #[error("No column is called email. The first row names the columns: {}.", .0.join(", "))]
    NoEmail(Vec<String>),
    #[error(
        "The first row is a person already. Put a row above it that names the columns, such as email,name,group."
    )]
    NoHeader,
    #[error(
        "The logins in this file are no addresses. In Canvas only the file users.csv has addresses: a Canvas admin gets it from the report \"Provisioning\" or \"SIS Export\". Or add a column email to this file."
    )]
    OnlyLogins,
    #[error("Two columns are for the {0}. Remove one of them.")]
    Twice(&'static str),
    #[error(
        "The quote (\") that the row of line {0} opens is not closed, so everything after it would be one cell. Close it, or write the file again: it may have been cut off."
    )]
    OpenQuote(u64),
    #[error("A roster has at most 1,000 columns. Leave out all but email, name, group and id.")]
    TooWide,
    #[error("A roster has at most 50,000 rows. Put the others into a programme of their own.")]
    TooMany,
    #[error("{0}")]
    TooManyGroups(String),
}

impl FileError {
    pub(super) fn status(&self) -> StatusCode {
        if *self == FileError::TooMany {
            StatusCode::PAYLOAD_TOO_LARGE
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        }
    }

    pub(crate) fn answer(self) -> AppError {
        AppError::refused(self.status(), self.to_string())
    }

    /// The headings of which one is that of the addresses.
    pub(super) fn headings(&self) -> &[String] {
        if let FileError::NoEmail(headings) = self {
            headings
        } else {
            &[]
        }
    }
}

struct Columns {
    email: usize,
    /// The columns of which the name is joined.
    name: Vec<usize>,
    group: Option<usize>,
    id: Option<usize>,
    ignored: Vec<String>,
    count: usize,
    is_gradebook: bool,
    /// Whether the addresses are what people sign in with at Canvas, which need not be addresses.
    are_logins: bool,
}

impl RosterFile {
    /// The first names that would be misread in another encoding, for a person to see that they are
    /// as they should be.
    pub(super) fn names_beyond_ascii(&self) -> Vec<String> {
        let names = self.rows.iter().filter_map(|row| row.name.as_ref());
        names
            .filter(|name| !name.is_ascii())
            .take(SHOWN_NAMES)
            .cloned()
            .collect()
    }
}

/// Reads a file; `email_column` says under which heading the addresses stand, if not under a known
/// one.
pub(crate) fn file(bytes: &[u8], email_column: Option<&str>) -> Result<RosterFile, FileError> {
    let encoding = detect_encoding(bytes);
    let text = decode(bytes, encoding)?;
    // A quote that is left open takes the mark into its cell.
    let marked = format!("{text}\n{END}");
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter(&text))
        .has_headers(false)
        .flexible(true)
        .from_reader(marked.as_bytes());
    let mut lines = LineCounter {
        text: text.as_bytes(),
        offset: 0,
        line: 1,
    };
    let mut record = ByteRecord::new();
    let mut line = 1;
    if !read(&mut reader, &mut record) || is_end(&record) {
        return Err(FileError::Empty);
    }
    let header_at = lines.advance_to(&record);
    let columns = Columns::from_header(&record, email_column)?;
    let mut file = RosterFile {
        ignored: columns.ignored.clone(),
        has_group: columns.group.is_some(),
        encoding: encoding.name(),
        ..RosterFile::default()
    };
    while read(&mut reader, &mut record) && !is_end(&record) {
        if record.iter().all(|cell| cell.trim_ascii().is_empty())
            || columns.is_about_nobody(&record)
        {
            continue;
        }
        // Blank lines before the header are not counted: the header is line 1.
        line = lines.advance_to(&record).saturating_sub(header_at) + 1;
        match columns.row(&record, line) {
            Ok(row) => file.rows.push(row),
            Err(refused) => file.refused.push(*refused),
        }
    }
    if !is_end(&record) {
        return Err(FileError::OpenQuote(line));
    }
    if file.rows.is_empty() && file.refused.is_empty() {
        return Err(FileError::NoRows);
    }
    if columns.are_logins
        && file.rows.is_empty()
        && file.refused.iter().all(|refused| refused.address.is_none())
    {
        return Err(FileError::OnlyLogins);
    }
    Ok(file)
}

/// The encoding of a file: the one that its first bytes name, else UTF-8 where it is valid, else
/// windows-1252, in which anything can be read.
fn detect_encoding(bytes: &[u8]) -> &'static Encoding {
    match Encoding::for_bom(bytes) {
        Some((encoding, _)) => encoding,
        None if std::str::from_utf8(bytes).is_ok() => UTF_8,
        None => WINDOWS_1252,
    }
}

fn decode<'a>(bytes: &'a [u8], encoding: &'static Encoding) -> Result<Cow<'a, str>, FileError> {
    let (text, is_damaged) = encoding.decode_with_bom_removal(bytes);
    if is_damaged {
        return Err(FileError::Damaged(encoding.name()));
    }
    // As in the zip that a spreadsheet's own file is, and in UTF-16 without a mark.
    if text.contains('\0') {
        return Err(FileError::Binary);
    }
    Ok(text)
}

/// The mark behind the last row.
const END: &str = "\u{4}end of the roster file";

fn is_end(record: &ByteRecord) -> bool {
    record.len() == 1 && record.get(0) == Some(END.as_bytes())
}

/// Reads the next record; `false` at the end. Text in memory has no other failure.
fn read(reader: &mut csv::Reader<&[u8]>, record: &mut ByteRecord) -> bool {
    reader.read_byte_record(record).unwrap_or(false)
}

/// The delimiter: of the three candidates the most frequent in the first line that is not blank.
fn delimiter(text: &str) -> u8 {
    let header = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    // `max_by_key` takes the last of equals, which reversed is the comma.
    let candidates = DELIMITERS.into_iter().rev();
    candidates
        .max_by_key(|delimiter| header.bytes().filter(|byte| byte == delimiter).count())
        .unwrap_or(b',')
}

/// A counter of lines up to the beginning of each record. The reader's own count is of where it
/// began to look.
struct LineCounter<'a> {
    text: &'a [u8],
    offset: usize,
    line: u64,
}

impl LineCounter<'_> {
    fn advance_to(&mut self, record: &ByteRecord) -> u64 {
        let begins = record
            .position()
            .map_or(0, |position| position.byte() as usize);
        while let Some(byte) = self.text.get(self.offset) {
            let is_break = matches!(byte, b'\r' | b'\n');
            // A record begins after the line breaks that the reader skipped.
            if self.offset >= begins && !is_break {
                break;
            }
            let ends_line = *byte == b'\n'
                || (*byte == b'\r' && self.text.get(self.offset + 1) != Some(&b'\n'));
            self.line += u64::from(ends_line);
            self.offset += 1;
        }
        self.line
    }
}

/// The column that has one of these titles, of which the first goes before all others.
fn find(
    titles: &[String],
    spellings: &[&str],
    field: &'static str,
) -> Result<Option<usize>, FileError> {
    for names in [&spellings[..1], &spellings[1..]] {
        let mut columns =
            (0..titles.len()).filter(|index| names.contains(&titles[*index].as_str()));
        let column = columns.next();
        if columns.next().is_some() {
            return Err(FileError::Twice(field));
        }
        if column.is_some() {
            return Ok(column);
        }
    }
    Ok(None)
}

impl Columns {
    fn from_header(header: &ByteRecord, email_column: Option<&str>) -> Result<Columns, FileError> {
        if header.len() > MOST_COLUMNS {
            return Err(FileError::TooWide);
        }
        let titles: Vec<String> = header.iter().map(cell_text).collect();
        let lower: Vec<String> = titles.iter().map(|title| title.to_lowercase()).collect();
        let is_gradebook = lower.iter().any(|title| title == GRADEBOOK_LOGIN);
        let email = match email_column.map(str::to_lowercase) {
            Some(chosen) => find(&lower, &[&chosen], "email")?,
            None => find(&lower, &EMAIL, "email")?,
        };
        let Some(email) = email else {
            let is_person = titles
                .iter()
                .any(|title| EmailAddress::parse(title).is_ok());
            let mut offered = titles;
            offered.retain(|title| !title.is_empty() && title.len() <= OFFERED.1);
            offered.truncate(OFFERED.0);
            return Err(if is_person {
                FileError::NoHeader
            } else {
                FileError::NoEmail(offered)
            });
        };
        let name = match find(&lower, &NAME, "name")? {
            Some(whole) => vec![whole],
            None => {
                let parts = [
                    find(&lower, &FIRST_NAME, "first name")?,
                    find(&lower, &LAST_NAME, "last name")?,
                ];
                parts.into_iter().flatten().collect()
            }
        };
        let group = find(&lower, &GROUP, "group")?;
        // What a gradebook calls ID is Canvas' own number, not the registrar's.
        let id = find(&lower, if is_gradebook { &ID[1..] } else { &ID }, "id")?;
        let used_columns: Vec<usize> = [Some(email), group, id]
            .into_iter()
            .flatten()
            .chain(name.iter().copied())
            .collect();
        let unused_titles = titles
            .iter()
            .enumerate()
            .filter(|(index, title)| !used_columns.contains(index) && !title.is_empty());
        let ignored = unused_titles
            .map(|(_, title)| title.chars().take(60).collect())
            .collect();
        let are_logins = [GRADEBOOK_LOGIN, "login_id"].contains(&lower[email].as_str());
        Ok(Columns {
            email,
            name,
            group,
            id,
            ignored,
            count: titles.len(),
            is_gradebook,
            are_logins,
        })
    }

    /// The name of a row. Canvas' gradebook has the last name first, which is turned round where
    /// one comma says so, as in its other exports.
    fn name(&self, record: &ByteRecord) -> String {
        let parts = self
            .name
            .iter()
            .filter_map(|column| record.get(*column))
            .map(cell_text);
        let name = parts.filter(|part| !part.is_empty()).joined(" ");
        match name.split_once(',') {
            Some((last, first)) if self.is_gradebook && !first.contains(',') => {
                format!("{} {last}", first.trim())
            }
            _ => name,
        }
    }

    fn address(&self, record: &ByteRecord) -> Result<EmailAddress, String> {
        line::address(&cell_text(record.get(self.email).unwrap_or_default()))
    }

    fn is_about_nobody(&self, record: &ByteRecord) -> bool {
        self.is_gradebook
            && NOBODY.contains(&self.name(record).as_str())
            && self.address(record).is_err()
    }

    fn row(&self, record: &ByteRecord, line: u64) -> Result<RosterRow, Box<PlannedRow>> {
        let cell = |column: Option<usize>| {
            cell_text(
                column
                    .and_then(|index| record.get(index))
                    .unwrap_or_default(),
            )
        };
        let id = line::text(&cell(self.id));
        let names = self.address(record);
        let refused = |why| {
            let address = names.clone().ok();
            let id = id.clone().ok().flatten();
            let changes = vec![RosterChange::Refused];
            let cell = cell(Some(self.email)).chars().take(100).collect();
            let row = PlannedRow {
                line: Some(line),
                changes,
                address,
                id,
                reason: why,
                cell,
                ..PlannedRow::default()
            };
            Err(Box::new(PlannedRow {
                typed_name: line::text(&self.name(record)).ok().flatten(),
                ..row
            }))
        };
        let address = match &names {
            Ok(address) => address.clone(),
            Err(why) => return refused(why.clone()),
        };
        if record
            .iter()
            .skip(self.count)
            .any(|cell| !cell.trim_ascii().is_empty())
        {
            return refused(
                "The row has more cells than the header: put what holds a comma in quotes."
                    .to_owned(),
            );
        }
        let texts = [
            ("name", line::text(&self.name(record))),
            ("group", line::text(&cell(self.group))),
            ("id", id.clone()),
        ];
        if let Some((what, why)) = texts
            .iter()
            .find_map(|(what, text)| Some((what, text.as_ref().err()?)))
        {
            return refused(format!("The {what} {why}."));
        }
        let [name, group, id] = texts.map(|(_, text)| text.ok().flatten());
        Ok(RosterRow {
            line,
            address,
            name,
            group,
            id,
        })
    }
}

/// The cell as text, a line break in it as a space. The text is valid UTF-8 and cells are cut at
/// ASCII characters, so this cannot fail.
fn cell_text(cell: &[u8]) -> String {
    let text = std::str::from_utf8(cell).unwrap_or_default().trim();
    text.replace("\r\n", " ").replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_text(text: &str) -> RosterFile {
        file(text.as_bytes(), None).unwrap()
    }

    #[test]
    fn a_row_with_more_cells_than_the_header_is_refused() {
        let file = read_text("email,name\nada@uni.edu,Lovelace, Ada\nbob@uni.edu,Bob,\n");
        assert_eq!(shown(&file), [(3, "bob@uni.edu", "Bob", "-", "-")]);
        assert!(file.refused[0].line == Some(2) && file.refused[0].reason.contains("more cells"));
    }

    fn shown(file: &RosterFile) -> Vec<(u64, &str, &str, &str, &str)> {
        fn or_dash(text: &Option<String>) -> &str {
            text.as_deref().unwrap_or("-")
        }
        file.rows
            .iter()
            .map(|row| {
                (
                    row.line,
                    row.address.as_written(),
                    or_dash(&row.name),
                    or_dash(&row.group),
                    or_dash(&row.id),
                )
            })
            .collect()
    }

    #[test]
    fn every_delimiter_and_any_spelling_of_the_header_is_read() {
        let expected = vec![
            (2, "ada@uni.edu", "Lovelace, Ada", "A", "s1"),
            (3, "bob@uni.edu", "-", "-", "-"),
        ];
        for text in [
            "email,name,group,id\nada@uni.edu,\"Lovelace, Ada\",A,s1\nbob@uni.edu\n",
            "\u{FEFF} E-Mail ; EMAIL;Name ;GROUP; Id\n;ada@uni.edu;Lovelace, Ada;A;s1\n;bob@uni.edu;;;",
            "id\tgroup\tname\temail\r\ns1\tA\tLovelace, Ada\t ada@uni.edu \r\n\t\t\tbob@uni.edu\r\n",
        ] {
            let file = read_text(text);
            assert_eq!(shown(&file), expected, "{text:?}");
            assert!(file.refused.is_empty() && file.has_group);
        }
        let file = read_text("\u{FEFF} E-Mail ; EMAIL;x\n;a@uni.edu;");
        assert_eq!(file.ignored, ["E-Mail", "x"]);
    }

    #[test]
    fn a_row_is_known_by_the_line_on_which_it_begins() {
        for newline in ["\n", "\r\n", "\r"] {
            let text = "email,name\n\n\na@uni.edu,\"one\ntwo\"\n,,\n\nb@uni.edu,\nbad,x\n"
                .replace('\n', newline);
            let file = read_text(&text);
            assert_eq!(
                shown(&file),
                [
                    (4, "a@uni.edu", "one two", "-", "-"),
                    (8, "b@uni.edu", "-", "-", "-")
                ]
            );
            assert_eq!(file.refused[0].line, Some(9), "{newline:?}");
        }
        assert_eq!(
            read_text("\n\nemail\nada@uni.edu").rows[0].line,
            2,
            "the header is line 1"
        );
    }

    #[test]
    fn a_quote_within_a_cell_opens_nothing() {
        let file = read_text("email,name\na@uni.edu,\"Ada \"\"Countess\"\"\"\nb@uni.edu,6\" Bob");
        assert_eq!(
            shown(&file),
            [
                (2, "a@uni.edu", "Ada \"Countess\"", "-", "-"),
                (3, "b@uni.edu", "6\" Bob", "-", "-")
            ]
        );
    }

    /// Our own name for a column is taken before another system's; of two of theirs neither is.
    #[test]
    fn a_column_has_one_meaning() {
        let read = |header: &str| {
            let file = read_text(&format!("{header}\na@uni.edu,b@uni.edu,Ada,Lovelace,1,2\n"));
            let row = file.rows[0].clone();
            [
                Some(row.address.as_written().to_owned()),
                row.name,
                row.group,
                row.id,
            ]
            .map(Option::unwrap_or_default)
        };
        for (header, expected) in [
            (
                "SIS Login ID,email,name,x,ID,SIS User ID",
                ["b@uni.edu", "Ada", "", "2"],
            ),
            (
                "email,login_id,last_name,full_name,id,user_id",
                ["a@uni.edu", "Lovelace", "", "1"],
            ),
            (
                "Email Address,Id Number,Surname,First Name,groups,x",
                ["a@uni.edu", "Lovelace Ada", "1", "b@uni.edu"],
            ),
            (
                "SIS Login ID,x,FirstName,LastName,ID,SIS User ID",
                ["a@uni.edu", "Ada Lovelace", "", "2"],
            ),
            (
                "E-MAIL-ADRESSE,x,Vorname,,Gruppen,ID-Nummer",
                ["a@uni.edu", "Ada", "1", "2"],
            ),
            (
                "x,Primary Email,Full Name,E-Mail Addresses,y,z",
                ["b@uni.edu", "Ada", "", ""],
            ),
            ("E-Mail,y,y,Full Name,,", ["a@uni.edu", "Lovelace", "", ""]),
            ("Mail,y,Name,y,Student ID,", ["a@uni.edu", "Ada", "", "1"]),
        ] {
            assert_eq!(read(header), expected, "{header}");
        }
        for (header, field) in [
            ("Email address,login_id", "email"),
            ("email,section,groups", "group"),
        ] {
            assert_eq!(file(header.as_bytes(), None), Err(FileError::Twice(field)));
        }
    }

    #[test]
    fn what_is_no_roster_is_refused_with_a_sentence() {
        for (bytes, why) in [
            (&b""[..], FileError::Empty),
            (b"\xEF\xBB\xBF", FileError::Empty),
            (
                b"Login,,name\nada@uni.edu,,Ada\n",
                FileError::NoEmail(vec!["Login".to_owned(), "name".to_owned()]),
            ),
            (b"ada@uni.edu,Ada\n", FileError::NoHeader),
            (b"email,EMAIL\n", FileError::Twice("email")),
            (b"email,name\n,\n", FileError::NoRows),
            (
                b"Student,SIS Login ID\nAda,ada\nBob,\n",
                FileError::OnlyLogins,
            ),
            (
                b"\xEF\xBB\xBFemail\na@uni.edu\xE9\n",
                FileError::Damaged("UTF-8"),
            ),
            (
                b"email,name\na@uni.edu,Ada\n\nb@uni.edu,\"Bob\nc@uni.edu,Cid\n",
                FileError::OpenQuote(4),
            ),
            (b"e\0m\0a\0i\0l\0", FileError::Binary),
            (b"PK\x03\x04\x14\0\x06\0\xC3", FileError::Binary),
        ] {
            assert_eq!(file(bytes, None), Err(why));
        }
        let chosen = |text: &str| {
            file(b"Login,name\nada@uni.edu,Ada\n", Some(text)).map(|file| file.rows.len())
        };
        assert_eq!(chosen("login"), Ok(1));
        assert_eq!(chosen("name"), Ok(0), "no address stands there");
        assert_eq!(chosen("email").unwrap_err().headings(), ["Login", "name"]);
        let wide = |commas| format!("email{}\na@uni.edu\n", ",".repeat(commas));
        assert_eq!(
            file(wide(MOST_COLUMNS - 1).as_bytes(), None)
                .unwrap()
                .rows
                .len(),
            1
        );
        assert_eq!(
            file(wide(MOST_COLUMNS).as_bytes(), None),
            Err(FileError::TooWide)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_every_row_has_its_line(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = file(&bytes, None);
        }

        #[test]
        fn no_text_under_a_header_makes_it_panic(text in "[a-z@.,;\"\\t\\r\\n é]{0,200}") {
            let text = format!("email,name\n{text}");
            if let Ok(file) = file(text.as_bytes(), None) {
                let lines = text.split(['\n', '\r']).count() as u64;
                let of_rows = file.rows.iter().map(|row| row.line);
                prop_assert!(of_rows.chain(file.refused.iter().filter_map(|refused| refused.line)).all(|line| (2..=lines).contains(&line)));
            }
        }
    }
}
