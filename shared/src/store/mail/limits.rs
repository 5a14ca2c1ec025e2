//! What holds mail back: the counts of each day's mail and the stops that follow from them, the sending limits of the mail server, and its
//! refusals of all mail from this account, or of some. The domain says how much is too much.

use crate::domain::mail::failure::{NOT_VERIFIED, QUOTA, QUOTA_UNREAD};
use crate::domain::mail::kind::{Delivery, MailCounts, MailDay, MailKind};
use crate::store::Facts;
use crate::store::prelude::*;

const KEPT: SignedDuration = SignedDuration::from_hours(366 * 24);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkStop {
    pub at: Moment,
    /// The counts of the day and kind that caused the stop, as they were then.
    #[serde(flatten)]
    pub of: MailDay,
    pub version: u64,
}

stored! {
    BulkStop |it| (mail: MailKind = it.of.mail) => key(ACCOUNT, format!("BULK-STOP#{mail}"));
    list all() => begin(ACCOUNT, "BULK-STOP#")
}

/// The roster mails of a programme. The function that sends mail counts them, so they lie where it may write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterMails {
    pub programme: ProgrammeId,
    /// The people who were put on the roster.
    pub owed: u64,
    /// What became of the mails, those that were sent again and reminders among them.
    #[serde(flatten)]
    pub counts: MailCounts,
}

stored! {
    RosterMails |it| (programme: &ProgrammeId = &it.programme) => key(ACCOUNT, format!("ROSTER-MAILS#{programme}"))
}

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
    MailServer |_| () => key(ACCOUNT, "MAIL-SERVER")
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
    pub async fn mail_day(&self, day: Date, mail: MailKind) -> Result<MailDay, StoreError> {
        Ok(self.get(MailDay::key_of(day, mail)).await?.unwrap_or(MailDay::none_on(day, mail)))
    }

    pub async fn roster_mails(&self, programme: &ProgrammeId) -> Result<RosterMails, StoreError> {
        let none = || RosterMails { programme: programme.clone(), owed: 0, counts: MailCounts::default() };
        Ok(self.get(RosterMails::key_of(programme)).await?.unwrap_or_else(none))
    }

    /// Corrects the number of people to whom a roster mail is owed.
    pub(crate) async fn set_roster_mails_owed(
        &self,
        programme: &ProgrammeId,
        owed: usize,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let set = format!("SET #kind = :kind, programme = :programme, owed = :owed ADD {CHANGES}");
        let values = of_roster(programme, owed, [0; 5]);
        let set = self.single().update(&RosterMails::key_of(programme), &set, "", &values)?;
        self.write_alone(set, deadline).await.map(drop)
    }

    pub async fn mail_counts(&self, day: Date) -> Result<MailCounts, StoreError> {
        Ok(self.list(MailDay::of_day(day)).await?.into_iter().map(|day| day.counts).sum())
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
        self.replace(&stop, version, Unaudited::Delivery, deadline).await.map(drop)
    }
}

impl Transaction {
    pub(crate) fn counting(
        self,
        (day, mail): (Date, &QueuedMail),
        before: Option<Delivery>,
        after: Option<Delivery>,
    ) -> Result<Transaction, StoreError> {
        let Facts { kind, to, .. } = mail.facts();
        let count = |fared: Option<Delivery>| {
            let mut count = MailCounts::default();
            fared.into_iter().for_each(|fared| count.count(fared));
            [count.sent, count.delivered, count.returned, count.bounced, count.complained]
        };
        let (before, after) = (count(before), count(after));
        let changes: [i64; 5] = std::array::from_fn(|at| after[at].cast_signed() - before[at].cast_signed());
        let mut values = changed(changes);
        values.extend([
            (":kind", text(MailDay::KIND)),
            (":day", text(day.to_string())),
            (":mail", text(kind.to_string())),
            (":ttl", number(MailDay::none_on(day, kind).expires().map_or(0, |at| at.as_second()))),
        ]);
        let counted = format!("SET #kind = :kind, #day = :day, #mail = :mail, #ttl = :ttl ADD {CHANGES}");
        let transaction = self.update(&MailDay::key_of(day, kind), &counted, "", &values)?;
        match to.programme() {
            Some(programme) if kind == MailKind::Roster => transaction.counting_roster_mails(programme, 0, changes),
            _ => Ok(transaction),
        }
    }

    /// Counts roster mails of a programme: so many more are owed, and so many more became of each.
    pub(crate) fn counting_roster_mails(
        self,
        programme: &ProgrammeId,
        owed: usize,
        changes: [i64; 5],
    ) -> Result<Transaction, StoreError> {
        let counted = format!("SET #kind = :kind, programme = :programme ADD owed :owed, {CHANGES}");
        self.update(&RosterMails::key_of(programme), &counted, "", &of_roster(programme, owed, changes))
    }
}

const CHANGES: &str = "sent :sent, delivered :delivered, returned :returned, bounced :bounced, complained :complained";

