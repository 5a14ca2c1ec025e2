//! The part of a mail above its footer.

pub(crate) fn without_footer(text: &str) -> &str {
    text.split_once("\n\n-- \n").expect("a mail has a footer").0
}
