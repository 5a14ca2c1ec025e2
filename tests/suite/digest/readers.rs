//! Contents by recipient: names for faculty, counts for assistants, the account for admins. A recipient who
//! cannot be reached does not affect the others.

use bursar_core::domain::mail::digest::Digest;
use bursar_core::store::{Account, AccountDay, ForeignKey, Undeliverable, UnreachableReason, keys};
use bursar_tests::campus::ADMIN;

use super::*;
use crate::mail::footers::without_footer;

/// Two groups, three students with keys and one without, after five weeks.
async fn a_class(campus: &mut Campus) -> (ProgrammeId, Vec<GrantId>) {
    let maths = programme(campus, "Maths", |_| {}).await;
    let mut grants = Vec::new();
    for (name, group) in [
        ("Ada Lovelace", Some("Lab A")),
        ("Alan Turing", Some("Lab B")),
        ("Barbara Liskov", None),
        ("Carl Gauss", None),
    ] {
        grants.push(student(campus, &maths, name, group).await);
    }
    for grant in &grants[..3] {
        claim(campus, &maths, grant).await;
    }
    let ada = used(campus, &maths, &grants[0], &[(1, 1_200), (2, 34), (9, 10), (16, 10)]).await;
    let alan = used(campus, &maths, &grants[1], &[(3, 100), (8, 100), (15, 90), (0, 500)]).await;
    looked(campus).await;
    summed_up(campus, &maths, &[(Some("Lab A"), &ada), (Some("Lab B"), &alan)]).await;
    for (day, uses) in
        [(15, [("b/dear", 1_200, 20), ("a/cheap", 0, 0)]), (13, [("b/dear", 0, 0), ("a/cheap", 134, 900)])]
    {
        model_day(campus, &maths, date(2026, 11, day), &uses).await;
    }
    (maths, grants)
}

#[tokio::test]
async fn faculty_read_names_and_assistants_counts() {
    let mut campus = early().await;
    let (_, grants) = a_class(&mut campus).await;
    campus.unreachable("carl.gauss@students.edu").await;
    campus.minutes(60);
    digests(&campus).await;
    let mails = sent(&campus).await;
    let to: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(to, ["admin@example.edu", "ann@maths.edu", "ben@maths.edu", "tom@maths.edu"]);
    let [_, ann, ben, tom] = &mails[..] else { unreachable!() };
    let text = |mail: &Got| mail.contents.text.clone().unwrap().replace(&campus.ready.web, "[origin]");
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
    let seen = campus.judged().await;
    let digests = seen.items.iter().filter(|((_, sk), _)| sk.starts_with("DIGEST"));
    for (key, item) in digests {
        let item = format!("{item:?}");
        assert!(!["Ada", "Lovelace", "Gauss", "students.edu"].iter().any(|name| item.contains(name)), "{key:?}");
    }
    assert_eq!(seen.all::<Digest>().count(), 1);
    campus.finish().await;
}

#[tokio::test]
async fn complaints_and_late_claims_are_told_apart() {
    let mut campus = early().await;
    a_class(&mut campus).await;
    for (who, why) in [
        ("ada.lovelace", UnreachableReason::Complained),
        ("alan.turing", UnreachableReason::Suppressed),
        ("carl.gauss", UnreachableReason::Bounced),
    ] {
        let who = address(&format!("{who}@students.edu"));
        let mark = Undeliverable { address: who.matched().clone(), why, at: campus.clock.now() };
        campus.table.end_mail_to(&[mark], campus.clock.now(), soon()).await.unwrap();
    }
    campus.set(|settings| settings.claim_closes_at = Some(at("2026-11-01T12:00:00Z"))).await;
    campus.minutes(60);
    digests(&campus).await;
    let mails = sent(&campus).await;
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
    campus.finish().await;
}

#[tokio::test]
async fn admins_read_of_the_account() {
    let mut campus = early().await;
    a_class(&mut campus).await;
    let now = campus.clock.now();
    for (number, name, first_seen_at) in
        [(1, "prof-laptop", now - 30.hours()), (2, "old one", at("2026-10-02T00:20:00Z"))]
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
        campus.table.note_foreign_key(&key, soon()).await.unwrap();
    }
    let of = |dollars| DailyUse::on_one(date(2026, 11, 14), Usd::from_dollars(dollars));
    assert!(
        as_sync(&campus.table, async |sync| sync
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
        assert!(as_sync(&campus.table, async |sync| sync.note_account_day(&day).await).await);
    }
    campus.minutes(60);
    digests(&campus).await;
    let mails = sent(&campus).await;
    let admin = mails.iter().find(|mail| mail.to == "admin@example.edu").unwrap();
    let text = admin.contents.text.clone().unwrap().replace(&campus.ready.web, "[origin]");
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
    campus.finish().await;
}

/// Ann cannot be reached, one is erased, one has lost the role, and Ben wants no digest. Ada's name was erased since.
#[tokio::test]
async fn who_gets_none_keeps_nobody_else() {
    let mut campus = early().await;
    let (maths, grants) = a_class(&mut campus).await;
    let more = ["gone@maths.edu", "left@maths.edu"].map(address);
    campus.set(|settings| settings.faculty.extend(more)).await;
    campus.minutes(60);
    digests(&campus).await;
    assert_eq!(owed(&campus, Some(&maths)).await, ["ann", "ben", "gone", "left", "tom"]);
    campus.unreachable("ann@maths.edu").await;
    campus.set(|settings| settings.faculty.retain(|who| !who.as_written().starts_with("left"))).await;
    let gone = campus.table.person_of(&address("gone@maths.edu"), soon()).await.unwrap();
    let key = keys::person(&gone);
    campus.raw().delete(&key.pk, &key.sk).await;
    // No failure, even where mail would come back.
    campus.unreachable(ADMIN).await;
    for who in ["ben@maths.edu", ADMIN] {
        campus.table.choose_mails(address(who).matched(), Some(false), None, soon()).await.unwrap();
    }
    let mut ada = campus.table.grant(&maths, &grants[0]).await.unwrap().unwrap();
    ada.person.name = Some("erased-0123".to_owned());
    campus.raw().keep(&ada).await;

    let [tom] = &sent(&campus).await[..] else { panic!("not just one") };
    assert_eq!(tom.to, "tom@maths.edu");
    assert_eq!(tom.contents.headers["List-Unsubscribe"], format!("<{}/my#mails>", campus.ready.web));
    assert!(!tom.contents.headers.contains_key("List-Unsubscribe-Post"), "no mail carries a right");
    let dead = campus.table.dead_mails(at("2026-10-01T00:00:00Z"), 10).await.unwrap();
    assert_eq!(dead.in_all, 1, "of Ann an admin is told");
    campus.table.choose_mails(address("ben@maths.edu").matched(), Some(true), None, soon()).await.unwrap();
    campus.minutes(7 * 24 * 60);
    digests(&campus).await;
    let mails = sent(&campus).await;
    let ben = mails.iter().find(|mail| mail.to == "ben@maths.edu").unwrap().contents.text.clone().unwrap();
    assert!(!ben.contains("Lovelace"), "{ben}");
    campus.finish_faulted().await;
}
