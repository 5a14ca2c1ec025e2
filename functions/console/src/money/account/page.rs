//! The page of the account: its money against what is reserved, the residual, the last syncs, and
//! what the safety limit held back. Keys, mail, and the forms of each part are left to the files
//! beside this one.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use bursar_core::domain::credit::{CreditFacts, DAYS_TO_BUY, Purchase, WhyGone};
use bursar_core::domain::ledger::cut::AccountCut;
use bursar_core::domain::mail::alarm::Alarm;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::usage::days::{Accuracy, Days, Sum};
use bursar_core::domain::usage::models::ModelUse;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::usage::span::Span;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::KeyHash;
use bursar_core::domain::values::money::{Usd, round_to_cents};
use bursar_core::domain::values::window::{Reset, utc_date};
use bursar_core::store::{Account, BudgetSums, Erasure, Job, Run, SyncState, Table};
use bursar_core::web::{Answer, AppError, Result, Site, Visitor};
use jiff::ToSpan;
use jiff::civil::Date;
use serde::Deserialize;

use super::forms::{TypedAdmin, TypedChange, change_form};
use super::keys::{ForeignKeys, acts_in_words};
use super::mail::MailSection;
use super::release::AnotherAccount;
use super::syncs::{Day, SyncRun, keep_last_of_each_day, keep_newest_days};
use super::{forms, picture, syncs, warnings};
use crate::kit::access::{AdminAccess, Admins, PageFrame, Post};
use crate::kit::form::Form;
use crate::kit::job_line::JobLine;
use crate::kit::listing::Listing;
use crate::kit::show::utc;
use crate::kit::{paths, show};
use crate::money::owners::{KeysByOwner, OwnersInWords, TypedOwner};
use crate::money::spending::by_model::ModelCoverage;
use crate::money::spending::drawing::Drawing;
use crate::money::spending::spans::{Figure, SpanContext, SpanLink, SpanQuery};
use crate::money::spending::{by_model, spans};

const DAYS: i32 = 60;
const RUNS: i32 = 14;
const ALARMS: usize = 20;
const ALARM_DAYS: i32 = 30;
const ERASURES: i32 = 10;
/// The spans of an account, which has neither window nor term.
const SPANS: [Span; 4] = [Span::Day, Span::Week, Span::Month, Span::All];

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    frame: PageFrame<'a>,
    another: Option<AnotherAccount>,
    warnings: Vec<String>,
    state: SyncState,
    /// Who released it.
    released_by: Option<String>,
    today: Date,
    balance: Option<(Usd, String)>,
    promised: BudgetSums,
    purchase: Option<Purchase>,
    picture: Option<Drawing>,
    phrase: &'static str,
    spans: Vec<SpanLink>,
    /// What all keys spent, those of grants, and foreign ones.
    spent: [Figure; 3],
    /// Whether a sync has summed up all keys.
    is_summed: bool,
    notes: Vec<String>,
    newest: Option<AccountCut>,
    days: Vec<Day>,
    programmes: &'a [Programme],
    keys: ForeignKeys,
    owners: OwnersInWords,
    owned: ForeignKeys,
    /// What is no programme's, by model.
    models: Vec<ModelUse>,
    coverage: ModelCoverage,
    syncs: Listing<SyncRun>,
    jobs: Vec<JobLine>,
    /// The newest.
    erasures: Vec<Erasure>,
    mail: MailSection,
    table: &'a Table,
    admins: Vec<EmailAddress>,
    admin_form: Form<TypedAdmin>,
}

/// The texts of a form that was refused, kept for another try.
#[derive(Default)]
pub(crate) struct RefusedForms {
    pub(crate) owner: Option<Form<TypedOwner>>,
    pub(crate) key: Option<(KeyHash, Form<TypedChange>)>,
    pub(crate) admin: Option<Form<TypedAdmin>>,
}

/// The key that a search leads to, which stands first with its form.
#[derive(Deserialize)]
pub(crate) struct SoughtKey {
    key: Option<KeyHash>,
}

pub(crate) async fn page(
    site: Site,
    AdminAccess { visitor }: AdminAccess,
    Query(span_query): Query<SpanQuery>,
    Query(found_key): Query<SoughtKey>,
) -> Answer {
    let key = found_key.key.map(|key| (key.clone(), change_form(&key)));
    show(
        &site,
        &visitor,
        &span_query,
        RefusedForms {
            key,
            ..RefusedForms::default()
        },
    )
    .await
}

/// The refusal of a form of the page.
pub(crate) async fn refuse(post: &Post<Admins>, refused: RefusedForms) -> AppError {
    let page = show(
        &post.site,
        &post.access.visitor,
        &SpanQuery::default(),
        refused,
    )
    .await;
    AppError::page(StatusCode::UNPROCESSABLE_ENTITY, page)
}

