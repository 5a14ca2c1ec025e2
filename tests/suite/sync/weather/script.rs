//! The events before a night, drawn from a seed: three programmes, some people, and the fate of each grant. A
//! seed makes the same world on any stack, except for random values in names.

use bursar_core::domain::audit::{Act, Actor, AuditDetail};
use bursar_core::domain::grant::{HoldKind, OrderKind};
use bursar_core::domain::programme::{Byok, Group, Settings};
use bursar_core::domain::values::id::{Epoch, GrantId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_core::store::Author;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::Nano;
use bursar_tests::aws;
use bursar_tests::invariants::Snapshot;
use bursar_tests::office::ProgrammeEdits;
use bursar_tests::office::{Office, soon};
use bursar_tests::picture::{names, picture};
use bursar_tests::stack::Stack;
use fastrand::Rng;
use serde_json::json;

use super::super::world::faculty;
use super::super::{
    begin, change_by_hand, foreign, grant, hours, instant, invite, make, mint, minutes, provider, rich, shape, spend,
    sync,
};

/// The fate of a grant before the night. The more often a fate is listed below, the more often it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Spends,
    UsesUp,
    OwnKeys,
    NeverClaims,
    Replaces,
    Leaks,
    /// A pause; like a drop or a revocation, it orders a disable.
    Paused,
    Dropped,
    Revoked,
    /// A pause with a disable long ago, and an enable by a person at the provider.
    EnabledByHand,
    LimitByHand,
    Unlimited,
    RenamedByHand,
    DisabledByHand,
    Deleted,
    /// An attempt whose claim died: before the first key, with it, or at a replacement.
    Forsaken,
    Orphan,
    LaterOrphan,
}

const FATES: [Fate; 20] = [
    Fate::Spends,
    Fate::Spends,
    Fate::Spends,
    Fate::UsesUp,
    Fate::OwnKeys,
    Fate::NeverClaims,
    Fate::Replaces,
    Fate::Leaks,
    Fate::Paused,
    Fate::Dropped,
    Fate::Revoked,
    Fate::EnabledByHand,
    Fate::LimitByHand,
    Fate::Unlimited,
    Fate::RenamedByHand,
    Fate::DisabledByHand,
    Fate::Deleted,
    Fate::Forsaken,
    Fate::Orphan,
    Fate::LaterOrphan,
];
/// The fates that the guard counts. With more of them in one night it holds all of them back.
const COUNTED: [Fate; 4] = [Fate::DisabledByHand, Fate::Deleted, Fate::Orphan, Fate::LaterOrphan];
const MOST_COUNTED: usize = 5;
const MODEL: &str = "openai/gpt-4o-mini";

struct Student {
    fate: Fate,
    programme: usize,
    grant: GrantId,
    key: Option<String>,
}

/// The events of a script, with the stack that they happened on.
pub(super) struct Script<'s> {
    stack: &'s Stack,
    /// Three programmes: with groups; with a daily or weekly reset and own keys apart; with models and own keys
    /// counted.
    pub(super) offices: [Office<'s>; 3],
    students: Vec<Student>,
    foreign: Vec<String>,
    dice: Rng,
}

/// The script, played until twenty minutes past midnight of the day after the next.
pub(super) async fn played(stack: &Stack, seed: u64) -> Script<'_> {
    let offices = [rich(stack).await, rich(stack).await, rich(stack).await];
    let mut script =
        Script { stack, offices, students: Vec::new(), foreign: Vec::new(), dice: Rng::with_seed(seed ^ 0x5c21) };
    script.shapes().await;
    script.first_day().await;
    let complete = async || assert_eq!(sync(stack).await["complete"], true, "the script's own syncs are quiet");
    let deleted: Vec<_> = script.students.iter().filter(|student| student.fate == Fate::Deleted).collect();
    if !deleted.is_empty() {
        complete().await;
        deleted.iter().for_each(|student| provider(stack).delete(student.key.as_ref().unwrap()).unwrap());
    }
    // The keys that do not exist any more are missed for the first time.
    stack.clock.advance(instant(1, 20).duration_since(stack.clock.now())).unwrap();
    complete().await;
    stack.clock.advance(hours(6)).unwrap();
    script.second_day().await;
    stack.clock.advance(instant(2, 20).duration_since(stack.clock.now())).unwrap();
    script
}

