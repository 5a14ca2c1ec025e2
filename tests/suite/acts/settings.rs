//! The worlds in which tests begin: a programme with two people on its roster, and a grant of the first person
//! in some state. Each is reached by acts.

use bursar_core::domain::grant::{
    Attempt, AttemptFailure, AttemptState, HoldKind, MintedKey, Person, Press, PressKind, Reading, RecoveredKey,
    Stopped,
};
use bursar_core::domain::programme::Settings;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{Epoch, GrantId};
use bursar_core::domain::values::key::KeyHash;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::NewPerson;
use jiff::{Timestamp, ToSpan};

use super::act::{Act, grant_of, programme};
use super::legal::Legal;
use super::world::World;

/// The state of the first person's grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Setting {
    /// There is no programme.
    Nothing,
    Invited,
    /// A key is being made.
    Minting,
    /// The runner that made the key died two hours ago.
    Forsaken,
    /// A key was made that could not be shown. Its disable is ordered, and the student may press again.
    Unshown,
    /// A key was shown an hour ago, and five dollars of it are used.
    Live,
    /// The key is being replaced.
    Replacing,
    /// The runner that replaced the key died two hours ago.
    ForsakenReplacing,
    Paused,
    /// Paused and resumed, with the enable of the key ordered.
    Resumed,
    Dropped,
    /// Held for disuse, with the disable of the key ordered.
    Unused,
    /// Held for disuse, with the key disabled.
    OutOfUse,
    /// Held for disuse, with the key disabled and the place in the pot given back.
    Disused,
    /// The key was reported leaked, and its disable is ordered.
    Leaked,
    /// An attempt made no key, and the claim window has closed since.
    TooLate,
    /// The grant ended after a key of it was made and not shown, so nothing is reserved.
    Over,
    /// The programme was closed while the grant is live, or its key is being made.
    Closed,
    ClosedMinting,
    /// The programme has a rule for unused keys, and the end of this one is to be announced.
    Idle,
    /// The end was announced over a week ago, by a mail that was sent at once.
    Announced,
    /// The grant ended with the term, which was extended since.
    Extended,
    /// Revoked, with its key disabled and its last reading still to come.
    Revoked,
    /// The cap was lowered, and the provider's new limit is ordered but not confirmed.
    Lowered,
    /// The cap was raised, and the provider's new limit is ordered but not confirmed.
    Raised,
}

impl Setting {
    pub(crate) const ALL: [Setting; 25] = [
        Setting::Nothing,
        Setting::Invited,
        Setting::Minting,
        Setting::Forsaken,
        Setting::Unshown,
        Setting::Live,
        Setting::Replacing,
        Setting::ForsakenReplacing,
        Setting::Paused,
        Setting::Resumed,
        Setting::Dropped,
        Setting::Unused,
        Setting::OutOfUse,
        Setting::Disused,
        Setting::Leaked,
        Setting::TooLate,
        Setting::Over,
        Setting::Closed,
        Setting::ClosedMinting,
        Setting::Idle,
        Setting::Announced,
        Setting::Extended,
        Setting::Revoked,
        Setting::Lowered,
        Setting::Raised,
    ];

