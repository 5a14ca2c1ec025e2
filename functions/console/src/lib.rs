//! The faculty's pages, and the work of each minute: jobs, guardrails, grants that are due. This file lists the routes;
//! the files named for the pages hold the handlers.

#![warn(clippy::wildcard_enum_match_arm)]

mod kit;
mod money;
mod people;
mod prelude;
mod programme;
mod work;

use anyhow::{Result, bail};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::event::{Event, Task};
use bursar_core::start::Function;
use bursar_core::web::Pages;
use lambda_runtime::LambdaEvent;
use serde_json::Value;

use crate::prelude::*;

pub struct App {
    pages: Pages,
    /// The site as the work of each minute has it.
    worker: Site,
}

impl Function for App {
    fn new(config: Config, clock: Clock) -> App {
        let site = Site::new(&config, clock).showing_the_version();
        App { pages: Pages::of(routes(site.clone()), &site), worker: site.calling_at_most(config.calls_a_second) }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        let deadline = self.worker.deadline(&event.context);
        match Event::of(event.payload)? {
            Event::Http(payload) => self.pages.answer(LambdaEvent::new(payload, event.context)).await,
            Event::Task(Task::Work) => Ok(serde_json::to_value(work::run(&self.worker, deadline).await?)?),
            Event::Task(_) | Event::Scheduled | Event::Empty | Event::Stream(_) | Event::Notifications(_) => {
                bail!("this is no event for the function console")
            }
        }
    }
}

fn routes(site: Site) -> Router {
    let as_a_file = DefaultBodyLimit::max(kit::access::MOST_BYTES);
    Router::new()
        .route("/console", get(programme::home::list))
        .route("/console/programmes", post(programme::settings::create))
        .route("/console/programmes/new", get(programme::settings::new))
        .route("/console/programmes/{id}", get(programme::overview::page).post(programme::settings::edit))
        .route("/console/programmes/{id}/settings", get(programme::settings::page))
        .route("/console/programmes/{id}/close", post(programme::close::close))
        .route("/console/programmes/{id}/copy", post(programme::copy::copy))
        .route("/console/programmes/{id}/groups", get(programme::groups::page).post(programme::groups::save))
        .route("/console/programmes/{id}/people", post(people::roster::add_person))
        .route("/console/programmes/{id}/roster", get(people::roster::page))
        .route(
            "/console/programmes/{id}/roster",
            post(people::roster::preview).put(people::roster::registrar::put).layer(as_a_file),
        )
        .route("/console/programmes/{id}/roster/apply", post(people::roster::apply))
        .route("/console/programmes/{id}/roster/undo", post(people::roster::undo))
        .route("/console/programmes/{id}/roster/token", post(people::roster::registrar::change_token))
        .route("/console/programmes/{id}/roster/{file}", get(people::roster::kept))
        .route("/console/programmes/{id}/grants", get(people::grants::list))
        .route("/console/programmes/{id}/grants.csv", get(people::grants::file))
        .route("/console/programmes/{id}/grants/bulk", post(people::grants::bulk::act_on_many))
        .route("/console/programmes/{id}/grants/{grant}", get(people::grants::grant))
        .route("/console/programmes/{id}/grants/{grant}/address", post(people::grants::correct_address))
        .route("/console/programmes/{id}/grants/{grant}/more", post(people::grants::decide_more))
        .route("/console/programmes/{id}/grants/{grant}/{action}", post(people::grants::act))
        .route("/console/programmes/{id}/requests/{request}", post(programme::decide::decide))
        .route("/console/programmes/{id}/alerts", get(programme::alerts::page).post(programme::alerts::resend))
        .route("/console/programmes/{id}/alerts/test", post(programme::alerts::test))
        .route("/console/programmes/{id}/report", get(money::report::page))
        .route("/console/programmes/{id}/report.csv", get(money::report::file))
        .route("/console/programmes/{id}/closeout", get(money::closeout::closeout))
        .route("/console/programmes/{id}/audit", get(programme::audit::page))
        .route("/console/programmes/{id}/audit.csv", get(programme::audit::file))
        .route("/console/tiers", get(programme::tiers::page).post(programme::tiers::save))
        .route("/console/report", get(money::report::page))
        .route("/console/report.csv", get(money::report::file))
        .route("/console/people/erase", post(people::erase::press))
        .route("/console/people/erased/{erasure}", get(people::erase::page))
        .route("/console/admins", post(money::account::change_admins))
        .route("/console/account", get(money::account::page))
        .route("/console/account/release", post(money::account::release))
        .route("/console/account/mail", post(money::account::send_again))
        .route("/console/account/keys/assign", post(money::owners::assign))
        .route("/console/account/audit", get(programme::audit::page_of_account))
        .route("/console/account/audit.csv", get(programme::audit::file_of_account))
        .route("/console/account/statement", get(money::statement::page))
        .route("/console/account/statement.csv", get(money::statement::csv))
        .route("/console/account/keys/{hash}", post(money::account::act_on_foreign_key))
        .fallback(nothing)
        .method_not_allowed_fallback(nothing)
        .with_state(site)
}

/// The answer to an unknown route; visitors who are not signed in are redirected to the start first.
async fn nothing(_: Visitor) -> AppError {
    AppError::not_found()
}
