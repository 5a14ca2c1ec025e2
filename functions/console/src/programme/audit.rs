//! The audit: who did what, of a programme with its grants, of one grant, and of the account. The
//! page says it in sentences, the newest first; the file has what is on record, in the order of
//! time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use askama::Template;
use axum::extract::Query;
use bursar_core::domain::audit::{Act, Actor, AuditDetail, AuditEntry};
use bursar_core::domain::grant::{ADDRESS_PASSED, Grant, Person, ShownState, Stopped};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::format::counted;
use bursar_core::domain::values::id::{GrantId, PersonId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::AccessEntry;
use bursar_core::web::{Answer, AppError, FileRequest, Result, Site};
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use jiff::tz::TimeZone;
use serde::Deserialize;
use ulid::Ulid;

use crate::kit::access::{AdminAccess, PageFrame, ProgrammeAccess};
use crate::kit::csv_file::CsvRequest;
use crate::kit::listing::{Cell, Column, Listing, Part, column};
use crate::kit::{csv_file, listing, paths, show};
use crate::programme::settings;

/// How many names are looked up at once.
const NAMES_AT_ONCE: usize = 16;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct AuditQuery {
    /// The id of the one grant that is asked for; empty for all.
    grant: String,
    /// The number of entries before the first on the page.
    from: String,
}

/// An entry with the name of who did it, and of the person whom it is about.
pub(crate) struct AuditRow {
    pub(crate) audit_entry: AuditEntry,
    /// The network address from which somebody signed in, or out, or was given a file.
    source: Option<IpAddr>,
    actor: String,
    whom: String,
    /// The page of whom it is about, if that is a student.
    link: Option<String>,
}

/// What happened, around the name of what it is about.
#[derive(Default)]
struct Sentence {
    before: String,
    whom: String,
    after: String,
}

/// Who did something, or whom or what it is about, by what the table names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Student(ProgrammeId, GrantId),
    Staff(PersonId),
    Programme(ProgrammeId),
}

impl Named {
    /// What an entry is about: its grant, or what its note names by id.
    fn find_names(audit_entry: &AuditEntry) -> Option<Named> {
        let noted = audit_entry.what.note.as_deref();
        match (&audit_entry.programme, &audit_entry.grant) {
            _ if audit_entry.what.act == Act::GuardrailSet => {
                Some(Named::Programme(noted?.split('/').next()?.parse().ok()?))
            }
            (Some(programme), None) if audit_entry.what.act == Act::FileGiven => {
                Some(Named::Programme(programme.clone()))
            }
            (Some(programme), Some(grant)) => {
                Some(Named::Student(programme.clone(), grant.clone()))
            }
            (Some(programme), None) => {
                Some(Named::Student(programme.clone(), noted?.parse().ok()?))
            }
            (None, _) => Some(Named::Staff(noted?.parse().ok()?)),
        }
    }

    fn actor(audit_entry: &AuditEntry) -> Option<Named> {
        if let Actor::Person(person) = &audit_entry.actor {
            Some(Named::Staff(person.clone()))
        } else {
            None
        }
    }

    async fn name(self, site: &Site) -> Result<(Named, String)> {
        let name = match &self {
            Named::Student(programme, grant) => {
                let stored = site.table.get(Grant::key_of(programme, grant)).await?;
                stored.map_or(show::REMOVED.to_owned(), |stored| name_of(&stored.person))
            }
            Named::Staff(person) => show::person(&site.table, person).await?,
            Named::Programme(id) => {
                let stored = site.table.get(Programme::key_of(id)).await?;
                stored.map_or(id.to_string(), |stored| stored.settings.name)
            }
        };
        Ok((self, name))
    }
}

