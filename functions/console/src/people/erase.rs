//! Forgetting people: an admin's press for one person, retention for everybody of a programme that
//! is long over, and the receipt. It is carried on by the request for some seconds, then by the
//! work of each minute.

use anyhow::Result;
use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use bursar_core::deadline::Deadline;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{Grant, Person};
use bursar_core::domain::values::address::{EmailAddress, MatchedAddress};
use bursar_core::domain::values::format::Joined;
use bursar_core::domain::values::id::{new_ulid, ulid_for};
use bursar_core::store::{ActContext, Author, Erasure, RetentionHold};
use bursar_core::web::{Answer, AppError, Flash, Site, Visitor};
use jiff::SignedDuration;
use serde::Deserialize;
use ulid::Ulid;

use crate::kit::access::{AdminAccess, Admins, PageFrame, Post};
use crate::kit::paths;
use crate::work::jobs::{AGAIN_AFTER, JobDeadlines};

#[derive(Template)]
#[template(path = "erased.html")]
struct ErasedPage<'a> {
    frame: PageFrame<'a>,
    erasure: Erasure,
}

#[derive(Template)]
#[template(path = "erase.html")]
struct ErasePage<'a> {
    frame: PageFrame<'a>,
    /// The id of the erasure that it begins, so that pressed twice for the same person it is one.
    erasure: Ulid,
    /// The grant that was asked for, or one of those that were found, by which the person is known.
    grant: Option<&'a Grant>,
    /// It is typed to confirm it; where there is none, the id of that grant.
    address: Option<&'a MatchedAddress>,
    /// Grants that may be theirs too, each with a field to tick and what is known of it.
    candidates: Vec<(String, String)>,
    /// What is wrong with what was typed.
    error: Option<String>,
}

/// Whom the form is about: a grant, by its programme and id, or else an address.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct ErasedQuery {
    of: String,
    email: String,
}

/// It looks through the grants of all programmes, which is why no other page has it.
pub(crate) async fn form(
    site: Site,
    AdminAccess { visitor }: AdminAccess,
    Query(query): Query<ErasedQuery>,
) -> Answer {
    let grant = find_named(&site, &query.of).await?;
    let address = EmailAddress::parse(&query.email).ok();
    if grant.is_none() && address.is_none() {
        return Err(AppError::unprocessable(
            "Nobody is known by this. Find the person, and press “Erase this person” there.",
        ));
    }
    show(&site, &visitor, grant.as_ref(), address.as_ref(), None).await
}

async fn show(
    site: &Site,
    visitor: &Visitor,
    grant: Option<&Grant>,
    address: Option<&EmailAddress>,
    error: Option<String>,
) -> Answer {
    let address = grant.map(|grant| &grant.person.address).or(address);
    let address = address
        .filter(|address| !address.is_none())
        .map(EmailAddress::matched);
    let mut grants: Vec<Grant> = grant.cloned().into_iter().collect();
    if let Some(address) = address {
        grants.extend(keep_one_persons(site, address, grant.map(field_of).as_deref()).await?);
    }
    let candidates = site.table.perhaps_theirs(address, &grants).await?;
    let now = site.clock.now();
    let candidates = candidates.iter().map(|candidate| {
        let Person {
            name,
            roster_id,
            address: known_address,
        } = &candidate.person;
        let why = if roster_id.is_some()
            && grants
                .iter()
                .any(|grant| grant.person.roster_id == *roster_id)
        {
            "the same id"
        } else if address.is_some_and(|address| known_address.matched() == address) {
            "this address under another id"
        } else {
            "it lost this address to another id"
        };
        let shown_address = if known_address.is_none() {
            "no address"
        } else {
            known_address.as_written()
        };
        let details = name
            .iter()
            .chain(roster_id)
            .map(String::as_str)
            .chain([shown_address]);
        let details = details.joined(", ");
        let state = candidate
            .display_state(now)
            .to_words(None, &candidate.holds);
        (
            format!("{ALSO}{}", field_of(candidate)),
            format!("{details}, {state} in {}: {why}", candidate.programme),
        )
    });
    Ok(site.page(&ErasePage {
        frame: PageFrame::new(site, visitor),
        erasure: new_ulid(now),
        grant: grants.first(),
        address,
        candidates: candidates.collect(),
        error,
    }))
}

