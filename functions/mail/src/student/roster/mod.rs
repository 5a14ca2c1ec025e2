//! The invitation to a person on a roster, and its reminder: that there is a key for them, and how
//! to get it.

use bursar_core::clock::Moment;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::mail::kind::MailClass;
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::format::{end_time_in, long_date, time_in};
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_core::store::OutboxRow;

use crate::App;
use crate::compose::{GONE, NoMail};
use crate::letter::words::{Words, say};
use crate::letter::{Letter, LetterPart, plain};

impl App {
    /// The invitation, if the person is still on the roster and can still claim, or somebody sent
    /// it by hand.
    pub(crate) async fn roster(
        &self,
        row: &OutboxRow,
        (programme, grant): (&ProgrammeId, &GrantId),
        is_reminder: bool,
        now: Moment,
    ) -> Result<Letter, NoMail> {
        let grant = self
            .table
            .get(Grant::key_of(programme, grant))
            .await?
            .ok_or(GONE)?;
        let programme = self.programme(programme).await?;
        let is_over = grant.is_over() || programme.is_over(now);
        if is_over || grant.holds.dropped.is_some() {
            return Err(NoMail::NotDue("this person is no longer on the roster"));
        }
        // Staff who send it by hand know both.
        let is_by_hand = row.class == MailClass::ByHand;
        if grant.stage.has_claimed() && !is_by_hand {
            return Err(NoMail::NotDue("this person has had a key by now"));
        }
        if now >= programme.settings.claim_closes_at() && !is_by_hand {
            return Err(NoMail::NotDue("keys cannot be claimed now"));
        }
        let opens = programme.settings.claim_opens_at();
        if now < opens && !is_by_hand {
            return Err(NoMail::NotOpenYet { opens });
        }
        Ok(self.to(&grant.person.address, |words| {
            words.roster(&programme, &grant, is_reminder, now)
        }))
    }

    /// The notice that a grant has another address than this one, unless it was given back to it.
    pub(crate) async fn former_address(
        &self,
        programme: &ProgrammeId,
        grant: &GrantId,
        address: &EmailAddress,
    ) -> Result<Letter, NoMail> {
        let view = self.table.view(programme, grant).await?.ok_or(GONE)?;
        if view.grant.person.address == *address {
            return Err(NoMail::NotDue("it is the student's address again"));
        }
        Ok(self.to(address, |words| {
            words.former_address(&view.programme.settings)
        }))
    }
}

impl Words<'_> {
    /// It does not name the other address: this one may be a stranger's.
    fn former_address(self, settings: &Settings) -> Letter {
        let name = &settings.name;
        Letter {
            subject: format!("{name}: another address is on the roster"),
            heading: "Your address was corrected".to_owned(),
            parts: vec![say(format!(
                "The people who run {name} replaced this address on its roster with another one. Nobody can sign in to {name} with \
                 this address any more. If that is a mistake, ask {}.",
                settings.people_to_ask()
            ))],
            why: format!("You get this mail because this address was on the roster of {name}."),
            ..self.letter()
        }
    }

    /// The mail's words: a person who has a key, or comes too late for one, is not asked to claim.
    fn roster(
        self,
        programme: &Programme,
        grant: &Grant,
        is_reminder: bool,
        now: Moment,
    ) -> Letter {
        let settings = &programme.settings;
        let name = &settings.name;
        let term = &settings.term;
        let institution = &self.config.institution;
        let host = self.config.origin.host();
        let opens = settings.claim_opens_at();
        let closes = settings.claim_closes_at();
        let teacher = settings.people.teacher();
        let greeting = grant
            .person
            .name
            .as_deref()
            .map_or("Hello,".to_owned(), |name| {
                format!("Hello {},", plain(name))
            });
        let mut facts = vec![
            ("Programme", name.clone()),
            (
                "Credit",
                format!(
                    "{} {}",
                    grant.cap(settings).to_dollars(),
                    settings.basis.reset.per_window()
                ),
            ),
            (
                "Term",
                format!(
                    "{} to {}",
                    long_date(term.starts_on()),
                    long_date(term.ends_on())
                ),
            ),
        ];
        let may_get_one = !grant.stage.has_claimed() && now < closes;
        if may_get_one && now < opens {
            facts.push(("Keys can be claimed from", time_in(opens, term.zone())));
        }
        if may_get_one && closes < term.ends_at() {
            facts.push((
                "Keys can be claimed until",
                end_time_in(closes, term.zone()),
            ));
        }
        facts.extend(
            settings
                .people
                .faculty_in_words()
                .map(|faculty| ("Run by", faculty)),
        );
        facts.extend(
            settings
                .texts
                .contact
                .clone()
                .map(|contact| ("Questions", contact)),
        );
        let what_to_do = if grant.stage.has_claimed() {
            "You have had a key already. Your page says what is left of your credit.".to_owned()
        } else if now >= closes {
            format!(
                "Keys could be claimed until {}. If you need one, ask {}.",
                end_time_in(closes, term.zone()),
                settings.people_to_ask()
            )
        } else {
            "To get your key, open the page below, enter your university address, and follow the link that comes by mail. It takes \
             less than a minute."
                .to_owned()
        };
        let sender = teacher.unwrap_or(name);
        Letter {
            subject: if is_reminder {
                format!("Reminder: your key for {name} is not claimed yet")
            } else {
                format!("Your API key for {name}")
            },
            heading: if is_reminder {
                format!("Your key for {name} is not claimed yet")
            } else {
                format!("Your API key for {name}")
            },
            parts: vec![
                say(greeting),
                say(format!(
                    "You are on the roster of {name}, and {institution} has an API key for you. With it, your programs and your \
                     editor can use large language models (LLMs), such as those behind ChatGPT, Claude and Gemini. What that costs \
                     is paid from your credit, and not by you."
                )),
                LetterPart::facts(facts),
                say(what_to_do),
                if may_get_one {
                    self.page("Get my key", "/")
                } else {
                    self.own_page()
                },
                say(format!(
                    "Is this mail real? It comes on behalf of {sender}, and its button leads to {host}, which you can also type into your \
                     browser. Neither asks for a password. If in doubt, ask {}.",
                    settings.people_to_ask()
                )),
            ],
            why: format!(
                "You get this mail because {institution} put you on the roster of {name}."
            ),
            recipient: self.recipient.clone(),
            from: Some(
                teacher.map_or_else(|| name.clone(), |teacher| format!("{teacher} via {name}")),
            ),
        }
    }
}

#[cfg(test)]
mod tests;
