//! The outbox: queued mails, each taken by one sender at a time, and their delivery. A row names no
//! person but the one who asks for a link and a former address; every other recipient is looked up
//! when it is sent.

use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use ulid::Ulid;

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail};
use crate::domain::grant::{Grant, StudentNotice};
use crate::domain::mail::failure::PASSED_OVER;
use crate::domain::mail::kind::{Delivery, MailClass, MailKind, OUTBOX_KEPT, OptionalMail};
use crate::domain::sign_in::{Asker, LOGIN_REQUEST_LASTS};
use crate::domain::usage::crossing::Scope;
use crate::domain::values::address::{EmailAddress, MatchedAddress};
use crate::domain::values::id::{Epoch, GrantId, PersonId, ProgrammeId, new_ulid};
use crate::domain::values::masked;
use crate::domain::values::money::Usd;
use crate::domain::values::partition::{grant_partition_of, programme_partition};
use crate::domain::values::window::{Window, utc_date};
use crate::schema::{ItemKey, Queue, Stored, begin, key, stored};
use crate::store::table::collect_reads;
use crate::store::table::write::{Transaction, Unaudited, Writes, number};
use crate::store::{ActContext, ByHand, DoneByHand, Result, RosterChanges, StoreError, Table};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutboxRow {
    pub row: Ulid,
    pub class: MailClass,
    #[serde(flatten)]
    pub state: MailState,
    pub written_at: Moment,
    pub tries: u8,
    /// When somebody had it sent again: a dead letter, or an alert as a further mail.
    pub again_at: Option<Moment>,
    pub version: u64,
    /// The UTC day on which the mail server took it, once that is on record and counted.
    pub sent_on: Option<Date>,
    #[serde(flatten)]
    pub mail: QueuedMail,
}

stored! {
    OutboxRow |outbox_row| (row: Ulid = outbox_row.row) => key(format!("O#{row}"), "O");
    expires |outbox_row| outbox_row.written_at + outbox_row.mail.facts().kept_for;
    waits |outbox_row| outbox_row.waits()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum MailState {
    /// To be sent, no earlier than `since`.
    Waiting {
        since: Moment,
    },
    /// An invitation before keys can be claimed. It is looked at again at this time.
    Planned {
        until: Moment,
    },
    /// Being sent. When the lease ends, another sender takes it.
    Sending {
        lease_until: Moment,
    },
    Sent {
        message: String,
        sent_at: Moment,
    },
    Delivered {
        message: String,
        event_at: Moment,
    },
    Bounced {
        message: String,
        event_at: Moment,
        bounce: Bounce,
    },
    Complained {
        message: String,
        event_at: Moment,
    },
    /// Nothing was to be sent after all: the address is unknown, or too much was asked for.
    Dropped {
        why: String,
        ended_at: Moment,
    },
    /// It could not be sent and is not tried again.
    Failed {
        why: String,
        ended_at: Moment,
    },
}

crate::named! {
    /// How a mail bounced, the worse the later.
    #[derive(Default, PartialOrd, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Bounce: to_words {
        /// A delivery outweighs it.
        Reply = "it came back, or an automatic answer said that they are away",
        Soft = "it came back for now, as from a full mailbox",
        /// The address is on the mail server's suppression list.
        Suppressed = "the mail server did not try, since mail to it came back for another sender",
        #[default]
        Hard = "it came back for good",
    }
}