/// The form once more, with what is wrong with what was typed, if it names a grant.
async fn refuse(post: &Post<Admins>, why: String) -> Answer {
    let Post {
        site,
        access,
        fields,
        ..
    } = post;
    let named = fields.filled("of").unwrap_or_default();
    let Some(grant) = find_named(site, named).await? else {
        return Err(AppError::unprocessable(why));
    };
    Err(AppError::page(
        StatusCode::UNPROCESSABLE_ENTITY,
        show(site, &access.visitor, Some(&grant), None, Some(why)).await,
    ))
}

/// How the fields begin that are ticked for further grants.
const ALSO: &str = "also.";

fn field_of(grant: &Grant) -> String {
    format!("{}/{}", grant.programme, grant.id)
}

pub(crate) async fn press(post: Post<Admins>) -> Answer {
    let Post {
        site,
        fields,
        now,
        deadline,
        ..
    } = &post;
    let author = post.author();
    let named = fields.filled("of");
    let typed = fields.filled("email");
    let address = if typed.is_none() && named.is_some() {
        None
    } else {
        match EmailAddress::parse(typed.unwrap_or_default()) {
            Ok(address) => Some(address),
            Err(error) => return refuse(&post, format!("Nobody was erased: {error}.")).await,
        }
    };
    let form = fields
        .filled("erasure")
        .and_then(|id| id.parse().ok())
        .unwrap_or_else(|| new_ulid(*now));
    let ticked: String = fields
        .iter()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with(ALSO))
        .collect();
    let whom = address
        .as_ref()
        .map(|address| address.matched().as_str())
        .or(named)
        .unwrap_or_default();
    let id = ulid_for(form, &format!("{whom}{ticked}"));
    if site.table.get(Erasure::key_of(id)).await?.is_some() {
        return Ok(site.done(&paths::erased(id), &Flash::Already));
    }
    let mut grants = match &address {
        Some(address) => keep_one_persons(site, address.matched(), named).await?,
        None => {
            let grant = find_named(site, named.unwrap_or_default())
                .await?
                .into_iter();
            let is_meant = |grant: &Grant| {
                let Person {
                    address, roster_id, ..
                } = &grant.person;
                address.is_none() && roster_id.as_deref() == fields.filled("id")
            };
            grant.filter(is_meant).collect()
        }
    };
    if named.is_some_and(|named| grants.iter().all(|grant| field_of(grant) != named)) {
        let why = "Nobody was erased: this is not what the page shows of this student.";
        return refuse(&post, why.to_owned()).await;
    }
    let address = address.as_ref().map(EmailAddress::matched);
    if !ticked.is_empty() {
        let candidates = site.table.perhaps_theirs(address, &grants).await?;
        grants.extend(candidates.into_iter().filter(|candidate| {
            fields.get(&format!("{ALSO}{}", field_of(candidate))) == Some("on")
        }));
    }
    for address in grants
        .iter()
        .map(|grant| grant.person.address.matched())
        .chain(address)
    {
        if site.table.has_role(address).await? {
            let sentence = "This person is an admin, or a programme names the address as faculty, assistant or finance. Take the role away first.";
            return Err(AppError::conflict(sentence));
        }
    }
    let holds = site.table.list(RetentionHold::all()).await?;
    if holds
        .iter()
        .any(|hold| address == Some(&hold.address) || grants.iter().any(|grant| hold.is_of(grant)))
    {
        let sentence = "An admin keeps this person from being erased, as the page of the address says. Let go there first.";
        return Err(AppError::conflict(sentence));
    }
    let erasure = Erasure::of_person(id, address, &grants, author);
    let Some(id) = site.table.begin_erasure(erasure, author).await? else {
        let sentence = "Nobody here has this address, so there is nothing to erase. Is it spelled as on the roster? A roster file that waits or has an open preview may name it for up to ten days.";
        return Err(AppError::refused(StatusCode::NOT_FOUND, sentence));
    };
    if let Err(error) = carry_on(site, id, JobDeadlines::within(*deadline)).await {
        tracing::warn!(%id, error = format!("{error:#}"), "an erasure is left for the next minute");
    }
    for Grant {
        programme,
        id: grant,
        ..
    } in &grants
    {
        let context = ActContext {
            programme,
            grant,
            now: *now,
            deadline: *deadline,
        };
        site.settler().settle_or_leave(context).await;
    }
    Ok(site.done(&paths::erased(id), &Flash::ErasureBegun))
}

