//! The audit: who did what, of a programme with its grants, of one grant, and of the account. The page says it in sentences, the newest
//! first; the file has what is on record, in the order of time.

use bursar_core::domain::audit::{AuditDetail, Entry};
use bursar_core::domain::values::format::counted;
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use crate::csv_file::{self, CsvRequest};
use crate::listing::{self, Part};
use crate::prelude::*;
use crate::settings;

const GRANTS_AT_ONCE: usize = 16;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AuditQuery {
    /// The id of the one grant that is asked for; empty for all.
    grant: String,
    /// The number of entries before the first on the page.
    from: String,
}

/// An entry with the name of who did it, and of the person of its grant.
pub(crate) struct AuditRow {
    pub(crate) entry: Entry,
    by: String,
    whom: String,
}

/// The page says it in a sentence; the file has the entry as it is on record.
const COLUMNS: [Column<AuditRow>; 8] = [
    column("When").class("date").file("at").of(|row| Cell::At(Some(row.entry.at))),
    column("What happened").of(|row| Cell::Shown(None, row.parts())),
    column("").file("by").of(|row| Cell::text(Some(&*row.by))),
    column("").file("act").hook("act").of(|row| Cell::exact(Some(row.entry.what.act.in_words()))),
    column("").file("grant").hook("grant").of(|row| Cell::exact(row.entry.grant.as_ref())),
    column("").file("from").of(|row| Cell::text(row.entry.what.from.as_deref())),
    column("").file("to").of(|row| Cell::text(row.entry.what.to.as_deref())),
    column("").file("note").of(|row| Cell::text(row.entry.what.words())),
];

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    grant: &'a str,
    entries: Listing<AuditRow>,
}

#[derive(Template)]
#[template(path = "account_audit.html")]
struct AccountAuditPage<'a> {
    frame: PageFrame<'a>,
    entries: Listing<AuditRow>,
}

pub(crate) async fn page(State(site): State<Site>, access: ProgrammeAccess, Query(asked): Query<AuditQuery>) -> Answer {
    let (programme, frame) = (&access.programme, PageFrame::of(&site, &access.visitor));
    let entries = asked.entries(&site, programme).await?;
    let zone = programme.settings.term.zone();
    let entries = asked.listing(&site, entries, &paths::audit(&programme.id), zone, access.is_faculty()).await?;
    Ok(site.page(&AuditPage { frame, programme, grant: &asked.grant, entries }))
}

pub(crate) async fn file(
    State(site): State<Site>,
    ProgrammeAccess { programme, .. }: ProgrammeAccess,
    Query(asked): Query<AuditQuery>,
    request: CsvRequest,
) -> Answer {
    let entries = asked.entries(&site, &programme).await?;
    request.answer(&format!("audit-{}", programme.id), COLUMNS, AuditRow::all(&site, entries, false).await?, |row| {
        row.entry.entry.to_string()
    })
}

pub(crate) async fn page_of_account(
    State(site): State<Site>,
    AdminAccess { visitor }: AdminAccess,
    Query(asked): Query<AuditQuery>,
) -> Answer {
    let entries = site.table.list_known(Entry::of_account()).await?;
    let entries = asked.listing(&site, entries, paths::ACCOUNT_AUDIT, &TimeZone::UTC, true).await?;
    Ok(site.page(&AccountAuditPage { frame: PageFrame::of(&site, &visitor), entries }))
}

pub(crate) async fn file_of_account(State(site): State<Site>, _: AdminAccess, request: CsvRequest) -> Answer {
    let entries = site.table.list_known(Entry::of_account()).await?;
    request.answer("audit-account", COLUMNS, AuditRow::all(&site, entries, false).await?, |row| {
        row.entry.entry.to_string()
    })
}

impl AuditQuery {
    async fn entries(&self, site: &Site, programme: &Programme) -> Result<Vec<Entry>, AppError> {
        if self.grant.is_empty() {
            return Ok(site.table.audit_of(&programme.id).await?);
        }
        let grant: GrantId = self.grant.parse().map_err(|_| AppError::not_found())?;
        Ok(site.table.list_known(Entry::of_grant(&programme.id, &grant)).await?)
    }

    async fn listing(
        &self,
        site: &Site,
        mut entries: Vec<Entry>,
        path: &str,
        zone: &TimeZone,
        may_name: bool,
    ) -> Result<Listing<AuditRow>, AppError> {
        let found = entries.len();
        let from = self.from.parse().unwrap_or(0);
        let file = show::address(&format!("{path}.csv"), &[("grant", &self.grant)]);
        let files = csv_file::offered(&file, &entries, |entry| entry.entry.to_string());
        entries.reverse();
        let (entries, from) = listing::page_of(entries, from);
        let address = |from: usize| show::address(path, &[("grant", &self.grant), ("from", &from.to_string())]);
        let rows = AuditRow::all(site, entries, may_name).await?;
        let listing = Listing::of(("Audit", "audit"), COLUMNS, rows, zone);
        let mut listing = listing.part_of(found, from, "the newest first", address);
        listing.files = files;
        Ok(listing)
    }
}

