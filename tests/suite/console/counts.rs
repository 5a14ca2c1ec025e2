//! How many have claimed, what everybody's keys would take, and what is free: known at any minute,
//! by what each act says of its own grant.

use bursar_core::domain::grant::HoldKind;
use bursar_core::domain::programme::counts::{Counts, Stage};
use bursar_core::domain::values::money::Usd;
use bursar_local::inbox::Contents;
use bursar_local::invoke::FunctionName;
use bursar_tests::campus::name_people;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::soon;
use bursar_tests::visitor::{Form, Visitor};
use futures_util::stream::{StreamExt, iter};

use super::*;

/// What home, overview, roster and the students' page say of the programme.
async fn say_claimed(reader: &Visitor) -> Vec<String> {
    let mut said = Vec::new();
    for page in ["/console", ID, ROSTER, GRANTS] {
        said.push(reader.get(page).await.expect(200).text("claimed").unwrap());
    }
    said.dedup();
    said
}

#[tokio::test]
async fn who_has_claimed_is_said_at_once() {
    let mut campus = Campus::at("2026-11-27T20:00:00Z").await;
    campus.programme("CS pilot", staff).await;
    let now = async |campus: &Campus| {
        say_claimed(&campus.student("faye").await)
            .await
            .join(", and ")
    };
    assert_eq!(now(&campus).await, "nobody on the roster yet");
    campus
        .students_with_keys(&["s1", "s2", "s3", "s4", "s5"])
        .await;
    campus.students(&["s6", "s7", "s8"]).await;
    campus.sync().await;
    campus.reveal(&campus.student("s6").await).await;
    assert_eq!(now(&campus).await, "6 of 8 have claimed");

    // Whoever had a key has claimed, whatever became of it; who is off the roster counts nowhere.
    campus.replace("s1").await;
    campus
        .press(&campus.student("s2").await, "return")
        .await
        .expect(303);
    assert_eq!(now(&campus).await, "6 of 8 have claimed");
    campus.revoke("s3").await;
    campus.revoke("s8").await;
    assert_eq!(now(&campus).await, "5 of 6 have claimed");
    for name in ["s4", "s7"] {
        campus.hold(name, HoldKind::Dropped).await;
    }
    assert_eq!(now(&campus).await, "4 of 4 have claimed");
    let by = &bursar_core::domain::audit::Actor::Rule;
    let back = campus
        .table
        .act(campus.on("s4"), |view, now| {
            view.release(HoldKind::Dropped, by, now)
        })
        .await;
    back.unwrap();
    campus.hold("s5", HoldKind::Paused).await;
    assert_eq!(now(&campus).await, "5 of 5 have claimed");
    campus.sync().await;
    assert_eq!(now(&campus).await, "5 of 5 have claimed");
    campus.close(&campus.admin().await).await.expect(303);
    campus.finish_work().await;
    assert_eq!(
        campus.admin().await.get(ID).await.text("claimed").unwrap(),
        "5 of 5 have claimed"
    );
    campus.finish().await;
}

/// An act may come in between while a recount reads the grants.
#[tokio::test]
async fn a_recount_adds_to_the_counts_that_it_read_and_to_no_others() {
    let campus = Campus::with_keys(&["ada"]).await;
    let read = campus.table.roster_counts(&campus.programme).await.unwrap();
    let more = Counts {
        claimed: 1,
        ..Counts::default()
    };
    let add = async |as_read| {
        campus
            .table
            .add_to_counts(&campus.programme, more, Some(as_read), soon())
            .await
            .unwrap()
    };
    for others in [
        Counts {
            invited: read.invited + 1,
            ..read
        },
        Counts {
            claimed: read.claimed + 1,
            ..read
        },
        Counts {
            signed_in: read.signed_in + 1,
            ..read
        },
        Counts {
            freed: read.freed + Usd::CENT,
            ..read
        },
    ] {
        assert!(!add(others).await, "{others:?}");
    }
    assert!(add(read).await && !add(read).await);
    assert_eq!(
        campus
            .table
            .roster_counts(&campus.programme)
            .await
            .unwrap()
            .claimed,
        read.claimed + 1
    );
    campus.finish_unjudged().await;
}