/// Of the grants under an address those of one person: whose page it is, as the form names it, or
/// else whose the address is by now. The others are named to be ticked.
async fn keep_one_persons(
    site: &Site,
    address: &MatchedAddress,
    page_grant: Option<&str>,
) -> Result<Vec<Grant>, AppError> {
    let mut grants = site.table.grants_of_address(address).await?;
    let roster_id = grants
        .iter()
        .find(|grant| Some(field_of(grant).as_str()) == page_grant)
        .map(|grant| grant.person.roster_id.clone());
    if let Some(Some(id)) = roster_id {
        grants.retain(|grant| {
            grant
                .person
                .roster_id
                .as_ref()
                .is_none_or(|roster_id| *roster_id == id)
        });
    } else {
        let (enrolments, _) = site.table.own_enrolments(address, site.clock.now()).await?;
        grants.retain(|grant| {
            enrolments.iter().any(|enrolment| {
                enrolment.grant == grant.id && enrolment.programme == grant.programme
            })
        });
    }
    Ok(grants)
}

/// The grant that a form names by its programme and id, if it belongs to somebody.
async fn find_named(site: &Site, named: &str) -> Result<Option<Grant>, AppError> {
    let named = named
        .split_once('/')
        .and_then(|(programme, id)| Some((programme.parse().ok()?, id.parse().ok()?)));
    let Some((programme, id)) = named else {
        return Ok(None);
    };
    let grant = site.table.get(Grant::key_of(&programme, &id)).await?;
    Ok(grant.filter(|grant| !grant.person.address.is_erased()))
}

pub(crate) async fn page(
    site: Site,
    AdminAccess { visitor }: AdminAccess,
    Path(id): Path<String>,
) -> Answer {
    let id: Ulid = id.parse().map_err(|_| AppError::not_found())?;
    let erasure = site
        .table
        .get(Erasure::key_of(id))
        .await?
        .ok_or_else(AppError::not_found)?;
    Ok(site.page(&ErasedPage {
        frame: PageFrame::new(&site, &visitor),
        erasure,
    }))
}

/// Begins what retention asks for.
pub(crate) async fn begin_retention(site: &Site, deadline: Deadline) {
    let now = site.clock.now();
    let kept = SignedDuration::from_hours(24 * i64::from(site.retention_days));
    let author = Author {
        actor: &Actor::Rule,
        now,
        deadline,
    };
    if let Err(error) = site.table.begin_retention(now - kept, author).await {
        tracing::warn!(%error, "the retention of programmes is left for the next minute");
    }
}

/// Carries on an erasure, and returns the state in which it is left. `None` in a restored copy of
/// the table, which may lack a key of the person.
pub(crate) async fn carry_on(
    site: &Site,
    id: Ulid,
    until: JobDeadlines,
) -> Result<Option<&'static str>> {
    if site
        .table
        .is_copy(&site.table.meta(site.clock.now()).await?)
    {
        return Ok(None);
    }
    Ok(Some(if step(site, id, until).await? {
        "done"
    } else {
        "running"
    }))
}

/// Ends the grants that are left, erases those whose keys are off and read, and says whether that
/// were all.
async fn step(site: &Site, id: Ulid, until: JobDeadlines) -> Result<bool> {
    let table = &site.table;
    let deadline = until.deadline;
    let erasure = table.get(Erasure::key_of(id)).await?;
    let Some(mut erasure) = erasure.filter(Erasure::is_running) else {
        return Ok(true);
    };
    let grants = table.grants_to_erase(&erasure).await?;
    erasure.total = erasure.done + grants.len() as u32;
    let actor = erasure.actor.clone();
    for (programme, grant) in grants {
        if until.is_time_up() {
            break;
        }
        let context = ActContext {
            programme: &programme,
            grant: &grant,
            now: site.clock.now(),
            deadline,
        };
        table
            .act(context, |view, _| view.end_for_erasure(&actor))
            .await?;
        erasure = table
            .erase_grant(context, &erasure)
            .await?
            .unwrap_or(erasure);
    }
    Ok(table
        .leave_erasure(
            &erasure,
            AGAIN_AFTER,
            Author {
                actor: &actor,
                now: site.clock.now(),
                deadline,
            },
        )
        .await?)
}
