//! One action on many grants, those of a filter or those that are ticked: first a preview that
//! names and counts them, then a job that acts on what the preview named, and only writes. If other
//! grants are meant by then, there is another preview. What the provider must be told is sent by
//! the work of each minute.

use std::collections::BTreeSet;
use std::mem;

use askama::Template;
use axum::http::StatusCode;
use bursar_core::clock::Moment;
use bursar_core::domain::grant::{GrantAct, GrantAction};
use bursar_core::domain::programme::counts::Counts;
use bursar_core::domain::programme::{Budget, Programme};
use bursar_core::domain::values::id::{GrantId, ProgrammeId, new_ulid, ulid_for};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::token::sha256_hex;
use bursar_core::store::{Import, ImportPart, JobCreation, Kept};
use bursar_core::web::form::LONGEST_REASON;
use bursar_core::web::{Answer, AppError, Flash, Reply, Result, Site};
use ulid::Ulid;

use super::list;
use super::list::{FoundGrants, GrantRow, GrantSearch, Shows};
use super::preview::{ActPreview, stops_key};
use crate::kit::access::{Faculty, PageFrame, Post, is_open};
use crate::kit::form::{Field, FieldKind, Form, FormValue};
use crate::kit::listing::{Listing, ON_A_PAGE};
use crate::kit::paths;
use crate::people::roster;
use crate::programme::settings::own_cap;
use crate::work::jobs;

const GONE: &str = "That preview does not belong to this programme. Choose the students again.";

/// None is chosen at first: a cap that is typed under another act would do nothing.
const ACTIONS: [(&str, &str); GrantAction::ALL.len() + 1] = {
    let mut actions = [("", "choose…"); GrantAction::ALL.len() + 1];
    let mut index = 0;
    while index < GrantAction::ALL.len() {
        let action = GrantAction::ALL[index];
        index += 1;
        actions[index] = (action.as_str(), action.to_words());
    }
    actions
};

#[derive(Default)]
pub(crate) struct TypedBulk {
    action: Option<GrantAction>,
    cap: Option<Usd>,
    group: Option<String>,
    reason: Option<String>,
}

impl FormValue for TypedBulk {
    const FIELDS: &'static [Field<TypedBulk>] = &[
        Field {
            id: "act",
            label: "What",
            kind: FieldKind::Choice(&ACTIONS),
            read: |form, typed| {
                typed.action = GrantAction::named(form.text());
                typed
                    .action
                    .map(drop)
                    .ok_or_else(|| "Choose one of the list.".to_owned())
            },
            ..Field::REQUIRED
        },
        Field {
            id: "cap_usd",
            label: "Cap in dollars",
            hint: "Including what is already spent. Leave empty for the cap of the group or the programme.",
            kind: FieldKind::Money,
            read: |form, typed| own_cap(form.text()).map(|cap| typed.cap = cap),
            ..Field::OPTIONAL
        },
        Field {
            id: "to_group",
            label: "Group",
            hint: "Empty: without a group.",
            read: |form, typed| form.line(200).map(|group| typed.group = group),
            ..Field::OPTIONAL
        },
        Field {
            id: "reason",
            label: "Reason",
            hint: "Kept in the history of each student, who can read it.",
            read: |form, typed| {
                form.line(LONGEST_REASON)
                    .map(|reason| typed.reason = reason)
            },
            ..Field::OPTIONAL
        },
    ];
}

#[derive(Template)]
#[template(path = "bulk.html")]
struct BulkPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    sought: &'a GrantSearch,
    /// Whether this is not the preview that was acted on: the act, these, or what it comes to are
    /// others.
    is_other: bool,
    selection: Option<FoundBulk<'a>>,
    form: Form<TypedBulk>,
}

struct FoundBulk<'a> {
    count: usize,
    chosen: Chosen<'a>,
    counts: Counts,
    /// What the budget would hold if everybody claimed.
    implied: Usd,
    /// The preview to act on, where there is anything.
    bulk: Option<String>,
    listing: Listing<GrantRow<'a>>,
}

