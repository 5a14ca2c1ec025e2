//! Grants: found, shown and acted on, and what becomes of the key.

use bursar_core::clock::Moment;
use bursar_core::domain::audit::{Act, Actor};
use bursar_core::domain::values::money::Usd;
use bursar_local::provider::Nano;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::seeds::sized;
use bursar_tests::visitor::{Page, Visitor};

use super::*;

#[tokio::test]
async fn grants_are_listed_by_spending_and_found() {
    let mut campus = Campus::with_keys(&["ada", "bob"]).await;
    campus.students(&["cid"]).await;
    campus.spend("ada", "1");
    campus.spend("bob", "3.50");
    campus.sync().await;
    let admin = campus.admin().await;
    let emails = |page: &Page| page.attributes("grant", "data-email").join(" ");
    let all = admin.get(GRANTS).await.expect(200);
    assert_eq!(
        emails(&all),
        "bob@example.edu ada@example.edu cid@example.edu"
    );
    for (name, cells) in [
        ("data-spent-usd", ["3.500000", "1.000000", "0.000000"]),
        ("data-cap-usd", ["20.000000"; 3]),
        ("data-state", ["live", "live", "invited"]),
    ] {
        assert_eq!(all.attributes("grant", name), cells);
    }
    assert_eq!(
        all.attributes("grant", "data-left-usd"),
        ["16.500000", "19.000000", "20.000000"]
    );
    let (id, key) = (campus.id("bob").to_string(), campus.key("bob"));
    let (hash, name) = (&key.hash, key.name.replace('/', "%2F"));
    for (query, found) in [
        ("q=ADA%40", "ada@example.edu"),
        ("state=invited", "cid@example.edu"),
        ("q=nobody", ""),
        ("from=2", "cid@example.edu"),
        ("from=99", ""),
        ("q=%3Cscript%3E", ""),
        ("q=da%40exam", "ada@example.edu"),
        ("q=Ada%40Example.EDU", "ada@example.edu"),
        ("q=eda%40example.edu", ""),
        ("q=ada%40example.edu&state=invited", ""),
        (&format!("q={id}"), "bob@example.edu"),
        (&format!("q={name}"), "bob@example.edu"),
        (&format!("q={hash}"), "bob@example.edu"),
        (&format!("q={}", &hash[..12]), "bob@example.edu"),
        (&format!("q={}", &hash[..11]), ""),
        (
            "sort=name",
            "ada@example.edu bob@example.edu cid@example.edu",
        ),
        (
            "sort=used",
            "ada@example.edu bob@example.edu cid@example.edu",
        ),
        ("group=A", ""),
    ] {
        assert_eq!(
            emails(&admin.get(&format!("{GRANTS}?{query}")).await),
            found,
            "{query}"
        );
    }
    let nobody = admin
        .get(&format!("{GRANTS}?q=%3Cscript%3E"))
        .await
        .readable();
    assert!(
        nobody.contains("No student matches “<script>”."),
        "{nobody}"
    );
    admin
        .get(&format!("{GRANTS}/0000000000000000"))
        .await
        .expect(404);
    campus.finish().await;
}

/// A search for several finds whom it names exactly, and says which it did not find.
#[tokio::test]
async fn several_are_found_exactly() {
    let mut campus = staffed().await;
    campus.students(&["ada", "bob", "cid"]).await;
    let (faye, asta) = (campus.student("faye").await, campus.student("asta").await);
    let eve = [
        ("email", "eve@example.edu"),
        ("name", "Eve Ek"),
        ("id", "S7"),
    ];
    faye.fill(ROSTER, &format!("{ID}/people"), &eve)
        .await
        .expect(303);
    let bob = campus.id("bob").to_string();
    for (q, state, found, not_found) in [
        ("ADA@example.edu,bob", "", "ada", "bob"),
        (&*format!("{bob};eve ek"), "", "bob eve", ""),
        ("Eve E. <eve@example.edu>\r\n s7\r\n", "", "eve", ""),
        ("cid@example.edu\ncid@example.edu", "", "cid", ""),
        ("ada@example.edu;x; y", "", "ada", "x y"),
        ("ada@example.edu;x", "live", "", "x"),
        ("x;y", "", "", "x y"),
        // One alone, by a part.
        ("d@exam", "", "cid", ""),
        ("\n d@exam,\n", "", "cid", ""),
    ] {
        let encoded: String = q.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let got = asta
            .get(&format!("{GRANTS}?q={encoded}&state={state}&sort=name"))
            .await
            .expect(200);
        let several = asta.get(&format!("{GRANTS}?q=x;y")).await;
        let posted = asta
            .submit(
                &several,
                GRANTS,
                &[("q", q), ("state", state), ("sort", "name")],
            )
            .await
            .expect(200);
        for page in [got, posted] {
            let emails = page
                .attributes("grant", "data-email")
                .join(" ")
                .replace("@example.edu", "");
            assert_eq!(
                (&*emails, &*page.texts("not-found").join(" ")),
                (found, not_found),
                "{q:?}"
            );
        }
    }
    let plain = asta.get(GRANTS).await;
    let form = plain
        .forms()
        .into_iter()
        .find(|form| form.action == GRANTS && form.value("csrf").is_some())
        .unwrap();
    let page = asta
        .send_form(&form.filled(&[("q", "ada@example.edu\nbob@example.edu")]))
        .await
        .expect(200);
    assert_eq!(page.all("grant").len(), 2);
    let many: Vec<String> = (0..5_001).map(|number| number.to_string()).collect();
    let refused = asta
        .submit(&page, GRANTS, &[("q", &many.join("\n"))])
        .await
        .expect(422);
    assert!(
        refused.readable().contains("At most 5,000"),
        "{}",
        refused.readable()
    );
    campus.finish().await;
}

