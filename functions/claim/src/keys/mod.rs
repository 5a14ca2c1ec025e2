//! The requests by which a student acts on a key: [`reveal`] makes or replaces one, [`requests`]
//! does the rest.

pub(crate) mod requests;
pub(crate) mod reveal;