    /// The table, and the time in it. A runner has the lease.
    pub(crate) fn world(self) -> (World, Timestamp) {
        let begin = start();
        let now = match self {
            Setting::Announced => begin + (9 * 24).hours(),
            Setting::Extended => settings("CS pilot").term.ends_at() + 3.hours(),
            _ => begin + 3.hours(),
        };
        let minutes_ago = |minutes: i64| now - minutes.minutes();
        let live = || claimed(&open(), begin + 2.hours());
        let hold = |kind| live().does(&Act::Hold(ada(), kind), minutes_ago(25));
        let unshown = || {
            let Legal { begun, after, .. } = open().press(PressKind::Reveal, minutes_ago(5));
            let key = key_of(&ada(), Epoch::new(1));
            after.unwrap().does(&Act::GiveUp(ada(), begun.unwrap(), AttemptFailure::Lost, Some(key)), minutes_ago(5))
        };
        let idle = || {
            let mut settings = settings("CS pilot");
            settings.unused_after_days = Some(1);
            live().does(&Act::save(settings, 1), begin + 2.hours() + 10.minutes())
        };
        let out_of_use = || {
            let world = hold(HoldKind::Unused);
            let off = world.grants[&ada()].orders_off().next().unwrap();
            world.does(&Act::Confirmed(ada(), off), minutes_ago(24))
        };
        let world = match self {
            Setting::Nothing => return (World::default(), now),
            Setting::Invited => open(),
            Setting::Minting => open().begins(PressKind::Reveal, minutes_ago(0)),
            Setting::Forsaken => open().begins(PressKind::Reveal, minutes_ago(120)),
            Setting::Unshown => unshown(),
            Setting::Live => live(),
            Setting::Replacing => live().begins(PressKind::Replace, minutes_ago(0)),
            Setting::ForsakenReplacing => {
                claimed(&open(), begin + 30.minutes()).begins(PressKind::Replace, minutes_ago(120))
            }
            Setting::Paused => hold(HoldKind::Paused),
            Setting::Resumed => hold(HoldKind::Paused).does(&Act::Release(ada(), HoldKind::Paused), minutes_ago(3)),
            Setting::Dropped => hold(HoldKind::Dropped),
            Setting::Unused => hold(HoldKind::Unused),
            Setting::OutOfUse => out_of_use(),
            Setting::Disused => {
                let mut counted = out_of_use();
                let pot = counted.pots.get_mut(&programme()).unwrap();
                (pot.counted_at, pot.reserved) = (Some(minutes_ago(3)), Usd::from_dollars(5));
                counted
            }
            Setting::Raised => live().does(&Act::SetCap(ada(), Some(Usd::from_dollars(50))), minutes_ago(5)),
            Setting::Lowered => live().does(&Act::SetCap(ada(), Some(Usd::from_dollars(12))), minutes_ago(5)),
            Setting::Revoked => {
                let world = live().does(&Act::Revoke(ada()), minutes_ago(40));
                let off = world.grants[&ada()].orders_off().next().unwrap();
                world.does(&Act::Confirmed(ada(), off), minutes_ago(39))
            }
            Setting::Over => {
                let closed = unshown().does(&Act::Close(programme()), minutes_ago(4));
                closed.does(&Act::End(ada()), minutes_ago(4))
            }
            Setting::Closed => live().does(&Act::Close(programme()), minutes_ago(4)),
            Setting::ClosedMinting => {
                open().begins(PressKind::Reveal, minutes_ago(0)).does(&Act::Close(programme()), minutes_ago(0))
            }
            Setting::Idle => idle(),
            Setting::Announced => idle().does(&Act::FollowRules(ada()), begin + 24.hours()).mailed(),
            Setting::Extended => {
                let Legal { begun, after, .. } = open().press(PressKind::Reveal, begin);
                let key = key_of(&ada(), Epoch::new(1));
                let unshown =
                    after.unwrap().does(&Act::GiveUp(ada(), begun.unwrap(), AttemptFailure::Lost, Some(key)), begin);
                let mut extended = settings("CS pilot");
                let until = extended.term.ends_on().saturating_add(30.days());
                extended.term = Term::new(extended.term.starts_on(), until, "UTC").unwrap();
                let ended = unshown.does(&Act::End(ada()), minutes_ago(60));
                ended.does(&Act::save(extended, 1), minutes_ago(30))
            }
            Setting::Leaked => live().does(&Act::Stop(ada(), Stopped::Leaked), minutes_ago(5)),
            Setting::TooLate => {
                let Legal { begun, after, .. } = open().press(PressKind::Reveal, minutes_ago(90));
                let key = key_of(&ada(), Epoch::new(1));
                let give_up = Act::GiveUp(ada(), begun.unwrap(), AttemptFailure::Lost, Some(key));
                let world = after.unwrap().does(&give_up, minutes_ago(89));
                let mut settings = world.programmes[&programme()].settings.clone();
                settings.claim_closes_at = Some(minutes_ago(60));
                world.does(&Act::save(settings, 1), minutes_ago(80))
            }
        };
        (world.does(&Act::Acquire("one"), minutes_ago(5)), now)
    }
}

