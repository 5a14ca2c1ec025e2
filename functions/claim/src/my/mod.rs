//! A student's own page: their grants and what is left of each.

pub(crate) mod card;
pub(crate) mod example;
pub(crate) mod long_answers;
pub(crate) mod rules;
pub(crate) mod words;

use askama::Template;
use axum::http::StatusCode;
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{
    BeginRefused, GrantState, KeyRequest, KeyRequestKind, NextGuardrail, View,
};
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::id::{Nonce, ProgrammeId};
use bursar_core::store::{Enrolment, KnownAddress, ListedModels, Whose};
use bursar_core::web::{
    Answer, AppError, Fields, FileNames, Flash, Frame, Posted, Reply, Result, Site, Visitor,
};

use crate::my::card::{Card, MoreForm};
use crate::my::example::Example;
use crate::my::long_answers::LongAnswers;
use crate::my::rules::StudentRules;
use crate::my::words::not_reached;
use crate::refusal::explain_refusal;

#[derive(Template)]
#[template(path = "my.html")]
struct MyPage<'a> {
    frame: &'a Frame,
    visitor: &'a Visitor,
    alert: Option<&'a str>,
    cards: Vec<Card<'a>>,
    examples: Vec<Example<'a>>,
    /// Whether a key was ever shown: then the page explains refused requests, even if no key works
    /// now.
    has_had_a_key: bool,
    choice: KnownAddress,
    not_reached: Option<String>,
}

pub(crate) async fn page(site: Site, visitor: Visitor) -> Answer {
    let now = site.clock.now();
    show(&site, &visitor, now, None, None).await
}

#[derive(Template)]
#[template(path = "help_page.html")]
struct HelpPage<'a> {
    frame: &'a Frame,
    visitor: &'a Visitor,
    url: &'a str,
}

/// The page that explains the provider's refusals.
pub(crate) async fn help(site: Site, visitor: Visitor) -> Answer {
    Ok(site.page(&HelpPage {
        frame: &site.frame,
        visitor: &visitor,
        url: &site.provider_url,
    }))
}

/// The refusal of a form: the page of the person's grants, with what is wrong above it.
pub(crate) async fn refused(site: &Site, visitor: &Visitor, now: Moment, why: &str) -> AppError {
    AppError::page(
        StatusCode::UNPROCESSABLE_ENTITY,
        show(site, visitor, now, Some(why), None).await,
    )
}

/// The enrolments of the visitor. Who signed in before the address passed to another person is
/// shown nothing of that one's.
pub(crate) async fn enrolments_of(site: &Site, visitor: &Visitor) -> Result<Vec<Enrolment>> {
    let (mut enrolments, are_kept_back) = site
        .table
        .own_enrolments(&visitor.session.address, site.clock.now())
        .await?;
    if are_kept_back {
        enrolments.retain(|enrolment| enrolment.enrolled_at <= visitor.session.begun_at);
    }
    Ok(enrolments)
}

/// The export of everything stored about a person, for that person.
pub(crate) async fn data(site: Site, visitor: Visitor) -> Answer {
    let session = &visitor.session;
    let views = grants_of(&site, &visitor).await?;
    let views: Vec<_> = views
        .into_iter()
        .map(|view| (view, Whose::Persons))
        .collect();
    let export = site
        .table
        .export_person(&session.address, &views, Some(session), site.clock.now())
        .await?;
    Reply::json_file("bursar-my-data", FileNames::Nobody, &export)
}

pub(crate) async fn grants_of(site: &Site, visitor: &Visitor) -> Result<Vec<View>> {
    let mut views = Vec::new();
    for enrolment in enrolments_of(site, visitor).await? {
        views.extend(
            site.table
                .view(&enrolment.programme, &enrolment.grant)
                .await?,
        );
    }
    Ok(views)
}

