//! The black-box tests, in one binary so that they link once: each module is one subject.

mod command;
mod second_engine;
