//! The one way to change a grant: read it with all that decides, let a rule decide, write on
//! condition that nothing has moved.
//!
//! 1. The programme, its budget, the grant with its keys (one item) and the readings are read.
//! 2. A rule of [`grant`](crate::domain::grant) decides on that view: a [`Change`], or a refusal
//!    that says why.
//! 3. One transaction writes the grant on condition of its version, moves the budget, and puts one
//!    audit entry and the mail that is
//!    owed.
//! 4. A condition that fails means that somebody was faster: it is read and decided again. A
//!    conflict is retried with jitter.
//!
//! A rule names what it depends on ([`DependsOn`]), and a lost answer is asked for again with the
//! same token, so no act has a case of its own for a race or a lost answer.
//!
//! The keys lie in the grant's item because what a decision rests on must be read at one moment.
//! Readings lie beside it because the sync writes them without asking anybody.
//!
//! A change says by which audit entry it is told, or which mark it leaves ([`Logged`]); nothing
//! else writes a grant that is there, but for how far its person has come (`programmes/budget.rs`).

use std::sync::Mutex;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;

use crate::clock::Moment;
use crate::domain::audit::Actor;
use crate::domain::grant::{
    AnnouncedEnd, BudgetChange, Change, ChangeRefused, DependsOn, Grant, Logged, MoreListing,
    NoticeDelivery, OfJob, PersonChange, Rule, StudentNotice, Unchanged, View,
};
use crate::domain::mail::failure::FailureScope;
use crate::domain::mail::kind::MailClass;
use crate::domain::programme::Budget;
use crate::domain::programme::counts::Counts;
use crate::domain::programme::unreserved::Unreserved;
use crate::domain::sign_on::SignOnBinding;
use crate::domain::values::address::EmailAddress;
use crate::domain::values::window::end_of_utc_day;
use crate::schema::Stored;
use crate::start::locked;
use crate::store::alerts::MAILS_AT_ONCE;
use crate::store::programmes::budget::CapMoves;
use crate::store::table::write::{Audited, Round, Transaction, Unaudited, Writes, number, text};
use crate::store::{
    ActContext, Enrolment, FiledMail, KnownAddress, MailState, OutboxRow, QueuedMail, Result,
    Table, Undeliverable,
};

#[derive(Debug, Clone, PartialEq)]
pub enum ActOutcome<T, R> {
    Done(T),
    Refused(R),
    NoSuchGrant,
}

impl<T, R> ActOutcome<T, R> {
    pub fn refusal(self) -> Option<R> {
        match self {
            ActOutcome::Refused(why) => Some(why),
            ActOutcome::Done(_) | ActOutcome::NoSuchGrant => None,
        }
    }
}

/// The decision of a rule: a change, and the answer for the caller once it is written.
pub trait Ruling {
    type Answer;

    fn split(self) -> (Change, Self::Answer);
}

impl Ruling for Change {
    type Answer = Grant;

    fn split(self) -> (Change, Grant) {
        let grant = self.grant.clone();
        (self, grant)
    }
}

impl<T> Ruling for (Change, T) {
    type Answer = T;

    fn split(self) -> (Change, T) {
        self
    }
}

impl Table {
    /// Carries out what a rule of `domain::grant` decides. The rule may run several times, each
    /// time on a fresh view.
    pub async fn act<D: Ruling, R>(
        &self,
        context: ActContext<'_>,
        rule: impl Fn(&View, Moment) -> Result<D, R>,
    ) -> Result<ActOutcome<D::Answer, R>> {
        self.act_as_read(context, None, rule).await
    }

    /// The same, decided at first on a view that was read just now.
    pub async fn act_as_read<D: Ruling, R>(
        &self,
        context: ActContext<'_>,
        read: Option<View>,
        rule: impl Fn(&View, Moment) -> Result<D, R>,
    ) -> Result<ActOutcome<D::Answer, R>> {
        let read = Mutex::new(read);
        let acted = self.carry_through(context.deadline, || async {
            let read = locked(&read).take();
            let read = match read {
                Some(view) => Some(view),
                None => self.view(context.programme, context.grant).await?,
            };
            let Some(view) = read else {
                return Ok(Round::Over((Counts::default(), ActOutcome::NoSuchGrant)));
            };
            let (change, answer) = match rule(&view, context.now) {
                Ok(decision) => decision.split(),
                Err(refused) => {
                    return Ok(Round::Over((
                        Counts::default(),
                        ActOutcome::Refused(refused),
                    )));
                }
            };
            let transaction = self.note_left_address(&view, &change, context.now).await?;
            let transaction =
                Box::pin(self.invite_returned(transaction, &view, &change, context.now)).await?;
            let change = change.counted(&view, context.now);
            let transaction = transaction_of(transaction, &view, &change, context.now)?;
            Ok(Round::Write(
                transaction,
                (change.moves(&view, context.now), ActOutcome::Done(answer)),
            ))
        });
        let (moves, outcome) = acted.await?;
        self.move_counts(context.programme, moves, context.deadline)
            .await;
        Ok(outcome)
    }

