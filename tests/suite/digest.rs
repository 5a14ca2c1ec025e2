//! The weekly digests through the stack: one for each recipient and week, on the programme's own
//! day, however often it runs. Only faculty get names, and no digest has a key. Their words are
//! tested in `functions/mail`, and faults at each call in `sweeps`.

use bursar_core::clock::Moment;
use bursar_core::domain::mail::digest::Digest;
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::programme::Weekday;
use bursar_core::domain::values::id::{PersonId, ProgrammeId};
use bursar_core::domain::values::term::Term;
use bursar_core::store::{QueuedMail, StaffPerson};
use bursar_local::invoke::FunctionName;
use bursar_local::ses::Quota;
use bursar_tests::campus::{Campus, Got, address};
use bursar_tests::office::soon;
use futures_util::future::join_all;
use jiff::civil::date;
use serde_json::{Value, json};

/// A Monday, an hour before digests are due: two faculty and an assistant, three students with keys
/// and one without, and a week of which each night with use before it had its sync. The stream is
/// not delivered.
async fn class() -> Campus {
    let mut campus = Campus::at("2026-11-08T12:00:00Z").await;
    campus.pump.stop().await;
    campus.ses.set_quota(Quota {
        per_second: 1_000,
        ..Quota::PRODUCTION
    });
    campus.programme("Nobody's", |_| {}).await;
    campus
        .programme("Maths", |settings| {
            settings.people.faculty = ["ann", "ben", "ann"].map(address).to_vec();
            settings.people.assistants = ["tom", "ben"].map(address).to_vec();
        })
        .await;
    campus.budget(100).await;
    for (name, group) in [
        ("ada", Some("Lab A")),
        ("alan", Some("Lab B")),
        ("barbara", None),
    ] {
        campus.student_in(name, group).await;
    }
    campus.keys().await;
    campus.students(&["carl"]).await;
    campus.spend("alan", "1");
    campus.sync().await;
    for day in [9, 13, 14, 15, 16] {
        campus
            .clock
            .stop_at(at(&format!("2026-11-{day:02}T00:20:00Z")))
            .unwrap();
        assert_eq!(campus.sync().await["complete"], true);
        match day {
            13 => campus.spend("alan", "1"),
            15 => campus.spend("ada", "12"),
            _ => {}
        }
    }
    campus.clock.stop_at(at("2026-11-16T06:00:00Z")).unwrap();
    campus
}

/// Runs the digests, and returns how many were made.
async fn digests(campus: &Campus) -> Value {
    campus
        .run(FunctionName::ThresholdAlerts, json!({"task": "digest"}))
        .await
        .unwrap()["digests"]
        .clone()
}

/// Sends all that is queued, and returns the digests.
async fn sent(campus: &Campus) -> Vec<Got> {
    campus.drain().await;
    campus.mails("digest")
}

/// The recipients of the queued digests of a programme, one for each row.
async fn owed(campus: &Campus, of: &ProgrammeId) -> Vec<String> {
    let seen = campus.judged().await;
    let recipients = seen.outbox.iter().filter_map(|row| match &row.mail {
        QueuedMail::Digest {
            programme,
            recipient,
            ..
        } if programme == of => Some(recipient),
        _ => None,
    });
    let name = |recipient: &PersonId| {
        let known = seen
            .all()
            .find(|person: &StaffPerson| person.person == *recipient);
        let local = |known: StaffPerson| {
            known
                .address
                .as_written()
                .split('@')
                .next()
                .unwrap()
                .to_owned()
        };
        known.map_or_else(|| "erased".to_owned(), local)
    };
    let mut owed: Vec<String> = recipients.map(name).collect();
    owed.sort();
    owed
}

