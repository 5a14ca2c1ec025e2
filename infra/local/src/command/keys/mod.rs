//! The command `bursar keys`: every key of an account, for an operator or a program. It only reads.

mod assess;
mod owners;
mod text;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bursar_core::aws::AwsAccess;
use bursar_core::clock::Clock;
use bursar_core::deadline::Deadline;
use bursar_core::domain::values::key_name::matches;
use bursar_core::domain::values::money::Usd;
use bursar_core::provider::Provider;
use bursar_core::provider::key::ProviderKey;
use bursar_core::secrets::ManagementKey;
use bursar_core::store::Table;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use self::assess::Assessment;
use self::owners::Owners;
use crate::base::state_file::StateFile;
use crate::command::stack::{READY, Ready};

/// The options of a listing.
pub struct KeysOptions {
    pub account: Account,
    /// The pattern of names to list; `*` stands for any text.
    pub pattern: Option<String>,
    pub json: bool,
    /// Whether the account is assessed as well.
    pub assess: bool,
}

/// The account whose keys are listed.
pub struct Account {
    /// The base URL, as in `OPENROUTER_BASE_URL`.
    pub base: String,
    pub management_key: String,
    /// The provider's clock: the running demonstration's can be moved.
    pub clock: Clock,
    /// The table of the deployment whose keys they are, if it is known.
    pub table: Option<Table>,
}

/// The listed keys, newest first in each workspace. Amounts are texts with six decimals.
#[derive(Debug, Serialize)]
struct Listing {
    keys: Vec<Row>,
    totals: Totals,
    #[serde(skip_serializing_if = "Option::is_none")]
    assess: Option<Assessment>,
}

/// A key with what the sums need of it.
struct Listed {
    row: Row,
    usage: Usd,
    unused: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    hash: String,
    name: String,
    state: State,
    workspace: Option<String>,
    usage_usd: Option<String>,
    usage_daily_usd: Option<String>,
    usage_weekly_usd: Option<String>,
    usage_monthly_usd: Option<String>,
    limit_usd: Option<String>,
    last_used_at: Option<Timestamp>,
    created_at: Option<Timestamp>,
    /// The programme that has the key; without a table nothing is known of owners.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Option<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Enabled,
    Disabled,
    Expired,
}

#[derive(Debug, Default, Serialize)]
struct Totals {
    keys: usize,
    usage_usd: String,
    balance_usd: String,
    without_limit: usize,
    unused_30_days: usize,
}

/// The time-out, since a listing of the largest accounts takes minutes.
const PATIENCE: Duration = Duration::from_secs(900);
const UNUSED: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Lists the keys to `out`.
pub async fn run(options: KeysOptions, out: &mut impl Write) -> Result<()> {
    let Account { base, management_key, clock, table } = options.account;
    let provider = Provider::with_key(&base, ManagementKey::parse(&management_key)?);
    let deadline = Deadline::after(PATIENCE);
    let check = provider.check_management_key(deadline).await;
    check.with_context(|| format!("the provider at {base} cannot be used"))?;
    let now = clock.now();
    let wanted = |name: &str| options.pattern.as_deref().is_none_or(|pattern| matches(pattern, name));
    let balance = provider.credits(deadline).await?.balance();
    let mut listed = list(&provider, wanted, &clock, now, deadline).await?;
    if let Some(table) = table {
        let owners = Owners::read(&table).await?;
        listed.iter_mut().for_each(|Listed { row, .. }| row.owner = Some(owners.of(&row.hash, &row.name)));
    }
    let assess = if options.assess { Some(assessment(&provider, &listed, wanted, now, deadline).await) } else { None };
    let totals = Totals::of(&listed, balance);
    let listing = Listing { keys: listed.into_iter().map(|key| key.row).collect(), totals, assess };
    let listing = if options.json { serde_json::to_string_pretty(&listing)? } else { text::table(&listing, now) };
    writeln!(out, "{}", listing.trim_end())?;
    Ok(())
}

