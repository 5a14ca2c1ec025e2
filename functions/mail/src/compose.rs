//! Decides, at the moment of sending, what a row of the outbox becomes: a mail, or none. The loader
//! and the words of each kind of mail are left to its own module.

use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::mail::failure::{NO_ADDRESS, NOT_WANTED, UNDELIVERABLE};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::role::is_among;
use bursar_core::domain::values::address::{EmailAddress, MatchedAddress};
use bursar_core::domain::values::id::{PersonId, ProgrammeId};
use bursar_core::store::{MailTo, OutboxRow, QueuedMail, Run, StaffPerson, StoreError};

use crate::App;
use crate::letter::words::Words;
use crate::letter::{Letter, choice_at};

/// Why a row becomes no mail now.
pub(crate) enum NoMail {
    /// None is due any more, for this reason.
    NotDue(&'static str),
    NotBefore(Moment),
    /// Keys can be claimed from then on.
    NotOpenYet {
        opens: Moment,
    },
    /// One is due and cannot be made, for this reason.
    Unsendable(&'static str),
    Table(StoreError),
}

pub(crate) const GONE: NoMail = NoMail::NotDue("what it is about is gone");
pub(crate) const UNWANTED: NoMail = NoMail::NotDue(NOT_WANTED);
pub(crate) const NO_SUCH_CROSSING: NoMail = NoMail::Unsendable("NoSuchCrossing");

impl From<StoreError> for NoMail {
    fn from(error: StoreError) -> NoMail {
        NoMail::Table(error)
    }
}

impl App {
    pub(crate) async fn letter_of_row(
        &self,
        row: &OutboxRow,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Letter, NoMail> {
        if self.may_have_been_sent(row, now).await? {
            return Err(NoMail::NotDue(
                "the table went back to an earlier moment, and this may have been sent since",
            ));
        }
        let mut letter = self.compose(row, now, deadline).await?;
        // A link has checked its address already, before it was made, because links are counted.
        let facts = row.mail.facts();
        if facts.kind == MailKind::Link {
            return Ok(letter);
        }
        if letter.recipient.is_none()
            || self
                .is_of_another(facts.recipient, letter.recipient.matched(), now)
                .await?
        {
            return Err(NoMail::NotDue(NO_ADDRESS));
        }
        // A mail of a kind that the person opted out of is dropped, whether it would reach them or
        // not.
        if let Some(mail) = facts.choice {
            if !self
                .table
                .address_record(letter.recipient.matched())
                .await?
                .wants(mail)
            {
                return Err(NoMail::NotDue("this person chose not to get such mails"));
            }
            let choose = format!(
                " You can choose on your page which of these mails you get: {}",
                choice_at(&self.config)
            );
            letter.why.push_str(&choose);
        }
        let mark = self
            .table
            .undeliverable(letter.recipient.matched(), now)
            .await?;
        if !mark.is_some_and(|mark| mark.keeps_back(row.class)) {
            return Ok(letter);
        }
        // Another person must know that somebody responsible for programmes or the account is not
        // reached.
        Err(if facts.recipient.staff().is_some() {
            NoMail::Unsendable(UNDELIVERABLE)
        } else {
            UNWANTED
        })
    }

    /// Whether the address of a grant is somebody else's by now.
    async fn is_of_another(
        &self,
        recipient: MailTo<'_>,
        address: &MatchedAddress,
        now: Moment,
    ) -> Result<bool, StoreError> {
        let MailTo::Student(programme, grant) = recipient else {
            return Ok(false);
        };
        Ok(!self
            .table
            .whose(programme, grant, address, now)
            .await?
            .is_own())
    }

    async fn compose(
        &self,
        row: &OutboxRow,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Letter, NoMail> {
        match &row.mail {
            QueuedMail::Link { address, asker } => {
                self.link(row, address, asker, now, deadline).await
            }
            QueuedMail::Roster {
                programme,
                grant,
                is_reminder,
            } => {
                self.roster(row, (programme, grant), *is_reminder, now)
                    .await
            }
            QueuedMail::FormerAddress {
                programme,
                grant,
                address,
            } => self.former_address(programme, grant, address).await,
            QueuedMail::Notice {
                programme,
                grant,
                epoch,
                notice,
            } => {
                self.notice((programme, grant, *epoch), *notice, row.written_at, now)
                    .await
            }
            QueuedMail::CapUsed {
                programme,
                grant,
                window,
                threshold,
                of_limit,
            } => {
                self.cap_used((programme, grant), *window, *threshold, *of_limit, now)
                    .await
            }
            QueuedMail::Alert {
                programme,
                scope,
                threshold,
                of_limit,
                recipient,
            } => {
                self.alert(
                    programme,
                    (scope, *threshold, *of_limit),
                    recipient,
                    now,
                    deadline,
                )
                .await
            }
            QueuedMail::TestAlert {
                programme,
                recipient,
            } => self.test_alert(programme, recipient, now).await,
            QueuedMail::Request {
                programme,
                asked_by,
                request,
                recipient,
            } => {
                self.request(programme, asked_by, (request, row.written_at), recipient)
                    .await
            }
            QueuedMail::More {
                programme,
                grant,
                recipient,
            } => {
                self.asks_for_more(programme, grant, row.written_at, recipient, now)
                    .await
            }
            QueuedMail::Import {
                programme,
                import,
                changes,
                recipient,
            } => self.import(programme, *import, changes, recipient).await,
            QueuedMail::ModelEnd {
                programme,
                model,
                gone_on,
                recipient,
            } => {
                self.model_end(programme, model, *gone_on, recipient, now)
                    .await
            }
            QueuedMail::Account {
                day,
                alarm,
                recipient,
            } => self.account(*day, alarm, recipient).await,
            QueuedMail::Digest {
                programme,
                week,
                recipient,
            } => self.digest(programme, *week, recipient, now).await,
            QueuedMail::StudentSignOn { programme, grant } => {
                let grant = self
                    .table
                    .get(Grant::key_of(programme, grant))
                    .await?
                    .ok_or(GONE)?;
                Ok(self.sign_on(&grant.person.address))
            }
            QueuedMail::StaffSignOn { recipient } => {
                Ok(self.sign_on(&self.person(recipient).await?.address))
            }
            QueuedMail::Statement { month, recipient } => self.statement(*month, recipient).await,
        }
    }

    /// Whether the table is a restored copy that no sync has recovered yet, and the row is from
    /// before its last run. A table that is no copy stays so while this function runs on it.
    async fn may_have_been_sent(&self, row: &OutboxRow, now: Moment) -> Result<bool, StoreError> {
        if self.is_no_copy.initialized() {
            return Ok(false);
        }
        if !self.table.is_copy(&self.table.meta(now).await?) {
            // If another row has set it meanwhile, the value is equal.
            let _ = self.is_no_copy.set(());
            return Ok(false);
        }
        // A night has eight at most, of which the newest may be under way in the copy.
        let ended = self
            .table
            .newest(Run::all(), 9)
            .await?
            .into_iter()
            .find_map(|run| run.ended_at);
        Ok(ended.is_some_and(|ended| row.written_at <= ended))
    }

    pub(crate) fn to(
        &self,
        address: &EmailAddress,
        write: impl FnOnce(Words<'_>) -> Letter,
    ) -> Letter {
        write(Words {
            recipient: address,
            config: &self.config,
        })
    }

    pub(crate) async fn programme(&self, id: &ProgrammeId) -> Result<Programme, NoMail> {
        self.table.get(Programme::key_of(id)).await?.ok_or(GONE)
    }

    /// A person with a role, unless they were erased.
    pub(crate) async fn person(&self, id: &PersonId) -> Result<StaffPerson, NoMail> {
        self.table
            .get(StaffPerson::key_of(id))
            .await?
            .ok_or(NoMail::Unsendable("NoSuchPerson"))
    }

    /// The person of this id, if they still decide about the programme.
    pub(crate) async fn decider(
        &self,
        id: &PersonId,
        programme: &Programme,
    ) -> Result<StaffPerson, NoMail> {
        let person = self.person(id).await?;
        let in_charge = self.table.list_in_charge(&programme.settings).await?;
        if is_among(person.address.matched(), &in_charge) {
            return Ok(person);
        }
        Err(NoMail::NotDue(
            "this person does not decide about the programme any more",
        ))
    }
}
