//! The check of a provider's account, against the simulator: each of its assumptions holds and does not hold,
//! and whenever it is killed, its next run leaves nothing.

mod account;
mod evidence;
mod killed;
mod turns;
mod world;