/// Two hundred students of $20, of whom 98 in Lab B have $30 and one has $7.01.
#[tokio::test]
async fn a_key_handed_back_counts_once_whatever_job_runs() {
    let mut campus = Campus::at("2026-11-28T08:00:00Z").await;
    let shape = |settings: &mut Settings| {
        staff(settings);
        settings
            .allowance
            .group_caps
            .insert("Lab B".to_owned(), Usd::from_dollars(30));
    };
    campus.programme("CS pilot", shape).await;
    campus.budget(5000).await;
    campus.students(&name_people(1..103)).await;
    for name in name_people(103..201) {
        campus.student_in(name, Some("Lab B")).await;
    }
    let by = &bursar_core::domain::audit::Actor::Rule;
    let lower = Some(Usd::from_micros(7_010_000));
    campus
        .table
        .act(campus.on("s102"), |view, now| {
            view.set_cap(lower, by, None, now)
        })
        .await
        .unwrap();
    let implied = async |campus: &Campus| {
        campus
            .admin()
            .await
            .get(ID)
            .await
            .one("implied")
            .get("data-usd")
            .to_owned()
    };
    assert_eq!(implied(&campus).await, "4967.010000");
    campus.reveal(&campus.student("s115").await).await;
    campus
        .press(&campus.student("s115").await, "return")
        .await
        .expect(303);
    assert_eq!(implied(&campus).await, "4967.010000");

    // A cap of another student is set by an act on many.
    let (admin, bulk) = (campus.admin().await, format!("{GRANTS}/bulk"));
    let cap = [("act", "cap"), ("cap_usd", "21"), ("q", "s007@example.edu")];
    let shown = admin.fill(GRANTS, &bulk, &cap).await.expect(200);
    assert!(
        shown
            .readable()
            .contains("$4,967.01 now, $4,968.01 afterwards"),
        "{}",
        shown.readable()
    );
    admin.submit(&shown, &bulk, &[]).await.expect(303);
    campus.finish_work().await;
    assert_eq!(campus.job("bulk").await.unwrap().state.as_str(), "done");
    assert_eq!(implied(&campus).await, "4968.010000");

    // Pauses of who never had a key, and of who handed one back; the last reading of it; and the
    // night.
    for name in ["s008", "s115"] {
        campus.hold(name, HoldKind::Paused).await;
    }
    assert_eq!(implied(&campus).await, "4948.010000");
    for name in ["s008", "s115"] {
        campus
            .table
            .act(campus.on(name), |view, now| {
                view.release(HoldKind::Paused, by, now)
            })
            .await
            .unwrap();
    }
    campus.pass_minutes(20).await;
    assert_eq!(implied(&campus).await, "4968.010000");
    campus.hours(15);
    campus.sync().await;
    assert_eq!(
        (implied(&campus).await, campus.reserved().await),
        ("4968.010000".to_owned(), Usd::ZERO)
    );
    campus.replace("s115").await;
    assert_eq!(implied(&campus).await, "4968.010000");
    campus.finish().await;
}

/// A budget of $400, 18 students with $20 each, of whom Sam has $30, and two without a key.
async fn eighteen_of_twenty() -> Campus {
    let mut campus = Campus::at("2026-11-28T08:00:00Z").await;
    campus.programme("CS pilot", staff).await;
    campus.budget(400).await;
    campus.students(&name_people(1..17)).await;
    campus.students_with_keys(&["emeka", "jamal"]).await;
    campus.students(&["wanda", "yuri"]).await;
    campus
}

