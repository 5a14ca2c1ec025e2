//! Audit entries on a grant.

use super::Grant;
use crate::prelude::*;

impl Grant {
    /// The audit entry of an act that led to this state of the grant. Several acts may share a millisecond,
    /// so their entries sort by the version that they led to.
    pub fn entry(&self, by: Actor, what: AuditDetail, now: Moment) -> Entry {
        let entry = in_order(new_ulid(now), self.version);
        Entry { programme: Some(self.programme.clone()), grant: Some(self.id.clone()), entry, at: now, by, what }
    }
}

fn in_order(ulid: Ulid, version: u64) -> Ulid {
    const BELOW: u32 = 64;
    let within = u128::from(version & 0xffff) << BELOW | ulid.random() & u128::from(u64::MAX);
    Ulid::from_parts(ulid.timestamp_ms(), within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_one_millisecond_sort_as_the_acts_that_wrote_them() {
        let now = "2026-01-02T08:00:00Z".parse().unwrap();
        let entries: Vec<Ulid> = (1..300).map(|version| in_order(new_ulid(now), version)).collect();
        assert!(entries.is_sorted());
        assert_ne!(in_order(new_ulid(now), 7), in_order(new_ulid(now), 7));
        assert!(entries[298] < new_ulid(now + jiff::SignedDuration::from_millis(1)));
    }
}