/// Everybody on a list of addresses from a mail is paused by one act: of three hundred, in `long`
/// of five thousand.
#[tokio::test]
async fn a_list_from_a_mail_is_paused() {
    let mut campus = staffed().await;
    let students = sized(298, 4_998);
    let names: Vec<String> = (0..students + 10)
        .map(|number| format!("a.student.with.a.long.name.{number}"))
        .collect();
    campus
        .students(&names.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    let faye = campus.student("faye").await;
    let bulk = format!("{GRANTS}/bulk");
    let list: Vec<String> = names[..students]
        .iter()
        .map(|name| address(name).as_written().to_owned())
        .collect();
    let list = format!("{}\nnobody@example.edu\nNo Body", list.join("\n"));
    let shown = faye
        .fill(GRANTS, &bulk, &[("act", "pause"), ("q", &list)])
        .await
        .expect(200);
    assert_eq!(
        (shown.texts("bulk-count"), shown.all("grant").len()),
        (vec![students.to_string()], 100)
    );
    assert_eq!(shown.texts("not-found"), ["No Body", "nobody@example.edu"]);
    faye.submit(&shown, &bulk, &[]).await.expect(303);
    campus.finish_work().await;
    assert_eq!(campus.job("bulk").await.unwrap().state.as_str(), "done");
    let grants = campus.table.grants(&campus.programme).await.unwrap();
    assert_eq!(
        grants
            .iter()
            .filter(|grant| grant.holds.paused.is_some())
            .count(),
        students
    );
    assert_eq!(campus.grant(&names[students]).await.holds.paused, None);
    campus.finish_unjudged().await;
}

/// One person is taken off the roster and put on it again, and whose key is removed hears of it.
#[tokio::test]
async fn one_leaves_the_roster_or_for_good() {
    let mut campus = staffed().await;
    campus.students(&["ada", "bob", "cid"]).await;
    let ada = campus.student("ada").await;
    campus.reveal(&ada).await;
    campus.reveal(&campus.student("cid").await).await;
    let (faye, asta) = (campus.student("faye").await, campus.student("asta").await);
    let path = |name: &str| format!("{GRANTS}/{}", campus.id(name));
    for (name, told) in [
        ("ada", "the key does not work any more"),
        ("bob", "If that was a mistake"),
    ] {
        let drop = format!("{}/drop", path(name));
        assert!(!asta.get(&path(name)).await.offers(&drop));
        let page = faye.get(&path(name)).await;
        for _ in 0..2 {
            faye.submit(&page, &drop, &[]).await.expect(303);
        }
        let page = faye.get(&path(name)).await;
        assert!(
            page.readable()
                .contains("the roster no longer names this person")
                && !page.offers(&drop),
            "{told}"
        );
        assert!(
            page.readable().contains("off the roster")
                && !page.offers(&format!("{}/pause", path(name)))
        );
    }
    assert_eq!(
        campus.enabled().len(),
        1,
        "the key of who was dropped is off"
    );
    let off = faye
        .get(&format!("{GRANTS}?state=off-roster"))
        .await
        .attributes("grant", "data-state");
    assert_eq!(off, ["paused", "paused"]);
    faye.fill(&path("ada"), &format!("{ID}/people"), &[])
        .await
        .expect(303);
    assert!(
        faye.get(ROSTER)
            .await
            .readable()
            .contains("1 person is back on the roster")
    );
    assert_eq!(campus.enabled().len(), 2, "and on again with them");
    for (name, told) in [
        ("ada", "Mails one to the student that the key is off"),
        ("bob", "Mails none"),
    ] {
        let revoke = format!("{}/revoke", path(name));
        let page = faye.fill(&path(name), &revoke, &[]).await.expect(200);
        assert!(page.readable().contains(told), "{}", page.readable());
        faye.submit(&page, &revoke, &[]).await.expect(303);
    }
    campus.settle().await;
    assert_eq!(
        campus.subjects("student"),
        ["CS pilot: your key was switched off"]
    );
    campus.finish().await;
}

#[tokio::test]
async fn many_are_acted_on_at_once() {
    let mut campus = Campus::with_keys(&["ada", "bob", "cid"]).await;
    campus.students(&["dan"]).await;
    let bulk = format!("{GRANTS}/bulk");
    let admin = campus.admin().await;
    let preview =
        async |at: &str, fields: &[(&str, &str)]| admin.fill(at, &bulk, fields).await.expect(200);
    let states = async || {
        let page = admin.get(&format!("{GRANTS}?sort=name")).await;
        page.attributes("grant", "data-state").join(" ")
    };

    // A cap alone is nothing to be done.
    let page = admin.get(GRANTS).await;
    let undecided = admin
        .submit(&page, &bulk, &[("cap_usd", "25")])
        .await
        .expect(422);
    assert_eq!(
        undecided.alert().as_deref(),
        Some("Choose one of the list.")
    );

    // Of a filter, with every part of it; if others are meant by then, nothing is done before they
    // have been shown.
    let shown = preview(&format!("{GRANTS}?state=invited"), &[("act", "revoke")]).await;
    assert_eq!(shown.texts("bulk-count"), ["1"]);
    campus.students(&["eva"]).await;
    let shown = admin.submit(&shown, &bulk, &[]).await.expect(409);
    assert_eq!(shown.texts("bulk-count"), ["2"]);
    let eva = format!("{GRANTS}/{}", campus.id("eva"));
    let (page, revoke) = (admin.get(&eva).await, format!("{eva}/revoke"));
    admin
        .submit(&page, &revoke, &[("confirm", "CS")])
        .await
        .expect(422);
    admin
        .submit(&page, &revoke, &[("confirm", "CS pilot")])
        .await
        .expect(303);
    let shown = preview(
        &format!("{GRANTS}?state=live&q=a"),
        &[("act", "pause"), ("reason", "exam")],
    )
    .await;
    assert_eq!(shown.texts("bulk-count"), ["3"], "every address has an a");
    let shown = preview(
        &format!("{GRANTS}?state=live&q=ada%40"),
        &[("act", "pause"), ("reason", "exam")],
    )
    .await;
    assert_eq!(
        (shown.texts("bulk-count"), states().await.as_str()),
        (vec!["1".to_owned()], "live live live invited revoked")
    );
    for _ in 0..2 {
        admin.submit(&shown, &bulk, &[]).await.expect(303);
    }
    assert_eq!(states().await, "paused live live invited revoked");
    let job = campus.job("bulk").await.unwrap();
    assert_eq!(
        (job.state.as_str(), job.done, job.total),
        ("running", 0, 1),
        "the provider is told by the work of each minute"
    );
    assert_eq!(campus.enabled().len(), 3);
    campus.minutes(2);
    campus.work().await;
    campus.work().await;
    assert_eq!(
        (
            campus.enabled().len(),
            campus.job("bulk").await.unwrap().state.as_str().to_owned()
        ),
        (2, "done".to_owned())
    );

    // Of those that are ticked, whatever else the filter finds.
    let tick = format!("tick.{}", campus.id("dan"));
    let shown = preview(GRANTS, &[("act", "cap"), ("cap_usd", "25"), (&tick, "on")]).await;
    assert_eq!(
        (
            shown.texts("bulk-count"),
            shown.attributes("grant", "data-email")
        ),
        (vec!["1".to_owned()], vec!["dan@example.edu".to_owned()])
    );
    admin.submit(&shown, &bulk, &[]).await.expect(303);
    assert_eq!(
        (
            campus.grant("dan").await.own_cap,
            campus.grant("eva").await.own_cap
        ),
        (Some(Usd::from_dollars(25)), None)
    );

    // Of several that are looked for; who is not there is named.
    let typed = "Bob@example.edu\nnobody@example.edu, x";
    let shown = preview(GRANTS, &[("act", "revoke"), ("q", typed)]).await;
    assert_eq!(shown.texts("not-found"), ["nobody@example.edu", "x"]);
    assert_eq!(shown.attributes("grant", "data-email"), ["bob@example.edu"]);
    assert!(shown.body.contains("cannot be undone"));
    admin.submit(&shown, &bulk, &[]).await.expect(303);
    assert_eq!(states().await, "paused revoked live invited revoked");
    campus.minutes(2);
    campus.work().await;
    campus.work().await;

    for (fields, states_after) in [
        (
            &[("act", "resume")][..],
            "live revoked live invited revoked",
        ),
        (
            &[("act", "cap"), ("cap_usd", "7")],
            "live revoked live invited revoked",
        ),
        (
            &[("act", "group"), ("to_group", "B")],
            "live revoked live invited revoked",
        ),
        (&[("act", "allow")], "live revoked live invited revoked"),
        (&[("act", "resend")], "live revoked live invited revoked"),
    ] {
        let shown = preview(GRANTS, fields).await;
        assert_eq!(shown.texts("bulk-count"), ["5"]);
        admin.submit(&shown, &bulk, &[]).await.expect(303);
        campus.minutes(2);
        campus.work().await;
        campus.work().await;
        assert_eq!(states().await, states_after, "{fields:?}");
    }
    campus.minutes(20);
    campus.work().await;
    campus.work().await;
    assert_eq!(campus.job("bulk").await.unwrap().state.as_str(), "done");
    let ada = campus.grant("ada").await;
    assert_eq!(
        (ada.group.as_deref(), ada.allowed, ada.own_cap),
        (Some("B"), 1, Some(Usd::from_dollars(7)))
    );
    campus.settle().await;
    assert_eq!(
        campus
            .mails("roster")
            .iter()
            .filter(|mail| mail.to == "dan@example.edu")
            .count(),
        2
    );
    let seen = campus.judged().await;
    let resent = seen
        .entries
        .iter()
        .filter(|entry| entry.what.act == Act::Reinvited);
    let resent: Vec<_> = resent
        .map(|entry| {
            (
                entry.grant.is_some(),
                matches!(entry.actor, Actor::Person(_)),
            )
        })
        .collect();
    assert_eq!(resent, [(true, true); 3], "each says who pressed");
    // What could not be done is named for a day.
    let overview = admin.get(ID).await;
    let told = overview.texts("job").join(" ");
    assert!(
        told.contains("3 of 5. 2 could not be done:") && told.contains("bob@example.edu: no mail"),
        "{told}"
    );
    // If it comes to something else by then, that is shown first as well.
    let shown = preview(&format!("{GRANTS}?q=dan%40"), &[("act", "pause")]).await;
    campus.reveal(&campus.student("dan").await).await;
    let shown = admin
        .submit(&shown, &bulk, &[])
        .await
        .expect(409)
        .readable();
    assert!(shown.contains("Keys that stop 1 until"), "{shown}");
    for fields in [
        &[("act", "dance")][..],
        &[("act", "cap"), ("cap_usd", "1e3")],
    ] {
        admin.fill(GRANTS, &bulk, fields).await.expect(422);
    }
    campus.finish().await;
}

/// Asta paused Bob by himself before faculty paused all, so all that a filter finds are resumed
/// without him; who is ticked is resumed.
#[tokio::test]
async fn resume_by_filter_leaves_out_single_pauses() {
    let mut campus = staffed().await;
    campus.students_with_keys(&["ada", "bob", "cid"]).await;
    let bulk = format!("{GRANTS}/bulk");
    let (faye, asta) = (campus.student("faye").await, campus.student("asta").await);
    let at = format!("{GRANTS}/{}", campus.id("bob"));
    asta.fill(&at, &format!("{at}/pause"), &[])
        .await
        .expect(303);
    let preview = async |filter: &str, fields: &[(&str, &str)]| {
        let page = faye.get(&format!("{GRANTS}{filter}")).await;
        faye.submit(&page, &bulk, fields).await.expect(200)
    };
    let apply = async |shown: &Page| {
        faye.submit(shown, &bulk, &[]).await.expect(303);
        for _ in 0..3 {
            campus.work().await;
        }
        campus.enabled()
    };

    let shown = preview("", &[("act", "pause")]).await;
    assert!(apply(&shown).await.is_empty());
    let shown = preview("?state=paused", &[("act", "resume")]).await;
    assert_eq!(shown.texts("bulk-count"), ["2"]);
    assert!(
        shown
            .readable()
            .contains("1 student is left out, because somebody paused them one by one")
    );
    assert_eq!(apply(&shown).await, ["ada", "cid"]);
    let shown = preview("?q=bob%40", &[("act", "resume")]).await;
    assert_eq!(
        (shown.texts("bulk-count"), shown.form(&bulk).value("bulk")),
        (vec!["0".to_owned()], None)
    );
    let tick = format!("tick.{}", campus.id("bob"));
    let shown = preview("", &[("act", "resume"), (&tick, "on")]).await;
    assert_eq!(shown.texts("bulk-count"), ["1"]);
    assert!(!shown.readable().contains("left out"));
    assert_eq!(apply(&shown).await, ["ada", "bob", "cid"]);
    campus.finish().await;
}

#[tokio::test]
async fn grants_are_a_file() {
    let mut campus = Campus::with_keys(&["ada", "bob"]).await;
    campus.student_in("cid", Some("+A")).await;
    campus.spend("bob", "0.25");
    campus.sync().await;
    let admin = campus.admin().await;
    let at = format!("{GRANTS}/{}", campus.id("bob"));
    admin
        .fill(&at, &format!("{at}/pause"), &[])
        .await
        .expect(303);
    let file = admin.get(&format!("{GRANTS}.csv")).await.expect(200);
    assert_eq!(
        file.header("content-disposition"),
        Some("attachment; filename=\"grants-cs-pilot-as-of-2026-11-10.csv\"")
    );
    let body = ["ada", "bob"]
        .into_iter()
        .fold(file.body.clone(), |body, name| {
            body.replace(campus.id(name).as_str(), name)
                .replace(&campus.key(name).hash, &format!("key of {name}"))
        });
    let body = body.replace(campus.id("cid").as_str(), "cid");
    let mut lines: Vec<&str> = body.lines().collect();
    lines[1..].sort_unstable();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    grant,email,name,group,state,cap_usd,spent_usd,left_usd,window_resets_at,claimed_at,last_used_at,replacements,mail,key_hash
    ada,"ada@example.edu",,,live,20.000000,0.000000,20.000000,,2026-11-10T09:30:00Z,,0,,key of ada
    bob,"bob@example.edu",,,paused,20.000000,0.250000,19.750000,,2026-11-10T09:30:00Z,2026-11-10T09:30:00Z,0,,key of bob
    cid,"cid@example.edu",,"'+A",invited,20.000000,0.000000,20.000000,,,,0,,
    "#);

    let paused = admin
        .get(&format!("{GRANTS}.csv?state=paused"))
        .await
        .expect(200)
        .body
        .clone();
    assert!(
        paused.lines().count() == 2 && paused.contains("bob@example.edu"),
        "{paused}"
    );
    let page = admin.get(&format!("{GRANTS}?group=%2BA")).await;
    assert!(
        page.body.contains(&format!("{GRANTS}.csv?group=%2BA")),
        "the file has the filter of its page"
    );
    let mut ids = ["ada", "bob", "cid"].map(|name| campus.id(name).to_string());
    ids.sort_unstable();
    for (part, of) in [("until", &ids[..1]), ("after", &ids[1..])] {
        let part = admin
            .get(&format!("{GRANTS}.csv?{part}={}", ids[0]))
            .await
            .expect(200)
            .body
            .clone();
        let listed: Vec<&str> = part
            .lines()
            .skip(1)
            .filter_map(|row| row.split(',').next())
            .collect();
        assert_eq!(listed, of, "each part by itself, in an order that stays");
    }
    campus.finish().await;
}

#[tokio::test]
async fn the_audit_says_who_did_what() {
    let mut campus = staffed().await;
    campus.students_with_keys(&["ada"]).await;
    let at = format!("{GRANTS}/{}", campus.id("ada"));
    let (admin, faye, asta) = (
        campus.admin().await,
        campus.student("faye").await,
        campus.student("asta").await,
    );
    campus.minutes(1);
    faye.fill(&at, &format!("{at}/pause"), &[("reason", "=exam()")])
        .await
        .expect(303);
    campus
        .edit(&admin, &[("budget_usd", "200")])
        .await
        .expect(303);
    campus.minutes(1);
    let csrf = faye.get(&at).await.csrf();
    for allowed in 0..100 {
        let sent = [("csrf", csrf.as_str()), ("allowed", &allowed.to_string())];
        faye.post(&format!("{at}/allow"), &sent).await.expect(303);
    }

    let audit = format!("{ID}/audit");
    let page = asta.get(&audit).await.expect(200);
    let acts = page.attributes("audit", "data-act");
    assert_eq!(
        acts,
        vec!["one more replacement allowed"; 100],
        "the page opens with the newest"
    );
    assert!(
        page.readable()
            .contains("faye@example.edu allowed a student one more replacement")
    );
    let before = asta
        .get(&format!("{audit}?from=100"))
        .await
        .attributes("audit", "data-act");
    for act in [
        "created",
        "put on the roster",
        "asked for a key",
        "was shown a key",
        "held",
        "budget changed",
    ] {
        assert!(before.iter().any(|told| told == act), "{act}: {before:?}");
    }
    let file = asta.get(&format!("{audit}.csv")).await.expect(200);
    let rows: Vec<&str> = file.body.lines().collect();
    assert_eq!(rows[0], "at,by,act,grant,from,to,note");
    let of_grant = asta
        .get(&format!("{audit}.csv?grant={}", campus.id("ada")))
        .await
        .expect(200)
        .body
        .clone();
    let told: Vec<String> = of_grant
        .lines()
        .take(5)
        .map(|row| row.replace(campus.id("ada").as_str(), "ada"))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    at,by,act,grant,from,to,note
    2026-11-10T09:30:00Z,"the student",asked for a key,ada,"invited","invited","key 1"
    2026-11-10T09:30:00Z,"the student",was shown a key,ada,"invited","live","key 1"
    2026-11-10T09:31:00Z,"faye@example.edu",held,ada,"live","live, paused","'=exam()"
    2026-11-10T09:32:00Z,"faye@example.edu",one more replacement allowed,ada,"0","1",
    "#);
    let at = |row: &&str| row.split(',').next().unwrap().parse::<Moment>().unwrap();
    assert!(
        rows[1..].iter().is_sorted_by_key(at),
        "in the order of time"
    );

    let hash = campus
        .provider()
        .add_foreign_key("laptop", None, campus.clock.now())
        .unwrap()
        .hash;
    campus.sync().await;
    admin
        .fill(
            ACCOUNT,
            &format!("{ACCOUNT}/keys/{hash}"),
            &[("name", "laptop"), ("act", "disable")],
        )
        .await
        .expect(303);
    let account = admin.get(&format!("{ACCOUNT}/audit")).await.expect(200);
    assert!(
        account.attributes("audit", "data-act").len() >= 2
            && account
                .readable()
                .contains("admin@example.edu asked to change a key made elsewhere")
    );
    assert!(
        admin
            .get(&format!("{ACCOUNT}/audit.csv"))
            .await
            .expect(200)
            .body
            .contains("the provider answered that")
    );
    campus.finish().await;
}

#[tokio::test]
async fn a_grants_key_follows_what_is_done_with_it() {
    let campus = Campus::with_keys(&["ada"]).await;
    campus.budget(100).await;
    let admin = campus.admin().await;
    let at = format!("{GRANTS}/{}", campus.id("ada"));
    let acts = async |act: &str, fields: &[(&str, &str)]| {
        let page = admin.get(&at).await.expect(200);
        admin.submit(&page, &format!("{at}/{act}"), fields).await
    };
    let shown = async |name: &str| admin.get(&at).await.one("grant").get(name).to_owned();
    acts("pause", &[("reason", "exam")]).await.expect(303);
    assert_eq!(
        (shown("data-state").await.as_str(), campus.enabled()),
        ("paused", vec![])
    );
    assert!(
        admin
            .get(&at)
            .await
            .body
            .contains("admin@example.edu paused "),
        "the timeline names people"
    );

    let resume = admin.get(&at).await;
    let silent = campus.gate.at(
        Matcher::call("provider:PATCH /keys/{hash}").every(),
        Fault::Before,
    );
    admin
        .submit(&resume, &format!("{at}/resume"), &[])
        .await
        .expect(502);
    campus.gate.lift(silent);
    admin
        .submit(&resume, &format!("{at}/resume"), &[])
        .await
        .expect(303);
    assert_eq!(campus.enabled(), ["ada"]);

    for (cap, limit, shows) in [
        ("12.50", 12_500_000, "12.500000"),
        (" ", 20_000_000, "20.000000"),
    ] {
        acts("cap", &[("cap_usd", cap), ("reason", "heavy use")])
            .await
            .expect(303);
        assert_eq!(
            campus.limits(),
            [Some(Nano::micros(limit))],
            "blank means the programme's"
        );
        assert_eq!(shown("data-cap-usd").await, shows);
    }
    for (cap, status, why) in [
        ("much", 422, ""),
        ("0.001", 422, ""),
        ("101", 409, "of the budget of $100.00 only $72.50 is"),
    ] {
        let refused = acts("cap", &[("cap_usd", cap), ("reason", "a thesis")])
            .await
            .expect(status);
        assert!(
            refused.alert().unwrap().contains(why),
            "{:?}",
            refused.alerts()
        );
        let form = refused.form(&format!("{at}/cap"));
        assert_eq!(
            (form.value("cap_usd"), form.value("reason")),
            (Some(cap), Some("a thesis")),
            "what was typed stays"
        );
    }
    for act in ["pause", "cap", "revoke"] {
        for reason in ["ok \u{202E}gnp.exe", "one\ntwo", &"x".repeat(501)] {
            let refused = acts(act, &[("reason", reason)]).await.expect(422);
            assert!(
                refused.alert().unwrap().starts_with("This "),
                "{act}: {:?}",
                refused.alerts()
            );
            assert_eq!(
                refused.form(&format!("{at}/{act}")).value("reason"),
                Some(reason)
            );
        }
    }
    let page = admin.get(&at).await;
    for resent in [303, 429] {
        admin
            .submit(&page, &format!("{at}/allow"), &[])
            .await
            .expect(303);
        admin
            .submit(&page, &format!("{at}/resend"), &[])
            .await
            .expect(resent);
    }
    assert!(
        admin.get(&at).await.body.contains("0 of 4"),
        "one replacement more, not two"
    );

    let look = acts("revoke", &[("reason", "left")]).await.expect(200);
    assert_eq!(
        (look.one("revoke-unspent").get("data-usd"), campus.enabled()),
        ("20.000000", vec!["ada"])
    );
    admin
        .submit(&look, &format!("{at}/revoke"), &[])
        .await
        .expect(303);
    assert!(
        campus
            .judged()
            .await
            .entries
            .iter()
            .any(|entry| entry.what.reason.as_deref() == Some("left"))
    );
    assert_eq!(
        (shown("data-state").await.as_str(), campus.enabled()),
        ("revoked", vec![])
    );
    assert!(!admin.get(&at).await.offers(&format!("{at}/pause")));
    for (act, status) in [
        ("pause", 409),
        ("cap", 409),
        ("allow", 409),
        ("revoke", 303),
        ("dance", 404),
    ] {
        let token = page.form(&format!("{at}/revoke"));
        let sent = [("csrf", token.value("csrf").unwrap()), ("cap_usd", "1")];
        admin
            .post(&format!("{at}/{act}"), &sent)
            .await
            .expect(status);
    }
    campus.finish().await;
}

#[tokio::test]
async fn no_assistant_resumes_what_faculty_paused() {
    let mut campus = staffed().await;
    campus.students_with_keys(&["ada"]).await;
    let at = format!("{GRANTS}/{}", campus.id("ada"));
    let (admin, faye, asta) = (
        campus.admin().await,
        campus.student("faye").await,
        campus.student("asta").await,
    );
    let acts = async |who: &Visitor, act: &str| {
        let form = who.get(&at).await.form("/sign-out");
        who.post(
            &format!("{at}/{act}"),
            &[("csrf", form.value("csrf").unwrap())],
        )
        .await
        .status
    };
    campus.judged().await;
    for (who, act, status) in [
        (&asta, "pause", 303),
        (&asta, "resume", 303),
        // Faculty take a pause over.
        (&asta, "pause", 303),
        (&faye, "pause", 303),
        (&asta, "resume", 409),
        (&faye, "resume", 303),
        (&admin, "pause", 303),
        (&asta, "resume", 409),
        (&faye, "resume", 303),
        (&faye, "pause", 303),
    ] {
        assert_eq!(acts(who, act).await, status, "{act}");
        // Each by itself, so that no other entry stands for a missing one.
        campus.judged().await;
    }
    // A pause by a person who has no role any more counts as faculty's.
    campus
        .edit(&admin, &[("faculty", "fern@example.edu")])
        .await
        .expect(303);
    assert_eq!(
        (acts(&asta, "resume").await, campus.enabled()),
        (409, vec![])
    );
    assert_eq!(
        (
            acts(&campus.student("fern").await, "resume").await,
            campus.enabled()
        ),
        (303, vec!["ada"])
    );
    campus.finish().await;
}

/// A corrected address takes the grant with it and leaves the former address nothing.
#[tokio::test]
async fn a_grant_follows_its_address() {
    let mut campus = staffed().await;
    campus.students(&["adda", "bob"]).await;
    let (faye, asta, stranger) = (
        campus.student("faye").await,
        campus.student("asta").await,
        campus.student("adda").await,
    );
    campus.minutes(2);
    campus.ask("adda").await;
    campus.settle().await;
    let link = campus
        .mails("link")
        .into_iter()
        .rfind(|mail| mail.to == "adda@example.edu")
        .unwrap()
        .contents
        .text;
    let link = link
        .unwrap()
        .split_whitespace()
        .find_map(|word| Some(word.rsplit_once("/c/")?.1.to_owned()))
        .unwrap();
    campus.all_mails();
    let at = format!("{GRANTS}/{}", campus.id("adda"));
    let correct = format!("{at}/address");
    assert!(!asta.get(&at).await.offers(&correct));
    for (typed, status) in [("ada", 422), ("", 422), ("BOB@example.edu", 409)] {
        let refused = faye
            .fill(&at, &correct, &[("email", typed)])
            .await
            .expect(status);
        assert!(
            refused.alert().is_some() && refused.form(&correct).value("email") == Some(typed),
            "{typed}"
        );
    }
    stranger.get("/my").await.expect(200);
    let page = faye.get(&at).await;
    for _ in 0..2 {
        faye.submit(&page, &correct, &[("email", "ada@example.edu")])
            .await
            .expect(303);
    }
    stranger.get("/my").await.expect(303);
    campus
        .browser()
        .post(&format!("/c/{link}"), &[("address", "adda@example.edu")])
        .await
        .expect(403);
    campus.settle().await;
    let sent: Vec<_> = campus
        .all_mails()
        .into_iter()
        .map(|mail| (mail.to, mail.contents))
        .collect();
    let [(new, roster), (former, notice)] = &sent[..] else {
        panic!("{} mails", sent.len())
    };
    assert_eq!(
        (new.as_str(), roster.kind.as_deref()),
        ("ada@example.edu", Some("roster"))
    );
    assert_eq!(
        (former.as_str(), notice.kind.as_deref()),
        ("adda@example.edu", Some("student"))
    );
    let text = notice.text.as_ref().unwrap();
    assert!(
        text.contains("replaced this address on its roster") && !text.contains("ada@"),
        "{text}"
    );
    let told = faye.get(&at).await;
    let mails = ["invitation", "invitation", "notice to the former address"];
    let mut kinds = told.attributes("mail", "data-kind");
    kinds.sort();
    assert_eq!(kinds, mails);
    assert!(
        told.readable()
            .contains("faye@example.edu corrected the address of"),
        "{}",
        told.readable()
    );
    campus.reveal(&campus.student("ada").await).await;
    campus.finish().await;
}

#[tokio::test]
async fn the_page_of_a_grant_says_which_limit_stops_it() {
    let mut campus = Campus::with_keys(&["ada", "bob"]).await;
    campus.students(&["cid"]).await;
    campus.spend("ada", "3.50");
    campus.spend("bob", "20");
    campus.sync().await;
    campus.budget(40).await;
    let admin = campus.admin().await;
    let mut stops = Vec::new();
    for name in ["ada", "bob", "cid"] {
        let page = admin
            .get(&format!("{GRANTS}/{}", campus.id(name)))
            .await
            .expect(200);
        stops.push(page.texts("stopped-by").join(" "));
        let at_the_provider = page.readable().contains("$3.50 $20.00 $16.50");
        assert_eq!(at_the_provider, name == "ada", "{}", page.readable());
    }
    let [cap, room] = [
        "the cap is used up",
        "the programme's budget has no room for the cap",
    ];
    assert_eq!(stops, ["", cap, room]);
    let used_up = admin.get(&format!("{GRANTS}?state=used-up")).await;
    assert_eq!(
        used_up.attributes("grant", "data-email"),
        ["bob@example.edu"]
    );
    campus.finish().await;
}

/// A hidden field that names a preview of another act, or an import of another programme, does
/// nothing to it.
#[tokio::test]
async fn a_forged_bulk_is_no_other_import() {
    const BULK: &str = "/console/programmes/maths/grants/bulk";
    let mut campus = Campus::with_keys(&["ada"]).await;
    let (admin, undo) = (campus.admin().await, campus.console("/roster/undo"));
    super::roster::applied(&admin, "replace", "email\neve@example.edu\n").await;
    let roster = admin.get(ROSTER).await;
    campus.programme("Maths", |_| {}).await;
    campus.students(&["bob"]).await;
    let shown = admin.get("/console/programmes/maths/grants").await;
    let shown = admin
        .submit(&shown, BULK, &[("act", "pause")])
        .await
        .expect(200);
    let (forms, import) = (shown.form(BULK), roster.form(&undo));
    // What was looked at was a pause.
    let other = admin
        .submit(&shown, BULK, &[("act", "revoke")])
        .await
        .expect(409);
    assert!(other.alert().unwrap().contains("differ from the preview"));
    assert!(!campus.grant("bob").await.is_over());
    let (_, grants) = forms.value("bulk").unwrap().split_once('-').unwrap();
    let forged = format!("{}-{grants}", import.value("import").unwrap());
    admin
        .submit(&shown, BULK, &[("bulk", &forged)])
        .await
        .expect(303);
    assert!(campus.grant("bob").await.holds.paused.is_some());
    admin.submit(&roster, &undo, &[]).await.expect(303);
    campus.work().await;
    assert_eq!(
        campus
            .provider()
            .keys()
            .iter()
            .filter(|key| !key.disabled)
            .count(),
        1,
        "ada's works again"
    );
    campus.finish().await;
}
