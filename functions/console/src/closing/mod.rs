//! What a programme came to: its close-out, for finance and for those who decide about the next term. It is one page to print, and
//! a file.

mod closeout;
mod closeout_file;
mod person;

pub(crate) use closeout::page as closeout;
pub(crate) use closeout_file::file as closeout_file;