    /// Carries out what a rule decides, for a job where there is one: then it is done once, however
    /// often it is begun.
    pub async fn act_of(
        &self,
        context: ActContext<'_>,
        job: Option<OfJob>,
        rule: impl Fn(&View, Moment) -> Result<Change, ChangeRefused>,
    ) -> Result<ActOutcome<Grant, ChangeRefused>> {
        self.act(context, |view, now| match job {
            None => rule(view, now),
            Some(job) => {
                view.grant.lets_act(job)?;
                Ok(rule(view, now)?.of_job(job.job))
            }
        })
        .await
    }

    /// Carries out the next act that a programme's rules ask for, provided that the announcements
    /// before it were sent.
    pub async fn follow_rules(
        &self,
        context: ActContext<'_>,
        last_used_at: Option<Moment>,
    ) -> Result<ActOutcome<(Grant, Rule), Unchanged>> {
        let Some(view) = self.view(context.programme, context.grant).await? else {
            return Ok(ActOutcome::NoSuchGrant);
        };
        // A mark that is written meanwhile belongs to a mail that is not among these, and leads to
        // nothing this time.
        let mails = self
            .announcements_sent(&view, last_used_at, context.now)
            .await?;
        self.act(context, |view, now| {
            let (change, rule) = view.follow_rules(last_used_at, &mails, now)?;
            let grant = change.grant.clone();
            Ok((change, (grant, rule)))
        })
        .await
    }

    /// Changes a grant's person as the roster says. Its enrolment follows the address.
    pub async fn describe(
        &self,
        context: ActContext<'_>,
        job: Option<OfJob>,
        person_change: &PersonChange,
        actor: &Actor,
    ) -> Result<ActOutcome<Grant, ChangeRefused>> {
        // Two grants with one address would make each other's transaction stale for ever.
        if let Some(address) = &person_change.address {
            let enrolled = self
                .get(Enrolment::key_of(
                    address.after.matched(),
                    context.programme,
                ))
                .await?;
            if enrolled.is_some_and(|enrolled: Enrolment| enrolled.grant != *context.grant) {
                return Ok(ActOutcome::Refused(ChangeRefused::AddressTaken));
            }
        }
        self.act(context, |view, _| match job {
            None => view.describe(person_change, actor),
            Some(job) => {
                view.grant.lets_readdress(job)?;
                Ok(view.describe(person_change, actor)?.of_job(job.job))
            }
        })
        .await
    }

    /// Invites who comes back to the roster without a key, and was not on it when the last
    /// invitation was due.
    async fn invite_returned(
        &self,
        transaction: Transaction,
        view: &View,
        change: &Change,
        now: Moment,
    ) -> Result<Transaction> {
        let was = &view.grant;
        let after = &change.grant;
        let is_invited_anyway = was.person.address != after.person.address;
        if was.holds.dropped.is_none()
            || after.holds.dropped.is_some()
            || after.stage.has_claimed()
            || is_invited_anyway
        {
            return Ok(transaction);
        }
        let mails = self.mails_of(&was.programme, &was.id).await?;
        // One that waits may be dropped by a sender that read the grant before, so it goes and
        // another takes its place. One that is being sent may be dropped as well: rather two than
        // none.
        if mails.iter().any(is_sent_invitation) {
            return Ok(transaction);
        }
        let waiting = self
            .list_waiting_invitations(&was.programme, &was.id)
            .await?;
        let opens = view.programme.settings.claim_opens_at();
        transaction
            .owe(&OutboxRow::invitation(&was.programme, &was.id, opens, now))?
            .without(&waiting)
    }