/// What a mail is and whom it concerns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mail", rename_all = "kebab-case")]
pub enum QueuedMail {
    /// The answer to an ask for a link. Whether one is sent is decided at sending.
    Link {
        address: MatchedAddress,
        #[serde(flatten)]
        asker: Asker,
    },
    Roster {
        programme: ProgrammeId,
        grant: GrantId,
        is_reminder: bool,
    },
    /// To the address that a grant had before it was corrected.
    FormerAddress {
        programme: ProgrammeId,
        grant: GrantId,
        address: EmailAddress,
    },
    Notice {
        programme: ProgrammeId,
        grant: GrantId,
        epoch: Epoch,
        notice: StudentNotice,
    },
    /// The notice to a student who has used so much of their own cap.
    CapUsed {
        programme: ProgrammeId,
        grant: GrantId,
        window: Window,
        threshold: u8,
        of_limit: Usd,
    },
    /// The alert that a threshold of the budget was crossed, or that all of it is reserved.
    Alert {
        programme: ProgrammeId,
        #[serde(flatten)]
        scope: Scope,
        threshold: u8,
        of_limit: Usd,
        recipient: PersonId,
    },
    /// An alert with the figures of now, to the person who wants to see one.
    TestAlert {
        programme: ProgrammeId,
        recipient: PersonId,
    },
    /// Faculty ask an admin for what only admins may do.
    Request {
        programme: ProgrammeId,
        asked_by: PersonId,
        request: AskedOfAdmins,
        recipient: PersonId,
    },
    /// A student's request for a larger cap, to those who decide about it.
    More {
        programme: ProgrammeId,
        grant: GrantId,
        recipient: PersonId,
    },
    /// A registrar's file was applied, or waits for a person; without one, that none has come for
    /// days.
    Import {
        programme: ProgrammeId,
        import: Option<Ulid>,
        changes: RosterChanges,
        recipient: PersonId,
    },
    /// A model ends or is gone, to those who decide which are allowed.
    ModelEnd {
        programme: ProgrammeId,
        model: String,
        gone_on: Date,
        recipient: PersonId,
    },
    Account {
        day: Date,
        alarm: String,
        recipient: PersonId,
    },
    /// Each week, for somebody with a role on the programme.
    Digest {
        programme: ProgrammeId,
        week: Date,
        recipient: PersonId,
    },
    /// That a sign-on was connected to a student's address.
    StudentSignOn {
        programme: ProgrammeId,
        grant: GrantId,
    },
    /// The same of a person with a role.
    StaffSignOn { recipient: PersonId },
    /// For a finance address.
    Statement { month: Date, recipient: PersonId },
}

/// What faculty ask of the admins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskedOfAdmins {
    /// Other values of settings.
    Settings(Vec<Wish>),
    /// That the programme is closed.
    Close,
    /// A programme like this one for the next term.
    NextTerm,
}

/// Another value of a setting.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    pub setting: String,
    pub label: String,
    /// The values after and before, as a person reads them.
    pub words: String,
    /// The value after, as a form carries it.
    pub value: String,
}

masked!(Wish);

impl AskedOfAdmins {
    /// Whether a wish names one of these addresses.
    pub(crate) fn names_any(&self, addresses: &BTreeSet<MatchedAddress>) -> bool {
        let AskedOfAdmins::Settings(wishes) = self else {
            return false;
        };
        let mut words = wishes
            .iter()
            .flat_map(|wish| wish.words.split([' ', ',', '<', '>', '\u{22}']));
        words.any(|word| {
            EmailAddress::parse(word).is_ok_and(|address| addresses.contains(address.matched()))
        })
    }
}

/// The link from a grant, or else from its programme, to the mails of one transaction about it, by
/// which such mails are listed. It expires with their rows or later.
#[derive(Debug, Serialize, Deserialize)]
pub struct FiledMail {
    pub programme: ProgrammeId,
    pub grant: Option<GrantId>,
    pub mail: MailKind,
    pub first: Ulid,
    /// The rows of all, one for each recipient.
    pub rows: Vec<Ulid>,
    pub written_at: Moment,
}

stored! {
    FiledMail |filed_mail| (programme: &ProgrammeId, grant: Option<&GrantId> = filed_mail.grant.as_ref(), first: Ulid = filed_mail.first) => {
        key(mail_partition(programme, grant), format!("{}{first}", mail_prefix(grant)))
    };
    list filed_under(programme: &ProgrammeId, grant: Option<&GrantId>) => {
        begin(mail_partition(programme, grant), &mail_prefix(grant))
    };
    list written_at(programme: &ProgrammeId, grant: &GrantId, moment: Moment) => begin(grant_partition_of(programme, grant), &written_at(grant, moment));
    expires |filed_mail| filed_mail.written_at + OUTBOX_KEPT
}

