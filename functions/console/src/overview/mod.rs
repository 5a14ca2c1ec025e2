//! The overview of a programme, with the forms that change its settings and add a person to its roster.

mod add_person;
mod edit;
mod outlook;
mod page;
mod warnings;

pub(crate) use add_person::{TypedPerson, add_person};
pub(crate) use edit::edit;
pub(crate) use page::{PageState, page, show};
