//! The mails about what is asked for: of an admin, by faculty, with the old and the new value; of faculty, by a student who wants a
//! larger cap. Each says who asks and where to decide.

use bursar_core::clock::Moment;
use bursar_core::domain::grant::{MoreRequest, View};
use bursar_core::domain::mail::failure::NO_ADDRESS;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::request::{BUDGET, CLOSE, COPY, Decision, INSTEAD_OF, ProgrammeRequest, Wish};
use bursar_core::domain::values::format::time_in;
use bursar_core::domain::values::id::{GrantId, PersonId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::StaffPerson;
use ulid::Ulid;

use crate::App;
use crate::compose::{GONE, NoMail};
use crate::letter::words::{Words, said};
use crate::letter::{Letter, LetterPart, plain};

pub(crate) enum RequestMail {
    Asked,
    Decided,
}

impl App {
    /// The mail of a request, if its recipient is still an admin, or its answer to who asked, once an admin has decided.
    pub(crate) async fn request(
        &self,
        programme: &ProgrammeId,
        request: Ulid,
        recipient: &PersonId,
        which: RequestMail,
    ) -> Result<Letter, NoMail> {
        let request = self.table.get(ProgrammeRequest::key_of(programme, request)).await?.ok_or(GONE)?;
        let programme = self.programme(programme).await?;
        let person = self.person(recipient).await?;
        match (which, &request.decision) {
            (RequestMail::Asked, None) => {}
            (RequestMail::Asked, Some(_)) => return Err(NoMail::NotDue("it was decided since")),
            (RequestMail::Decided, None) => return Err(NoMail::NotDue("it is not decided")),
            (RequestMail::Decided, Some(decision)) => {
                return Ok(self.to(&person.address, |words| words.request_decided(&programme, &request, decision)));
            }
        }
        if !self.table.is_admin(person.address.matched()).await? {
            return Err(NoMail::NotDue("this person is no longer an admin"));
        }
        let asker = self.table.get(StaffPerson::key_of(&request.asked_by)).await?;
        Ok(self.to(&person.address, |words| words.request(&programme, asker.as_ref(), &request)))
    }

    /// The mail of a student's request, if it is still open and its recipient one of those who decide.
    pub(crate) async fn asks_for_more(
        &self,
        programme: &ProgrammeId,
        grant: &GrantId,
        asked_at: Moment,
        recipient: &PersonId,
        now: Moment,
    ) -> Result<Letter, NoMail> {
        let view = self.table.view(programme, grant).await?.ok_or(GONE)?;
        if view.grant.person.address.is_none() {
            return Err(NoMail::NotDue(NO_ADDRESS));
        }
        let person = self.decider(recipient, &view.programme).await?;
        let open = view.open_request(now).filter(|open| open.asked_at == asked_at && !view.grant.is_over());
        let open = open.ok_or(NoMail::NotDue("the cap was changed since, or the student was removed"))?;
        Ok(self.to(&person.address, |words| words.asks_for_more(&view, open, now)))
    }
}

impl Words<'_> {
    fn asks_for_more(self, view: &View, open: &MoreRequest, now: Moment) -> Letter {
        let settings = &view.programme.settings;
        let grant = &view.grant;
        let name = plain(&settings.name);
        let who = plain(grant.person.known_as());
        let zone = settings.term.zone();
        let used = view.spending(now).in_window.to_dollars();
        let cap = open.cap.to_dollars();
        let read = view.readings.iter().map(|reading| reading.as_of).max();
        let read =
            read.map_or("not checked at OpenRouter yet".to_owned(), |read| format!("as of {}", time_in(read, zone)));
        let per_window = settings.basis.reset.per_window();
        let mut facts = vec![
            ("Address", grant.person.address.as_written().to_owned()),
            ("Cap", format!("{cap} {per_window}")),
            ("Used", format!("{used}, {read}")),
            ("Asked", time_in(open.asked_at, zone)),
        ];
        let wanted_cap = open.wanted_cap.map(Usd::to_dollars);
        facts.extend(wanted_cap.iter().map(|wanted_cap| ("Asks for", format!("{wanted_cap} {per_window}"))));
        let wanted_cap = wanted_cap.as_deref().unwrap_or("more");
        Letter {
            subject: format!("{who} asks for {wanted_cap} (used {used} of {cap})"),
            heading: format!("{who} asks for {wanted_cap}"),
            parts: vec![
                LetterPart::Sentences(format!("{who} asks for a larger cap in {name}.")),
                LetterPart::facts(facts),
                LetterPart::Notes(vec![("Reason", plain(&open.reason))]),
                LetterPart::Sentences(format!(
                    "Raise the cap, or decline and say why: the student gets your answer by mail. The request stays open for a \
                     week. Everybody who decides about {name} got this mail; one answer is enough."
                )),
                self.page("Decide", &format!("/console/programmes/{}/grants/{}#more", view.programme.id, grant.id)),
                LetterPart::ReplyTo(grant.person.address.clone()),
            ],
            why: format!("You get this mail because you decide about the caps of {name}."),
            ..self.letter()
        }
    }

    fn request_decided(self, programme: &Programme, request: &ProgrammeRequest, decision: &Decision) -> Letter {
        let name = plain(&programme.settings.name);
        let verb = decision.verb();
        let said = if decision.copy.is_some() {
            "An admin made the copy that you asked for, perhaps with changes. This is what was made:"
        } else if decision.is_approved {
            "An admin approved your request, and the change is made."
        } else {
            "An admin declined your request. Nothing was changed."
        };
        let wishes = request.wishes.iter().map(|wish| (wish.label.clone(), wish.words.clone()));
        let mut parts = vec![LetterPart::Sentences(said.to_owned()), LetterPart::facts(wishes)];
        parts.extend(decision.reason.as_ref().map(|reason| LetterPart::Notes(vec![("Reason", plain(reason))])));
        let leads_to = decision.copy.as_ref().unwrap_or(&programme.id);
        parts.push(self.page("Open the programme", &format!("/console/programmes/{leads_to}")));
        Letter {
            subject: format!("{name}: your request is {verb}"),
            heading: format!("Your request is {verb}"),
            parts,
            why: format!(
                "You get this mail because you asked the admins for this on {}.",
                time_in(request.asked_at, programme.settings.term.zone())
            ),
            ..self.letter()
        }
    }

    fn request(self, programme: &Programme, asker: Option<&StaffPerson>, request: &ProgrammeRequest) -> Letter {
        let wishes = &request.wishes[..];
        let name = plain(&programme.settings.name);
        let people = &programme.settings.people;
        let address = asker.map_or("A person who was erased", |asker| asker.address.as_written());
        let who = asker.and_then(|asker| people.name_of(asker.address.matched())).unwrap_or(address);
        let mut facts = vec![("Programme".to_owned(), name.clone()), ("Asked by".to_owned(), address.to_owned())];
        facts.extend(wishes.iter().map(|wish| (wish.label.clone(), wish.words.clone())));
        facts.push(("Asked".to_owned(), time_in(request.asked_at, programme.settings.term.zone())));
        let subject = format!("{who} {}", asked_for(wishes, &name));
        let mut parts = vec![
            said("Only an admin can do this. Nothing has changed yet."),
            LetterPart::facts(facts),
            said(
                "Approve the request, or decline it and say why: the person who asked gets your answer by mail. All admins of \
                 Bursar got this mail; one answer is enough.",
            ),
            self.page("Decide", &format!("/console/programmes/{}#request-{}", programme.id, request.request)),
        ];
        parts.extend(asker.map(|asker| LetterPart::ReplyTo(asker.address.clone())));
        Letter {
            heading: subject.clone(),
            subject,
            parts,
            why: format!("You get this mail because you are an admin of Bursar at {}.", self.config.institution),
            ..self.letter()
        }
    }
}

