//! The overview of a programme, with the forms that change its settings and add a person to its roster.

mod add_person;
mod chart;
mod edit;
mod edit_form;
mod finance;
mod outlook;
mod page;
mod person_form;
mod warnings;

pub(crate) use add_person::add_person;
pub(crate) use edit::edit;
pub(crate) use page::{PageState, page, show};
