//! The sending of mail: what wakes the function, one row's way to SES, and the events that SES
//! sends afterwards.

mod drain;
mod row;
pub(crate) mod ses;
mod ses_events;
mod stream;