/// Who is meant, and what is to be done to them.
struct Chosen<'a> {
    act: GrantAct,
    rows: Vec<GrantRow<'a>>,
    /// Of several that are looked for, those that nobody here is known by.
    not_found: Vec<String>,
    /// How many that a filter finds are not resumed with the others, since somebody paused each of
    /// them alone.
    left_out: usize,
    preview: ActPreview,
    budget: Budget,
    /// The hash of the action, of the grants and of what it would come to.
    hash: String,
}

/// A preview that a form names, and the hash of what it showed.
struct Previewed<'a> {
    bulk: Ulid,
    hash: &'a str,
}

impl<'a> Previewed<'a> {
    fn read(text: &'a str, programme: &ProgrammeId) -> Option<Previewed<'a>> {
        let (bulk, hash) = text.split_once('-')?;
        // Whatever a form says, it is no other import.
        Some(Previewed {
            bulk: ulid_for(bulk.parse().ok()?, programme.as_str()),
            hash,
        })
    }
}

impl<'a> Chosen<'a> {
    async fn find(
        site: &Site,
        programme: &'a Programme,
        sought: &GrantSearch,
        typed: TypedBulk,
        now: Moment,
    ) -> Result<Option<Chosen<'a>>> {
        let TypedBulk {
            action,
            cap,
            group,
            reason,
        } = typed;
        let Some(action) = action else {
            return Ok(None);
        };
        let act = GrantAct {
            action,
            cap,
            group,
            reason,
        };
        let listed_at = site.table.sync_state().await?.listed_at;
        let in_full = action == GrantAction::Remind;
        let FoundGrants {
            mut rows,
            not_found,
            ..
        } = sought.find(site, programme, listed_at, in_full).await?;
        if action == GrantAction::Remind {
            rows.retain(|row| row.may_be_reminded(listed_at));
        }
        let count = rows.len();
        if action == GrantAction::Resume && sought.ticked.is_empty() {
            rows.retain(|row| !row.line.holds.is_paused_singly());
        }
        let left_out = count - rows.len();
        rows.sort_by_cached_key(GrantRow::address);
        let ids: Vec<&GrantId> = rows.iter().map(|row| &row.line.id).collect();
        let budget = site.table.budget(&programme.id).await?;
        let preview = ActPreview::new(&act, &rows, &budget, now);
        let hash = sha256_hex([serde_json::to_string(&(&act, ids, &preview))?]);
        Ok(Some(Chosen {
            act,
            rows,
            not_found,
            left_out,
            preview,
            budget,
            hash,
        }))
    }
}

impl Chosen<'_> {
    fn is_offered(&self) -> bool {
        !self.rows.is_empty() && self.preview.has_room()
    }
}

pub(crate) async fn act_on_many(post: Post<Faculty>) -> Answer {
    let Post {
        site,
        access,
        fields,
        now,
        ..
    } = &post;
    let programme = &access.programme;
    is_open(programme)?;
    let mut previewed = None;
    if let Some(text) = fields.filled("bulk") {
        let named =
            Previewed::read(text, &programme.id).ok_or_else(|| AppError::unprocessable(GONE))?;
        if site
            .table
            .get(Import::key_of(&programme.id, named.bulk))
            .await?
            .is_some_and(|import| import.applied)
        {
            return Ok(site.done(&paths::programme(&programme.id), &Flash::Already));
        }
        previewed = Some(named);
    }
    let sought = GrantSearch::from_fields(fields);
    let mut form = Form::<TypedBulk>::blank().apart("bulk-", "").typed(fields);
    let mut chosen = None;
    if let Some(typed) = form.read() {
        match too_many_groups(site, programme, &typed).await? {
            Some(why) => form.refuse("to_group", why),
            None => chosen = Chosen::find(site, programme, &sought, typed, *now).await?,
        }
    }
    match (chosen, previewed) {
        (None, _) => {
            let page = BulkPage::new(&post, &sought, form);
            Err(AppError::page(
                StatusCode::UNPROCESSABLE_ENTITY,
                Ok(site.page(&page)),
            ))
        }
        (Some(chosen), Some(named)) if chosen.hash == named.hash && chosen.is_offered() => {
            start(&post, named.bulk, chosen).await
        }
        (Some(chosen), named) => {
            let is_other = named.is_some();
            let page = BulkPage {
                is_other,
                ..BulkPage::new(&post, &sought, form)
            };
            let page = preview(&post, page, chosen).await?;
            if is_other {
                Err(AppError::page(StatusCode::CONFLICT, Ok(page)))
            } else {
                Ok(page)
            }
        }
    }
}

