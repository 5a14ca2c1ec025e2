//! Items of the sync and of the account's books, one of each with every attribute.

use jiff::civil::Date;

use super::{a_programme, at, hash, ulid};
use crate::domain::audit::Actor;
use crate::domain::ledger::cut::{AccountCut, KeyChange, LifetimeUse, ProgrammeCut};
use crate::domain::ledger::foreign_act::{AnsweredKey, ForeignAct, ForeignActState, ForeignChange};
use crate::domain::ledger::mailed::{MailedRow, MailedStatement};
use crate::domain::ledger::owner::KeyOwner;
use crate::domain::ledger::statement::{RowKind, StatementRow};
use crate::domain::usage::reading::DailyUse;
use crate::domain::usage::reconciliation::{AccountSpending, Opening};
use crate::domain::values::money::Usd;
use crate::store::{
    Account, AccountDay, AssignedUse, CutKeys, ForeignKey, HeldAct, HeldBack, HeldKey, HeldMarks, MissingKey,
    OrphanName, OutboxRow, QueuedMail, SyncState,
};

pub(super) fn a_full_sync_state() -> SyncState {
    let since = at("2026-01-03T00:20:00Z");
    let name = "bursar/0123456789/cs-pilot/0123456789abcdef/1-0123456789abcdef".parse().unwrap();
    let released_by = Some("fedcba9876543210".parse().unwrap());
    let keys = vec![HeldKey { name: format!("{name}"), key: hash("5a"), act: HeldAct::Sweep }];
    let held_back =
        HeldBack { at: since, sweeps: 30, recoveries: 0, stops: 2, bound: 5, keys, marks: ulid(), released_by };
    SyncState {
        listed_at: Some(since),
        completed_at: Some(since),
        opening: Some(Opening { least: Usd::from_dollars(3), most: Usd::from_dollars(4) }),
        residual_told: Usd::from_dollars(2),
        matched_at: Some(at("2026-01-03T00:20:00Z")),
        restored_at: Some(since),
        orphan_names: vec![OrphanName::of(&hash("5a"), &name, true)],
        models_since: Some("2025-12-01".parse().unwrap()),
        models_until: Some("2026-01-02".parse().unwrap()),
        models_missed: vec![("2025-12-10".parse().unwrap(), "2025-12-12".parse().unwrap())],
        held_back: Some(held_back),
        let_through: Some(ulid()),
        version: 4,
    }
}

pub(super) fn an_account_day() -> AccountDay {
    let dollars = Usd::from_dollars;
    AccountDay {
        day: "2026-01-03".parse().unwrap(),
        as_of: at("2026-01-03T00:20:00Z"),
        bought: dollars(1000),
        spent: dollars(60),
        ours: dollars(40),
        ours_gone: dollars(2),
        foreign: dollars(10),
        foreign_gone: dollars(1),
        opening: dollars(3),
        residual: dollars(4),
        unsettled: dollars(0),
        tolerance: Usd::from_micros(214),
    }
}

pub(super) fn a_cut() -> AccountCut {
    let dollars = Usd::from_dollars;
    let programme = "cs-pilot".parse().unwrap();
    AccountCut {
        as_of: at("2026-01-03T00:20:00Z"),
        bought: dollars(1000),
        spent: AccountSpending { before: dollars(59), after: dollars(60) },
        programmes: vec![ProgrammeCut { programme, used: LifetimeUse { credits: dollars(42), byok: dollars(5) } }],
        foreign: dollars(11),
        opening: dollars(3),
        residual: dollars(4),
        unsettled: dollars(0),
    }
}

pub(super) fn some_cut_keys() -> CutKeys {
    let (before, after) = (LifetimeUse::default(), LifetimeUse { credits: Usd::from_dollars(11), byok: Usd::CENT });
    let changes = [KeyChange { key: hash("f0"), before, after }];
    let kept = CutKeys::of(at("2026-01-03T00:20:00Z"), 'f', &changes).remove(0);
    assert_eq!(kept.changes().unwrap(), changes);
    kept
}

