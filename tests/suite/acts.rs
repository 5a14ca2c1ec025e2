//! Each act of the table over the real store, through the fault layer, on the embedded engine: with every fault at each of its
//! calls, overtaken by every other act and by itself, in crowds, and in histories drawn from seeds. What an act may come to is
//! never written down here: the rules of `bursar_core::domain` are asked, on the table as it was when the act took effect.

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
