//! The page of the account: its money against what is reserved, the residual, the last syncs, and what the
//! guard held back. Keys, mail, and the forms of each part are left to the files beside this one.

use askama::Template;
use axum::extract::{Query, State};
use bursar_core::domain::credit::purchase::DAYS_TO_BUY;
use bursar_core::domain::mail::alarm::Alarm;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::usage::days::{Accuracy, Days, Sum};
use bursar_core::domain::usage::models::ModelUse;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::usage::span::Span;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::{Reset, utc_date};
use bursar_core::store::{Account, AccountDay, BudgetSums, Checkpoint, HeldAct, HeldBack, HeldKey, Job, Run, Table};
use bursar_core::web::{Answer, AppError, Frame, Site, Visitor};
use jiff::Timestamp;

use super::foreign_act::{self, KeyForm};
use super::keys::{ForeignKeys, OrphanKey};
use super::mail::MailSection;
use super::release::AnotherAccount;
use super::syncs::{Day, SyncRun, newest_days};
use super::warnings::{self, CreditSection};
use crate::access::AdminAccess;
use crate::job_line::JobLine;
use crate::owners::{KeyOwners, TypedOwner};
use crate::paths;
use crate::show::{self, utc};
use crate::spending::by_model::{self, ModelCoverage};
use crate::spending::spans::{self, Figure, SpanContext, SpanLink, SpanQuery};

const DAYS: i32 = 60;
const RUNS: i32 = 14;
const ALARMS: i32 = 20;
/// The spans of an account, which has neither window nor term.
const SPANS: [Span; 4] = [Span::Day, Span::Week, Span::Month, Span::All];

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    frame: &'a Frame,
    csrf: &'a str,
    is_admin: bool,
    another: Option<AnotherAccount>,
    warnings: Vec<String>,
    held_back: Option<HeldBackNotice>,
    balance: Option<(Usd, String)>,
    promised: BudgetSums,
    credit: CreditSection,
    phrase: &'static str,
    spans: Vec<SpanLink>,
    as_of: Option<String>,
    spent: SpentSums,
    /// Whether a sync has summed up all keys.
    is_summed: bool,
    notes: Vec<String>,
    newest: Option<AccountDay>,
    days: Vec<Day>,
    keys: ForeignKeys,
    owners: KeyOwners,
    owned: ForeignKeys,
    orphans: Vec<OrphanKey>,
    /// What is no programme's, by model.
    models: Vec<ModelUse>,
    coverage: ModelCoverage,
    syncs: Vec<SyncRun>,
    jobs: Vec<JobLine>,
    mail: MailSection,
}

/// The texts of a form that was refused, kept for another try.
#[derive(Default)]
pub(crate) struct Refused {
    pub(crate) owner: Option<TypedOwner>,
    pub(crate) key: Option<KeyForm>,
}

struct SpentSums {
    all: Figure,
    ours: Figure,
    foreign: Figure,
}

struct HeldBackNotice {
    /// The state that the form confirms, so that nothing newer is let through.
    shown: String,
    at: String,
    words: String,
    bound: u32,
    count: u32,
    stops: bool,
    keys: Vec<HeldKeyLine>,
    released_by: Option<String>,
}

struct HeldKeyLine {
    name: String,
    hash: String,
    why: &'static str,
}

pub(crate) async fn page(
    State(site): State<Site>,
    AdminAccess { visitor }: AdminAccess,
    Query(asked): Query<SpanQuery>,
) -> Answer {
    show(&site, &visitor, &asked, Refused::default()).await
}

