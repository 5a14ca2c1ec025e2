//! The raw form of crossings and scans of students' caps, and of mails about these and about requests to the admins.

use crate::domain::grant::testing::{a_grant, a_programme};
use crate::domain::programme::request::{BUDGET, Wish};
use crate::domain::usage::crossing::{Crossing, Scope};
use crate::domain::values::id::PersonId;
use crate::domain::values::money::Usd;
use crate::domain::values::window::Reset;
use crate::store::tests::{a_crossing, at, raw, ulid};
use crate::store::{CapScan, CapScanPosition, OutboxRow, QueuedMail};

pub(super) fn items() -> String {
    let all =
        [raw(&a_crossing_of_a_cap()), raw(&a_mail_of_a_cap()), raw(&a_look_at_caps()), raw(&a_mail_of_a_request())];
    all.join("\n")
}

fn a_crossing_of_a_cap() -> Crossing {
    let (scope, window) = (Scope::Cap(a_grant().id), Reset::Monthly.window_at(at("2026-01-03T00:21:00Z")));
    Crossing {
        scope,
        window,
        limit: Usd::from_dollars(20),
        spent: Usd::from_dollars(17),
        mails: Vec::new(),
        ..a_crossing()
    }
}

fn a_mail_of_a_cap() -> OutboxRow {
    let Crossing { programme, window, threshold, limit, .. } = a_crossing_of_a_cap();
    let mail = QueuedMail::CapUsed { programme, grant: a_grant().id, window, threshold, of_limit: limit };
    OutboxRow::queued(ulid(), mail, at("2026-01-03T00:21:00Z"))
}

fn a_look_at_caps() -> CapScan {
    CapScan {
        listed_at: at("2026-01-03T00:20:00Z"),
        next: Some(CapScanPosition { programme: a_programme().id, shard: 7 }),
    }
}

fn a_mail_of_a_request() -> OutboxRow {
    let words = "$200 instead of $100".to_owned();
    let wishes = vec![Wish { setting: BUDGET.to_owned(), label: "Budget".to_owned(), words }];
    let by: PersonId = "fedcba9876543210".parse().unwrap();
    let mail = QueuedMail::Request { programme: a_programme().id, by: by.clone(), wishes, recipient: by };
    OutboxRow::queued(ulid(), mail, at("2026-01-03T08:00:00Z"))
}