/// The page; `more_form` is the form of a request for more that was refused, and its programme.
pub(crate) async fn show(
    site: &Site,
    visitor: &Visitor,
    now: Moment,
    alert: Option<&str>,
    mut more_form: Option<(&ProgrammeId, MoreForm)>,
) -> Answer {
    let views = grants_of(site, visitor).await?;
    let address = &visitor.session.address;
    let (choice, mark, sync, listed) = tokio::try_join!(
        site.table.address_record(address),
        site.table.undeliverable(address, now),
        site.table.sync_state(),
        site.table.get(ListedModels::key_of())
    )?;
    let mut cards = Vec::with_capacity(views.len());
    let mut rules = Vec::with_capacity(views.len());
    for view in &views {
        let mut key_rules = StudentRules::read(&site.table, view)
            .await?
            .naming(listed.as_ref(), now);
        if let Some(listed) = listed.as_ref().filter(|_| is_in_use(view, now)) {
            key_rules.long_answers =
                LongAnswers::read(&site.table, listed, view, &key_rules, now).await?;
        }
        let typed = more_form
            .take_if(|(programme, _)| **programme == view.programme.id)
            .map(|(_, form)| form);
        cards.push(Card::new(view, &key_rules, sync.listed_at, typed, now));
        rules.push(key_rules);
    }
    let mut examples = Vec::new();
    for (view, rules) in views
        .iter()
        .zip(&rules)
        .filter(|(view, _)| is_in_use(view, now))
    {
        let work_day = site.table.work_day(&view.programme.id).await?;
        let example = Example::new(&site.provider_url, view, rules);
        examples.push(Example {
            prices: listed.as_ref(),
            work_day,
            ..example
        });
    }
    let page = MyPage {
        frame: &site.frame,
        visitor,
        alert,
        cards,
        has_had_a_key: views
            .iter()
            .any(|view| view.grant.stage.has_claimed() && !view.programme.is_over(now)),
        choice,
        not_reached: mark.as_ref().map(not_reached),
        examples,
    };
    Ok(site.page(&page))
}

fn is_in_use(view: &View, now: Moment) -> bool {
    view.grant.usable().is_some() && !view.programme.is_over(now)
}

/// Changes only the choices that the form carries. They belong to the person and touch no grant,
/// programme or right, so no audit entry is written.
pub(crate) async fn choose_mails(site: Site, deadline: Deadline, posted: Posted) -> Answer {
    let (Ok(digest), Ok(reminders)) = (
        choice(&posted.fields, "digest"),
        choice(&posted.fields, "reminders"),
    ) else {
        let sentence = "Nothing was changed: choose “Send them” or “Do not send them”.";
        return Err(refused(&site, &posted.visitor, site.clock.now(), sentence).await);
    };
    site.table
        .choose_mails(&posted.visitor.session.address, digest, reminders, deadline)
        .await?;
    Ok(site.done("/my", &Flash::MailsChosen))
}

/// Whether such mails are wanted, where the form says so.
fn choice(fields: &Fields, name: &str) -> Result<Option<bool>, ()> {
    match fields.get(name) {
        None => Ok(None),
        Some("on") => Ok(Some(true)),
        Some("off") => Ok(Some(false)),
        Some(_) => Err(()),
    }
}

pub(crate) enum Obstacle {
    Begin(BeginRefused),
    /// The provider has not confirmed the rules of the next key yet.
    BeingPrepared,
}

impl Obstacle {
    pub(crate) fn find(view: &View, rules: &StudentRules, now: Moment) -> Option<Obstacle> {
        let settings = &view.programme.settings;
        let request = KeyRequest {
            kind: kind_of_request(view),
            epoch: view.grant.epoch,
            terms: settings.terms_hash(),
        };
        let is_prepared = rules.next != NextGuardrail::NotConfirmed;
        match view.begin(request, Nonce::random(), now) {
            // It passes by itself within moments.
            Err(BeginRefused::EnableUnderWay { .. }) => None,
            Err(refused) => Some(Obstacle::Begin(refused)),
            Ok(_) => (!is_prepared).then_some(Obstacle::BeingPrepared),
        }
    }

    /// Whether the obstacle only stops a replacement, while the present key keeps working.
    pub(crate) fn stops_replacing_only(&self) -> bool {
        matches!(
            self,
            Obstacle::BeingPrepared
                | Obstacle::Begin(
                    BeginRefused::ReplacementsUsedUp
                        | BeginRefused::ManyKeys { .. }
                        | BeginRefused::FailedOften { .. }
                        | BeginRefused::KeyMissing { .. }
                        | BeginRefused::NothingLeft { .. }
                )
        )
    }

    pub(crate) fn to_words(&self, settings: &Settings) -> String {
        match self {
            Obstacle::Begin(refused) => explain_refusal(refused, settings),
            Obstacle::BeingPrepared => {
                "This programme is still being set up at OpenRouter. Reload this page in a few minutes.".to_owned()
            }
        }
    }
}

/// The button that the page offers: reveal before the first key was shown, replace afterwards.
pub(crate) fn kind_of_request(view: &View) -> KeyRequestKind {
    match view.grant.state {
        GrantState::Invited => KeyRequestKind::Reveal,
        GrantState::Live { .. }
        | GrantState::Stopped { .. }
        | GrantState::Revoked
        | GrantState::Ended => KeyRequestKind::Replace,
    }
}
