//! The raw form of the items about mail as a whole.

use ulid::Ulid;

use super::{at, raw};
use crate::domain::mail::day::{MailCounts, MailDay};
use crate::domain::mail::kind::MailKind;
use crate::store::{BulkStop, MailRefusal, MailServer, SentAs};

fn a_day() -> MailDay {
    let day = "2026-01-02".parse().unwrap();
    let counts = MailCounts { sent: 500, delivered: 470, returned: 3, bounced: 14, complained: 1 };
    MailDay { day, mail: MailKind::Roster, counts }
}

/// The raw form of each.
pub(super) fn items() -> String {
    let (as_of, stopped_at) = (at("2026-01-02T11:00:00Z"), at("2026-01-02T09:00:00Z"));
    [
        raw(&a_day()),
        raw(&BulkStop { at: stopped_at, of: a_day(), version: 2 }),
        raw(&MailServer { as_of, per_day: Some(50_000), per_second: 14.0, sent: 500, enabled: true }),
        raw(&MailRefusal {
            code: "NotVerified".to_owned(),
            since: stopped_at,
            last: as_of,
            ended_at: None,
            version: 2,
        }),
        raw(&SentAs { message: "0100".to_owned(), row: Ulid::from_parts(1, 1), at: stopped_at }),
    ]
    .join("\n")
}
