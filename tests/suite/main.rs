//! The black-box tests, in one binary so that they link once: each module is one subject.

mod bundle;
mod command;
mod rules;
mod second_engine;
