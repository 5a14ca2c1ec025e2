//! The command `bursar keys`: every key of an account, for an operator or a program. It only reads.

mod text;

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bursar_core::aws::AwsAccess;
use bursar_core::clock::{Clock, Moment};
use bursar_core::deadline::Deadline;
use bursar_core::domain::values::id::KeyName;
use bursar_core::domain::values::key::{name_matches, name_prefix};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::provider::Provider;
use bursar_core::provider::analytics::ModelUsage;
use bursar_core::provider::key::ProviderKey;
use bursar_core::secrets::ManagementKey;
use bursar_core::store::Table;
use bursar_core::tls;
use clap::Args;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::base::state_file::StateFile;
use crate::command::stack::{READY, Ready};

#[derive(Args)]
pub struct Show {
    /// Only keys with such a name; * stands for any text
    #[arg(long = "match", value_name = "PATTERN")]
    pub pattern: Option<String>,
    /// JSON instead of a table
    #[arg(long)]
    pub json: bool,
    /// Also sum up what is there: keys without limit, unused ones, sums by name, and what a term
    /// would cost
    #[arg(long)]
    pub assess: bool,
}

pub struct Account {
    pub base: String,
    pub management_key: String,
    /// The provider's clock: the running demonstration's can be moved.
    pub clock: Clock,
    /// The table of the deployment whose keys they are, if it is known.
    pub table: Option<Table>,
}

/// The listed keys, newest first in each workspace.
struct Listing {
    keys: Vec<Listed>,
    balance: Usd,
    is_assessed: bool,
    /// What they used on the last thirty UTC days that are over, where the provider reports it.
    last_30_days: Option<Usd>,
}

struct Listed {
    key: ProviderKey,
    state: &'static str,
    is_unused: bool,
    /// The programme that has the key; without a table nothing is known of owners.
    owner: Option<Option<String>>,
}

/// The time-out, since a listing of the largest accounts takes minutes.
const PATIENCE: Duration = Duration::from_secs(900);
const DAYS: i64 = 30;
const MONTHS_OF_A_TERM: u32 = 4;

pub async fn run(account: Account, show: &Show, out: &mut impl Write) -> Result<()> {
    let Account {
        base,
        management_key,
        clock,
        table,
    } = account;
    let provider = Provider::with_key(&base, ManagementKey::parse(&management_key)?);
    let deadline = Deadline::after(PATIENCE);
    let now = clock.now();
    let check = provider.check_management_key(deadline).await;
    check.with_context(|| format!("the provider at {base} cannot be used"))?;
    let is_shown = |name: &str| {
        show.pattern
            .as_deref()
            .is_none_or(|pattern| name_matches(pattern, name))
    };
    let balance = provider.credits(deadline).await?.balance();

    let mut inventory = provider.inventory();
    let mut keys = Vec::new();
    while let Some(page) = inventory.next(deadline).await? {
        for row in page.unreadable {
            let which = row
                .hash
                .map_or("of no hash".to_owned(), |hash| hash.to_string());
            eprintln!(
                "bursar: the key {which} is left out, since it cannot be read: {}",
                row.why
            );
        }
        keys.extend(
            page.keys
                .into_iter()
                .filter(|key| is_shown(&key.name))
                .map(|key| Listed::new(key, now)),
        );
    }
    if let Some(table) = table {
        tell_owners(&table, &mut keys).await?;
    }
    let mut listing = Listing {
        keys,
        balance,
        is_assessed: show.assess,
        last_30_days: None,
    };
    if show.assess {
        match last_30_days(&provider, is_shown, now, deadline).await {
            Ok(used) => listing.last_30_days = Some(used),
            Err(error) => {
                eprintln!("bursar: what was used in the last 30 days is not known: {error:#}");
            }
        }
    }
    let output = if show.json {
        serde_json::to_string_pretty(&listing.json())?
    } else {
        listing.table(now)
    };
    writeln!(out, "{}", output.trim_end())?;
    Ok(())
}

