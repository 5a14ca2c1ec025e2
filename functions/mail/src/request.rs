//! The mails about what is asked for: of an admin, by faculty, with a link to the form filled so;
//! of faculty, by a student who wants a larger cap. Each says who asks and where to decide.

use bursar_core::clock::Moment;
use bursar_core::domain::grant::{MoreRequest, View};
use bursar_core::domain::mail::failure::NO_ADDRESS;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::format::time_in;
use bursar_core::domain::values::id::{GrantId, PersonId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{AskedOfAdmins, StaffPerson, Wish};

use crate::App;
use crate::compose::{GONE, NoMail};
use crate::letter::words::{Words, say};
use crate::letter::{Letter, LetterPart, plain};

impl App {
    /// The mail in which faculty ask for what only admins may do, if its recipient is still an
    /// admin.
    pub(crate) async fn request(
        &self,
        programme: &ProgrammeId,
        asked_by: &PersonId,
        (request, asked_at): (&AskedOfAdmins, Moment),
        recipient: &PersonId,
    ) -> Result<Letter, NoMail> {
        let programme = self.programme(programme).await?;
        let person = self.person(recipient).await?;
        if !self.table.is_admin(person.address.matched()).await? {
            return Err(NoMail::NotDue("this person is no longer an admin"));
        }
        let asker = self
            .table
            .get(StaffPerson::key_of(asked_by))
            .await?
            .ok_or(GONE)?;
        Ok(self.to(&person.address, |words| {
            words.request(&programme, &asker, request, asked_at)
        }))
    }

    /// The mail of a student's request, if it is still open and its recipient one of those who
    /// decide.
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
        let open = view
            .open_request(now)
            .filter(|open| open.asked_at == asked_at && !view.grant.is_over());
        let open = open.ok_or(NoMail::NotDue(
            "the cap was changed since, or the student was removed",
        ))?;
        Ok(self.to(&person.address, |words| {
            words.asks_for_more(&view, open, now)
        }))
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
        let read = read.map_or("not checked at OpenRouter yet".to_owned(), |read| {
            format!("as of {}", time_in(read, zone))
        });
        let per_window = settings.basis.reset.per_window();
        let mut facts = vec![
            ("Address", grant.person.address.as_written().to_owned()),
            ("Cap", format!("{cap} {per_window}")),
            ("Used", format!("{used}, {read}")),
            ("Asked", time_in(open.asked_at, zone)),
        ];
        let wanted_cap = open.wanted_cap.map(Usd::to_dollars);
        facts.extend(
            wanted_cap
                .iter()
                .map(|wanted_cap| ("Asks for", format!("{wanted_cap} {per_window}"))),
        );
        let wanted_cap = wanted_cap.as_deref().unwrap_or("more");
        Letter {
            subject: format!("{who} asks for {wanted_cap} (used {used} of {cap})"),
            heading: format!("{who} asks for {wanted_cap}"),
            parts: vec![
                say(format!("{who} asks for a larger cap in {name}.")),
                LetterPart::facts(facts),
                LetterPart::Notes(vec![("Reason", plain(&open.reason))]),
                say(format!(
                    "Raise the cap, or decline and say why: the student gets your answer by mail. The request stays open for a \
                     week. Everybody who decides about {name} got this mail; one answer is enough."
                )),
                self.page(
                    "Decide",
                    &format!(
                        "/console/programmes/{}/grants/{}#more",
                        view.programme.id, grant.id
                    ),
                ),
                LetterPart::ReplyTo(grant.person.address.clone()),
            ],
            why: format!("You get this mail because you decide about the caps of {name}."),
            ..self.letter()
        }
    }

    fn request(
        self,
        programme: &Programme,
        asker: &StaffPerson,
        request: &AskedOfAdmins,
        asked_at: Moment,
    ) -> Letter {
        let id = &programme.id;
        let name = plain(&programme.settings.name);
        let address = asker.address.as_written();
        let who = programme
            .settings
            .people
            .name_of(asker.address.matched())
            .unwrap_or(address);
        let mut facts = vec![
            ("Programme".to_owned(), name.clone()),
            ("Asked by".to_owned(), address.to_owned()),
        ];
        let (subject, link) = match request {
            AskedOfAdmins::Settings(wishes) => {
                facts.extend(
                    wishes
                        .iter()
                        .map(|wish| (wish.label.clone(), wish.words.clone())),
                );
                let subject = match &wishes[..] {
                    [wish] => format!("{who} asks for a change to {name}: {}", wish.label),
                    wishes => format!("{who} asks for {} changes to {name}", wishes.len()),
                };
                (
                    subject,
                    self.page(
                        "Open the filled form",
                        &settings_link(id, wishes, asker, asked_at),
                    ),
                )
            }
            AskedOfAdmins::Close => {
                let look = format!("/console/programmes/{id}/close");
                (
                    format!("{who} asks to close {name}"),
                    self.page("See what closing does", &look),
                )
            }
            AskedOfAdmins::NextTerm => {
                let form = format!("/console/programmes/new?from={id}");
                (
                    format!("{who} asks for {name} in the next term"),
                    self.page("Open the filled form", &form),
                )
            }
        };
        facts.push((
            "Asked".to_owned(),
            time_in(asked_at, programme.settings.term.zone()),
        ));
        Letter {
            heading: subject.clone(),
            subject,
            parts: vec![
                say("Only an admin can do this. Nothing has changed yet."),
                LetterPart::facts(facts),
                say(
                    "The link changes nothing by itself: you see everything before you save it. If you do not want to do it, answer \
                     this mail. All admins of Bursar got it; one of you is enough.",
                ),
                link,
                LetterPart::ReplyTo(asker.address.clone()),
            ],
            why: format!(
                "You get this mail because you are an admin of Bursar at {}.",
                self.config.institution
            ),
            ..self.letter()
        }
    }
}

