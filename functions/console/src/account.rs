//! The account as a whole, for admins: its money against what is reserved, what no key explains, how the syncs went, what the guard
//! held back with the press that lets the next sync do it, and a management key of another account with the press that says it is this
//! one.

mod another;
mod days;
mod explain;
mod given_up;
mod keys;
mod mail;
mod syncs;
mod warnings;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use bursar_core::deadline::Deadline;
use bursar_core::domain::address::EmailAddress;
use bursar_core::domain::days::{Days, Known, Sum};
use bursar_core::domain::id::PersonId;
use bursar_core::domain::mail_kind::MailKind;
use bursar_core::domain::money::Usd;
use bursar_core::domain::span::Span;
use bursar_core::domain::window::{Reset, utc_date};
use bursar_core::store::{Account, AccountDay, HeldAct, HeldBack, HeldKey, Promised, Release, StoreError, WentOn};
use bursar_core::web::{Answer, Fault, Frame, Posted, Site, Until, Visitor};
use jiff::Timestamp;

use crate::access;
use crate::by_model::{self, Lines, Told};
use crate::show;
use crate::spans::{self, Asked, Choice, Clockwork, Figure};
use another::AnotherAccount;
use days::Day;
use explain::Residual;
pub(crate) use explain::explain;
pub(crate) use given_up::send_again;
use keys::{Keys, Stranger};
use mail::Mail;
use syncs::Sync;

/// So many days, runs and alarms are looked at.
const DAYS: i32 = 60;
const RUNS: i32 = 14;
const ALARMS: i32 = 20;
/// The spans that an account has: it has neither window nor term.
const SPANS: [Span; 4] = [Span::Day, Span::Week, Span::Month, Span::All];

#[derive(Template)]
#[template(path = "account.html")]
struct Page<'a> {
    frame: &'a Frame,
    csrf: &'a str,
    is_admin: bool,
    another: Option<AnotherAccount>,
    warnings: Vec<String>,
    held_back: Option<Held>,
    balance: Option<(Usd, String)>,
    promised: Promised,
    phrase: &'static str,
    spans: Vec<Choice>,
    as_of: Option<String>,
    spent: Spent,
    /// Whether a sync has added up all keys.
    is_summed: bool,
    notes: Vec<String>,
    /// The newest day's sums.
    newest: Option<AccountDay>,
    residual: Option<Residual>,
    days: Vec<Day>,
    keys: Keys,
    strangers: Vec<Stranger>,
    /// What is no programme's, by model.
    models: Lines,
    told: Told,
    syncs: Vec<Sync>,
    mail: Mail,
}

/// What keys spent over the span that is asked for.
struct Spent {
    all: Figure,
    ours: Figure,
    foreign: Figure,
}

/// What the guard held back, as the page shows it.
struct Held {
    /// Which it is: the form says so, so that nothing else is let through.
    shown: String,
    at: String,
    words: String,
    bound: u32,
    count: u32,
    /// Whether grants would be stopped.
    stops: bool,
    keys: Vec<HeldLine>,
    released_by: Option<String>,
}

/// One key of them.
struct HeldLine {
    name: String,
    hash: String,
    why: &'static str,
}

pub(crate) async fn page(State(site): State<Site>, visitor: Visitor, Query(asked): Query<Asked>) -> Answer {
    if !access::is_let_in_as_admin(&site, &visitor) {
        return Ok(site.not_found());
    }
    show_page(&site, &visitor, &asked, None).await
}