#[tokio::test]
async fn a_raise_says_what_it_costs_others() {
    let campus = eighteen_of_twenty().await;
    let emeka = campus.student("emeka").await;
    emeka
        .fill("/my", &campus.my("more"), &[("reason", "Two models.")])
        .await
        .expect(303);
    let path = format!("{GRANTS}/{}", campus.id("emeka"));
    let faye = campus.student("faye").await;
    let card = faye.get(&path).await;
    assert_eq!(card.one("free").get("data-usd"), "40.000000");
    assert!(
        card.readable()
            .contains("Needed if everybody claims $40.00"),
        "{}",
        card.readable()
    );
    let all = card.texts("press-cost");
    let costs = [
        "Raise to $25 (leaves room for 1 of the 2 who have no key yet)",
        "Raise to $30 (leaves room for 1 of the 2 who have no key yet)",
    ];
    assert_eq!(
        all,
        [
            costs[0],
            costs[1],
            "Raise to $40 (leaves room for 1 of the 2 who have no key yet)"
        ]
    );
    assert_eq!(
        card.attributes("press-cost", "data-usd"),
        ["5.000000", "10.000000", "20.000000"]
    );

    // Once nobody can claim any more, a raise costs nobody a key.
    campus
        .set(|settings| {
            settings.claims.claim_closes_at = Some("2026-11-28T08:00:00Z".parse().unwrap());
        })
        .await;
    let closed = faye.get(&path).await;
    assert_eq!(
        closed.texts("press-cost"),
        ["Raise to $25", "Raise to $30", "Raise to $40"]
    );
    assert!(
        closed
            .readable()
            .contains("Needed if everybody claims $0.00"),
        "{}",
        closed.readable()
    );
    campus.finish().await;
}

#[tokio::test]
async fn what_comes_free_tonight_is_said() {
    let campus = eighteen_of_twenty().await;
    let faye = campus.student("faye").await;
    let caps = async |name: &str, caps: &[&str]| {
        let path = format!("{GRANTS}/{}", campus.id(name));
        for cap in caps {
            campus.minutes(2);
            faye.fill(&path, &format!("{path}/cap"), &[("cap_usd", cap)])
                .await
                .expect(303);
        }
    };
    caps("s001", &["30"]).await;
    caps("jamal", &["25", "20", "26", "22"]).await;
    let page = faye.get(ID).await;
    let of =
        |page: &bursar_tests::visitor::Page, hook: &str| page.one(hook).get("data-usd").to_owned();
    assert_eq!(
        [
            of(&page, "reserved"),
            of(&page, "free"),
            of(&page, "free-tonight")
        ],
        ["381.000000", "19.000000", "9.000000"]
    );
    let bites = "Free $19.00 2 can still claim a key, but there is room for none of them; $9 comes free with tonight's check";
    assert!(page.readable().contains(bites), "{}", page.readable());
    let path = format!("{GRANTS}/{}", campus.id("emeka"));
    let refused = faye
        .fill(&path, &format!("{path}/cap"), &[("cap_usd", "40")])
        .await
        .expect(409);
    let why = "only $19.00 is neither spent nor promised; $9 comes free with tonight's check. Ask the admins";
    assert!(
        refused.alerts().join(" ").contains(why),
        "{:?}",
        refused.alerts()
    );
    let many = faye
        .fill(
            GRANTS,
            &format!("{GRANTS}/bulk"),
            &[("act", "cap"), ("cap_usd", "25")],
        )
        .await;
    let why = "only $19.00 is neither spent nor promised; $9 comes free with tonight's check. Choose less";
    assert!(many.alerts().join(" ").contains(why), "{:?}", many.alerts());
    campus.sync().await;
    let page = faye.get(ID).await;
    assert_eq!(
        [of(&page, "reserved"), of(&page, "free")],
        ["372.000000", "28.000000"]
    );
    assert!(page.all("free-tonight").is_empty());
    campus.finish().await;
}

