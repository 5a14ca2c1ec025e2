//! The names of the five functions.

use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FunctionName {
    Claim,
    Console,
    UsageSync,
    ThresholdAlerts,
    Mail,
}

impl FunctionName {
    pub const ALL: [FunctionName; 5] = [
        FunctionName::Claim,
        FunctionName::Console,
        FunctionName::UsageSync,
        FunctionName::ThresholdAlerts,
        FunctionName::Mail,
    ];

    /// The name of its folder, binary and crate.
    pub fn as_str(self) -> &'static str {
        match self {
            FunctionName::Claim => "claim",
            FunctionName::Console => "console",
            FunctionName::UsageSync => "usage-sync",
            FunctionName::ThresholdAlerts => "threshold-alerts",
            FunctionName::Mail => "mail",
        }
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FunctionName {
    type Err = ();

    fn from_str(text: &str) -> Result<FunctionName, ()> {
        FunctionName::ALL
            .into_iter()
            .find(|function| function.as_str() == text)
            .ok_or(())
    }
}
