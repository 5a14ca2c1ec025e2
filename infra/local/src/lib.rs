//! The whole bundle on one machine: the embedded engine, the stand-ins for what AWS and the provider do, the fault layer between
//! our functions and all of them, and the functions themselves. `bursar` and the tests build the same stack from it.

pub mod clock;
pub mod control;
pub mod dead_letters;
pub mod demo;
pub mod engine;
pub mod folder;
mod forward;
pub mod gate;
pub mod gateway;
mod guard;
pub mod inbox;
pub mod invoke;
pub mod kept;
pub mod keys;
pub mod provider;
pub mod pump;
#[cfg(test)]
mod recorder;
pub mod schedules;
pub mod secrets_manager;
pub mod serve;
pub mod ses;
pub mod settle;
pub mod stack;
pub mod template;
pub mod visitor;
