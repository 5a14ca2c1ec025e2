//! Stories in which calls to the provider are lost, late or done in another order, and invocations
//! are killed or held: drawn ones, and some by name. Every invariant is judged after each step.

mod drawn;
mod orders;
mod story;
