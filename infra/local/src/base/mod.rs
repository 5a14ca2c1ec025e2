//! What all the rooms stand on: the product's clock, documents that are kept, HTTP served, guarded and passed on, the names of the
//! functions.

pub mod clock;
pub(crate) mod forward;
pub mod function;
pub(crate) mod guard;
pub mod serve;
pub mod state_file;
