//! The people of a programme who need a look, found as the sync counts its grants. It keeps no more
//! than a digest may show.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{DigestPeople, Need, PeopleSample, Spender};
use crate::clock::Moment;
use crate::domain::grant::{Grant, GrantState, Reading, Stopped};
use crate::domain::mail::failure::UnreachableReason;
use crate::domain::programme::Settings;
use crate::domain::usage::crossing::is_used_up;
use crate::domain::usage::days::{Accuracy, Days, Sum};
use crate::domain::usage::reading::is_used;
use crate::domain::usage::span::weeks_before;
use crate::domain::values::id::GrantId;
use crate::domain::values::money::Usd;
use crate::domain::values::window::Reset;

/// The most people in a list of spenders.
const LISTED: usize = 10;
/// The most people who are named in one sentence.
const NAMED: usize = 20;

#[derive(Debug)]
pub struct Class {
    looked_at: Moment,
    /// Without those who need a look.
    people: DigestPeople,
    needs: BTreeMap<Need, FirstByName>,
}

/// The first people by name, and the number of all.
#[derive(Debug, Default)]
struct FirstByName {
    count: u32,
    named: BTreeSet<(String, GrantId)>,
}

impl Class {
    /// An empty class, for the completed week before a look at all of it.
    pub fn new(looked_at: Moment) -> Class {
        let people = DigestPeople {
            days: weeks_before(looked_at)[0],
            ..DigestPeople::default()
        };
        Class {
            looked_at,
            people,
            needs: BTreeMap::new(),
        }
    }

    /// Counts a grant in, whose keys used so much each day. `not_mailed` is the reason that not all
    /// mail is sent to its person.
    pub fn add(
        &mut self,
        settings: &Settings,
        grant: &Grant,
        readings: &[Reading],
        days: &Days,
        not_mailed: Option<UnreachableReason>,
    ) {
        let cap = grant.cap(settings);
        let of_cap = self.sum_of_cap(settings.basis.reset, days);
        let people = &mut self.people;
        let this_week = days.between(people.days.0, people.days.1, None).spent;
        if this_week > Usd::ZERO {
            people.spenders.push(Spender {
                grant: grant.id.clone(),
                this_week,
                of_cap: of_cap.spent,
                cap,
            });
            if people.spenders.len() > 8 * LISTED {
                keep_the_highest(&mut people.spenders);
            }
        }
        if !grant.is_student() {
            return;
        }
        people.students += 1;
        people.claimed += u32::from(grant.stage.has_claimed());
        people.active += u32::from(grant.stage.has_claimed() && this_week > Usd::ZERO);
        if grant.state == GrantState::Ended {
            return;
        }
        let unmailed = not_mailed.map(|why| match why {
            UnreachableReason::Bounced | UnreachableReason::Suppressed => Need::Unreached,
            UnreachableReason::Complained => Need::Complained,
        });
        let is_used_up = of_cap.accuracy == Accuracy::Exactly && is_used_up(cap, of_cap.spent);
        let need = block(grant, is_used_up)
            .or_else(|| (!grant.stage.has_claimed()).then_some(Need::Unclaimed))
            .or_else(|| {
                (grant.had_a_key_by(self.looked_at) && !is_used(readings))
                    .then_some(Need::NeverUsed)
            });
        for need in unmailed.into_iter().chain(need) {
            self.needs.entry(need).or_default().add(grant);
        }
    }

    /// All that were counted in. Ids break ties, so it does not depend on the order of the grants.
    pub fn into_people(mut self) -> DigestPeople {
        keep_the_highest(&mut self.people.spenders);
        self.people.needs = self
            .needs
            .into_iter()
            .map(|(need, first)| (need, first.few()))
            .collect();
        self.people
    }

    /// The count against the cap in the window of the week's last day, never of one that began
    /// later; of a daily cap, the fullest day that is known exactly.
    fn sum_of_cap(&self, reset: Reset, days: &Days) -> Sum {
        let (first_day, last_day) = self.people.days;
        let spent = match reset.days_around(last_day) {
            Some(_) if reset == Reset::Daily => {
                let of_week = days.each().filter(|(day, _, is_exact)| {
                    *is_exact && first_day <= *day && *day <= last_day
                });
                of_week.map(|(_, spent, _)| spent).max().unwrap_or_default()
            }
            Some((first, last)) => return days.between(first, last, Some(last)),
            None => days.total(),
        };
        Sum {
            spent,
            accuracy: Accuracy::Exactly,
        }
    }
}

fn keep_the_highest(spenders: &mut Vec<Spender>) {
    spenders.sort_by_cached_key(|spender| (Reverse(spender.this_week), spender.grant.clone()));
    spenders.truncate(LISTED);
}

