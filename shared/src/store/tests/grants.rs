//! A grant, a reading, and the import and the job of a roster, one of each with every attribute.

use super::{a_key, at, ulid};
use crate::domain::audit::Actor;
use crate::domain::grant::testing::{a_grant, a_programme};
use crate::domain::grant::{
    AnnouncedEnd, Attempt, AttemptState, Grant, GrantState, KeyAbsence, KeyGuardrail, Notice, Pause, Reading,
    SwitchState,
};
use crate::domain::people::role::Role;
use crate::domain::usage::days::Days;
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::id::Epoch;
use crate::domain::values::money::Usd;
use crate::domain::values::window::Reset;
use crate::store::{Import, Job, JobState, Pass, Step, Work};

/// A grant with something in every attribute.
pub(super) fn a_full_grant() -> Grant {
    let attempt = |epoch, state, disable| Attempt {
        state,
        switch: disable,
        expires_at: Some(at("2026-03-15T00:00:00Z")),
        ..Attempt::open(Epoch::new(epoch), "0123456789abcdef".parse().unwrap(), at("2026-01-02T08:00:00Z"))
    };
    let announced = AnnouncedEnd { at: at("2026-01-02T08:40:00Z"), until: at("2026-01-09T08:40:00Z") };
    let ordered = SwitchState::OffOrdered { since: at("2026-01-02T09:00:00.250Z") };
    let shown = Attempt {
        key: Some(a_key()),
        limit: Some(Usd::from_dollars(20)),
        shown_at: Some(at("2026-01-02T08:00:01Z")),
        resumed_at: Some(at("2026-01-02T08:30:00Z")),
        announced: [Notice::UnusedSoon, Notice::TooOldSoon, Notice::TermEndSoon]
            .map(|notice| (notice, announced))
            .into(),
        larger_limit: Some(crate::domain::grant::LargerLimit {
            limit: Usd::from_dollars(30),
            until: Some(at("2026-01-02T08:50:00Z")),
            unanswered_since: Some(at("2026-01-02T08:49:00Z")),
        }),
        limit_ordered: Some(at("2026-01-02T08:55:00Z")),
        guardrail: Some(KeyGuardrail { group: Some("A".to_owned()), id: "9a1c".to_owned() }),
        rules_ordered: Some(at("2026-01-02T08:56:00Z")),
        late_enable_until: Some(at("2026-01-02T09:00:15.250Z")),
        read_at: Some(at("2026-01-02T09:16:00.250Z")),
        put_off: Some(crate::domain::grant::OrderBackoff { tries: 2, until: at("2026-01-02T09:02:00.250Z") }),
        missing_since: Some(at("2026-01-02T09:01:00Z")),
        rest_promised_since: Some(at("2026-01-03T09:01:00Z")),
        gone: Some(KeyAbsence::Purged),
        ..attempt(1, AttemptState::Shown, ordered)
    };
    let mut grant = a_grant();
    grant.person.name = Some("Ada Lovelace".to_owned());
    grant.person.roster_id = Some("s1234".to_owned());
    grant.group = Some("A".to_owned());
    grant.own_cap = Some(Usd::from_dollars(25));
    grant.state =
        GrantState::Minting { nonce: "0123456789abcdef".parse().unwrap(), lease_until: at("2026-01-02T09:01:00.250Z") };
    grant.holds.paused = Some(Pause { by: Actor::Student, role: Role::Assistant, why: Some("exam".to_owned()) });
    grant.holds.dropped = Some(at("2026-01-02T08:58:00Z"));
    grant.epoch = Epoch::new(2);
    grant.has_place = true;
    grant.ever_shown = true;
    grant.counted_at = Some(at("2026-01-02T08:00:01Z"));
    grant.attempts = vec![shown, attempt(2, AttemptState::Open, SwitchState::On)];
    grant
}

pub(super) fn a_full_reading() -> Reading {
    let now = at("2026-01-03T00:21:00Z");
    let window = Reset::Monthly.window_at(now);
    let mut used = DailyUse::on_one("2026-01-02".parse().unwrap(), Usd::from_micros(1_234_567));
    used.byok = Days::on_one("2026-01-03".parse().unwrap(), Usd::from_micros(5));
    Reading {
        programme: a_programme().id,
        grant: a_grant().id,
        epoch: Epoch::new(1),
        used,
        window,
        in_window: Usd::from_micros(234_567),
        before: Usd::from_micros(1_000_005),
        last_used_at: Some(at("2026-01-02T23:59:00Z")),
        as_of: now,
        unchanged_until: Some(at("2026-01-02T00:20:00Z")),
    }
}

pub(super) fn an_import() -> Import {
    let grant = a_full_grant();
    let add = Step::Add { person: grant.person.clone(), group: grant.group.clone() };
    let change = Step::Change { grant: grant.id.clone(), person: grant.person, group: None };
    Import {
        import: ulid(),
        dropped: 1,
        to_confirm: true,
        applied: true,
        some: vec![add, change, Step::Drop { grant: grant.id.clone() }, Step::Return { grant: grant.id }],
        ..Import::of(&a_programme().id, 4, at("2026-01-02T08:00:00Z"))
    }
}

pub(super) fn a_job() -> Job {
    Job {
        programme: a_programme().id,
        job: ulid(),
        work: Work::Import { import: ulid() },
        by: Actor::Person("fedcba9876543210".parse().unwrap()),
        state: JobState::Running { lease_until: at("2026-01-02T08:01:00Z") },
        done: 24,
        all: 200,
        refused: 1,
        pass: Pass { next: 24, ..Pass::default() },
        started_at: at("2026-01-02T08:00:00Z"),
        advanced_at: at("2026-01-02T08:00:10Z"),
        version: 3,
    }
}

/// A walk whose grants partly wait for the provider.
pub(super) fn a_walk() -> Job {
    let pass = Pass { next: 0, reached: vec![a_full_grant().id], seen: 20, waiting: 3, refused: 1 };
    Job { work: Work::Limits, state: JobState::Waiting { until: at("2026-01-02T08:01:00Z") }, pass, ..a_job() }
}
