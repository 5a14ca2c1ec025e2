//! What is written through the table and not on the pages: programmes, sessions and readings.

use std::time::Duration;

use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::sign_in::{Asker, LINK_LASTS, LiveLink, Proof, Session, SignInMethod};
use bursar_core::domain::usage::reading::{DailyUse, Reading};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{Epoch, GrantId, ProgrammeId, new_ulid};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::token::{BrowserToken, LinkToken, SessionToken};
use bursar_core::store::{NewProgramme, SessionOutcome, SyncState, Table};

use crate::stack::Stack;

/// A programme to be created, without a roster.
pub fn new_programme(settings: Settings, dollars: i32) -> NewProgramme {
    NewProgramme {
        settings,
        budget: Usd::from_dollars(dollars),
        form: None,
        copied: None,
    }
}

/// The cookie of a session that has just begun, written through the table: `bursar=…`.
pub async fn session_cookie(stack: &Stack, address: &str) -> String {
    let table = Table::new(&stack.config);
    let (address, now) = (EmailAddress::parse(address).unwrap(), stack.clock.now());
    let (token, link) = (SessionToken::generate(), LinkToken::generate());
    let live = LiveLink {
        link: link.hash(),
        code: None,
        asker: Asker {
            browser: BrowserToken::generate().hash(),
            sign_on: None,
        },
        ends_at: now + LINK_LASTS,
    };
    let made = table
        .make_link(new_ulid(now), address.matched(), &live, now, soon())
        .await
        .unwrap();
    assert_eq!(made, Ok(()), "one link a minute");
    let proof = Proof::Address(address.matched().clone());
    let before = table.sign_in_of(address.matched()).await.unwrap();
    let after = before.follow(&link.hash(), &proof, now).unwrap();
    let person = Some(table.person_of(&address, soon()).await.unwrap());
    let session = Session::new(token.hash(), &after, SignInMethod::Link, person, now);
    let begun = table
        .sign_in(&before, &after, &session, (None, None), soon())
        .await
        .unwrap();
    assert_eq!(begun, SessionOutcome::Begun);
    format!("bursar={}", token.reveal())
}

/// Writes how the sync stands, as a run does at its end.
pub async fn conclude(table: &Table, state: SyncState) {
    assert!(
        table
            .conclude(&state.next(), None, None, soon())
            .await
            .unwrap()
    );
}

/// A deadline with time for one act.
pub fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(25))
}

/// The reading of a grant's first key in a term without windows.
pub fn reading(programme: &ProgrammeId, grant: &GrantId, used: DailyUse, as_of: Moment) -> Reading {
    Reading {
        used,
        ..Reading::new(programme, grant, Epoch::new(1), as_of)
    }
}