/// A key that spends more than its limit, as the provider lets the last request do.
#[tokio::test]
async fn a_budget_that_is_passed_says_by_how_much() {
    let mut campus = staffed().await;
    campus.budget(20).await;
    campus.students_with_keys(&["ada"]).await;
    campus.spend("ada", "25");
    campus.sync().await;
    let page = campus.student("faye").await.get(ID).await;
    let figures =
        ["spent", "promised", "free"].map(|hook| page.one(hook).get("data-usd").to_owned());
    assert_eq!(figures, ["25.000000", "0.000000", "0.000000"]);
    assert!(
        page.readable()
            .contains("Free $0.00 spent and promised are $5.00 more than the budget"),
        "{}",
        page.readable()
    );
    campus.finish().await;
}

/// The row of the overview: how many are at each stage.
async fn row(campus: &Campus) -> [i64; Stage::ALL.len()] {
    let page = campus.student("faye").await.get(ID).await.expect(200);
    let names = page.attributes("stage", "data-stage");
    assert_eq!(names, Stage::ALL.map(|stage| stage.as_str().to_owned()));
    let people: Vec<i64> = page
        .texts("stage")
        .iter()
        .map(|people| people.parse().unwrap())
        .collect();
    people.try_into().unwrap()
}

/// Somebody follows the link that was mailed to them.
async fn sign_in(campus: &Campus, to: &str) -> u16 {
    let mails = campus.ses.mails_to(to);
    let texts = mails
        .iter()
        .filter_map(|mail| Contents::parse(&mail.raw).text);
    let words: Vec<String> = texts
        .flat_map(|text| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    let link = words
        .iter()
        .find_map(|word| word.split_once("/c/"))
        .unwrap()
        .1;
    campus
        .browser()
        .post(&format!("/c/{link}"), &[("address", to)])
        .await
        .status
}

/// Two hundred on the day on which keys can be claimed.
#[tokio::test]
async fn a_claim_day_adds_up() {
    let mut campus = Campus::at("2026-11-28T08:00:00Z").await;
    campus.programme("CS pilot", staff).await;
    let names = name_people(100..300);
    campus.students(&names).await;
    campus.settle().await;
    assert_eq!(row(&campus).await, [0, 200, 0, 0, 0, 0]);

    let invitations = campus.mails("roster");
    for mail in &invitations[..5] {
        campus.report(mail, "bounce", true).await;
    }
    assert_eq!(row(&campus).await, [5, 195, 0, 0, 0, 0]);
    for name in &names[..90] {
        campus.ask(name).await;
    }
    campus.settle().await;
    assert_eq!(
        row(&campus).await,
        [5, 110, 85, 0, 0, 0],
        "no link goes to whose mail comes back"
    );
    let sign_ins = names[5..75]
        .iter()
        .map(async |name| sign_in(&campus, &format!("{name}@example.edu")).await);
    let answers: Vec<u16> = iter(sign_ins.collect::<Vec<_>>())
        .buffer_unordered(8)
        .collect()
        .await;
    assert_eq!(answers, [303; 70]);
    assert_eq!(row(&campus).await, [5, 110, 15, 70, 0, 0]);
    campus.minutes(2);
    let claims = names[35..75]
        .iter()
        .map(async |name| campus.reveal(&campus.student(name).await).await);
    iter(claims.collect::<Vec<_>>())
        .buffer_unordered(8)
        .collect::<Vec<_>>()
        .await;
    assert_eq!(row(&campus).await, [5, 110, 15, 30, 40, 0]);
    names[45..75]
        .iter()
        .for_each(|name| campus.spend(name, "0.01"));
    campus.sync().await;
    assert_eq!(row(&campus).await, [5, 110, 15, 30, 10, 30]);

    // The page reads the row with the programme's other items, and no grant.
    let before = campus.gate.calls().len();
    let faye = campus.student("faye").await;
    let page = faye.get(ID).await;
    let read: Vec<String> = campus.gate.calls()[before..]
        .iter()
        .filter(|call| call.function == FunctionName::Console)
        .flat_map(|call| call.parts.clone())
        .map(|part| part.partition)
        .collect();
    assert!(!read.contains(&"G#".to_owned()), "{read:?}");
    assert!(
        read.iter().filter(|partition| *partition == "P#").count() <= 3,
        "{read:?}"
    );
    assert_eq!(page.one("claimed").get("data-claimed"), "40");

    // Each number leads to those whom it counts, and a mail to them to its preview.
    for (stage, people) in Stage::ALL.iter().zip(row(&campus).await) {
        let file = faye
            .get(&format!("{GRANTS}.csv?stage={}", stage.as_str()))
            .await
            .expect(200);
        assert_eq!(
            file.body.lines().count() as i64,
            people + 1,
            "{}",
            stage.as_str()
        );
    }
    assert_eq!(
        page.all("stage").len(),
        page.body.matches("grants?stage=").count()
    );
    for (stage, act, title) in [
        (
            "invited",
            "resend",
            "Send 110 students the invitation again",
        ),
        ("asked", "remind", "Remind 15 students"),
    ] {
        let is_it =
            |form: &Form| form.value("stage") == Some(stage) && form.value("act") == Some(act);
        let form = page.forms().into_iter().find(is_it).unwrap();
        assert!(
            faye.send_form(&form)
                .await
                .expect(200)
                .readable()
                .contains(title)
        );
    }

    // Who is corrected is invited again; who leaves the roster is nowhere, and back where they
    // were.
    let bounced = format!("{GRANTS}/{}", campus.id("s100"));
    faye.fill(
        &bounced,
        &format!("{bounced}/address"),
        &[("email", "t100@example.edu")],
    )
    .await
    .expect(303);
    campus.hold("s299", HoldKind::Dropped).await;
    campus.revoke("s174").await;
    assert_eq!(row(&campus).await, [4, 110, 15, 30, 10, 29]);
    campus.finish().await;
}

/// What a student sees of their own use counts at once, and nobody is reminded of it.
#[tokio::test]
async fn a_refresh_counts_a_use() {
    let mut campus = staffed().await;
    campus.students(&["ada"]).await;
    campus.reveal(&campus.student("ada").await).await;
    campus.sync().await;
    assert_eq!(row(&campus).await, [0, 0, 0, 0, 1, 0]);
    let faye = campus.student("faye").await;
    let overview = faye.get(ID).await;
    campus.minutes(10);
    campus
        .press(&campus.student("ada").await, "refresh")
        .await
        .expect(303);
    assert_eq!(row(&campus).await, [0, 0, 0, 0, 1, 0], "nothing was used");
    campus.spend("ada", "0.01");
    campus.minutes(10);
    campus
        .press(&campus.student("ada").await, "refresh")
        .await
        .expect(303);
    assert_eq!(row(&campus).await, [0, 0, 0, 0, 0, 1]);
    // The page from before still offers it.
    let form = overview
        .forms()
        .into_iter()
        .find(|form| form.value("stage") == Some("claimed"))
        .unwrap();
    let nobody = faye.send_form(&form).await.expect(200).readable();
    assert!(
        nobody.contains("Nobody who is meant can be reminded now"),
        "{nobody}"
    );
    campus.finish().await;
}

/// A function that dies before it has counted leaves the counts behind until the night, and nothing
/// else.
#[tokio::test]
async fn missed_counts_are_made_up_for() {
    let mut campus = staffed().await;
    campus.students(&["ada"]).await;
    campus.ask("ada").await;
    campus.settle().await;
    campus.gate.at(
        Matcher::call("dynamodb:UpdateItem")
            .of(FunctionName::Claim)
            .on("P#"),
        Fault::KillBefore,
    );
    sign_in(&campus, "ada@example.edu").await;
    assert_eq!(row(&campus).await, [0, 0, 1, 0, 0, 0]);
    assert_eq!(campus.grant("ada").await.stage, Stage::SignedIn);
    campus.sync().await;
    assert_eq!(row(&campus).await, [0, 0, 0, 1, 0, 0]);
    campus.finish_faulted().await;
}
