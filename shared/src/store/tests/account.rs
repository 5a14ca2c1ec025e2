//! The raw form of alarms and digests, and of what an admin does to the account.

use jiff::civil::Date;

use super::{at, raw, ulid};
use crate::domain::audit::{Act, Actor, AuditDetail, Entry};
use crate::domain::credit::balance::{BalanceNeed, BalanceNotice, Basis};
use crate::domain::credit::purchase::Purchase;
use crate::domain::grant::testing::{a_grant, a_programme};
use crate::domain::mail::alarm::{Alarm, Cause};
use crate::domain::mail::digest::{
    AccountDigest, Block, Digest, DigestLine, DigestMoney, Health, LineSubject, People, PeopleSample, ProgrammeLine,
    Spender, UnownedKey,
};
use crate::domain::mail::kind::MailKind;
use crate::domain::usage::days::{Accuracy, Days, Sum};
use crate::domain::usage::forecast::RunsOut;
use crate::domain::usage::models::{ModelUse, Sums};
use crate::domain::values::id::PersonId;
use crate::domain::values::money::Usd;
use crate::secrets::ManagementKey;
use crate::store::{Checkpoint, Delay, ModelDay, ModelRows, OutboxRow, QueuedMail, SavedParts};

const NEED: BalanceNeed = BalanceNeed { amount: Usd::CENT, basis: Basis::TwoWeeks };

fn a_purchase() -> Purchase {
    Purchase {
        amount: Usd::from_dollars(200),
        balance: Usd::from_dollars(5),
        to_come: Usd::from_dollars(90),
        foreign: Usd::from_dollars(28),
        foreign_to_come: Usd::from_dollars(56),
        pace: Usd::from_dollars(30),
        is_partial: true,
        gone_on: Some(Date::constant(2026, 1, 7)),
        buy_by: Some(Date::constant(2025, 12, 8)),
    }
}

fn a_balance_notice() -> BalanceNotice {
    BalanceNotice {
        alerted_at: at("2026-01-03T00:21:00Z"),
        need: NEED,
        purchase: a_purchase(),
        is_short: true,
        is_over: true,
        version: 2,
    }
}

pub(super) fn items() -> String {
    alarms()
        .into_iter()
        .chain([
            raw(&an_account_entry()),
            raw(&a_model_day()),
            raw(&ModelDay { programme: None, ..a_model_day() }),
            raw(&some_model_rows()),
            raw(&a_balance_notice()),
        ])
        .chain(digests())
        .collect::<Vec<_>>()
        .join("\n")
}

/// One alarm of each cause, and the mail of one of them.
fn alarms() -> Vec<String> {
    let recipient: PersonId = "fedcba9876543210".parse().unwrap();
    let causes = [
        Cause::HeldBack { sweeps: 30, recoveries: 2, stops: 1, bound: 5, keys: vec!["a name".to_owned()] },
        Cause::Residual { residual: Usd::from_dollars(4), news: Usd::from_dollars(1), tolerance: Usd::CENT },
        Cause::ManagementKey,
        Cause::AnotherAccount {
            management_key: ManagementKey::parse("sk-or-v1-management")
                .unwrap()
                .fingerprint(&"0123456789".parse().unwrap()),
        },
        Cause::Incomplete { problems: 2, first: "the listing did not reach its end".to_owned() },
        Cause::Silent { last: Some(at("2026-01-01T00:20:00Z")) },
        Cause::Balance { need: NEED, purchase: a_purchase(), alerted_at: at("2026-01-03T00:21:00Z") },
        Cause::Unsent { mail: Some(MailKind::Roster), code: "MessageRejected".to_owned(), first: ulid() },
        Cause::Stuck { programme: a_programme().id, since: at("2026-01-02T08:00:00Z") },
    ];
    let alarm = |cause| Alarm {
        recipients: vec![recipient.clone()],
        queued: 1,
        ..Alarm::now(cause, at("2026-01-03T00:21:00Z"))
    };
    let alarms = causes.map(alarm);
    let mail = QueuedMail::Account { day: alarms[0].day, alarm: alarms[0].name(), recipient: recipient.clone() };
    let row = OutboxRow::queued(ulid(), mail, at("2026-01-03T00:21:00Z"));
    alarms.iter().map(raw).chain([raw(&row)]).collect()
}

