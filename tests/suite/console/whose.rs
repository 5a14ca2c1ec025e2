//! What somebody writes into their own roster is believed about their programme alone.

use bursar_core::domain::grant::ShownState;
use bursar_tests::visitor::{Page, Visitor};
use jiff::SignedDuration;
use serde_json::Value;

use super::roster::preview;
use super::*;

async fn enrol(admin: &Visitor, programme: &str, name: &str, id: &str) {
    let path = format!("/console/programmes/{programme}");
    let fields = [("email", &*format!("{name}@example.edu")), ("id", id)];
    admin
        .submit(
            &admin.get(&format!("{path}/roster")).await,
            &format!("{path}/people"),
            &fields,
        )
        .await
        .expect(303);
}

/// The programmes whose grants somebody is shown.
async fn programmes(visitor: &Visitor) -> String {
    visitor
        .get("/my")
        .await
        .expect(200)
        .attributes("grant", "data-programme")
        .join(" ")
}

/// The grants in a file of what is stored: each programme, with a mark where it may be another
/// person's.
fn exported(file: &Page) -> String {
    let file: Value = serde_json::from_str(&file.body).unwrap();
    let grants = file["grants"].as_array().unwrap().iter();
    let words = grants.map(|grant| {
        let mark = if grant["may_be_another_persons"] == true {
            "?"
        } else {
            ""
        };
        format!("{}{mark}", grant["programme"].as_str().unwrap())
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Ada has a key of CS pilot; then Law has her address under another id.
#[tokio::test]
async fn a_row_under_another_id_takes_no_key_away() {
    let mut campus = staffed().await;
    let admin = campus.admin().await;
    enrol(&admin, "cs-pilot", "ada", "s1").await;
    let ada = campus.student("ada").await;
    campus.reveal(&ada).await;
    let cs = campus
        .table
        .grants(&campus.programme)
        .await
        .unwrap()
        .remove(0);
    campus.minutes(2);
    campus.programme("Law", staff).await;
    let faye = campus.student("faye").await;
    let file = "email,id\nada@example.edu,s9\nbob@example.edu,s2\n";
    for (reader, names) in [
        (&faye, "programme. Is"),
        (&admin, "programme: ada@example.edu. Is"),
    ] {
        let roster = campus.console("/roster");
        let page = reader.get(&roster).await;
        let shown = reader
            .upload(&page, &roster, &[("mode", "add")], "a.csv", file.as_bytes())
            .await;
        let warning = shown.expect(200).text("under-other-ids").unwrap();
        assert!(
            warning.starts_with("1 person is known under another id in another")
                && warning.contains(names)
        );
    }
    enrol(&faye, "law", "ada", "s9").await;

    // Both are hers, each by itself: the newer is claimed, asked about, handed back; the older is
    // reported.
    assert_eq!(programmes(&ada).await, "cs-pilot law");
    for what in ["reveal", "refresh", "return"] {
        let page = ada
            .submit(&ada.get("/my").await, &format!("/my/law/{what}"), &[])
            .await;
        assert!([200, 303].contains(&page.status), "{what}: {}", page.status);
    }
    let find = "/console?q=ada%40example.edu";
    let download = async || {
        admin
            .submit(&admin.get(find).await, "/console/people/data", &[])
            .await
            .expect(200)
    };
    assert_eq!(exported(&ada.get("/my/data").await), "cs-pilot law");
    assert_eq!(exported(&download().await), "cs-pilot? law");

    // An admin says that the older is another person's, twice, and takes it back. Faculty may not,
    // and the newer record asks nothing.
    let at = format!("{GRANTS}/{}", cs.id);
    let person = format!("{at}/person");
    let page = admin.get(&at).await;
    assert!(!faye.get(&at).await.offers(&person), "admins decide it");
    let before = ada.get("/my").await;
    admin
        .submit(&page, &person, &[("act", "both")])
        .await
        .expect(422);
    for _ in 0..2 {
        admin
            .submit(&page, &person, &[("act", "other")])
            .await
            .expect(303);
    }
    assert_eq!(programmes(&campus.student("ada").await).await, "law");
    assert_eq!(exported(&download().await), "cs-pilot? law");
    ada.submit(&before, "/my/cs-pilot/leaked", &[])
        .await
        .expect(404);
    admin
        .submit(&admin.get(&at).await, &person, &[("act", "same")])
        .await
        .expect(303);
    let law = campus
        .table
        .grants(&campus.programme)
        .await
        .unwrap()
        .remove(0);
    let newer = campus.console(&format!("/grants/{}/person", law.id));
    let csrf = page.form(&person).value("csrf").unwrap().to_owned();
    admin
        .post(&newer, &[("csrf", &csrf), ("act", "other")])
        .await
        .expect(409);
    let audit = admin.get(&format!("{ID}/audit")).await.readable();
    assert_eq!(
        audit
            .matches("is another person than the one who has the address now")
            .count(),
        1,
        "{audit}"
    );

    ada.submit(&ada.get("/my").await, "/my/cs-pilot/leaked", &[])
        .await
        .expect(303);
    assert_eq!(
        campus.table.grants(&cs.programme).await.unwrap()[0].display_state(campus.clock.now()),
        ShownState::Stopped
    );
    campus.settle().await;
    assert_eq!(campus.mails("key-leaked").len(), 1);
    campus.finish().await;
}

/// Ada left CS pilot, is on Maths without an id, and her address went to somebody else, whom Law
/// has on its roster.
#[tokio::test]
async fn nothing_of_a_former_owner_is_shown() {
    let mut campus = staffed().await;
    let admin = campus.admin().await;
    enrol(&admin, "cs-pilot", "ada", "s1").await;
    campus.programme("Maths", |_| {}).await;
    enrol(&admin, "maths", "ada", "").await;
    let former = campus.student("ada").await;
    campus.minutes(2);
    assert_eq!(programmes(&former).await, "cs-pilot maths");
    let shown = preview(&admin, "replace", "email\nbob@example.edu\n")
        .await
        .expect(200);
    admin
        .submit(&shown, super::roster::APPLY, &[("confirm_dropped", "1")])
        .await
        .expect(303);
    campus.programme("Law", |_| {}).await;
    enrol(&admin, "law", "ada", "s9").await;
    campus.minutes(2);
    assert_eq!(
        programmes(&former).await,
        "maths",
        "who signed in before sees nothing of the newer person's"
    );
    let ada = campus.student("ada").await;
    assert_eq!(programmes(&ada).await, "law maths");
    assert_eq!(exported(&ada.get("/my/data").await), "law maths");
    let page = admin.get("/console?q=ada%40example.edu").await;
    let file = admin
        .submit(&page, "/console/people/data", &[])
        .await
        .expect(200);
    assert_eq!(exported(&file), "cs-pilot? law maths");

    let found = admin
        .get("/console/people/erase?email=ada%40example.edu")
        .await;
    assert!(
        found.readable().contains("this address under another id"),
        "{}",
        found.readable()
    );
    let cs = campus
        .table
        .grants(&"cs-pilot".parse().unwrap())
        .await
        .unwrap();
    let cs = &cs
        .iter()
        .find(|grant| grant.person.address == address("ada"))
        .unwrap()
        .id;
    let page = admin
        .get(&format!("/console/people/erase?of=cs-pilot/{cs}"))
        .await;
    super::erase::erased(&admin, &page, "ada@example.edu")
        .await
        .expect(303);
    campus.minutes(2);
    campus.work().await;
    let mut left = campus.judged().await.places_of(&["ada@"]);
    left.retain(|place| place.contains("grant"));
    assert!(
        left.len() == 1 && left[0].contains("#law#"),
        "each is erased apart: {left:?}"
    );
    campus.finish().await;
}

/// Faye has everybody whom she likes on her roster, and learns nothing of an admin or of Law's
/// people, and of Ada what came afterwards.
#[tokio::test]
async fn a_roster_tells_nothing_of_others() {
    let mut campus = Campus::open().await;
    campus
        .programme("Law", |settings| {
            settings.people.faculty = vec![address("lara")];
        })
        .await;
    campus.students(&["ada"]).await;
    campus.programme("CS pilot", staff).await;
    campus.settle().await;
    campus.minutes(5);
    for name in ["admin", "lara", "ada"] {
        campus.ask(name).await;
    }
    campus.settle().await;
    campus.clock.advance(SignedDuration::from_mins(5)).unwrap();
    let (admin, faye) = (campus.admin().await, campus.student("faye").await);
    for name in ["admin", "lara", "ada"] {
        enrol(&faye, "cs-pilot", name, "").await;
    }
    let requests = async |reader: &Visitor, name: &str| {
        let page = reader
            .get(&format!("/console?q={name}%40example.edu"))
            .await
            .expect(200);
        assert!(!page.all("grant").is_empty(), "{name}");
        page.texts("mail")
            .iter()
            .filter(|mail| mail.contains("link to sign in"))
            .count()
    };
    for (name, of_admin, of_faye) in [("admin", 1, 0), ("lara", 1, 0), ("ada", 1, 0)] {
        assert_eq!(
            (requests(&admin, name).await, requests(&faye, name).await),
            (of_admin, of_faye),
            "{name}"
        );
    }
    campus.minutes(2);
    for name in ["admin", "lara", "ada"] {
        campus.ask(name).await;
    }
    campus.settle().await;
    for (name, of_faye) in [("admin", 0), ("lara", 0), ("ada", 1)] {
        assert_eq!(requests(&faye, name).await, of_faye, "{name}");
    }
    campus.finish().await;
}