/// The partition of the mails about a grant, or of those to a programme's staff.
fn mail_partition(programme: &ProgrammeId, grant: Option<&GrantId>) -> String {
    match grant {
        Some(grant) => grant_partition_of(programme, grant),
        // Beside the outbox, where the function that sends mail may write.
        None => format!("O#{}", programme_partition(programme)),
    }
}

/// How the sort keys of such mails begin.
fn mail_prefix(grant: Option<&GrantId>) -> String {
    grant.map_or("V#".to_owned(), |grant| format!("V#{grant}#"))
}

/// How the sort keys begin of a grant's mails that were written in one millisecond.
fn written_at(grant: &GrantId, moment: Moment) -> String {
    const TIME: usize = 10;
    let first = Ulid::from_parts(moment.as_millisecond() as u64, 0).to_string();
    let time: String = first.chars().take(TIME).collect();
    format!("V#{grant}#{time}")
}

/// The row of a mail under the message id of the mail server, whose events name nothing else for
/// certain.
#[derive(Debug, Serialize, Deserialize)]
pub struct SentAs {
    pub message: String,
    pub row: Ulid,
    pub mail: MailKind,
    pub sent_at: Moment,
}

stored! {
    SentAs (message: &str) => key(format!("{SENT}{message}"), "SENT");
    expires |sent_as| sent_as.sent_at + OUTBOX_KEPT;
    // The row of a link is soon gone, and links are counted by the minute.
    waits |sent_as| (sent_as.mail != MailKind::Link).then_some((Queue::SENT_MAIL, sent_as.sent_at))
}
const SENT: &str = "SENT#";

impl OutboxRow {
    /// The id of the row of this key, if it is one's.
    pub(crate) fn named(key: &ItemKey) -> Option<Ulid> {
        key.pk.strip_prefix("O#")?.parse().ok()
    }

    pub(crate) fn waits(&self) -> Option<(Queue, Moment)> {
        let queue = self.class.queue();
        match self.state {
            MailState::Waiting { since } => Some((queue, since)),
            MailState::Planned { until } => Some((Queue::PLANNED_MAIL, until)),
            MailState::Sending { lease_until, .. } => Some((queue, lease_until)),
            // A dead letter waits for a person.
            MailState::Failed { ended_at, .. } => Some((Queue::DEAD_MAIL, ended_at)),
            MailState::Sent { .. }
            | MailState::Delivered { .. }
            | MailState::Bounced { .. }
            | MailState::Complained { .. }
            | MailState::Dropped { .. } => None,
        }
    }

    pub fn queued(mail: QueuedMail, now: Moment) -> OutboxRow {
        let row = new_ulid(now);
        let class = mail.facts().kind.class();
        let state = MailState::Waiting { since: now };
        OutboxRow {
            row,
            class,
            state,
            written_at: now,
            tries: 0,
            version: 1,
            again_at: None,
            sent_on: None,
            mail,
        }
    }

    /// The invitation of a grant. One that is planned is as old as it is due.
    pub(crate) fn invitation(
        programme: &ProgrammeId,
        grant: &GrantId,
        opens: Moment,
        now: Moment,
    ) -> OutboxRow {
        let is_reminder = false;
        let mail = QueuedMail::Roster {
            programme: programme.clone(),
            grant: grant.clone(),
            is_reminder,
        };
        if now < opens {
            OutboxRow::queued(mail, opens).planned(opens, now)
        } else {
            OutboxRow::queued(mail, now)
        }
    }

