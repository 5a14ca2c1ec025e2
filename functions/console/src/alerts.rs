//! The alerts of a programme: the crossings of its budget's thresholds with their cause, and the mails with
//! their recipients and states. A form sends an alert again, another a test alert.

use bursar_core::domain::mail::kind::MailClass;
use bursar_core::domain::programme::role::is_among;
use bursar_core::domain::usage::crossing::{AlertMail, Crossing, RESERVED, Scope, per_cent};
use bursar_core::domain::values::id::PersonId;
use bursar_core::store::{AlertAgain, BETWEEN_TESTS, OutboxRow, StaffPerson, Undeliverable};

use crate::access::Assistants;
use crate::mails::{self, MailStatus};
use crate::prelude::*;

#[derive(Template)]
#[template(path = "alerts.html")]
struct AlertsPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    hear: Vec<String>,
    crossings: Vec<CrossingRow>,
}

struct CrossingRow {
    crossing: Crossing,
    at: String,
    /// The share of the budget that was spent when the crossing was found.
    per_cent: i64,
    alerts: Vec<Alert>,
}

impl CrossingRow {
    fn is_promised(&self) -> bool {
        self.crossing.scope == Scope::Reserved
    }
}

/// The newest mail of a crossing to one person, and when it was last sent again.
struct Alert {
    recipient: String,
    person: PersonId,
    outcome: MailStatus,
    /// The last time that somebody had it sent again.
    again: Option<String>,
    /// The reason why nothing is mailed to them.
    unreachable: Option<&'static str>,
    /// Whether this visitor may send it again.
    may_resend: bool,
}

pub(crate) async fn page(State(site): State<Site>, access: ProgrammeAccess) -> Answer {
    let programme = &access.programme;
    let mut crossings = site.table.list(Crossing::of_programme(&programme.id)).await?;
    crossings.retain(|crossing| matches!(crossing.scope, Scope::Budget | Scope::Reserved));
    crossings.sort_by_key(|crossing| std::cmp::Reverse((crossing.found_at, crossing.threshold)));
    let budget = site.table.get(Budget::key_of(&programme.id)).await?.ok_or_else(AppError::not_found)?;
    let mut shown = Vec::with_capacity(crossings.len());
    for crossing in crossings {
        let mut alerts = alerts(&site, &access, &crossing).await?;
        // An alert about a former budget is not worth sending again.
        alerts.iter_mut().for_each(|alert| alert.may_resend &= crossing.limit == budget.limit);
        let at = column_time(crossing.found_at, programme.settings.term.zone());
        shown.push(CrossingRow { per_cent: per_cent(crossing.spent, crossing.limit), crossing, at, alerts });
    }
    let hear = site.table.hear_of_alerts(&programme.settings).await?;
    let hear = hear.iter().map(|one| one.as_written().to_owned()).collect();
    Ok(site.page(&AlertsPage { frame: PageFrame::of(&site, &access.visitor), programme, hear, crossings: shown }))
}

/// The mark that stops alerts to a person.
async fn no_alert_goes_to(site: &Site, person: &StaffPerson) -> Result<Option<Undeliverable>, AppError> {
    let mark = site.table.undeliverable(person.address.matched(), site.clock.now()).await?;
    Ok(mark.filter(|mark| mark.keeps_back(MailClass::Urgent)))
}