fn at(text: &str) -> Moment {
    text.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_hears_once_a_week_what_is_theirs() {
    let mut campus = class().await;
    let maths = campus.programme.clone();
    campus.unreachable("carl").await;
    campus.sync().await;
    assert_eq!(campus.look().await["digests"], 0, "it is not seven yet");
    campus.minutes(61);
    let at_once = join_all((0..4).map(|_| digests(&campus))).await;
    assert_eq!(at_once.iter().filter_map(Value::as_i64).sum::<i64>(), 1);
    assert_eq!(owed(&campus, &maths).await, ["ann", "ben", "tom"]);

    let mails = sent(&campus).await;
    let to: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(
        to,
        ["ann@example.edu", "ben@example.edu", "tom@example.edu"],
        "admins get none"
    );
    let [ann, ben, tom] = &mails[..] else {
        unreachable!()
    };
    let text = |mail: &Got| mail.contents.text.clone().unwrap();
    assert_eq!(text(ann), text(ben));
    for mail in &mails {
        assert_eq!(
            mail.contents.subject,
            "Maths: $13.00 last week, 14% of the budget used"
        );
        assert!(
            mail.contents
                .html
                .as_ref()
                .unwrap()
                .contains("the line is the budget"),
            "the burn"
        );
    }
    for (mail, lines) in [
        (
            ann,
            &[
                "Lab A: last week $12.00, the week before $0.00",
                "a/model: last week $13.00, requests 2",
            ][..],
        ),
        (
            ann,
            &[
                "ada@example.edu: last week $12.00, cap used $12.00 of $20",
                "Students: 3 of 4 have claimed; 2 of them",
            ],
        ),
        (
            ann,
            &[
                "Never used their key: 1 (barbara@example.edu)",
                "Mail does not reach them: 1 (carl@example.edu)",
            ],
        ),
        (
            tom,
            &["Never used their key: 1.", "Mail does not reach them: 1."],
        ),
    ] {
        for line in lines {
            assert!(text(mail).contains(line), "{line}: {}", text(mail));
        }
    }
    for name in ["ada", "alan", "barbara", "carl"] {
        let address = format!("{name}@");
        assert!(
            !text(tom).contains(&address)
                && !tom.contents.html.as_ref().unwrap().contains(&address),
            "{name}"
        );
    }
    for mail in &mails {
        let both = format!("{}{}", mail.contents.html.as_ref().unwrap(), text(mail));
        assert!(
            !both.contains("sk-or-") && !both.contains(campus.id("ada").as_str()),
            "a key, or a grant's name"
        );
    }
    let seen = campus.judged().await;
    let stored = seen
        .items
        .iter()
        .filter(|((_, sk), _)| sk.starts_with("DIGEST"));
    let stored: String = stored.map(|(_, item)| format!("{item:?}")).collect();
    assert!(
        !stored.is_empty() && !stored.contains("ada@"),
        "names are stored only in grants"
    );

    let fresh = campus
        .programme("fresh", |settings| {
            settings.people.faculty = vec![address("fay")];
        })
        .await;
    campus.programme = maths.clone();
    campus
        .set(|settings| {
            settings
                .people
                .faculty
                .extend(["gone", "left"].map(address));
        })
        .await;
    for hours in [1, 70] {
        campus.hours(hours);
        assert_eq!(campus.look().await["digests"], 0, "{hours}");
    }
    campus.clock.stop_at(at("2026-11-23T07:00:00Z")).unwrap();
    assert_eq!(
        (digests(&campus).await, digests(&campus).await),
        (json!(2), json!(0)),
        "by hand"
    );
    assert_eq!(
        owed(&campus, &maths).await,
        ["ann", "ann", "ben", "ben", "gone", "left", "tom", "tom"]
    );
    assert_eq!(
        owed(&campus, &fresh).await,
        ["fay"],
        "not on the day on which it was made"
    );
    who_gets_none_keeps_nobody_else(&campus).await;

    // Another day of the week is no second digest of a week.
    for (weekday, days) in [(Weekday::Wednesday, 2), (Weekday::Sunday, 4)] {
        campus
            .set(|settings| settings.mails.digest = Some(weekday))
            .await;
        campus.hours(days * 24);
        digests(&campus).await;
        assert_eq!(owed(&campus, &maths).await.len(), 8);
    }
    // The next begins where the last one ended.
    campus
        .set(|settings| settings.mails.digest = Some(Weekday::Wednesday))
        .await;
    campus.hours(3 * 24);
    digests(&campus).await;
    let next = campus
        .table
        .get(Digest::key_of(&maths, date(2026, 11, 30)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(next.days, (date(2026, 11, 23), date(2026, 12, 1)));
    campus.finish_faulted().await;
}

/// East of UTC, the night after a digest's days is over before its morning.
#[tokio::test]
async fn it_has_the_people_of_its_own_days() {
    let mut campus = Campus::at("2026-11-08T12:00:00Z").await;
    campus.pump.stop().await;
    campus
        .programme("Delhi", |settings| {
            let term = &settings.term;
            settings.term = Term::new(term.starts_on(), term.ends_on(), "Asia/Kolkata").unwrap();
            settings.people.faculty = vec![address("dev")];
        })
        .await;
    campus.students_with_keys(&["ada"]).await;
    for day in [15, 16] {
        campus
            .clock
            .stop_at(at(&format!("2026-11-{day:02}T00:20:00Z")))
            .unwrap();
        assert_eq!(campus.sync().await["complete"], true);
    }
    campus.clock.stop_at(at("2026-11-16T02:00:00Z")).unwrap();
    assert_eq!(digests(&campus).await, 1);
    let digest = campus
        .table
        .get(Digest::key_of(&campus.programme, date(2026, 11, 16)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(digest.days, (date(2026, 11, 8), date(2026, 11, 14)));
    assert_eq!(digest.people.unwrap().days, digest.days);
    // After three weeks without a night nobody knows who needed a look.
    campus.clock.stop_at(at("2026-12-07T02:00:00Z")).unwrap();
    digests(&campus).await;
    let late = campus
        .table
        .get(Digest::key_of(&campus.programme, date(2026, 12, 7)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (late.days, late.people),
        ((date(2026, 11, 29), date(2026, 12, 5)), None)
    );
    campus.finish().await;
}

/// Ann cannot be reached, one is erased, one has lost the role, and Ben wants no digest.
async fn who_gets_none_keeps_nobody_else(campus: &Campus) {
    campus.unreachable("ann").await;
    campus
        .set(|settings| {
            settings
                .people
                .faculty
                .retain(|who| !who.as_written().starts_with("left"));
        })
        .await;
    let gone = campus
        .table
        .person_of(&address("gone"), soon())
        .await
        .unwrap();
    let key = StaffPerson::key_of(&gone);
    campus.raw().delete(&key.pk, &key.sk).await;
    // No failure, even where mail would come back.
    campus.unreachable("ben").await;
    campus
        .table
        .choose_mails(address("ben").matched(), Some(false), None, soon())
        .await
        .unwrap();
    let [fay, tom] = &sent(campus).await[..] else {
        panic!("not just two")
    };
    assert_eq!((&*fay.to, &*tom.to), ("fay@example.edu", "tom@example.edu"));
    // No night was since it was made, so it says nothing of people.
    let text = fay.contents.text.as_ref().unwrap();
    assert!(
        !text.contains("Students") && !text.contains("needs your attention"),
        "{text}"
    );
    assert_eq!(
        tom.contents.headers["List-Unsubscribe"],
        format!("<{}/my#mails>", campus.ready.web)
    );
    assert!(
        !tom.contents.headers.contains_key("List-Unsubscribe-Post"),
        "no mail carries a right"
    );
    let dead = campus
        .table
        .dead_mails(at("2026-10-01T00:00:00Z"), 10)
        .await
        .unwrap();
    let digests = dead
        .newest
        .iter()
        .filter(|row| row.mail.facts().kind == MailKind::Digest);
    assert_eq!(digests.count(), 1, "of Ann an admin is told");
}
