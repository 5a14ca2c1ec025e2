//! Pauses by the clock: set on a form, and begun and ended by the work of a minute.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::programme::pause::PauseTimes;
use bursar_core::domain::values::format::field_time;
use bursar_local::invoke::FunctionName;
use bursar_tests::campus::Campus;
use bursar_tests::faults::Matcher;
use bursar_tests::visitor::Visitor;
use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::{ID, SETTINGS};

const GROUPS: &str = "/console/programmes/cs-pilot/groups";

/// Ada, and Bob in the group A, with a key each.
async fn class() -> (Campus, Visitor) {
    let mut campus = Campus::with_keys(&["ada"]).await;
    campus.student_in("bob", Some("A")).await;
    campus.keys().await;
    let admin = campus.admin().await;
    (campus, admin)
}

/// The instant in so many minutes, as a form spells it.
fn minutes(campus: &Campus, minutes: i64) -> String {
    field_time(campus.clock.now() + SignedDuration::from_mins(minutes), &TimeZone::UTC)
}

/// Lets minutes pass, and does the work of two.
async fn works_after(campus: &Campus, minutes: i64) {
    campus.minutes(minutes);
    for _ in 0..2 {
        campus.work().await;
        campus.judged().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_in_an_exam() {
    let (mut campus, admin) = class().await;
    let page = admin.get(SETTINGS).await.expect(200);
    assert!(page.readable().contains("2 keys take up to 2 minutes"), "{}", page.readable());
    let (from, until) = (minutes(&campus, 30), minutes(&campus, 120));
    let times = [("pause_from", &*from), ("pause_until", &*until)];
    campus.edit(&admin, &times).await.expect(303);
    works_after(&campus, 20).await;
    assert_eq!(campus.enabled(), ["ada", "bob"]);
    let [at, ends] = [&from[11..], &until[11..]];
    let is_told = async |campus: &Campus, verb: &str, may_remind: bool| {
        let admin = campus.admin().await;
        let page = admin.get(ID).await.expect(200);
        let told = format!(
            "Everybody {verb} paused from 10 Nov 2026, {at} until 10 Nov 2026, {ends}: keys go off within the first minutes"
        );
        assert!(page.text("pause").unwrap().starts_with(&told), "{}", page.readable());
        assert!(admin.get("/console").await.readable().contains(&told));
        assert_eq!(page.offers(&campus.console("/grants/bulk")), may_remind, "{verb}");
    };
    is_told(&campus, "will be", true).await;
    let my = campus.student("ada").await.get("/my").await.readable();
    let told = format!("pause your access from 10 Nov 2026, {at} until 10 Nov 2026, {ends}: no key is made then");
    assert!(my.contains(&told), "{my}");

    works_after(&campus, 10).await;
    assert_eq!(campus.enabled(), Vec::<&str>::new());
    let ada = campus.student("ada").await;
    let my = ada.get("/my").await.expect(200);
    assert_eq!(my.one("grant").get("data-state"), "paused");
    is_told(&campus, "is", false).await;
    let said = format!("have paused your access until 10 Nov 2026, {ends} (UTC): no key is made before then");
    assert!(my.readable().contains(&said), "{}", my.readable());
    // Who comes meanwhile is in it, and nobody is taken out of it by hand.
    campus.students(&["cid"]).await;
    let cid = campus.student("cid").await;
    assert!(!cid.get("/my").await.offers(&campus.my("reveal")));
    let grant = campus.console(&format!("/grants/{}", campus.id("ada")));
    let page = admin.get(&grant).await.expect(200);
    assert!(!page.offers(&format!("{grant}/resume")) && page.readable().contains("it is paused until"));
    let pause = page.form(&format!("{grant}/pause"));
    let refused = admin.post(&format!("{grant}/resume"), &[("csrf", pause.value("csrf").unwrap())]).await.expect(409);
    let alert = refused.alert().unwrap();
    assert!(alert.contains(&until[11..]) && alert.contains("a group without times"), "{alert}");

    works_after(&campus, 90).await;
    assert_eq!(campus.enabled(), ["ada", "bob"]);
    campus.reveal(&campus.student("cid").await).await;
    campus.holds_what_is_wanted().await;
    campus.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_pauses_who_is_in_it() {
    let (campus, admin) = class().await;
    let (from, until) = (minutes(&campus, 0), minutes(&campus, 600));
    let form = admin.get(GROUPS).await.expect(200);
    let times = [("pause_from.A", &*from), ("pause_until.A", &*until)];
    admin.submit(&form, GROUPS, &times).await.expect(303);
    // An act that was begun before the form was saved is written after the first comparison.
    let began = campus.on("ada");
    campus.work().await;
    assert_eq!(campus.enabled(), ["ada"]);
    let held = campus.table.act(began, |view, now| {
        let mut view = view.clone();
        let mut programme = (*view.programme).clone();
        programme.settings.pauses.groups.clear();
        view.programme = programme.into();
        view.move_to(Some("A"), &Actor::Rule, now)
    });
    held.await.unwrap();
    campus.judged().await;
    works_after(&campus, 1).await;
    assert_eq!(campus.enabled(), Vec::<&str>::new());
    // A group without times is the way out, and so is their end.
    campus.table.act(campus.on("bob"), |view, now| view.move_to(None, &Actor::Rule, now)).await.unwrap();
    campus.work().await;
    assert_eq!(campus.enabled(), ["bob"]);
    let form = admin.get(GROUPS).await.expect(200);
    admin.submit(&form, GROUPS, &[("pause_from.A", ""), ("pause_until.A", "")]).await.expect(303);
    works_after(&campus, 1).await;
    assert_eq!(campus.enabled(), ["ada", "bob"]);
    campus.finish().await;
}

/// A key that is made as a pause begins is not shown, and does not stay on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_meets_a_claim() {
    let (mut campus, _) = class().await;
    campus.students(&["cid"]).await;
    let cid = campus.student("cid").await;
    let form = cid.get("/my").await.form(&campus.my("reveal"));
    let held = campus.gate.hold(Matcher::call("provider:POST /keys").of(FunctionName::Claim));
    let (page, ()) = tokio::join!(cid.send_form(&form), async {
        held.arrived().await;
        let from = campus.clock.now();
        let times = PauseTimes { from, until: from + SignedDuration::from_hours(1) };
        campus.set(|settings| settings.pauses.all = Some(times)).await;
        held.release(None).unwrap();
    });
    drop(held);
    let alert = page.expect(409).alert().unwrap();
    assert!(alert.contains("paused your access while the key was being made"), "{alert}");
    works_after(&campus, 1).await;
    assert_eq!(campus.enabled(), Vec::<&str>::new());
    campus.finish().await;
}

#[tokio::test]
async fn pause_times_are_checked() {
    let (campus, admin) = class().await;
    campus.minutes(30);
    let admin_page = admin.get(SETTINGS).await;
    let mut refused = String::new();
    let day_after = "2027-02-09T10:00";
    let late = [("pause_from", day_after), ("pause_until", "2027-02-09T12:00")];
    refused += &format!("{day_after}: {}\n", admin.submit(&admin_page, ID, &late).await.expect(422).alerts()[1]);
    let groups = admin.get(GROUPS).await;
    let late = [("pause_from.A", day_after), ("pause_until.A", "2027-02-09T12:00")];
    refused += &format!("A: {}\n", admin.submit(&groups, GROUPS, &late).await.expect(422).alerts()[1]);
    for [from, until] in [[60, 30], [60, 60], [-60, -30], [-2, 30]] {
        let (from, until) = (minutes(&campus, from), minutes(&campus, until));
        let typed = [("pause_from", &*from), ("pause_until", &*until)];
        let page = admin.submit(&admin_page, ID, &typed).await.expect(422);
        refused += &format!("{} to {}: {}\n", &from[11..], &until[11..], page.alerts()[1]);
    }
    let only_one = admin.submit(&admin_page, ID, &[("pause_from", "2026-11-20T08:00")]).await.expect(422);
    refused += &only_one.alerts()[1];
    insta::assert_snapshot!(refused, @"
    2027-02-09T10:00: No key works after the term, whose last day is 8 Feb 2027.
    A: No key works after the term, whose last day is 8 Feb 2027.
    11:00 to 10:30: A pause ends after it begins, which is at 10 Nov 2026, 11:00.
    11:00 to 11:00: A pause ends after it begins, which is at 10 Nov 2026, 11:00.
    09:00 to 09:30: This time is over: it is 10 Nov 2026, 10:00 now.
    09:58 to 10:30: A pause cannot begin before it is asked for: it is 10 Nov 2026, 10:00 now.
    Write both times of a pause, or none.
    ");
    // What is saved and over hinders no later edit.
    let times = [("pause_from", &*minutes(&campus, 0)), ("pause_until", &*minutes(&campus, 2))];
    campus.edit(&admin, &times).await.expect(303);
    works_after(&campus, 5).await;
    campus.edit(&admin, &[("contact", "room 101")]).await.expect(303);
    campus.finish().await;
}
