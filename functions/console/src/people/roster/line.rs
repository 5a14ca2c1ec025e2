//! The rules for one cell of a roster, or one field of the form for one person.

use bursar_core::domain::values::address::{EmailAddress, is_invisible, nfc};

/// The longest text in characters: more than any name has, and little enough for many to fit in one
/// item.
const LONGEST: usize = 200;

/// The address, or a sentence that says what is wrong with it.
pub(crate) fn address(text: &str) -> Result<EmailAddress, String> {
    if text.is_empty() {
        return Err("There is no address.".to_owned());
    }
    EmailAddress::parse(text).map_err(|error| format!("Refused: {error}."))
}

/// A name, a group or an id; `None` when empty. The error follows the field's name in a sentence.
pub(crate) fn text(text: &str) -> Result<Option<String>, &'static str> {
    let text = nfc(text.trim());
    if text.chars().any(is_invisible) {
        return Err("contains invisible or control characters");
    }
    if text.chars().count() > LONGEST {
        return Err("is longer than 200 characters");
    }
    Ok((!text.is_empty()).then(|| text.into_owned()))
}
