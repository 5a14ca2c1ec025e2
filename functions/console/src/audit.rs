//! The audit: who did what, from what to what, of a programme with its grants, of one grant, and of the account, in the order of time.
//! Without another page asked for, that with the newest entries is shown.

use bursar_core::domain::audit::Entry;

use crate::csv_file::{self, CsvRequest};
use crate::listing;
use crate::prelude::*;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AuditQuery {
    /// The id of the one grant that is asked for; empty for all.
    grant: String,
    /// The number of entries before the first on the page.
    from: String,
}

/// An entry with the name of who did it.
pub(crate) struct AuditRow {
    pub(crate) entry: Entry,
    pub(crate) by: String,
}

const COLUMNS: [Column<AuditRow>; 7] = [
    column("When").class("date").file("at").of(|row| Cell::At(Some(row.entry.at))),
    column("Who").file("by").of(|row| Cell::text(Some(&*row.by))),
    column("What").class("act").file("act").hook("act").of(|row| Cell::exact(Some(row.what()))),
    column("Grant").file("grant").hook("grant").of(AuditRow::grant),
    column("From").file("from").of(|row| Cell::text(row.entry.what.from.as_deref())),
    column("To").file("to").of(|row| Cell::text(row.entry.what.to.as_deref())),
    column("Note").file("note").of(|row| Cell::text(row.entry.what.words())),
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
    let entries = asked.listing(&site, entries, &paths::audit(&programme.id), zone).await?;
    Ok(site.page(&AuditPage { frame, programme, grant: &asked.grant, entries }))
}

pub(crate) async fn file(
    State(site): State<Site>,
    ProgrammeAccess { programme, .. }: ProgrammeAccess,
    Query(asked): Query<AuditQuery>,
    request: CsvRequest,
) -> Answer {
    let entries = asked.entries(&site, &programme).await?;
    request.answer(&format!("audit-{}", programme.id), COLUMNS, AuditRow::all(&site, entries).await?, |row| {
        row.entry.entry.to_string()
    })
}

pub(crate) async fn page_of_account(
    State(site): State<Site>,
    AdminAccess { visitor }: AdminAccess,
    Query(asked): Query<AuditQuery>,
) -> Answer {
    let entries = site.table.list(Entry::of_account()).await?;
    let entries = asked.listing(&site, entries, paths::ACCOUNT_AUDIT, &TimeZone::UTC).await?;
    Ok(site.page(&AccountAuditPage { frame: PageFrame::of(&site, &visitor), entries }))
}

pub(crate) async fn file_of_account(State(site): State<Site>, _: AdminAccess, request: CsvRequest) -> Answer {
    let entries = site.table.list(Entry::of_account()).await?;
    request.answer("audit-account", COLUMNS, AuditRow::all(&site, entries).await?, |row| row.entry.entry.to_string())
}

impl AuditQuery {
    async fn entries(&self, site: &Site, programme: &Programme) -> Result<Vec<Entry>, AppError> {
        if self.grant.is_empty() {
            return Ok(site.table.audit_of(&programme.id).await?);
        }
        let grant: GrantId = self.grant.parse().map_err(|_| AppError::not_found())?;
        Ok(site.table.list(Entry::of_grant(&programme.id, &grant)).await?)
    }

    /// The page of all these entries that is asked for.
    async fn listing(
        &self,
        site: &Site,
        entries: Vec<Entry>,
        path: &str,
        zone: &TimeZone,
    ) -> Result<Listing<AuditRow>, AppError> {
        let found = entries.len();
        let from = self.from.parse().unwrap_or_else(|_| found.saturating_sub(ON_A_PAGE));
        let file = show::address(&format!("{path}.csv"), &[("grant", &self.grant)]);
        let files = csv_file::offered(&file, &entries, |entry| entry.entry.to_string());
        let (entries, from) = listing::page_of(entries, from);
        let address = |from: usize| show::address(path, &[("grant", &self.grant), ("from", &from.to_string())]);
        let rows = AuditRow::all(site, entries).await?;
        let listing = Listing::of(("Audit", "audit"), COLUMNS, rows, zone);
        let mut listing = listing.part_of(found, from, "in the order of time", address);
        listing.files = files;
        Ok(listing)
    }
}

impl AuditRow {
    /// Entries with who acted, each person looked up once.
    pub(crate) async fn all(site: &Site, entries: Vec<Entry>) -> Result<Vec<AuditRow>, AppError> {
        let mut names: HashMap<String, String> = HashMap::new();
        for entry in &entries {
            let name = match &entry.by {
                actor if names.contains_key(&actor.to_string()) => continue,
                Actor::Student => "the student".to_owned(),
                Actor::Sync => "the sync".to_owned(),
                Actor::Rule => "a rule of the programme".to_owned(),
                Actor::Registrar => "the registrar's file".to_owned(),
                Actor::Person(person) => show::person(&site.table, person).await?,
            };
            names.insert(entry.by.to_string(), name);
        }
        let row = |entry: Entry| AuditRow { by: names[&entry.by.to_string()].clone(), entry };
        Ok(entries.into_iter().map(row).collect())
    }

    fn grant(&self) -> Cell {
        match self.entry.programme.as_ref().zip(self.entry.grant.as_ref()) {
            Some((programme, grant)) => Cell::link(paths::grant(programme, grant), grant.as_str()),
            None => Cell::exact(None::<&str>),
        }
    }

    /// What changed to what.
    pub(crate) fn change(&self) -> Option<String> {
        let or_none = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
        let (from, to) = self.entry.what.from.as_deref().zip(self.entry.what.to.as_deref())?;
        Some(format!("{} → {}", or_none(from), or_none(to)))
    }

    pub(crate) fn what(&self) -> &'static str {
        self.entry.what.act.in_words()
    }
}
