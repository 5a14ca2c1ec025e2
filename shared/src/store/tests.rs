//! The raw form of every kind of item, as AWS spells it: each recorded item is read, written again,
//! and comes out as it was. What an item of now may leave out, such as an optional field that is
//! new, shows once the record has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use jiff::{SignedDuration, Span, SpanRelativeTo};

use super::access::ACCESS_KEPT;
use super::items::Item;
use super::mail::outbox::BETWEEN_REMINDERS;
use super::people::LINKS_COUNTED;
use super::programmes::imports::IMPORT_KEPT;
use super::sync::runs::RUN_KEPT;
use super::{items, *};
use crate::clock::Moment;
use crate::config::RETENTION_DAYS;
use crate::domain::audit::AuditEntry;
use crate::domain::credit::BalanceNotice;
use crate::domain::grant::{Grant, MORE_REQUEST_LASTS, MoreListing, Reading};
use crate::domain::ledger::cut::AccountCut;
use crate::domain::ledger::foreign::{ForeignAct, ForeignKey, KeyOwner};
use crate::domain::ledger::mailed::MailedStatement;
use crate::domain::mail::alarm::Alarm;
use crate::domain::mail::digest::{Digest, KeptPeople};
use crate::domain::mail::failure::UnreachableReason;
use crate::domain::mail::kind::OUTBOX_KEPT;
use crate::domain::programme::counts::RosterCounts;
use crate::domain::programme::guardrail::Guardrail;
use crate::domain::programme::role::Roles;
use crate::domain::programme::rules::Tier;
use crate::domain::programme::{Budget, Programme};
use crate::domain::sign_in::{LINK_LASTS, LOGIN_REQUEST_LASTS, Session, SignIn, SignInMethod};
use crate::domain::sign_on::{BegunSignOn, SIGN_ON_LASTS, SignOnBinding};
use crate::domain::usage::crossing::Crossing;
use crate::domain::values::address::EmailAddress;
use crate::domain::values::id::PersonId;
use crate::domain::values::token::SessionToken;
use crate::schema::{Kind, Stored};
use crate::store::alerts::{BETWEEN_ASKS, BETWEEN_REMINDERS_OF_KEYS};
use crate::store::mail::outbox::NAMING_MAIL_KEPT;
use crate::store::{Enrolment, Job, OutboxRow, StoreError, Undeliverable};

const RECORD: &str = include_str!(
    "snapshots/bursar_core__store__tests__every_item_is_written_as_it_is_on_record.snap"
);

/// What the product writes for an item of one of these kinds that it has read.
macro_rules! kinds {
    ($($kind:ident)*) => {
        fn rewritten(item: Item) -> Result<Item, StoreError> {
            $(if items::is_kind::<$kind>(&item) {
                return items::to_item(&items::from_item::<$kind>(item)?);
            })*
            panic!("of no known kind: {item:?}")
        }
    };
}

kinds! {
    Meta RunLease Programme Roles Budget RosterCounts Guardrail Tier Grant Reading AuditEntry Enrolment OutboxRow FiledMail DoneByHand
    SentAs RosterMails MailServer MailRefusal Undeliverable SignIn Link Session LoginRequest RateCount HourlyUses BegunSignOn SignOnBinding
    StaffPerson KnownAddress KeyOwner AssignedUse KeptTotals GroupTotals KeptPeople Crossing Run SyncState Account
    BalanceReading AccountCut MailedStatement ForeignAct ForeignKey OwnJudgement Alarm
    AddedAdmins ModelDay ModelRows BalanceNotice Digest Import Job RosterPreview ImportPart RosterToken Erasure
    MoreListing ListedModels AccessEntry
    RetentionHold
}

fn recorded() -> impl Iterator<Item = Item> {
    items_of(RECORD)
}

fn items_of(record: &str) -> impl Iterator<Item = Item> {
    let (_, items) = record.split_once("\n---\n").unwrap();
    items
        .trim()
        .split("\n\n")
        .map(|item| item.lines().map(attribute).collect())
}

fn attribute(line: &str) -> (String, aws_sdk_dynamodb::types::AttributeValue) {
    let (name, value) = line.split_once(": ").unwrap();
    (
        name.to_owned(),
        serde_json::from_str::<serde_dynamo::AttributeValue>(value)
            .unwrap()
            .into(),
    )
}

fn shown(item: Item) -> String {
    let attributes: BTreeMap<_, _> = item.into_iter().collect();
    let line = |(name, value)| {
        // A JSON value has its names in order.
        let value = serde_json::to_value(serde_dynamo::AttributeValue::from(value)).unwrap();
        format!("{name}: {value}\n")
    };
    attributes.into_iter().map(line).collect()
}

#[test]
fn every_item_is_written_as_it_is_on_record() {
    let again: Vec<String> = recorded()
        .map(|item| shown(rewritten(item).unwrap()))
        .collect();
    insta::assert_snapshot!(again.join("\n"));
    let on_record: BTreeSet<String> = recorded()
        .map(|item| item["kind"].as_s().unwrap().clone())
        .collect();
    let kinds: BTreeSet<String> = Kind::ALL
        .iter()
        .map(|kind| kind.as_str().to_owned())
        .collect();
    assert_eq!(on_record, kinds, "every kind is on record");
}

/// What a version wrote, each version of the same shape reads.
#[test]
fn what_releases_wrote_is_read() {
    let releases =
        fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/releases")).unwrap();
    let mut read = 0;
    for path in releases.map(|release| release.unwrap().path()) {
        for item in items_of(&fs::read_to_string(&path).unwrap()) {
            rewritten(item).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            read += 1;
        }
    }
    assert_ne!(read, 0);
}