/// The account of the bundle that runs in this folder.
pub async fn of_running_demonstration(folder: &Path) -> Result<Account> {
    let state = folder.join("stand-ins/state.db");
    let shown = folder.display();
    let nothing_runs =
        || format!("no bursar runs in {shown}: start it with `cargo run`, or name a provider");
    ensure!(state.is_file(), nothing_runs());
    let ready = StateFile::open(&state)?
        .get::<Ready>(READY.0, READY.1)?
        .with_context(nothing_runs)?;
    let client = tls::loopback().build()?;
    let secret = client
        .post(&ready.secretsmanager)
        .header("x-amz-target", "secretsmanager.GetSecretValue")
        .header("content-type", "application/x-amz-json-1.1")
        .body(json!({"SecretId": ready.secret}).to_string());
    let secret = secret.send().await.with_context(nothing_runs)?;
    ensure!(
        secret.status().is_success(),
        "the bursar in {shown} uses a real account, whose key it hands to nobody: name it with --provider and --management-key-file"
    );
    let secret: Value = secret.json().await?;
    let management_key = secret["SecretString"]
        .as_str()
        .with_context(nothing_runs)?
        .to_owned();
    let answer: Value = client
        .get(format!("{}/clock", ready.inbox))
        .send()
        .await?
        .json()
        .await?;
    let now: Timestamp = serde_json::from_value(answer["now"].clone())?;
    let ahead = now.duration_since(Timestamp::now());
    let clock = Clock::reading(move || Moment::now() + ahead);
    let http = aws_smithy_http_client::Builder::new().build_http();
    let table = Table::named(
        &ready.table,
        &AwsAccess::new_for_service(&ready.dynamodb, &ready.region, http),
    );
    Ok(Account {
        base: ready.provider,
        management_key,
        clock,
        table: Some(table),
    })
}

/// Adds whose each key is: the programme that an admin gave it to, or that of the grant that Bursar
/// made it for.
async fn tell_owners(table: &Table, keys: &mut [Listed]) -> Result<()> {
    let unreadable = || {
        format!(
            "the table {} cannot be read: are the AWS credentials of its account set?",
            table.name()
        )
    };
    let meta = table.find_meta().await.with_context(unreadable)?;
    if let Some(meta) = meta.as_ref().filter(|meta| table.is_copy(meta)) {
        bail!(
            "the table {} is a copy of {}, so its owners may be old: name that one",
            table.name(),
            meta.table
        );
    }
    let deployment = meta.map(|meta| meta.deployment);
    let assigned = table.owners_now().await.with_context(unreadable)?;
    let assigned: HashMap<_, _> = assigned
        .into_values()
        .map(|owner| (owner.key, owner.owner.to_string()))
        .collect();
    for Listed { key, owner, .. } in keys {
        let ours = key
            .name
            .parse::<KeyName>()
            .ok()
            .filter(|name| Some(&name.deployment) == deployment.as_ref());
        *owner = Some(
            assigned
                .get(&key.hash)
                .cloned()
                .or_else(|| ours.map(|name| name.programme.to_string())),
        );
    }
    Ok(())
}

/// What the keys of such names used on the last thirty UTC days that are over. The days are asked
/// for one by one, since an answer has a largest number of rows.
async fn last_30_days(
    provider: &Provider,
    is_shown: impl Fn(&str) -> bool,
    now: Moment,
    deadline: Deadline,
) -> Result<Usd> {
    let mut sum = Usd::ZERO;
    for ago in 1..=DAYS {
        let day = utc_date(now).checked_sub(ago.days())?;
        let ModelUsage {
            rows,
            unreadable,
            truncated,
            ..
        } = provider.model_usage(day..=day, deadline).await?;
        ensure!(!truncated, "the provider left out rows of {day}");
        ensure!(unreadable == 0, "{unreadable} rows of {day} cannot be read");
        sum += rows
            .iter()
            .filter(|row| is_shown(&row.key_name))
            .map(|row| row.used.spent)
            .sum();
    }
    Ok(sum)
}