/// The page says it in a sentence; the file has the entry as it is on record.
const COLUMNS: [Column<AuditRow>; 8] = [
    column("When")
        .class("date")
        .file("at")
        .cell(|row| Cell::At(Some(row.audit_entry.recorded_at))),
    column("What happened").cell(|row| Cell::Shown(None, row.parts())),
    column("")
        .file("by")
        .cell(|row| Cell::text(Some(&*row.actor))),
    column("")
        .file("act")
        .hook("act")
        .cell(|row| Cell::exact(Some(row.audit_entry.what.act.to_words()))),
    column("")
        .file("grant")
        .hook("grant")
        .cell(|row| Cell::exact(row.audit_entry.grant.as_ref())),
    column("")
        .file("from")
        .cell(|row| Cell::text(row.audit_entry.what.old_value.as_deref())),
    column("")
        .file("to")
        .cell(|row| Cell::text(row.audit_entry.what.new_value.as_deref())),
    column("")
        .file("note")
        .cell(|row| Cell::text(row.audit_entry.what.words())),
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

pub(crate) async fn page(
    site: Site,
    access: ProgrammeAccess,
    Query(query): Query<AuditQuery>,
) -> Answer {
    let programme = &access.programme;
    let frame = PageFrame::new(&site, &access.visitor);
    let entries = query.entries(&site, programme).await?;
    let zone = programme.settings.term.zone();
    let entries = query
        .listing(
            &site,
            entries,
            &paths::audit(&programme.id),
            zone,
            access.is_faculty(),
        )
        .await?;
    Ok(site.page(&AuditPage {
        frame,
        programme,
        grant: &query.grant,
        entries,
    }))
}

pub(crate) async fn file(
    site: Site,
    ProgrammeAccess {
        programme, visitor, ..
    }: ProgrammeAccess,
    Query(query): Query<AuditQuery>,
    request: CsvRequest,
    given: FileRequest,
) -> Answer {
    let entries = query.entries(&site, &programme).await?;
    let rows = AuditRow::all(&site, entries, false).await?;
    let file = request.file(
        &format!("audit-{}", programme.id),
        COLUMNS,
        rows,
        AuditRow::key,
    )?;
    file.record_reader(&site, &given, &visitor, Some(&programme.id))
        .await
}

pub(crate) async fn page_of_account(
    site: Site,
    AdminAccess { visitor }: AdminAccess,
    Query(query): Query<AuditQuery>,
) -> Answer {
    let account = AccountEntries::read(&site).await?;
    let mut entries = query
        .listing(
            &site,
            account.entries,
            paths::ACCOUNT_AUDIT,
            &TimeZone::UTC,
            true,
        )
        .await?;
    name_sources(&mut entries.rows, &account.sources);
    Ok(site.page(&AccountAuditPage {
        frame: PageFrame::new(&site, &visitor),
        entries,
    }))
}

pub(crate) async fn file_of_account(
    site: Site,
    AdminAccess { visitor }: AdminAccess,
    request: CsvRequest,
    given: FileRequest,
) -> Answer {
    let account = AccountEntries::read(&site).await?;
    let mut rows = AuditRow::all(&site, account.entries, false).await?;
    name_sources(&mut rows, &account.sources);
    let source = column("")
        .file("source")
        .cell(|row: &AuditRow| Cell::exact(row.source));
    let file = request.file(
        "audit-account",
        COLUMNS.into_iter().chain([source]),
        rows,
        AuditRow::key,
    )?;
    file.record_reader(&site, &given, &visitor, None).await
}

/// What was done that belongs to no programme, and who of the people with a role signed in and was
/// given which file, from where.
struct AccountEntries {
    entries: Vec<AuditEntry>,
    sources: BTreeMap<Ulid, IpAddr>,
}

impl AccountEntries {
    async fn read(site: &Site) -> Result<AccountEntries> {
        let mut entries = site.table.list_known(AuditEntry::of_account()).await?;
        let mut sources = BTreeMap::new();
        for AccessEntry {
            audit_entry,
            source,
        } in site.table.accesses(site.clock.now()).await?
        {
            sources.extend(source.map(|source| (audit_entry.entry, source)));
            entries.push(audit_entry);
        }
        entries.sort_by_key(|audit_entry| audit_entry.entry);
        Ok(AccountEntries { entries, sources })
    }
}

fn name_sources(rows: &mut [AuditRow], sources: &BTreeMap<Ulid, IpAddr>) {
    for row in rows {
        row.source = sources.get(&row.audit_entry.entry).copied();
    }
}

impl AuditQuery {
    async fn entries(&self, site: &Site, programme: &Programme) -> Result<Vec<AuditEntry>> {
        if self.grant.is_empty() {
            return Ok(site.table.audit_of(&programme.id).await?);
        }
        let grant: GrantId = self.grant.parse().map_err(|_| AppError::not_found())?;
        Ok(site
            .table
            .list_known(AuditEntry::of_grant(&programme.id, &grant))
            .await?)
    }

    async fn listing(
        &self,
        site: &Site,
        mut entries: Vec<AuditEntry>,
        path: &str,
        zone: &TimeZone,
        may_name: bool,
    ) -> Result<Listing<AuditRow>> {
        let total = entries.len();
        let from = self.from.parse().unwrap_or(0);
        let file = show::address(&format!("{path}.csv"), &[("grant", &self.grant)]);
        let files = csv_file::offered(&file, &entries, |audit_entry| audit_entry.entry.to_string());
        entries.reverse();
        let (entries, from) = listing::page_of(entries, from);
        let rows = AuditRow::all(site, entries, may_name).await?;
        let listing = Listing::new(("Audit", "audit"), COLUMNS, rows, zone);
        let mut listing = listing.part_of(total, from, "the newest first", |from| {
            show::address(path, &[("grant", &self.grant), ("from", &from.to_string())])
        });
        listing.files = files;
        Ok(listing)
    }
}

impl AuditRow {
    /// Entries with who acted, and on whom, each looked up once. The person of a grant is named to
    /// those who may know them.
    pub(crate) async fn all(
        site: &Site,
        entries: Vec<AuditEntry>,
        may_name: bool,
    ) -> Result<Vec<AuditRow>> {
        let about = entries
            .iter()
            .filter(|_| may_name)
            .filter_map(Named::find_names);
        let named: BTreeSet<Named> = about
            .chain(entries.iter().filter_map(Named::actor))
            .collect();
        let named: Vec<_> = named.into_iter().map(|named| named.name(site)).collect();
        let names: BTreeMap<Named, String> =
            iter(named).buffered(NAMES_AT_ONCE).try_collect().await?;
        Ok(entries
            .into_iter()
            .map(|audit_entry| AuditRow::new(audit_entry, &names))
            .collect())
    }

    fn new(audit_entry: AuditEntry, names: &BTreeMap<Named, String>) -> AuditRow {
        let about = Named::find_names(&audit_entry);
        AuditRow {
            actor: match &audit_entry.actor {
                Actor::Student => "the student".to_owned(),
                Actor::Sync => "the nightly check".to_owned(),
                Actor::Rule => "a rule of the programme".to_owned(),
                Actor::Registrar => "the registrar's file".to_owned(),
                Actor::Person(_) => {
                    name_or(names, Named::actor(&audit_entry).as_ref(), show::REMOVED)
                }
            },
            whom: name_or(names, about.as_ref(), "a student"),
            source: None,
            link: about.and_then(|about| match about {
                Named::Student(programme, grant) => Some(paths::grant(&programme, &grant)),
                Named::Staff(_) | Named::Programme(_) => None,
            }),
            audit_entry,
        }
    }

    fn key(&self) -> String {
        self.audit_entry.entry.to_string()
    }

    /// The sentence, with the person as a link to their grant, and below it what changed and why.
    fn parts(&self) -> Vec<Part> {
        let Sentence {
            before,
            whom,
            after,
        } = self.sentence();
        let whom = match &self.link {
            Some(link) if !whom.is_empty() => Part::Link(link.clone(), whom),
            Some(_) | None => Part::Text(whom),
        };
        let details = self.details().into_iter().map(Part::Small);
        [Part::Text(before), whom, Part::Text(after)]
            .into_iter()
            .chain(details)
            .collect()
    }

    /// What happened, in a sentence.
    pub(crate) fn to_words(&self) -> String {
        let Sentence {
            before,
            whom,
            after,
        } = self.sentence();
        format!("{before}{whom}{after}")
    }

    /// What happened, in a sentence around the name of whom it is about.
    fn sentence(&self) -> Sentence {
        let AuditDetail {
            old_value,
            new_value,
            note,
            ..
        } = &self.audit_entry.what;
        let [old_value, new_value, note] =
            [old_value, new_value, note].map(|text| text.as_deref().unwrap_or_default());
        let mut sentence = Sentence::default();
        for part in self
            .choose_sentence(old_value, new_value, note)
            .split(['{', '}'])
        {
            let text: &str = match part {
                "whom" => {
                    sentence.whom = self.whom.clone();
                    continue;
                }
                "who" if self.audit_entry.actor == Actor::Student => &self.whom,
                "who" => &self.actor,
                "old amount" => &dollars(old_value),
                "new amount" => &dollars(new_value),
                "old group" => group(old_value),
                "new group" => group(new_value),
                "people" => &counted(note.split(' ').count() as u64, "student", "students"),
                "corrected" => &note.replace(", ", " and the "),
                "list" => note,
                "group" => note.split_once('/').map_or(note, |(_, group)| group),
                text => text,
            };
            if sentence.whom.is_empty() {
                &mut sentence.before
            } else {
                &mut sentence.after
            }
            .push_str(text);
        }
        let first = if sentence.before.is_empty() {
            &mut sentence.whom
        } else {
            &mut sentence.before
        };
        *first = show::capital(first);
        sentence
    }

    /// The sentence of this act, unless its values tell more.
    fn choose_sentence(&self, old_value: &str, new_value: &str, note: &str) -> &'static str {
        let is_new = |hold: &str| new_value.contains(hold) != old_value.contains(hold);
        let had_a_key = !old_value.starts_with(ShownState::Invited.as_str());
        let act = self.audit_entry.what.act;
        if act == Act::Stopped
            && let Some(stopped) = Stopped::ALL
                .into_iter()
                .find(|stopped| stopped.as_str() == note)
        {
            if stopped == Stopped::Leaked && self.audit_entry.actor == Actor::Student {
                return "{whom} reported the key as leaked, and it was ended";
            }
            return stopped.sentence();
        }
        let of_values = [
            // That of a file names the ids of all of them.
            (
                Act::Invited,
                note.contains(' '),
                "{who} put {people} on the roster",
            ),
            (
                Act::Begun,
                had_a_key,
                "{whom} asked for a new key in place of the one before",
            ),
            (Act::Shown, had_a_key, "{whom} was shown the new key"),
            (
                Act::Held,
                is_new("dropped"),
                "{who} took {whom} off the roster",
            ),
            (
                Act::Held,
                is_new("unused"),
                "The key of {whom} was switched off because it was not used",
            ),
            (
                Act::Released,
                is_new("dropped"),
                "{who} put {whom} on the roster again",
            ),
            (
                Act::Described,
                note == ADDRESS_PASSED,
                "{who} took the address of {whom} off the roster: it belongs to another person now",
            ),
            (
                Act::GuardrailSet,
                note.contains('/'),
                "The rules for keys of {group} in {whom} were set at OpenRouter",
            ),
            (Act::SignedOut, !note.is_empty(), "{who} signed out {list}"),
            (
                Act::SignOnRefused,
                !note.is_empty(),
                "A sign-in of {who} was refused: {list}",
            ),
            (
                Act::FileGiven,
                self.audit_entry.programme.is_some(),
                "{who} downloaded {list} of {whom}",
            ),
        ];
        match of_values
            .into_iter()
            .find(|(of_act, holds, _)| *of_act == act && *holds)
        {
            Some((.., sentence)) => sentence,
            None => act.sentence(),
        }
    }

    /// What was changed, with the remark that people understand, and the reason that a person
    /// typed.
    pub(crate) fn details(&self) -> Vec<String> {
        let AuditDetail {
            act,
            old_value,
            new_value,
            note,
            reason,
        } = &self.audit_entry.what;
        let mut details = Vec::new();
        if let Act::Edited = act {
            details.extend(
                self.audit_entry
                    .what
                    .settings()
                    .iter()
                    .map(settings::change),
            );
        }
        if let Act::TierEdited | Act::ForeignActBegun | Act::ForeignActConcluded = act {
            let change = [old_value, new_value].map(|value| {
                value
                    .as_deref()
                    .filter(|text| !text.is_empty())
                    .unwrap_or("nothing")
            });
            details.push(change.join(" → "));
        }
        if let Act::Edited
        | Act::Created
        | Act::SafetyLimitReleased
        | Act::AlertResent
        | Act::KeysAssigned
        | Act::KeysTakenBack
        | Act::ForeignActBegun
        | Act::ForeignActConcluded = act
        {
            details.extend(note.clone());
        }
        details.extend(reason.as_ref().map(|reason| format!("“{reason}”")));
        details.extend(self.source.map(|source| format!("from {source}")));
        details
    }
}

