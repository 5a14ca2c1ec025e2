//! What holds mail back: the sending limits of the mail server, the stop of a day of which too much
//! came back, and its refusals of all mail from this account, or of some. The domain says how much
//! is too much.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::mail::failure::{NOT_VERIFIED, QUOTA, QUOTA_UNREAD};
use crate::domain::mail::kind::{Delivery, MailCounts, SendFigures};
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::window::utc_date;
use crate::schema::{ACCOUNT, Stored, begin, key, stored};
use crate::store::table::write::{Transaction, Unaudited, Writes, number, text};
use crate::store::{QueuedMail, Result, Table};

/// The roster mails of a programme. The function that sends mail counts them, so they lie where it
/// may write.
#[derive(Debug, Serialize, Deserialize)]
pub struct RosterMails {
    pub programme: ProgrammeId,
    /// The people who were put on the roster.
    pub owed: u64,
    /// What became of the mails, those that were sent again and reminders among them.
    #[serde(flatten)]
    pub counts: MailCounts,
}

stored! {
    RosterMails (programme: &ProgrammeId) => key(ACCOUNT, format!("ROSTER-MAILS#{programme}"))
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
    /// When it was last asked for figures, whether it answered or not.
    pub asked_at: Option<Moment>,
    pub figures: Option<SendFigures>,
    /// The figures of the day on which bulk mail last stopped, as they were then.
    pub stop: Option<SendFigures>,
    pub version: u64,
}

stored! {
    MailServer () => key(ACCOUNT, "MAIL-SERVER")
}

/// The least time between two questions for figures.
const ASKED_EACH: SignedDuration = SignedDuration::from_mins(15);

impl MailServer {
    /// Whether it may be asked for figures again.
    pub fn may_be_asked(&self, now: Moment) -> bool {
        self.asked_at
            .is_none_or(|asked_at| asked_at + ASKED_EACH <= now)
    }

    /// What is known of the mail of this UTC day.
    pub fn today(&self, now: Moment) -> Option<SendFigures> {
        self.figures
            .filter(|figures| utc_date(figures.as_of) == utc_date(now))
    }

    /// Why bulk mail waits to the end of this UTC day, if it does.
    pub fn stopped(&self, now: Moment) -> Option<SendFigures> {
        self.stop
            .filter(|stop| utc_date(stop.as_of) == utc_date(now))
    }

    fn stopped_at(&self) -> Option<Moment> {
        self.stop.map(|stop| stop.as_of)
    }

    pub fn left(&self) -> Option<u64> {
        self.per_day
            .map(|per_day| per_day.saturating_sub(self.sent))
    }

    /// Whether its limits are those of a sandbox, which mails only verified addresses. SES does not
    /// say so to a role that may only send.
    pub fn is_sandbox(&self) -> bool {
        self.per_day == Some(200) && self.per_second <= 1.0
    }
}

impl Table {
    pub async fn roster_mails(&self, programme: &ProgrammeId) -> Result<RosterMails> {
        let stored = self.get(RosterMails::key_of(programme)).await?;
        Ok(stored.unwrap_or_else(|| RosterMails {
            programme: programme.clone(),
            owed: 0,
            counts: MailCounts::default(),
        }))
    }

    /// Counts to how many people a roster mail is owed.
    pub async fn count_roster_mails_owed(
        &self,
        programme: &ProgrammeId,
        deadline: Deadline,
    ) -> Result<()> {
        let owed = self.count_grants(programme).await?;
        let set = format!("SET #kind = :kind, programme = :programme, owed = :owed ADD {CHANGES}");
        let values = of_roster(programme, owed.into(), [0; 5]);
        self.single()
            .update(&RosterMails::key_of(programme), &set, "", &values)?
            .write(deadline)
            .await
            .map(drop)
    }

    /// Records what the mail server said, on condition that the item is still as it was read. What
    /// another writer was faster to record is as new, and only a stop is added to it.
    pub async fn note_mail_server(&self, server: &MailServer, deadline: Deadline) -> Result<()> {
        let mut noted = server.clone();
        loop {
            let as_read = [(":version", number(noted.version))];
            noted.version += 1;
            let put = self
                .single()
                .create_or_replace(&noted, "version = :version", &as_read)?;
            if put.write(deadline).await? {
                return Ok(());
            }
            match self.get(MailServer::key_of()).await? {
                Some(faster) if faster.stopped_at() < server.stopped_at() => {
                    noted = MailServer {
                        stop: server.stop,
                        ..faster
                    };
                }
                _ => return Ok(()),
            }
        }
    }
}

impl Transaction {
    /// Counts what became of a mail, and what it was counted as before. Only those of rosters are
    /// counted.
    pub(crate) fn counting(
        self,
        mail: &QueuedMail,
        before: Option<Delivery>,
        after: Option<Delivery>,
    ) -> Result<Transaction> {
        let QueuedMail::Roster { programme, .. } = mail else {
            return Ok(self);
        };
        let before = counts_of(before);
        let after = counts_of(after);
        let changes =
            std::array::from_fn(|index| after[index].cast_signed() - before[index].cast_signed());
        self.counting_roster_mails(programme, 0, changes)
    }

