//! An ask for a link and what follows from it, one of each with every attribute.

use super::{ada, at, hash, ulid};
use crate::domain::people::session::Session;
use crate::domain::people::sign_in::{LiveLink, Mailed, SignIn};
use crate::store::{Link, QueuedMail};

pub(super) fn asked() -> QueuedMail {
    QueuedMail::Link { address: ada(), asked_by: hash("a5") }
}

pub(super) fn a_full_sign_in() -> SignIn {
    let live = LiveLink {
        link: hash("1f"),
        code: Some(hash("c0")),
        asked_by: hash("a5"),
        ends_at: at("2026-01-02T08:30:00Z"),
    };
    let mailed = vec![Mailed { ask: ulid(), at: at("2026-01-02T08:00:00Z") }];
    SignIn {
        links: vec![live],
        mailed,
        unfollowed: 1,
        last_mailed_at: Some(at("2026-01-02T08:00:00Z")),
        wrong_codes: 1,
        last_tried_at: Some(at("2026-01-02T08:05:00Z")),
        version: 2,
        ..SignIn::none(ada())
    }
    .with_session(&a_session())
}

pub(super) fn a_link() -> Link {
    Link { link: hash("1f"), address: ada(), ends_at: at("2026-01-02T08:30:00Z") }
}

pub(super) fn a_session() -> Session {
    let person = Some("fedcba9876543210".parse().unwrap());
    Session::begun(hash("5e"), ada(), person, at("2026-01-02T08:00:00Z"))
}
