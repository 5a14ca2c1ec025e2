//! What waits for the reader's decision, on the page of all programmes and on the overview of one,
//! each with the way to where it is decided.

use bursar_core::domain::grant::{Grant, MoreListing};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::role::Role;
use bursar_core::domain::values::format::column_time;
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_core::store::{HeldBack, RosterPreview, SyncState, Undecided};
use bursar_core::web::{Result, Site, Visitor};
use ulid::Ulid;

use crate::kit::access::ProgrammeAccess;
use crate::kit::paths;

/// The most that one page names; the rest is counted.
const NAMED: usize = 20;

pub(crate) struct WaitingItem {
    pub(crate) kind: &'static str,
    /// Of which programme, with its name.
    pub(crate) programme: Option<(ProgrammeId, String)>,
    pub(crate) grant: Option<GrantId>,
    pub(crate) sentence: String,
    /// The page with the form that decides it, and the words of the link.
    pub(crate) link: (String, &'static str),
}

pub(crate) struct WaitingItems {
    pub(crate) items: Vec<WaitingItem>,
    pub(crate) unnamed: usize,
    /// Whether the page is of several programmes. That of one counts a file that waits among what
    /// needs a person.
    pub(crate) are_of_several: bool,
}

impl WaitingItem {
    fn new(
        kind: &'static str,
        programme: Option<&Programme>,
        sentence: String,
        page: String,
        words: &'static str,
    ) -> WaitingItem {
        let programme =
            programme.map(|programme| (programme.id.clone(), programme.settings.name.clone()));
        WaitingItem {
            kind,
            programme,
            grant: None,
            sentence,
            link: (page, words),
        }
    }

    /// The last of a student's requests, unless it is decided by now.
    async fn find_more_request(
        site: &Site,
        programme: &Programme,
        grant: &GrantId,
    ) -> Result<Option<WaitingItem>> {
        let grant = site.table.get(Grant::key_of(&programme.id, grant)).await?;
        let open = grant.filter(|grant| {
            grant
                .open_request(&programme.settings, site.clock.now())
                .is_some()
                && !grant.is_over()
        });
        let Some(grant) = open else { return Ok(None) };
        let cap = grant.cap(&programme.settings).to_dollars();
        let who = grant.person.known_as();
        let sentence = match grant
            .more_request
            .as_ref()
            .and_then(|request| request.wanted_cap)
        {
            Some(wanted_cap) => format!(
                "{who} asks for {}; the cap is {cap} now.",
                wanted_cap.to_dollars()
            ),
            None => format!("{who} asks for more than {cap}."),
        };
        let page = format!("{}#more", paths::grant(&programme.id, &grant.id));
        let waiting_item = WaitingItem::new("more", Some(programme), sentence, page, "Decide");
        Ok(Some(WaitingItem {
            grant: Some(grant.id),
            ..waiting_item
        }))
    }

    /// A registrar's file, with why it waits and until when where that is at hand.
    fn new_for_import(programme: &Programme, import: Ulid, why: &str) -> WaitingItem {
        let sentence =
            format!("A registrar's file waits, and changes nothing until it is applied.{why}");
        let page = paths::roster_file(&programme.id, import);
        WaitingItem::new(
            "import",
            Some(programme),
            sentence,
            page,
            "See what it would change",
        )
    }

    fn new_for_safety_limit(held: &HeldBack) -> WaitingItem {
        let held = held.words();
        let sentence = format!(
            "The last check would have ended {held}. That is unusually many, so the safety limit held them back."
        );
        WaitingItem::new(
            "safety-limit",
            None,
            sentence,
            paths::ACCOUNT.to_owned(),
            "See which",
        )
    }
}

impl WaitingItems {
    /// What waits for this reader in any of their programmes, found by one query.
    pub(crate) async fn list_for_reader(
        site: &Site,
        visitor: &Visitor,
        programmes: &[(Programme, Role)],
        sync: &SyncState,
    ) -> Result<WaitingItems> {
        let mut items = Vec::new();
        if visitor.is_admin {
            let held = sync
                .held_back
                .as_ref()
                .filter(|held| held.release.is_none());
            items.extend(held.map(WaitingItem::new_for_safety_limit));
        }
        let mut undecided = Vec::new();
        for (id, what) in site.table.list_undecided().await? {
            let membership = programmes
                .iter()
                .find(|(programme, role)| programme.id == id && *role >= Role::Faculty);
            undecided.extend(membership.map(|(programme, _)| (programme, what)));
        }
        let unnamed = undecided.len().saturating_sub(NAMED);
        for (programme, what) in undecided.into_iter().take(NAMED) {
            items.extend(match what {
                Undecided::More(grant) => {
                    WaitingItem::find_more_request(site, programme, &grant).await?
                }
                Undecided::Import(import) => {
                    Some(WaitingItem::new_for_import(programme, import, ""))
                }
            });
        }
        Ok(WaitingItems {
            items,
            unnamed,
            are_of_several: true,
        })
    }

    /// What waits for this reader in one programme, of what its overview has.
    pub(crate) async fn of_programme(
        site: &Site,
        access: &ProgrammeAccess,
        mores: &[MoreListing],
        file: Option<&RosterPreview>,
    ) -> Result<WaitingItems> {
        let programme = &access.programme;
        let mut items = Vec::new();
        if access.is_faculty() {
            items.extend(file.map(|file| {
                let why = file.why.join(" ");
                let until = column_time(file.until, programme.settings.term.zone());
                let why = format!(
                    " {why} It can be applied until {until}, or until the next file comes."
                );
                WaitingItem::new_for_import(programme, file.import, &why)
            }));
            for listing in mores.iter().take(NAMED) {
                items
                    .extend(WaitingItem::find_more_request(site, programme, &listing.grant).await?);
            }
        }
        let unnamed = mores.len().saturating_sub(NAMED);
        Ok(WaitingItems {
            items,
            unnamed,
            are_of_several: false,
        })
    }
}
