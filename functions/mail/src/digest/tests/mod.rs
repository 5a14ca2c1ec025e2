//! The words of digests, by what is on record.

mod programme;

use bursar_core::config::Config;
use bursar_core::domain::mail::digest::{
    Digest, DigestLine, DigestMoney, DigestPeople, LineSubject, Need, PeopleSample, Spender,
};
use bursar_core::domain::programme::Budget;
use bursar_core::domain::usage::days::{Accuracy, Days, Sum};
use bursar_core::domain::usage::forecast::StandingOut;
use bursar_core::domain::usage::models::{ModelUse, NOT_BY_MODEL, Sums};
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::Usd;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use serde_json::json;

use super::{DigestNames, DigestReader};
use crate::letter::Letter;
use crate::tests::{at, programme, written};

const WEEK: (Date, Date) = (date(2026, 11, 9), date(2026, 11, 15));

fn usd(cents: i64) -> Usd {
    Usd::from_micros(cents * 10_000)
}

fn exactly(cents: i64) -> Sum {
    Sum {
        spent: usd(cents),
        accuracy: Accuracy::Exactly,
    }
}

fn grant(number: u64) -> GrantId {
    format!("{number:016x}").parse().unwrap()
}

fn few(count: u32, of: impl Iterator<Item = u64>) -> PeopleSample {
    PeopleSample {
        count,
        first: of.map(grant).collect(),
    }
}

/// Spending of this amount on each day of the term until yesterday.
fn steadily(cents: i64) -> Days {
    let mut days = Days::default();
    for day in date(2026, 10, 12)
        .series(1.day())
        .take_while(|day| *day <= WEEK.1)
    {
        days.add(&Days::on_one(day, usd(cents)));
    }
    days
}

fn model(name: &str, cents: i64, requests: u64) -> ModelUse {
    let used = Sums {
        spent: usd(cents),
        byok: Usd::ZERO,
        requests,
    };
    ModelUse {
        whose: None,
        model: name.to_owned(),
        used,
    }
}

fn a_full_digest() -> Digest {
    let line = |group: &str, this_week, week_before| DigestLine {
        subject: LineSubject::Group(group.to_owned()),
        this_week: usd(this_week),
        week_before: usd(week_before),
    };
    let spender = |number: u64, cents| Spender {
        grant: grant(number),
        this_week: usd(cents),
        of_cap: usd(cents + 900),
        cap: Usd::from_dollars(20),
    };
    Digest {
        programme: programme().id,
        week: date(2026, 11, 16),
        found_at: at("2026-11-16T06:00:00Z"),
        days: WEEK,
        money: DigestMoney {
            budget: Budget {
                reserved: Usd::from_dollars(3220),
                unreserved: serde_json::from_value(json!({"programme": 39})).unwrap(),
                ..Budget::new(programme().id, Usd::from_dollars(4000))
            },
            owns_keys: false,
            this_week: exactly(31_240),
            week_before: exactly(28_010),
            spent: steadily(4_700),
        },
        groups: vec![
            line("Lab A", 20_000, 10_000),
            line("Lab B", 11_000, 18_000),
            DigestLine {
                subject: LineSubject::NoGroup,
                this_week: usd(240),
                week_before: usd(10),
            },
        ],
        models: vec![
            model("anthropic/claude-sonnet-4.5", 20_000, 3_125),
            model("openai/gpt-4o-mini", 10_000, 33_334),
            model("deepseek/deepseek-r1-0528", 1_000, 477),
            model(NOT_BY_MODEL, 240, 0),
        ],
        models_unknown: vec![(date(2026, 11, 14), date(2026, 11, 15))],
        standing_out: StandingOut {
            usual_week: usd(112),
            most: vec![(grant(1), usd(1_120))],
            unnamed: 0,
        },
        people: Some(DigestPeople {
            days: WEEK,
            students: 200,
            claimed: 161,
            active: 120,
            spenders: vec![spender(1, 1_120), spender(2, 640), spender(3, 640)],
            needs: vec![
                (Need::UsedUp, few(3, 26..29)),
                (Need::Paused, few(1, 29..30)),
                (Need::NeverUsed, few(2, 4..6)),
                (Need::Unclaimed, few(39, 6..26)),
                (Need::Unreached, few(1, 7..8)),
            ],
        }),
        listed_at: Some(at("2026-11-16T00:20:00Z")),
        recipients: Vec::new(),
        queued: 0,
    }
}

/// Nobody in particular.
fn nobody() -> DigestPeople {
    DigestPeople {
        days: WEEK,
        students: 200,
        claimed: 161,
        ..DigestPeople::default()
    }
}

fn names() -> DigestNames {
    let first = [
        "Ada Lovelace",
        "Alan Turing",
        "barbara.liskov@example.edu",
        "Björn Borg",
        "Chloé <b>Dubois</b>",
    ];
    let name = |number: u64| {
        let of = first.get(usize::try_from(number).unwrap() - 1);
        of.map_or_else(|| format!("Student {number:02}"), |name| (*name).to_owned())
    };
    (1..30)
        .map(|number| (grant(number), name(number)))
        .collect()
}

async fn of_programme(digest: &Digest, reader: DigestReader) -> (String, Letter, Config) {
    written(|words| words.digest(&programme(), digest, &reader, digest.found_at)).await
}
