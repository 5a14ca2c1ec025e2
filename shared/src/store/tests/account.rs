//! The raw form of what an admin is told of the account and does to it.

use super::{at, raw, ulid};
use crate::domain::alarm::{Alarm, Cause};
use crate::domain::audit::{AccountEntry, Act, Actor, What};
use crate::domain::grant::testing::a_programme;
use crate::domain::id::PersonId;
use crate::domain::models::{GroupUse, Nobodys, NobodysUse};
use crate::domain::money::Usd;
use crate::store::items::{MailClass, OutboxRow, OwedMail};
use crate::store::{Checkpoint, Kept, ModelDay, NobodysDay};

pub(super) fn items() -> String {
    alarms()
        .into_iter()
        .chain([raw(&an_account_entry()), raw(&a_model_day()), raw(&a_nobodys_day())])
        .collect::<Vec<_>>()
        .join("\n")
}

/// One alarm of each cause, and the mail that one of them owes.
fn alarms() -> Vec<String> {
    let recipient: PersonId = "fedcba9876543210".parse().unwrap();
    let causes = [
        Cause::HeldBack { sweeps: 30, recoveries: 2, bound: 5, keys: vec!["a name".to_owned()] },
        Cause::Residual { residual: Usd::from_dollars(4), tolerance: Usd::CENT },
        Cause::ManagementKey,
        Cause::Incomplete { problems: 2, first: "the listing did not reach its end".to_owned() },
        Cause::Silent { last: Some(at("2026-01-01T00:20:00Z")) },
        Cause::Balance { balance: Usd::from_dollars(5), to_come: Usd::from_dollars(60) },
        Cause::Unsent { mail: "roster".to_owned(), code: "MessageRejected".to_owned() },
        Cause::Stuck { programme: a_programme().id, since: at("2026-01-02T08:00:00Z") },
    ];
    let alarm =
        |cause| Alarm { recipients: vec![recipient.clone()], told: 1, ..Alarm::now(cause, at("2026-01-03T00:21:00Z")) };
    let alarms = causes.map(alarm);
    let mail = OwedMail::Account { day: alarms[0].day, alarm: alarms[0].name(), recipient: recipient.clone() };
    let row = OutboxRow::owed(ulid(), MailClass::Urgent, mail, at("2026-01-03T00:21:00Z"));
    alarms.iter().map(raw).chain([raw(&row)]).collect()
}

fn a_model_day() -> ModelDay {
    let (group, model) = (Some("A".to_owned()), "openai/gpt-4o-mini".to_owned());
    ModelDay {
        programme: a_programme().id,
        day: "2026-01-02".parse().unwrap(),
        as_of: at("2026-01-03T00:20:00Z"),
        by: vec![GroupUse { group, model, spent: Usd::CENT, byok: Usd::ZERO, requests: 7 }],
    }
}

fn a_nobodys_day() -> NobodysDay {
    let (why, name, model) = (Nobodys::Foreign, Some("My key".to_owned()), "openai/gpt-4o-mini".to_owned());
    NobodysDay {
        day: "2026-01-02".parse().unwrap(),
        as_of: at("2026-01-03T00:20:00Z"),
        by: vec![NobodysUse { why, name, model, spent: Usd::CENT, byok: Usd::ZERO, requests: 7 }],
    }
}

fn an_account_entry() -> AccountEntry {
    let by = Actor::Person("fedcba9876543210".parse().unwrap());
    let what = What::new(Act::GuardReleased).changing("2026-01-03T00:20:00Z", "released").noting("30 keys to be swept");
    AccountEntry { entry: ulid(), at: at("2026-01-03T08:00:00Z"), by, what }
}

pub(super) fn a_checkpoint() -> Checkpoint {
    let rows = vec![Kept { fence: 2, parts: 2 }, Kept { fence: 3, parts: 0 }];
    let table = "bursar".to_owned();
    Checkpoint { run: ulid(), began_at: at("2026-01-03T00:20:00Z"), table, fence: 3, rows, parts: 1 }
}