    /// The row of an invitation that comes before keys can be claimed. It is kept as long as one
    /// that is written then.
    pub fn planned(self, opens: Moment, now: Moment) -> OutboxRow {
        OutboxRow {
            state: MailState::Planned {
                until: look_again(opens, now),
            },
            written_at: opens,
            ..self
        }
    }

    /// A mail that somebody sends by hand; it does not queue behind a whole roster.
    pub fn new_by_hand(mail: QueuedMail, now: Moment) -> OutboxRow {
        OutboxRow {
            class: MailClass::ByHand,
            ..OutboxRow::queued(mail, now)
        }
    }

    /// Whether it went to nobody, since its recipient had lost the role.
    pub(crate) fn is_passed_over(&self) -> bool {
        matches!(&self.state, MailState::Dropped { why, .. } if why == PASSED_OVER)
    }

    /// The item that files it under its grant, or under its programme.
    fn filed(&self) -> Option<FiledMail> {
        let Facts {
            kind, recipient, ..
        } = self.mail.facts();
        let grant = match recipient {
            MailTo::Student(_, grant) => Some(grant.clone()),
            MailTo::Asker | MailTo::Staff(..) => None,
        };
        let first = self.row;
        let written_at = self.written_at;
        Some(FiledMail {
            programme: recipient.programme()?.clone(),
            grant,
            mail: kind,
            first,
            rows: vec![first],
            written_at,
        })
    }
}

impl MailState {
    /// The SMTP server that took the mail, where there is one in the place of SES: whether it
    /// arrived, nobody here hears.
    pub fn handed_to(&self) -> Option<&str> {
        let MailState::Delivered { message, .. } = self else {
            return None;
        };
        message.split_once('@').map(|(_, server)| server)
    }

    /// The count of its day that it belongs to, once the mail server has it.
    pub fn delivery(&self) -> Option<Delivery> {
        Some(match self {
            MailState::Sent { .. } => Delivery::Sent,
            MailState::Delivered { .. } => Delivery::Delivered,
            MailState::Bounced {
                bounce: Bounce::Hard,
                ..
            } => Delivery::Bounced,
            MailState::Bounced { .. } => Delivery::Returned,
            MailState::Complained { .. } => Delivery::Complained,
            MailState::Waiting { .. }
            | MailState::Planned { .. }
            | MailState::Sending { .. }
            | MailState::Dropped { .. }
            | MailState::Failed { .. } => return None,
        })
    }
}

/// What is said of a mail because of its kind.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The value of its header `X-Bursar-Mail`.
    pub kind: MailKind,
    pub words: &'static str,
    pub recipient: MailTo<'a>,
    /// The choice by which its recipient can opt out. Nobody can opt out of mail about their key or
    /// about a rule that will switch it off.
    pub choice: Option<OptionalMail>,
    kept_for: SignedDuration,
}

impl<'a> Facts<'a> {
    /// The facts of mail that nobody can opt out of, and that is kept as long as most.
    fn new(kind: MailKind, words: &'static str, recipient: MailTo<'a>) -> Facts<'a> {
        Facts {
            kind,
            words,
            recipient,
            choice: None,
            kept_for: OUTBOX_KEPT,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub enum MailTo<'a> {
    /// The address for which a link was asked, perhaps a stranger's.
    Asker,
    /// The student of a grant, under which the mail is filed, or who had its address before.
    Student(&'a ProgrammeId, &'a GrantId),
    /// A person with a role on the programme or on the account, or finance. The loss of such a mail
    /// is told to another.
    Staff(Option<&'a ProgrammeId>, &'a PersonId),
}

impl QueuedMail {
    /// The address that the mail holds, which an erasure takes out. A new kind of mail does not
    /// compile before it says whether it has one.
    pub(crate) fn address_mut(&mut self) -> Option<&mut EmailAddress> {
        match self {
            QueuedMail::FormerAddress { address, .. } => Some(address),
            // Its row is under no grant, and gone within minutes.
            QueuedMail::Link { .. } => None,
            QueuedMail::Roster { .. }
            | QueuedMail::Notice { .. }
            | QueuedMail::CapUsed { .. }
            | QueuedMail::Alert { .. }
            | QueuedMail::TestAlert { .. }
            | QueuedMail::Request { .. }
            | QueuedMail::More { .. }
            | QueuedMail::Import { .. }
            | QueuedMail::ModelEnd { .. }
            | QueuedMail::Account { .. }
            | QueuedMail::Digest { .. }
            | QueuedMail::StudentSignOn { .. }
            | QueuedMail::StaffSignOn { .. }
            | QueuedMail::Statement { .. } => None,
        }
    }

