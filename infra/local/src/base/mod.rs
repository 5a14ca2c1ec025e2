//! The base of all other modules: the product's clock, stored documents, HTTP servers with their guard and
//! proxy, the names of the functions.

pub mod clock;
pub(crate) mod forward;
pub mod function;
pub(crate) mod guard;
pub mod serve;
pub mod state_file;