/// The request in a few words; a single wish includes its value.
fn asked_for(wishes: &[Wish], name: &str) -> String {
    match wishes {
        [wish] if wish.setting == BUDGET => {
            let amount = wish.words.split(INSTEAD_OF).next().unwrap_or(&wish.words);
            format!("asks for a budget of {amount} for {name}")
        }
        [wish] if wish.setting == CLOSE => format!("asks to close {name}"),
        [wish] if wish.setting == COPY => format!("asks for a copy of {name}"),
        [wish] => format!("asks for a change to {name}: {}", wish.label),
        wishes => format!("asks for {} changes to {name}", wishes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{address, now, programme, read, told, with_key};

    #[tokio::test]
    async fn request() {
        let frida = StaffPerson { person: PersonId::random(), address: address("frida") };
        let [setting, label, words] = ["cost_code", "Cost code", "4711 instead of nothing"].map(str::to_owned);
        let [old_value, new_value] = ["", "4711"].map(str::to_owned);
        let wishes = vec![Wish { setting, label, words, old_value, new_value }];
        let mut asked = ProgrammeRequest::new(programme().id, frida.person.clone(), wishes, now());
        asked.request = Ulid::nil();
        insta::assert_snapshot!(told(|words| words.request(&programme(), Some(&frida), &asked)).await, @"
        frida@example.edu asks for a change to CS pilot: Cost code
        frida@example.edu asks for a change to CS pilot: Cost code
        Only an admin can do this. Nothing has changed yet.
        Programme: CS pilot
        Asked by: frida@example.edu
        Cost code: 4711 instead of nothing
        Asked: 20 Nov 2026, 11:00 (Europe/Berlin)
        Approve the request, or decline it and say why: the person who asked gets your answer by mail. All admins of Bursar got this mail; one answer is enough.
        Decide: https://bursar.example.edu/console/programmes/cs-pilot#request-00000000000000000000000000
        Reply to this mail to write to frida@example.edu.
        You get this mail because you are an admin of Bursar at Example University.
        ");
        asked.decision = Some(Decision { is_approved: false, reason: Some("Use 4712.".to_owned()), copy: None });
        let decided = told(|words| words.request_decided(&programme(), &asked, asked.decision.as_ref().unwrap())).await;
        insta::assert_snapshot!(decided, @"
        CS pilot: your request is declined
        Your request is declined
        An admin declined your request. Nothing was changed.
        Cost code: 4711 instead of nothing
        Reason: Use 4712.
        Open the programme: https://bursar.example.edu/console/programmes/cs-pilot
        You get this mail because you asked the admins for this on 20 Nov 2026, 11:00 (Europe/Berlin).
        ");
    }

    #[tokio::test]
    async fn more() {
        let mut view = with_key();
        read(&mut view, now(), 16_400_000);
        view.grant.person.name = Some("Ada Lovelace".to_owned());
        let asked = view
            .ask_for_more("The last exercise\nneeds a larger model.", Some(Usd::from_dollars(30)), &[], now())
            .unwrap();
        view.grant = asked.grant.clone();
        let open = view.open_request(now()).unwrap();
        insta::assert_snapshot!(told(|words| words.asks_for_more(&view, open, now())).await, @"
        Ada Lovelace asks for $30 (used $16.40 of $20)
        Ada Lovelace asks for $30
        Ada Lovelace asks for a larger cap in CS pilot.
        Address: ada@example.edu
        Cap: $20 for the whole term
        Used: $16.40, as of 20 Nov 2026, 11:00 (Europe/Berlin)
        Asked: 20 Nov 2026, 11:00 (Europe/Berlin)
        Asks for: $30 for the whole term
        Reason: The last exercise needs a larger model.
        Raise the cap, or decline and say why: the student gets your answer by mail. The request stays open for a week. Everybody who decides about CS pilot got this mail; one answer is enough.
        Decide: https://bursar.example.edu/console/programmes/cs-pilot/grants/0123456789abcdef#more
        Reply to this mail to write to ada@example.edu.
        You get this mail because you decide about the caps of CS pilot.
        ");
    }
}