    /// A new kind of mail does not compile before all of this is said of it.
    pub fn facts(&self) -> Facts<'_> {
        use MailTo::{Asker, Staff, Student};
        match self {
            QueuedMail::Link { .. } => Facts {
                kept_for: LOGIN_REQUEST_LASTS,
                ..Facts::new(MailKind::Link, "link to sign in", Asker)
            },
            QueuedMail::Roster {
                programme,
                grant,
                is_reminder,
            } => {
                let words = if *is_reminder {
                    "reminder to claim"
                } else {
                    "invitation"
                };
                Facts::new(MailKind::Roster, words, Student(programme, grant))
            }
            QueuedMail::FormerAddress {
                programme, grant, ..
            } => Facts {
                kept_for: NAMING_MAIL_KEPT,
                ..Facts::new(
                    MailKind::Student,
                    "notice to the former address",
                    Student(programme, grant),
                )
            },
            QueuedMail::Notice {
                programme,
                grant,
                notice,
                ..
            } => {
                let student = Facts::new(
                    MailKind::Student,
                    notice.to_words(),
                    Student(programme, grant),
                );
                match notice {
                    StudentNotice::KeyShown => Facts {
                        kind: MailKind::KeyShown,
                        ..student
                    },
                    StudentNotice::KeyLeaked => Facts {
                        kind: MailKind::KeyLeaked,
                        ..student
                    },
                    StudentNotice::TermEndSoon | StudentNotice::NeverUsed => Facts {
                        choice: Some(OptionalMail::Reminder),
                        ..student
                    },
                    StudentNotice::CapChanged
                    | StudentNotice::Unused
                    | StudentNotice::KeyEnded
                    | StudentNotice::MoreDeclined
                    | StudentNotice::Removed
                    | StudentNotice::UnusedSoon
                    | StudentNotice::TooOldSoon => student,
                }
            }
            QueuedMail::CapUsed {
                programme, grant, ..
            } => Facts {
                choice: Some(OptionalMail::Reminder),
                ..Facts::new(
                    MailKind::Student,
                    "notice of a used cap",
                    Student(programme, grant),
                )
            },
            QueuedMail::Alert {
                programme,
                recipient,
                ..
            } => Facts::new(MailKind::Alert, "alert", Staff(Some(programme), recipient)),
            QueuedMail::TestAlert {
                programme,
                recipient,
            } => Facts::new(
                MailKind::Test,
                "test alert",
                Staff(Some(programme), recipient),
            ),
            QueuedMail::Request {
                programme,
                recipient,
                ..
            } => Facts {
                kept_for: NAMING_MAIL_KEPT,
                ..Facts::new(
                    MailKind::Request,
                    "request to admins",
                    Staff(Some(programme), recipient),
                )
            },
            QueuedMail::More {
                programme,
                recipient,
                ..
            } => Facts::new(
                MailKind::Request,
                "request for more",
                Staff(Some(programme), recipient),
            ),
            QueuedMail::Import {
                programme,
                recipient,
                ..
            } => Facts::new(
                MailKind::Import,
                "registrar's file",
                Staff(Some(programme), recipient),
            ),
            QueuedMail::ModelEnd {
                programme,
                recipient,
                ..
            } => Facts::new(
                MailKind::Model,
                "mail about a model that ends",
                Staff(Some(programme), recipient),
            ),
            QueuedMail::Account { recipient, .. } => Facts::new(
                MailKind::Account,
                "warning about the account",
                Staff(None, recipient),
            ),
            QueuedMail::Digest {
                programme,
                recipient,
                ..
            } => Facts {
                choice: Some(OptionalMail::Digest),
                ..Facts::new(
                    MailKind::Digest,
                    "digest",
                    Staff(Some(programme), recipient),
                )
            },
            QueuedMail::StudentSignOn { programme, grant } => Facts::new(
                MailKind::SignOn,
                "notice of a sign-on",
                Student(programme, grant),
            ),
            QueuedMail::StaffSignOn { recipient } => Facts::new(
                MailKind::SignOn,
                "notice of a sign-on",
                Staff(None, recipient),
            ),
            QueuedMail::Statement { recipient, .. } => {
                Facts::new(MailKind::Statement, "statement", Staff(None, recipient))
            }
        }
    }