/// The page, with the texts of a form that was refused.
pub(crate) async fn show(site: &Site, visitor: &Visitor, asked: &SpanQuery, refused: Refused) -> Answer {
    let (now, table) = (site.clock.now(), &site.table);
    let (state, account, days, foreign, runs, left, alarms, programmes) = tokio::try_join!(
        table.sync_state(),
        table.get(Account::key_of()),
        table.newest(AccountDay::all(), DAYS + 1),
        table.foreign_keys(),
        table.newest(Run::all(), RUNS),
        table.get(Checkpoint::key_of()),
        table.newest(Alarm::all(), ALARMS),
        table.list(Programme::all()),
    )?;
    let promised = table.budget_sums(&programmes).await?;
    let mail = MailSection::of(site, &programmes, now).await?;
    let held_back = match &state.held_back {
        Some(held) => Some(HeldBackNotice::of(site, held).await?),
        None => None,
    };
    let syncs: Vec<SyncRun> = runs.iter().map(SyncRun::of).collect();
    let balance = balance(days.first(), &syncs);
    let balance_now = balance.map(|(balance, _)| balance);
    let purchase = match balance_now {
        Some(balance) => Some(table.purchase(&programmes, promised.to_come, balance, now).await?),
        None => None,
    };
    let credit = CreditSection::of(purchase, now);
    let known = warnings::AccountFacts {
        credit: &credit,
        state: &state,
        need: table.need(promised.to_come).await?,
        balance: balance_now,
        runs: &syncs,
        left: left.as_ref(),
        alarms: &alarms,
        admins: site.admins.len(),
    };

    let span = asked.span().filter(|span| SPANS.contains(span)).unwrap_or(Span::All);
    let context = SpanContext::endless(state.listed_at, now);
    let spent = SpentSums::of(account.as_ref(), |days| context.sum(days, span));
    let acts = foreign_act::in_words(table).await?;
    let (owners, owned, nobodys) = KeyOwners::of(site, &programmes, foreign, refused.owner, now).await?;
    let mut used_by_nobodys = DailyUse::default();
    nobodys.iter().for_each(|key| used_by_nobodys.add(&key.used));
    let keys_of = |keys| ForeignKeys::of(keys, &acts, refused.key.as_ref(), state.listed_at, span, context);
    let (keys, owned) = (keys_of(nobodys), keys_of(owned).with_owners(&owners.words));
    let coverage = ModelCoverage::of_account(&state, span, span.range(Reset::None, None, now), utc_date(now));
    let unowned = table.foreign_models(coverage.days).await?.unowned;
    let page = AccountPage {
        frame: &site.frame,
        csrf: visitor.csrf.reveal(),
        is_admin: true,
        another: AnotherAccount::of(site, &alarms, &state).await?,
        warnings: warnings::of(&known, now),
        credit,
        held_back,
        balance: balance.map(|(balance, at)| (balance, utc(at))),
        promised,
        phrase: spans::phrase(span),
        spans: spans::choices(paths::ACCOUNT, &[], &SPANS, |one| one == span),
        as_of: state.listed_at.map(utc),
        notes: spans::notes(
            [&spent.all, &spent.ours, &spent.foreign].into_iter().chain(keys.figures()).chain(owned.figures()),
        ),
        spent,
        is_summed: account.is_some(),
        newest: days.first().cloned(),
        days: newest_days(&days, DAYS.unsigned_abs() as usize),
        keys,
        owners,
        owned,
        orphans: state.orphan_names.iter().map(OrphanKey::of).collect(),
        models: by_model::of_nobody(unowned, &used_by_nobodys, &coverage),
        coverage,
        syncs,
        jobs: running_jobs(table, &programmes, now).await?,
        mail,
    };
    Ok(site.page(&page))
}

async fn running_jobs(table: &Table, programmes: &[Programme], now: Timestamp) -> Result<Vec<JobLine>, AppError> {
    let mut lines = Vec::new();
    for id in table.programmes_with_jobs().await? {
        let jobs: Vec<Job> = table.jobs(&id).await?.into_iter().filter(Job::is_running).collect();
        let programme = programmes.iter().find(|programme| programme.id == id);
        lines.extend(programme.map(|programme| JobLine::of_programme(programme, &jobs, now)).unwrap_or_default());
    }
    Ok(lines)
}

/// The balance, and when the provider reported it: from the newest run that read it, or from the newest
/// day's sums.
fn balance(newest: Option<&AccountDay>, syncs: &[SyncRun]) -> Option<(Usd, Timestamp)> {
    let of_run = syncs.iter().find_map(|sync| Some((sync.balance?, sync.began_at)));
    let of_day = newest.map(|day| (day.bought - day.spent, day.as_of));
    of_run.into_iter().chain(of_day).max_by_key(|(_, at)| *at)
}

impl SpentSums {
    fn of(account: Option<&Account>, sum: impl Fn(&Days) -> Sum) -> SpentSums {
        let nothing = Sum { spent: Usd::ZERO, known: Accuracy::Partly };
        let [ours, foreign] = match account {
            Some(account) => [sum(&account.ours.credits), sum(&account.foreign.credits)],
            // No sync has summed the keys up, even if one has listed them.
            None => [nothing; 2],
        };
        let all = Sum { spent: ours.spent + foreign.spent, known: ours.known.max(foreign.known) };
        SpentSums { all: Figure::of(all), ours: Figure::of(ours), foreign: Figure::of(foreign) }
    }
}

impl HeldKeyLine {
    fn of(held: &HeldKey) -> HeldKeyLine {
        let why = match held.act {
            HeldAct::Recovery => "which works and which a recovery would end",
            HeldAct::Stop => "which a student was shown, and which is missing or disabled at the provider",
            HeldAct::Sweep => "which nobody was shown",
        };
        HeldKeyLine { name: held.name.clone(), hash: held.key.to_string(), why }
    }
}

impl HeldBackNotice {
    async fn of(site: &Site, held: &HeldBack) -> Result<HeldBackNotice, AppError> {
        let released_by = match &held.released_by {
            Some(person) => Some(show::person(&site.table, person).await?),
            None => None,
        };
        Ok(HeldBackNotice {
            shown: held.at.to_string(),
            at: utc(held.at),
            words: held.words(),
            bound: held.bound,
            count: held.count(),
            stops: held.stops > 0,
            keys: held.keys.iter().map(HeldKeyLine::of).collect(),
            released_by,
        })
    }
}