/// A digest of each kind, with its mails.
fn digests() -> Vec<String> {
    let (day, found_at) = (Date::constant(2026, 1, 4), at("2026-01-05T06:00:00Z"));
    let week = Date::constant(2026, 1, 5);
    let recipient: PersonId = "fedcba9876543210".parse().unwrap();
    let (grant, cent) = (a_grant().id, Usd::CENT);
    let days = (day, day);
    let known = |known| Sum { spent: cent, known };
    let health = Health { completed_at: Some(found_at), listed_at: Some(found_at) };
    let few = PeopleSample { count: 30, first: vec![grant.clone()] };
    let digest = Digest {
        programme: a_programme().id,
        week,
        found_at,
        days,
        money: DigestMoney {
            budget: Usd::from_dollars(100),
            reserved: Usd::from_dollars(20),
            this_week: known(Accuracy::Exactly),
            week_before: known(Accuracy::Partly),
            spent: Days::on_one(day, cent),
        },
        groups: [LineSubject::Group("A".to_owned()), LineSubject::Further(3), LineSubject::NoGroup]
            .map(|of| DigestLine { of, this_week: cent, week_before: cent })
            .to_vec(),
        models: a_model_day().by,
        models_unknown: vec![days],
        people: People {
            students: 200,
            claimed: 161,
            active: 120,
            spenders: vec![Spender { grant: grant.clone(), this_week: cent, of_cap: cent, cap: cent }],
            stand_out: 1,
            standing_out: vec![(grant, cent)],
            usual_week: cent,
            unused: few.clone(),
            unclaimed: few.clone(),
            unreached: few.clone(),
            complained: few.clone(),
            blocked: vec![(Block::UsedUp, few)],
        },
        health: health.clone(),
        recipients: vec![recipient.clone()],
        queued: 1,
    };
    let line = ProgrammeLine {
        programme: a_programme().id,
        this_week: known(Accuracy::Estimated),
        spent: cent,
        budget: cent,
        runs_out: Some(RunsOut::OutOn(day)),
    };
    let account = AccountDigest {
        week,
        found_at,
        days,
        balance: Some(cent),
        reserved: cent,
        to_come: cent,
        need: NEED,
        this_week: known(Accuracy::Exactly),
        week_before: known(Accuracy::Exactly),
        new_keys: 1,
        first_new_keys: vec![UnownedKey { key: "f0".repeat(32).parse().unwrap(), spent: cent, limit: Some(cent) }],
        programmes: vec![ProgrammeLine { runs_out: None, ..line.clone() }, line],
        further: 0,
        held_back: 30,
        residual: Some(cent),
        residual_grew: Some(cent),
        health,
        recipients: vec![recipient.clone()],
        queued: 1,
    };
    let mail = |mail| raw(&OutboxRow::queued(ulid(), mail, found_at));
    let of_programme = QueuedMail::Digest { programme: a_programme().id, week, recipient: recipient.clone() };
    vec![raw(&digest), raw(&account), mail(of_programme), mail(QueuedMail::AccountDigest { week, recipient })]
}

fn a_model_day() -> ModelDay {
    let used = Sums { spent: Usd::CENT, byok: Usd::ZERO, requests: 7 };
    ModelDay {
        programme: Some(a_programme().id),
        day: "2026-01-02".parse().unwrap(),
        as_of: at("2026-01-03T00:20:00Z"),
        by: vec![ModelUse { whose: Some("A".to_owned()), model: "openai/gpt-4o-mini".to_owned(), used }],
    }
}

fn some_model_rows() -> ModelRows {
    let (day, as_of) = ("2026-01-02".parse().unwrap(), at("2026-01-03T00:20:00Z"));
    ModelRows { day, part: 0, parts: 1, as_of, until: at("2027-02-06T00:00:00Z"), bytes: vec![1, 2] }
}

fn an_account_entry() -> Entry {
    let by = Actor::Person("fedcba9876543210".parse().unwrap());
    let what = AuditDetail::new(Act::SafetyLimitReleased)
        .changing("2026-01-03T00:20:00Z", "released")
        .noting("30 keys to be swept");
    Entry { entry: ulid(), ..Entry::on_account(&by, at("2026-01-03T08:00:00Z"), what) }
}

pub(super) fn a_checkpoint() -> Checkpoint {
    let rows = vec![SavedParts { fence: 2, parts: 2 }, SavedParts { fence: 3, parts: 0 }];
    let table = "bursar".to_owned();
    let due = at("2026-01-03T00:40:00Z");
    let delay = Some(Delay { why: "no answer".to_owned(), due, tries: 2, in_a_row: 1 });
    Checkpoint { run: ulid(), began_at: at("2026-01-03T00:20:00Z"), table, fence: 3, number: 4, rows, parts: 1, delay }
}
