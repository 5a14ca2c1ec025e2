//! Contents by recipient: names for faculty, counts for assistants, the account for admins. A recipient who
//! cannot be reached does not affect the others.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::grant::HoldKind;
use bursar_core::store::{Account, AccountDay, ForeignKey, MailState, Undeliverable, UnreachableReason, keys};
use bursar_tests::office::as_sync;

use super::*;
use crate::mail::footers::without_footer;

/// Two groups, three students with keys and one without, after five weeks.
async fn a_class(monday: &Monday) -> (ProgrammeId, Vec<GrantId>) {
    let maths = monday.programme("Maths", |_| {}).await;
    let mut grants = Vec::new();
    for (name, group) in [
        ("Ada Lovelace", Some("Lab A")),
        ("Alan Turing", Some("Lab B")),
        ("Barbara Liskov", None),
        ("Carl Gauss", None),
    ] {
        grants.push(monday.student(&maths, name, group).await);
    }
    for grant in &grants[..3] {
        monday.claim(&maths, grant).await;
    }
    let ada = monday.used(&maths, &grants[0], &[(1, 1_200), (2, 34), (9, 10), (16, 10)]).await;
    let alan = monday.used(&maths, &grants[1], &[(3, 100), (8, 100), (15, 90), (0, 500)]).await;
    monday.looked().await;
    monday.summed_up(&maths, &[(Some("Lab A"), &ada), (Some("Lab B"), &alan)]).await;
    for (day, uses) in
        [(15, [("b/dear", 1_200, 20), ("a/cheap", 0, 0)]), (13, [("b/dear", 0, 0), ("a/cheap", 134, 900)])]
    {
        monday.model_day(&maths, date(2026, 11, day), &uses).await;
    }
    (maths, grants)
}

