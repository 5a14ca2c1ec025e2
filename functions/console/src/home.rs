//! The start of the console: the programmes on which the visitor has a role. A search by `?q=` does not
//! exist yet.

use askama::Template;
use axum::extract::State;
use bursar_core::domain::people::role::Role;
use bursar_core::domain::programme::Programme;
use bursar_core::web::{Answer, AppError, Frame, Site, Visitor};

use crate::access;

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    frame: &'a Frame,
    csrf: &'a str,
    is_admin: bool,
    running: Vec<ProgrammeRow>,
    over: Vec<ProgrammeRow>,
}

struct ProgrammeRow {
    programme: Programme,
    role: &'static str,
}

pub(crate) async fn page(State(site): State<Site>, visitor: Visitor) -> Answer {
    let now = site.clock.now();
    let is_admin = access::is_admin(&site, &visitor);
    let programmes = site.table.programmes_of(&visitor.session.address, &site.admins).await?;
    if programmes.is_empty() && !is_admin {
        return Err(AppError::no_right());
    }
    let rows = programmes.into_iter().map(|(programme, role)| ProgrammeRow { programme, role: role_name(role) });
    let (over, running) = rows.partition(|row| row.programme.is_over(now));
    Ok(site.page(&Home { frame: &site.frame, csrf: visitor.csrf.reveal(), is_admin, running, over }))
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Faculty => "faculty",
        Role::Assistant => "assistant",
    }
}
