//! The grants of a programme: the list, the page of each, and the acts of people with a role.

mod acts;
pub(crate) mod bulk;
mod grant;
mod list;
mod preview;

pub(crate) use acts::{
    act, correct_address, decide_more, end_leaked, take_off_roster, tell_person,
};
pub(crate) use grant::page as grant;
pub(crate) use list::{
    GrantRow, Shows, columns, file, list_for_post as list_posted, named, page as list, used,
};
