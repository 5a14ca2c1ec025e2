//! Alarms of the account: the mails to admins, sent once for each cause, whatever fails and however many admins
//! there are.

use bursar_core::domain::credit::balance::{BalanceNeed, Basis};
use bursar_core::domain::credit::purchase::{CreditFacts, Purchase};
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::day::MailDay;
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::usage::days::Days;
use bursar_core::domain::values::id::{PersonId, new_ulid};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::secrets::ManagementKey;
use bursar_core::store::{OutboxRow, QueuedMail};
use bursar_local::invoke::FunctionName;
use bursar_tests::faults::{Fault, Matcher};
use jiff::{SignedDuration, ToSpan};

use super::words::{html_says, redacted};
use super::{PostOffice, address, soon};

impl PostOffice {
    pub(super) async fn admin(&self) -> PersonId {
        self.table.person_of(&address("admin@example.edu"), soon()).await.unwrap()
    }

    pub(super) async fn raise(&self, cause: Cause) -> bool {
        let (admins, now) = ([self.admin().await], self.stack.clock.now());
        self.table.raise(&Alarm::now(cause, now), &admins, now, soon()).await.unwrap()
    }

    /// The text of the mail about a cause.
    pub(super) async fn told(&mut self, cause: Cause) -> String {
        assert!(self.raise(cause).await);
        self.settle().await;
        let mail = self.the_mail();
        assert_eq!((mail.contents.kind.as_deref(), mail.to.as_str()), (Some("account"), "admin@example.edu"));
        html_says(&mail.contents, &["/console/", &mail.contents.subject]);
        redacted(self, &mail.contents)
    }
}

const HELD: Cause = Cause::HeldBack { sweeps: 30, recoveries: 0, stops: 0, bound: 5, keys: Vec::new() };

