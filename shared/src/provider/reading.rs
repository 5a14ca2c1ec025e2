//! What a key has used, as the provider says it, turned into a reading. When readings are taken and written is the caller's matter.

use jiff::Timestamp;

use super::key::Key;
use crate::domain::grant::Reading;
use crate::domain::id::KeyName;
use crate::domain::window::Reset;

/// What a key has used, in the window that was on when the provider answered. None without a number.
pub fn reading(name: &KeyName, key: &Key, reset: Reset, answered: Timestamp) -> Option<Reading> {
    let lifetime = key.usage?;
    let counted = match reset {
        Reset::None => Some(lifetime),
        Reset::Daily => key.usage_daily,
        Reset::Weekly => key.usage_weekly,
        Reset::Monthly => key.usage_monthly,
    };
    let off_the_limit = key.limit.zip(key.limit_remaining).map(|(limit, remaining)| limit - remaining);
    let in_window = counted.into_iter().chain(off_the_limit).max()?.min(lifetime).or_zero();
    Some(Reading {
        programme: name.programme.clone(),
        grant: name.grant.clone(),
        epoch: name.epoch,
        lifetime,
        window: reset.window_at(answered),
        in_window,
        as_of: answered,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::money::Usd;

    fn read(usage: &Value, reset: Reset) -> Option<(Usd, Usd)> {
        let mut key = json!({"hash": "0".repeat(64), "disabled": false});
        key.as_object_mut().unwrap().extend(usage.as_object().unwrap().clone());
        let key: Key = serde_json::from_str(&key.to_string()).unwrap();
        let name = "bursar/0123456789/cs-pilot/0123456789abcdef/1-0123456789abcdef".parse().unwrap();
        let at: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let reading = reading(&name, &key, reset, at)?;
        assert_eq!((reading.window, reading.as_of, reading.epoch), (reset.window_at(at), at, name.epoch));
        Some((reading.lifetime, reading.in_window))
    }

    #[test]
    fn the_larger_of_the_limits_own_count_and_the_windows_counter_was_used_and_never_more_than_ever() {
        let dollars = |lifetime, in_window| Some((Usd::from_dollars(lifetime), Usd::from_dollars(in_window)));
        let daily = json!({"usage": 9, "usage_daily": 2, "limit": 5, "limit_remaining": 2});
        assert_eq!(read(&daily, Reset::Daily), dollars(9, 3));
        assert_eq!(read(&json!({"usage": 9, "usage_daily": 4, "limit": null}), Reset::Daily), dollars(9, 4));
        assert_eq!(read(&json!({"usage": 1, "limit": 5, "limit_remaining": 2}), Reset::Weekly), dollars(1, 1));
        assert_eq!(read(&json!({"usage": 9}), Reset::None), dollars(9, 9));
    }

    #[test]
    fn a_number_that_is_missing_is_never_taken_for_another() {
        assert_eq!(read(&json!({"usage_daily": 2}), Reset::Daily), None);
        assert_eq!(read(&json!({"usage": 9, "usage_monthly": 9}), Reset::Daily), None);
    }
}
