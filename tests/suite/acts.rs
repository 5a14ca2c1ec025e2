//! Each act of the table over the real store, through the fault layer, on the embedded engine.
//!
//! How the exploration works, in twelve lines:
//! 1. An `Act` is one call of the store as a value: begin an attempt, record a key. Its `Kind` is its name without arguments.
//! 2. A `World` is the table, typed and without what is random. A `Setting` is a world to begin in, such as a live key.
//! 3. A `Lane` is an engine with a fault layer before it. A `Case` is a fresh table in a lane, filled from a world.
//! 4. An act runs in a case as an `Actor`, one instance of a function, whose calls the fault layer knows from all others.
//! 5. `legal.rs` asks the rules of `bursar_core::domain` what the act may come to in a world. No outcome is written down here.
//! 6. `judge.rs` compares: what the caller got and what the table became must be one legal outcome, and happen once.
//! 7. The invariants of `tests/src/invariants` are judged after each step as well. So the store is proved here, and not the rules.
//! 8. `faults.rs` plays every fault at every call of an act. `races.rs` has each act overtaken by each other, and by itself.
//! 9. `histories.rs` draws: three or four `Script`s at one grant, every call held, and chance says whose goes on and what fails.
//! 10. A seed is the number from which all of that chance is drawn: the setting, the scripts, the order and the faults.
//! 11. One seed gives one history, step for step. A failure prints it whole, with its seed.
//! 12. `BURSAR_TEST_SEED=70 cargo test -p bursar-tests acts::histories` replays it. What it found is a test in `found.rs`.

pub(crate) mod act;
mod faults;
mod found;
mod histories;
mod judge;
mod kinds;
mod lane;
mod legal;
mod races;
mod scripts;
mod second_engine;
pub(crate) mod settings;
pub(crate) mod world;
