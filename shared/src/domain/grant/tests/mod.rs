//! The acts as rules: who may do what from where, and what each leaves behind.

mod claims;
mod drift;
mod edited;
mod endings;
mod lifecycle;
mod orders;
mod recover;
mod reservation;
mod rules;
mod ways_out;

use jiff::TimestampArithmetic;

use super::*;
use crate::domain::programme::guardrail::{Guardrail, GuardrailOwner, MadeGuardrail};
use crate::domain::testing::a_view;
use crate::prelude::*;

/// A view to which acts are applied one after the other, as the store does.
#[derive(Clone)]
struct Story {
    view: View,
    now: Moment,
}

impl Story {
    fn new() -> Story {
        let view = a_view();
        let now = view.programme.settings.term.starts_at() + 1.hour();
        Story { view, now }
    }

    /// The story of a grant whose first key, named `a`, was just shown.
    fn live() -> Story {
        let mut story = Story::new();
        story.shown(KeyRequestKind::Reveal, 'a');
        story
    }

    fn after(&mut self, span: impl Into<TimestampArithmetic>) -> &mut Story {
        self.now = self.now.checked_add(span).unwrap();
        self
    }

    fn held(&mut self, kind: HoldKind) -> &mut Story {
        self.apply(self.view.hold(kind, &faculty(), None, self.now).unwrap())
    }

    fn released(&mut self, kind: HoldKind) -> &mut Story {
        self.apply(self.view.release(kind, &faculty(), self.now).unwrap())
    }

    fn revoked(&mut self) -> &mut Story {
        self.apply(self.view.revoke(&faculty(), None, self.now).unwrap())
    }

    fn cost(&self) -> Usd {
        self.view.reservation().cost(self.now)
    }

    fn apply(&mut self, change: Change) -> &mut Story {
        assert_eq!(change.grant.version, self.view.grant.version + 1, "every act moves the version by one");
        if let Logged::Mark(mark) = change.logged() {
            assert_eq!(entitled(&change.grant), entitled(&self.view.grant), "{mark:?} is no mark");
        }
        let change = change.counted(&self.view, self.now);
        self.view.grant = change.grant;
        match change.budget {
            BudgetChange::None => {}
            BudgetChange::Take(amount) | BudgetChange::TakeAnyway(amount) => self.view.budget.reserved += amount,
        }
        if let Some(reading) = change.reading {
            self.view.readings.retain(|known| known.epoch != reading.epoch);
            self.view.readings.push(reading);
        }
        self
    }

    fn press(&self, kind: KeyRequestKind) -> Result<(Change, OpenAttempt), BeginRefused> {
        let terms = self.view.programme.settings.terms_hash();
        self.view.begin(KeyRequest { kind, epoch: self.view.grant.epoch, terms }, Nonce::random(), self.now)
    }

    fn refused(&self, kind: KeyRequestKind) -> BeginRefused {
        self.press(kind).unwrap_err()
    }

    fn begin(&mut self, kind: KeyRequestKind) -> OpenAttempt {
        let (change, begun) = self.press(kind).unwrap();
        self.apply(change);
        begun
    }

    /// The guardrail that the next key has to be under, as its minter read it.
    fn guardrail(&self) -> Option<KeyGuardrail> {
        self.view.guardrail_of_next_key().map(|of| under(&of))
    }

    /// The whole claim or replacement, with the key named by one hex digit.
    fn shown(&mut self, kind: KeyRequestKind, key: char) -> &mut Story {
        let begun = self.begin(kind);
        for order in self.view.grant.orders_off().collect::<Vec<_>>() {
            self.disabled(order.epoch);
        }
        let limit = self.view.next_limit(self.now).unwrap();
        let minted = MintedKey { key: hash(key), limit, guardrail: self.guardrail() };
        self.apply(self.view.record(&begun, &minted, self.now).unwrap())
    }

