//! The text of a mail in pieces, so that its links can be followed. Escaping is left to the template.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Words(String),
    Link(String),
}

/// The characters that end a sentence and not a link.
const TRAILING: [char; 9] = ['.', ',', ';', ':', '!', '?', ')', ']', '\''];

pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = next_link(rest) {
        let (words, from_link) = rest.split_at(start);
        let end = from_link.find(|c: char| c.is_whitespace() || "<>\"".contains(c)).unwrap_or(from_link.len());
        let link = from_link[..end].trim_end_matches(TRAILING);
        if !words.is_empty() {
            pieces.push(Piece::Words(words.to_owned()));
        }
        pieces.push(Piece::Link(link.to_owned()));
        rest = &from_link[link.len()..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Words(rest.to_owned()));
    }
    pieces
}

/// The start of the next link. Schemes match as a whole, so a link is never empty after its trailing
/// characters are cut.
fn next_link(text: &str) -> Option<usize> {
    let found = ["http://", "https://"].into_iter().filter_map(|scheme| text.find(scheme));
    found.min()
}