    /// A notice about the last key that was shown to the grant's student.
    pub fn notice(notice: StudentNotice, grant: &Grant) -> QueuedMail {
        let programme = grant.programme.clone();
        let epoch = grant.last_shown();
        let grant = grant.id.clone();
        QueuedMail::Notice {
            programme,
            grant,
            epoch,
            notice,
        }
    }
}

impl<'a> MailTo<'a> {
    pub fn programme(self) -> Option<&'a ProgrammeId> {
        match self {
            MailTo::Asker => None,
            MailTo::Student(programme, _) => Some(programme),
            MailTo::Staff(programme, _) => programme,
        }
    }

    /// Who of the staff or of finance it goes to.
    pub fn staff(self) -> Option<&'a PersonId> {
        match self {
            MailTo::Asker | MailTo::Student(..) => None,
            MailTo::Staff(_, recipient) => Some(recipient),
        }
    }
}

/// How long a mail is kept that may name people by their addresses.
pub(crate) const NAMING_MAIL_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The least time between two mails sent again by hand.
pub(crate) const BETWEEN_RESENT: SignedDuration = SignedDuration::from_hours(1);
/// The least time between a reminder and the mail before it that was sent by hand.
pub(crate) const BETWEEN_REMINDERS: SignedDuration = SignedDuration::from_hours(24);
/// How long a sender owns a mail: longer than its function may run.
const LEASE: SignedDuration = SignedDuration::from_secs(90);

/// When an invitation that comes before keys can be claimed is looked at again: after a day at
/// most, and on the last day after an hour. So an opening that was moved is noticed.
fn look_again(opens: Moment, now: Moment) -> Moment {
    let last_day = opens - SignedDuration::from_hours(24);
    if now < last_day {
        last_day.min(now + SignedDuration::from_hours(24))
    } else {
        opens.min(now + SignedDuration::from_hours(1))
    }
}

impl Table {
    /// Mails that are due, longest due first; at most `limit`. The index is a moment behind, so
    /// each is taken before it is sent.
    pub async fn due_mails(&self, queue: Queue, now: Moment, limit: i32) -> Result<Vec<Ulid>> {
        let due = self.due(queue, now, limit).await?;
        Ok(due.iter().filter_map(OutboxRow::named).collect())
    }

