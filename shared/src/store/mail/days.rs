//! The counts of each day's mail, the sending limits of the mail server, and stops of bulk mail. A mail's row
//! says how it is counted; the domain says how much is too much.

use crate::clock::Moment;
use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::domain::mail::day::{Delivery, MailCounts, MailDay};
use crate::domain::mail::kind::MailKind;
use crate::domain::values::window::utc_date;
use crate::store::items::stored;
use crate::store::keys::{ACCOUNT, BULK_STOPS, key};
use crate::store::table::commit::Unaudited;
use crate::store::table::items::Stored;
use crate::store::table::transaction::{Transaction, number};
use crate::store::table::{StoreError, Table, keys};

const KEPT: SignedDuration = SignedDuration::from_hours(366 * 24);

/// The last stop of bulk mail of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkStop {
    pub at: Moment,
    /// The counts of the day and kind that caused the stop, as they were then.
    #[serde(flatten)]
    pub of: MailDay,
    pub version: u64,
}

stored! {
    "bulk-stop" BulkStop |it| (mail: MailKind = it.of.mail) => key(ACCOUNT, format!("{BULK_STOPS}{mail}"))
}

/// The sending limits and state of the mail server, as last queried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MailServer {
    pub as_of: Moment,
    /// Mails that it takes in 24 hours; `None` where there is no limit.
    pub per_day: Option<u64>,
    pub per_second: f64,
    /// Mails that it took in the last 24 hours, from other senders of the account too.
    pub sent: u64,
    /// Whether it sends for this account at all.
    pub enabled: bool,
}

stored! {
    "mail-server" MailServer |_| () => key(ACCOUNT, "MAIL-SERVER")
}

impl BulkStop {
    /// Whether it still holds: to the end of the UTC day.
    pub fn holds(&self, now: Moment) -> bool {
        utc_date(self.at) == utc_date(now)
    }

    /// Whether a day's counts are a new reason to stop. A day stops its mail once. Counts of earlier days are
    /// over.
    pub fn is_new_reason(last: Option<&BulkStop>, mail: &MailDay) -> bool {
        last.is_none_or(|last| last.of.day < mail.day) && mail.counts.is_above()
    }
}

impl MailServer {
    /// What is left of its quota, if it has one.
    pub fn left(&self) -> Option<u64> {
        self.per_day.map(|per_day| per_day.saturating_sub(self.sent))
    }

    /// Whether its limits are those of a sandbox, which mails only verified addresses. SES does not say so to
    /// a role that may only send.
    pub fn is_sandbox(&self) -> bool {
        self.per_day == Some(200) && self.per_second <= 1.0
    }
}

impl Table {
    /// The counts of a day's mail of one kind.
    pub async fn mail_day(&self, day: Date, mail: MailKind) -> Result<MailDay, StoreError> {
        Ok(self.get(MailDay::key_of(day, mail)).await?.unwrap_or(MailDay::none_on(day, mail)))
    }

    /// The counts of all mail of a day.
    pub async fn mail_counts(&self, day: Date) -> Result<MailCounts, StoreError> {
        let days: Vec<MailDay> = self.query(keys::ACCOUNT, &keys::mail_days(day)).await?;
        Ok(days.into_iter().map(|day| day.counts).sum())
    }

    /// The last stop of each kind of bulk mail.
    pub async fn bulk_stops(&self) -> Result<Vec<BulkStop>, StoreError> {
        self.query(keys::ACCOUNT, keys::BULK_STOPS).await
    }

    /// Stops bulk mail of a kind because of this day, on condition that the last stop is the one that was
    /// read. Nothing happens if another writer was faster.
    pub async fn stop_bulk(
        &self,
        of: MailDay,
        last: Option<BulkStop>,
        now: Moment,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let version = last.map_or(0, |last| last.version);
        let stop = BulkStop { at: now, of, version: version + 1 };
        let written = match version {
            0 => self.put_new(&stop, deadline).await,
            version => self.replace(&stop, version, Unaudited::Delivery, deadline).await,
        };
        written.map(drop)
    }

    pub async fn note_mail_server(&self, server: &MailServer, deadline: Deadline) -> Result<(), StoreError> {
        self.put_later(server, server.as_of, deadline).await
    }
}

impl Transaction {
    /// Moves a mail from one count of its day to another, or counts it for the first time.
    pub(in crate::store) fn counting(
        self,
        (day, mail): (Date, MailKind),
        before: Option<Delivery>,
        after: Option<Delivery>,
    ) -> Result<Transaction, StoreError> {
        let count = |fared: Option<Delivery>| {
            let mut count = MailCounts::default();
            fared.into_iter().for_each(|fared| count.count(fared));
            numbers(&count)
        };
        let (before, after) = (count(before), count(after));
        let changes: Vec<(&str, i64)> = before
            .iter()
            .zip(after)
            .map(|((name, before), (_, after))| (*name, after.cast_signed() - before.cast_signed()))
            .collect();
        let says = [
            ("kind", aws_sdk_dynamodb::types::AttributeValue::S(MailDay::KIND.to_owned())),
            ("day", aws_sdk_dynamodb::types::AttributeValue::S(day.to_string())),
            ("mail", aws_sdk_dynamodb::types::AttributeValue::S(mail.to_string())),
            ("ttl", number(MailDay::none_on(day, mail).expires().map_or(0, |at| at.as_second()))),
        ];
        self.add(&MailDay::key_of(day, mail), &says, &changes)
    }
}

fn numbers(counts: &MailCounts) -> [(&'static str, u64); 5] {
    [
        ("sent", counts.sent),
        ("delivered", counts.delivered),
        ("returned", counts.returned),
        ("bounced", counts.bounced),
        ("complained", counts.complained),
    ]
}

impl MailDay {
    pub(crate) fn kept_until(&self) -> Option<Moment> {
        self.day.to_zoned(TimeZone::UTC).ok().map(|day| Moment::from(day.timestamp()) + KEPT)
    }
}
