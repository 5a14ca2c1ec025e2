//! Acts on a stack's table without the pages: a programme, people on its roster, their keys.

use std::time::Duration;

use crate::stack::{Stack, begins};
use bursar_core::deadline::Deadline;
use bursar_core::domain::audit::{Act, Actor, AuditDetail};
use bursar_core::domain::grant::{MintedKey, Person, Press, PressKind, View};
use bursar_core::domain::people::session::Session;
use bursar_core::domain::people::sign_in::{LINK_LASTS, LiveLink, Proof};
use bursar_core::domain::programme::rule_set::Guardrail;
use bursar_core::domain::programme::{Byok, Settings};
use bursar_core::domain::usage::crossing::{Crossing, Scope};
use bursar_core::domain::usage::reading::{DailyUse, Reading};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{Epoch, GrantId, KeyName, Nonce, PersonId, ProgrammeId, RuleSetId, new_ulid};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::token::{AskToken, LinkToken, SessionToken};
use bursar_core::domain::values::window::{Reset, Window, utc_date};
use bursar_core::store::{
    Acquired, ActContext, ActOutcome, Author, Edit, EditOutcome, FencedTable, LinkOutcome, NewPerson, SignInWrite,
    StoreError, Table,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::aws;

/// A programme of a stack, with acts on it as the console and `claim` commit them.
pub struct Office<'a> {
    stack: &'a Stack,
    pub table: Table,
    pub programme: ProgrammeId,
    pub faculty: Actor,
}

impl Office<'_> {
    pub async fn open(stack: &Stack) -> Office<'_> {
        let table = Table::new(&stack.config);
        let faculty = Actor::Person(PersonId::random());
        let today = utc_date(stack.clock.now());
        let term = Term::new(today, today.saturating_add(jiff::ToSpan::days(90)), "UTC").unwrap();
        let settings = Settings::new("CS pilot", term, Usd::from_dollars(20));
        let by = Author { actor: &faculty, now: stack.clock.now(), deadline: soon() };
        let programme = table.create_programme(settings, Usd::from_dollars(100), by).await.unwrap();
        Office { stack, table, programme, faculty }
    }

    /// The office of a programme that exists already.
    pub fn of<'s>(stack: &'s Stack, programme: &str) -> Office<'s> {
        let (table, faculty) = (Table::new(&stack.config), Actor::Person(PersonId::random()));
        Office { stack, table, programme: programme.parse().unwrap(), faculty }
    }

    pub async fn invite(&self, address: &str) -> GrantId {
        let person = Person { address: EmailAddress::parse(address).unwrap(), name: None, roster_id: None };
        let by = Author { actor: &self.faculty, now: self.stack.clock.now(), deadline: soon() };
        let added = self.table.invite(&self.programme, &[NewPerson { person, group: None }], by).await.unwrap();
        added.into_iter().next().unwrap()
    }

    pub fn at<'g>(&'g self, grant: &'g GrantId) -> ActContext<'g> {
        ActContext { programme: &self.programme, grant, now: self.stack.clock.now(), deadline: soon() }
    }

    /// A claim without `claim`: an attempt is begun, a key of its name made at the provider and recorded.
    pub async fn claim(&self, grant: &GrantId) -> String {
        let press = Press { kind: PressKind::Reveal, epoch: Epoch::BEFORE_THE_FIRST, terms: None };
        let ActOutcome::Done(begun) =
            self.table.act(self.at(grant), |view, now| view.begin(press, Nonce::random(), now)).await.unwrap()
        else {
            panic!("not begun")
        };
        let name = KeyName {
            deployment: self.stack.ready.deployment.parse().unwrap(),
            programme: self.programme.clone(),
            grant: grant.clone(),
            epoch: begun.epoch,
            nonce: begun.nonce.clone(),
        };
        let settings = self.table.programme(&self.programme).await.unwrap().unwrap().settings;
        let expires_at = format!("{:.0}", settings.keys_expire_at());
        let Settings { reset, byok, .. } = settings;
        let reset = (reset != Reset::None).then(|| json!(reset));
        let limit = self.next_limit(grant).await;
        let request = aws::http()
            .post(format!("{}/keys", self.stack.ready.provider))
            .bearer_auth(aws::management_key(&self.stack.ready).await)
            .json(&json!({
                "name": name.to_string(), "limit": limit.to_json(), "limit_reset": reset, "expires_at": expires_at,
                "include_byok_in_limit": byok == Byok::Inside,
            }));
        let made: Value = request.send().await.unwrap().json().await.unwrap();
        let hash = made["data"]["hash"].as_str().unwrap().to_owned();
        let rule_set = self.next_rules(grant).await;
        let minted = MintedKey { key: hash.parse().unwrap(), limit, rule_set };
        let recorded = self.table.act(self.at(grant), |view, now| view.record(&begun, &minted, now)).await.unwrap();
        assert!(matches!(recorded, ActOutcome::Done(_)), "{recorded:?}");
        hash
    }

    /// The limit that the next key of a grant would get.
    pub async fn next_limit(&self, grant: &GrantId) -> Usd {
        self.view(grant).await.next_limit(self.stack.clock.now()).unwrap()
    }

    /// The rule set that the next key of a grant has to be under.
    pub async fn next_rules(&self, grant: &GrantId) -> Option<RuleSetId> {
        self.view(grant).await.rules_of_next_key().map(|rules| rules.id())
    }

    async fn view(&self, grant: &GrantId) -> View {
        self.table.view(&self.programme, grant).await.unwrap().unwrap()
    }

    /// The guardrail of the programme's rules, if the provider has confirmed them.
    pub async fn guardrail(&self) -> Option<Guardrail> {
        let rules = self.table.programme(&self.programme).await.unwrap().unwrap().settings.rules(None);
        self.table.rule_set(&rules.id()).await.unwrap()?.guardrail
    }

    pub fn key(&self, hash: &str) -> bursar_local::provider::KeySnapshot {
        let keys = self.stack.provider.as_ref().unwrap().keys();
        keys.into_iter().find(|key| key.hash == hash).unwrap()
    }
}

