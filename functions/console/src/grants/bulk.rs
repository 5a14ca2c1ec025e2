//! One act on many grants, those of a filter or of a list of addresses: first a preview that names and counts them, then a job that acts
//! on what the preview named, and only writes. If other grants are meant by then, there is another preview. What the provider must be told
//! is sent by the work of each minute.

use bursar_core::domain::grant::{ChangeRefused, Hold, JobStep, ShownState, View};
use bursar_core::domain::values::token::sha256_hex;
use bursar_core::store::{GrantAct, JobCreation};
use bursar_core::web::form::LONGEST_REASON;

use super::acts::own_cap;
use super::list::{self, GrantRow, GrantSearch, Shows};
use super::preview::Preview;
use crate::prelude::*;
use crate::roster;
use crate::settings::cap;
use crate::work::jobs;

const MOST_ADDRESSES: usize = 5_000;
const GONE: &str = "That is no preview of this programme. Choose the students again.";

#[derive(Default)]
pub(crate) struct TypedBulk {
    act: String,
    cap: Option<Usd>,
    group: Option<String>,
    reason: Option<String>,
    addresses: BTreeSet<String>,
}

impl FormValue for TypedBulk {
    const FIELDS: &'static [Field<TypedBulk>] = &[
        Field {
            id: "act",
            label: "What",
            kind: Kind::Choice(&[
                ("pause", "pause"),
                ("resume", "resume"),
                ("revoke", "remove, for good"),
                ("resend", "send the invitation again"),
                ("remind", "remind who has not claimed, at most once a day"),
                ("cap", "set the cap below"),
                ("allow", "allow one more replacement"),
                ("group", "move to the group below"),
            ]),
            read: |form, to| {
                form.text().clone_into(&mut to.act);
                to.act().map(drop).ok_or_else(|| "Choose one of the list.".to_owned())
            },
            ..Field::REQUIRED
        },
        Field {
            id: "cap_usd",
            label: "Cap in dollars",
            hint: "Empty: the cap of the group or the programme again. What was spent counts against another cap at once.",
            kind: Kind::Money,
            read: |form, to| {
                to.cap = if form.text().is_empty() { None } else { Some(cap(form.text())?) };
                Ok(())
            },
            ..Field::OPTIONAL
        },
        Field {
            id: "to_group",
            label: "Group",
            hint: "Empty: without a group.",
            read: |form, to| form.line(200).map(|group| to.group = group),
            ..Field::OPTIONAL
        },
        Field {
            id: "reason",
            label: "Reason",
            hint: "Kept in the history of each student, who can read it.",
            read: |form, to| form.line(LONGEST_REASON).map(|reason| to.reason = reason),
            ..Field::OPTIONAL
        },
        Field {
            id: "addresses",
            label: "Only these addresses",
            hint: "One on each line. Empty: all that are found.",
            kind: Kind::People,
            read: |form, to| {
                let words = form.text().split([',', ';', ' ', '\n', '\t']).filter(|word| !word.is_empty());
                to.addresses = words.map(str::to_owned).collect();
                match to.addresses.len() {
                    0..=MOST_ADDRESSES => Ok(()),
                    _ => Err(format!("At most {MOST_ADDRESSES} addresses.")),
                }
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
    /// Whether the act or these are others than those of the preview that was acted on.
    is_other: bool,
    found: Option<Found<'a>>,
    form: Form<TypedBulk>,
}

struct Found<'a> {
    count: usize,
    typed: TypedBulk,
    preview: Preview,
    budget: Budget,
    /// What the budget would hold if everybody claimed.
    implied: Usd,
    /// What was typed that is no address of a grant here.
    unknown: Vec<String>,
    /// The preview to act on, where there is anything.
    bulk: Option<String>,
    listing: Listing<GrantRow<'a>>,
}

impl TypedBulk {
    fn act(&self) -> Option<GrantAct> {
        let reason = self.reason.clone();
        Some(match self.act.as_str() {
            "pause" => GrantAct::Pause { reason },
            "resume" => GrantAct::Resume,
            "revoke" => GrantAct::Revoke { reason },
            "cap" => GrantAct::Cap { cap: self.cap, reason },
            "allow" => GrantAct::Allow,
            "group" => GrantAct::Group { group: self.group.clone() },
            "resend" => GrantAct::Resend,
            "remind" => GrantAct::Remind,
            _ => return None,
        })
    }
}

pub(crate) async fn act_on_many(post: Post<Faculty>) -> Answer {
    let Post { site, access, fields, now, deadline, .. } = &post;
    let programme = &access.programme;
    if programme.closed_at.is_some() {
        return Err(AppError::conflict("The programme is closed."));
    }
    let previewed = fields.filled("bulk").map(|bulk| previewed(bulk).ok_or_else(|| AppError::unprocessable(GONE)));
    let previewed = previewed.transpose()?;
    // Whatever a form says, it is no other import.
    let bulk_of = |bulk: &Ulid| ulid_for(*bulk, programme.id.as_str());
    if let Some((bulk, _)) = &previewed
        && site.table.get(Import::key_of(&programme.id, bulk_of(bulk))).await?.is_some_and(|import| import.applied)
    {
        return Ok(site.done(&paths::programme(&programme.id), &Notice::Already));
    }
    let sought = GrantSearch::of(fields);
    let mut form = Form::<TypedBulk>::blank().apart("bulk-", "").typed(fields);
    let mut typed = form.read();
    if let Some(TypedBulk { group: Some(group), .. }) = typed.as_ref().filter(|typed| typed.act == "group") {
        let lines = site.table.grant_lines(&programme.id, None).await?;
        let groups: BTreeSet<&str> =
            lines.iter().filter_map(|line| line.group.as_deref()).chain([group.as_str()]).collect();
        if let Some(why) = roster::too_many_groups(groups.len()) {
            form.refuse("to_group", why);
            typed = None;
        }
    }
    let mut page = BulkPage {
        frame: PageFrame::of(site, &access.visitor),
        programme,
        sought: &sought,
        is_other: false,
        found: None,
        form,
    };
    let Some((typed, act)) = typed.and_then(|typed| typed.act().map(|act| (typed, act))) else {
        return Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, Ok(site.page(&page))));
    };
    let filter = if typed.addresses.is_empty() { sought.clone() } else { GrantSearch::default() };
    let (mut rows, _) = filter.rows(site, programme, None, false).await?;
    let mut unknown = Vec::new();
    if !typed.addresses.is_empty() {
        let matched =
            |text: &String| EmailAddress::parse(text).ok().map(|address| address.matched().as_str().to_owned());
        let wanted: BTreeSet<String> = typed.addresses.iter().filter_map(matched).collect();
        rows.retain(|row| wanted.contains(&row.address()));
        let known: BTreeSet<String> = rows.iter().map(GrantRow::address).collect();
        let is_unknown = |text: &&String| matched(text).is_none_or(|address| !known.contains(&address));
        unknown = typed.addresses.iter().filter(is_unknown).cloned().collect();
    }
    if typed.act == "remind" {
        rows.retain(GrantRow::may_be_reminded);
    }
    rows.sort_by_cached_key(GrantRow::address);
    let count = rows.len();
    let ids: Vec<&GrantId> = rows.iter().map(|row| &row.line.id).collect();
    let hash = sha256_hex(&[&serde_json::to_string(&(&act, ids))?]);
    page.is_other = previewed.as_ref().is_some_and(|(_, of)| *of != hash);
    if let Some((bulk, _)) = previewed
        && !page.is_other
        && unknown.is_empty()
    {
        let step = |row: &GrantRow<'_>| Step::Act { grant: row.line.id.clone() };
        let steps: Vec<Step> = rows.iter().map(step).collect();
        let import = Import { import: bulk_of(&bulk), act: Some(act), ..Import::of(&programme.id, &steps, *now) };
        site.table.keep_import(&import, &steps, &[], *deadline).await?;
        return start(&post, import).await;
    }
    let budget = site.table.get(Budget::key_of(&programme.id)).await?.ok_or_else(AppError::not_found)?;
    let preview = Preview::of(&act, &rows, &budget, *now);
    let is_offered = unknown.is_empty() && count > 0 && preview.has_room();
    let bulk = is_offered.then(|| format!("{}-{hash}", new_ulid(*now)));
    rows.truncate(ON_A_PAGE);
    let mut listing = Listing::of(
        ("Students", "grant"),
        list::columns(Shows::of(&programme.settings)),
        rows,
        programme.settings.term.zone(),
    );
    listing.caption =
        if count > ON_A_PAGE { format!("The first {ON_A_PAGE} of {count}") } else { "All of them".to_owned() };
    let implied = budget.implied(&programme.settings, *now);
    page.found = Some(Found { count, typed, preview, budget, implied, unknown, bulk, listing });
    match page.is_other {
        true => Err(AppError::page(StatusCode::CONFLICT, Ok(site.page(&page)))),
        false => Ok(site.page(&page)),
    }
}

