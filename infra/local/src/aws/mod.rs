//! What stands in for AWS: the table and its stream, mail and the inbox that shows it, secrets, the web gateway, schedules, Lambda, and
//! the template that says how they are connected.

pub mod dead_letters;
pub mod engine;
pub mod gateway;
pub mod inbox;
pub mod invoke;
pub mod pump;
#[cfg(test)]
pub(crate) mod recorder;
pub mod schedules;
pub mod secrets_manager;
pub mod ses;
pub mod template;
