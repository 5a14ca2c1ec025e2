//! What admins do with a programme as a whole: close it, copy it into another term. Its settings are
//! edited on the overview.

mod close;
mod copy;

pub(crate) use close::close;
pub(crate) use copy::{CopyForm, copy};