/// The page, with a reason that was typed and refused.
async fn show_page(site: &Site, visitor: &Visitor, asked: &Asked, refused: Option<(String, String)>) -> Answer {
    let (now, table) = (site.clock.now(), &site.table);
    let (state, account, days, foreign, runs, left, alarms, programmes) = tokio::try_join!(
        table.sync_state(),
        table.account(),
        table.newest_account_days(DAYS + 1),
        table.foreign_keys(),
        table.runs(RUNS),
        table.checkpoint(),
        table.alarms(ALARMS),
        table.programmes(),
    )?;
    let promised = table.promised(&programmes).await?;
    let mail = Mail::of(site, &programmes, now).await?;
    let held_back = match &state.held_back {
        Some(held) => Some(Held::of(site, held).await?),
        None => None,
    };
    let syncs: Vec<Sync> = runs.iter().map(Sync::of).collect();
    let balance = balance(days.first(), &syncs);
    let known = warnings::Known {
        state: &state,
        need: table.need(promised.to_come).await?,
        balance: balance.map(|(balance, _)| balance),
        runs: &syncs,
        left: left.as_ref(),
        alarms: &alarms,
        admins: site.admins.len(),
    };

    let span = asked.span().unwrap_or(Span::All);
    let clockwork = Clockwork::endless(state.looked_at, now);
    let spent = Spent::of(account.as_ref(), |days| clockwork.sum(days, span));
    let keys = Keys::of(foreign, span, clockwork);
    let told = Told::of_account(&state, span, span.range(Reset::None, None, now), utc_date(now));
    let nobodys: Vec<_> = table.nobodys_days(told.days).await?.into_iter().map(|day| day.by).collect();
    let page = Page {
        frame: &site.frame,
        csrf: visitor.csrf.reveal(),
        is_admin: true,
        another: AnotherAccount::of(site, &alarms, &state).await?,
        warnings: warnings::of(&known, now),
        held_back,
        balance: balance.map(|(balance, at)| (balance, utc(at))),
        promised,
        phrase: spans::phrase(span),
        spans: spans::choices(PATH, &[], &SPANS, |one| one == span || (one == Span::All && !SPANS.contains(&span))),
        as_of: state.looked_at.map(utc),
        notes: spans::notes([&spent.all, &spent.ours, &spent.foreign].into_iter().chain(keys.figures())),
        spent,
        is_summed: account.is_some(),
        residual: days.first().map(|day| Residual::of(day, &state, refused)),
        newest: days.first().cloned(),
        days: days::of(&days, DAYS.unsigned_abs() as usize),
        keys,
        strangers: state.strangers.iter().map(Stranger::of).collect(),
        models: by_model::of_nobody(&nobodys),
        told,
        syncs,
        mail,
    };
    Ok(site.page(&page))
}

/// Lets go on what was held back: disables by the next sync, work with another management key, bulk mail, or mail to somebody it came
/// back from. The form says which.
pub(crate) async fn release(
    State(site): State<Site>,
    Until(deadline): Until,
    Posted { visitor, fields }: Posted,
) -> Answer {
    if !access::is_let_in_as_admin(&site, &visitor) {
        return Ok(site.not_found());
    }
    let person = access::person(&site, &visitor, deadline).await?;
    if let Some((kind, shown)) = fields.filled("mail").and_then(mail::stop_of) {
        return match site.table.let_bulk_go_on(kind, shown, &person, site.clock.now(), deadline).await? {
            WentOn::Done | WentOn::Already => {
                // Where this fails, the hourly watch tells it.
                if let Err(error) = tell_let_go(&site, kind, deadline).await {
                    tracing::warn!(%error, "the other admins are not told yet that mail goes on");
                }
                Ok(Redirect::to(PATH).into_response())
            }
            WentOn::NotThis => Ok(not_this(&site)),
        };
    }
    if let Some(address) = fields.filled("address").and_then(|address| EmailAddress::parse(address).ok()) {
        return try_again(&site, &address, &person, deadline).await;
    }
    if let Some(shown) = fields.filled("account") {
        return another::confirm(&site, shown, &person, deadline).await;
    }
    let Some(shown) = fields.filled("held").and_then(|held| held.parse::<Timestamp>().ok()) else {
        let sentence = "The form did not say what is to be let through. Open the page of the account again.";
        return Ok(site.refuse(StatusCode::UNPROCESSABLE_ENTITY, "Nothing was done", sentence));
    };
    match site.table.release_held_back(shown, &person, site.clock.now(), deadline).await? {
        Release::Done | Release::Already => Ok(Redirect::to(PATH).into_response()),
        Release::NotThis => Ok(not_this(&site)),
    }
}