/// The cookie of a session that has just begun, written through the table: `bursar=…`.
pub async fn session_cookie(stack: &Stack, address: &str) -> String {
    let table = Table::new(&stack.config);
    let (address, now) = (EmailAddress::parse(address).unwrap(), stack.clock.now());
    let (token, link) = (SessionToken::generate(), LinkToken::generate());
    let live =
        LiveLink { link: link.hash(), code: None, asked_by: AskToken::generate().hash(), ends_at: now + LINK_LASTS };
    let made = table.make_link(new_ulid(now), address.matched(), &live, now, soon()).await.unwrap();
    assert_eq!(made, LinkOutcome::Yes, "one link a minute");
    let proof = Proof::Address(address.matched().clone());
    let after = table.sign_in_of(address.matched()).await.unwrap().follow(&link.hash(), &proof, now).unwrap();
    let person = Some(table.person_of(&address, soon()).await.unwrap());
    let session = Session::begun(token.hash(), address.matched().clone(), person, now);
    assert_eq!(table.sign_in(&after, &session, soon()).await.unwrap(), SignInWrite::Yes);
    format!("bursar={}", token.reveal())
}

/// A crossing of a threshold of a pot, found now.
pub fn crossing(programme: &ProgrammeId, limit: Usd, threshold: u8, now: Timestamp) -> Crossing {
    Crossing {
        programme: programme.clone(),
        scope: Scope::Pot,
        window: Window::WHOLE_TERM,
        limit,
        threshold,
        spent: Usd::from_micros(limit.micros() / 100 * i64::from(threshold)),
        found_at: now,
        is_mailed: true,
        mails: Vec::new(),
    }
}
/// Runs a write under the sync's lease, and returns whether it was written.
pub async fn as_sync(table: &Table, write: impl AsyncFnOnce(FencedTable<'_>) -> Result<bool, StoreError>) -> bool {
    let (now, deadline) = (begins(), soon());
    let acquired = table.acquire("a test", "a test", now, SignedDuration::from_hours(1), deadline).await.unwrap();
    let Acquired::Yes(lease) = acquired else { panic!("another test writes as the sync") };
    write(table.under(&lease, deadline)).await.unwrap()
}

/// A deadline with time for one act.
pub fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(25))
}

/// The reading of a grant's first key in a term without windows.
pub fn reading(programme: &ProgrammeId, grant: &GrantId, used: DailyUse, as_of: Timestamp) -> Reading {
    Reading {
        programme: programme.clone(),
        grant: grant.clone(),
        epoch: Epoch::new(1),
        in_window: used.credits.total(),
        used,
        window: Window::WHOLE_TERM,
        before: Usd::ZERO,
        last_used_at: None,
        as_of,
        unchanged_until: None,
    }
}

/// Edits of a programme, as the console's forms make them.
#[expect(async_fn_in_trait, reason = "only tests call it")]
pub trait ProgrammeEdits {
    /// Saves settings that were read in this version.
    async fn save_settings(
        &self,
        programme: &ProgrammeId,
        settings: Settings,
        version: u64,
        what: AuditDetail,
        by: Author<'_>,
    ) -> Result<EditOutcome, StoreError>;

    /// Sets the pot, to no less than is reserved.
    async fn set_pot(&self, programme: &ProgrammeId, limit: Usd, by: Author<'_>);

    /// Tries to set the pot.
    async fn try_pot(&self, programme: &ProgrammeId, limit: Usd, by: Author<'_>) -> EditOutcome;
}

impl ProgrammeEdits for Table {
    async fn save_settings(
        &self,
        programme: &ProgrammeId,
        settings: Settings,
        version: u64,
        what: AuditDetail,
        by: Author<'_>,
    ) -> Result<EditOutcome, StoreError> {
        self.edit(programme, &Edit::of_settings(settings, version, what), by).await
    }

    async fn set_pot(&self, programme: &ProgrammeId, limit: Usd, by: Author<'_>) {
        assert_eq!(self.try_pot(programme, limit, by).await, EditOutcome::Done);
    }

    async fn try_pot(&self, programme: &ProgrammeId, limit: Usd, by: Author<'_>) -> EditOutcome {
        let read = self.programme(programme).await.unwrap().unwrap();
        let pot = self.pot(programme).await.unwrap().unwrap();
        let edit = Edit::of_settings(read.settings, read.version, AuditDetail::new(Act::Edited));
        self.edit(programme, &Edit { pot: Some((pot.limit, limit)), ..edit }, by).await.unwrap()
    }
}
