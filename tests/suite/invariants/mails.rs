//! Mails that are too many, too few, counted wrongly, or say a forbidden word: I4, I5 and I13.

use std::collections::BTreeMap;

use bursar_core::domain::mail::day::{MailCounts, MailDay};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::people::sign_in::{ASK_LASTS, LINK_LASTS};
use bursar_core::domain::usage::crossing::{Crossing, Scope};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::id::{Epoch, PersonId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::token::{Code, LinkToken};
use bursar_core::domain::values::window::{Reset, Window, utc_date};
use bursar_core::store::{Link, MailState, OutboxRow, QueuedMail, Totals};
use ulid::Ulid;

use super::Scene;
use crate::acts::act::programme;
use crate::acts::settings::{Setting, ada, reading};

impl Scene {
    fn crossing(&self, threshold: u8) -> Crossing {
        let (limit, spent) = (Usd::from_dollars(5), Usd::from_dollars(5));
        let (scope, window) = (Scope::Pot, Window::WHOLE_TERM);
        Crossing {
            programme: programme(),
            scope,
            window,
            limit,
            threshold,
            spent,
            found_at: self.now,
            is_mailed: true,
            mails: Vec::new(),
        }
    }

    fn alert(&self, number: u128, recipient: &PersonId) -> OutboxRow {
        let (threshold, of_limit, recipient) = (80, Usd::from_dollars(5), recipient.clone());
        let mail = QueuedMail::Alert { programme: programme(), scope: Scope::Pot, threshold, of_limit, recipient };
        OutboxRow::queued(Ulid::from_parts(1, number), mail, self.now)
    }

    /// Writes what the sync writes when it finds what was spent.
    async fn counted(&self) {
        let totals = Totals {
            programme: programme(),
            as_of: self.now,
            used: DailyUse::on_one(utc_date(self.now), Usd::from_dollars(5)),
            by_group: BTreeMap::new(),
            implied: Usd::from_dollars(20),
            grants: 2,
            claimed: 1,
        };
        self.keep(&totals).await;
    }

    async fn mail_of(&self, row: &OutboxRow) {
        self.mail_with(&[("X-Bursar-Mail", "alert"), ("X-Bursar-Row", &row.row.to_string())], "hello").await;
    }
}

#[tokio::test]
async fn a_crossing_is_told_to_each_recipient_by_one_accepted_mail() {
    let mut scene = Scene::at(Setting::Live).await;
    let person = PersonId::random();
    scene.counted().await;
    scene.keep(&scene.alert(1, &person)).await;
    scene.bites("I5", "tells of no crossing").await;
    scene.keep(&scene.crossing(80)).await;
    scene.bears("I5").await;
    scene.keep(&Crossing { is_mailed: false, ..scene.crossing(50) }).await;
    scene.bears("I5").await;
    scene.keep(&scene.alert(2, &PersonId::random())).await;
    scene.bears("I5").await;
    scene.keep(&scene.alert(3, &person)).await;
    scene.bites("I5", "is owed twice to somebody").await;
}

#[tokio::test]
async fn a_crossing_was_reached_is_told_and_stays() {
    let mut scene = Scene::at(Setting::Live).await;
    scene.keep(&Crossing { is_mailed: false, ..scene.crossing(80) }).await;
    scene.bites("I5", "80 % of the 5.000000 of cs-pilot is not reached by 5.000000").await;
    scene.counted().await;
    scene.bears("I5").await;
    scene.keep(&Crossing { is_mailed: false, spent: Usd::from_dollars(4), ..scene.crossing(80) }).await;
    scene.bites("I5", "the crossing of 80 % of 5.000000 is gone or changed").await;
    scene.keep(&scene.crossing(95)).await;
    scene.bites("I5", "the crossing of 95% in cs-pilot is told to nobody").await;
}

#[tokio::test]
async fn a_row_is_accepted_as_often_as_it_says_and_once_unless_something_was_lost() {
    let mut scene = Scene::at(Setting::Live).await;
    scene.counted().await;
    scene.keep(&scene.crossing(80)).await;
    let sent = MailState::Sent { message: "1".to_owned(), at: scene.now };
    let row = OutboxRow { tries: 1, state: sent, ..scene.alert(1, &PersonId::random()) };
    scene.keep(&row).await;
    scene.bites("I5", "is said to be sent, and no mail was accepted").await;
    scene.mail_of(&row).await;
    scene.bears("I5").await;
    scene.mail_of(&row).await;
    scene.bites("I5", "was tried 1 times and accepted 2 times").await;
    scene.keep(&OutboxRow { tries: 2, ..row }).await;
    scene.bites("I5", "1 mails were accepted again, and 0 answers or records were lost").await;
    scene.watch.lost_a_mail();
    scene.bears("I5").await;
}

#[tokio::test]
async fn a_link_is_in_one_link_mail_and_known_by_its_hash() {
    let mut scene = Scene::at(Setting::Live).await;
    let (token, code) = (LinkToken::generate(), Code::generate());
    let text = format!("https://bursar.uni.edu/c/{}\r\nCode: {}", token.reveal(), code.reveal());
    scene.mail_with(&[("X-Bursar-Mail", "link")], &text).await;
    scene.bites("I4", "a mailed link is not known by its hash").await;
    let ada = bursar_core::domain::values::address::EmailAddress::parse("Ada@uni.edu").unwrap();
    let link = Link { link: token.hash(), address: ada.matched().clone(), ends_at: scene.now + LINK_LASTS };
    scene.keep(&link).await;
    scene.bears("I4").await;
    let eve = bursar_core::domain::values::address::EmailAddress::parse("eve@uni.edu").unwrap();
    scene.keep(&Link { address: eve.matched().clone(), ..link.clone() }).await;
    scene.bites("I4", "went to another address than its link's").await;
    scene.keep(&link).await;
    scene.logs.lock().unwrap().push(format!("followed {}", token.reveal()));
    scene.bites("I4", "a log line holds a link or code").await;
    scene.mail_with(&[("X-Bursar-Mail", "roster")], &text).await;
    scene.bites("I4", "a mail of the kind Some(\"roster\") has a link or a code").await;
}

#[tokio::test]
async fn a_day_counts_its_rows_and_the_links_whose_rows_are_gone_after_an_hour() {
    let mut scene = Scene::at(Setting::Live).await;
    let (day, at) = (utc_date(scene.now), scene.now);
    let state = MailState::Sent { message: "0100".to_owned(), at };
    let counting = |sent, mail| {
        let none = MailDay::none_on(day, mail);
        MailDay { counts: MailCounts { sent, ..none.counts }, ..none }
    };
    let row = OutboxRow { state, tries: 1, counted_on: Some(day), ..scene.alert(1, &PersonId::random()) };
    scene.keep(&row).await;
    scene.bites("I13", "the mail of the days is counted as {}").await;
    scene.keep(&counting(1, MailKind::Alert)).await;
    scene.bears("I13").await;
    let asked = Ulid::from_parts(at.as_millisecond().unsigned_abs(), 2).to_string();
    scene.mail_with(&[("X-Bursar-Mail", "link"), ("X-Bursar-Row", &asked)], "hello").await;
    scene.keep(&counting(1, MailKind::Link)).await;
    scene.bites("I13", "Link): MailCounts { sent: 1").await;
    scene.pass(ASK_LASTS);
    scene.bears("I13").await;
    scene.keep(&counting(2, MailKind::Link)).await;
    scene.bites("I13", "Link): MailCounts { sent: 2").await;
}

#[tokio::test]
async fn a_crossing_of_a_cap_was_reached_and_is_told_to_its_student_once() {
    let mut scene = Scene::at(Setting::Live).await;
    let (scope, window, limit) = (Scope::Cap(ada()), Window::WHOLE_TERM, Usd::from_dollars(20));
    let crossing = Crossing { scope, limit, spent: Usd::from_dollars(17), ..scene.crossing(80) };
    let row = |number: u128, window: Window| {
        let mail = QueuedMail::CapUsed { programme: programme(), grant: ada(), window, threshold: 80, of_limit: limit };
        OutboxRow::queued(Ulid::from_parts(1, number), mail, scene.now)
    };
    let (first, again) = (row(1, window), row(2, window));
    let of_another = row(3, Reset::Monthly.window_at(scene.now));
    scene.keep(&Crossing { is_mailed: false, ..crossing.clone() }).await;
    scene.bites("I5", "80 % of the 20.000000 of cs-pilot is not reached by 17.000000").await;
    scene.keep(&reading(&ada(), Epoch::new(1), 17, scene.now)).await;
    scene.bears("I5").await;
    let mut scene = Scene::at(Setting::Live).await;
    scene.keep(&reading(&ada(), Epoch::new(1), 17, scene.now)).await;
    scene.keep(&first).await;
    scene.bites("I5", "tells of no crossing").await;
    scene.keep(&crossing).await;
    scene.bears("I5").await;
    scene.keep(&of_another).await;
    scene.bites("I5", "tells of no crossing").await;
    scene.keep(&again).await;
    scene.bites("I5", "is owed twice to somebody").await;
}