/// The values of [`CHANGES`].
fn changed(changes: [i64; 5]) -> Vec<(&'static str, AttributeValue)> {
    let names = [":sent", ":delivered", ":returned", ":bounced", ":complained"];
    names.into_iter().zip(changes.map(number)).collect()
}

fn of_roster(programme: &ProgrammeId, owed: usize, changes: [i64; 5]) -> Vec<(&'static str, AttributeValue)> {
    let mut values = changed(changes);
    let named = [(":kind", text(RosterMails::KIND)), (":programme", text(programme.as_str())), (":owed", number(owed))];
    values.extend(named);
    values
}

impl MailDay {
    pub(crate) fn kept_until(&self) -> Option<Moment> {
        self.day.to_zoned(TimeZone::UTC).ok().map(|day| Moment::from(day.timestamp()) + KEPT)
    }
}

/// How long after the last refusal mail counts as waiting for it. It is tried every twenty minutes, so after
/// that it waits for another reason.
const HOLDS_FOR: SignedDuration = SignedDuration::from_hours(2);
/// How long after the last refusal it is over, whether other mail was accepted or not.
const OVER_AFTER: SignedDuration = SignedDuration::from_hours(3);
/// How long after the last refusal a sandbox is taken to be over: it shows only when there is mail to an
/// unverified address.
const SANDBOX_OVER_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The interval at which a lasting refusal is recorded again.
const RECORDED_EACH: SignedDuration = SignedDuration::from_mins(10);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailRefusal {
    pub code: String,
    pub since: Moment,
    pub last: Moment,
    /// When the mail server was seen to accept such mail again.
    pub ended_at: Option<Moment>,
    pub version: u64,
}

stored! {
    MailRefusal |it| (code: &str = &it.code) => key(ACCOUNT, format!("MAIL-REFUSED#{code}"));
    list all() => begin(ACCOUNT, "MAIL-REFUSED#")
}

impl MailRefusal {
    pub fn is_over(&self, now: Moment) -> bool {
        let after = if self.code == NOT_VERIFIED { SANDBOX_OVER_AFTER } else { OVER_AFTER };
        self.ended_at.is_some() || self.last + after < now
    }

    pub fn holds_back(&self, is_urgent: bool, now: Moment) -> bool {
        let concerns = !is_urgent || self.code != QUOTA_UNREAD;
        concerns && self.ended_at.is_none() && now <= self.last + HOLDS_FOR
    }
}

impl Table {
    /// Records that mail was refused for this reason. Returns the record, which says since when.
    pub async fn note_mail_refusal(
        &self,
        code: &str,
        now: Moment,
        deadline: Deadline,
    ) -> Result<MailRefusal, StoreError> {
        loop {
            let known: Option<MailRefusal> = self.get(MailRefusal::key_of(code)).await?;
            let version = known.as_ref().map_or(0, |known| known.version);
            let refusal = match known {
                Some(known) if !known.is_over(now) && now < known.last + RECORDED_EACH => return Ok(known),
                Some(known) if !known.is_over(now) => MailRefusal { last: now, version: version + 1, ..known },
                _ => MailRefusal { code: code.to_owned(), since: now, last: now, ended_at: None, version: version + 1 },
            };
            let is_written = self.replace(&refusal, version, Unaudited::Delivery, deadline).await?;
            // Otherwise another writer was faster, and its record holds.
            if is_written {
                return Ok(refusal);
            }
        }
    }

    /// Records that mails were accepted and none refused. Recent refusals stay, because the reason may recur
    /// within minutes, and so does a used-up quota, which always has room for some.
    pub async fn end_mail_refusals(&self, now: Moment, deadline: Deadline) -> Result<(), StoreError> {
        for known in self.mail_refusals(now).await? {
            let is_of_all = ![QUOTA, QUOTA_UNREAD, NOT_VERIFIED].contains(&known.code.as_str());
            if is_of_all && known.last + RECORDED_EACH * 2 <= now {
                self.end_refusal(known, now, deadline).await?;
            }
        }
        Ok(())
    }

    pub async fn end_mail_refusal(&self, code: &str, now: Moment, deadline: Deadline) -> Result<(), StoreError> {
        let known: Option<MailRefusal> = self.get(MailRefusal::key_of(code)).await?;
        match known.filter(|known| !known.is_over(now)) {
            Some(known) => self.end_refusal(known, now, deadline).await,
            None => Ok(()),
        }
    }

    /// Ends a refusal as it was read; a newer refusal wins.
    async fn end_refusal(&self, known: MailRefusal, now: Moment, deadline: Deadline) -> Result<(), StoreError> {
        let (version, ended_at) = (known.version, Some(now));
        let ended = MailRefusal { ended_at, version: version + 1, ..known };
        self.replace(&ended, version, Unaudited::Delivery, deadline).await.map(drop)
    }

    pub async fn mail_refusals(&self, now: Moment) -> Result<Vec<MailRefusal>, StoreError> {
        let mut known = self.list(MailRefusal::all()).await?;
        known.retain(|refusal| !refusal.is_over(now));
        Ok(known)
    }
}