/// The other admins hear who let mail of a kind go on.
async fn tell_let_go(site: &Site, kind: MailKind, deadline: Deadline) -> Result<(), StoreError> {
    let Some(stop) = site.table.bulk_stop(kind).await? else { return Ok(()) };
    let admins = site.table.people_of(&site.admins, deadline).await?;
    site.table.tell_let_go(&stop, &admins, deadline).await.map(drop)
}

/// Mail to somebody with a role came back, and is to be tried again.
async fn try_again(site: &Site, address: &EmailAddress, by: &PersonId, deadline: Deadline) -> Answer {
    let done = Redirect::to(PATH).into_response();
    if site.table.known(address.matched(), &site.admins).await?.is_none_or(|known| !known.has_role) {
        return Ok(site.not_found());
    }
    let Some(mark) = site.table.undeliverable(address.matched(), site.clock.now()).await? else { return Ok(done) };
    let whom = site.table.person_of(address, deadline).await?;
    site.table.allow_mail_to(&mark, &whom, by, site.clock.now(), deadline).await?;
    Ok(done)
}

fn not_this(site: &Site) -> Response {
    let sentence = "What was held back is something else by now. Open the page of the account again.";
    site.refuse(StatusCode::CONFLICT, "Nothing was done", sentence)
}

const PATH: &str = "/console/account";

/// What there is, and when the provider said so: as of the newest run that read it, or of the newest day's sums.
fn balance(newest: Option<&AccountDay>, syncs: &[Sync]) -> Option<(Usd, Timestamp)> {
    let of_run = syncs.iter().find_map(|sync| Some((sync.balance?, sync.began_at)));
    let of_day = newest.map(|day| (day.bought - day.spent, day.as_of));
    of_run.into_iter().chain(of_day).max_by_key(|(_, at)| *at)
}

impl Spent {
    fn of(account: Option<&Account>, sum: impl Fn(&Days) -> Sum) -> Spent {
        let nothing = Sum { spent: Usd::ZERO, known: Known::Partly };
        let [ours, foreign] = match account {
            Some(account) => [sum(&account.ours.credits), sum(&account.foreign.credits)],
            // No sync has added it up, whatever else one has looked at.
            None => [nothing; 2],
        };
        let all = Sum { spent: ours.spent + foreign.spent, known: ours.known.max(foreign.known) };
        Spent { all: Figure::of(all), ours: Figure::of(ours), foreign: Figure::of(foreign) }
    }
}

impl HeldLine {
    fn of(held: &HeldKey) -> HeldLine {
        let why = match held.act {
            HeldAct::Recovery => "which works and which a recovery would end",
            HeldAct::Stop => "which a student was shown, and which is missing or disabled at the provider",
            HeldAct::Sweep => "which nobody was shown",
        };
        HeldLine { name: held.name.clone(), hash: held.key.to_string(), why }
    }
}

impl Held {
    async fn of(site: &Site, held: &HeldBack) -> Result<Held, Fault> {
        let released_by = match &held.released_by {
            Some(person) => Some(show::person(&site.table, person).await?),
            None => None,
        };
        Ok(Held {
            shown: held.at.to_string(),
            at: utc(held.at),
            words: held.words(),
            bound: held.bound,
            count: held.count(),
            stops: held.stops > 0,
            keys: held.keys.iter().map(HeldLine::of).collect(),
            released_by,
        })
    }
}

/// The account is in no programme's time zone.
fn utc(at: Timestamp) -> String {
    format!("{} UTC", show::time(at, "UTC"))
}