/// The page, with the texts of a form that was refused.
async fn show(
    site: &Site,
    visitor: &Visitor,
    span_query: &SpanQuery,
    mut refused: RefusedForms,
) -> Answer {
    let now = site.clock.now();
    let table = &site.table;
    let first_day = utc_date(now).saturating_sub(ALARM_DAYS.days());
    let first_drawn = utc_date(now).saturating_sub(picture::DRAWN.days());
    let (state, account, cuts, foreign, runs, alarms, programmes, admins) = tokio::try_join!(
        table.sync_state(),
        table.get(Account::key_of()),
        table.cuts_since(first_drawn),
        table.foreign_keys(),
        table.newest(Run::all(), RUNS),
        table.list_known(Alarm::between(first_day, utc_date(now))),
        table.list(Programme::all()),
        table.admins(),
    )?;
    let days = keep_last_of_each_day(cuts);
    let alarms: Vec<Alarm> = alarms.into_iter().rev().take(ALARMS).collect();
    let promised = table.budget_sums(&programmes, now).await?;
    let mail = MailSection::read(site, &programmes, &admins).await?;
    let released_by = match state
        .held_back
        .as_ref()
        .and_then(|held| held.release.as_ref())
    {
        Some(release) => Some(show::person(table, &release.actor).await?),
        None => None,
    };
    let syncs: Vec<SyncRun> = runs.into_iter().map(SyncRun::new).collect();
    let credit = table.credit_facts(&programmes, &promised, now).await?;
    let purchase = credit.as_ref().map(CreditFacts::purchase);
    let balance = credit.map(|credit| (credit.balance, credit.read_at));
    let balance_read_at = balance.map(|(_, read_at)| read_at);

    let span = span_query
        .span()
        .filter(|span| SPANS.contains(span))
        .unwrap_or(Span::All);
    let context = SpanContext {
        reset: Reset::None,
        term: None,
        read_at: state.listed_at,
        now,
    };
    let spent = sum_spent(account.as_ref(), |days| context.sum(days, span));
    let acts = acts_in_words(table).await?;
    let KeysByOwner {
        section: owners,
        owned,
        nobodys,
    } = KeysByOwner::read(site, &programmes, foreign, refused.owner).await?;
    let mut used_by_nobodys = DailyUse::default();
    nobodys
        .iter()
        .for_each(|key| used_by_nobodys.add(&key.used));
    let mut keys_of = |keys| {
        ForeignKeys::new(
            keys,
            &acts,
            &mut refused.key,
            state.listed_at,
            span,
            context,
        )
    };
    let keys = keys_of(nobodys);
    let owned = keys_of(owned).with_owners(&owners.words);
    let coverage = ModelCoverage::of_account(
        &state,
        span,
        span.range(Reset::None, None, state.listed_at, now),
        utc_date(now),
    );
    let unowned = table.foreign_models(coverage.days).await?.unowned;
    let page = AccountPage {
        frame: PageFrame::new(site, visitor),
        another: AnotherAccount::find(site, &alarms, &state).await?,
        warnings: warnings::compose(&state, &syncs, &alarms, balance_read_at, admins.len(), now),
        today: utc_date(now),
        picture: balance
            .zip(purchase)
            .and_then(|(balance, purchase)| picture::draw(&days, balance, &purchase)),
        purchase,
        released_by,
        balance: balance.map(|(balance, read_at)| (balance, utc(read_at))),
        promised,
        phrase: spans::phrase(span, Reset::None),
        spans: spans::choices(paths::ACCOUNT, &[], &SPANS, Reset::None, |choice| {
            choice == span
        }),
        notes: spans::notes(spent.iter().chain(keys.figures()).chain(owned.figures())),
        spent,
        is_summed: account.is_some(),
        newest: days.first().cloned(),
        days: keep_newest_days(&days, DAYS.unsigned_abs() as usize),
        programmes: &programmes,
        keys,
        owners,
        owned,
        models: by_model::add_unattributed(unowned, &used_by_nobodys, &coverage),
        coverage,
        syncs: syncs::listing(syncs),
        jobs: list_running_jobs(site, &programmes).await?,
        erasures: table.newest(Erasure::all(), ERASURES).await?,
        mail,
        table,
        admins,
        admin_form: refused.admin.unwrap_or_else(forms::blank),
        state,
    };
    Ok(site.page(&page))
}

async fn list_running_jobs(site: &Site, programmes: &[Programme]) -> Result<Vec<JobLine>> {
    let mut lines = Vec::new();
    for id in site.table.programmes_with_jobs().await? {
        let jobs: Vec<Job> = site
            .table
            .jobs(&id)
            .await?
            .into_iter()
            .filter(Job::is_running)
            .collect();
        if let Some(programme) = programmes.iter().find(|programme| programme.id == id) {
            lines.extend(JobLine::of_programme(site, programme, &jobs).await);
        }
    }
    Ok(lines)
}

/// What all keys spent, those of grants, and foreign ones.
fn sum_spent(account: Option<&Account>, sum: impl Fn(&Days) -> Sum) -> [Figure; 3] {
    let nothing = Sum {
        spent: Usd::ZERO,
        accuracy: Accuracy::Partly,
    };
    let [ours, foreign] = match account {
        Some(account) => [sum(&account.ours.credits), sum(&account.foreign.credits)],
        // No sync has summed the keys up, even if one has listed them.
        None => [nothing; 2],
    };
    let total = Sum {
        spent: ours.spent + foreign.spent,
        accuracy: ours.accuracy.max(foreign.accuracy),
    };
    let cents = round_to_cents([ours.spent, foreign.spent]);
    [
        Figure::from_sum(total),
        Figure::in_cents(ours, cents[0]),
        Figure::in_cents(foreign, cents[1]),
    ]
}