impl Listing {
    fn json(&self) -> Value {
        let row = |Listed {
                       key, state, owner, ..
                   }: &Listed| {
            let mut row = json!({
                "hash": key.hash.to_string(),
                "name": key.name,
                "state": state,
                "workspace": key.workspace_id,
                "usage_usd": decimals(key.usage),
                "usage_daily_usd": decimals(key.usage_daily),
                "usage_weekly_usd": decimals(key.usage_weekly),
                "usage_monthly_usd": decimals(key.usage_monthly),
                "limit_usd": decimals(key.limit),
                "last_used_at": key.last_used_at.as_deref(),
                "created_at": key.created_at.as_deref(),
            });
            if let Some(owner) = owner {
                row["owner"] = json!(owner);
            }
            row
        };
        let without_limit = self.without_limit().len();
        let unused = self.unused().len();
        let mut report = json!({
            "keys": self.keys.iter().map(row).collect::<Vec<_>>(),
            "totals": {
                "keys": self.keys.len(),
                "usage_usd": decimals(Some(self.usage())),
                "balance_usd": decimals(Some(self.balance)),
                "without_limit": without_limit,
                "unused_30_days": unused,
            },
        });
        if self.is_assessed {
            let prefix = |(prefix, keys, usage)| json!({"prefix": prefix, "keys": keys, "usage_usd": decimals(Some(usage))});
            report["assess"] = json!({
                "without_limit": without_limit,
                "unused_30_days": unused,
                "prefixes": self.prefixes().into_iter().map(prefix).collect::<Vec<_>>(),
                "last_30_days_usd": decimals(self.last_30_days),
                "term_usd": decimals(self.term()),
            });
        }
        report
    }

    fn usage(&self) -> Usd {
        self.keys.iter().filter_map(|listed| listed.key.usage).sum()
    }

    /// The cost of a term at the pace of the last thirty days.
    fn term(&self) -> Option<Usd> {
        self.last_30_days.map(|used| used.times(MONTHS_OF_A_TERM))
    }

    fn without_limit(&self) -> Vec<&str> {
        self.keys
            .iter()
            .filter(|listed| listed.key.limit.is_none())
            .map(|listed| listed.key.name.as_str())
            .collect()
    }

    /// The names of the keys that nobody used for thirty days.
    fn unused(&self) -> Vec<&str> {
        self.keys
            .iter()
            .filter(|listed| listed.is_unused)
            .map(|listed| listed.key.name.as_str())
            .collect()
    }

    /// The number and use of the keys whose names begin alike, the most used first; names of one
    /// part have no beginning.
    fn prefixes(&self) -> Vec<(&str, usize, Usd)> {
        let mut sums: BTreeMap<&str, (usize, Usd)> = BTreeMap::new();
        for Listed { key, .. } in &self.keys {
            let (keys, usage) = sums.entry(name_prefix(&key.name)).or_default();
            *keys += 1;
            *usage += key.usage.unwrap_or_default();
        }
        let mut sums: Vec<_> = sums
            .into_iter()
            .map(|(prefix, (keys, usage))| (prefix, keys, usage))
            .collect();
        sums.sort_by_key(|(_, _, usage)| std::cmp::Reverse(*usage));
        sums
    }
}

impl Listed {
    fn new(key: ProviderKey, now: Moment) -> Listed {
        let state = match (key.disabled, key.has_expired(now)) {
            (true, _) => "disabled",
            (false, true) => "expired",
            (false, false) => "enabled",
        };
        let used_or_made = key.last_used_at.or(key.created_at);
        let is_unused = used_or_made.is_some_and(|moment| {
            now.duration_since(moment) >= SignedDuration::from_hours(24 * DAYS)
        });
        Listed {
            key,
            state,
            is_unused,
            owner: None,
        }
    }
}

/// A text with six decimals.
fn decimals(amount: Option<Usd>) -> Option<String> {
    amount.map(|amount| amount.to_string())
}

#[cfg(test)]
mod tests;