impl World {
    /// The table after this act, which must succeed.
    pub(crate) fn does(&self, act: &Act, now: Timestamp) -> World {
        let legal = act.on(self, &[self], now).remove(0);
        legal.after.unwrap_or_else(|| panic!("{act:?}: {}", legal.said))
    }

    fn begins(&self, kind: PressKind, now: Timestamp) -> World {
        self.press(kind, now).after.unwrap()
    }

    fn press(&self, kind: PressKind, now: Timestamp) -> Legal {
        let press = Press { kind, epoch: self.grants[&ada()].epoch, terms: None };
        Act::Begin(ada(), press).on(self, &[self], now).remove(0)
    }
}

/// Midnight of the term's first day.
pub(crate) fn start() -> Timestamp {
    "2026-10-12T00:00:00Z".parse().unwrap()
}

pub(crate) fn ada() -> GrantId {
    grant_of(&person("ada").person)
}

pub(crate) fn bob() -> GrantId {
    grant_of(&person("bob").person)
}

pub(crate) fn person(name: &str) -> NewPerson {
    let address = EmailAddress::parse(&format!("{name}@uni.edu")).unwrap();
    NewPerson { person: Person { address, name: None, roster_id: None }, group: None }
}

/// The keys that a restored table finds at the provider: that of the open attempt, otherwise one that came after.
pub(crate) fn found(who: &GrantId, epoch: Epoch, last: Option<&Attempt>) -> Vec<RecoveredKey> {
    let open = last.filter(|last| last.state == AttemptState::Open);
    let (epoch, nonce) = open.map_or_else(
        || (epoch.next(), format!("f0f0f0f0{:08x}", epoch.next().number()).parse().unwrap()),
        |open| (open.epoch, open.nonce.clone()),
    );
    let key = format!("{who}{:048x}", 0xf000 + epoch.number()).parse().unwrap();
    vec![RecoveredKey { epoch, nonce, key, enabled: true, limit: Some(Usd::from_dollars(20)), made_at: start() }]
}

/// The hash of the key that the provider made for a grant's attempt.
pub(crate) fn key_of(who: &GrantId, epoch: Epoch) -> KeyHash {
    format!("{who}{:048x}", epoch.number()).parse().unwrap()
}

pub(crate) fn minted(who: &GrantId, epoch: Epoch) -> MintedKey {
    MintedKey { key: key_of(who, epoch), limit: Usd::from_dollars(20), rule_set: None }
}

pub(crate) fn reading(who: &GrantId, epoch: Epoch, dollars: i32, at: Timestamp) -> Reading {
    let used = Usd::from_dollars(dollars);
    let window = settings("CS pilot").reset.window_at(at);
    Reading {
        programme: programme(),
        grant: who.clone(),
        epoch,
        used: DailyUse::on_one(utc_date(at), used),
        window,
        in_window: used,
        before: Usd::ZERO,
        last_used_at: None,
        as_of: at,
        unchanged_until: None,
    }
}

pub(crate) fn settings(name: &str) -> Settings {
    let term = Term::new("2026-10-12".parse().unwrap(), "2027-02-06".parse().unwrap(), "UTC").unwrap();
    Settings::new(name, term, Usd::from_dollars(20))
}

/// The addresses of people in charge.
pub(crate) fn staff(names: &[&str]) -> Vec<EmailAddress> {
    names.iter().map(|name| EmailAddress::parse(&format!("{name}@uni.edu")).unwrap()).collect()
}

/// A programme of a hundred dollars with two people on its roster.
pub(crate) fn open() -> World {
    let people = ["ada", "bob"].map(person).to_vec();
    World::default()
        .does(&Act::Create(settings("CS pilot"), Usd::from_dollars(100)), start())
        .does(&Act::Invite(programme(), people), start())
}

/// The world after the first person was shown a key at that time and used some of it.
fn claimed(world: &World, at: Timestamp) -> World {
    let begun = world.press(PressKind::Reveal, at);
    let epoch = begun.begun.as_ref().unwrap().epoch;
    let record = Act::Record(ada(), begun.begun.unwrap(), minted(&ada(), epoch));
    begun.after.unwrap().does(&record, at).does(&Act::Note(reading(&ada(), epoch, 5, at)), at)
}
