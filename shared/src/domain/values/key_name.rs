//! Names of keys as people choose them by the hundred: patterns with stars, and the part with which names begin.

/// What people put between the parts of a key's name.
const SEPARATORS: [char; 6] = ['/', '-', '_', ':', '.', ' '];

/// Whether a name matches a pattern in which `*` stands for any text. The text between two stars is matched
/// at its first place, so that no pattern takes long.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut name) = name.strip_prefix(head).and_then(|name| name.strip_suffix(tail)) else { return false };
    for part in middle.split('*') {
        let Some((_, after)) = name.split_once(part) else { return false };
        name = after;
    }
    true
}

/// The first part of a name with the separator behind it, so that the prefix and a star match these keys.
pub fn prefix(name: &str) -> &str {
    match name.char_indices().find(|(at, letter)| *at > 0 && SEPARATORS.contains(letter)) {
        Some((at, separator)) => &name[..at + separator.len_utf8()],
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in
            [("*", "x"), ("*2026", "cs 2026"), ("a*b*c", "a-b-b-c"), ("*ab*ab*", "abab"), ("**é", "né"), ("", "")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*2026", "2026 cs"), ("a*b*c", "a-c-b"), ("a*a", "a"), ("*ab*ab*", "aba"), ("x", "xx")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        assert!(!matches(&"*a".repeat(40), &"a".repeat(39)), "one star asks for one letter each");
        assert!(!matches(&format!("{}b", "*a".repeat(40)), &"a".repeat(5_000)), "it ends soon");
    }

    #[test]
    fn a_prefix_ends_with_the_first_separator() {
        for (name, expected) in [
            ("course/anna", "course/"),
            ("cs-2026-anna", "cs-"),
            ("été_1", "été_"),
            ("anna", ""),
            ("-a-b", "-a-"),
            ("", ""),
        ] {
            assert_eq!(prefix(name), expected, "{name}");
        }
    }
}
