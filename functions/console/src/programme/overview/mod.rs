//! The overview of a programme.

mod outlook;
mod page;
mod warnings;

pub(crate) use page::page;
