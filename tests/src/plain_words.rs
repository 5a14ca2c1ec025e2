//! Words of the code that students, and whoever gets a mail, must not read: their own language has better ones. Every page that a
//! test's visitor gets passes here, and every mail that a watched stack accepts.

use bursar_local::inbox::Contents;
use bursar_local::ses::Mail;
use bursar_local::visitor::Page;

/// Whole words. `_` stands between words that are refused only together.
const REFUSED: [&str; 11] = [
    "pot",
    "pots",
    "residual",
    "residuals",
    "guard",
    "guards",
    "set_aside",
    "hold",
    "holds",
    "authority",
    "authorities",
];
/// Refused too, but where the provider's own answer is quoted.
const ONLY_QUOTED: [&str; 2] = ["guardrail", "guardrails"];

/// The refused words that a mail says, in its subject, text or HTML.
pub fn refused_in_mail(mail: &Mail) -> Vec<&'static str> {
    let contents = Contents::of(&mail.raw);
    let html = contents.html.map(readable).unwrap_or_default();
    refused(&format!("{}\n{}\n{html}", contents.subject, contents.text.unwrap_or_default()))
}

/// Ends the test if a page for students says a refused word.
pub fn check_page(page: &Page) {
    let is_page = page.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    if is_page && !page.path.starts_with("/console") {
        let found = refused(&readable(unquoted(&page.body)));
        assert!(found.is_empty(), "{} says {found:?}: {}", page.path, page.readable());
    }
}

fn refused(text: &str) -> Vec<&'static str> {
    let without_links = text.split_whitespace().filter(|word| !word.contains("://")).collect::<Vec<_>>().join(" ");
    let lower = without_links.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let says = |phrase: &str| {
        let phrase: Vec<&str> = phrase.split('_').collect();
        words.windows(phrase.len()).any(|window| window == phrase)
    };
    REFUSED.into_iter().chain(ONLY_QUOTED).filter(|phrase| says(phrase)).collect()
}

/// The HTML without what stands between `<q>` and `</q>`, which are another's words.
fn unquoted(html: &str) -> String {
    let mut parts = html.split("<q>");
    let first = parts.next().unwrap_or_default();
    let rest = parts.filter_map(|part| Some(part.split_once("</q>")?.1));
    std::iter::once(first).chain(rest).collect()
}

fn readable(body: String) -> String {
    let (status, path, headers) = (200, String::new(), reqwest::header::HeaderMap::new());
    Page { status, path, headers, body }.readable()
}
