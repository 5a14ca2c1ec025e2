//! A programme at a glance, with the forms that change it: its settings, and one more person on its roster.

mod add_person;
mod chart;
mod edit;
mod edit_form;
mod outlook;
mod page;
mod person_form;
mod requests;
mod warnings;

pub(crate) use add_person::add_person;
pub(crate) use edit::edit;
pub(crate) use page::page;
