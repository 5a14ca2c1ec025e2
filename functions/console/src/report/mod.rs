//! Reports on spending: any range of days of one programme or several, grouped as asked, as a page and as a
//! file. `bursar_core::domain::usage::report` groups and sums.

mod collect;
mod file;
mod page;
mod query;
mod scope;

pub(crate) use file::file;
pub(crate) use page::page;
