//! A grant built by acts in sequence, and the words that its student then reads.

use askama::Template;
use bursar_core::domain::grant::{Change, KeyRequest, MintedKey, Reading, Stopped};
use bursar_core::domain::sign_in::{Session, SignIn, SignInMethod};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::format::Joined;
use bursar_core::domain::values::id::{Epoch, KeyHash, Nonce};
use bursar_core::domain::values::token::SessionToken;
use bursar_core::domain::values::window::utc_date;
use bursar_core::web::Visitor;

use super::*;
use crate::tests::{a_view, at, readable};

#[derive(Template)]
#[template(path = "card.html")]
struct Alone<'a> {
    visitor: &'a Visitor,
    card: Card<'a>,
}

/// A grant under test, with the current time.
pub(super) struct Story {
    pub(super) view: View,
    pub(super) rules: StudentRules,
    pub(super) now: Moment,
    pub(super) listed_at: Option<Moment>,
}

impl Story {
    pub(super) fn new() -> Story {
        Story {
            view: a_view(),
            rules: StudentRules::default(),
            now: at("2026-11-20T13:05:00Z"),
            listed_at: None,
        }
    }

    pub(super) fn set(mut self, change: impl FnOnce(&mut View)) -> Story {
        change(&mut self.view);
        self
    }

    pub(super) fn after(mut self, span: jiff::Span) -> Story {
        self.now += span;
        self
    }

    pub(super) fn apply(mut self, change: &Change) -> Story {
        self.view.grant = change.clone().counted(&self.view, self.now).grant.clone();
        self
    }

    pub(super) fn begun(
        self,
        kind: KeyRequestKind,
    ) -> (Story, bursar_core::domain::grant::OpenClaim) {
        let request = KeyRequest {
            kind,
            epoch: self.view.grant.epoch,
            terms: self.view.programme.settings.terms_hash(),
        };
        let (change, begun) = self.view.begin(request, Nonce::random(), self.now).unwrap();
        (self.apply(&change), begun)
    }

    pub(super) fn shown(self) -> Story {
        let (story, begun) = self.begun(KeyRequestKind::Reveal);
        let minted = MintedKey {
            hash: key('a'),
            label: None,
            limit: Usd::from_dollars(20),
            guardrail: None,
            expires_at: None,
        };
        let change = story.view.record(&begun, &minted, story.now).unwrap();
        story.apply(&change)
    }

    pub(super) fn stopped(self, why: Stopped) -> Story {
        let change = self.view.stop(why, &Actor::Rule).unwrap();
        self.apply(&change)
    }

    pub(super) fn held(self, kind: HoldKind) -> Story {
        let change = self.view.hold(kind, &Actor::Rule, None, self.now).unwrap();
        self.apply(&change)
    }

    pub(super) fn used(mut self, micros: i64) -> Story {
        let used = Usd::from_micros(micros);
        self.view.readings = vec![Reading {
            used: DailyUse::on_one(utc_date(self.now), used),
            ..Reading::new(
                &self.view.grant.programme,
                &self.view.grant.id,
                Epoch::new(1),
                self.now,
            )
        }];
        self
    }

    pub(super) fn words(&self) -> String {
        Card::new(&self.view, &self.rules, self.listed_at, None, self.now).words
    }

    /// State, words and buttons of the card, without what explains the buttons.
    pub(super) fn brief(&self) -> String {
        let text = self.reads();
        let lines: Vec<&str> = text.lines().skip(1).collect();
        let buttons = lines.iter().skip(2).filter(|line| line.starts_with('['));
        [lines[..2].join(": ")]
            .into_iter()
            .chain(buttons.map(|button| (*button).to_owned()))
            .joined(" ")
    }

    /// What is left and used, and the cap.
    pub(super) fn money(&self) -> String {
        let text = self.reads();
        let of = text.lines().filter(|line| {
            ["Left:", "Used:", "Cap:"]
                .iter()
                .any(|begin| line.starts_with(begin))
        });
        of.joined(" ")
    }

    pub(super) fn reads(&self) -> String {
        let token = SessionToken::generate();
        let address = self.view.grant.person.address.matched().clone();
        let session = Session::new(
            token.hash(),
            &SignIn::none(address),
            SignInMethod::Link,
            None,
            self.now,
        );
        let visitor = Visitor {
            session,
            csrf: token.csrf(),
            is_admin: false,
        };
        readable(
            &Alone {
                visitor: &visitor,
                card: Card::new(&self.view, &self.rules, self.listed_at, None, self.now),
            }
            .render()
            .unwrap(),
        )
    }
}

fn key(digit: char) -> KeyHash {
    digit.to_string().repeat(64).parse().unwrap()
}
