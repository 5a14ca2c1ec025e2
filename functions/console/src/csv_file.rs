//! CSV files as answers: attachments that a spreadsheet opens without running anything in them, compressed where the client takes
//! that, and else in parts. What the rows are is left to the callers.

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

/// The most rows of an answer that is not compressed.
const MOST_ROWS: usize = 20_000;
/// The most rows of a compressed answer: Lambda answers at most six megabytes, in base64.
const MOST_COMPRESSED_ROWS: usize = 200_000;
/// The parameter with the number of rows before the first of an answer.
const SKIP: &str = "skip";

pub(crate) enum Cell {
    /// A text that somebody chose. One that a spreadsheet would run gets an apostrophe before it.
    Text(String),
    /// An amount, a date, a number or an id, which is never changed.
    Exact(String),
}

pub(crate) struct CsvRequest {
    takes_gzip: bool,
    path: String,
    /// The parameters without the number of rows before the first.
    pub(crate) query: Vec<(String, String)>,
    skip: usize,
}

impl Cell {
    pub(crate) const EMPTY: Cell = Cell::Exact(String::new());

    pub(crate) fn text(text: Option<&str>) -> Cell {
        Cell::Text(text.unwrap_or_default().to_owned())
    }

    pub(crate) fn exact(value: Option<impl ToString>) -> Cell {
        value.map_or(Cell::EMPTY, |value| Cell::Exact(value.to_string()))
    }

    fn written(self) -> String {
        match self {
            Cell::Text(text) => sheet_text(&text),
            Cell::Exact(text) => text,
        }
    }
}

impl CsvRequest {
    /// The file of this name with these columns and rows. Where there are more rows than an answer holds, a
    /// link leads to the next part, which begins with the columns too.
    pub(crate) fn answer(&self, name: &str, columns: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> Answer {
        let most = if self.takes_gzip { MOST_COMPRESSED_ROWS } else { MOST_ROWS };
        let mut rows = rows.into_iter().skip(self.skip);
        let part = rows.by_ref().take(most);
        let body = if self.takes_gzip {
            written(GzEncoder::new(Vec::new(), Compression::default()), columns, part)?.finish()?
        } else {
            written(Vec::new(), columns, part)?
        };
        let mut answer = body.into_response();
        self.describe(&mut answer, name, rows.next().map(|_| self.skip + most))?;
        Ok(answer)
    }

    fn describe(&self, answer: &mut Response, name: &str, next: Option<usize>) -> Result<(), AppError> {
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
        headers.insert(CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"").parse()?);
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if self.takes_gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Some(next) = next {
            let next = next.to_string();
            let query = self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let query: Vec<_> = query.chain([(SKIP, next.as_str())]).collect();
            headers.insert(LINK, format!("<{}>; rel=\"next\"", show::address(&self.path, &query)).parse()?);
        }
        Ok(())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CsvRequest {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<CsvRequest, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        let (skip, query): (Vec<_>, Vec<_>) =
            form_urlencoded::parse(query.as_bytes()).into_owned().partition(|(name, _)| name == SKIP);
        Ok(CsvRequest {
            takes_gzip: takes_gzip(&parts.headers),
            path: parts.uri.path().to_owned(),
            query,
            skip: skip.first().and_then(|(_, skip)| skip.parse().ok()).unwrap_or(0),
        })
    }
}

fn written<W: Write>(to: W, columns: &[&str], rows: impl Iterator<Item = Vec<Cell>>) -> Result<W, AppError> {
    let mut csv = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(to);
    csv.write_record(columns)?;
    for row in rows {
        csv.write_record(row.into_iter().map(Cell::written))?;
    }
    csv.into_inner().map_err(|error| AppError::from(error.into_error()))
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

    async fn asked(path: &str, takes: &str) -> CsvRequest {
        let request = Request::builder().uri(path).header(ACCEPT_ENCODING, takes).body(Body::empty()).unwrap();
        let Ok(asked) = CsvRequest::from_request_parts(&mut request.into_parts().0, &()).await;
        asked
    }

    async fn bytes(answer: Response<Body>) -> Vec<u8> {
        let chunks: Vec<_> = answer.into_body().into_data_stream().collect().await;
        chunks.into_iter().flat_map(|chunk| chunk.unwrap().to_vec()).collect()
    }

    fn numbers(count: usize) -> impl Iterator<Item = Vec<Cell>> {
        (0..count).map(|number| vec![Cell::exact(Some(number))])
    }

    #[tokio::test]
    async fn a_text_is_never_run_by_a_spreadsheet_and_an_amount_is_never_touched() {
        let texts = ["=1", "+1", "-1", "@a", "\ta", "\ra", "a=1", "a, \"b\"", "Zoë"];
        let rows = texts.map(|text| vec![Cell::text(Some(text)), Cell::exact(Some("-0.000002"))]);
        let answer = asked("/x", "").await.answer("x", &["text", "usd"], rows).unwrap();
        assert_eq!(answer.headers()[CONTENT_DISPOSITION], "attachment; filename=\"x.csv\"");
        assert_eq!(
            String::from_utf8(bytes(answer).await).unwrap(),
            "text,usd\r\n'=1,-0.000002\r\n'+1,-0.000002\r\n'-1,-0.000002\r\n'@a,-0.000002\r\n'\ta,-0.000002\r\n\
             \"'\ra\",-0.000002\r\na=1,-0.000002\r\n\"a, \"\"b\"\"\",-0.000002\r\nZoë,-0.000002\r\n"
        );
    }

    #[tokio::test]
    async fn parts_follow_one_another_and_none_is_left_out() {
        let (mut path, mut all, mut parts) = ("/x?from=1&by=day&by=group".to_owned(), Vec::new(), 0);
        loop {
            let answer = asked(&path, "").await.answer("x", &["number"], numbers(2 * MOST_ROWS + 1)).unwrap();
            let next = answer.headers().get(LINK).map(|link| link.to_str().unwrap().to_owned());
            let text = String::from_utf8(bytes(answer).await).unwrap();
            all.extend(text.lines().skip(1).map(|line| line.parse::<usize>().unwrap()));
            parts += 1;
            let Some(next) = next else { break };
            path = next.split_once('<').unwrap().1.split_once('>').unwrap().0.to_owned();
            assert_eq!(path, format!("/x?from=1&by=day&by=group&skip={}", parts * MOST_ROWS));
        }
        assert_eq!((parts, all), (3, (0..=2 * MOST_ROWS).collect()));
        let whole = asked("/x", "").await.answer("x", &["number"], numbers(MOST_ROWS)).unwrap();
        assert!(whole.headers().get(LINK).is_none());
    }

    #[tokio::test]
    async fn a_client_that_takes_gzip_gets_ten_times_as_much_at_once() {
        for (takes, is_packed) in
            [("br, GZIP;q=0.5", true), ("gzip;q=0", false), ("gzip; q=0.0, br", false), ("", false)]
        {
            assert_eq!(asked("/x", takes).await.takes_gzip, is_packed, "{takes}");
        }
        let answer = asked("/x", "gzip").await.answer("x", &["number"], numbers(MOST_COMPRESSED_ROWS + 1)).unwrap();
        assert_eq!(answer.headers()[CONTENT_ENCODING], "gzip");
        assert!(answer.headers().contains_key(LINK));
        let mut text = String::new();
        GzDecoder::new(&*bytes(answer).await).read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), MOST_COMPRESSED_ROWS + 1);
    }
}
