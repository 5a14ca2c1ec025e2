//! The acts as rules: who may do what from where, and what each leaves behind.

mod claims;
mod drift;
mod edited;
mod endings;
mod lifecycle;
mod owed;
mod recover;
mod reservation;
mod rules;
mod ways_out;

use jiff::{TimestampArithmetic, ToSpan};

use super::*;
use crate::clock::Moment;
use crate::domain::audit::Actor;
use crate::domain::grant::{Grant, View};
use crate::domain::programme::guardrail::{Guardrail, GuardrailOwner, MadeGuardrail};
use crate::domain::programme::rules::Rules;
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::id::{Epoch, KeyHash, PersonId};
use crate::domain::values::money::Usd;
use crate::domain::values::window::{Reset, utc_date};
use crate::tests::values::a_view;

/// A view to which acts are applied one after the other, as the store does, with notes for a
/// snapshot.
#[derive(Clone)]
struct Story {
    view: View,
    now: Moment,
    notes: Vec<String>,
}

impl Story {
    fn new() -> Story {
        let view = a_view();
        let now = view.programme.settings.term.starts_at() + 1.hour();
        Story {
            view,
            now,
            notes: Vec::new(),
        }
    }

    /// The story of a grant whose first key, named `a`, was just shown.
    fn live() -> Story {
        let mut story = Story::new();
        story.show(KeyRequestKind::Reveal, 'a');
        story
    }

    /// Notes the state, the keys by their letters, the calls to the provider, and the cost beside
    /// the reserved amount.
    fn note(&mut self, words: &str) -> &mut Story {
        let mut line = format!("{words}: {}", self.view.grant);
        if let GrantState::Stopped { why } = self.view.grant.state {
            line += &format!(" ({why:?})");
        }
        for key in &self.view.grant.keys {
            let mut states = vec![("on", true), ("off", false)];
            states.retain(|(_, on)| key.enabled.may_be(on));
            let states: Vec<&str> = states.into_iter().map(|(word, _)| word).collect();
            line += &format!(", {} {}", letter(&key.hash), states.join(" or "));
        }
        for call in self.view.calls(self.now) {
            line += &format!("; tell {} {:?}", letter(&call.key), call.tell);
            if call.due > self.now {
                line += &format!(" in {:#}", call.due.duration_since(self.now));
            }
        }
        line += &format!(
            "; {} of {}",
            self.cost().to_dollars(),
            self.view.budget.reserved.to_dollars()
        );
        self.notes.push(line);
        self
    }

    /// Notes why an act is refused.
    fn note_refusal<T, R: std::fmt::Debug>(
        &mut self,
        words: &str,
        act: Result<T, R>,
    ) -> &mut Story {
        let Err(why) = act else {
            panic!("{words}: it is not refused")
        };
        self.notes.push(format!("{words}: {why:?}"));
        self
    }

    fn notes(&self) -> String {
        self.notes.join("\n")
    }

    fn after(&mut self, span: impl Into<TimestampArithmetic>) -> &mut Story {
        self.now = self.now.checked_add(span).unwrap();
        self
    }

    fn hold(&mut self, kind: HoldKind) -> &mut Story {
        self.apply(self.view.hold(kind, &faculty(), None, self.now).unwrap())
    }

    fn release(&mut self, kind: HoldKind) -> &mut Story {
        self.apply(self.view.release(kind, &faculty(), self.now).unwrap())
    }

    fn revoke(&mut self) -> &mut Story {
        self.apply(self.view.revoke(&faculty(), None).unwrap())
    }

    fn leak(&mut self) -> &mut Story {
        self.apply(
            self.view
                .report_leaked(self.view.grant.epoch, &Actor::Student)
                .unwrap(),
        )
    }

    fn cost(&self) -> Usd {
        self.view.reservation().cost(self.now)
    }

    fn apply(&mut self, change: Change) -> &mut Story {
        assert_eq!(
            change.grant.version,
            self.view.grant.version + 1,
            "every act moves the version by one"
        );
        if change.logged == Logged::Mark {
            assert_eq!(
                entitled(&change.grant),
                entitled(&self.view.grant),
                "a mark changes no right"
            );
        }
        let change = change.counted(&self.view, self.now);
        self.view.grant = change.grant;
        match change.budget {
            BudgetChange::None => {}
            BudgetChange::Take(amount) | BudgetChange::TakeAnyway(amount) => {
                self.view.budget_mut().reserved += amount;
            }
        }
        self
    }

    fn press(&self, kind: KeyRequestKind) -> Result<(Change, OpenClaim), BeginRefused> {
        let terms = self.view.programme.settings.terms_hash();
        self.view.begin(
            KeyRequest {
                kind,
                epoch: self.view.grant.epoch,
                terms,
            },
            Nonce::random(),
            self.now,
        )
    }