    /// Makes this invocation the sender of a mail. Returns `None` when the mail is sent, being sent
    /// or not due.
    pub async fn take_mail(
        &self,
        row: Ulid,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Option<OutboxRow>> {
        let Some(row) = self.get(OutboxRow::key_of(row)).await? else {
            return Ok(None);
        };
        // A dead letter waits for a person, not for another try.
        let is_due = row
            .due()
            .is_some_and(|(queue, due)| queue != Queue::DEAD_MAIL && due <= now);
        if !is_due {
            return Ok(None);
        }
        let taken = MailState::Sending {
            lease_until: now + LEASE,
        };
        // A planned one may be sent before its time, where keys can be claimed sooner by now.
        let written_at = row.written_at.min(now);
        self.set_mail(
            &OutboxRow {
                tries: row.tries.saturating_add(1),
                written_at,
                ..row
            },
            taken,
            deadline,
        )
        .await
    }

    /// Records the state of a mail on condition that its row is as it was read. Returns `None` when
    /// another writer was faster.
    pub async fn set_mail(
        &self,
        row: &OutboxRow,
        state: MailState,
        deadline: Deadline,
    ) -> Result<Option<OutboxRow>> {
        let after = OutboxRow {
            state,
            version: row.version + 1,
            ..row.clone()
        };
        Ok(self
            .replace(&after, Unaudited::Delivery, deadline)
            .await?
            .then_some(after))
    }

    /// When a grant's roster mail may be sent by hand once more, after one that was sent now or
    /// within the hour.
    pub async fn may_resend_at(&self, context: ActContext<'_>) -> Result<Moment> {
        let last = self
            .get(DoneByHand::key_of(
                context.programme,
                context.grant,
                ByHand::RosterMail,
            ))
            .await?;
        Ok(last.map_or(context.now, |last| last.done_at) + BETWEEN_RESENT)
    }

    /// Queues the roster mail once more, or a reminder to claim, unless one was sent by hand within
    /// an hour, or within a day.
    pub async fn invite_again(
        &self,
        context: ActContext<'_>,
        grant: &Grant,
        actor: &Actor,
        is_reminder: bool,
    ) -> Result<bool> {
        let audit_entry = grant.entry(actor.clone(), AuditDetail::new(Act::Reinvited), context.now);
        self.commit_once(
            self.add_invitation(context, is_reminder)
                .await?
                .with_entries(&[audit_entry])?,
            context.deadline,
        )
        .await
    }

    pub(crate) async fn add_invitation(
        &self,
        context: ActContext<'_>,
        is_reminder: bool,
    ) -> Result<Transaction> {
        let programme = context.programme.clone();
        let grant = context.grant.clone();
        let mail = QueuedMail::Roster {
            programme,
            grant,
            is_reminder,
        };
        let row;
        let apart;
        if is_reminder {
            row = OutboxRow::queued(mail, context.now);
            apart = BETWEEN_REMINDERS;
        } else {
            row = OutboxRow::new_by_hand(mail, context.now);
            apart = BETWEEN_RESENT;
        }
        let transaction = self
            .transaction()
            .do_by_hand(ByHand::RosterMail, context, apart)?
            .owe(&row)?;
        let mut planned = self
            .list_waiting_invitations(context.programme, context.grant)
            .await?;
        planned.retain(|(_, row)| matches!(row.state, MailState::Planned { .. }));
        transaction.without(&planned)
    }

    /// The invitations of a grant that wait or are planned, with where they are filed.
    pub(crate) async fn list_waiting_invitations(
        &self,
        programme: &ProgrammeId,
        grant: &GrantId,
    ) -> Result<Vec<(FiledMail, OutboxRow)>> {
        let mut waiting = Vec::new();
        for filed in self
            .list(FiledMail::filed_under(programme, Some(grant)))
            .await?
        {
            let Some(row) = self.get(OutboxRow::key_of(filed.first)).await? else {
                continue;
            };
            let is_invitation = matches!(
                row.mail,
                QueuedMail::Roster {
                    is_reminder: false,
                    ..
                }
            );
            let waits = matches!(
                row.state,
                MailState::Waiting { .. } | MailState::Planned { .. }
            );
            if waits && is_invitation && row.class == MailClass::Roster {
                waiting.push((filed, row));
            }
        }
        Ok(waiting)
    }

    /// The first mails but links that the mail server took on a UTC day, at most so many, as they
    /// are now.
    pub async fn list_first_sent(&self, day: Date, most: i32) -> Result<Vec<OutboxRow>> {
        let midnight = day
            .to_zoned(TimeZone::UTC)
            .map_or(Moment::MIN, |midnight| midnight.timestamp().into());
        let rows = self
            .due_from(Queue::SENT_MAIL, midnight, most)
            .await?
            .into_iter()
            .map(async |key| {
                let Some(message) = key.pk.strip_prefix(SENT) else {
                    return Ok(None);
                };
                match self
                    .get(SentAs::key_of(message))
                    .await?
                    .filter(|sent| utc_date(sent.sent_at) == day)
                {
                    Some(sent) => self.get(OutboxRow::key_of(sent.row)).await,
                    None => Ok(None),
                }
            });
        collect_reads(rows).await
    }

    /// The rows of these mails that are still kept, of many the first so many, but for those that
    /// only a newer version can read.
    pub async fn mails(
        &self,
        filed: impl IntoIterator<Item = FiledMail>,
        most: usize,
    ) -> Result<Vec<OutboxRow>> {
        let rows = filed.into_iter().flat_map(|filed| filed.rows).take(most);
        let rows = rows.map(async |row| match self.get(OutboxRow::key_of(row)).await {
            Err(StoreError::Corrupt { .. }) => Ok(None),
            row => row,
        });
        collect_reads(rows).await
    }

    /// The mails to a grant's student, oldest first.
    pub async fn mails_of(
        &self,
        programme: &ProgrammeId,
        grant: &GrantId,
    ) -> Result<Vec<OutboxRow>> {
        self.mails(
            self.list(FiledMail::filed_under(programme, Some(grant)))
                .await?,
            usize::MAX,
        )
        .await
    }
}

impl Transaction {
    /// Takes mails away that still wait as they were read.
    pub(crate) fn without(mut self, waiting: &[(FiledMail, OutboxRow)]) -> Result<Transaction> {
        for (filed, row) in waiting {
            let as_read = [(":version", number(row.version))];
            self = self
                .remove(&row.key(), "version = :version", &as_read)?
                .remove(&filed.key(), "", &[])?;
        }
        Ok(self)
    }