#[tokio::test]
async fn faculty_read_names_assistants_counts_and_nobody_a_key() {
    let mut monday = Monday::early().await;
    let (maths, grants) = a_class(&monday).await;
    let carl = EmailAddress::parse("carl.gauss@students.edu").unwrap();
    let mark = Undeliverable { address: carl.matched().clone(), why: UnreachableReason::Bounced, at: monday.now() };
    monday.table.end_mail_to(&[mark], monday.now(), soon()).await.unwrap();
    monday.advance(1);
    monday.run("digest").await.unwrap();
    let mails = monday.mails().await;
    let to: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(to, ["admin@example.edu", "ann@maths.edu", "ben@maths.edu", "tom@maths.edu"]);
    let [_, ann, ben, tom] = &mails[..] else { unreachable!() };
    let text = |mail: &Got| mail.contents.text.clone().unwrap().replace(&monday.stack.ready.web, "[origin]");
    assert_eq!(text(ann), text(ben));
    for mail in &mails[1..] {
        assert_eq!(mail.contents.subject, "Maths: $13.34 last week, 20% of the budget used");
        assert_eq!(mail.contents.attachments.len(), 1, "the burn");
    }
    insta::assert_snapshot!(without_footer(&text(ann)), @r#"
    Maths: last week

    Spent last week: $13.34 (9–15 Nov 2026, days in UTC)
    Spent the week before: $1.10
    Spent so far: $20.44 of the budget of $100, 20%
    Held for keys: $60.00, what is spent included
    Students: 3 of 4 have had a key; 2 of them spent something last week

    At the pace of the last weeks, about $1.72 a week, the budget lasts beyond the end of the term.

    == By group ==

    Lab A: last week $12.34, the week before $0.10
    Lab B: last week $1.00, the week before $1.00

    == By model ==

    b/dear: last week $12.00, requests 20, per request $0.6000
    a/cheap: last week $1.34, requests 900, per request $0.0015

    A request to b/dear cost most, $0.6000 on average; a/cheap cost $0.0015. Where a cheaper model will do, tell the class.

    == Highest spenders ==

    Ada Lovelace: last week $12.34, cap used $12.54 of $20
    Alan Turing: last week $1.00, cap used $7.90 of $20

    To spend much is no fault. A student's page shows what was spent day by day, and there faculty change the cap.

    == Who may need a look ==

    Spent far more than is usual for them: 1 (Ada Lovelace $12.34); a usual week of the class is $0.95. Ask whether it is meant: a program may run by mistake, or the key be in other hands.
    Never used their key: 1 (Barbara Liskov). Remind them that it is there.
    No key claimed yet: 1 (Carl Gauss). Remind them; the student's page sends the mail again.
    Mail does not reach them: 1 (Carl Gauss). Their mail comes back, so nothing is sent to them, not even a link to sign in. Ask for an address that works, or let it be tried once more on the student's page.

    == How far this can be relied on ==

    Every key was last looked at: 16 November 2026, 06:00 (UTC)

    See the programme:
    [origin]/console/programmes/maths
    "#);
    insta::assert_snapshot!(without_footer(&text(tom)), @r#"
    Maths: last week

    Spent last week: $13.34 (9–15 Nov 2026, days in UTC)
    Spent the week before: $1.10
    Spent so far: $20.44 of the budget of $100, 20%
    Held for keys: $60.00, what is spent included
    Students: 3 of 4 have had a key; 2 of them spent something last week

    At the pace of the last weeks, about $1.72 a week, the budget lasts beyond the end of the term.

    == Who may need a look ==

    Spent far more than is usual for them: 1. Ask whether it is meant: a program may run by mistake, or the key be in other hands.
    Never used their key: 1. Remind them that it is there.
    No key claimed yet: 1. Remind them; the student's page sends the mail again.
    Mail does not reach them: 1. Their mail comes back, so nothing is sent to them, not even a link to sign in. Ask for an address that works, or let it be tried once more on the student's page.

    == How far this can be relied on ==

    Every key was last looked at: 16 November 2026, 06:00 (UTC)

    See the programme:
    [origin]/console/programmes/maths
    "#);
    let html = tom.contents.html.clone().unwrap();
    for name in ["Ada", "Lovelace", "Turing", "Gauss", "students.edu"] {
        assert!(!text(tom).contains(name) && !html.contains(name), "{name}");
    }
    for mail in &mails {
        let raw = format!("{}{}", mail.contents.html.clone().unwrap(), text(mail));
        for grant in &grants {
            assert!(!raw.contains(grant.as_str()), "the hash of a key, or a grant's name");
        }
        assert!(!raw.contains("sk-or-"));
        assert_eq!(raw.matches("<a ").count(), 2, "one link, and the one to how data is handled");
    }
    // Names are stored only in grants.
    let seen = monday.watch.check().await;
    let digests = seen.items.iter().filter(|((_, sk), _)| sk.starts_with("DIGEST"));
    for (key, item) in digests {
        let item = format!("{item:?}");
        assert!(!["Ada", "Lovelace", "Gauss", "students.edu"].iter().any(|name| item.contains(name)), "{key:?}");
    }
    assert_eq!(seen.digests.len(), 1);
    assert_eq!(monday.grant(&maths, &grants[0]).await.person.name.as_deref(), Some("Ada Lovelace"));
    monday.stack.finish().await;
}

#[tokio::test]
async fn who_complained_gets_links_and_who_cannot_claim_any_more_is_not_to_be_reminded() {
    let mut monday = Monday::early().await;
    let (maths, _) = a_class(&monday).await;
    for (who, why) in [
        ("ada.lovelace", UnreachableReason::Complained),
        ("alan.turing", UnreachableReason::Suppressed),
        ("carl.gauss", UnreachableReason::Bounced),
    ] {
        let who = EmailAddress::parse(&format!("{who}@students.edu")).unwrap();
        let mark = Undeliverable { address: who.matched().clone(), why, at: monday.now() };
        monday.table.end_mail_to(&[mark], monday.now(), soon()).await.unwrap();
    }
    monday.edit(&maths, |settings| settings.claim_closes_at = Some(at("2026-11-01T12:00:00Z"))).await;
    monday.advance(1);
    monday.run("digest").await.unwrap();
    let mails = monday.mails().await;
    let lines = |mail: &Got| {
        let text = mail.contents.text.clone().unwrap();
        let told = ["No key", "Mail does", "Marked"];
        let lines: Vec<_> = text.lines().filter(|line| told.iter().any(|begin| line.starts_with(begin))).collect();
        lines.join("\n")
    };
    insta::assert_snapshot!(lines(&mails[1]), @r#"
    No key claimed yet: 1 (Carl Gauss). Keys could be had until 1 November 2026, 12:00 (UTC), so no reminder helps. If they still should have one, faculty set a later time for “Keys can be claimed until” on the programme's page.
    Mail does not reach them: 2 (Alan Turing, Carl Gauss). Their mail comes back, so nothing is sent to them, not even a link to sign in. Ask for an address that works, or let it be tried once more on the student's page.
    Marked a mail as unwanted: 1 (Ada Lovelace). They still get links to sign in; they get no roster mail, no reminders, and no word before a rule switches off their key. If they want mail after all, let it be tried once more on the student's page.
    "#);
    insta::assert_snapshot!(lines(&mails[3]), @r#"
    No key claimed yet: 1. Keys could be had until 1 November 2026, 12:00 (UTC), so no reminder helps. If they still should have one, faculty set a later time for “Keys can be claimed until” on the programme's page.
    Mail does not reach them: 2. Their mail comes back, so nothing is sent to them, not even a link to sign in. Ask for an address that works, or let it be tried once more on the student's page.
    Marked a mail as unwanted: 1. They still get links to sign in; they get no roster mail, no reminders, and no word before a rule switches off their key. If they want mail after all, let it be tried once more on the student's page.
    "#);
    monday.stack.finish().await;
}

#[tokio::test]
async fn admins_read_of_the_account_with_keys_that_are_new_and_without_an_owner() {
    let mut monday = Monday::early().await;
    a_class(&monday).await;
    let now = monday.now();
    for (number, name, first_seen_at) in
        [(1, "prof-laptop", now - SignedDuration::from_hours(30)), (2, "old one", at("2026-10-02T00:20:00Z"))]
    {
        let key = ForeignKey {
            key: format!("{number:064}").parse().unwrap(),
            name: name.to_owned(),
            enabled: true,
            limit: None,
            used: DailyUse::on_one(date(2026, 11, 14), Usd::from_dollars(3)),
            created_at: None,
            last_used_at: None,
            first_seen_at,
            gone_at: None,
            as_of: now,
            recorded_by: now,
            in_cut: Default::default(),
        };
        monday.table.note_foreign_key(&key, soon()).await.unwrap();
    }
    let of = |dollars| DailyUse::on_one(date(2026, 11, 14), Usd::from_dollars(dollars));
    assert!(
        as_sync(&monday.table, async |sync| sync
            .note_account(&Account { as_of: now, ours: of(13), foreign: of(6) })
            .await)
        .await
    );
    for (day, residual) in [(date(2026, 11, 9), 1), (date(2026, 11, 16), 4)] {
        let zero = Usd::ZERO;
        let day = AccountDay {
            day,
            as_of: now,
            bought: Usd::from_dollars(50),
            spent: Usd::from_dollars(20),
            ours: zero,
            ours_gone: zero,
            foreign: zero,
            foreign_gone: zero,
            opening: zero,
            residual: Usd::from_dollars(residual),
            unsettled: Usd::ZERO,
            tolerance: Usd::ZERO,
        };
        assert!(as_sync(&monday.table, async |sync| sync.note_account_day(&day).await).await);
    }
    monday.advance(1);
    monday.run("digest").await.unwrap();
    let mails = monday.mails().await;
    let admin = mails.iter().find(|mail| mail.to == "admin@example.edu").unwrap();
    let text = admin.contents.text.clone().unwrap().replace(&monday.stack.ready.web, "[origin]");
    insta::assert_snapshot!(format!("{}\n\n{}", admin.contents.subject, without_footer(&text)), @r#"
    The account: $19.00 last week, balance $30.00

    The account: last week

    Balance: $30.00
    Held for keys: $60.00 by all programmes, $39.56 of it not spent yet
    Spent last week: $19.00 (all keys of the account, 9–15 Nov 2026, days in UTC)
    Spent the week before: $0.00

    The balance is $9.56 below what keys may still spend. Buy credit, or lower budgets and caps.

    == Programmes ==

    Maths: spent last week $13.34, used so far 20% of $100, budget lasts to the end of the term

    == New keys without an owner ==

    prof-laptop: spent so far $3.00, limit none

    Nobody here made these keys. Find out who did; the account page lists all of them.

    == How far this can be relied on ==

    Last complete sync: 16 November 2026, 06:00 (UTC)
    Spending not matched to a key: $4.00 in all, $3.00 of it new. The account page shows it day by day; once you know what it was, say so there.

    See the account:
    [origin]/console/account
    "#);
    monday.stack.finish().await;
}

#[tokio::test]
async fn who_cannot_be_reached_or_is_gone_or_has_no_role_any_more_keeps_nobody_else() {
    let mut monday = Monday::early().await;
    let (maths, _) = a_class(&monday).await;
    monday
        .edit(&maths, |settings| {
            let more = ["gone", "left"].map(|who| EmailAddress::parse(&format!("{who}@maths.edu")).unwrap());
            settings.faculty.extend(more);
        })
        .await;
    monday.advance(1);
    monday.run("digest").await.unwrap();
    assert_eq!(monday.owed(Some(&maths)).await, ["ann", "ben", "gone", "left", "tom"]);
    let ann = EmailAddress::parse("ann@maths.edu").unwrap();
    let mark = Undeliverable { address: ann.matched().clone(), why: UnreachableReason::Bounced, at: monday.now() };
    monday.table.end_mail_to(&[mark], monday.now(), soon()).await.unwrap();
    monday.edit(&maths, |settings| settings.faculty.retain(|who| !who.as_written().starts_with("left"))).await;
    let gone = EmailAddress::parse("gone@maths.edu").unwrap();
    let gone = monday.table.person_of(&gone, soon()).await.unwrap();
    let raw = RawTable::at(&monday.stack.ready.dynamodb, &monday.stack.ready.table);
    let key = keys::person(&gone);
    let delete = raw.client().delete_item().table_name(raw.name());
    delete.key("pk", AttributeValue::S(key.pk)).key("sk", AttributeValue::S(key.sk)).send().await.unwrap();
    let to: Vec<String> = monday.mails_to().await;
    assert_eq!(to, ["admin@example.edu", "ben@maths.edu", "tom@maths.edu"]);
    monday.stack.finish_faulted().await;
}

#[tokio::test]
async fn who_wants_no_digest_gets_none_and_that_is_no_failure_even_where_mail_would_come_back() {
    let mut monday = Monday::early().await;
    let (maths, _) = a_class(&monday).await;
    monday.advance(1);
    monday.run("digest").await.unwrap();
    for who in ["ann@maths.edu", "admin@example.edu"] {
        let who = EmailAddress::parse(who).unwrap();
        monday.table.choose_mails(who.matched(), Some(false), None, soon()).await.unwrap();
    }
    let ann = EmailAddress::parse("ann@maths.edu").unwrap();
    let mark = Undeliverable { address: ann.matched().clone(), why: UnreachableReason::Bounced, at: monday.now() };
    monday.table.end_mail_to(&[mark], monday.now(), soon()).await.unwrap();
    assert_eq!(monday.owed(Some(&maths)).await, ["ann", "ben", "tom"]);
    let mails = monday.mails().await;
    let to: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(to, ["ben@maths.edu", "tom@maths.edu"]);
    let origin = &monday.stack.ready.web;
    for mail in &mails {
        assert_eq!(mail.contents.headers["List-Unsubscribe"], format!("<{origin}/my#mails>"));
        assert!(!mail.contents.headers.contains_key("List-Unsubscribe-Post"), "no mail carries a right");
    }
    let dead = monday.table.dead_mails(at("2026-10-01T00:00:00Z"), 10).await.unwrap();
    assert_eq!(dead.in_all, 0);
    monday.stack.finish().await;
}

#[tokio::test]
async fn who_left_the_roster_since_is_named_as_they_are_now() {
    let mut monday = Monday::early().await;
    let (maths, grants) = a_class(&monday).await;
    monday.advance(1);
    monday.run("digest").await.unwrap();
    // Between cause and sending a name changes, as for an erased person.
    let mut ada = monday.grant(&maths, &grants[0]).await;
    ada.person.name = Some(format!("erased-{}", &grants[1].as_str()[..3]));
    RawTable::at(&monday.stack.ready.dynamodb, &monday.stack.ready.table).keep(&ada).await.unwrap();
    monday
        .table
        .act(monday.at(&maths, &grants[1]), |view, now| view.hold(HoldKind::Paused, &Actor::Rule, None, now))
        .await
        .unwrap();
    let mails = monday.mails().await;
    let text = mails[1].contents.text.clone().unwrap();
    assert!(text.contains("erased-") && !text.contains("Lovelace"), "{text}");
    monday.stack.finish().await;
}

impl Monday {
    fn at<'g>(&self, programme: &'g ProgrammeId, grant: &'g GrantId) -> ActContext<'g> {
        ActContext { programme, grant, now: self.now(), deadline: soon() }
    }

    /// The recipients of the digests that were sent; asserts that two were dropped and one failed.
    async fn mails_to(&mut self) -> Vec<String> {
        let to = self.mails().await.into_iter().map(|mail| mail.to).collect();
        let seen = self.watch.check().await;
        let digests = seen.outbox.iter().filter(|row| matches!(row.mail, QueuedMail::Digest { .. }));
        let (gone, failed): (Vec<_>, Vec<_>) = digests
            .filter(|row| matches!(row.state, MailState::Dropped { .. } | MailState::Failed { .. }))
            .partition(|row| matches!(row.state, MailState::Dropped { .. }));
        assert_eq!((gone.len(), failed.len()), (2, 1));
        to
    }
}
