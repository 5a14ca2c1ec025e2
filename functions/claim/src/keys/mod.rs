//! What a student does with a key. Having one made or replaced is `reveal`; the other presses are `presses`.

mod not_shown;
pub(crate) mod presses;
mod reading;
pub(crate) mod reveal;
