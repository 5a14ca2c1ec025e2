//! Footers: why a mail was sent, and whom to ask. Each kind's is here once, and in no other snapshot.

use std::collections::BTreeSet;

use bursar_core::domain::audit::{Act, Actor, AuditDetail};
use bursar_core::domain::grant::Stopped;
use bursar_core::domain::ledger::cut::{AccountCut, LifetimeUse, ProgrammeCut};
use bursar_core::domain::mail::alarm::Cause;
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::programme::request::{Request, Wish};
use bursar_core::domain::usage::reconciliation::AccountSpending;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::Author;
use bursar_local::inbox::Contents;
use bursar_local::invoke::FunctionName;
use serde_json::json;

use super::{PostOffice, address, soon};

/// The part of a mail above its footer.
pub(crate) fn without_footer(text: &str) -> &str {
    split(text).0
}

fn split(text: &str) -> (&str, &str) {
    text.split_once("\n\n-- \n").expect("a mail has a footer")
}

#[tokio::test]
async fn every_kind_of_mail_says_why_it_came_and_whom_to_ask() {
    let mut office = PostOffice::open().await;
    let ada = office.enrol("ada@example.edu").await;
    office.claim(&ada).await;
    office.used(&ada, 16_799_999).await;
    office.settle().await;
    office.unread();
    office.cross(80, office.steadily(1, 3_359_999_001)).await;
    office.ask("admin@example.edu").await;
    office.wish().await;
    assert!(office.raise(Cause::ManagementKey).await);
    office.settle().await;
    office.stack.clock.stop_at("2026-11-23T10:00:00Z".parse().unwrap()).unwrap();
    office.stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": "digest"})).await.unwrap();
    office.a_month().await;
    office.stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": "watch"})).await.unwrap();
    office.table.act(office.at(&ada), |view, now| view.stop(Stopped::Leaked, &Actor::Student, now)).await.unwrap();
    // The key is made up, so the order to disable it stays open: only the stream and the drain run.
    office.stack.pump.drained().await.unwrap();
    office.drain().await;

    let (mut ruled, bob) = PostOffice::with_rules(1, 8).await;
    for _ in 0..2 {
        ruled.rules(&bob).await;
        ruled.drain().await;
        ruled.pass(24 * 60).await;
    }

    let (mut kinds, mut whys, mut rest) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for office in [office, ruled] {
        office.stack.ses.unread();
        for mail in office.stack.ses.mails() {
            let Contents { kind, text, .. } = Contents::of(&mail.raw);
            let (kind, text) = (kind.unwrap(), text.unwrap().replace(&office.stack.ready.web, "[origin]"));
            let (why, whom) = split(&text).1.split_once('\n').unwrap();
            whys.insert(format!("{kind}: {why}"));
            rest.insert(whom.to_owned());
            kinds.insert(kind);
        }
        office.finish().await;
    }
    assert_eq!(kinds, MailKind::ALL.map(|kind| kind.as_str().to_owned()).into());
    insta::assert_snapshot!(whys.into_iter().collect::<Vec<_>>().join("\n"), @"
    account: You get this mail because you are an admin of Bursar at Example University.
    alert: You get this mail because you are among those who hear about the money of CS pilot.
    digest: You get this mail on Mondays because you are an admin of Bursar at Example University. You can choose on your page which of these mails you get: [origin]/my#mails
    digest: You get this mail on Mondays because you are faculty of CS pilot. Its faculty can set another day, or none. You can choose on your page which of these mails you get: [origin]/my#mails
    key-leaked: You get this mail because a key of yours was reported leaked.
    key-shown: You get this mail each time a key of yours is shown.
    link: You get this mail because this address was entered at [origin].
    request: You get this mail because you are an admin of Bursar at Example University.
    roster: You get this mail because Example University put you on the roster of CS pilot.
    statement: You get this mail once a month because CS pilot names you for finance. The admins of Bursar at Example University can change that.
    student: You get this mail because CS pilot switches off keys that are not used for 1 day.
    student: You get this mail because CS pilot wants keys replaced after 8 days.
    student: You get this mail because you have a key for CS pilot. You can choose on your page which of these mails you get: [origin]/my#mails
    ");
    insta::assert_snapshot!(rest.into_iter().collect::<Vec<_>>().join("\n\n"), @"
    Example University
    Help: bursar-help@example.edu
    Privacy: https://example.edu/privacy
    ");
}

impl PostOffice {
    /// Two cuts around October, and somebody who gets the statement of it.
    async fn a_month(&self) {
        self.set(|settings| settings.finance = vec![address("fin@example.edu")]).await;
        for as_of in ["2026-10-14T00:20:00Z", "2026-11-01T00:20:00Z"] {
            let of = ProgrammeCut { programme: self.programme.clone(), used: LifetimeUse::default() };
            let cut = AccountCut {
                as_of: as_of.parse().unwrap(),
                bought: Usd::ZERO,
                spent: AccountSpending { before: Usd::ZERO, after: Usd::ZERO },
                programmes: vec![of],
                foreign: Usd::ZERO,
                opening: Usd::ZERO,
                residual: Usd::ZERO,
                unsettled: Usd::ZERO,
            };
            self.raw.keep(&cut).await.unwrap();
        }
    }

    /// Writes a request of faculty to the admins for another cost code.
    async fn wish(&self) {
        let (admin, now) = (self.admin().await, self.stack.clock.now());
        let wish = Wish {
            setting: "cost_code".to_owned(),
            label: "Cost code".to_owned(),
            words: "4711 instead of nothing".to_owned(),
        };
        let request = Request::of(self.programme.clone(), admin.clone(), vec![wish], now);
        let actor = Actor::Person(admin.clone());
        let by = Author { actor: &actor, now, deadline: soon() };
        assert!(self.table.ask_admins(&request, &[admin], AuditDetail::new(Act::Asked), by).await.unwrap());
    }
}