    /// Counts roster mails of a programme: so many more are owed, and so many more became of each.
    pub(crate) fn counting_roster_mails(
        self,
        programme: &ProgrammeId,
        owed: u64,
        changes: [i64; 5],
    ) -> Result<Transaction> {
        let counted =
            format!("SET #kind = :kind, programme = :programme ADD owed :owed, {CHANGES}");
        self.update(
            &RosterMails::key_of(programme),
            &counted,
            "",
            &of_roster(programme, owed, changes),
        )
    }
}

fn counts_of(delivery: Option<Delivery>) -> [u64; 5] {
    let mut counts = MailCounts::default();
    if let Some(delivery) = delivery {
        counts.count(delivery);
    }
    [
        counts.sent,
        counts.delivered,
        counts.returned,
        counts.bounced,
        counts.complained,
    ]
}

const CHANGES: &str = "sent :sent, delivered :delivered, returned :returned, bounced :bounced, complained :complained";

/// The values of [`CHANGES`], and of what else is set.
fn of_roster(
    programme: &ProgrammeId,
    owed: u64,
    changes: [i64; 5],
) -> Vec<(&'static str, AttributeValue)> {
    let names = [
        ":sent",
        ":delivered",
        ":returned",
        ":bounced",
        ":complained",
    ];
    let named = [
        (":kind", text(RosterMails::KIND)),
        (":programme", text(programme.as_str())),
        (":owed", number(owed)),
    ];
    names
        .into_iter()
        .zip(changes.map(number))
        .chain(named)
        .collect()
}

/// How long after the last refusal mail counts as waiting for it. It is tried every twenty minutes,
/// so after that it waits for another reason.
const HOLDS_FOR: SignedDuration = SignedDuration::from_hours(2);
/// How long after the last refusal it is over, whether other mail was accepted or not.
const OVER_AFTER: SignedDuration = SignedDuration::from_hours(3);
/// How long after the last refusal a sandbox is taken to be over: it shows only when there is mail
/// to an unverified address.
const SANDBOX_OVER_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The interval at which a lasting refusal is recorded again.
const RECORDED_EACH: SignedDuration = SignedDuration::from_mins(10);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MailRefusal {
    pub code: String,
    pub since: Moment,
    pub last: Moment,
    /// When the mail server was seen to accept such mail again.
    pub ended_at: Option<Moment>,
    pub version: u64,
}

stored! {
    MailRefusal (code: &str) => key(ACCOUNT, format!("MAIL-REFUSED#{code}"));
    list all() => begin(ACCOUNT, "MAIL-REFUSED#")
}

impl MailRefusal {
    pub fn is_over(&self, now: Moment) -> bool {
        let after = if self.code == NOT_VERIFIED {
            SANDBOX_OVER_AFTER
        } else {
            OVER_AFTER
        };
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
    ) -> Result<MailRefusal> {
        loop {
            let stored: Option<MailRefusal> = self.get(MailRefusal::key_of(code)).await?;
            let version = stored.as_ref().map_or(0, |stored| stored.version) + 1;
            let refusal = match stored {
                Some(stored) if !stored.is_over(now) && now < stored.last + RECORDED_EACH => {
                    return Ok(stored);
                }
                Some(stored) if !stored.is_over(now) => MailRefusal {
                    last: now,
                    version,
                    ..stored
                },
                _ => MailRefusal {
                    code: code.to_owned(),
                    since: now,
                    last: now,
                    ended_at: None,
                    version,
                },
            };
            // Otherwise another writer was faster, and its record holds.
            if self
                .replace(&refusal, Unaudited::Delivery, deadline)
                .await?
            {
                return Ok(refusal);
            }
        }
    }

    /// Records that mails were accepted and none refused. Recent refusals stay, because the reason
    /// may recur within minutes, and so does a used-up quota, which always has room for some.
    pub async fn end_mail_refusals(&self, now: Moment, deadline: Deadline) -> Result<()> {
        for refusal in self.mail_refusals(now).await? {
            let is_of_all = ![QUOTA, QUOTA_UNREAD, NOT_VERIFIED].contains(&refusal.code.as_str());
            if is_of_all && refusal.last + RECORDED_EACH * 2 <= now {
                self.end_refusal(refusal, now, deadline).await?;
            }
        }
        Ok(())
    }

    pub async fn end_mail_refusal(
        &self,
        code: &str,
        now: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        let refusal: Option<MailRefusal> = self.get(MailRefusal::key_of(code)).await?;
        match refusal.filter(|refusal| !refusal.is_over(now)) {
            Some(refusal) => self.end_refusal(refusal, now, deadline).await,
            None => Ok(()),
        }
    }

    /// Ends a refusal as it was read; a newer refusal wins.
    async fn end_refusal(
        &self,
        refusal: MailRefusal,
        now: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        let ended = MailRefusal {
            ended_at: Some(now),
            version: refusal.version + 1,
            ..refusal
        };
        self.replace(&ended, Unaudited::Delivery, deadline)
            .await
            .map(drop)
    }

    pub async fn mail_refusals(&self, now: Moment) -> Result<Vec<MailRefusal>> {
        let mut refusals = self.list(MailRefusal::all()).await?;
        refusals.retain(|refusal| !refusal.is_over(now));
        Ok(refusals)
    }
}