/// The reason that the grant's person has no key to use. A cap that is used up is free again when
/// its window is over.
fn block(grant: &Grant, is_used_up: bool) -> Option<Need> {
    match grant.state {
        _ if grant.holds.paused.is_some() => Some(Need::Paused),
        _ if grant.holds.unused => Some(Need::Unused),
        GrantState::Live { .. } => is_used_up.then_some(Need::UsedUp),
        GrantState::Stopped { why } => Some(match why {
            Stopped::Leaked => Need::Leaked,
            Stopped::TooOld => Need::TooOld,
            Stopped::TermEnded => Need::TermEnded,
            Stopped::Replacing => Need::Replacing,
            Stopped::GoneAtProvider => Need::GoneAtProvider,
            // Who handed the key back, or was off the roster, presses again when they want one.
            Stopped::Returned | Stopped::OffRoster => return None,
        }),
        GrantState::Invited | GrantState::Revoked | GrantState::Ended => None,
    }
}

impl FirstByName {
    fn add(&mut self, grant: &Grant) {
        self.count += 1;
        self.named
            .insert((grant.person.known_as().to_lowercase(), grant.id.clone()));
        if self.named.len() > NAMED {
            self.named.pop_last();
        }
    }

    fn few(self) -> PeopleSample {
        PeopleSample {
            count: self.count,
            first: self.named.into_iter().map(|(_, grant)| grant).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use jiff::civil::Date;

    use crate::domain::audit::Actor;
    use crate::domain::programme::counts::Stage;
    use crate::domain::usage::reading::DailyUse;
    use crate::domain::values::id::{Epoch, KeyHash};

    use super::*;
    use crate::domain::grant::{GrantKey, HoldKind, Pause};
    use crate::domain::programme::role::Role;
    use crate::domain::usage::days::KeyCounters;
    use crate::tests::values::{a_grant, a_programme, at};

    const MONDAY: Date = Date::constant(2026, 3, 2);

    fn now() -> Moment {
        at("2026-03-02T06:00:00Z")
    }

    fn id(number: u64) -> GrantId {
        format!("{number:016x}").parse().unwrap()
    }

    /// A grant that was shown a key in February, named by the number.
    fn claimed(number: u64) -> Grant {
        let mut grant = Grant {
            id: id(number),
            stage: Stage::Claimed,
            epoch: Epoch::new(1),
            ..a_grant()
        };
        grant.person.name = Some(format!("Student {number:03}"));
        let hash: KeyHash = "ab".repeat(32).parse().unwrap();
        grant.state = GrantState::Live { key: hash.clone() };
        let made_at = at("2026-02-02T08:00:00Z");
        grant.keys = vec![GrantKey {
            shown_at: Some(made_at),
            ..GrantKey::made(Epoch::new(1), hash, made_at)
        }];
        grant
    }

    /// A use of so many micro-dollars, so many days ago.
    fn used(grant: &Grant, ago: i64, micros: i64) -> Reading {
        let day = MONDAY.checked_sub(ago.days()).unwrap();
        let spent = Usd::from_micros(micros);
        Reading {
            used: DailyUse::on_one(day, spent),
            last_used_at: Some(now()),
            ..Reading::new(&grant.programme, &grant.id, Epoch::new(1), now())
        }
    }

    fn people(class: &[(Grant, Vec<Reading>)]) -> DigestPeople {
        people_on(MONDAY, Reset::None, class)
    }

    fn people_on(today: Date, reset: Reset, class: &[(Grant, Vec<Reading>)]) -> DigestPeople {
        let mut settings = a_programme().settings;
        settings.basis.reset = reset;
        let mut walk = Class::new(format!("{today}T06:00:00Z").parse().unwrap());
        let not_mailed = |grant: &Grant| match grant.id.as_str() {
            "0000000000000194" => Some(UnreachableReason::Bounced),
            "0000000000000193" => Some(UnreachableReason::Complained),
            _ => None,
        };
        for (grant, readings) in class {
            let mut days = Days::default();
            readings
                .iter()
                .for_each(|reading| days.add(&reading.used.days(settings.basis.byok)));
            walk.add(&settings, grant, readings, &days, not_mailed(grant));
        }
        walk.into_people()
    }

    /// Who is named, by the reason.
    fn needs(people: &DigestPeople) -> Vec<(Need, Vec<u64>)> {
        let number = |grant: &GrantId| u64::from_str_radix(grant.as_str(), 16).unwrap();
        people
            .needs
            .iter()
            .map(|(need, few)| (*need, few.first.iter().map(number).collect()))
            .collect()
    }

    /// The week's highest spenders are listed, with ties in a fixed order.
    #[test]
    fn top_spenders_are_named() {
        let spends = |number: u64, ago, dollars: i64| {
            let grant = claimed(number);
            let reading = used(&grant, ago, dollars * 1_000_000);
            (grant, vec![reading])
        };
        // Two alike, one more, one before the week and one today, which is not over.
        let mut class = [
            spends(1, 1, 2),
            spends(2, 1, 2),
            spends(12, 7, 5),
            spends(13, 8, 9),
            spends(14, 0, 9),
        ];
        let first = people(&class);
        let shown: Vec<_> = first
            .spenders
            .iter()
            .map(|spender| spender.grant.clone())
            .collect();
        assert_eq!((shown, first.active), ([12, 1, 2].map(id).to_vec(), 3));
        let highest = &first.spenders[0];
        let dollars = Usd::from_dollars;
        assert_eq!(
            (highest.this_week, highest.of_cap, highest.cap),
            (dollars(5), dollars(5), dollars(20))
        );
        class.reverse();
        assert_eq!(people(&class), first, "the order of the walk is no matter");
        let many: Vec<_> = (1..=15)
            .map(|number| spends(number, 1, 20 - i64::try_from(number).unwrap()))
            .collect();
        let found = people(&many);
        let shown: Vec<_> = found
            .spenders
            .iter()
            .map(|spender| spender.grant.clone())
            .collect();
        assert_eq!(
            (shown, found.active),
            ((1..=10).map(id).collect(), 15),
            "ten are named"
        );
    }

    /// A person whose key was never used is listed, but not before a sync has looked at the key.
    #[test]
    fn unused_keys_are_named() {
        let fresh = |number, shown: &str| {
            let mut grant = claimed(number);
            grant.keys[0].shown_at = Some(shown.parse().unwrap());
            (grant, Vec::new())
        };
        let user = claimed(3);
        let idle = claimed(4);
        let reading = used(&user, 20, 1);
        let nothing = Reading {
            last_used_at: None,
            ..used(&idle, 20, 0)
        };
        // A free model costs nothing, and yet it was used.
        let free = claimed(5);
        let free_use = used(&free, 20, 0);
        let class = [
            fresh(1, "2026-03-02T05:59:59Z"),
            fresh(2, "2026-03-02T06:00:00Z"),
            (user, vec![reading]),
            (idle, vec![nothing]),
            (free, vec![free_use]),
        ];
        let found = people(&class);
        assert_eq!(needs(&found), [(Need::NeverUsed, vec![1, 4])]);
    }

    #[test]
    fn everybody_is_in_one_place_at_most_and_who_is_gone_in_none() {
        let invited = |number| Grant {
            id: id(number),
            ..a_grant()
        };
        let stopped = |number, why| Grant {
            state: GrantState::Stopped { why },
            ..claimed(number)
        };
        let with = |mut grant: Grant, change: &dyn Fn(&mut Grant)| {
            change(&mut grant);
            grant
        };
        let pause = |grant: &mut Grant| {
            grant.holds.paused = Some(Pause {
                by: Actor::Rule,
                role: Role::Faculty,
                why: None,
                with_many: false,
            });
        };
        let dropped = with(invited(8), &|grant| {
            grant.holds.dropped = Some(Moment::UNIX_EPOCH);
        });
        assert!(dropped.holds.has(HoldKind::Dropped));
        let full = claimed(9);
        let all_of_it = used(&full, 20, 19_990_001);
        let class: Vec<(Grant, Vec<Reading>)> = [
            invited(1),
            with(invited(2), &pause),
            stopped(3, Stopped::Replacing),
            stopped(4, Stopped::Leaked),
            // Who handed the key back is reminded of none.
            stopped(14, Stopped::Returned),
            with(claimed(5), &|grant| grant.holds.unused = true),
            Grant {
                state: GrantState::Revoked,
                ..claimed(6)
            },
            Grant {
                state: GrantState::Ended,
                ..claimed(7)
            },
            dropped,
            // These spent in the week.
            with(claimed(10), &|grant| grant.holds.dropped = Some(now())),
            Grant {
                state: GrantState::Ended,
                ..claimed(11)
            },
            Grant {
                state: GrantState::Revoked,
                ..claimed(12)
            },
            claimed(13),
        ]
        .into_iter()
        .map(|grant| {
            let reading = (10..=13)
                .any(|number| grant.id == id(number))
                .then(|| used(&grant, 1, 1_000_000));
            (grant, reading.into_iter().collect())
        })
        .chain([(full, vec![all_of_it])])
        .collect();
        let found = people(&class);
        let expected = [
            (Need::UsedUp, vec![9]),
            (Need::Paused, vec![2]),
            (Need::Unused, vec![5]),
            (Need::Leaked, vec![4]),
            (Need::Replacing, vec![3]),
            (Need::Unclaimed, vec![1]),
        ];
        assert_eq!(needs(&found), expected);
        assert_eq!(
            (found.students, found.claimed),
            (10, 8),
            "revoked and dropped are not counted"
        );
        assert_eq!(found.active, 2, "who ended with the term is counted");
        assert_eq!(
            found.spenders.len(),
            4,
            "the money is the week's, whoever is gone"
        );
    }

    /// The cap is that of the window with the week's last day in it, never of one that began later.
    #[test]
    fn a_later_window_is_not_counted() {
        let sunday = MONDAY.yesterday().unwrap();
        let wednesday = MONDAY.checked_add(2.days()).unwrap();
        let dollars = Usd::from_dollars;
        // So much was used five days before the Monday, and all of the cap on that Monday.
        let of = |today, reset: Reset, before: i64| {
            let grant = claimed(1);
            let before = used(&grant, 5, before * 1_000_000);
            let mut both = before.used.clone();
            both.add(&DailyUse::on_one(MONDAY, dollars(20)));
            let reading = Reading {
                used: both,
                ..before
            };
            let found = people_on(today, reset, &[(grant, vec![reading])]);
            (
                found.spenders[0].of_cap,
                found.needs.first().map(|(need, _)| *need),
            )
        };
        let used_up = (dollars(20), Some(Need::UsedUp));
        assert_eq!(
            of(MONDAY, Reset::Weekly, 20),
            used_up,
            "the week that ended on Sunday"
        );
        assert_eq!(
            of(wednesday, Reset::Weekly, 1),
            used_up,
            "the week that began on Monday"
        );
        assert_eq!(
            of(MONDAY, Reset::Daily, 20),
            used_up,
            "the fullest day of the week"
        );
        assert_eq!(
            of(sunday, Reset::Monthly, 20),
            used_up,
            "February, of which this is the first day after"
        );
        assert_eq!(of(wednesday, Reset::Monthly, 1), used_up, "March so far");
        assert_eq!(
            [Reset::Weekly, Reset::Daily].map(|reset| of(MONDAY, reset, 1)),
            [(dollars(1), None); 2]
        );
    }

    /// A cap is not reported as used up in a window where a missed night hides whether it was.
    #[test]
    fn a_missed_night_hides_used_caps() {
        let grant = claimed(1);
        let counted = KeyCounters {
            lifetime: Usd::from_dollars(20),
            today: Some(Usd::ZERO),
            day: MONDAY,
            window: None,
        };
        let credits = Days::default().with(counted, MONDAY.checked_sub(12.days()).ok());
        let reading = Reading {
            used: DailyUse {
                credits,
                ..DailyUse::default()
            },
            ..used(&grant, 1, 0)
        };
        for reset in [Reset::Weekly, Reset::Daily] {
            assert_eq!(
                people_on(MONDAY, reset, &[(grant.clone(), vec![reading.clone()])]).needs,
                []
            );
        }
    }

    /// People whom mail does not reach and people who do not want it are listed apart, while they
    /// are on the roster.
    #[test]
    fn unreached_and_complained_differ() {
        let unreached = claimed(404);
        let complained = claimed(403);
        let gone = |grant: &Grant| Grant {
            state: GrantState::Revoked,
            ..grant.clone()
        };
        let told = |grant: Grant| needs(&people(&[(grant.clone(), vec![used(&grant, 20, 1)])]));
        assert_eq!([told(gone(&unreached)), told(gone(&complained))], [[], []]);
        assert_eq!(
            [told(unreached), told(complained)],
            [
                [(Need::Unreached, vec![404])],
                [(Need::Complained, vec![403])]
            ]
        );
    }

    #[test]
    fn of_many_the_first_by_name_are_named_and_all_are_counted() {
        let named = |number: u64| {
            let mut grant = Grant {
                id: id(number),
                ..a_grant()
            };
            grant.person.name = Some(format!(
                "{}{:03}",
                if number.is_multiple_of(2) { "S" } else { "s" },
                300 - number
            ));
            (grant, Vec::new())
        };
        let found = people(&(1..=200).map(named).collect::<Vec<_>>());
        assert_eq!(
            needs(&found),
            [(Need::Unclaimed, (181..=200).rev().collect())]
        );
        assert_eq!(found.needs[0].1.count, 200);
    }
}
