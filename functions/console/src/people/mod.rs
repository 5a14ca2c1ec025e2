//! The people of a programme: its roster and its students, one by one or many; who asks for help;
//! erasing a person.

pub(crate) mod erase;
pub(crate) mod grants;
pub(crate) mod help_desk;
pub(crate) mod personal;
pub(crate) mod roster;
