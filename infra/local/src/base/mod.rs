//! The base of all other modules: the product's clock, stored documents, HTTP servers with their guard, the
//! names of the functions.

pub mod clock;
pub mod function;
pub(crate) mod guard;
pub mod serve;
pub mod state_file;
