//! Reports on spending: any range of days of one programme or several, grouped as asked, as a page
//! and as a file. [`bursar_core::domain::usage::report`] groups and sums.

mod collect;
mod page;
mod query;

pub(crate) use page::{file, page};
