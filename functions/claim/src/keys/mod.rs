//! The requests by which a student acts on a key: `reveal` makes or replaces one, `presses` does the rest.

mod form;
pub(crate) mod presses;
mod reading;
pub(crate) mod reveal;
