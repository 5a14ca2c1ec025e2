//! What the provider says of a key's use, taken out of how it says it. What follows from it is `domain::usage::reading`'s matter.

use super::key::ProviderKey;
use crate::domain::usage::reading::UsageReport;
use crate::domain::values::window::Reset;

impl ProviderKey {
    /// What was used, with the counters of this kind of window. None when it does not even say what was used in all.
    pub fn usage_report(&self, reset: Reset) -> Option<UsageReport> {
        let (in_window, byok_in_window) = match reset {
            Reset::None => (self.usage, self.byok_usage),
            Reset::Daily => (self.usage_daily, self.byok_usage_daily),
            Reset::Weekly => (self.usage_weekly, self.byok_usage_weekly),
            Reset::Monthly => (self.usage_monthly, self.byok_usage_monthly),
        };
        Some(UsageReport {
            lifetime: self.usage?,
            today: self.usage_daily,
            in_window,
            byok: self.byok_usage,
            byok_today: self.byok_usage_daily,
            byok_in_window,
            off_the_limit: self.limit.zip(self.limit_remaining).map(|(limit, remaining)| limit - remaining),
            last_used_at: self.last_used_at,
        })
    }
}
