//! CSV files as answers: attachments that a spreadsheet opens without running anything in them,
//! compressed where the client takes that, and in parts where one answer does not hold them. What
//! the rows are is left to the callers.

use std::convert::Infallible;
use std::io::Write;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{
    ACCEPT_ENCODING, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, LINK, VARY,
};
use axum::http::request::Parts;
use bursar_core::domain::values::format::{Joined, counted, sheet_text};
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::web::{Answer, FileNames, FileRequest, Reply, Result, Site, Visitor};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::kit::listing::{Cell, Column};
use crate::kit::show;

/// The most bytes of an answer: Lambda answers at most six megabytes, in base64.
const MOST_BYTES: usize = 4_400_000;
/// More than the compression and the buffers before it hold of what was written to them.
const HELD_IN_BUFFERS: usize = 200_000;
/// The most rows of an answer that is not compressed, and of a part that a page offers: compressed,
/// ten times as many bytes fit.
const MOST_ROWS: usize = 20_000;
/// The parameter with the key of the row before the first of an answer. The list may be another for
/// each part, so none begins at a number.
const AFTER: &str = "after";
/// The parameter with the key of the last row, where not all that follow are asked for.
const UNTIL: &str = "until";

pub(crate) struct CsvRequest {
    takes_gzip: bool,
    path: String,
    /// The parameters but those that ask for a part.
    pub(crate) query: Vec<(String, String)>,
    after: String,
    until: String,
}

impl CsvRequest {
    /// The file of this name with these columns and rows, which are in the order of their keys. A
    /// part ends when the answer is full: a link leads to the next, which begins with the columns
    /// too.
    pub(crate) fn file<R>(
        &self,
        name: &str,
        columns: impl IntoIterator<Item = Column<R>>,
        rows: impl IntoIterator<Item = R>,
        key: impl Fn(&R) -> String,
    ) -> Result<CsvFile> {
        let columns: Vec<Column<R>> = columns
            .into_iter()
            .filter(|column| !column.place.file.is_empty())
            .collect();
        let rows = rows
            .into_iter()
            .skip_while(|row| !self.after.is_empty() && key(row) <= self.after);
        let mut rows = rows
            .take_while(|row| self.until.is_empty() || key(row) <= self.until)
            .peekable();
        let mut body = Vec::new();
        let mut count = 0;
        let last = if self.takes_gzip {
            let mut packed = GzEncoder::new(&mut body, Compression::default());
            let mut counted = rows.by_ref().inspect(|_| count += 1);
            let last = write_rows(
                &mut packed,
                |packed| packed.get_ref().len(),
                &columns,
                &mut counted,
            )?;
            packed.finish()?;
            last
        } else {
            let mut counted = rows.by_ref().take(MOST_ROWS).inspect(|_| count += 1);
            write_rows(&mut body, Vec::len, &columns, &mut counted)?
        };
        let headers = self.headers(name, rows.peek().and(last).map(|last| key(&last)))?;
        let rows = counted(count, "row", "rows");
        Ok(CsvFile {
            description: format!("{name}.csv ({rows})"),
            headers,
            body,
        })
    }

    /// `last` is the key of the last row in this answer, if more follow.
    fn headers(&self, name: &str, last: Option<String>) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/csv; charset=utf-8"),
        );
        headers.insert(
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.csv\"").parse()?,
        );
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if self.takes_gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Some(last) = last {
            let query: Vec<_> = self
                .query
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let next = part(&show::address(&self.path, &query), &last, &self.until);
            headers.insert(LINK, format!("<{next}>; rel=\"next\"").parse()?);
        }
        Ok(headers)
    }
}

