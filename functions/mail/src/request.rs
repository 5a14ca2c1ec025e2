//! What an admin is told whom faculty ask for a change that only an admin may make: who asks, from what to what, and where to do it.

use bursar_core::domain::id::{PersonId, ProgrammeId};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::request::{Request, Wish};
use bursar_core::domain::role::is_among;
use bursar_core::store::StoreError;
use bursar_core::store::items::Person;
use jiff::civil::Date;

use crate::App;
use crate::letter::{Letter, Part};
use crate::owed::{GONE, Owed};
use crate::words::{Words, moment, said};

impl App {
    /// The mail of a request, if its recipient is still an admin.
    pub(crate) async fn request(
        &self,
        programme: &ProgrammeId,
        day: Date,
        request: &str,
        recipient: &PersonId,
    ) -> Result<Owed, StoreError> {
        let (programme, request, person) = tokio::try_join!(
            self.table.programme(programme),
            self.table.request(programme, day, request),
            self.table.person(recipient),
        )?;
        let Some((programme, request)) = programme.zip(request) else { return Ok(GONE) };
        let Some(person) = person else { return Ok(Owed::Unsendable("NoSuchPerson")) };
        if !is_among(person.address.matched(), &self.config.admins) {
            return Ok(Owed::Nothing("this person is no longer an admin"));
        }
        let asker = self.table.person(&request.by).await?;
        self.to_staff(&person.address, |words| words.request(&programme, &request, asker.as_ref())).await
    }
}

impl Words<'_> {
    fn request(self, programme: &Programme, request: &Request, asker: Option<&Person>) -> Letter {
        let name = &programme.settings.name;
        let asker = asker.map_or("Somebody who was erased".to_owned(), |asker| asker.address.as_written().to_owned());
        let mut facts = vec![("Programme", name.clone()), ("Asked by", asker)];
        facts.extend(request.wishes.iter().map(|wish| (wish.label(), wish.in_words())));
        facts.push(("Asked", moment(request.asked_at, &programme.settings.term)));
        Letter {
            subject: format!("{name}: {}", asked_for(&request.wishes)),
            heading: "A change is asked for that only an admin may make".to_owned(),
            parts: vec![
                Part::Facts(facts),
                said(
                    "Asking has changed nothing. To do it, edit the programme; if you would rather not, tell whoever asked.",
                ),
                Part::Link {
                    label: "See the programme",
                    url: format!("{}/console/programmes/{}#edit", self.config.origin.as_str(), programme.id),
                },
            ],
            why: format!("You get this mail because you are an admin of Bursar at {}.", self.config.institution),
            to: self.to.clone(),
        }
    }
}

/// What it is about, in a few words; a single wish says its value.
fn asked_for(wishes: &[Wish]) -> String {
    match wishes {
        [wish] if wish.setting == "pot_usd" => format!("asked for a pot of {}", wish.in_words()),
        [wish] => format!("asked for a change: {}", wish.label()),
        wishes => format!("asked for {} changes", wishes.len()),
    }
}
