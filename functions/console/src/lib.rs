//! The faculty's pages, and the work of each minute: jobs, guardrails, grants that are due. This
//! file lists the routes; the files named for the pages hold the handlers.

#![warn(clippy::wildcard_enum_match_arm)]

mod kit;
mod money;
mod people;
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
use bursar_core::web::{AppError, Pages, Site, Visitor, redirect_other_method};
use lambda_runtime::LambdaEvent;
use serde_json::Value;

use crate::kit::access;
use crate::money::{account, closeout, owners, report, statement};
use crate::people::{erase, grants, help_desk, personal, roster};
use crate::programme::{alerts, ask, audit, close, groups, home, overview, settings, tiers};

pub struct App {
    pages: Pages,
    /// The site as the work of each minute has it.
    worker: Site,
}

impl Function for App {
    fn new(config: Config, clock: Clock) -> App {
        let site = Site::new(&config, clock).showing_the_version();
        App {
            pages: Pages::new(routes(site.clone()), &site),
            worker: site.with_calls_at_most(config.calls_a_second),
        }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        let deadline = self.worker.deadline(&event.context);
        match Event::parse(event.payload)? {
            Event::Http(payload) => {
                self.pages
                    .answer(LambdaEvent::new(payload, event.context))
                    .await
            }
            Event::Task(Task::Work) => Ok(serde_json::to_value(
                work::run(&self.worker, deadline).await?,
            )?),
            Event::Task(_)
            | Event::Scheduled
            | Event::Empty
            | Event::Stream(_)
            | Event::Notifications(_) => {
                bail!("this is no event for the function console")
            }
        }
    }
}

fn routes(site: Site) -> Router {
    let as_a_file = DefaultBodyLimit::max(access::MOST_BYTES);
    Router::new()
        .route("/console", get(home::list))
        .route("/console/find", post(help_desk::find_key))
        .route("/console/programmes", post(settings::create))
        .route("/console/programmes/new", get(settings::new))
        .route(
            "/console/programmes/{id}",
            get(overview::page).post(settings::edit),
        )
        .route("/console/programmes/{id}/settings", get(settings::page))
        .route("/console/programmes/{id}/ask", post(ask::ask))
        .route(
            "/console/programmes/{id}/close",
            get(close::page).post(close::close),
        )
        .route(
            "/console/programmes/{id}/groups",
            get(groups::page).post(groups::save),
        )
        .route("/console/programmes/{id}/people", post(roster::add_person))
        .route("/console/programmes/{id}/roster", get(roster::page))
        .route(
            "/console/programmes/{id}/roster",
            post(roster::preview)
                .put(roster::registrar::put)
                .layer(as_a_file),
        )
        .route("/console/programmes/{id}/roster/apply", post(roster::apply))
        .route("/console/programmes/{id}/roster/undo", post(roster::undo))
        .route(
            "/console/programmes/{id}/roster/token",
            post(roster::registrar::change_token),
        )
        .route("/console/programmes/{id}/roster/{file}", get(roster::kept))
        .route(
            "/console/programmes/{id}/grants",
            get(grants::list).post(grants::list_posted),
        )
        .route("/console/programmes/{id}/grants.csv", get(grants::file))
        .route(
            "/console/programmes/{id}/grants/bulk",
            post(grants::bulk::act_on_many),
        )
        .route(
            "/console/programmes/{id}/grants/{grant}",
            get(grants::grant),
        )
        .route(
            "/console/programmes/{id}/grants/{grant}/address",
            post(grants::correct_address),
        )
        .route(
            "/console/programmes/{id}/grants/{grant}/more",
            post(grants::decide_more),
        )
        .route(
            "/console/programmes/{id}/grants/{grant}/leaked",
            post(grants::end_leaked),
        )
        .route(
            "/console/programmes/{id}/grants/{grant}/drop",
            post(grants::take_off_roster),
        )
        .route(
            "/console/programmes/{id}/grants/{grant}/person",
            post(grants::tell_person),
        )
        .route(
            "/console/programmes/{id}/grants/{grant}/{action}",
            post(grants::act),
        )
        .route(
            "/console/programmes/{id}/alerts",
            get(alerts::page).post(alerts::resend),
        )
        .route("/console/programmes/{id}/alerts/test", post(alerts::test))
        .route("/console/programmes/{id}/report", get(report::page))
        .route("/console/programmes/{id}/report.csv", get(report::file))
        .route("/console/programmes/{id}/closeout", get(closeout::closeout))
        .route("/console/programmes/{id}/audit", get(audit::page))
        .route("/console/programmes/{id}/audit.csv", get(audit::file))
        .route("/console/tiers", get(tiers::page).post(tiers::save))
        .route("/console/report", get(report::page))
        .route("/console/report.csv", get(report::file))
        .route("/console/people/erase", get(erase::form).post(erase::press))
        .route("/console/people/data", post(personal::download))
        .route("/console/people/retain", post(personal::retain))
        .route("/console/people/erased/{erasure}", get(erase::page))
        .route("/console/people/unbind", post(help_desk::unbind))
        .route("/console/admins", post(account::change_admins))
        .route("/console/account", get(account::page))
        .route("/console/account/release", post(account::release))
        .route("/console/account/mail", post(account::send_again))
        .route("/console/account/keys/assign", post(owners::assign))
        .route("/console/account/audit", get(audit::page_of_account))
        .route("/console/account/audit.csv", get(audit::file_of_account))
        .route("/console/account/statement", get(statement::page))
        .route("/console/account/statement.csv", get(statement::csv))
        .route(
            "/console/account/keys/{hash}",
            post(account::act_on_foreign_key),
        )
        .fallback(nothing)
        .method_not_allowed_fallback(redirect_other_method)
        .with_state(site)
}

/// The answer to an unknown route; visitors who are not signed in are redirected to the start
/// first.
async fn nothing(_: Visitor) -> AppError {
    AppError::not_found()
}
