//! What a programme came to: its close-out for finance, and the pilot report for those who decide about the
//! next term. Both are one page to print.

mod closeout;
mod closeout_file;
mod person;
mod pilot;

pub(crate) use closeout::page as closeout;
pub(crate) use closeout_file::file as closeout_file;
pub(crate) use pilot::page as pilot;