/// The account of the bundle that runs in this folder.
pub async fn of_running_demonstration(data: &Path) -> Result<Account> {
    let state = data.join("stand-ins/state.db");
    let nothing_runs =
        || format!("no bursar runs in {}: start it with `cargo run`, or name a provider", data.display());
    if !state.is_file() {
        bail!(nothing_runs());
    }
    let ready = StateFile::open(&state)?.get::<Ready>(READY.0, READY.1)?.with_context(nothing_runs)?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let secret = client
        .post(&ready.secretsmanager)
        .header("x-amz-target", "secretsmanager.GetSecretValue")
        .header("content-type", "application/x-amz-json-1.1")
        .body(serde_json::json!({"SecretId": ready.secret}).to_string());
    let secret = secret.send().await.with_context(nothing_runs)?;
    ensure!(
        secret.status().is_success(),
        "the bursar in {} uses a real account, whose key it hands to nobody: name it with --provider and --management-key-file",
        data.display()
    );
    let secret: serde_json::Value = serde_json::from_slice(&secret.bytes().await?)?;
    let key = secret["SecretString"].as_str().with_context(nothing_runs)?;
    let told = answer(client.get(format!("{}/clock", ready.inbox))).await.with_context(nothing_runs)?;
    let now: Timestamp = told["now"].as_str().and_then(|now| now.parse().ok()).with_context(nothing_runs)?;
    let ahead = now.duration_since(Timestamp::now());
    let clock = Clock::reading(move || Timestamp::now().checked_add(ahead).unwrap_or(now));
    let http = aws_smithy_http_client::Builder::new().build_http();
    let table = Table::named(&ready.table, &AwsAccess::of_service(&ready.dynamodb, &ready.region, http));
    Ok(Account { base: ready.provider, management_key: key.to_owned(), clock, table: Some(table) })
}

async fn answer(request: reqwest::RequestBuilder) -> Result<serde_json::Value> {
    let answer = request.send().await?.error_for_status()?;
    Ok(serde_json::from_slice(&answer.bytes().await?)?)
}

async fn list(
    provider: &Provider,
    wanted: impl Fn(&str) -> bool,
    clock: &Clock,
    now: Timestamp,
    deadline: Deadline,
) -> Result<Vec<Listed>> {
    let (mut inventory, mut listed) = (provider.inventory(clock), Vec::new());
    while let Some(page) = inventory.next(deadline).await? {
        for row in page.unreadable {
            let which = row.hash.map_or("of no hash".to_owned(), |hash| hash.to_string());
            eprintln!("bursar: the key {which} is left out, since it cannot be read: {}", row.why);
        }
        for key in page.keys.into_iter().filter(|key| wanted(&key.name)) {
            let used_or_made = key.last_used_at.or(key.created_at);
            let unused = used_or_made.is_some_and(|at| now.duration_since(at) >= UNUSED);
            listed.push(Listed { usage: key.usage.unwrap_or_default(), unused, row: row(key, now) });
        }
    }
    Ok(listed)
}

/// The assessment, without recent use where the provider does not report it whole.
async fn assessment(
    provider: &Provider,
    listed: &[Listed],
    wanted: impl Fn(&str) -> bool,
    now: Timestamp,
    deadline: Deadline,
) -> Assessment {
    let recent = assess::last_30_days(provider, wanted, now, deadline).await;
    if let Err(error) = &recent {
        eprintln!("bursar: what was used in the last 30 days is not known: {error:#}");
    }
    Assessment::of(listed, recent.ok())
}

impl Totals {
    fn of(listed: &[Listed], balance: Usd) -> Totals {
        Totals {
            keys: listed.len(),
            usage_usd: listed.iter().map(|key| key.usage).sum::<Usd>().to_string(),
            balance_usd: balance.to_string(),
            without_limit: listed.iter().filter(|key| key.row.limit_usd.is_none()).count(),
            unused_30_days: listed.iter().filter(|key| key.unused).count(),
        }
    }
}

fn row(key: ProviderKey, now: Timestamp) -> Row {
    let state = match (key.disabled, key.has_expired(now)) {
        (true, _) => State::Disabled,
        (false, true) => State::Expired,
        (false, false) => State::Enabled,
    };
    let text = |amount: Option<Usd>| amount.map(|amount| amount.to_string());
    Row {
        hash: key.hash.to_string(),
        name: key.name,
        state,
        workspace: key.workspace_id,
        usage_usd: text(key.usage),
        usage_daily_usd: text(key.usage_daily),
        usage_weekly_usd: text(key.usage_weekly),
        usage_monthly_usd: text(key.usage_monthly),
        limit_usd: text(key.limit),
        last_used_at: key.last_used_at,
        created_at: key.created_at,
        owner: None,
    }
}

#[cfg(test)]
mod tests;