    /// Of an address that a grant has no longer: whoever signed in with it is signed out, and
    /// nothing is left under it, unless it is somebody else's too. If the grant has another address
    /// now, both are mailed.
    async fn note_left_address(
        &self,
        view: &View,
        change: &Change,
        now: Moment,
    ) -> Result<Transaction> {
        let was = &view.grant;
        let former = &was.person.address;
        let address = &change.grant.person.address;
        let mut transaction = self.transaction();
        if former == address {
            return Ok(transaction);
        }
        let programme = was.programme.clone();
        let grant = was.id.clone();
        let queued = if change.is_typed {
            OutboxRow::new_by_hand
        } else {
            OutboxRow::queued
        };
        if !address.is_none() {
            let opens = if change.is_typed {
                now
            } else {
                view.programme.settings.claim_opens_at()
            };
            let mut roster = OutboxRow::invitation(&programme, &grant, opens, now);
            if change.is_typed {
                roster.class = MailClass::ByHand;
            }
            // One that waits would go to the new address too.
            let waiting = self.list_waiting_invitations(&programme, &grant).await?;
            transaction = transaction.owe(&roster)?.without(&waiting)?;
        }
        if former.is_none() {
            return Ok(transaction);
        }
        if !address.is_none() {
            let former = QueuedMail::FormerAddress {
                programme,
                grant,
                address: former.clone(),
            };
            transaction = transaction.owe(&queued(former, now))?;
        }
        let former = former.matched();
        transaction = self.sign_out_all(transaction, former, now).await?;
        let is_anybodys = self.is_anybodys(former, Some(&was.id)).await?;
        if let Some(known_address) = self.get(KnownAddress::key_of(former)).await? {
            if let Some(identity) = &known_address.bound {
                transaction = transaction.remove(&SignOnBinding::key_of(identity), "", &[])?;
            }
            // Who had a role is named by the audit.
            if !is_anybodys && known_address.person.is_none() {
                transaction = transaction.remove(&known_address.key(), "", &[])?;
            } else if known_address.bound.is_some() {
                let version = known_address.version + 1;
                transaction = transaction.replace(&KnownAddress {
                    bound: None,
                    version,
                    ..known_address
                })?;
            }
        }
        if is_anybodys {
            return Ok(transaction);
        }
        if let Some(mark) = self.get(Undeliverable::key_of(former)).await? {
            transaction = transaction.remove(&mark.key(), "", &[])?;
        }
        Ok(transaction)
    }
}

fn is_sent_invitation(row: &OutboxRow) -> bool {
    matches!(row.mail, QueuedMail::Roster { .. })
        && !matches!(
            row.state,
            MailState::Waiting { .. }
                | MailState::Planned { .. }
                | MailState::Sending { .. }
                | MailState::Dropped { .. }
        )
}

/// Adds to a transaction what a change writes.
pub(crate) fn transaction_of(
    transaction: Transaction,
    view: &View,
    change: &Change,
    now: Moment,
) -> Result<Audited> {
    let grant = &change.grant;
    let mut transaction = transaction.replace(grant)?;
    transaction = with_enrolment_moved(transaction, grant, &view.grant.person.address, now)?;
    if let Some(notice) = change.notice {
        transaction =
            transaction.owe(&OutboxRow::queued(QueuedMail::notice(notice, grant), now))?;
    }
    let asks = change.asks.iter().take(MAILS_AT_ONCE).map(|recipient| {
        let programme = grant.programme.clone();
        let grant = grant.id.clone();
        let mail = QueuedMail::More {
            programme,
            grant,
            recipient: recipient.clone(),
        };
        OutboxRow::queued(mail, now)
    });
    let transaction = with_more_listed(transaction.owe_all(asks)?, view, change, now)?;
    let transaction = move_budget(transaction, view, change)?;
    match &change.logged {
        Logged::Entry(what) => {
            transaction.with_entries(&[grant.entry(change.actor.clone(), what.clone(), now)])
        }
        Logged::Mark => Ok(transaction.skip_audit(Unaudited::GrantMark)),
    }
}

/// Lists a request for more where decisions are found, until it is decided or the grant is over.
fn with_more_listed(
    transaction: Transaction,
    view: &View,
    change: &Change,
    now: Moment,
) -> Result<Transaction> {
    let programme = &view.programme.id;
    let grant = &change.grant;
    let was_open = view.open_request(now).is_some();
    let is_open = grant.open_request(&view.programme.settings, now).is_some();
    if !change.asks.is_empty() {
        let listing = MoreListing {
            programme: programme.clone(),
            grant: grant.id.clone(),
            asked_at: now,
        };
        transaction.set(&listing)
    } else if was_open && (!is_open || grant.is_over()) {
        transaction.remove(&MoreListing::key_of(programme, &grant.id), "", &[])
    } else {
        Ok(transaction)
    }
}

/// Moves the enrolment, by which a grant is found, from the address that the grant had to that
/// which it has, if there are such.
fn with_enrolment_moved(
    mut transaction: Transaction,
    grant: &Grant,
    was: &EmailAddress,
    now: Moment,
) -> Result<Transaction> {
    let address = &grant.person.address;
    let programme = &grant.programme;
    if address != was && !was.is_none() {
        let is_its_own = [(":grant", text(grant.id.as_str()))];
        transaction = transaction.remove(
            &Enrolment::key_of(was.matched(), programme),
            "#grant = :grant",
            &is_its_own,
        )?;
    }
    if address != was && !address.is_none() {
        let address = address.matched().clone();
        let programme = programme.clone();
        transaction = transaction.create(&Enrolment {
            address,
            programme,
            grant: grant.id.clone(),
            enrolled_at: now,
            is_anothers: false,
        })?;
    }
    Ok(transaction)
}