    fn refused(&self, kind: KeyRequestKind) -> BeginRefused {
        self.press(kind).unwrap_err()
    }

    fn press_in_vain(&mut self, kind: KeyRequestKind) -> &mut Story {
        self.note_refusal(&format!("{kind:?}"), self.press(kind))
    }

    /// A claim that comes to nothing.
    fn fail(&mut self) -> &mut Story {
        let begun = self.begin(KeyRequestKind::Reveal);
        self.apply(
            self.view
                .give_up(&begun, None, "no answer", self.now)
                .unwrap(),
        )
    }

    fn give_back(&mut self) -> &mut Story {
        self.apply(self.view.hand_back(self.view.grant.epoch).unwrap())
    }

    fn miss(&mut self, key: char) -> &mut Story {
        self.apply(self.view.not_found(&hash(key), self.now).unwrap())
    }

    fn set_cap(&mut self, cap: i32) -> &mut Story {
        self.apply(
            self.view
                .set_cap(Some(Usd::from_dollars(cap)), &faculty(), None, self.now)
                .unwrap(),
        )
    }

    fn end(&mut self) -> &mut Story {
        self.now = self.view.programme.settings.term.ends_at();
        self.apply(self.view.end(&Actor::Rule, self.now).unwrap())
    }

    fn set_reset(&mut self, reset: Reset) -> &mut Story {
        self.view.settings_mut().basis.reset = reset;
        self.view.budget_mut().limit = Usd::from_dollars(100_000);
        self
    }

    fn begin(&mut self, kind: KeyRequestKind) -> OpenClaim {
        let (change, begun) = self.press(kind).unwrap();
        self.apply(change);
        begun
    }

    /// The guardrail that the next key has to be under, as its minter read it.
    fn guardrail(&self) -> Option<KeyGuardrail> {
        match self.view.next_guardrail() {
            NextGuardrail::Confirmed { owner: of, .. } => Some(under(&of)),
            NextGuardrail::None | NextGuardrail::NotConfirmed => None,
        }
    }

    /// The whole claim or replacement, with the key named by one hex digit.
    fn show(&mut self, kind: KeyRequestKind, key: char) -> &mut Story {
        let begun = self.begin(kind);
        self.settle_off();
        let limit = self.view.next_limit(self.now).unwrap();
        let minted = MintedKey {
            limit,
            guardrail: self.guardrail(),
            ..minted(key)
        };
        self.apply(self.view.record(&begun, &minted, self.now).unwrap());
        assert_eq!(
            self.view.grant.due_at,
            Some(self.now),
            "settings may have been edited meanwhile"
        );
        self.look()
    }

    /// The look of the next minute's work at a grant for which nothing is to be done.
    fn look(&mut self) -> &mut Story {
        if let Ok(change) = self.view.refresh_due(self.now) {
            self.apply(change);
        }
        self
    }

    /// What is due of a key.
    fn due(&self, epoch: u32) -> Vec<Tell> {
        let calls = self.view.calls(self.now).into_iter();
        calls
            .filter(|call| call.epoch == Epoch::new(epoch) && call.due <= self.now)
            .map(|call| call.tell)
            .collect()
    }

    fn call(&self, epoch: u32, is_it: impl Fn(&Tell) -> bool) -> KeyCall {
        let mut calls = self.view.calls(self.now).into_iter();
        calls
            .find(|call| call.epoch == Epoch::new(epoch) && is_it(&call.tell))
            .unwrap()
    }

    /// Notes that something is sent, whose answer may come later.
    fn send(&mut self, epoch: u32, is_it: impl Fn(&Tell) -> bool) -> (KeyCall, Moment) {
        let call = self.call(epoch, is_it);
        self.apply(self.view.with_note(&call, self.now).unwrap());
        (call, self.now)
    }

    fn answer(&mut self, (call, noted): &(KeyCall, Moment)) -> &mut Story {
        if let Ok(change) = self.view.answered(call, read_answer(*noted), self.now) {
            self.apply(change);
        }
        self
    }

    /// Sends something, and has the answer at once.
    fn tell(&mut self, epoch: u32, is_it: impl Fn(&Tell) -> bool) -> &mut Story {
        let sent = self.send(epoch, is_it);
        self.answer(&sent)
    }

    fn disable(&mut self, epoch: u32) -> &mut Story {
        self.tell(epoch, is_off)
    }

    fn enable(&mut self, epoch: u32) -> &mut Story {
        self.tell(epoch, is_on)
    }

    fn limit(&mut self) -> &mut Story {
        let live = self.view.grant.live().unwrap().epoch.number();
        self.tell(live, is_limit)
    }

