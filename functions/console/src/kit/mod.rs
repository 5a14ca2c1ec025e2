//! What all pages of the console are made of: who may see what, forms, lists, files, paths, words.

pub(crate) mod access;
pub(crate) mod csv_file;
pub(crate) mod form;
pub(crate) mod job_line;
pub(crate) mod listing;
pub(crate) mod mails;
pub(crate) mod paths;
pub(crate) mod show;
