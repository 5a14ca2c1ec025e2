//! The alerts of a programme: the crossings of its budget's thresholds, and the mails to its staff
//! with what became of them. A form sends an alert again, another a test alert.

use askama::Template;
use axum::extract::Query;
use bursar_core::domain::mail::kind::{MailClass, MailKind};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::role::is_among;
use bursar_core::domain::usage::crossing::{Crossing, per_cent};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{
    BETWEEN_TESTS, FiledMail, OutboxRow, QueuedMail, StaffPerson, Undeliverable,
};
use bursar_core::web::{Answer, AppError, Flash, Result, Site};
use futures_util::future::try_join_all;
use serde::Deserialize;

use crate::kit::access::{Assistants, PageFrame, Post, ProgrammeAccess};
use crate::kit::listing::{Cell, Column, Listing, ON_A_PAGE, Press, column};
use crate::kit::mails::MailRow;
use crate::kit::{mails, paths, show};
use crate::money::spending::spans::SpanLink;

#[derive(Template)]
#[template(path = "alerts.html")]
struct AlertsPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    hear: Vec<EmailAddress>,
    crossings: Listing<Crossing>,
    kinds: Vec<SpanLink>,
    /// Newest first, of equal ones the newest.
    mails: Listing<MailRow>,
}

/// The word for mails of every kind.
const ALL: &str = "all";

/// The kind of the mails that are listed, or [`ALL`] of them; without one the alerts.
#[derive(Deserialize)]
pub(crate) struct KindQuery {
    #[serde(default)]
    kind: String,
}

impl KindQuery {
    /// The kind; nothing of all.
    fn kind(&self) -> Result<Option<MailKind>> {
        match self.kind.as_str() {
            "" => Ok(Some(MailKind::Alert)),
            ALL => Ok(None),
            name => {
                let mut kinds = MailKind::ALL.into_iter().filter(|kind| kind.is_for_staff());
                Ok(Some(
                    kinds
                        .find(|kind| kind.as_str() == name)
                        .ok_or_else(AppError::not_found)?,
                ))
            }
        }
    }
}

const CROSSINGS: [Column<Crossing>; 4] = [
    column("Threshold").cell(|crossing| {
        Cell::exact(Some(
            crossing.scope.to_words(crossing.threshold, crossing.limit),
        ))
    }),
    column("When")
        .class("date")
        .cell(|crossing| Cell::At(Some(crossing.found_at))),
    column("Spent").class("money").cell(|crossing| {
        let spent = crossing.spent.to_cents();
        Cell::exact(Some(format!(
            "{spent}, {}%",
            per_cent(crossing.spent, crossing.limit)
        )))
    }),
    column("Mail").cell(|crossing| {
        Cell::exact(Some(if crossing.is_mailed {
            "sent"
        } else {
            "none: a higher one was crossed too"
        }))
    }),
];

pub(crate) async fn page(
    site: Site,
    access: ProgrammeAccess,
    Query(query): Query<KindQuery>,
) -> Answer {
    let programme = &access.programme;
    let table = &site.table;
    let (mut crossings, budget, hear, filed) = tokio::try_join!(
        table.list(Crossing::of_programme(&programme.id)),
        table.budget(&programme.id),
        table.hear_of_alerts(&programme.settings),
        table.list(FiledMail::filed_under(&programme.id, None)),
    )?;
    crossings.sort_by_key(|crossing| std::cmp::Reverse((crossing.found_at, crossing.threshold)));
    let chosen = query.kind()?;
    let filed = filed
        .into_iter()
        .rev()
        .filter(|filed| chosen.is_none_or(|kind| kind == filed.mail));
    let mut rows: Vec<OutboxRow> = Vec::new();
    for row in table.mails(filed, ON_A_PAGE).await? {
        match rows.iter_mut().find(|newer| newer.mail == row.mail) {
            Some(newer) if newer.again_at < row.again_at => *newer = row,
            Some(_) => {}
            None => rows.push(row),
        }
    }
    let recipients = Recipients {
        site: &site,
        access: &access,
        hear: &hear,
        budget: budget.limit,
    };
    let mails = try_join_all(rows.iter().map(|row| recipients.row(row))).await?;
    let zone = programme.settings.term.zone();
    let path = paths::alerts(&programme.id);
    let kinds = MailKind::ALL
        .into_iter()
        .filter(|kind| kind.is_for_staff())
        .map(Some)
        .chain([None]);
    let kinds = kinds.map(|kind| SpanLink {
        name: kind.map_or(ALL, MailKind::to_words),
        address: show::address(&path, &[("kind", kind.map_or(ALL, MailKind::as_str))]),
        is_chosen: kind == chosen,
    });
    let testid = if chosen == Some(MailKind::Alert) {
        "alert"
    } else {
        "mail"
    };
    Ok(site.page(&AlertsPage {
        frame: PageFrame::new(&site, &access.visitor),
        programme,
        crossings: Listing::new(("Crossings", "crossing"), CROSSINGS, crossings, zone),
        kinds: kinds.collect(),
        mails: mails::listing(testid, mails, zone),
        hear,
    }))
}

