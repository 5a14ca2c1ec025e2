//! The account as a whole, and the forms that admins have there.

mod admins;
mod foreign_act;
mod forms;
mod keys;
mod mail;
mod page;
mod picture;
mod release;
mod syncs;
mod warnings;

pub(crate) use admins::change_admins;
pub(crate) use foreign_act::act_on_foreign_key;
pub(crate) use mail::send_again;
pub(crate) use page::{RefusedForms, page, refuse};
pub(crate) use release::release;
