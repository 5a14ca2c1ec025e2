//! The parser of a roster file, from bytes to rows. It does not know the current roster.

use csv::{ByteRecord, ReaderBuilder};

use super::line;
use crate::prelude::*;

const MOST_ROWS: usize = 50_000;
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RosterFile {
    pub(super) rows: Vec<RosterRow>,
    pub(super) refused: Vec<RefusedRow>,
    /// The unknown columns, as the header spells them.
    pub(super) ignored: Vec<String>,
    pub(super) has_name: bool,
    pub(super) has_group: bool,
    pub(super) has_id: bool,
}

/// One person. A field is `None` when its cell is empty or its column missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RosterRow {
    /// The line on which the record begins; the header is line 1.
    pub(super) line: u64,
    pub(super) address: EmailAddress,
    pub(super) name: Option<String>,
    pub(super) group: Option<String>,
    pub(super) id: Option<String>,
}

/// A row that is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RefusedRow {
    pub(super) line: u64,
    pub(super) why: String,
    /// The person whom the row names, if that is legible, so that nobody is dropped for a mistake in their
    /// row.
    pub(super) names: Option<EmailAddress>,
}

/// The reason why a whole file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FileError {
    #[error("The file is not in UTF-8. In a spreadsheet, save it as \"CSV UTF-8\".")]
    NotUtf8,
    #[error("The file is empty.")]
    Empty,
    #[error("The first row must name the columns, and one of them must be email.")]
    NoEmail,
    #[error("The column {0} is there twice.")]
    Twice(&'static str),
    #[error("too many rows")]
    TooMany,
}

/// The positions of the known columns.
struct Columns {
    email: usize,
    name: Option<usize>,
    group: Option<usize>,
    id: Option<usize>,
    ignored: Vec<String>,
    count: usize,
}

pub(super) fn file(bytes: &[u8]) -> Result<RosterFile, FileError> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| FileError::NotUtf8)?;
    if text.contains('\0') {
        // UTF-16 without a byte order mark.
        return Err(FileError::NotUtf8);
    }
    let mut reader =
        ReaderBuilder::new().delimiter(delimiter(text)).has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut lines = LineCounter { text: text.as_bytes(), at: 0, line: 1 };
    let mut record = ByteRecord::new();
    if !read(&mut reader, &mut record) {
        return Err(FileError::Empty);
    }
    let header_at = lines.of(&record);
    let columns = Columns::of(&record)?;
    let mut file = RosterFile {
        ignored: columns.ignored.clone(),
        has_name: columns.name.is_some(),
        has_group: columns.group.is_some(),
        has_id: columns.id.is_some(),
        ..RosterFile::default()
    };
    let mut rows = 0;
    while read(&mut reader, &mut record) {
        if record.iter().all(|cell| cell.trim_ascii().is_empty()) {
            continue;
        }
        rows += 1;
        if rows > MOST_ROWS {
            return Err(FileError::TooMany);
        }
        // Blank lines before the header are not counted: the header is line 1.
        let line = lines.of(&record).saturating_sub(header_at) + 1;
        match columns.row(&record, line) {
            Ok(row) => file.rows.push(row),
            Err(refused) => file.refused.push(refused),
        }
    }
    Ok(file)
}

/// Reads the next record; `false` at the end. Text in memory has no other failure.
fn read(reader: &mut csv::Reader<&[u8]>, record: &mut ByteRecord) -> bool {
    reader.read_byte_record(record).unwrap_or(false)
}

/// The delimiter: of the three candidates the most frequent in the first line that is not blank.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let count = |delimiter: u8| header.bytes().filter(|byte| *byte == delimiter).count();
    // `max_by_key` takes the last of equals, which reversed is the comma.
    DELIMITERS.into_iter().rev().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

/// A counter of lines up to the beginning of each record. The reader's own count is of where it began to
/// look.
struct LineCounter<'a> {
    text: &'a [u8],
    at: usize,
    line: u64,
}

impl LineCounter<'_> {
    fn of(&mut self, record: &ByteRecord) -> u64 {
        let begins = record.position().map_or(0, |position| usize::try_from(position.byte()).unwrap_or(usize::MAX));
        while let Some(byte) = self.text.get(self.at) {
            let is_break = matches!(byte, b'\r' | b'\n');
            // A record begins after the line breaks that the reader skipped.
            if self.at >= begins && !is_break {
                break;
            }
            let ends_line = *byte == b'\n' || (*byte == b'\r' && self.text.get(self.at + 1) != Some(&b'\n'));
            self.line += u64::from(ends_line);
            self.at += 1;
        }
        self.line
    }
}

