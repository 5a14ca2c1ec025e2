//! What many files of the core use.

pub(crate) use crate::clock::Clock;
pub(crate) use crate::deadline::Deadline;
pub(crate) use crate::domain::prelude::*;
pub(crate) use crate::store::{StoreError, Table};
