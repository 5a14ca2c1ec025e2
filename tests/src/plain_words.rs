//! Words of the code that students' pages and all mails must not say, since their readers' own language has
//! better ones. Checked are the pages of a test's visitor and the mails of a watched stack, with what only a
//! screen reader says of them.

use std::collections::HashSet;

use bursar_local::inbox::Contents;
use bursar_local::ses::Mail;
use bursar_local::visitor::Page;

/// Refused words, each a whole one. `_` stands between words that are refused only together.
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
/// Words that are refused except where the provider's own answer is quoted.
const ONLY_QUOTED: [&str; 2] = ["guardrail", "guardrails"];
/// The only words that are refused on the console, where faculty and admins speak of the same money.
const ON_THE_CONSOLE: [&str; 2] = ["pot", "pots"];

/// The refused words that a mail says, in its subject, text or HTML.
pub fn refused_in_mail(mail: &Mail) -> Vec<&'static str> {
    let contents = Contents::of(&mail.raw);
    let html = contents.html.map(told).unwrap_or_default();
    refused(&format!("{}\n{}\n{html}", contents.subject, contents.text.unwrap_or_default()))
}

/// Ends the test if a page says a word that is refused there.
pub fn check_page(page: &Page) {
    let is_page = page.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    if is_page {
        let found = refused_on_page(page);
        assert!(found.is_empty(), "{} says {found:?}: {}", page.path, page.readable());
    }
}

/// The refused words that a page says to its readers.
pub fn refused_on_page(page: &Page) -> Vec<&'static str> {
    let mut found = refused(&told(unquoted(&page.body)));
    if page.path.starts_with("/console") {
        found.retain(|word| ON_THE_CONSOLE.contains(word));
    }
    found
}

fn refused(text: &str) -> Vec<&'static str> {
    let without_links = text.split_whitespace().filter(|word| !word.contains("://")).collect::<Vec<_>>().join(" ");
    let lower = without_links.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    // Every page of every test is looked through, so each word is looked at once.
    let said: HashSet<&str> = words.iter().copied().collect();
    let says = |phrase: &str| match phrase.split_once('_') {
        None => said.contains(phrase),
        Some((first, second)) => said.contains(first) && words.windows(2).any(|pair| pair == [first, second]),
    };
    REFUSED.into_iter().chain(ONLY_QUOTED).filter(|phrase| says(phrase)).collect()
}

/// The HTML without the contents of its `<q>` elements, which are somebody else's words.
fn unquoted(html: &str) -> String {
    let mut parts = html.split("<q>");
    let first = parts.next().unwrap_or_default();
    let rest = parts.filter_map(|part| Some(part.split_once("</q>")?.1));
    std::iter::once(first).chain(rest).collect()
}

/// The text of some HTML that a browser shows or a screen reader says.
fn told(body: String) -> String {
    let (status, path, headers) = (200, String::new(), reqwest::header::HeaderMap::new());
    let page = Page { status, path, headers, body };
    format!("{} {}", page.readable(), page.read_out().join(" "))
}