    /// Queues a mail, with the item by which it is found from its grant or programme.
    pub(crate) fn owe(self, row: &OutboxRow) -> Result<Transaction> {
        self.owe_all([row])
    }

    /// Queues a mail to each of several recipients, with one item for all.
    pub(crate) fn owe_all(
        mut self,
        rows: impl IntoIterator<Item: Borrow<OutboxRow>>,
    ) -> Result<Transaction> {
        let mut together: Option<FiledMail> = None;
        for row in rows {
            let row = row.borrow();
            self = self.create(row)?;
            match &mut together {
                Some(filed) => filed.rows.push(row.row),
                None => together = row.filed(),
            }
        }
        together.iter().try_fold(self, Transaction::create)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often an invitation is looked at that is written so long before keys can be claimed, the
    /// sending included.
    fn looks(before: SignedDuration) -> usize {
        let opens = "2027-03-01T08:00:00Z".parse::<Moment>().unwrap();
        let mut now = opens - before;
        let mut looks = 0;
        while now < opens {
            let next = look_again(opens, now);
            let at_most = if now < opens - SignedDuration::from_hours(24) {
                24
            } else {
                1
            };
            assert!(
                now < next && next <= now + SignedDuration::from_hours(at_most),
                "{now}: {next}"
            );
            now = next;
            looks += 1;
        }
        assert_eq!(now, opens, "not later");
        looks
    }

    #[test]
    fn an_invitation_is_looked_at_daily_and_in_the_last_day_hourly() {
        let minutes = SignedDuration::from_mins;
        assert_eq!(
            [1, 60, 61, 24 * 60].map(|before| looks(minutes(before))),
            [1, 1, 2, 24]
        );
        assert_eq!(
            [24 * 60 + 1, 48 * 60, 21 * 24 * 60].map(|before| looks(minutes(before))),
            [25, 25, 44]
        );
        let within_three_weeks = (1..=21 * 24 * 60)
            .step_by(7)
            .map(|before| looks(minutes(before)));
        assert!(within_three_weeks.max() <= Some(45));
    }
}
