//! Forgetting people: an admin's press for one person, retention for everybody of a programme that is long over, and the receipt. It
//! is carried on by the request for some seconds, then by the work of each minute.

use anyhow::Result;
use axum::extract::Path;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::values::format::utc;
use bursar_core::store::{Author, Erasure, ErasureBegun, IN_BACKUPS};
use ulid::Ulid;

use crate::prelude::*;
use crate::work::jobs::{AGAIN_AFTER, JobDeadlines};

/// The most erasures that one round carries on.
const AT_ONCE: i32 = 20;

#[derive(Template)]
#[template(path = "erased.html")]
struct ErasedPage<'a> {
    frame: PageFrame<'a>,
    line: ErasureLine,
    /// When the last backup that has it is deleted.
    in_backups_until: Option<Date>,
}

/// An erasure as the pages tell of it.
pub(crate) struct ErasureLine {
    pub(crate) erasure: Erasure,
    pub(crate) sentence: String,
}

impl ErasureLine {
    pub(crate) fn of(erasure: Erasure) -> ErasureLine {
        let whose = match &erasure.programme {
            Some(programme) => format!("Everybody of {programme}, which was over long ago,"),
            None => "A person".to_owned(),
        };
        let (done, all) = (erasure.done, erasure.all);
        let sentence = match erasure.state {
            JobState::Done { at } => format!("{whose} was erased at {}.", utc(at)),
            _ => format!(
                "{whose} is being erased: {done} of {all} grants are. Keys are switched off first, and read for the last time a quarter of \
                 an hour later."
            ),
        };
        ErasureLine { erasure, sentence }
    }

    pub(crate) fn path(&self) -> String {
        paths::erased(self.erasure.id)
    }
}

pub(crate) async fn press(post: Post<Admins>) -> Answer {
    let Post { site, fields, now, deadline, .. } = &post;
    let address = EmailAddress::parse(fields.filled("email").unwrap_or_default());
    let address = address.map_err(|error| AppError::unprocessable(format!("Nobody was erased: {error}.")))?;
    // The form has the id, so that pressed twice it is one erasure.
    let id = fields.filled("erasure").and_then(|id| id.parse().ok()).unwrap_or_else(|| new_ulid(*now));
    match site.table.begin_erasure(id, address.matched(), post.author()).await? {
        ErasureBegun::HasRole => Err(AppError::conflict(
            "This is an admin, or a programme names this address as faculty, assistant or for finance. Take the role away first.",
        )),
        ErasureBegun::Nobody => Err(AppError::refused(
            StatusCode::NOT_FOUND,
            "Nobody here has this address, so there is nothing to erase. Is it spelled as on the roster?",
        )),
        ErasureBegun::Yes(id) => {
            if let Err(error) = carry_on(site, id, JobDeadlines::of_a_request(*deadline)).await {
                tracing::warn!(%id, error = format!("{error:#}"), "an erasure is left for the next minute");
            }
            Ok(Redirect::to(&paths::erased(id)).into_response())
        }
    }
}

pub(crate) async fn page(
    State(site): State<Site>,
    AdminAccess { visitor }: AdminAccess,
    Path(id): Path<String>,
) -> Answer {
    let id: Ulid = id.parse().map_err(|_| AppError::not_found())?;
    let erasure = site.table.get(Erasure::key_of(id)).await?.ok_or_else(AppError::not_found)?;
    let in_backups_until = match erasure.state {
        JobState::Done { at } => Some(utc_date(at + IN_BACKUPS)),
        _ => None,
    };
    let line = ErasureLine::of(erasure);
    Ok(site.page(&ErasedPage { frame: PageFrame::of(&site, &visitor), line, in_backups_until }))
}

/// Begins what retention asks for, and carries on the erasures that nobody does. Returns the state in which each was left.
pub(crate) async fn in_the_work(site: &Site, until: JobDeadlines) -> Result<Vec<&'static str>> {
    let now = site.clock.now();
    let kept = SignedDuration::from_hours(24 * i64::from(site.retention_days));
    site.table.begin_retention(now - kept, Author { actor: &Actor::Rule, now, deadline: until.deadline }).await?;
    let mut states = Vec::new();
    for id in site.table.due_erasures(now, AT_ONCE).await? {
        states.push(carry_on(site, id, until).await.unwrap_or_else(|error| {
            tracing::warn!(%id, error = format!("{error:#}"), "an erasure is left for the next minute");
            "interrupted"
        }));
    }
    Ok(states)
}

/// Ends the grants that are left, and erases those whose keys are off and read. Every step may be done again.
async fn carry_on(site: &Site, id: Ulid, until: JobDeadlines) -> Result<&'static str> {
    let (table, deadline) = (&site.table, until.deadline);
    let Some(mut erasure) = table.take_erasure(id, site.clock.now(), deadline).await? else { return Ok("running") };
    let left = table.grants_to_erase(&erasure).await?;
    erasure.all = erasure.done + u32::try_from(left.len())?;
    let mut again_after = SignedDuration::ZERO;
    for (programme, grant) in &left {
        if until.is_time_up() {
            break;
        }
        let at = ActContext { programme, grant, now: site.clock.now(), deadline };
        table.act(at, |view, now| view.end_for_erasure(&erasure.by, now)).await?;
        site.orders().now_or_later(at).await;
        match table.erase_grant(at, &erasure).await? {
            Some(after) => erasure = after,
            None => again_after = AGAIN_AFTER,
        }
    }
    let now = site.clock.now();
    // Somebody may have put them on a roster meanwhile.
    if table.grants_to_erase(&erasure).await?.is_empty() {
        table.end_erasure(&erasure, now, deadline).await?;
        return Ok("done");
    }
    table.leave_erasure(&erasure, JobState::Waiting { until: now + again_after }, deadline).await?;
    Ok("running")
}