/// The recipients of a crossing, each once, with the state of the newest mail to them.
async fn alerts(site: &Site, access: &ProgrammeAccess, crossing: &Crossing) -> Result<Vec<Alert>, AppError> {
    let mut alerts: Vec<Alert> = Vec::with_capacity(crossing.mails.len());
    let zone = access.programme.settings.term.zone();
    for (index, mail) in crossing.mails.iter().enumerate() {
        let is_last =
            |mail: &AlertMail| !crossing.mails.iter().skip(index + 1).any(|later| later.recipient == mail.recipient);
        if !is_last(mail) {
            continue;
        }
        let (person, row) = tokio::try_join!(
            site.table.get(StaffPerson::key_of(&mail.recipient)),
            site.table.get(OutboxRow::key_of(mail.row))
        )?;
        let mark = match &person {
            Some(person) => no_alert_goes_to(site, person).await?,
            None => None,
        };
        alerts.push(Alert {
            may_resend: person.is_some() && (mark.is_none() || access.is_faculty()),
            recipient: person.map_or("somebody who was erased".to_owned(), |one| one.address.as_written().to_owned()),
            person: mail.recipient.clone(),
            outcome: row.map_or_else(MailStatus::forgotten, |row| MailStatus::of(&row, |at| column_time(at, zone))),
            again: mail.by_hand.map(|at| column_time(at, zone)),
            unreachable: mark.map(|mark| mails::why(mark.why)),
        });
    }
    Ok(alerts)
}

/// Sends one alert again to one of its recipients.
pub(crate) async fn resend(form: Post<Assistants>) -> Answer {
    let Post { site, access, fields, .. } = &form;
    let programme = &access.programme;
    let is_threshold = |named: &&str| *named == RESERVED || named.parse::<u8>().is_ok();
    let threshold = fields.filled("threshold").filter(is_threshold);
    let limit = fields.filled("limit_usd").and_then(|limit| Usd::from_form(limit).ok());
    let recipient = fields.filled("recipient").and_then(|recipient| recipient.parse::<PersonId>().ok());
    let (Some(threshold), Some(limit), Some(recipient)) = (threshold, limit, recipient) else {
        let sentence = "The form did not say which alert is to be sent to whom. Open the page of the alerts again.";
        return Err(AppError::unprocessable(sentence));
    };
    let crossings = site.table.list(Crossing::of_programme(&programme.id)).await?;
    let is_it = |crossing: &Crossing| {
        let is_of_budget = matches!(crossing.scope, Scope::Budget | Scope::Reserved);
        is_of_budget && crossing.threshold_name() == threshold && crossing.limit == limit
    };
    let crossing = crossings.into_iter().find(is_it).ok_or_else(AppError::not_found)?;
    if site.table.get(Budget::key_of(&programme.id)).await?.is_none_or(|budget| budget.limit != limit) {
        let why = "The budget is another by now, so what this alert says of it is no news.";
        return Err(AppError::conflict(why));
    }
    let person = site.table.get(StaffPerson::key_of(&recipient)).await?.ok_or_else(AppError::not_found)?;
    if !is_among(person.address.matched(), &site.table.hear_of_alerts(&programme.settings).await?) {
        return Err(AppError::conflict("This person does not hear of this programme's alerts any more."));
    }
    let mark = no_alert_goes_to(site, &person).await?;
    if mark.is_some() && !access.is_faculty() {
        let why = "Mail to this person came back or is not wanted. Faculty can have it tried once more.";
        return Err(AppError::conflict(why));
    }
    let marked = mark.as_ref().map(|mark| &mark.address);
    match site.table.resend_alert(&crossing, &recipient, marked, form.author()).await? {
        AlertAgain::NotTold => Err(AppError::not_found()),
        AlertAgain::TooSoon if mark.is_some() => {
            let why = "It was sent again within the last hour, and mail has come back since. Try again in an hour.";
            Err(AppError::conflict(why))
        }
        AlertAgain::Done | AlertAgain::TooSoon => Ok(Redirect::to(&paths::alerts(&programme.id)).into_response()),
    }
}

/// Mails a test alert to the sender of the form alone.
pub(crate) async fn test(post: Post<Assistants>) -> Answer {
    let Post { site, access, person, now, deadline, .. } = &post;
    let programme = &access.programme.id;
    if !site.table.test_alert(programme, person, *now, *deadline).await? {
        let sentence = "A test alert was sent to you within the last minute. Try again in a minute.";
        return Err(AppError::too_fast(sentence, BETWEEN_TESTS));
    }
    Ok(Redirect::to(&paths::alerts(programme)).into_response())
}