/// What is known of those to whom the mails went.
struct Recipients<'a> {
    site: &'a Site,
    access: &'a ProgrammeAccess,
    hear: &'a [EmailAddress],
    /// The limit of the budget.
    budget: Usd,
}

impl Recipients<'_> {
    async fn row(&self, row: &OutboxRow) -> Result<MailRow> {
        let mut mail = MailRow::new(row);
        let Some(recipient) = row.mail.facts().recipient.staff() else {
            return Ok(mail);
        };
        let Some(person) = self.site.table.get(StaffPerson::key_of(recipient)).await? else {
            return Ok(MailRow {
                recipient: Some(show::REMOVED.to_owned()),
                ..mail
            });
        };
        let mark = no_alert_goes_to(self.site, &person).await?;
        let why = mark
            .as_ref()
            .map(|mark| format!("nothing is mailed there now: {}", mark.why.to_words()));
        mail.outcome.why.extend(why);
        let address = person.address.as_written().to_owned();
        // An alert about a former budget is not worth sending again.
        let is_of_now =
            matches!(row.mail, QueuedMail::Alert { of_limit, .. } if of_limit == self.budget);
        let may_resend = is_of_now
            && is_among(person.address.matched(), self.hear)
            && (mark.is_none() || self.access.is_faculty());
        let words = if mark.is_some() {
            "Try once more"
        } else {
            "Send again"
        };
        mail.resend = may_resend.then(|| Press {
            action: paths::alerts(&self.access.programme.id),
            csrf: self.access.visitor.csrf.reveal().to_owned(),
            field: ("alert", row.row.to_string()),
            words,
            label: format!("{words} to {address}"),
        });
        Ok(MailRow {
            recipient: Some(address),
            ..mail
        })
    }
}

/// The mark that stops alerts to a person.
async fn no_alert_goes_to(site: &Site, person: &StaffPerson) -> Result<Option<Undeliverable>> {
    let mark = site
        .table
        .undeliverable(person.address.matched(), site.clock.now())
        .await?;
    Ok(mark.filter(|mark| mark.keeps_back(MailClass::Urgent)))
}

/// Sends one alert again to its recipient.
pub(crate) async fn resend(form: Post<Assistants>) -> Answer {
    let Post {
        site,
        access,
        fields,
        ..
    } = &form;
    let Programme { id, settings, .. } = &access.programme;
    let row = fields
        .filled("alert")
        .and_then(|row| row.parse().ok())
        .ok_or_else(|| {
            AppError::unprocessable(
                "The form did not say which alert to send again. Open the alerts page again.",
            )
        })?;
    let row = site
        .table
        .get(OutboxRow::key_of(row))
        .await?
        .filter(|row| row.mail.facts().recipient.programme() == Some(id));
    let Some(OutboxRow { mail, .. }) = row else {
        return Err(AppError::not_found());
    };
    let QueuedMail::Alert {
        scope,
        threshold,
        of_limit,
        recipient,
        ..
    } = &mail
    else {
        return Err(AppError::not_found());
    };
    if site.table.budget(id).await?.limit != *of_limit {
        let why = "The budget has changed since this alert, so the alert is out of date.";
        return Err(AppError::conflict(why));
    }
    let person = site
        .table
        .get(StaffPerson::key_of(recipient))
        .await?
        .ok_or_else(AppError::not_found)?;
    if !is_among(
        person.address.matched(),
        &site.table.hear_of_alerts(settings).await?,
    ) {
        return Err(AppError::conflict(
            "This person no longer gets this programme's alerts.",
        ));
    }
    let mark = no_alert_goes_to(site, &person).await?;
    if mark.is_some() && !access.is_faculty() {
        let why =
            "Mail to this person came back or is not wanted. Faculty can have it tried once more.";
        return Err(AppError::conflict(why));
    }
    let name = format!(
        "{} of {of_limit} to {recipient}",
        scope.threshold_name(*threshold)
    );
    let is_sent = site
        .table
        .resend_alert(id, (&mail, &name), mark.as_ref(), form.author())
        .await?;
    if !is_sent && mark.is_some() {
        let why = "It was sent again within the last hour, and mail has come back since. Try again in an hour.";
        return Err(AppError::conflict(why));
    }
    Ok(site.done(&paths::alerts(id), &Flash::AlertSentAgain))
}

/// Mails a test alert to the sender of the form alone.
pub(crate) async fn test(post: Post<Assistants>) -> Answer {
    let Post {
        site,
        access,
        person,
        now,
        deadline,
        ..
    } = &post;
    let programme = &access.programme.id;
    if !site
        .table
        .test_alert(programme, person, *now, *deadline)
        .await?
    {
        let sentence =
            "A test alert was sent to you within the last minute. Try again in a minute.";
        return Err(AppError::too_fast(sentence, BETWEEN_TESTS));
    }
    Ok(site.done(&paths::alerts(programme), &Flash::TestAlertSent))
}