pub(super) fn a_mailed_statement() -> MailedStatement {
    let row = |programme: Option<&str>, kind, spent| StatementRow {
        programme: programme.map(|id| id.parse().unwrap()),
        cost_code: programme.map(|_| "4711".to_owned()),
        kind,
        spent: Usd::from_dollars(spent),
    };
    let of_programme = MailedRow { row: row(Some("cs-pilot"), RowKind::Keys, 42), name: Some("CS pilot".to_owned()) };
    MailedStatement {
        month: "2026-01-01".parse().unwrap(),
        mailed_at: at("2026-02-03T00:21:00Z"),
        from: at("2026-01-01T00:20:00Z"),
        to: at("2026-02-01T00:20:00Z"),
        change: Usd::from_dollars(60),
        bought: Usd::from_dollars(1000),
        is_the_first: true,
        rows: vec![of_programme, MailedRow { row: row(None, RowKind::Unowned, 18), name: None }],
        recipients: vec!["fedcba9876543210".parse().unwrap()],
        queued: 1,
    }
}

pub(super) fn a_statements_mail() -> OutboxRow {
    let MailedStatement { month, recipients, mailed_at, .. } = a_mailed_statement();
    OutboxRow::queued(ulid(), QueuedMail::Statement { month, recipient: recipients[0].clone() }, mailed_at)
}

pub(super) fn a_foreign_act() -> ForeignAct {
    ForeignAct {
        key: hash("f0"),
        name: "My key".to_owned(),
        change: ForeignChange::Limit(Usd::from_dollars(5)),
        pressed_at: at("2026-01-03T09:00:00Z"),
        pressed_by: "fedcba9876543210".parse().unwrap(),
        state: ForeignActState::Confirmed,
        answered: Some(AnsweredKey {
            at: at("2026-01-03T09:00:01Z"),
            enabled: true,
            limit: Some(Usd::from_dollars(5)),
        }),
        version: 2,
    }
}

pub(super) fn an_account() -> Account {
    let used = |dollars| DailyUse::on_one("2026-01-02".parse().unwrap(), Usd::from_dollars(dollars));
    Account { as_of: at("2026-01-03T00:20:00Z"), ours: used(42), foreign: used(11) }
}

pub(super) fn a_foreign_key() -> ForeignKey {
    let since = at("2026-01-03T00:20:00Z");
    ForeignKey {
        key: hash("f0"),
        name: "My key".to_owned(),
        enabled: true,
        limit: Some(Usd::CENT),
        used: DailyUse::on_one("2026-01-02".parse().unwrap(), Usd::from_dollars(11)),
        created_at: Some(since),
        last_used_at: Some(since),
        first_seen_at: since,
        gone_at: Some(since),
        as_of: since,
        recorded_by: since,
        in_cut: LifetimeUse { credits: Usd::from_dollars(10), byok: Usd::ZERO },
    }
}

pub(super) fn a_missing_key() -> MissingKey {
    let missing_since = at("2026-01-03T00:20:30Z");
    MissingKey { key: hash("de"), missing_since, as_of: at("2026-01-04T00:20:00Z") }
}

pub(super) fn some_marks() -> HeldMarks {
    HeldMarks { marks: ulid(), part: 0, as_of: at("2026-01-03T00:20:00Z"), bytes: vec![b'o', 1, 2] }
}

pub(super) fn a_key_owner() -> KeyOwner {
    KeyOwner {
        key: hash("f0"),
        owner: a_programme().id,
        from: Date::constant(2026, 1, 2),
        at: at("2026-01-03T08:00:00Z"),
        by: Actor::Person("fedcba9876543210".parse().unwrap()),
    }
}

pub(super) fn some_assigned_use() -> AssignedUse {
    AssignedUse { programme: a_programme().id, used: a_foreign_key().used, keys: 1, version: 3 }
}
