//! The requests by which a student acts on a key: `reveal` makes or replaces one, `presses` does the rest.

pub(crate) mod presses;
pub(crate) mod reveal;