/// Has pages tell no more of a job that has ended.
pub(crate) async fn put_away(post: &Post<Faculty>, job: Ulid) -> Answer {
    let Post { site, access, deadline, .. } = post;
    let id = &access.programme.id;
    let notice = if site.table.put_job_away(id, job, *deadline).await? { Notice::JobPutAway } else { Notice::Already };
    Ok(site.done(&paths::programme(id), &notice))
}

/// The preview that a form names, and the hash of its act and of the grants that it listed.
fn previewed(bulk: &str) -> Option<(Ulid, String)> {
    let (bulk, hash) = bulk.split_once('-')?;
    Some((bulk.parse().ok()?, hash.to_owned()))
}

async fn start(post: &Post<Faculty>, import: Import) -> Answer {
    let Post { site, access, deadline, .. } = post;
    let id = &access.programme.id;
    match site.table.start_import(&import, None, &[], post.author()).await? {
        JobCreation::Busy => {
            Err(AppError::conflict("Another change of many is under way. Wait until it is done, then press again."))
        }
        JobCreation::Already => Ok(site.done(&paths::programme(id), &Notice::Already)),
        JobCreation::Yes => {
            jobs::in_a_request(site, id, *deadline).await;
            Ok(site.done(&paths::programme(id), &Notice::ManyBegun { students: import.steps.into() }))
        }
    }
}

