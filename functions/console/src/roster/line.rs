//! What one cell of a roster, or one field of the form for one person, may hold.

use bursar_core::domain::values::address::{EmailAddress, is_invisible};

/// Longer than any name there is, and short enough that many lie in one item.
const LONGEST: usize = 200;

/// Why an address is not taken for the person that a row or form means: universities give an address to somebody else after a time.
pub(crate) const ANOTHER_ID: &str = "this address belonged to somebody with another id";

/// Whether two ids are of two people. An id that is not given differs from none.
pub(crate) fn is_another(known: Option<&str>, said: Option<&str>) -> bool {
    known.zip(said).is_some_and(|(known, said)| known != said)
}

/// An address, or a sentence about why it is none.
pub(crate) fn address(text: &str) -> Result<EmailAddress, String> {
    if text.is_empty() {
        return Err("There is no address.".to_owned());
    }
    EmailAddress::parse(text).map_err(|error| format!("Refused: {error}."))
}

/// A name, a group or an id; none when it is empty. The error goes on after the field's name.
pub(crate) fn text(text: &str) -> Result<Option<String>, &'static str> {
    let text = text.trim();
    if text.chars().any(is_invisible) {
        return Err("contains invisible or control characters");
    }
    if text.chars().count() > LONGEST {
        return Err("is longer than 200 characters");
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}
