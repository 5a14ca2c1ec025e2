//! The digest of a week: what a programme's people, and the admins, are told of the money and of who needs a look. It names grants,
//! groups and models and never a person; who is meant is looked up when it is sent. Its words are the mail function's matter.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::domain::usage::balance::BalanceNeed;
use crate::domain::usage::days::{Accuracy, Days, Sum};
use crate::domain::usage::forecast::RunsOut;
use crate::domain::values::id::{GrantId, PersonId, ProgrammeId};
use crate::domain::values::key::KeyHash;
use crate::domain::values::money::Usd;

mod class;
mod due;
mod tables;

pub use class::Class;
pub use due::{DigestTrigger, Due, of_account, of_programme};
pub use tables::{MOST_LINES, groups, models};

/// What a programme's people are told of a week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    pub programme: ProgrammeId,
    /// Which calendar week it is the digest of, by its Monday: there is one of each.
    pub week: Date,
    #[serde(with = "millisecond::required")]
    pub found_at: Timestamp,
    /// The completed UTC days that it tells of, both included.
    pub days: (Date, Date),
    pub money: DigestMoney,
    pub groups: Vec<DigestLine>,
    pub models: Vec<ModelLine>,
    /// The stretches of days of which it is not known who used which model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models_unknown: Vec<(Date, Date)>,
    pub people: People,
    pub health: Health,
    /// Who is told; the store knows them, and how many of them have a mail owed.
    #[serde(default)]
    pub recipients: Vec<PersonId>,
    #[serde(default)]
    pub told: u32,
}

/// The money of a programme as it stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestMoney {
    pub pot: Usd,
    pub reserved: Usd,
    pub this_week: Sum,
    pub week_before: Sum,
    /// What was spent, day by day.
    pub spent: Days,
}

/// What some part of a programme spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestLine {
    pub of: LineSubject,
    pub this_week: Usd,
    pub week_before: Usd,
}

/// Whose line it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineSubject {
    Group(String),
    NoGroup,
    /// So many that are put together.
    Further(u32),
}

/// What was used of a model in the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelLine {
    /// Empty for models that are not told apart.
    pub model: String,
    /// What the programme counts.
    pub spent: Usd,
    /// Paid with provider keys of the users' own: in what was spent where the programme counts them, and beside it where not.
    #[serde(default, skip_serializing_if = "Usd::is_zero")]
    pub own_keys: Usd,
    /// None where only the money is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// What one cost on average, whoever paid it, rounded up to a hundredth of a cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_request: Option<Usd>,
}

/// Who needs a look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct People {
    /// On the roster and not gone; at the end of the term nobody is.
    pub students: u32,
    /// Of them, those who have had a key.
    pub claimed: u32,
    /// Of these, those who spent anything in the week.
    pub active: u32,
    /// Those who spent most in the week, though some may be gone.
    pub spenders: Vec<Spender>,
    /// Who used far more in the week than they and the class usually do: how many, and how much the first of them used.
    pub stand_out: u32,
    pub standing_out: Vec<(GrantId, Usd)>,
    /// What is usual.
    pub usual_week: Usd,
    /// With a key that they have never used.
    pub unused: PeopleSample,
    pub unclaimed: PeopleSample,
    /// Whom mail does not reach.
    #[serde(default)]
    pub unreached: PeopleSample,
    /// Who marked a mail as unwanted, and gets links alone.
    #[serde(default)]
    pub complained: PeopleSample,
    /// Who cannot use a key now, or used their cap up in a window of the week, and why.
    pub blocked: Vec<(Block, PeopleSample)>,
}

/// One of those who spent most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spender {
    pub grant: GrantId,
    pub this_week: Usd,
    /// What counts against the cap, in the window that the last day of the week lies in; with a cap for each day, on the fullest day.
    pub of_cap: Usd,
    pub cap: Usd,
}

/// Some people: how many, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeopleSample {
    pub count: u32,
    pub first: Vec<GrantId>,
}

/// Why somebody cannot use a key now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Block {
    UsedUp,
    Paused,
    /// Set aside for disuse.
    Unused,
    Leaked,
    TooOld,
    ReplacementFailed,
    GoneAtProvider,
    TermEnded,
}

/// How far all this can be relied on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// When the last complete sync began.
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// When the last listing of every key began.
    #[serde(with = "millisecond::optional", default, skip_serializing_if = "Option::is_none")]
    pub listed_at: Option<Timestamp>,
}

/// What admins are told of a week of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDigest {
    pub week: Date,
    #[serde(with = "millisecond::required")]
    pub found_at: Timestamp,
    pub days: (Date, Date),
    /// What was bought less what was spent; none before a sync has read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Usd>,
    pub reserved: Usd,
    /// What is reserved and not spent yet.
    pub to_come: Usd,
    /// What the balance must pay for soon.
    pub need: BalanceNeed,
    /// By all keys of the account, with its own money.
    pub this_week: Sum,
    pub week_before: Sum,
    /// Keys that nobody here made, seen for the first time in the week: how many, and those that used most.
    pub new_keys: u32,
    pub first_new_keys: Vec<UnownedKey>,
    /// The programmes that spent most, and how many there are besides.
    pub programmes: Vec<ProgrammeLine>,
    pub further: u32,
    /// So many keys the guard of the sync did not disable.
    pub held_back: u32,
    /// Of the whole account, and how much of it came about in the week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual: Option<Usd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual_grew: Option<Usd>,
    pub health: Health,
    #[serde(default)]
    pub recipients: Vec<PersonId>,
    #[serde(default)]
    pub told: u32,
}

/// A key that nobody here made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnownedKey {
    pub key: KeyHash,
    pub spent: Usd,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Usd>,
}

/// A programme in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgrammeLine {
    pub programme: ProgrammeId,
    pub this_week: Sum,
    pub spent: Usd,
    pub pot: Usd,
    /// None once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_out: Option<RunsOut>,
}

impl DigestMoney {
    /// Of a programme of which totals are on record or, where nobody has had a key yet, certainly nothing was spent.
    pub fn of(spent: Days, (pot, reserved): (Usd, Usd), weeks: [(Date, Date); 2], known: LastListing) -> DigestMoney {
        let [this_week, week_before] = weeks.map(|week| known.sum(&spent, week));
        DigestMoney { pot, reserved, this_week, week_before, spent }
    }
}

/// Until when somebody has looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastListing {
    /// Nobody has had a key, so nobody needs to look.
    NoNeed,
    Never,
    /// The day on which the last listing of every key began.
    On(Date),
}

impl LastListing {
    pub fn sum(self, days: &Days, (from, to): (Date, Date)) -> Sum {
        match self {
            LastListing::NoNeed => Sum { known: Accuracy::Exactly, ..days.between(from, to, Some(to)) },
            LastListing::Never => days.between(from, to, None),
            LastListing::On(day) => days.between(from, to, day.yesterday().ok()),
        }
    }
}