/// Does an act to one of many grants. Returns why a rule refuses it, if one does.
pub(crate) async fn act_on(
    site: &Site,
    at: ActContext<'_>,
    once: Option<JobStep>,
    act: &GrantAct,
    by: &Actor,
) -> Result<Option<ChangeRefused>, StoreError> {
    let (table, paused) = (&site.table, Hold::Paused(Role::Faculty));
    let outcome = match act {
        GrantAct::Pause { reason } => {
            table.act_once(at, once, |view, now| view.hold(paused, by, reason.as_deref(), now)).await?.refusal()
        }
        GrantAct::Resume => table.act_once(at, once, |view, now| view.release(paused, by, now)).await?.refusal(),
        GrantAct::Revoke { reason } => {
            table.act_once(at, once, |view, _| view.revoke(by, reason.as_deref())).await?;
            None
        }
        GrantAct::Cap { cap, reason } => {
            let set = |view: &View, now| {
                let cap = own_cap(*cap, &view.grant, &view.programme.settings);
                view.set_cap(cap, by, reason.as_deref(), now)
            };
            table.act_once(at, once, set).await?.refusal()
        }
        GrantAct::Allow => {
            table.act_once(at, once, |view, _| view.allow(by)).await?;
            None
        }
        GrantAct::Group { group } => {
            table.act_once(at, once, |view, now| view.move_to(group.as_deref(), by, now)).await?.refusal()
        }
        GrantAct::Resend | GrantAct::Remind => {
            let is_reminder = *act == GrantAct::Remind;
            // Before keys can be claimed there is nothing to be reminded of.
            let programme = site.table.get(Programme::key_of(at.programme)).await?;
            let is_open = programme.is_some_and(|programme| programme.settings.claim_opens_at() <= at.now);
            let may_claim = |grant: &Grant| is_open && grant.shown_state(at.now) == ShownState::Invited;
            let is_meant = |grant: &Grant| !is_reminder || may_claim(grant);
            let is_sent = match mailed(site, at).await?.filter(is_meant) {
                Some(grant) => table.invite_again(at, &grant, by, is_reminder).await?,
                None => false,
            };
            (!is_sent).then_some(ChangeRefused::NotMailed)
        }
    };
    Ok(outcome)
}

/// The grant, if it goes on and has an address to which mail goes.
async fn mailed(site: &Site, at: ActContext<'_>) -> Result<Option<Grant>, StoreError> {
    let grant = site.table.get(Grant::key_of(at.programme, at.grant)).await?;
    let goes_on = |grant: &Grant| !grant.is_over() && grant.holds.dropped.is_none() && !grant.person.address.is_none();
    let Some(grant) = grant.filter(goes_on) else { return Ok(None) };
    let mark = site.table.undeliverable(grant.person.address.matched(), at.now).await?;
    Ok(mark.is_none().then_some(grant))
}
