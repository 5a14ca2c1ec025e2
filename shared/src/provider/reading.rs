//! The usage report in the provider's fields of a key. The reading that follows from it is the matter of
//! `domain::usage::reading`.

use super::key::ProviderKey;
use crate::domain::usage::reading::UsageReport;
use crate::prelude::*;

impl ProviderKey {
    /// The usage report with the counters of this kind of window. `None` if even the lifetime's use is
    /// missing.
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
