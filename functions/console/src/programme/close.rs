//! The end of a programme: first a page that says in numbers what it does, then the act, once the programme's name is typed. Faculty see
//! the same page and ask the admins.

use askama::Template;
use axum::http::StatusCode;
use bursar_core::clock::Moment;
use bursar_core::domain::grant::ShownState;
use bursar_core::domain::programme::request::{CLOSE, ProgrammeRequest};
use bursar_core::domain::programme::{Budget, Programme, Settings};
use bursar_core::domain::values::format::column_time;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{GrantLine, StoreError};
use bursar_core::web::{Answer, AppError, Flash, Result};

use crate::kit::access::{Faculty, PageFrame, Post};
use crate::kit::paths;
use crate::programme::requests::{approved, ask};
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
    request: Option<&'a str>,
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
            match line.shown_state(&settings.pauses, now) {
                ShownState::Live | ShownState::Minting => keys += 1,
                ShownState::Invited | ShownState::Paused | ShownState::Stopped => without += 1,
                ShownState::Revoked | ShownState::Ended => {}
            }
        }
        let spent: Usd = lines.iter().map(|line| line.used.counted(settings.basis.byok)).sum();
        Effect {
            keys,
            without,
            spent: spent + budget.assigned,
            unspent: (budget.reserved - budget.assigned - spent).or_zero(),
        }
    }
}

pub(crate) async fn close(post: Post<Faculty>) -> Answer {
    let Post { site, access, fields, deadline, .. } = &post;
    let Programme { id, settings, closed_at, .. } = &access.programme;
    let overview = paths::programme(id);
    if closed_at.is_some() {
        if access.is_admin() {
            answer_first_close(&post, approved(&post, CLOSE).await?).await?;
        }
        return Ok(site.done(&overview, &Flash::Already));
    }
    let request = fields.filled("request");
    let Some(typed) = fields.filled("confirm") else { return look(&post, request, None).await };
    if !typed.to_lowercase().split_whitespace().eq(settings.name.to_lowercase().split_whitespace()) {
        return Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, look(&post, request, Some(typed)).await));
    }
    if !access.is_admin() {
        ask(&post, CLOSE, "Close the programme", "now, which ends every key".to_owned(), String::new()).await?;
        return Ok(site.done(&overview, &Flash::CloseAsked));
    }
    let answers = approved(&post, CLOSE).await?;
    if !site.table.close(id, answers.as_ref(), post.author()).await? {
        answer_first_close(&post, answers).await?;
    }
    jobs::in_a_request(site, id, *deadline).await;
    Ok(site.done(&overview, &Flash::Closed))
}

/// Answers the request where somebody closed the programme without it. The same press again finds it answered.
async fn answer_first_close(post: &Post<Faculty>, answers: Option<ProgrammeRequest>) -> Result<()> {
    let Some(request) = answers else { return Ok(()) };
    match post.site.table.decide(&request, post.author()).await {
        Ok(()) | Err(StoreError::Decided(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn look(post: &Post<Faculty>, request: Option<&str>, wrong: Option<&str>) -> Answer {
    let Post { site, access, fields, .. } = post;
    let programme = &access.programme;
    let budget = site.table.budget(&programme.id).await?;
    let sync = site.table.sync_state().await?;
    let effect = match site.table.grant_lines(&programme.id, None).await {
        Ok(lines) => Some(Effect::new(&lines, &budget, &programme.settings, site.clock.now())),
        // It can be closed all the same.
        Err(StoreError::Corrupt { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let page = ClosePage {
        frame: PageFrame::new(site, &access.visitor),
        programme,
        budget: budget.limit,
        as_of: sync.listed_at.map(|listed_at| column_time(listed_at, programme.settings.term.zone())),
        effect,
        reason: fields.filled("reason"),
        request,
        wrong,
    };
    Ok(site.page(&page))
}
