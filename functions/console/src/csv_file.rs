//! CSV files as answers: attachments that a spreadsheet opens without running anything in them, compressed where the client takes
//! that, and in parts where one answer does not hold them. What the rows are is left to the callers.

use std::convert::Infallible;
use std::io::Write;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{
    ACCEPT_ENCODING, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, LINK, VARY,
};
use axum::http::request::Parts;
use bursar_core::domain::values::format::sheet_text;
use csv::{Terminator, WriterBuilder};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::prelude::*;

/// The most bytes of an answer: Lambda answers at most six megabytes, in base64.
const MOST_BYTES: usize = 4_400_000;
/// More than the compression and the buffers before it hold of what was written to them.
const HELD_IN_BUFFERS: usize = 200_000;
/// The most rows of an answer that is not compressed, and of a part that a page offers: compressed, ten times as many bytes fit.
const MOST_ROWS: usize = 20_000;
/// The parameter with the number of rows before the first of an answer.
const SKIP: &str = "skip";
/// The parameter with the number of rows from that one on, where not all that follow are asked for.
const ROWS: &str = "rows";

pub(crate) struct CsvRequest {
    takes_gzip: bool,
    path: String,
    /// The parameters but those that ask for a part.
    pub(crate) query: Vec<(String, String)>,
    skip: usize,
    rows: Option<usize>,
}

impl CsvRequest {
    /// The file of this name with these columns and rows. A part ends when the answer is full: a link leads to the next, which
    /// begins with the columns too.
    pub(crate) fn answer<R>(
        &self,
        name: &str,
        columns: impl IntoIterator<Item = Column<R>>,
        rows: impl IntoIterator<Item = R>,
    ) -> Answer {
        let columns: Vec<Column<R>> = columns.into_iter().filter(|column| !column.at.file.is_empty()).collect();
        let mut rows = rows.into_iter().skip(self.skip).take(self.rows.unwrap_or(usize::MAX)).peekable();
        let (body, taken) = if self.takes_gzip {
            let packed = GzEncoder::new(Vec::new(), Compression::default());
            let (packed, taken) = written(packed, |packed| packed.get_ref().len(), &columns, &mut rows)?;
            (packed.finish()?, taken)
        } else {
            written(Vec::new(), Vec::len, &columns, &mut rows.by_ref().take(MOST_ROWS))?
        };
        let mut answer = body.into_response();
        self.describe(&mut answer, name, rows.peek().map(|_| taken))?;
        Ok(answer)
    }

    /// `taken` is the number of rows in this answer, if more follow.
    fn describe(&self, answer: &mut Response, name: &str, taken: Option<usize>) -> Result<(), AppError> {
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
        headers.insert(CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"").parse()?);
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if self.takes_gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Some(taken) = taken {
            let query: Vec<_> = self.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let rest = self.rows.map(|rows| rows - taken);
            let next = part(&show::address(&self.path, &query), self.skip + taken, rest);
            headers.insert(LINK, format!("<{next}>; rel=\"next\"").parse()?);
        }
        Ok(())
    }
}

/// The address of a part of the file at this address.
fn part(file: &str, skip: usize, rows: Option<usize>) -> String {
    let joint = if file.contains('?') { '&' } else { '?' };
    let rows = rows.map(|rows| format!("&{ROWS}={rows}")).unwrap_or_default();
    format!("{file}{joint}{SKIP}={skip}{rows}")
}

/// What a page offers of the file at this address: all of it, or where it has more rows than that each part, in words with its address.
pub(crate) fn offered(file: &str, rows: usize) -> Vec<(String, String)> {
    if rows <= MOST_ROWS {
        return vec![("Download as CSV".to_owned(), file.to_owned())];
    }
    let each = (0..rows).step_by(MOST_ROWS).map(|skip| {
        let until = (skip + MOST_ROWS).min(rows);
        let words = format!("CSV, rows {} to {}", show::count(skip as u64 + 1), show::count(until as u64));
        (words, part(file, skip, Some(MOST_ROWS)))
    });
    each.collect()
}

impl<S: Send + Sync> FromRequestParts<S> for CsvRequest {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<CsvRequest, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        let (of_part, query): (Vec<_>, Vec<_>) =
            form_urlencoded::parse(query.as_bytes()).into_owned().partition(|(name, _)| name == SKIP || name == ROWS);
        let number = |name: &str| of_part.iter().find(|(known, _)| known == name)?.1.parse().ok();
        Ok(CsvRequest {
            takes_gzip: takes_gzip(&parts.headers),
            path: parts.uri.path().to_owned(),
            query,
            skip: number(SKIP).unwrap_or(0),
            rows: number(ROWS),
        })
    }
}

/// Writes rows until there are no more or the answer is full, by the size of what was written so far. Returns how many were.
fn written<W: Write, R>(
    to: W,
    size: impl Fn(&W) -> usize,
    columns: &[Column<R>],
    rows: &mut dyn Iterator<Item = R>,
) -> Result<(W, usize), AppError> {
    let mut csv = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(to);
    csv.write_record(columns.iter().map(|column| column.at.file))?;
    let mut taken = 0;
    while size(csv.get_ref()) < MOST_BYTES - HELD_IN_BUFFERS
        && let Some(row) = rows.next()
    {
        csv.write_record(columns.iter().map(|column| written_out((column.cell)(&row))))?;
        taken += 1;
    }
    Ok((csv.into_inner().map_err(|error| AppError::from(error.into_error()))?, taken))
}