/// The name of whom an entry names, or what stands in its place.
fn name_or(names: &BTreeMap<Named, String>, named: Option<&Named>, unnamed: &str) -> String {
    named
        .and_then(|named| names.get(named))
        .map_or_else(|| unnamed.to_owned(), Clone::clone)
}

fn name_of(person: &Person) -> String {
    if person.address.is_erased() {
        show::REMOVED.to_owned()
    } else {
        person.known_as().to_owned()
    }
}

/// An amount of an entry as a person reads it.
fn dollars(text: &str) -> String {
    Usd::from_form(text).map_or_else(|_| text.to_owned(), Usd::to_dollars)
}

fn group(name: &str) -> &str {
    if name.is_empty() { "no group" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_who_what_and_why() {
        let says = |by: &Actor, what: AuditDetail| {
            let entry =
                AuditEntry::new_on_account(by, "2026-11-20T10:00:00Z".parse().unwrap(), what);
            let row = AuditRow {
                audit_entry: entry,
                actor: "grace@x.edu".to_owned(),
                whom: "Amina Diallo".to_owned(),
                source: None,
                link: None,
            };
            [vec![row.to_words()], row.details()].concat().join(" / ")
        };
        let new = AuditDetail::new;
        let staff = Actor::Person(PersonId::random());
        let cap = AuditDetail {
            reason: Some("an exam".to_owned()),
            ..new(Act::CapChanged).with_change("20.000000", "30.500000")
        };
        let settings = [
            ("cap_usd", "20.00", "30.00"),
            ("models", "", "a/b"),
            ("models.Lab C", "", "c/d"),
            ("cap_usd.=1+1", "", "25"),
        ];
        let edited = new(Act::Edited).with_settings_change(settings.into_iter());
        let stopped = |why: Stopped| {
            new(Act::Stopped)
                .with_change("live", "stopped")
                .with_note(why.as_str())
        };
        let foreign = new(Act::ForeignActBegun)
            .with_change("enabled, no limit", "limit 5.000000")
            .with_note("f0 office-bot");
        for (by, what, sentence) in [
            (
                &staff,
                cap,
                "grace@x.edu set the cap of Amina Diallo to $30.50 (it was $20) / “an exam”",
            ),
            (
                &staff,
                edited,
                "grace@x.edu changed the settings / Cap per student: $20 → $30 / Models: all → a/b / Models of Lab C: as in the programme → c/d / Cap per student of =1+1: as in the programme → $25",
            ),
            (
                &Actor::Student,
                new(Act::Begun)
                    .with_change("invited", "invited")
                    .with_note("key 1"),
                "Amina Diallo asked for a key",
            ),
            (
                &Actor::Student,
                new(Act::Shown)
                    .with_change("invited", "live")
                    .with_note("key 1"),
                "Amina Diallo was shown a key",
            ),
            (
                &Actor::Student,
                new(Act::Begun)
                    .with_change("live", "stopped")
                    .with_note("key 2"),
                "Amina Diallo asked for a new key in place of the one before",
            ),
            (
                &Actor::Student,
                new(Act::Shown)
                    .with_change("stopped", "live")
                    .with_note("key 2"),
                "Amina Diallo was shown the new key",
            ),
            (
                &Actor::Student,
                stopped(Stopped::Leaked),
                "Amina Diallo reported the key as leaked, and it was ended",
            ),
            (
                &staff,
                stopped(Stopped::Leaked),
                "grace@x.edu reported the key of Amina Diallo as leaked, and it was ended",
            ),
            (
                &Actor::Student,
                stopped(Stopped::Returned),
                "Amina Diallo handed the key back",
            ),
            (
                &staff,
                new(Act::Held).with_change("live", "live, dropped"),
                "grace@x.edu took Amina Diallo off the roster",
            ),
            (
                &staff,
                new(Act::Described).with_note("address"),
                "grace@x.edu corrected the address of Amina Diallo",
            ),
            (
                &staff,
                new(Act::Described).with_note("address, name"),
                "grace@x.edu corrected the address and the name of Amina Diallo",
            ),
            (
                &staff,
                new(Act::Invited).with_note("0123456789abcdef"),
                "grace@x.edu put Amina Diallo on the roster",
            ),
            (
                &staff,
                new(Act::Invited).with_note("a b"),
                "grace@x.edu put 2 students on the roster",
            ),
            (
                &Actor::Rule,
                new(Act::GuardrailSet).with_note("cs-pilot/Lab C"),
                "The rules for keys of Lab C in Amina Diallo were set at OpenRouter",
            ),
            (
                &staff,
                new(Act::AdminAdded).with_note("0123456789abcdef"),
                "grace@x.edu made Amina Diallo an admin",
            ),
            (
                &staff,
                foreign,
                "grace@x.edu asked to change a key made elsewhere / enabled, no limit → limit 5.000000 / f0 office-bot",
            ),
        ] {
            assert_eq!(says(by, what), sentence);
        }
    }

    /// The name of a student may be within that of who acted.
    #[test]
    fn the_student_is_the_link() {
        let what = AuditDetail::new(Act::Held).with_change("live", "live, paused");
        let by = Actor::Person(PersonId::random());
        let row = AuditRow {
            audit_entry: AuditEntry::new_on_account(
                &by,
                "2026-11-20T10:00:00Z".parse().unwrap(),
                what,
            ),
            actor: "grace.hopper@x.edu".to_owned(),
            whom: "hopper@x.edu".to_owned(),
            source: None,
            link: Some("/of-hopper".to_owned()),
        };
        let [Part::Text(before), Part::Link(to, whom), ..] = &row.parts()[..] else {
            panic!("there is no link")
        };
        assert_eq!(
            [before, to, whom],
            ["grace.hopper@x.edu paused ", "/of-hopper", "hopper@x.edu"]
        );
    }
}
