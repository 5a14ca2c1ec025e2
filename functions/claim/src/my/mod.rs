//! A student's own page: their grants and what is left of each.

mod card;
pub(crate) mod data;
pub(crate) mod example;
pub(crate) mod mails;
mod obstacle;
pub(crate) mod rules;
mod words;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use bursar_core::domain::grant::View;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::store::MailChoice;
use bursar_core::web::{Answer, AppError, Frame, Site, Visitor};
use jiff::Timestamp;

use crate::my::card::Card;
use crate::my::example::Example;
use crate::my::rules::KeyRules;
use crate::my::words::not_reached;

#[derive(Template)]
#[template(path = "my.html")]
struct MyPage<'a> {
    frame: &'a Frame,
    visitor: &'a Visitor,
    alert: Option<&'a str>,
    cards: Vec<Card<'a>>,
    /// The examples for each key that works.
    examples: Vec<Example<'a>>,
    /// Whether a key was ever shown: then the page explains refused requests, even if no key works now.
    has_had_a_key: bool,
    /// The mails that this person wants.
    choice: MailChoice,
    /// The reason why mail does not reach this person, if it does not.
    not_reached: Option<String>,
}

pub(crate) async fn page(State(site): State<Site>, visitor: Visitor) -> Answer {
    let now = site.clock.now();
    show(&site, &visitor, now, None).await
}

#[derive(Template)]
#[template(path = "help_page.html")]
struct HelpPage<'a> {
    frame: &'a Frame,
    visitor: &'a Visitor,
    url: &'a str,
}

/// The page that explains the provider's refusals.
pub(crate) async fn help(State(site): State<Site>, visitor: Visitor) -> Answer {
    Ok(site.page(&HelpPage { frame: &site.frame, visitor: &visitor, url: &site.provider_url }))
}

/// The refusal of a form: the page of the person's grants, with what is wrong above it.
pub(crate) async fn refused(site: &Site, visitor: &Visitor, now: Timestamp, why: &str) -> AppError {
    AppError::page(StatusCode::UNPROCESSABLE_ENTITY, show(site, visitor, now, Some(why)).await)
}

/// The visitor's grant in a programme.
pub(crate) async fn grant_in(site: &Site, visitor: &Visitor, programme: &str) -> Result<View, AppError> {
    let programme = programme.parse::<ProgrammeId>().map_err(|_| AppError::not_found())?;
    let enrolments = site.table.enrolments(&visitor.session.address).await?;
    let enrolment = enrolments.into_iter().find(|enrolment| enrolment.programme == programme);
    let enrolment = enrolment.ok_or_else(AppError::no_right)?;
    site.table.view(&enrolment.programme, &enrolment.grant).await?.ok_or_else(AppError::not_found)
}

/// The visitor's grants.
pub(crate) async fn grants_of(site: &Site, visitor: &Visitor) -> Result<Vec<View>, AppError> {
    let mut views = Vec::new();
    for enrolment in site.table.enrolments(&visitor.session.address).await? {
        views.extend(site.table.view(&enrolment.programme, &enrolment.grant).await?);
    }
    Ok(views)
}

async fn show(site: &Site, visitor: &Visitor, now: Timestamp, alert: Option<&str>) -> Answer {
    let (views, address) = (grants_of(site, visitor).await?, &visitor.session.address);
    let (choice, mark) = tokio::try_join!(site.table.mail_choice(address), site.table.undeliverable(address, now))?;
    let is_in_use =
        |view: &View| view.grant.live().is_some() && view.grant.holds.is_empty() && !view.programme.is_over(now);
    let mut cards = Vec::with_capacity(views.len());
    let mut rules = Vec::with_capacity(views.len());
    for view in &views {
        let of_keys = KeyRules::of(&site.table, view).await?;
        cards.push(Card::of(view, &of_keys, now));
        rules.push(of_keys);
    }
    let in_use = views.iter().zip(&rules).filter(|(view, _)| is_in_use(view));
    let page = MyPage {
        frame: &site.frame,
        visitor,
        alert,
        cards,
        has_had_a_key: views.iter().any(|view| view.grant.ever_shown && !view.programme.is_over(now)),
        choice,
        not_reached: mark.as_ref().map(not_reached),
        examples: in_use.map(|(view, rules)| Example::of(site, view, rules)).collect(),
    };
    Ok(site.page(&page))
}