impl AuditRow {
    /// Entries with who acted, and on whom, each looked up once. The person of a grant is named to those who may know them.
    pub(crate) async fn all(site: &Site, entries: Vec<Entry>, may_name: bool) -> Result<Vec<AuditRow>, AppError> {
        let mut names: HashMap<String, String> = HashMap::new();
        for entry in &entries {
            let name = match &entry.by {
                actor if names.contains_key(&actor.to_string()) => continue,
                Actor::Student => "the student".to_owned(),
                Actor::Sync => "the nightly check".to_owned(),
                Actor::Rule => "a rule of the programme".to_owned(),
                Actor::Registrar => "the registrar's file".to_owned(),
                Actor::Person(person) => show::person(&site.table, person).await?,
            };
            names.insert(entry.by.to_string(), name);
        }
        let grants: BTreeSet<_> = entries
            .iter()
            .filter(|_| may_name)
            .filter_map(|entry| entry.programme.clone().zip(entry.grant.clone()))
            .collect();
        let named = grants.into_iter().map(|(programme, grant)| async move {
            let known = site.table.get(Grant::key_of(&programme, &grant)).await?;
            Ok::<_, AppError>((grant, known.map_or(show::REMOVED.to_owned(), |known| name_of(&known.person))))
        });
        let named: HashMap<GrantId, String> =
            iter(named.collect::<Vec<_>>()).buffered(GRANTS_AT_ONCE).try_collect().await?;
        let row = |entry: Entry| AuditRow {
            by: names[&entry.by.to_string()].clone(),
            whom: entry.grant.as_ref().and_then(|grant| named.get(grant)).map_or("a student".to_owned(), Clone::clone),
            entry,
        };
        Ok(entries.into_iter().map(row).collect())
    }

    /// The sentence, with the person as a link to their grant, and below it what changed and why.
    fn parts(&self) -> Vec<Part> {
        let link =
            self.entry.programme.as_ref().zip(self.entry.grant.as_ref()).map(|(of, grant)| paths::grant(of, grant));
        let sentence = self.in_words();
        let mut parts = match link.zip(sentence.split_once(&self.whom)) {
            Some((link, (before, after))) => {
                vec![Part::Text(before.to_owned()), Part::Link(link, self.whom.clone()), Part::Text(after.to_owned())]
            }
            None => vec![Part::Text(sentence)],
        };
        parts.extend(self.details().into_iter().map(Part::Small));
        parts
    }

    /// What happened, in a sentence that names the person of the grant.
    pub(crate) fn in_words(&self) -> String {
        let AuditDetail { act, from, to, note, .. } = &self.entry.what;
        let (from, to) = (from.as_deref().unwrap_or_default(), to.as_deref().unwrap_or_default());
        let who = match &self.entry.by {
            Actor::Student => &self.whom,
            Actor::Person(_) | Actor::Rule | Actor::Registrar => &self.by,
            Actor::Sync => "the nightly check",
        };
        let whom = &self.whom;
        let is_new = |hold: &str| to.contains(hold) != from.contains(hold);
        let text = match act {
            Act::Created => format!("{who} made the programme"),
            Act::Edited => format!("{who} changed the settings"),
            Act::BudgetChanged => format!("{who} changed the budget from {} to {}", dollars(from), dollars(to)),
            Act::Closed => format!("{who} closed the programme"),
            // That of a file names the ids of all of them.
            Act::Invited => {
                let people = note.as_deref().unwrap_or_default().split(' ').count() as u64;
                format!("{who} put {} on the roster", counted(people, "student", "students"))
            }
            Act::Begun => format!("{whom} asked for a key"),
            Act::Shown => format!("{whom} was shown a key"),
            Act::NotShown => format!("{whom} was shown no key"),
            Act::OrphanFound => format!("{who} found a key for {whom} that nobody was shown, and has it switched off"),
            Act::Held if is_new("dropped") => format!("{who} took {whom} off the roster"),
            Act::Held if is_new("unused") => format!("The key of {whom} was switched off, since it was not used"),
            Act::Held => format!("{who} paused {whom}"),
            Act::Released if is_new("dropped") => format!("{who} put {whom} on the roster again"),
            Act::Released => format!("{who} let {whom} go on"),
            Act::Stopped => format!("The key of {whom} was ended"),
            Act::Revoked => format!("{who} removed {whom} for good"),
            Act::Ended => format!("The programme ended for {whom}"),
            Act::WentOn => format!("The programme goes on for {whom}, who needs a new key"),
            Act::CapChanged => format!("{who} set the cap of {whom} to {} (it was {})", dollars(to), dollars(from)),
            Act::ReplacementAllowed => format!("{who} allowed {whom} one more replacement"),
            Act::ReservationGivenBack => format!("What was promised to {whom} went back to the budget"),
            Act::Described => format!("{who} changed the line of {whom} on the roster"),
            Act::Moved => format!("{who} moved {whom} from {} to {}", group(from), group(to)),
            Act::GuardrailSet => "The allowed models were set at OpenRouter".to_owned(),
            Act::TierEdited => format!("{who} changed a model list"),
            Act::LimitFound => {
                format!("Somebody changed the limit of the key of {whom} at OpenRouter; it is set again")
            }
            Act::GuardrailLost => {
                format!("Somebody took the key of {whom} from under its models at OpenRouter; it is put back")
            }
            Act::Recovered => format!("A key of {whom} that only OpenRouter knew was recorded again"),
            Act::Purged => format!("An ended key of {whom} was deleted at OpenRouter"),
            Act::Asked => format!("{who} asked the admins for a change"),
            Act::MoreAsked => format!("{whom} asked for a larger cap"),
            Act::MoreDeclined => format!("{who} declined a larger cap for {whom}"),
            Act::RequestApproved => format!("{who} approved what faculty had asked for"),
            Act::RequestDeclined => format!("{who} declined what faculty had asked for"),
            Act::SafetyLimitReleased => format!("{who} let happen what the safety limit had held back"),
            Act::KeysAssigned => format!("{who} gave keys made elsewhere to the programme"),
            Act::KeysTakenBack => format!("{who} took keys made elsewhere back from the programme"),
            Act::ForeignActBegun => format!("{who} asked to change a key made elsewhere"),
            Act::ForeignActConcluded => "OpenRouter answered that".to_owned(),
            Act::AccountConfirmed => format!("{who} said that another management key is of this account"),
            Act::MailSentAgain => format!("{who} sent mail again that was given up"),
            Act::Reinvited => format!("{who} sent {whom} the invitation again"),
            Act::MailAllowed => format!("{who} let mail go to an address again"),
            Act::AlertResent => format!("{who} sent an alert again"),
            Act::RosterTokenMade => format!("{who} made the registrar's token"),
            Act::RosterTokenEnded => format!("{who} ended the registrar's token"),
            Act::AdminAdded => format!("{who} named an admin"),
            Act::AdminRemoved => format!("{who} removed an admin"),
            Act::ErasureBegun => format!("{who} began to erase personal data"),
            Act::Erased => "Whose this was is erased".to_owned(),
        };
        show::capital(&text)
    }

