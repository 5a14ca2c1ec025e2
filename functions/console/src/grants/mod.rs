//! The grants of a programme as a list, each on a page of its own, and what people with a role do to one.

mod acts;
mod grant;
mod list;
mod timeline;

pub(crate) use acts::act;
pub(crate) use grant::page as grant;
pub(crate) use list::{not_mailed, page as list};
