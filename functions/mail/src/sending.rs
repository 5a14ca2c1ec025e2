//! How mail leaves, from what wakes the function to what SES says became of it.

mod breaker;
mod drain;
mod refusal;
mod row;
pub(crate) mod ses;
mod ses_events;
mod stream;
