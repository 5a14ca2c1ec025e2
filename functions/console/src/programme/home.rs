//! The programmes on which the visitor has a role.

use std::collections::HashMap;

use askama::Template;
use axum::extract::Query;
use bursar_core::clock::Moment;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::counts::Counts;
use bursar_core::domain::programme::role::Role;
use bursar_core::domain::usage::burn::Burn;
use bursar_core::domain::values::key::KeyLabel;
use bursar_core::store::Overview;
use bursar_core::web::{Answer, Result, Site, Visitor};
use futures_util::future::try_join_all;

use crate::kit::access::PageFrame;
use crate::kit::show::long_date;
use crate::money::spending::bar::MoneyBar;
use crate::people::help_desk;
use crate::programme::waiting::WaitingItems;

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    frame: PageFrame<'a>,
    waiting: WaitingItems,
    running: Vec<ProgrammeRow>,
    over: Vec<ProgrammeRow>,
}

struct ProgrammeRow {
    programme: Programme,
    role: &'static str,
    /// The first and the last day, and the id where another programme has the same name.
    term: String,
    /// Of a programme that is not over: its money, and its people where it has a roster.
    now: Option<(MoneyBar, Option<Counts>)>,
}

pub(crate) async fn list(
    site: Site,
    visitor: Visitor,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let now = site.clock.now();
    if let Some(text) = query
        .get("q")
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
    {
        // A key has its own field; of one that is typed here no more than its label is shown.
        let label = KeyLabel::parse(text);
        let text = label.as_ref().map_or(text, KeyLabel::as_str);
        return help_desk::page(&site, &visitor, text, false).await;
    }
    let programmes = help_desk::visible(&site, &visitor).await?;
    let sync = site.table.sync_state().await?;
    let waiting = WaitingItems::list_for_reader(&site, &visitor, &programmes, &sync).await?;
    let mut names: HashMap<String, usize> = HashMap::new();
    programmes
        .iter()
        .for_each(|(programme, _)| *names.entry(programme.settings.name.clone()).or_default() += 1);
    let rows = programmes.into_iter().map(|(programme, role)| {
        let has_namesake = names
            .get(&programme.settings.name)
            .is_some_and(|count| *count > 1);
        ProgrammeRow::read(&site, programme, role, has_namesake, sync.listed_at, now)
    });
    let rows = try_join_all(rows).await?;
    let (running, over) = rows.into_iter().partition(|row| row.now.is_some());
    let frame = PageFrame::new(&site, &visitor);
    Ok(site.page(&Home {
        frame,
        waiting,
        running,
        over,
    }))
}

impl ProgrammeRow {
    /// The row, with one request for what a programme has that is not over.
    async fn read(
        site: &Site,
        programme: Programme,
        role: Role,
        has_namesake: bool,
        listed_at: Option<Moment>,
        read_at: Moment,
    ) -> Result<ProgrammeRow> {
        let settings = &programme.settings;
        let mut term = format!(
            "{} to {}",
            long_date(settings.term.starts_on()),
            long_date(settings.term.ends_on())
        );
        if has_namesake {
            term += &format!(" · {}", programme.id);
        }
        let overview = if programme.is_over(read_at) {
            None
        } else {
            site.table.overview(&programme.id).await?
        };
        let now = overview.map(
            |Overview {
                 budget,
                 counts,
                 used,
                 ..
             }| {
                let spent = used.used().days(settings.basis.byok);
                let burn = Burn::new(
                    &programme,
                    &budget,
                    &spent,
                    used.spends_elsewhere(programme.settings.basis.byok, read_at),
                    listed_at,
                    read_at,
                );
                (
                    MoneyBar::new(settings, &budget, &burn, read_at),
                    settings.roster.then_some(counts),
                )
            },
        );
        Ok(ProgrammeRow {
            role: role.as_str(),
            term,
            now,
            programme,
        })
    }
}
