//! The stand-ins for AWS: table and stream, mail with its inbox, secrets, API Gateway, schedules and
//! Lambda. The template says how they are connected.

pub mod dead_letters;
pub mod engine;
pub mod gateway;
pub mod inbox;
pub mod invoke;
pub mod pump;
pub mod schedules;
pub mod secrets_manager;
pub mod ses;
pub mod template;