#[tokio::test]
async fn each_alarm_says_what_and_how_much_and_leads_to_the_account() {
    let mut office = PostOffice::open().await;
    insta::assert_snapshot!(office.told(HELD).await, @r#"
    30 keys would have been switched off; we did not

    30 keys would have been switched off; we did not

    Keys that nobody was shown: 30
    Most that a sync switches off by itself: 5
    Found: 20 November 2026, 10:00 (UTC)

    The sync left all of them as they are: so many at once can mean that the table was restored from an earlier moment. The account page names the keys. Find out why it is so. If it is right, press there to let the next sync do it; as long as nobody presses, nothing happens to them.

    See the account:
    [origin]/console/account
    "#);
    let (residual, news, tolerance) = (Usd::from_micros(6_120_003), Usd::from_micros(4_120_003), Usd::from_micros(214));
    insta::assert_snapshot!(office.told(Cause::Residual { residual, news, tolerance }).await, @r#"
    No key explains $4.13 that the account spent

    No key explains $4.13 that the account spent

    Day: 20 November 2026
    New: $4.120003
    Spending not matched to a key, in all: $6.120003
    Rounding may come to: $0.000214
    Found: 20 November 2026, 10:00 (UTC)

    The account spent more than all keys together. A key that somebody made and deleted between two syncs and the provider's own chat page are usual reasons; a management key in the wrong hands is another. The account page shows it day by day, and the provider's activity page what was called. You hear of it again only when it changes.

    See the account:
    [origin]/console/account
    "#);
    let deployment = "0123456789".parse().unwrap();
    let management_key = ManagementKey::parse("sk-or-v1-other").unwrap().fingerprint(&deployment);
    let short = management_key.short().to_owned();
    let told = office.told(Cause::AnotherAccount { management_key }).await;
    insta::assert_snapshot!(told.replace(&short, "[fingerprint]"), @r#"
    The management key is of another account

    The management key is of another account

    Day: 20 November 2026
    Fingerprint of the management key: [fingerprint]
    Found: 20 November 2026, 10:00 (UTC)

    It finds none of the keys that are on record. Nothing is made, changed or recorded with it, and students are asked to come back later; keys that they have go on. Put the management key of the right account into the secret: it is read again within minutes. If the account was changed on purpose, say so by one press on the account page.

    See the account:
    [origin]/console/account
    "#);
    let stops = Cause::HeldBack { sweeps: 0, recoveries: 2, stops: 30, bound: 5, keys: Vec::new() };
    insta::assert_snapshot!(office.told(stops).await, @r#"
    32 keys would have been switched off; we did not

    32 keys would have been switched off; we did not

    Second keys of students who have another: 2
    Keys of students, missing or switched off at the provider: 30
    Most that a sync switches off by itself: 5
    Found: 20 November 2026, 10:00 (UTC)

    The sync left all of them as they are: so many at once can mean that somebody deleted keys or switched them off at the provider, or that the table was restored from an earlier moment. The account page names the keys. Find out why it is so. If it is right, press there to let the next sync do it; as long as nobody presses, nothing happens to them.

    See the account:
    [origin]/console/account
    "#);
    insta::assert_snapshot!(office.told(Cause::ManagementKey).await, @r#"
    The management key does not work

    The management key does not work

    Day: 20 November 2026
    Found: 20 November 2026, 10:00 (UTC)

    The provider refuses it. Nobody gets a new key, no key can be switched off, and nothing that is spent is read, until it works again; keys that students have go on. Make another management key at the provider, and put it into the secret: it is read again within minutes.

    See the account:
    [origin]/console/account
    "#);
    let first = "the keys could not all be listed: status 503".to_owned();
    insta::assert_snapshot!(office.told(Cause::Incomplete { problems: 2, first }).await, @r#"
    The sync of 20 November 2026 is not complete: 2 problems

    The sync of 20 November 2026 is not complete: 2 problems

    First problem: the keys could not all be listed: status 503
    Found: 20 November 2026, 10:00 (UTC)

    What it could read is recorded; of the rest the last figures stand. The next sync tries again by itself. If that is not complete either, the account page lists the problems of each under "The last syncs".

    See the account:
    [origin]/console/account
    "#);
    office.finish().await;
}

#[tokio::test]
async fn a_cause_is_told_once_on_its_day_and_again_on_another() {
    let mut office = PostOffice::open().await;
    assert!(office.raise(HELD).await);
    assert!(!office.raise(HELD).await, "the next run finds the same");
    office.settle().await;
    assert!(!office.raise(HELD).await);
    office.settle().await;
    assert_eq!(office.the_mail().contents.subject, "30 keys would have been switched off; we did not");
    assert!(
        office.raise(Cause::HeldBack { sweeps: 31, recoveries: 0, stops: 0, bound: 5, keys: Vec::new() }).await,
        "it is something else"
    );
    office.stack.schedules.advance(SignedDuration::from_hours(24)).await.unwrap();
    assert!(office.raise(HELD).await, "it came back");
    office.settle().await;
    assert_eq!(office.unread().len(), 2);
    office.finish().await;
}

#[tokio::test]
async fn whatever_becomes_of_its_write_an_alarm_owes_each_admin_one_mail_in_the_end() {
    let mut office = PostOffice::open().await;
    let admins = [office.admin().await, PersonId::random()];
    let now = office.stack.clock.now();
    let faults = [
        Fault::Before,
        Fault::LoseAnswer,
        Fault::Status(429),
        Fault::Status(500),
        Fault::StatusAfter(500),
        Fault::Status(502),
        Fault::StatusAfter(502),
        Fault::Throttle,
        Fault::Conflict,
    ];
    for (verdict, ago) in faults.into_iter().zip(1_i64..) {
        let day = utc_date(now).checked_sub(ago.days()).unwrap();
        let alarm = Alarm::on(day, HELD, now);
        let write = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::UsageSync);
        office.stack.gate.at(write, verdict);
        let first = office.table.raise(&alarm, &admins, now, soon()).await;
        let second = office.table.raise(&alarm, &admins, now, soon()).await;
        assert_eq!(second.ok(), first.as_ref().ok().map(|_| false), "{verdict:?}");
        let seen = office.watch.check().await;
        let owed =
            seen.outbox.iter().filter(|row| matches!(row.mail, QueuedMail::Account { day: of, .. } if of == day));
        assert_eq!(owed.count(), 2, "{verdict:?}: {first:?}");
    }
    office.finish_faulted().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_admins_than_fit_one_transaction_are_each_told_once_also_by_many_at_once() {
    let mut office = PostOffice::open().await;
    let mut admins: Vec<PersonId> = (0..200).map(|_| PersonId::random()).collect();
    admins.push(admins[0].clone());
    let now = office.stack.clock.now();
    let alarm = Alarm::now(HELD, now);
    let at_once = (0..4).map(|_| office.table.raise(&alarm, &admins, now, soon()));
    let raised = futures_util::future::join_all(at_once).await;
    assert_eq!(raised.into_iter().filter(|raised| *raised.as_ref().unwrap()).count(), 1);
    let seen = office.watch.check().await;
    assert_eq!((seen.alarms.len(), seen.alarms[0].queued, seen.alarms[0].recipients.len()), (1, 200, 200));
    let owed = seen.outbox.iter().filter_map(|row| match &row.mail {
        QueuedMail::Account { recipient, .. } => Some(recipient.to_string()),
        _ => None,
    });
    let mut told: Vec<_> = owed.collect();
    assert_eq!(told.len(), 200);
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 200);
    office.finish_faulted().await;
}

#[tokio::test]
async fn who_died_between_two_parts_of_the_admins_is_followed_by_the_next_who_raises_it() {
    let mut office = PostOffice::open().await;
    let mut admins: Vec<PersonId> = (0..100).map(|_| PersonId::random()).collect();
    admins.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    let now = office.stack.clock.now();
    // The state after the first transaction: ninety rows are written, ten are not.
    let alarm = Alarm::now(HELD, now);
    let half = Alarm { recipients: admins.clone(), queued: 90, ..alarm.clone() };
    office.raw.keep(&half).await.unwrap();
    for recipient in admins[..90].iter().cloned() {
        let mail = QueuedMail::Account { day: half.day, alarm: half.name(), recipient };
        office.raw.keep(&OutboxRow::queued(new_ulid(now), mail, now)).await.unwrap();
    }
    // The admins have changed by now; the recipients were fixed when the alarm was raised.
    assert!(!office.table.raise(&alarm, &[PersonId::random()], now, soon()).await.unwrap());
    let seen = office.watch.check().await;
    let owed: Vec<_> = seen.outbox.iter().filter(|row| matches!(row.mail, QueuedMail::Account { .. })).collect();
    assert_eq!((owed.len(), seen.alarms[0].queued), (100, 100));
    let told = |person: &PersonId| {
        owed.iter().any(|row| matches!(&row.mail, QueuedMail::Account { recipient, .. } if recipient == person))
    };
    assert!(admins[90..].iter().all(told));
    office.finish_faulted().await;
}

#[tokio::test]
async fn nobody_is_told_who_is_no_longer_an_admin() {
    let mut office = PostOffice::open().await;
    let (now, former) = (office.stack.clock.now(), address("former@example.edu"));
    let former = office.table.person_of(&former, soon()).await.unwrap();
    office.table.raise(&Alarm::now(HELD, now), &[former], now, soon()).await.unwrap();
    office.settle().await;
    assert_eq!(office.states(), ["dropped"]);
    office.finish().await;
}

#[tokio::test]
async fn what_fell_silent_and_what_did_not_arrive_is_said_with_what_to_do() {
    let mut office = PostOffice::open().await;
    let now = office.stack.clock.now();
    let short = |amount, basis| {
        let alerted_at = now - SignedDuration::from_secs(i64::from(amount));
        let need = BalanceNeed { amount: Usd::from_dollars(amount), basis };
        let (nothing, balance, to_come) = (Days::default(), Usd::from_dollars(45), Usd::from_dollars(60));
        let facts = CreditFacts { balance, to_come, ours: &nothing, foreign: &nothing, listed_at: None, ends_at: None };
        Cause::Balance { need, purchase: Purchase::of(&facts), alerted_at }
    };
    let two_weeks = office.told(short(70, Basis::TwoWeeks)).await;
    assert!(two_weeks.starts_with("The balance is $25 short of what two weeks use\n"), "{two_weeks}");
    assert!(two_weeks.contains("\nUsed in two weeks at the recent pace: $70\n"), "{two_weeks}");
    insta::assert_snapshot!(office.told(short(60, Basis::Promised)).await, @r#"
    The balance is $15 below what keys may still spend

    The balance is $15 below what keys may still spend

    Balance at the provider: $45
    What keys may still spend: $60
    Programmes can still cost: $60
    To be bought, in whole hundreds: $100
    Found: 20 November 2026, 10:00 (UTC)

    What programmes can still cost is more than the balance; credit is bought in whole hundreds. No day can be named, since no key used anything in the last 28 days. When the balance is gone every key of the account is refused, for free models too. Buy credit at the provider; if it is bought by itself as it is used, look whether that still works and is enough. If nobody can buy more, lower budgets and caps. You hear of it again when the day for buying moves by a week, when the balance does not last two weeks, and when that is worse by a tenth.

    See the account:
    [origin]/console/account
    "#);
    let (programme, since) = (office.programme.clone(), office.stack.clock.now() - 1.hour());
    let refused = |set: &str, tier: Option<&str>, groups: &[&str]| Cause::RulesRefused {
        programme: programme.clone(),
        set: set.repeat(16).parse().unwrap(),
        tier: tier.map(str::to_owned),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        since,
        why: "no such model: openai/gpt-40".to_owned(),
    };
    for (cause, whose, place) in [
        (refused("a", Some("basic"), &["A"]), "For: The tier basic", "/console/tiers"),
        (refused("b", None, &["A", "B"]), "For: The groups A, B", "/console/programmes/cs-pilot/groups"),
    ] {
        let told = office.told(cause).await;
        assert!(told.contains(whose) && told.contains(&format!("[origin]{place}")), "{told}");
    }
    insta::assert_snapshot!(office.told(refused("c", None, &[])).await, @r#"
    The provider refuses rules of CS pilot

    The provider refuses rules of CS pilot

    Programme: CS pilot
    For: Everybody without models of their own
    Refused since: 20 November 2026, 09:00 (UTC)
    The provider says: no such model: openai/gpt-40
    Found: 20 November 2026, 10:00 (UTC)

    Keys that exist may use what the provider confirmed last. Where the new rules are stricter, nobody gets a key until it has confirmed them. A model that is misspelled or was withdrawn is the usual reason: open the programme's settings, mend the models, the data policy, the providers or the regions, and save.

    See the programme:
    [origin]/console/programmes/cs-pilot#edit
    "#);
    let (programme, since) = (office.programme.clone(), office.stack.clock.now() - 1.hour());
    insta::assert_snapshot!(office.told(Cause::Stuck { programme, since }).await, @r#"
    Work on CS pilot stands still

    Work on CS pilot stands still

    Programme: CS pilot
    Nothing was done since: 20 November 2026, 09:00 (UTC)
    Found: 20 November 2026, 10:00 (UTC)

    Somebody began it: a roster, other limits, other models, the close of the programme. Part of it is done, and its page says which. If the provider is out of reach, it goes on by itself. Otherwise look into the log of the function console: its work runs each minute, and says what fails.

    See the programme:
    [origin]/console/programmes/cs-pilot
    "#);
    let (mail, code, first) = (Some(MailKind::Roster), "MessageRejected".to_owned(), new_ulid(now));
    insta::assert_snapshot!(office.told(Cause::Unsent { mail, code, first }).await, @r#"
    A mail did not arrive: roster mails

    A mail did not arrive: roster mails

    Given up so far: 1: roster mails
    Why: the mail server refused the message (MessageRejected)
    Found: 20 November 2026, 10:00 (UTC)

    SES would refuse it as often as it is tried. The log of the function mail names the row, and the SES console may say more. Once the reason is mended, press "Send again" in the section "Mail" of the account page.

    See the mail of the account:
    [origin]/console/account#mail
    "#);
    let mut mail_day = MailDay::none_on(utc_date(office.stack.clock.now()), MailKind::Roster);
    (mail_day.counts.sent, mail_day.counts.bounced) = (400, 12);
    insta::assert_snapshot!(office.told(Cause::BulkStopped { mail_day }).await, @r#"
    So much came back that roster mails are stopped

    So much came back that roster mails are stopped

    Kind: roster mails
    Sent on: 20 November 2026
    Sent: 400
    Came back for good: 12
    Complained about: 0
    Found: 20 November 2026, 10:00 (UTC)

    Only these wait; links, alerts and all other mail go on. AWS stops all mail of an account of which more than a tenth comes back, or one in two hundred is complained about. Look on the programmes' pages whose mail came back: an old roster is the usual reason. The roster mails go on by themselves at midnight UTC.

    See the mail of the account:
    [origin]/console/account#mail
    "#);
    office.finish().await;
}