    /// Everything that is meant and due is sent and answered.
    fn settle(&mut self, is_meant: impl Fn(&KeyCall) -> bool) -> &mut Story {
        for _ in 0..8 {
            let open =
                |call: &KeyCall| call.due <= self.now && is_meant(call) && call.tell != Tell::Read;
            let Some(call) = self.view.calls(self.now).into_iter().find(open) else {
                break;
            };
            if self.view.with_note(&call, self.now).is_err() {
                break;
            }
            self.tell(call.epoch.number(), |tell| *tell == call.tell);
        }
        self
    }

    fn settle_off(&mut self) -> &mut Story {
        self.settle(|call| call.tell == Tell::Off)
    }

    /// The final reading of a key that is off.
    fn read_at_last(&mut self, epoch: u32, micros: i64) -> &mut Story {
        self.now += SETTLING;
        self.read(epoch, micros);
        let call = self.call(epoch, |tell| *tell == Tell::Read);
        self.answer(&(call, self.now))
    }

    /// What a listing shows of the key with this letter.
    fn seen(&self, key: char, shows: &SeenKey) -> Result<Change, Unchanged> {
        self.view.seen(&hash(key), shows, self.now)
    }

    /// A listing shows a key of ours that no claim recorded.
    fn orphan(&self, epoch: u32, key: char, made_at: Moment) -> Result<Change, Unchanged> {
        self.view
            .record_orphan(Epoch::new(epoch), &hash(key), made_at, self.now)
    }

    fn read(&mut self, epoch: u32, micros: i64) -> &mut Story {
        let used = Usd::from_micros(micros);
        self.view
            .readings
            .retain(|reading| reading.epoch != Epoch::new(epoch));
        self.view.readings.push(Reading {
            used: DailyUse::on_one(utc_date(self.now), used),
            ..Reading::new(
                &self.view.grant.programme,
                &self.view.grant.id,
                Epoch::new(epoch),
                self.now,
            )
        });
        self
    }
}

fn join_notes(stories: &[Story]) -> String {
    let notes: Vec<String> = stories.iter().map(Story::notes).collect();
    notes.join("\n\n")
}

/// All of a grant that no mark may change: what its person and the keys that were shown are
/// entitled to.
fn entitled(grant: &Grant) -> impl PartialEq + std::fmt::Debug + use<> {
    let keys = grant.keys.iter().filter(|of| of.shown_at.is_some());
    let keys: Vec<_> = keys.map(|of| of.hash.clone()).collect();
    (
        Grant {
            keys: Vec::new(),
            version: 0,
            due_at: None,
            provider_agrees: true,
            backoff: None,
            ends_since: None,
            ..grant.clone()
        },
        keys,
    )
}

/// An answer to a call that was sent as it was noted, which says what the key used.
fn read_answer(noted: Moment) -> Answered {
    Answered {
        noted,
        sent: noted,
        is_read: true,
    }
}

fn is_off(tell: &Tell) -> bool {
    *tell == Tell::Off
}

fn is_on(tell: &Tell) -> bool {
    *tell == Tell::On
}

fn is_guardrail(tell: &Tell) -> bool {
    matches!(tell, Tell::Guardrail(_))
}

fn is_limit(tell: &Tell) -> bool {
    matches!(tell, Tell::Limit(_))
}

fn letter(key: &KeyHash) -> &str {
    &key.as_str()[..1]
}

fn hash(digit: char) -> KeyHash {
    digit.to_string().repeat(64).parse().unwrap()
}

fn minted(digit: char) -> MintedKey {
    MintedKey {
        hash: hash(digit),
        label: None,
        limit: Usd::from_dollars(20),
        guardrail: None,
        expires_at: None,
    }
}

/// That a key is under a guardrail that was made.
fn under(of: &GuardrailOwner) -> KeyGuardrail {
    KeyGuardrail {
        group: of.group.clone(),
        id: of.to_string(),
    }
}

fn made(of: &GuardrailOwner) -> Guardrail {
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let made = Some(MadeGuardrail {
        id: of.to_string(),
        answered: String::new(),
        answered_at: at,
    });
    let mut guardrail = Guardrail {
        remote: made,
        ..Guardrail::new(of.clone())
    };
    guardrail.rules.take_in(&Rules::default(), at, None, at);
    guardrail
}

/// A key as it is listed at an instant, with its use.
fn listed(enabled: bool, limit: i32, asked: Moment) -> SeenKey {
    SeenKey {
        enabled,
        limit: ListedLimit::Limit(Usd::from_dollars(limit)),
        asked_at: asked,
        is_read: true,
    }
}

fn faculty() -> Actor {
    Actor::Person(PersonId::random())
}

fn key(story: &Story, epoch: u32) -> &GrantKey {
    story
        .view
        .grant
        .keys
        .iter()
        .find(|key| key.epoch == Epoch::new(epoch))
        .unwrap()
}
