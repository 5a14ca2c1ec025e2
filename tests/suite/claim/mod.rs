//! The students' pages, through HTTP and the whole stack: signing in, a key and what is done with
//! it, and every refusal.

mod asking;
mod bad_input;
mod canary;
mod data;
pub(crate) mod faults;
mod keys;
mod limits;
mod mails;
mod meanwhile;
mod more;
mod my;
mod refusals;
mod sign_in;
mod sign_on;
mod sign_out;

use std::sync::atomic::{AtomicU64, Ordering};

use bursar_core::deadline::Waits;
use bursar_core::domain::sign_in::{Asker, LINK_LASTS, LiveLink};
use bursar_core::domain::values::token::{BrowserToken, Code, LinkToken};
use bursar_local::invoke::FunctionName;
use bursar_tests::campus::{Campus, address};
use bursar_tests::office::soon;
use bursar_tests::stack::Setup;
use bursar_tests::visitor::Visitor;
use ulid::Ulid;

/// A campus with a programme, whose functions wait as long as they say: where the provider asks for
/// a longer wait than a request has, they answer at once.
async fn class() -> Campus {
    let mut campus = Campus::of(Setup {
        waits: Waits::WHOLE,
        ..Setup::default()
    })
    .await;
    campus.programme("CS pilot", |_| {}).await;
    campus
}

/// Somebody who is put on the roster and signs in.
async fn enrol(campus: &mut Campus, name: &str) -> Visitor {
    campus.students(&[name]).await;
    follows_link(campus, name).await
}

/// The link and the code that a mail to this address would bring, if this browser had asked for it.
async fn mailed(campus: &Campus, to: &str, browser: &BrowserToken) -> (LinkToken, Code) {
    static ASKS: AtomicU64 = AtomicU64::new(0);
    let (to, link, code, now) = (
        address(to),
        LinkToken::generate(),
        Code::generate(),
        campus.clock.now(),
    );
    let ask = Ulid::from_parts(1, u128::from(ASKS.fetch_add(1, Ordering::Relaxed)));
    let live = LiveLink {
        link: link.hash(),
        code: Some(code.hash(to.matched())),
        asker: Asker {
            browser: browser.hash(),
            sign_on: None,
        },
        ends_at: now + LINK_LASTS,
    };
    let made = campus
        .table
        .make_link(ask, to.matched(), &live, now, soon())
        .await
        .unwrap();
    assert_eq!(made, Ok(()));
    (link, code)
}

/// A browser in which this address has followed its link.
async fn follows_link(campus: &Campus, to: &str) -> Visitor {
    let (visitor, asked_by) = (campus.browser(), BrowserToken::generate());
    visitor.set_cookie("bursar-ask", asked_by.reveal());
    let (link, _) = mailed(campus, to, &asked_by).await;
    let page = visitor
        .get(&format!("/c/{}", link.reveal()))
        .await
        .expect(200);
    let signed_in = visitor.submit(&page, &page.path, &[]).await.expect(303);
    assert_eq!(signed_in.location(), Some("/my"));
    visitor
}

/// The calls that the students' pages have made so far.
fn calls(campus: &Campus) -> Vec<String> {
    let calls = campus
        .gate
        .calls()
        .into_iter()
        .filter(|made| made.function == FunctionName::Claim);
    calls.map(|made| made.name.to_string()).collect()
}
