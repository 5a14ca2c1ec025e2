//! Spending as several pages show it: over spans of time, and by model.
//!
//! Spending over a span is the domain's [`Span::sum`](bursar_core::domain::usage::span::Span::sum)
//! wherever it is shown, and its days are `range`. A page asks for a span by `?window=` and says
//! how well the sum is known: a day that no sync has looked back on is not nothing. What was used
//! by model is over the same days without today; what keys used beyond it is a line of its own.

pub(crate) mod bar;
pub(crate) mod by_model;
pub(crate) mod drawing;
pub(crate) mod spans;
