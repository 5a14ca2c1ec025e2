//! The raw form of every kind of item, as AWS spells it: each recorded item is read, written again, and comes out as it was. What an
//! item of now may leave out, such as an optional field that is new, shows once the record has it.

use super::items::{self, Item, Stored};
use super::*;
use crate::domain::credit::BalanceNotice;
use crate::domain::grant::{MoreListing, Reading};
use crate::domain::ledger::cut::AccountCut;
use crate::domain::ledger::foreign::{ForeignAct, KeyOwner};
use crate::domain::ledger::mailed::MailedStatement;
use crate::domain::mail::digest::{AccountDigest, Digest};
use crate::domain::mail::kind::MailDay;
use crate::domain::programme::guardrail::Guardrail;
use crate::domain::programme::request::Request;
use crate::domain::programme::rules::Tier;
use crate::domain::sign_in::{Session, SignIn};
use crate::domain::usage::crossing::Crossing;
use crate::store::prelude::*;

const RECORD: &str = include_str!("snapshots/bursar_core__store__tests__every_item_is_written_as_it_is_on_record.snap");

/// The kinds, and what the product writes for an item of one of them that it has read.
macro_rules! kinds {
    ($($kind:ident)*) => {
        const KINDS: &[&str] = &[$($kind::KIND),*];

        fn rewritten(item: Item) -> Result<Item, StoreError> {
            $(if items::is_kind::<$kind>(&item) {
                return items::to_item(&items::from_item::<$kind>(item)?);
            })*
            panic!("of no known kind: {item:?}")
        }
    };
}

kinds! {
    Meta Lease Programme Roles Budget Guardrail Tier Grant Reading Entry Enrolment OutboxRow FiledMail DoneByHand
    SentAs MailDay RosterMails BulkStop MailServer MailRefusal Undeliverable SignIn Link Session LoginRequest RateCount HourlyUses
    StaffPerson KnownAddress KeyOwner AssignedUse KeptTotals GroupTotals Crossing CapScan Run SyncState Account
    AccountDay BalanceReading AccountCut CutKeys MailedStatement ForeignAct ForeignKey OwnJudgement Alarm
    AddedAdmins ModelDay ModelRows BalanceNotice Digest AccountDigest Import Job RosterPreview ImportPart RosterToken Erasure
    Request MoreListing
}

fn recorded() -> impl Iterator<Item = Item> {
    let (_, items) = RECORD.split_once("\n---\n").unwrap();
    items.trim().split("\n\n").map(|item| item.lines().map(attribute).collect())
}

fn attribute(line: &str) -> (String, aws_sdk_dynamodb::types::AttributeValue) {
    let (name, value) = line.split_once(": ").unwrap();
    (name.to_owned(), serde_json::from_str::<serde_dynamo::AttributeValue>(value).unwrap().into())
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
    let again: Vec<String> = recorded().map(|item| shown(rewritten(item).unwrap())).collect();
    insta::assert_snapshot!(again.join("\n"));
    let on_record: BTreeSet<String> = recorded().map(|item| item["kind"].as_s().unwrap().clone()).collect();
    assert!(on_record.iter().eq(KINDS.iter().collect::<BTreeSet<_>>()), "every kind is on record: {on_record:?}");
}

#[test]
fn an_item_of_another_kind_or_shape_is_corrupt_and_names_nobody() {
    let item = recorded().find(items::is_kind::<Enrolment>).unwrap();
    let wrong_kind = items::from_item::<Grant>(item.clone()).unwrap_err();
    let (mut wrong_value, mut wrong_shape) = (item.clone(), item.clone());
    wrong_value.insert("grant".to_owned(), item["address"].clone());
    wrong_shape.remove("grant");
    let wrong = [wrong_value, wrong_shape].map(|item| items::from_item::<Enrolment>(item).unwrap_err());
    for message in [wrong_kind.to_string(), wrong[0].to_string(), wrong[1].to_string()] {
        assert!(message.contains("corrupt (A/G)") && !message.contains("ada"), "{message}");
    }
}