#[test]
fn an_item_of_another_kind_or_shape_is_corrupt_and_names_nobody() {
    let item = recorded().find(items::is_kind::<Enrolment>).unwrap();
    let wrong_kind = items::from_item::<Grant>(item.clone()).unwrap_err();
    let mut wrong_value = item.clone();
    let mut wrong_shape = item.clone();
    wrong_value.insert("grant".to_owned(), item["address"].clone());
    wrong_shape.remove("grant");
    let wrong =
        [wrong_value, wrong_shape].map(|item| items::from_item::<Enrolment>(item).unwrap_err());
    for message in [
        wrong_kind.to_string(),
        wrong[0].to_string(),
        wrong[1].to_string(),
    ] {
        assert!(
            message.contains("corrupt (A/G)") && !message.contains("ada"),
            "{message}"
        );
    }
}

/// `docs/privacy.md` is a promise: a row for each kind, what an erasure does with it, and no times
/// but those of the code.
#[test]
fn privacy() {
    let now = Moment::UNIX_EPOCH;
    let address = EmailAddress::parse("ada@uni.edu")
        .unwrap()
        .matched()
        .clone();
    let none = SignIn::none(address.clone());
    let hash = || SessionToken::generate().hash();
    let session = |person| Session::new(hash(), &none, SignInMethod::Link, person, now).expires();
    let ignored = SignIn {
        last_mailed_at: Some(now),
        unfollowed: usize::MAX,
        ..none.clone()
    };
    let held_back = Undeliverable {
        address: address.clone(),
        why: UnreachableReason::Suppressed,
        marked_at: now,
    };
    let after = |expires: Option<Moment>| expires.unwrap().duration_since(now);
    let retention = SignedDuration::from_hours(24 * i64::from(RETENTION_DAYS));
    let times: [(&[Kind], Vec<SignedDuration>); 17] = [
        (
            &[
                Kind::Grant,
                Kind::Enrolment,
                Kind::KnownAddress,
                Kind::SignOnBinding,
                Kind::ModelRows,
            ],
            vec![retention],
        ),
        (
            &[Kind::Undeliverable],
            vec![after(held_back.expires()), retention],
        ),
        (
            &[Kind::Session],
            vec![
                after(session(None)),
                after(session(Some(PersonId::random()))),
            ],
        ),
        (&[Kind::SignIn], vec![after(ignored.expires())]),
        (&[Kind::Link], vec![LINK_LASTS]),
        (&[Kind::BegunSignOn], vec![SIGN_ON_LASTS]),
        (&[Kind::OutboxRow], vec![NAMING_MAIL_KEPT]),
        (
            &[Kind::OutboxRow, Kind::LoginRequest],
            vec![LOGIN_REQUEST_LASTS],
        ),
        (
            &[
                Kind::OutboxRow,
                Kind::Digest,
                Kind::KeptPeople,
                Kind::FiledMail,
                Kind::SentAs,
            ],
            vec![OUTBOX_KEPT],
        ),
        (&[Kind::Import, Kind::ImportPart], vec![IMPORT_KEPT]),
        (
            &[Kind::ImportPart, Kind::RosterPreview],
            vec![PREVIEW_LASTS, WAITS_FOR],
        ),
        (&[Kind::AccessEntry], vec![ACCESS_KEPT]),
        (&[Kind::MoreListing], vec![MORE_REQUEST_LASTS]),
        (&[Kind::DoneByHand], vec![BETWEEN_REMINDERS]),
        (
            &[Kind::RateCount],
            vec![
                BETWEEN_TESTS,
                BETWEEN_ASKS,
                BETWEEN_REMINDERS_OF_KEYS,
                LINKS_COUNTED,
            ],
        ),
        (
            &[Kind::HourlyUses],
            vec![after(
                HourlyUses {
                    what: String::new(),
                    uses: vec![now],
                    version: 1,
                }
                .expires(),
            )],
        ),
        (&[Kind::Run, Kind::OwnJudgement], vec![RUN_KEPT]),
    ];
    let rows = include_str!("../../../docs/privacy.md")
        .lines()
        .filter(|line| line.starts_with("| `"));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split(" | ").collect()).collect();
    let named: Vec<&str> = rows
        .iter()
        .map(|row| row[0].trim_matches(['|', ' ', '`']))
        .collect();
    assert_eq!(
        named,
        Kind::ALL
            .iter()
            .map(|kind| kind.as_str())
            .collect::<Vec<_>>()
    );
    for (kind, row) in Kind::ALL.iter().zip(&rows) {
        let in_code = times
            .iter()
            .filter(|(kinds, _)| kinds.contains(kind))
            .flat_map(|(_, times)| times.clone());
        let in_code: BTreeSet<SignedDuration> = in_code.collect();
        let words: Vec<&str> = row[4].split([' ', ',', ';']).collect();
        let spans = words
            .windows(2)
            .filter_map(|pair| pair.join(" ").parse::<Span>().ok());
        let promised = spans
            .map(|span| {
                span.to_duration(SpanRelativeTo::days_are_24_hours())
                    .unwrap()
            })
            .collect();
        assert_eq!(in_code, promised, "{kind:?}");
        let expires = recorded()
            .any(|item| items::kind_of(&item) == kind.as_str() && item.contains_key("ttl"));
        assert!(
            !expires || !in_code.is_empty(),
            "{kind:?} expires, and no row says when"
        );
        assert_eq!(
            row[5].replace(' ', ""),
            format!("{:?}", kind.at_erasure()).to_lowercase(),
            "{kind:?}"
        );
    }
}
