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

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Piece {
        Piece::Words(text.into())
    }

    fn link(text: &str) -> Piece {
        Piece::Link(text.into())
    }

    #[test]
    fn links_are_found_and_the_sentence_around_them_is_not_part_of_them() {
        assert_eq!(
            pieces("Go to\nhttp://127.0.0.1:8080/c/abc-_1\n(or <https://example.edu/?a=1&b=2>, soon)."),
            [
                words("Go to\n"),
                link("http://127.0.0.1:8080/c/abc-_1"),
                words("\n(or <"),
                link("https://example.edu/?a=1&b=2"),
                words(">, soon).")
            ]
        );
        assert_eq!(pieces("https://example.edu."), [link("https://example.edu"), words(".")]);
    }

    #[test]
    fn a_text_without_links_is_one_piece_and_no_other_scheme_is_a_link() {
        assert_eq!(pieces("javascript:alert(1) ädä"), [words("javascript:alert(1) ädä")]);
        assert_eq!(pieces(""), []);
    }

    #[test]
    fn nothing_of_a_text_is_lost() {
        for text in ["http://", "a http:// b https://..", "x http://a http://b", "http://\u{e4}\u{a0}y"] {
            let whole: String = pieces(text).into_iter().map(|(Piece::Words(part) | Piece::Link(part))| part).collect();
            assert_eq!(whole, text);
        }
    }
}
