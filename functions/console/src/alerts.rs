//! The alerts of a programme: which threshold was crossed, who was told, and what became of the mail.

use askama::Template;
use axum::extract::{Path, State};
use bursar_core::domain::crossing::Crossing;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::role::Role;
use bursar_core::store::items::MailState;
use bursar_core::web::{Answer, Fault, Frame, Site, Visitor};

use crate::access;
use crate::show;

#[derive(Template)]
#[template(path = "alerts.html")]
struct Page<'a> {
    frame: &'a Frame,
    csrf: &'a str,
    programme: &'a Programme,
    is_admin: bool,
    crossings: Vec<Shown>,
}

struct Shown {
    crossing: Crossing,
    at: String,
    alerts: Vec<Alert>,
}

struct Alert {
    recipient: String,
    outcome: &'static str,
}

pub(crate) async fn page(State(site): State<Site>, visitor: Visitor, Path(id): Path<String>) -> Answer {
    let Some(sight) = access::programme(&site, &visitor, &id, Role::Assistant).await? else {
        return Ok(site.not_found());
    };
    let programme = &sight.programme;
    let mut crossings = site.table.crossings(&programme.id).await?;
    crossings.sort_by_key(|crossing| std::cmp::Reverse((crossing.found_at, crossing.threshold)));
    let mut shown = Vec::with_capacity(crossings.len());
    for crossing in crossings {
        let alerts = alerts(&site, &crossing).await?;
        let at = show::time(crossing.found_at, programme.settings.term.timezone());
        shown.push(Shown { crossing, at, alerts });
    }
    let is_admin = sight.role == Role::Admin;
    Ok(site.page(&Page { frame: &site.frame, csrf: visitor.csrf.reveal(), programme, is_admin, crossings: shown }))
}

async fn alerts(site: &Site, crossing: &Crossing) -> Result<Vec<Alert>, Fault> {
    let mut alerts = Vec::with_capacity(crossing.mails.len());
    for told in &crossing.mails {
        let (person, row) = tokio::try_join!(site.table.person(&told.recipient), site.table.mail(told.row))?;
        let recipient =
            person.map_or("somebody who was erased".to_owned(), |person| person.address.as_written().to_owned());
        // Rows are kept for ninety days, longer than any event still comes for them.
        let outcome = row.map_or("sent", |row| outcome(&row.state));
        alerts.push(Alert { recipient, outcome });
    }
    Ok(alerts)
}

fn outcome(state: &MailState) -> &'static str {
    match state {
        MailState::Waiting { .. } | MailState::Sending { .. } => "waiting",
        MailState::Sent { .. } => "sent",
        MailState::Delivered { .. } => "delivered",
        MailState::Bounced { .. } => "bounced",
        MailState::Complained { .. } => "complained",
        MailState::Dropped { .. } | MailState::Failed { .. } => "failed",
    }
}