/// A file that is written, and not an answer before it is said whom it names.
#[must_use]
pub(crate) struct CsvFile {
    /// Its name and how long it is.
    description: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl CsvFile {
    pub(crate) fn naming_nobody(self) -> Reply {
        Reply::file(FileNames::Nobody, self.headers, self.body)
    }

    /// The file, once the audit has the entry of it.
    pub(crate) async fn record_reader(
        self,
        site: &Site,
        request: &FileRequest,
        visitor: &Visitor,
        programme: Option<&ProgrammeId>,
    ) -> Answer {
        let recorded = request
            .record(site, visitor, &self.description, (programme, None))
            .await?;
        Ok(Reply::file(
            FileNames::People(recorded),
            self.headers,
            self.body,
        ))
    }
}

/// The address of a part of the file at this address; an empty key is none.
fn part(file: &str, after: &str, until: &str) -> String {
    let query = show::address("", &[(AFTER, after), (UNTIL, until)]);
    let query = if file.contains('?') {
        query.replacen('?', "&", 1)
    } else {
        query
    };
    format!("{file}{query}")
}

/// What a page offers of the file at this address: all of it, or where it has more rows than that
/// each part, in words with its address. The rows are in the order of their keys. What is added
/// meanwhile comes with its neighbours, and at the end with the last part.
pub(crate) fn offered<R>(
    file: &str,
    rows: &[R],
    key: impl Fn(&R) -> String,
) -> Vec<(String, String)> {
    if rows.len() <= MOST_ROWS {
        return vec![("Download as CSV".to_owned(), file.to_owned())];
    }
    let mut after = String::new();
    let parts = (0..rows.len()).step_by(MOST_ROWS).map(|first| {
        let end = (first + MOST_ROWS).min(rows.len());
        let until = if end < rows.len() {
            key(&rows[end - 1])
        } else {
            String::new()
        };
        let words = format!(
            "CSV, rows {} to {}",
            show::count(first as u64 + 1),
            show::count(end as u64)
        );
        let address = part(file, &after, &until);
        after = until;
        (words, address)
    });
    parts.collect()
}

impl<S: Send + Sync> FromRequestParts<S> for CsvRequest {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<CsvRequest, Infallible> {
        let mut request = CsvRequest {
            takes_gzip: takes_gzip(&parts.headers),
            path: parts.uri.path().to_owned(),
            query: Vec::new(),
            after: String::new(),
            until: String::new(),
        };
        for (name, value) in
            form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned()
        {
            match name.as_str() {
                AFTER => request.after = value,
                UNTIL => request.until = value,
                _ => request.query.push((name, value)),
            }
        }
        Ok(request)
    }
}

/// Writes rows until there are no more or the answer is full, by the size of what was written so
/// far. Returns the last that was.
fn write_rows<W: Write, R>(
    writer: &mut W,
    size: impl Fn(&W) -> usize,
    columns: &[Column<R>],
    rows: &mut dyn Iterator<Item = R>,
) -> Result<Option<R>> {
    write!(
        writer,
        "{}\r\n",
        columns.iter().map(|column| column.place.file).joined(",")
    )?;
    let mut last = None;
    while size(writer) < MOST_BYTES - HELD_IN_BUFFERS
        && let Some(row) = rows.next()
    {
        write!(
            writer,
            "{}\r\n",
            columns
                .iter()
                .map(|column| write_out((column.cell)(&row)))
                .joined(",")
        )?;
        last = Some(row);
    }
    Ok(last)
}

fn write_out(cell: Cell) -> String {
    let is_chosen = matches!(cell, Cell::Text(_));
    let text = cell.in_full().unwrap_or_default();
    if is_chosen || text.contains([',', '\r', '\n']) || text.contains("\"") {
        sheet_text(&text)
    } else {
        text
    }
}

/// Whether the client takes gzip: it is named and not refused with a weight of zero.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lists = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight
            .trim()
            .strip_prefix("q=")
            .and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight != Some(0.0)
    })
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use crate::kit::listing::column;

    use std::io::Read;

    use axum::body::Body;
    use axum::http::{Request, Response};
    use flate2::read::GzDecoder;
    use futures_util::StreamExt;

    use super::*;

    const COLUMNS: [Column<String>; 1] = [column("")
        .file("x")
        .cell(|row: &String| Cell::exact(Some(row)))];

    fn numbers(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("{number:05}")).collect()
    }

    /// Rows of four thousand hex digits that do not repeat themselves, which no compression makes
    /// shorter than half.
    fn long_rows(count: usize) -> Vec<String> {
        let mut state = 1_u64;
        let mut next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            format!("{state:016x}")
        };
        (0..count)
            .map(|row| format!("{row:05}") + &(0..250).map(&mut next).collect::<String>())
            .collect()
    }

    async fn asked(path: &str, takes: &str) -> CsvRequest {
        let request = Request::builder()
            .uri(path)
            .header(ACCEPT_ENCODING, takes)
            .body(Body::empty())
            .unwrap();
        let Ok(asked) = CsvRequest::from_request_parts(&mut request.into_parts().0, &()).await;
        asked
    }

    async fn bytes(answer: Response<Body>) -> Vec<u8> {
        let chunks: Vec<_> = answer.into_body().into_data_stream().collect().await;
        chunks
            .into_iter()
            .flat_map(|chunk| chunk.unwrap().to_vec())
            .collect()
    }

    /// The rows of a file, part by part as the links lead.
    async fn parts(path: &str, takes: &str, rows: &[String]) -> Vec<Vec<String>> {
        let mut path = path.to_owned();
        let mut rows = rows.to_vec();
        let mut parts = Vec::new();
        loop {
            let answer = asked(&path, takes)
                .await
                .file("x", COLUMNS, rows.clone(), String::clone)
                .unwrap()
                .naming_nobody();
            // Another row is there by the next part.
            rows.insert(0, "!".to_owned());
            let answer = answer.into_response();
            let next = answer
                .headers()
                .get(LINK)
                .map(|link| link.to_str().unwrap().to_owned());
            let body = bytes(answer).await;
            assert!(body.len() <= MOST_BYTES, "{}", body.len());
            let mut text = String::new();
            if takes.is_empty() {
                text = String::from_utf8(body).unwrap();
            } else {
                GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
            }
            parts.push(text.lines().skip(1).map(str::to_owned).collect());
            let Some(next) = next else { return parts };
            path = next
                .split_once('<')
                .unwrap()
                .1
                .split_once('>')
                .unwrap()
                .0
                .to_owned();
            assert!(path.starts_with("/x?from=1&by=day&after="), "{path}");
        }
    }

    /// A text is never run by a spreadsheet, and an amount is never altered.
    #[tokio::test]
    async fn no_cell_is_run_as_formula() {
        let cells = [
            ("=1", "'=1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@a", "'@a"),
            ("\ta", "'\ta"),
            ("\ra", "'\ra"),
            ("a=1;b", "a=1;b"),
            ("a, \"b\"", "a, \"\"b\"\""),
            ("Zoë", "Zoë"),
            // Where the separator is another, what follows it is a cell.
            ("a;=1", "a;'=1"),
            ("a; \"-1\"", "a;' \"\"-1\"\""),
            ("a\t@b\n+1", "a\t'@b\n'+1"),
        ];
        let columns = [
            column("")
                .file("text")
                .cell(|(text, _): &(&str, &str)| Cell::text(Some(*text))),
            column("")
                .file("usd")
                .cell(|_| Cell::exact(Some("-0.000002"))),
            column("Not in the file").cell(|_| Cell::At(None)),
        ];
        let answer = asked("/x", "")
            .await
            .file("x", columns, cells, |(text, _)| (*text).to_owned())
            .unwrap()
            .naming_nobody()
            .into_response();
        assert_eq!(
            answer.headers()[CONTENT_DISPOSITION],
            "attachment; filename=\"x.csv\""
        );
        let lines = cells.map(|(_, cell)| format!("\"{cell}\",-0.000002\r\n"));
        assert_eq!(
            String::from_utf8(bytes(answer).await).unwrap(),
            format!("text,usd\r\n{}", lines.concat())
        );
    }

    #[tokio::test]
    async fn parts_end_when_an_answer_is_full_and_no_row_is_left_out() {
        const PATH: &str = "/x?from=1&by=day";
        let lengths = |parts: &[Vec<String>]| parts.iter().map(Vec::len).collect::<Vec<_>>();
        let all = parts(PATH, "", &numbers(2 * MOST_ROWS + 1)).await;
        assert_eq!(
            (lengths(&all), all.concat()),
            (vec![MOST_ROWS, MOST_ROWS, 1], numbers(2 * MOST_ROWS + 1))
        );
        assert_eq!(
            lengths(&parts(PATH, "gzip", &numbers(2 * MOST_ROWS + 1)).await),
            [2 * MOST_ROWS + 1]
        );

        let long = long_rows(3000);
        for (takes, most) in [("", 1_100), ("gzip", 2_200)] {
            let all = parts(PATH, takes, &long).await;
            assert!(
                all.concat() == long && all[0].len() <= most && all[0].len() > most / 2,
                "{:?}",
                lengths(&all)
            );
        }
        let some = parts(&format!("{PATH}&after=00099&until=02100"), "", &long).await;
        assert!(
            some.len() == 2 && some.concat() == long[99..2100],
            "{:?}",
            lengths(&some)
        );
    }

    #[test]
    fn a_page_offers_each_part_by_itself() {
        assert_eq!(offered("/x", &numbers(MOST_ROWS), String::clone).len(), 1);
        let each = offered("/x?q=a", &numbers(50_000), String::clone)
            .into_iter()
            .map(|(_, address)| address);
        assert_eq!(
            each.collect::<Vec<_>>(),
            ["until=19999", "after=19999&until=39999", "after=39999"]
                .map(|part| format!("/x?q=a&{part}"))
        );
    }

    #[tokio::test]
    async fn gzip_is_taken_where_it_is_named() {
        for (takes, is_packed) in [
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("", false),
        ] {
            assert_eq!(asked("/x", takes).await.takes_gzip, is_packed, "{takes}");
        }
    }
}