impl Columns {
    fn of(header: &ByteRecord) -> Result<Columns, FileError> {
        let names: Vec<String> = header.iter().map(|cell| cell_text(cell).to_owned()).collect();
        let find = |wanted: &'static str| {
            let mut found =
                names.iter().enumerate().filter(|(_, name)| name.to_lowercase() == wanted).map(|(at, _)| at);
            match (found.next(), found.next()) {
                (_, Some(_)) => Err(FileError::Twice(wanted)),
                (first, None) => Ok(first),
            }
        };
        let (email, name, group, id) = (find("email")?, find("name")?, find("group")?, find("id")?);
        let email = email.ok_or(FileError::NoEmail)?;
        let known = [Some(email), name, group, id];
        let others = names.iter().enumerate().filter(|(at, name)| !known.contains(&Some(*at)) && !name.is_empty());
        let ignored = others.map(|(_, name)| name.chars().take(60).collect()).collect();
        Ok(Columns { email, name, group, id, ignored, count: names.len() })
    }

    fn row(&self, record: &ByteRecord, line: u64) -> Result<RosterRow, RefusedRow> {
        let address = line::address(cell_text(record.get(self.email).unwrap_or_default()));
        let address = address.map_err(|why| RefusedRow { line, why, names: None })?;
        if record.iter().skip(self.count).any(|cell| !cell.trim_ascii().is_empty()) {
            let why = "The row has more cells than the header: put what holds a comma in quotes.".to_owned();
            return Err(RefusedRow { line, why, names: Some(address) });
        }
        let text = |column: Option<usize>, what: &str| {
            let cell = column.and_then(|column| record.get(column)).unwrap_or_default();
            let refused = |why| RefusedRow { line, why: format!("The {what} {why}."), names: Some(address.clone()) };
            line::text(cell_text(cell)).map_err(refused)
        };
        let (name, group, id) = (text(self.name, "name")?, text(self.group, "group")?, text(self.id, "id")?);
        Ok(RosterRow { line, address, name, group, id })
    }
}

/// The cell as text. The file is valid UTF-8 and cells are cut at ASCII characters, so this cannot fail.
fn cell_text(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_text(text: &str) -> RosterFile {
        file(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_row_with_more_cells_than_the_header_is_refused() {
        let file = read_text("email,name\nada@uni.edu,Lovelace, Ada\nbob@uni.edu,Bob,\n");
        assert_eq!(shown(&file), [(3, "bob@uni.edu", "Bob", "-", "-")]);
        assert!(file.refused[0].line == 2 && file.refused[0].why.contains("more cells"));
    }

    fn shown(file: &RosterFile) -> Vec<(u64, &str, &str, &str, &str)> {
        fn or_dash(text: &Option<String>) -> &str {
            text.as_deref().unwrap_or("-")
        }
        file.rows
            .iter()
            .map(|row| (row.line, row.address.as_written(), or_dash(&row.name), or_dash(&row.group), or_dash(&row.id)))
            .collect()
    }

    #[test]
    fn every_delimiter_and_any_spelling_of_the_header_is_read() {
        let expected = vec![(2, "ada@uni.edu", "Lovelace, Ada", "A", "s1"), (3, "bob@uni.edu", "-", "-", "-")];
        for text in [
            "email,name,group,id\nada@uni.edu,\"Lovelace, Ada\",A,s1\nbob@uni.edu\n",
            "\u{FEFF} E-Mail ; EMAIL;Name ;GROUP; Id\n;ada@uni.edu;Lovelace, Ada;A;s1\n;bob@uni.edu;;;",
            "id\tgroup\tname\temail\r\ns1\tA\tLovelace, Ada\t ada@uni.edu \r\n\t\t\tbob@uni.edu\r\n",
        ] {
            let file = read_text(text);
            assert_eq!(shown(&file), expected, "{text:?}");
            assert!(file.refused.is_empty() && file.has_name && file.has_group && file.has_id);
        }
        assert_eq!(read_text("\u{FEFF} E-Mail ; EMAIL;x\n").ignored, ["E-Mail", "x"]);
        assert!(!read_text("email\n").has_name);
    }

    #[test]
    fn a_row_is_known_by_the_line_on_which_it_begins() {
        for newline in ["\n", "\r\n", "\r"] {
            let text = "email,name\n\n\na@uni.edu,\"one\ntwo\"\n,,\n\nb@uni.edu,\nbad,x\n".replace('\n', newline);
            let file = read_text(&text);
            // A name over two lines contains a control character, so its row is refused too, at its first
            // line.
            let lines: Vec<u64> = file.refused.iter().map(|refused| refused.line).collect();
            assert_eq!((file.rows[0].line, lines), (8, vec![4, 9]), "{newline:?}");
            assert_eq!(file.refused[0].names.as_ref().unwrap().as_written(), "a@uni.edu");
        }
        assert_eq!(read_text("\n\nemail\nada@uni.edu").rows[0].line, 2, "the header is line 1");
    }

    #[test]
    fn what_is_no_roster_is_refused_with_a_sentence() {
        for (bytes, why) in [
            (&b""[..], FileError::Empty),
            (b"\xEF\xBB\xBF", FileError::Empty),
            (b"name,group\nAda,A\n", FileError::NoEmail),
            (b"email,EMAIL\n", FileError::Twice("email")),
            (b"email,name\nada@uni.edu,Andr\xE9\n", FileError::NotUtf8),
            (b"e\0m\0a\0i\0l\0", FileError::NotUtf8),
        ] {
            assert_eq!(file(bytes), Err(why));
        }
        let many = |rows| format!("email\n{}", "a@uni.edu\n".repeat(rows));
        assert_eq!(file(many(MOST_ROWS).as_bytes()).unwrap().rows.len(), MOST_ROWS);
        assert_eq!(file(many(MOST_ROWS + 1).as_bytes()), Err(FileError::TooMany));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_every_row_has_its_line(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = file(&bytes);
        }

        #[test]
        fn no_text_under_a_header_makes_it_panic(text in "[a-z@.,;\"\\t\\r\\n é]{0,200}") {
            let text = format!("email,name\n{text}");
            if let Ok(file) = file(text.as_bytes()) {
                let lines = text.split(['\n', '\r']).count() as u64;
                let of_rows = file.rows.iter().map(|row| row.line);
                prop_assert!(of_rows.chain(file.refused.iter().map(|refused| refused.line)).all(|line| (2..=lines).contains(&line)));
            }
        }
    }
}