impl Script<'_> {
    async fn shapes(&mut self) {
        let [plain, windows, ruled] = &self.offices;
        let reset = [Reset::Daily, Reset::Weekly][self.dice.usize(..2)];
        let cap = Usd::from_dollars([5, 20, 30][self.dice.usize(..3)]);
        shape(self.stack, plain, |settings| {
            settings.groups.insert("A".to_owned(), Group { cap: Some(cap), ..Group::default() });
        })
        .await;
        shape(self.stack, windows, |settings| (settings.reset, settings.byok) = (reset, Byok::Outside)).await;
        let programme = ruled.table.programme(&ruled.programme).await.unwrap().unwrap();
        let settings = Settings { reset: Reset::Monthly, models: vec![MODEL.to_owned()], ..programme.settings };
        let by = Author { actor: &ruled.faculty, now: self.stack.clock.now(), deadline: soon() };
        let edited = AuditDetail::new(Act::Edited);
        ruled.table.save_settings(&ruled.programme, settings, programme.version, edited, by).await.unwrap();
        work(self.stack).await;
    }

    async fn first_day(&mut self) {
        let (count, mut counted) = (10 + self.dice.usize(..9), 0);
        for number in 0..count {
            let mut fate = FATES[self.dice.usize(..FATES.len())];
            counted += usize::from(COUNTED.contains(&fate));
            if counted > MOST_COUNTED && COUNTED.contains(&fate) {
                fate = Fate::Spends;
            }
            let programme = self.dice.usize(..self.offices.len());
            let group = [None, Some("A"), Some("B")][self.dice.usize(..3)].filter(|_| programme == 0);
            let office = &self.offices[programme];
            let grant = invite(self.stack, office, &format!("p{number:02}"), group).await;
            let claims = !matches!(fate, Fate::NeverClaims | Fate::Forsaken | Fate::Orphan);
            let key = if claims { Some(mint(self.stack, office, &grant).await) } else { None };
            if let Some(key) = &key {
                spend(self.stack, key, 1 + self.dice.usize(..3_000_000) as i64);
            }
            if fate == Fate::EnabledByHand {
                office
                    .table
                    .act(office.at(&grant), |view, now| view.hold(HoldKind::Paused, &Actor::Rule, None, now))
                    .await
                    .unwrap();
                provider(self.stack).disable(key.as_ref().unwrap()).unwrap();
                self.confirmed(office, &grant).await;
            }
            self.students.push(Student { fate, programme, grant, key });
        }
        for number in 0..[3, 3, 120, 210][self.dice.usize(..4)] {
            self.foreign.push(foreign(self.stack, &format!("other {number}")));
        }
        for key in self.foreign.iter().take(3) {
            spend(self.stack, key, 5_000_000 + self.dice.usize(..1_000_000) as i64);
        }
        self.assigns().await;
    }

    async fn second_day(&mut self) {
        let mut replaced = Vec::new();
        for place in 0..self.students.len() {
            let Student { fate, programme, grant: of, key } = &self.students[place];
            let (office, fate) = (&self.offices[*programme], *fate);
            let (table, at) = (&office.table, office.at(of));
            let micros = 1 + self.dice.usize(..2_000_000) as i64;
            // A replacement reads the old key's use first, and here only the sync may read.
            let spends = !matches!(fate, Fate::Deleted | Fate::EnabledByHand | Fate::Replaces);
            if let Some(key) = key.as_ref().filter(|_| spends) {
                let micros = if fate == Fate::UsesUp { 40_000_000 } else { micros };
                spend(self.stack, key, micros);
            }
            let key = key.clone().unwrap_or_default();
            match fate {
                Fate::Spends | Fate::UsesUp | Fate::NeverClaims | Fate::Deleted => {}
                Fate::OwnKeys => {
                    let used = Nano::micros(micros / 2);
                    provider(self.stack).spend_byok(&key, used, self.stack.clock.now(), "a/model").unwrap();
                }
                Fate::Replaces => {
                    let next = mint(self.stack, office, of).await;
                    spend(self.stack, &next, micros / 3);
                    replaced.push(key);
                }
                Fate::Leaks => drop(table.act(at, |view, now| view.report_leaked(Epoch::new(1), now)).await.unwrap()),
                Fate::Paused => {
                    drop(
                        table.act(at, |view, now| view.hold(HoldKind::Paused, &Actor::Rule, None, now)).await.unwrap(),
                    );
                }
                Fate::Dropped => drop(
                    table.act(at, |view, now| view.hold(HoldKind::Dropped, &Actor::Rule, None, now)).await.unwrap(),
                ),
                Fate::Revoked => drop(table.act(at, |view, now| view.revoke(&Actor::Rule, None, now)).await.unwrap()),
                Fate::EnabledByHand => change_by_hand(self.stack, &key, &json!({"disabled": false})),
                Fate::LimitByHand => change_by_hand(self.stack, &key, &json!({"limit": 77})),
                Fate::Unlimited => change_by_hand(self.stack, &key, &json!({"limit": null})),
                Fate::RenamedByHand => change_by_hand(self.stack, &key, &json!({"name": format!("renamed {place}")})),
                Fate::DisabledByHand => change_by_hand(self.stack, &key, &json!({"disabled": true})),
                Fate::Forsaken => drop(begin(self.stack, office, of).await),
                Fate::Orphan | Fate::LaterOrphan => {
                    let begun = begin(self.stack, office, of).await;
                    make(self.stack, office, of, &begun).await;
                }
            }
        }
        // The last use of these keys settles late.
        self.stack.clock.advance(minutes(20)).unwrap();
        replaced.iter().for_each(|key| spend(self.stack, key, 123_456));
        if let Some(key) = self.foreign.get(1) {
            spend(self.stack, key, 1 + self.dice.usize(..100_000) as i64);
        }
        foreign(self.stack, "new today");
        // One replaced key remains without its guardrail.
        if self.dice.usize(..2) == 0 {
            self.assigns().await;
        }
    }

    async fn confirmed(&self, office: &Office<'_>, of: &GrantId) {
        for order in grant(office, of).await.orders().into_iter().filter(|order| order.kind == OrderKind::Off) {
            office.table.act(office.at(of), |view, now| view.confirmed(&order, now)).await.unwrap();
        }
    }

    /// Assigns the live keys of the programme with models to its guardrail.
    async fn assigns(&self) {
        let ruled = &self.offices[2];
        let guardrail = ruled.guardrail().await.unwrap().id;
        let grants = ruled.table.grants(&ruled.programme).await.unwrap();
        let keys: Vec<String> =
            grants.iter().filter_map(|grant| Some(grant.live()?.key.as_ref()?.to_string())).collect();
        if keys.is_empty() {
            return;
        }
        let url = format!("{}/guardrails/{guardrail}/assignments/keys", self.stack.ready.provider);
        let assigned = aws::http().post(url).bearer_auth(aws::management_key(&self.stack.ready).await);
        let assigned = assigned.json(&json!({"key_hashes": keys})).send().await.unwrap();
        assert!(assigned.status().is_success(), "{:?}", assigned.text().await);
    }

    /// The table and the provider, a line for each thing, without random values and times.
    pub(super) fn picture(&self, seen: &Snapshot) -> Vec<String> {
        let faculty = faculty(&self.offices);
        let mut lines = picture(self.stack, seen, &faculty);
        let names = names(self.stack, seen, &faculty);
        for key in provider(self.stack).keys() {
            let name = names.iter().find(|(hash, _)| *hash == key.hash).map_or("", |(_, name)| name);
            let on = if key.disabled || key.deleted { "off" } else { "on" };
            let (limit, reset, used) = (key.limit, key.limit_reset, (key.usage, key.byok_usage));
            let restricted = key.guardrail_id.is_some();
            lines.push(format!("at the provider {name}: {on}, {limit:?} {reset:?}, used {used:?}, {restricted}"));
        }
        lines
    }

    /// The fates, for a person who investigates a night.
    pub(super) fn told(&self) -> String {
        let fates = self.students.iter().enumerate();
        let fates = fates.map(|(number, student)| format!("p{number:02} {:?} in {}", student.fate, student.programme));
        fates.collect::<Vec<_>>().join(", ")
    }
}

/// One run of the console's work of each minute.
pub(super) async fn work(stack: &Stack) {
    stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap();
}
