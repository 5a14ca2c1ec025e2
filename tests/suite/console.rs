//! The console over HTTP: pages, forms and statuses, with the invariants checked after each step.

mod account;
mod account_mails;
mod by_model;
mod closing;
mod credit;
mod foreign_acts;
mod grants;
mod mails;
mod outlook;
mod programmes;
mod release;
mod report;
mod requests;
pub(crate) mod roster;
mod settings;
mod spans;

use bursar_tests::invariants::{RawTable, Watch};
use bursar_tests::office::session_cookie;
use bursar_tests::stack::Stack;
use bursar_tests::visitor::Visitor;

pub(crate) const ADMIN: &str = "admin@example.edu";

/// A browser with a session of this address.
pub(crate) async fn signed_in(stack: &Stack, address: &str) -> Visitor {
    let (visitor, cookie) = (Visitor::new(&stack.ready.web), session_cookie(stack, address).await);
    let (name, value) = cookie.split_once('=').unwrap();
    visitor.set_cookie(name, value);
    visitor
}

/// A watch over table, provider, mails, stream and logs.
fn watch(stack: &Stack) -> Watch {
    let logs = stack.logs.clone();
    Watch::over(RawTable::at(&stack.ready.dynamodb, &stack.ready.table), stack.clock.as_clock())
        .with_provider(stack.provider.clone().unwrap())
        .with_mails(stack.ses.clone())
        .with_stream(stack.engine.clone())
        .with_logs(move || logs.all().into_iter().map(|line| line.text).collect())
}

/// The fields of a programme that have no default.
const PLAIN: [(&str, &str); 6] = [
    ("name", "CS pilot"),
    ("starts_on", "2026-01-01"),
    ("ends_on", "2035-12-31"),
    ("timezone", "Europe/Berlin"),
    ("cap_usd", "20"),
    ("pot_usd", "$4000.00"),
];
