//! What admins do with a programme as a whole: close it, copy it into another term, move money to another. Its settings are
//! edited on the overview.

mod close;
mod copy;
mod move_money;

pub(crate) use close::close;
pub(crate) use copy::{CopyForm, copy};
pub(crate) use move_money::{MoveForm, TypedMove, move_money};
