//! The mail of each alarm to an admin, and whether it is still due. What the ids of an alarm stand
//! for is looked up when the mail is sent.

mod alarm_texts;
mod unsent;

use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::format::utc;
use bursar_core::domain::values::id::{PersonId, ProgrammeId};
use bursar_core::store::{StaffPerson, StoreError};
use jiff::civil::Date;
use unsent::UnsentMail;

use crate::App;
use crate::compose::{GONE, NoMail};
use crate::letter::words::{Words, say};
use crate::letter::{Letter, LetterPart, plain};

struct AlarmText {
    /// The subject, which holds the alarm's number.
    subject: String,
    /// The known facts, as label and value.
    facts: Vec<(&'static str, String)>,
    /// The consequences, and what the reader should do.
    next: String,
}

/// The names behind the ids of an alarm.
#[derive(Default)]
struct NamedAccount {
    programme: String,
    /// Who was made an admin, or removed, and by whom.
    admins: (String, String),
    /// The unsent mail that the alarm is of.
    unsent: UnsentMail,
}

impl App {
    /// The mail of an alarm, if its recipient is still an admin. Who was removed is told of that.
    pub(crate) async fn account(
        &self,
        day: Date,
        alarm: &str,
        recipient: &PersonId,
    ) -> Result<Letter, NoMail> {
        let alarm = self
            .table
            .get(Alarm::key_of(day, alarm))
            .await?
            .ok_or(GONE)?;
        let person = self.person(recipient).await?;
        let is_told = matches!(alarm.cause, Cause::AdminChanged { .. });
        if !is_told && !self.table.is_admin(person.address.matched()).await? {
            return Err(NoMail::NotDue("this person is no longer an admin"));
        }
        let named = self.read_names(&alarm).await?;
        Ok(self.to(&person.address, |words| words.account(&alarm, &named)))
    }

    async fn read_names(&self, alarm: &Alarm) -> Result<NamedAccount, StoreError> {
        let mut named = NamedAccount::default();
        if let Cause::RulesRefused { programme, .. } | Cause::Stuck { programme, .. } = &alarm.cause
        {
            named.programme = self.name_of(programme).await?;
        }
        if let Cause::AdminChanged { person, actor, .. } = &alarm.cause {
            named.admins = (
                self.address_of(person).await?,
                self.address_of(actor).await?,
            );
        }
        if let Cause::AdminByLink { person, .. } = &alarm.cause {
            named.admins.0 = self.address_of(person).await?;
        }
        if let Cause::Unsent { mail, first, .. } = &alarm.cause {
            named.unsent = self.unsent(*mail, *first).await?;
        }
        Ok(named)
    }

    /// The programme's name, or its id if it cannot be read.
    async fn name_of(&self, programme: &ProgrammeId) -> Result<String, StoreError> {
        match self.table.get(Programme::key_of(programme)).await {
            Ok(Some(programme)) => Ok(plain(&programme.settings.name)),
            Ok(None) | Err(StoreError::Corrupt { .. }) => Ok(programme.to_string()),
            Err(error) => Err(error),
        }
    }

    async fn address_of(&self, person: &PersonId) -> Result<String, StoreError> {
        let person = self.table.get(StaffPerson::key_of(person)).await?;
        Ok(
            person.map_or("a person who was erased".to_owned(), |person| {
                person.address.as_written().to_owned()
            }),
        )
    }
}

impl Words<'_> {
    fn account(self, alarm: &Alarm, named: &NamedAccount) -> Letter {
        let AlarmText {
            subject,
            mut facts,
            next,
        } = AlarmText::new(alarm, named);
        let is_of_admins = matches!(alarm.cause, Cause::AdminChanged { .. });
        facts.push((
            if is_of_admins { "When" } else { "Found" },
            utc(alarm.found_at),
        ));
        let is_removal = matches!(
            alarm.cause,
            Cause::AdminChanged {
                is_admin: false,
                ..
            }
        );
        let until_now = if is_removal {
            ", or were until now,"
        } else {
            ""
        };
        Letter {
            heading: subject.clone(),
            subject,
            parts: vec![
                LetterPart::facts(facts),
                say(next),
                self.page_to_act_on(&alarm.cause),
            ],
            why: format!(
                "You get this mail because you are{until_now} an admin of Bursar at {}.",
                self.config.institution
            ),
            ..self.letter()
        }
    }

    /// The page on which something can be done about an alarm.
    fn page_to_act_on(&self, cause: &Cause) -> LetterPart {
        match cause {
            Cause::RulesRefused { tier: Some(_), .. } => {
                self.page("Open the model lists", "/console/tiers")
            }
            Cause::RulesRefused {
                programme,
                group: Some(_),
                ..
            } => self.page(
                "Open the groups",
                &format!("/console/programmes/{programme}/groups"),
            ),
            Cause::RulesRefused { programme, .. } => self.page(
                "Open the settings",
                &format!("/console/programmes/{programme}/settings#edit"),
            ),
            Cause::Stuck { programme, .. } => self.page(
                "Open the programme",
                &format!("/console/programmes/{programme}"),
            ),
            Cause::OffUnconfirmed {
                programme, grant, ..
            } => self.page(
                "Open the student's page",
                &format!("/console/programmes/{programme}/grants/{grant}"),
            ),
            Cause::MailRefused { .. }
            | Cause::MailWaits { .. }
            | Cause::NothingHeard { .. }
            | Cause::BulkStopped { .. }
            | Cause::Unsent { .. } => self.page("Open the account's mail", "/console/account#mail"),
            Cause::AdminChanged { .. } => {
                self.page("Open the list of admins", "/console/account#admins")
            }
            Cause::AdminByLink { .. } => {
                self.page("Open the audit of the account", "/console/account/audit")
            }
            Cause::HeldBack { .. }
            | Cause::Residual { .. }
            | Cause::ManagementKey
            | Cause::AnotherAccount { .. }
            | Cause::Incomplete { .. }
            | Cause::UnknownKeys { .. }
            | Cause::Silent { .. }
            | Cause::Balance { .. }
            | Cause::BalanceUnread { .. }
            | Cause::SiteDown { .. }
            | Cause::ErasureStuck { .. }
            | Cause::Machine { .. } => self.page("Open the account", "/console/account"),
        }
    }
}

#[cfg(test)]
mod tests;
