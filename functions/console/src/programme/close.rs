//! The end of a programme, for admins: first a page that says in numbers what it does, then the
//! act, once the programme's name is typed.

use askama::Template;
use axum::http::StatusCode;
use bursar_core::clock::Moment;
use bursar_core::domain::grant::ShownState;
use bursar_core::domain::programme::{Budget, Programme, Settings};
use bursar_core::domain::values::format::column_time;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{GrantLine, StoreError};
use bursar_core::web::{Answer, AppError, Flash, Result, Site};

use crate::kit::access::{Faculty, PageFrame, Post, ProgrammeAccess, is_open};
use crate::kit::paths;
use crate::work::jobs;

#[derive(Template)]
#[template(path = "close.html")]
struct ClosePage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    budget: Usd,
    as_of: Option<String>,
    /// Nothing where a student's record cannot be read.
    effect: Option<Effect>,
    /// What the form carries from the page before.
    reason: Option<&'a str>,
    /// What was typed that is not the programme's name.
    wrong: Option<&'a str>,
}

struct Effect {
    /// The keys that work or are being made.
    keys: usize,
    /// The students who have no key that works, and could get one.
    without: usize,
    spent: Usd,
    unspent: Usd,
}

impl Effect {
    fn new(lines: &[GrantLine], budget: &Budget, settings: &Settings, now: Moment) -> Effect {
        let mut keys = 0;
        let mut without = 0;
        for line in lines {
            match line.display_state(now) {
                ShownState::Live | ShownState::Minting => keys += 1,
                ShownState::Invited | ShownState::Paused | ShownState::Stopped => without += 1,
                ShownState::Revoked | ShownState::Ended => {}
            }
        }
        let spent: Usd = lines
            .iter()
            .map(|line| line.used.counted(settings.basis.byok))
            .sum();
        Effect {
            keys,
            without,
            spent: spent + budget.assigned,
            unspent: (budget.reserved - budget.assigned - spent).or_zero(),
        }
    }
}

/// What closing does.
pub(crate) async fn page(site: Site, access: ProgrammeAccess) -> Answer {
    require_admin(&access)?;
    is_open(&access.programme)?;
    look(&site, &access, None, None).await
}

pub(crate) async fn close(post: Post<Faculty>) -> Answer {
    let Post {
        site,
        access,
        fields,
        deadline,
        ..
    } = &post;
    require_admin(access)?;
    let Programme {
        id,
        settings,
        closed_at,
        ..
    } = &access.programme;
    let overview = paths::programme(id);
    if closed_at.is_some() {
        return Ok(site.done(&overview, &Flash::Already));
    }
    let reason = fields.filled("reason");
    let Some(typed) = fields.filled("confirm") else {
        return look(site, access, reason, None).await;
    };
    if !typed
        .to_lowercase()
        .split_whitespace()
        .eq(settings.name.to_lowercase().split_whitespace())
    {
        let page = look(site, access, reason, Some(typed)).await;
        return Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, page));
    }
    site.table.close(id, post.author()).await?;
    jobs::run_in_request(site, id, *deadline).await;
    Ok(site.done(&overview, &Flash::Closed))
}

fn require_admin(access: &ProgrammeAccess) -> Result<()> {
    if access.is_admin() {
        Ok(())
    } else {
        Err(AppError::no_right())
    }
}

async fn look(
    site: &Site,
    access: &ProgrammeAccess,
    reason: Option<&str>,
    wrong: Option<&str>,
) -> Answer {
    let programme = &access.programme;
    let budget = site.table.budget(&programme.id).await?;
    let sync = site.table.sync_state().await?;
    let effect = match site.table.grant_lines(&programme.id, None).await {
        Ok(lines) => Some(Effect::new(
            &lines,
            &budget,
            &programme.settings,
            site.clock.now(),
        )),
        // It can be closed all the same.
        Err(StoreError::Corrupt { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let page = ClosePage {
        frame: PageFrame::new(site, &access.visitor),
        programme,
        budget: budget.limit,
        as_of: sync
            .listed_at
            .map(|listed_at| column_time(listed_at, programme.settings.term.zone())),
        effect,
        reason,
        wrong,
    };
    Ok(site.page(&page))
}