    /// The provider's confirmation of what is ordered of this attempt.
    fn disabled(&mut self, epoch: Epoch) -> &mut Story {
        self.switched(epoch, OrderKind::Off)
    }

    fn enabled(&mut self, epoch: Epoch) -> &mut Story {
        self.switched(epoch, OrderKind::On)
    }

    fn switched(&mut self, epoch: Epoch, kind: OrderKind) -> &mut Story {
        let order = self.order(epoch, kind).unwrap();
        self.apply(self.view.confirmed(&order, self.now).unwrap())
    }

    fn order(&self, epoch: Epoch, kind: OrderKind) -> Option<Order> {
        self.view.grant.orders().into_iter().find(|order| order.epoch == epoch && order.kind == kind)
    }

    fn limited(&mut self) -> &mut Story {
        let live = self.view.grant.live().unwrap().epoch;
        let order = self.order(live, OrderKind::Limit).unwrap();
        let Some(WantedLimit::Limit(limit)) = self.view.limit_wanted(self.now) else { panic!("no limit is wanted") };
        let sent = SentLimit { limit, at: self.now, unanswered_before: None };
        if let Ok(change) = self.view.sending_limit(live, limit, self.now) {
            self.apply(change);
        }
        let window = self.view.programme.settings.basis.reset.window_at(self.now);
        self.apply(self.view.limit_confirmed(&order, sent, window, self.now).unwrap())
    }

    fn read_at_last(&mut self, epoch: u32, micros: i64) -> &mut Story {
        self.now += SETTLING;
        let mut read = self.clone();
        let reading = read.reading(epoch, micros).view.reading(Epoch::new(epoch)).unwrap().clone();
        self.apply(self.view.read_for_the_last_time(&reading).unwrap())
    }

    fn swept(&self, epoch: u32, key: char) -> Result<Change, Unchanged> {
        let nonce =
            self.view.grant.attempt(Epoch::new(epoch)).map_or_else(Nonce::random, |attempt| attempt.nonce.clone());
        self.view.sweep(Epoch::new(epoch), &nonce, &hash(key), self.now)
    }

    fn reading(&mut self, epoch: u32, micros: i64) -> &mut Story {
        let used = Usd::from_micros(micros);
        self.view.readings.retain(|reading| reading.epoch != Epoch::new(epoch));
        self.view.readings.push(Reading {
            used: DailyUse::on_one(utc_date(self.now), used),
            ..Reading::new(&self.view.grant.programme, &self.view.grant.id, Epoch::new(epoch), self.now)
        });
        self
    }
}

/// All of a grant that no mark may change: what its person and its keys are entitled to.
fn entitled(grant: &Grant) -> impl PartialEq + std::fmt::Debug + use<> {
    let key = |of: &Attempt| (of.epoch, of.state, of.key.clone(), of.limit, of.switch.is_wanted());
    let keys: Vec<_> = grant.attempts.iter().map(key).collect();
    (Grant { attempts: Vec::new(), version: 0, ..grant.clone() }, keys)
}

fn hash(digit: char) -> KeyHash {
    digit.to_string().repeat(64).parse().unwrap()
}

fn minted(digit: char) -> MintedKey {
    MintedKey { key: hash(digit), limit: Usd::from_dollars(20), guardrail: None }
}

/// That a key is under a guardrail that was made.
fn under(of: &GuardrailOwner) -> KeyGuardrail {
    KeyGuardrail { group: of.group.clone(), id: of.to_string() }
}

fn made(of: Option<GuardrailOwner>) -> Vec<Guardrail> {
    let made = |of: &GuardrailOwner| {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        Some(MadeGuardrail { id: of.to_string(), answered: String::new(), at })
    };
    of.into_iter().map(|of| Guardrail { made: made(&of), ..Guardrail::new(of) }).collect()
}

fn faculty() -> Actor {
    Actor::Person(PersonId::random())
}

fn attempt(story: &Story, epoch: u32) -> &Attempt {
    story.view.grant.attempt(Epoch::new(epoch)).unwrap()
}
