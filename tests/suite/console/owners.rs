//! Keys that were made elsewhere are given to programmes and taken back: looked at first, counted once, and never touched at the
//! provider.

use bursar_core::domain::audit::Act;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::usage::span::Span;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{Author, Table};
use bursar_local::gate::{Matcher, Verdict};
use bursar_local::invoke::FunctionName;
use bursar_local::provider::{Nano, Provider};
use bursar_tests::office::soon;
use bursar_tests::stack::Left;
use jiff::ToSpan;

use super::account::{PATH, admin, warns};
use super::*;

const ASSIGN: &str = "/console/account/keys/assign";

/// A stack with foreign keys that three nights of syncs have seen, and a cost centre for them.
struct Scene {
    stack: Stack,
    anna: String,
    bert: String,
    late: String,
}