fn written_out(cell: Cell) -> String {
    let is_chosen = matches!(cell, Cell::Text(_) | Cell::Shown(..));
    let text = cell.in_full().unwrap_or_default();
    if is_chosen { sheet_text(&text) } else { text }
}

/// Whether the client takes gzip: it is named and not refused with a weight of zero.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight != Some(0.0)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::body::Body;
    use axum::http::{Request, Response};
    use flate2::read::GzDecoder;
    use futures_util::StreamExt;

    use super::*;

    const COLUMNS: [Column<String>; 1] = [column("").file("x").of(|row: &String| Cell::exact(Some(row)))];

    fn numbers(count: usize) -> Vec<String> {
        (0..count).map(|number| number.to_string()).collect()
    }

    /// Rows of four thousand hex digits that do not repeat themselves, which no compression makes shorter than half.
    fn long_rows(count: usize) -> Vec<String> {
        let mut state = 1_u64;
        let mut next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            format!("{state:016x}")
        };
        (0..count).map(|_| (0..250).map(&mut next).collect()).collect()
    }

    async fn asked(path: &str, takes: &str) -> CsvRequest {
        let request = Request::builder().uri(path).header(ACCEPT_ENCODING, takes).body(Body::empty()).unwrap();
        let Ok(asked) = CsvRequest::from_request_parts(&mut request.into_parts().0, &()).await;
        asked
    }

    async fn bytes(answer: Response<Body>) -> Vec<u8> {
        let chunks: Vec<_> = answer.into_body().into_data_stream().collect().await;
        chunks.into_iter().flat_map(|chunk| chunk.unwrap().to_vec()).collect()
    }

    /// The rows of a file, part by part as the links lead.
    async fn parts(path: &str, takes: &str, rows: &[String]) -> Vec<Vec<String>> {
        let (mut path, mut parts) = (path.to_owned(), Vec::new());
        loop {
            let answer = asked(&path, takes).await.answer("x", COLUMNS, rows.to_vec()).unwrap();
            let next = answer.headers().get(LINK).map(|link| link.to_str().unwrap().to_owned());
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
            path = next.split_once('<').unwrap().1.split_once('>').unwrap().0.to_owned();
            assert!(path.starts_with("/x?from=1&by=day&by=group&skip="), "{path}");
        }
    }

    #[tokio::test]
    async fn a_text_is_never_run_by_a_spreadsheet_and_an_amount_is_never_touched() {
        let texts = ["=1", "+1", "-1", "@a", "\ta", "\ra", "a=1", "a, \"b\"", "Zoë"];
        let columns = [
            column("").file("text").of(|text: &&str| Cell::text(Some(*text))),
            column("").file("usd").of(|_| Cell::exact(Some("-0.000002"))),
            column("Not in the file").of(|_| Cell::At(None)),
        ];
        let answer = asked("/x", "").await.answer("x", columns, texts).unwrap();
        assert_eq!(answer.headers()[CONTENT_DISPOSITION], "attachment; filename=\"x.csv\"");
        assert_eq!(
            String::from_utf8(bytes(answer).await).unwrap(),
            "text,usd\r\n'=1,-0.000002\r\n'+1,-0.000002\r\n'-1,-0.000002\r\n'@a,-0.000002\r\n'\ta,-0.000002\r\n\
             \"'\ra\",-0.000002\r\na=1,-0.000002\r\n\"a, \"\"b\"\"\",-0.000002\r\nZoë,-0.000002\r\n"
        );
    }

    #[tokio::test]
    async fn parts_end_when_an_answer_is_full_and_no_row_is_left_out() {
        const PATH: &str = "/x?from=1&by=day&by=group";
        let lengths = |parts: &[Vec<String>]| parts.iter().map(Vec::len).collect::<Vec<_>>();
        let all = parts(PATH, "", &numbers(2 * MOST_ROWS + 1)).await;
        assert_eq!((lengths(&all), all.concat()), (vec![MOST_ROWS, MOST_ROWS, 1], numbers(2 * MOST_ROWS + 1)));
        assert_eq!(lengths(&parts(PATH, "gzip", &numbers(2 * MOST_ROWS + 1)).await), [2 * MOST_ROWS + 1]);

        let long = long_rows(3000);
        for (takes, most) in [("", 1_100), ("gzip", 2_200)] {
            let all = parts(PATH, takes, &long).await;
            assert!(all.concat() == long && all[0].len() <= most && all[0].len() > most / 2, "{:?}", lengths(&all));
        }
        let some = parts(&format!("{PATH}&skip=100&rows=2000"), "", &long).await;
        assert!(some.len() == 2 && some.concat() == long[100..2100], "{:?}", lengths(&some));
    }

    #[test]
    fn a_page_offers_each_part_by_itself() {
        assert_eq!(offered("/x", MOST_ROWS).len(), 1);
        let each: Vec<String> = offered("/x?q=a", 50_000).into_iter().map(|(_, address)| address).collect();
        assert_eq!(each, [0, 20_000, 40_000].map(|skip| format!("/x?q=a&skip={skip}&rows=20000")));
    }

    #[tokio::test]
    async fn gzip_is_taken_where_it_is_named() {
        for (takes, is_packed) in
            [("br, GZIP;q=0.5", true), ("gzip;q=0", false), ("gzip; q=0.0, br", false), ("", false)]
        {
            assert_eq!(asked("/x", takes).await.takes_gzip, is_packed, "{takes}");
        }
    }
}