/// The settings' page with the form filled so, which also says who asked and when.
fn settings_link(
    programme: &ProgrammeId,
    wishes: &[Wish],
    asker: &StaffPerson,
    asked_at: Moment,
) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(wishes.iter().map(|wish| (&wish.setting, &wish.value)));
    query.append_pair("asked_by", asker.person.as_str());
    query.append_pair("asked_at", &asked_at.to_string());
    format!(
        "/console/programmes/{programme}/settings?{}",
        query.finish()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{address, now, programme, read, told, with_key};

    #[tokio::test]
    async fn request() {
        let frida = StaffPerson {
            person: "fedcba9876543210".parse().unwrap(),
            address: address("frida"),
        };
        let wish = |setting: &str, label: &str, value: &str, words: &str| {
            let [setting, label, value, words] = [setting, label, value, words].map(str::to_owned);
            Wish {
                setting,
                label,
                words,
                value,
            }
        };
        let cost_code = wish(
            "cost_code",
            "Cost code",
            "47&11",
            "47&11 instead of nothing",
        );
        let budget = wish("budget_usd", "Budget", "8000", "$8,000 instead of $4,000");
        let asked = AskedOfAdmins::Settings(vec![cost_code.clone(), budget]);
        insta::assert_snapshot!(told(|words| words.request(&programme(), &frida, &asked, now())).await, @"
        frida@example.edu asks for 2 changes to CS pilot
        frida@example.edu asks for 2 changes to CS pilot
        Only an admin can do this. Nothing has changed yet.
        Programme: CS pilot
        Asked by: frida@example.edu
        Cost code: 47&11 instead of nothing
        Budget: $8,000 instead of $4,000
        Asked: 20 Nov 2026, 11:00 (Europe/Berlin)
        The link changes nothing by itself: you see everything before you save it. If you do not want to do it, answer this mail. All admins of Bursar got it; one of you is enough.
        Open the filled form: https://bursar.example.edu/console/programmes/cs-pilot/settings?cost_code=47%2611&budget_usd=8000&asked_by=fedcba9876543210&asked_at=2026-11-20T10%3A00%3A00Z
        Reply to this mail to write to frida@example.edu.
        You get this mail because you are an admin of Bursar at Example University.
        ");
        let mut others = Vec::new();
        for asked in [
            AskedOfAdmins::Settings(vec![cost_code]),
            AskedOfAdmins::Close,
            AskedOfAdmins::NextTerm,
        ] {
            let text = told(|words| words.request(&programme(), &frida, &asked, now())).await;
            others.extend(
                text.lines()
                    .skip(1)
                    .filter(|line| line.contains(" asks ") || line.contains("://"))
                    .map(str::to_owned),
            );
        }
        insta::assert_snapshot!(others.join("\n"), @"
        frida@example.edu asks for a change to CS pilot: Cost code
        Open the filled form: https://bursar.example.edu/console/programmes/cs-pilot/settings?cost_code=47%2611&asked_by=fedcba9876543210&asked_at=2026-11-20T10%3A00%3A00Z
        frida@example.edu asks to close CS pilot
        See what closing does: https://bursar.example.edu/console/programmes/cs-pilot/close
        frida@example.edu asks for CS pilot in the next term
        Open the filled form: https://bursar.example.edu/console/programmes/new?from=cs-pilot
        ");
    }

    #[tokio::test]
    async fn more() {
        let mut view = with_key();
        read(&mut view, now(), 16_400_000);
        view.grant.person.name = Some("Ada Lovelace".to_owned());
        let asked = view
            .ask_for_more(
                "The last exercise\nneeds a larger model.",
                Some(Usd::from_dollars(30)),
                &[],
                now(),
            )
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