    /// What an edit changed, with the remark that people understand, and the reason that a person typed.
    pub(crate) fn details(&self) -> Vec<String> {
        let AuditDetail { act, from, to, note, reason } = &self.entry.what;
        let mut details = Vec::new();
        if let (Act::Edited | Act::Asked, Some(from), Some(to)) = (act, from, to) {
            details.extend(
                from.split("; ").zip(to.split("; ")).filter(|(from, _)| !from.is_empty()).map(settings::change),
            );
        }
        if let Act::Edited | Act::Asked | Act::Created | Act::TierEdited | Act::SafetyLimitReleased | Act::AlertResent =
            act
        {
            details.extend(note.clone());
        }
        details.extend(reason.as_ref().map(|reason| format!("“{reason}”")));
        details
    }
}

fn name_of(person: &Person) -> String {
    if person.address.is_erased() { show::REMOVED.to_owned() } else { person.known_as().to_owned() }
}

/// An amount of an entry as a person reads it.
fn dollars(text: &str) -> String {
    Usd::from_form(text).map_or_else(|_| text.to_owned(), Usd::to_dollars_down)
}

fn group(name: &str) -> &str {
    if name.is_empty() { "no group" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_sentence_that_names_people() {
        let says = |by: Actor, what: AuditDetail| {
            let entry = Entry {
                grant: Some(GrantId::random()),
                ..Entry::on_account(&by, "2026-11-20T10:00:00Z".parse().unwrap(), what)
            };
            let row = AuditRow { entry, by: "grace@x.edu".to_owned(), whom: "Amina Diallo".to_owned() };
            [vec![row.in_words()], row.details()].concat().join(" / ")
        };
        let by = Actor::Rule;
        let cap = AuditDetail {
            reason: Some("an exam".to_owned()),
            ..AuditDetail::new(Act::CapChanged).changing("20.000000", "30.500000")
        };
        assert_eq!(says(by.clone(), cap), "grace@x.edu set the cap of Amina Diallo to $30.50 (it was $20) / “an exam”");
        let edited =
            AuditDetail::new(Act::Edited).changing("cap_usd=20.00; models.Lab C=", "cap_usd=30.00; models.Lab C=a/b");
        assert_eq!(
            says(by.clone(), edited),
            "grace@x.edu changed the settings / Cap per student: $20 → $30 / Models of Lab C: nothing → a/b"
        );
        let begun = AuditDetail::new(Act::Begun).changing("invited", "invited").noting("key 1");
        assert_eq!(says(Actor::Student, begun), "Amina Diallo asked for a key");
        let dropped = AuditDetail::new(Act::Held).changing("live", "live, dropped");
        assert_eq!(says(by, dropped), "grace@x.edu took Amina Diallo off the roster");
    }
}