async fn too_many_groups(
    site: &Site,
    programme: &Programme,
    typed: &TypedBulk,
) -> Result<Option<String>> {
    let Some(group) = typed
        .group
        .as_deref()
        .filter(|_| typed.action == Some(GrantAction::Group))
    else {
        return Ok(None);
    };
    let lines = site.table.grant_lines(&programme.id, None).await?;
    let groups: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| line.group.as_deref())
        .chain([group])
        .collect();
    Ok(roster::too_many_groups(groups.len()))
}

impl<'a> BulkPage<'a> {
    fn new(
        post: &'a Post<Faculty>,
        sought: &'a GrantSearch,
        form: Form<TypedBulk>,
    ) -> BulkPage<'a> {
        let frame = PageFrame::new(&post.site, &post.access.visitor);
        BulkPage {
            frame,
            programme: &post.access.programme,
            sought,
            is_other: false,
            selection: None,
            form,
        }
    }
}

/// The page of what it would do.
async fn preview<'a>(
    post: &'a Post<Faculty>,
    mut page: BulkPage<'a>,
    mut chosen: Chosen<'a>,
) -> Result<Reply> {
    let Post {
        site, access, now, ..
    } = post;
    let programme = &access.programme;
    let bulk = chosen
        .is_offered()
        .then(|| format!("{}-{}", new_ulid(*now), chosen.hash));
    let mut rows = mem::take(&mut chosen.rows);
    for row in rows.iter_mut().filter(|row| stops_key(&chosen.act, row)) {
        row.note = Some("the key stops".to_owned());
    }
    let count = rows.len();
    let counts = site.table.roster_counts(&programme.id).await?;
    rows.truncate(ON_A_PAGE);
    let mut listing = Listing::new(
        ("Students", "grant"),
        list::columns(Shows::from_settings(&programme.settings)),
        rows,
        programme.settings.term.zone(),
    );
    listing.caption = if count > ON_A_PAGE {
        format!("The first {ON_A_PAGE} of {count}")
    } else {
        "All of them".to_owned()
    };
    let implied = chosen.budget.implied(&programme.settings, *now);
    page.selection = Some(FoundBulk {
        count,
        chosen,
        counts,
        implied,
        bulk,
        listing,
    });
    Ok(site.page(&page))
}

async fn start(post: &Post<Faculty>, bulk: Ulid, chosen: Chosen<'_>) -> Answer {
    let Post {
        site,
        access,
        now,
        deadline,
        ..
    } = post;
    let id = &access.programme.id;
    let people: Vec<&GrantId> = chosen.rows.iter().map(|row| &row.line.id).collect();
    let import = Import {
        act: Some(chosen.act),
        ..Import::new(id, bulk, people.len(), *now)
    };
    site.table
        .keep_part(
            &import,
            Kept::People,
            &ImportPart::bytes_of(&people),
            *deadline,
        )
        .await?;
    site.table.keep_import(&import, *deadline).await?;
    match site
        .table
        .start_import(import.job(&post.actor, *now), None, &[], *deadline)
        .await?
    {
        JobCreation::Busy => Err(AppError::conflict(
            "Another change of many students is under way. Wait until it is done, then press again.",
        )),
        JobCreation::Already => Ok(site.done(&paths::programme(id), &Flash::Already)),
        JobCreation::Yes => {
            jobs::run_in_request(site, id, *deadline).await;
            Ok(site.done(
                &paths::programme(id),
                &Flash::ManyBegun {
                    students: import.steps.into(),
                },
            ))
        }
    }
}
