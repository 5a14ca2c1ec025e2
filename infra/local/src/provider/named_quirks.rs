//! The ways in which the provider may be worse, by name: drawn from a test's dice, printed, and read back to be played again.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;

use super::quirks::{Cents, Differ, Quirks};
use super::rate::Rate;
use crate::gate::Dice;

/// A quirk in a position other than its default. The text form is in backticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedQuirk {
    /// `cents-down`, `cents-up`
    LimitCents(Cents),
    /// `key-lags-900s`
    KeyLags(u32),
    /// `listing-lags-900s`
    ListingLags(u32),
    /// `credits-lag-900s`
    CreditsLag(u32),
    /// `listed-micro`, `listed-tail`
    Listed(Differ),
    /// `found-after-5s`
    FoundAfter(u32),
    /// `rate-10-burst-20`, `rate-10-burst-20-untold`
    Rate(Rate),
    /// `no-workspaces`: nothing can be complete then, so it is not drawn.
    NoWorkspaces,
    /// `no-keys`: not drawn either.
    NoKeys,
}

/// Some of them at once: `cents-down key-lags-900s`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedQuirks(pub Vec<NamedQuirk>);

/// The longest that counters lag behind.
const SETTLING_S: usize = 900;

impl NamedQuirks {
    /// Each of the seven kinds that a sync can live with, or not, and how bad it is: the same for the same dice.
    pub fn draw(dice: &mut Dice) -> NamedQuirks {
        let mut drawn = Vec::new();
        for kind in 0..7 {
            let is_so = dice.below(3) == 0;
            let seconds = |dice: &mut Dice, most| u32::try_from(1 + dice.below(most)).unwrap_or(1);
            let either = dice.below(2) == 0;
            let quirk = match kind {
                0 => NamedQuirk::LimitCents(if either { Cents::Down } else { Cents::Up }),
                1 => NamedQuirk::KeyLags(seconds(dice, SETTLING_S)),
                2 => NamedQuirk::ListingLags(seconds(dice, SETTLING_S)),
                3 => NamedQuirk::CreditsLag(seconds(dice, SETTLING_S)),
                4 => NamedQuirk::Listed(if either { Differ::Micro } else { Differ::Tail }),
                5 => NamedQuirk::FoundAfter(seconds(dice, 10)),
                _ => {
                    let per_second = seconds(dice, 50);
                    NamedQuirk::Rate(Rate { per_second, burst: 2 * per_second, retry_after: either })
                }
            };
            drawn.extend(is_so.then_some(quirk));
        }
        NamedQuirks(drawn)
    }

    pub fn set(&self, quirks: &mut Quirks) {
        for quirk in &self.0 {
            quirk.set(quirks);
        }
    }
}

impl NamedQuirk {
    fn set(self, quirks: &mut Quirks) {
        let seconds = |seconds: u32| SignedDuration::from_secs(seconds.into());
        match self {
            NamedQuirk::LimitCents(cents) => quirks.limit_cents = Some(cents),
            NamedQuirk::KeyLags(lag) => quirks.lag.key = seconds(lag),
            NamedQuirk::ListingLags(lag) => quirks.lag.listing = seconds(lag),
            NamedQuirk::CreditsLag(lag) => quirks.lag.credits = seconds(lag),
            NamedQuirk::Listed(differ) => quirks.listed_counters = Some(differ),
            NamedQuirk::FoundAfter(age) => quirks.found_after = seconds(age),
            NamedQuirk::Rate(rate) => quirks.rate = Some(rate),
            NamedQuirk::NoWorkspaces => quirks.workspaces_listed = false,
            NamedQuirk::NoKeys => quirks.keys_listed = false,
        }
    }
}

impl fmt::Display for NamedQuirk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NamedQuirk::LimitCents(Cents::Down) => write!(f, "cents-down"),
            NamedQuirk::LimitCents(Cents::Up) => write!(f, "cents-up"),
            NamedQuirk::KeyLags(seconds) => write!(f, "key-lags-{seconds}s"),
            NamedQuirk::ListingLags(seconds) => write!(f, "listing-lags-{seconds}s"),
            NamedQuirk::CreditsLag(seconds) => write!(f, "credits-lag-{seconds}s"),
            NamedQuirk::Listed(Differ::Micro) => write!(f, "listed-micro"),
            NamedQuirk::Listed(Differ::Tail) => write!(f, "listed-tail"),
            NamedQuirk::FoundAfter(seconds) => write!(f, "found-after-{seconds}s"),
            NamedQuirk::Rate(Rate { per_second, burst, retry_after }) => {
                write!(f, "rate-{per_second}-burst-{burst}{}", if *retry_after { "" } else { "-untold" })
            }
            NamedQuirk::NoWorkspaces => write!(f, "no-workspaces"),
            NamedQuirk::NoKeys => write!(f, "no-keys"),
        }
    }
}

impl FromStr for NamedQuirk {
    type Err = String;

    fn from_str(text: &str) -> Result<NamedQuirk, String> {
        let plain = match text {
            "cents-down" => Some(NamedQuirk::LimitCents(Cents::Down)),
            "cents-up" => Some(NamedQuirk::LimitCents(Cents::Up)),
            "listed-micro" => Some(NamedQuirk::Listed(Differ::Micro)),
            "listed-tail" => Some(NamedQuirk::Listed(Differ::Tail)),
            "no-workspaces" => Some(NamedQuirk::NoWorkspaces),
            "no-keys" => Some(NamedQuirk::NoKeys),
            _ => None,
        };
        plain.or_else(|| with_number(text)).ok_or_else(|| format!("`{text}` is no quirk"))
    }
}

fn with_number(text: &str) -> Option<NamedQuirk> {
    if let Some(rate) = text.strip_prefix("rate-") {
        let (rate, retry_after) = rate.strip_suffix("-untold").map_or((rate, true), |rate| (rate, false));
        let (per_second, burst) = rate.split_once("-burst-")?;
        let (per_second, burst) = (per_second.parse().ok()?, burst.parse().ok()?);
        return Some(NamedQuirk::Rate(Rate { per_second, burst, retry_after }));
    }
    let (name, seconds) = text.strip_suffix('s')?.rsplit_once('-')?;
    let seconds = seconds.parse().ok()?;
    match name {
        "key-lags" => Some(NamedQuirk::KeyLags(seconds)),
        "listing-lags" => Some(NamedQuirk::ListingLags(seconds)),
        "credits-lag" => Some(NamedQuirk::CreditsLag(seconds)),
        "found-after" => Some(NamedQuirk::FoundAfter(seconds)),
        _ => None,
    }
}

impl fmt::Display for NamedQuirks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(" "))
    }
}

impl FromStr for NamedQuirks {
    type Err = String;

    fn from_str(text: &str) -> Result<NamedQuirks, String> {
        text.split_whitespace().map(str::parse).collect::<Result<_, _>>().map(NamedQuirks)
    }
}
