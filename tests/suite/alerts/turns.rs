//! A new window while the provider still reports the numbers of the old one: spending in the old window causes
//! no alert in the new one.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{MintedKey, Person, Press, PressKind, Reading};
use bursar_core::domain::programme::Settings;
use bursar_core::domain::usage::crossing::{Crossing, Scope};
use bursar_core::domain::usage::reading::{KeyUseContext, UsageReport};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{Epoch, GrantId, Nonce, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::Reset;
use bursar_core::store::{ActContext, ActOutcome, Author, NewPerson, QueuedMail, SyncState, Table, Totals};
use bursar_local::invoke::FunctionName;
use bursar_tests::office::as_sync;
use bursar_tests::stack::Stack;
use jiff::Timestamp;
use serde_json::json;

use super::{batch_of, record};
use crate::sync::{office_deadline, still};

/// Ada's grant in the programme, with a made-up key.
async fn claimed(stack: &Stack, programme: &ProgrammeId) -> GrantId {
    let (now, deadline, table) = (stack.clock.now(), office_deadline(), Table::new(&stack.config));
    let address = EmailAddress::parse(&format!("ada@{programme}.edu")).unwrap();
    let person = NewPerson { person: Person { address, name: None, roster_id: None }, group: None };
    let by = Author { actor: &Actor::Rule, now, deadline };
    let grant = table.invite(programme, &[person], by).await.unwrap().remove(0);
    let press = Press { kind: PressKind::Reveal, epoch: Epoch::BEFORE_THE_FIRST, terms: None };
    let begun = table
        .act(ActContext { programme, grant: &grant, now, deadline }, |view, now| {
            view.begin(press, Nonce::random(), now)
        })
        .await
        .unwrap();
    let ActOutcome::Done(begun) = begun else { panic!("not begun") };
    let minted =
        MintedKey { key: grant.as_str().repeat(4).parse().unwrap(), limit: Usd::from_dollars(100), rule_set: None };
    table
        .act(ActContext { programme, grant: &grant, now, deadline }, |view, now| view.record(&begun, &minted, now))
        .await
        .unwrap();
    grant
}

/// A programme with monthly caps and one student, and a provider's reports on the key.
struct Month {
    stack: Stack,
    table: Table,
    programme: ProgrammeId,
    ada: GrantId,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl Month {
    async fn of_january() -> Month {
        let stack = still().await;
        stack.schedules.stop().await;
        stack.clock.begin_at(at("2027-01-04T08:00:00Z")).unwrap();
        let term = Term::new("2027-01-04".parse().unwrap(), "2027-03-31".parse().unwrap(), "UTC").unwrap();
        let mut settings = Settings::new("maths", term, Usd::from_dollars(20));
        settings.reset = Reset::Monthly;
        settings.faculty = vec![EmailAddress::parse("ann@maths.edu").unwrap()];
        let table = Table::new(&stack.config);
        let by = Author { actor: &Actor::Rule, now: stack.clock.now(), deadline: office_deadline() };
        let programme = table.create_programme(settings, Usd::from_dollars(60), by).await.unwrap();
        let ada = claimed(&stack, &programme).await;
        Month { stack, table, programme, ada }
    }

    /// A report of the provider at `when`: cents in all, today and in this month, and the key's last use. A sync
    /// records it and sums it up; both the stream's records and the hourly check run afterwards.
    async fn told(&self, when: &str, [ever, today, in_window]: [i64; 3], last_used_at: Option<&str>) {
        self.stack.clock.stop_at(at(when)).unwrap();
        let cents = |number: i64| Usd::from_micros(number * 10_000);
        let told = UsageReport {
            lifetime: cents(ever),
            today: Some(cents(today)),
            in_window: Some(cents(in_window)),
            byok: None,
            byok_today: None,
            byok_in_window: None,
            off_the_limit: Some(cents(in_window)),
            last_used_at: last_used_at.map(at),
        };
        let view = self.table.view(&self.programme, &self.ada).await.unwrap().unwrap();
        let (before, settings) = (view.readings.first(), &view.programme.settings);
        let of = KeyUseContext {
            programme: &self.programme,
            grant: &self.ada,
            epoch: Epoch::new(1),
            reset: settings.reset,
            byok: settings.byok,
            made_at: view.grant.attempts[0].begun_at,
        };
        let sync = self.table.sync_state().await.unwrap();
        let reading = Reading::after(before, of, &told, at(when), sync.listed_at).unwrap().0;
        if before.is_none_or(|before| reading.differs_from(before)) {
            self.table.note_reading(&reading, office_deadline()).await.unwrap();
        }
        let totals = Totals {
            programme: self.programme.clone(),
            as_of: at(when),
            used: reading.used,
            by_group: std::collections::BTreeMap::default(),
            implied: Usd::from_dollars(20),
            grants: 1,
            claimed: 1,
        };
        assert!(as_sync(&self.table, async |sync| sync.note_totals(&totals).await).await);
        let (listed_at, completed_at) = (Some(at(when)), Some(at(when)));
        assert!(
            as_sync(&self.table, async |fenced| fenced
                .set_sync_state(&SyncState { listed_at, completed_at, ..sync }.next())
                .await)
            .await
        );
        let records =
            vec![record("reading", &self.programme, Some(&self.ada)), record("totals", &self.programme, None)];
        self.stack.invoke.invoke(FunctionName::ThresholdAlerts, batch_of(records)).await.unwrap();
        self.stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": "watch"})).await.unwrap();
    }

    /// The queued alerts, oldest first: the student's by month and threshold, faculty's by threshold of the pot.
    async fn owed(&self) -> Vec<String> {
        let of_ada = self.table.mails_of(&self.programme, &self.ada).await.unwrap();
        let caps = of_ada.into_iter().filter_map(|row| match row.mail {
            QueuedMail::CapUsed { window, threshold, .. } => Some(format!("{window} {threshold}")),
            _ => None,
        });
        let pot = self.table.crossings(&self.programme).await.unwrap();
        let of_spending = |crossing: &Crossing| crossing.is_mailed && crossing.scope == Scope::Pot;
        let pot = pot.into_iter().filter(of_spending).map(|crossing| format!("pot {}", crossing.threshold));
        caps.chain(pot).collect()
    }
}

#[tokio::test]
async fn numbers_of_the_old_month_that_are_told_for_36_hours_alert_nobody_in_the_new_one() {
    for says_when in [true, false] {
        let month = Month::of_january().await;
        let used = |when: &'static str| Some(when).filter(|_| says_when);
        month.told("2027-01-31T03:00:00Z", [200, 100, 200], used("2027-01-31T02:00:00Z")).await;
        // Nearly all of the cap is used on the last evening, and the provider goes on reporting it for the
        // month. The report shows the new day, at least where it omits the last use.
        for when in ["2027-02-01T03:00:00Z", "2027-02-01T15:00:00Z", "2027-02-02T12:00:00Z"] {
            let today = if says_when { 1_700 } else { 0 };
            month.told(when, [1_900, today, 1_900], used("2027-01-31T22:00:00Z")).await;
            assert!(month.owed().await.is_empty(), "{when}: {:?}", month.owed().await);
        }
        // From here on the provider reports the new month's numbers.
        month.told("2027-02-02T13:00:00Z", [1_950, 50, 50], used("2027-02-02T12:30:00Z")).await;
        month.told("2027-02-03T13:00:00Z", [2_000, 50, 100], used("2027-02-03T12:30:00Z")).await;
        assert!(month.owed().await.is_empty(), "{:?}", month.owed().await);
        // Spending in the new month counts for it, while the pot's window is the whole term.
        month.told("2027-02-05T03:00:00Z", [3_600, 1_600, 1_700], used("2027-02-05T02:30:00Z")).await;
        assert_eq!(month.owed().await, ["2027-02-01 80", "pot 50"]);
        month.stack.finish_unjudged().await;
    }
}

#[tokio::test]
async fn what_was_told_of_one_month_is_told_again_of_the_next_and_not_because_of_the_first() {
    let month = Month::of_january().await;
    month.told("2027-01-30T03:00:00Z", [1_700, 100, 1_700], Some("2027-01-30T02:00:00Z")).await;
    assert_eq!(month.owed().await, ["2027-01-01 80"]);
    for (when, ever, told) in [("2027-02-01T00:00:10Z", 1_700, 1), ("2027-02-01T03:00:00Z", 1_700, 1)] {
        month.told(when, [ever, 0, 1_700], Some("2027-01-30T02:00:00Z")).await;
        assert_eq!(month.owed().await.len(), told, "{when}");
    }
    // Soon after the turn, spending that is certainly of the new month counts at once.
    month.told("2027-02-01T21:00:00Z", [3_400, 1_700, 1_700], Some("2027-02-01T20:00:00Z")).await;
    assert_eq!(month.owed().await, ["2027-01-01 80", "2027-02-01 80", "pot 50"]);
    month.stack.finish_unjudged().await;
}