/// Updates the budget in place, so that claims of one programme do not each have to read what the
/// other wrote. It is the one item that claims share, and that only when they take from it, or when
/// it is another who waits for a key.
///
/// Taking requires the limit that was read, and room. The first claim of a programme sets
/// `claimed`.
fn move_budget(transaction: Transaction, view: &View, change: &Change) -> Result<Transaction> {
    let budget = &view.budget;
    let grant = &change.grant;
    let is_first = grant.lease.is_some() && !budget.claimed;
    let [waited, waits] =
        [&view.grant, grant].map(|grant| Unreserved::of_grant(grant, budget.counted_at));
    let moves = waits.difference_from(&waited);
    let mut conditions = vec!["attribute_exists(pk)"];
    let mut values = Vec::new();
    if change.depends_on == DependsOn::Settings {
        conditions.push("settings_version = :settings");
        values.push((":settings", number(budget.settings_version)));
    }
    let amount = match change.budget {
        BudgetChange::None => None,
        BudgetChange::Take(amount) => {
            conditions.push("budget_limit = :limit AND reserved <= :room");
            let room = number((budget.limit - amount).micros());
            values.extend([(":limit", number(budget.limit.micros())), (":room", room)]);
            Some(amount)
        }
        BudgetChange::TakeAnyway(amount) => Some(amount),
    };
    let key = Budget::key_of(&budget.programme);
    let condition = conditions.join(" AND ");
    if amount.is_none() && !is_first && moves.is_empty() {
        return match values.is_empty() {
            true => Ok(transaction),
            false => transaction.check(&key, &condition, &values),
        };
    }
    let mut update = CapMoves::new(&moves);
    if is_first {
        update.set.push("claimed = :claimed".to_owned());
        values.push((":claimed", AttributeValue::Bool(true)));
    }
    values.extend(update.values());
    let mut expression = if update.set.is_empty() {
        String::new()
    } else {
        format!("SET {} ", update.set.join(", "))
    };
    if let Some(amount) = amount {
        expression += "ADD reserved :amount, version :one";
        values.extend([(":amount", number(amount.micros())), (":one", number(1))]);
    }
    transaction.update(&key, &expression, &condition, &values)
}

impl Table {
    /// The delivery of the announcements that the rules for this grant rest on now: for most
    /// grants, on most nights, none.
    async fn announcements_sent(
        &self,
        view: &View,
        last_used_at: Option<Moment>,
        now: Moment,
    ) -> Result<Vec<(AnnouncedEnd, NoticeDelivery)>> {
        let outcomes = view
            .rests_on(last_used_at, now)
            .into_iter()
            .map(|(notice, said)| self.outcome_of(view, notice, said));
        try_join_all(outcomes).await
    }

    /// A row is kept for ninety days; once it is gone, nothing says whether the mail was sent.
    async fn outcome_of(
        &self,
        view: &View,
        announced: StudentNotice,
        said: AnnouncedEnd,
    ) -> Result<(AnnouncedEnd, NoticeDelivery)> {
        let programme = &view.programme.id;
        let grant = &view.grant.id;
        let rows = self
            .mails(
                self.list(FiledMail::written_at(programme, grant, said.at))
                    .await?,
                usize::MAX,
            )
            .await?;
        let row = rows
            .into_iter()
            .find(|row| row.mail == QueuedMail::notice(announced, &view.grant));
        Ok((said, row.map_or(NoticeDelivery::Void, |row| row.outcome())))
    }
}

impl OutboxRow {
    /// The delivery so far, as a rule that waits for the mail sees it.
    pub fn outcome(&self) -> NoticeDelivery {
        match &self.state {
            MailState::Waiting { .. } | MailState::Planned { .. } | MailState::Sending { .. } => {
                NoticeDelivery::Waiting
            }
            MailState::Sent { sent_at, .. } => NoticeDelivery::SentBy(*sent_at),
            // A later event does not make the mail younger than the day on which it was sent.
            MailState::Delivered { event_at, .. }
            | MailState::Bounced { event_at, .. }
            | MailState::Complained { event_at, .. } => NoticeDelivery::SentBy(
                self.sent_on
                    .map_or(*event_at, |day| end_of_utc_day(day).min(*event_at)),
            ),
            // However often it were sent, the address would not take it.
            MailState::Dropped { why, ended_at } | MailState::Failed { why, ended_at }
                if FailureScope::from_code(why) == FailureScope::Mail =>
            {
                NoticeDelivery::SentBy(*ended_at)
            }
            MailState::Dropped { .. } => NoticeDelivery::Void,
            // An admin was notified, and may have it sent again.
            MailState::Failed { .. } => NoticeDelivery::Waiting,
        }
    }
}
