//! Keys that were made elsewhere are given to programmes and taken back: looked at first, counted
//! once and from then on, and never touched at the provider.

use bursar_core::domain::audit::{Act, Actor};
use bursar_core::domain::grant::{Grant, MintedKey, OpenClaim};
use bursar_core::domain::values::id::KeyHash;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{AssignOutcome, Author, UsedNow};
use bursar_local::invoke::FunctionName::UsageSync;
use bursar_tests::campus::Campus;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::soon;
use bursar_tests::seeds::sized;
use bursar_tests::visitor::{Page, Visitor};

use super::{ACCOUNT, complete, date, instant, quiet};

pub(crate) const ASSIGN: &str = "/console/account/keys/assign";
const OFFICE: &str = "/console/programmes/office";

/// A campus with a cost centre, and four keys that syncs of three nights have seen: `course-anna`,
/// `course-bert`, `lab` and, since the third, `course-late`.
pub(crate) async fn scene(budget: i32) -> (Campus, [String; 4]) {
    let mut campus = quiet(&[]).await;
    let pilot = campus.programme.clone();
    campus
        .programme("Office", |settings| {
            (settings.roster, settings.allowance.cap) = (false, Usd::from_dollars(1));
        })
        .await;
    campus.budget(budget).await;
    campus.programme = pilot;
    let [anna, bert, lab] = ["course-anna", "course-bert", "lab"].map(|name| campus.foreign(name));
    for (key, dollars) in [(&anna, "1"), (&bert, "2"), (&lab, "0.50")] {
        campus.spend_on(key, dollars);
    }
    complete(&campus).await;
    campus.clock.stop_at(instant(1, 600)).unwrap();
    campus.spend_on(&anna, "0.50");
    campus.spend_on(&bert, "0.25");
    complete(&campus).await;
    let late = campus.foreign("course-late");
    campus.spend_on(&late, "3");
    campus.clock.stop_at(instant(2, 600)).unwrap();
    complete(&campus).await;
    (campus, [anna, bert, late, lab])
}

/// Posts the account's form, as somebody fills it.
pub(crate) async fn fill(admin: &Visitor, fields: &[(&str, &str)]) -> Page {
    admin
        .submit(&admin.get(ACCOUNT).await.expect(200), ASSIGN, fields)
        .await
}

async fn give(admin: &Visitor, owner: &str, pattern: &str) {
    let preview = fill(admin, &[("match", pattern), ("owner", owner)])
        .await
        .expect(200);
    admin.submit(&preview, ASSIGN, &[]).await.expect(303);
}

fn amounts(page: &Page, hook: &str) -> Vec<String> {
    page.attributes(hook, "data-usd")
}

/// The same keys have been given to somebody else since the look.
#[tokio::test]
async fn a_look_at_owners_that_changed_takes_nothing_back() {
    let (campus, _) = scene(5).await;
    let admin = campus.admin().await;
    give(&admin, "office", "course-*").await;
    campus.minutes(1);
    let look = fill(&admin, &[("match", "course-*"), ("owner", "-")])
        .await
        .expect(200);
    give(&admin, "-", "course-*").await;
    give(&admin, campus.programme.as_str(), "course-*").await;
    let before = campus.judged().await.key_owners.clone();
    admin.submit(&look, ASSIGN, &[]).await.expect(409);
    assert_eq!(campus.judged().await.key_owners, before);
    campus.finish().await;
}

#[tokio::test]
async fn keys_count_for_their_owner_from_then_on() {
    let (mut campus, [anna, bert, late, lab]) = scene(5).await;
    let (admin, keys) = (campus.admin().await, campus.provider().keys());
    assert_eq!(
        admin
            .get(ACCOUNT)
            .await
            .expect(200)
            .attributes("prefix", "data-match"),
        ["course-*"]
    );
    let one = fill(&admin, &[("hash", &lab), ("owner", "office")])
        .await
        .expect(200);
    assert_eq!(one.attributes("assign-key", "data-hash"), [&*lab]);
    let preview = fill(&admin, &[("match", "course-*"), ("owner", "office")])
        .await
        .expect(200);
    assert_eq!(
        preview.attributes("assign-key", "data-hash"),
        [&*anna, &*bert, &*late]
    );
    assert_eq!(
        amounts(&preview, "assign-key"),
        ["1.500000", "2.250000", "3.000000"]
    );
    assert_eq!(amounts(&preview, "budget-left"), ["5.000000"]);
    assert!(
        preview.readable().contains("$6.75 stays where it is"),
        "{}",
        preview.readable()
    );
    assert!(
        campus.judged().await.key_owners.is_empty(),
        "a look writes nothing"
    );
    for _ in 0..2 {
        admin.submit(&preview, ASSIGN, &[]).await.expect(303);
    }
    let spent = async |admin: &Visitor| {
        let office = admin.get(OFFICE).await.expect(200);
        ["spent", "reserved"].map(|hook| office.one(hook).get("data-usd").to_owned())
    };
    assert_eq!(
        spent(&admin).await,
        ["0.000000"; 2],
        "what was used before is nobody's"
    );
    for (key, dollars) in [(&anna, "0.50"), (&bert, "0.25"), (&late, "3")] {
        campus.spend_on(key, dollars);
    }
    // On the day after, all that they use is the office's, by model too.
    for day in [3, 4] {
        campus.clock.stop_at(instant(day, 600)).unwrap();
        campus.spend_on(&anna, "0.01");
        complete(&campus).await;
    }
    let admin = campus.admin().await;
    assert_eq!(spent(&admin).await, ["3.770000"; 2]);
    let days = format!("from={}&to={}&by=model", date(0), date(4));
    let report = admin
        .get(&format!("{OFFICE}/report.csv?{days}"))
        .await
        .expect(200);
    for row in [",office,,,,,,3.760000", ",office,,,\"a/model\",,1,0.010000"] {
        assert!(
            report.body.contains(row),
            "by the keys' names: {}",
            report.body
        );
    }
    let account = admin.get(ACCOUNT).await.expect(200);
    assert_eq!(account.attributes("owned-key", "data-hash").len(), 3);
    assert_eq!(account.attributes("unowned-key", "data-hash"), [&*lab]);
    assert!(
        account
            .form(&format!("/console/account/keys/{anna}"))
            .value("name")
            .is_some(),
        "an admin may limit it"
    );
    let there = campus.provider().keys();
    assert!(
        there
            .iter()
            .zip(&keys)
            .all(|(now, then)| (now.disabled, now.limit) == (then.disabled, then.limit))
    );
    let of = async |act| {
        campus
            .judged()
            .await
            .account_entries
            .iter()
            .filter(|entry| entry.what.act == act)
            .count()
    };
    assert_eq!(
        (of(Act::KeysAssigned).await, of(Act::KeysTakenBack).await),
        (1, 0),
        "once, however often it is pressed"
    );
    // What foreign keys used crosses the thresholds of their owner, and stays with it.
    let crossed = async || {
        let seen = campus.judged().await;
        let of_office = seen
            .crossings
            .iter()
            .filter(|crossing| crossing.programme.as_str() == "office");
        of_office
            .map(|crossing| crossing.threshold)
            .collect::<Vec<_>>()
    };
    campus.look().await;
    assert_eq!(crossed().await, [50], "$3.77 of $5");
    for _ in 0..2 {
        give(&admin, "", "course-anna").await;
        give(&admin, "office", "course-anna").await;
    }
    give(&admin, "", "course-*").await;
    assert_eq!(
        (crossed().await, spent(&admin).await),
        (vec![50], ["3.770000", "3.770000"].map(str::to_owned))
    );

    what_cannot_be_given_is_said_first(&mut campus).await;

    // Keys that fit only since the look are not given, and very many are given and taken back in
    // parts.
    campus.programme = "office".parse().unwrap();
    let admin = campus.admin().await;
    let preview = fill(&admin, &[("match", "course-*"), ("owner", "office")])
        .await
        .expect(200);
    let more = sized(2, 90);
    (0..more).for_each(|number| drop(campus.foreign(&format!("course-{number:02}"))));
    complete(&campus).await;
    let again = admin.submit(&preview, ASSIGN, &[]).await.expect(409);
    let owned = async || {
        campus
            .judged()
            .await
            .key_owners
            .iter()
            .filter(|owner| owner.is_now())
            .count()
    };
    assert_eq!(owned().await, 1, "nothing was given");
    admin.submit(&again, ASSIGN, &[]).await.expect(303);
    assert_eq!(owned().await, 4 + more);
    let closeout = admin.get(&format!("{OFFICE}/closeout")).await.expect(200);
    assert_eq!(
        [
            amounts(&closeout, "closeout-spent"),
            amounts(&closeout, "closeout-assigned")
        ],
        [["3.770000"]; 2]
    );
    give(&admin, "", "course-*").await;
    assert_eq!(
        (owned().await, campus.reserved().await),
        (1, Usd::from_micros(3_770_000))
    );
    campus.finish().await;
}

/// The office owns nothing.
async fn what_cannot_be_given_is_said_first(campus: &mut Campus) {
    campus.students_with_keys(&["ada"]).await;
    campus.foreign("bursar/9999999999/cs/0123456789abcdef/1-0123456789abcdef");
    complete(campus).await;
    let (admin, ours) = (campus.admin().await, campus.key("ada").hash);
    for (fields, sentence) in [
        (
            vec![("match", "nobody-*"), ("owner", "office")],
            "has a name that matches nobody-*",
        ),
        (
            vec![("hash", &*ours), ("owner", "office")],
            "Bursar made it for a student",
        ),
        (vec![("hash", "12"), ("owner", "office")], "sixty-four"),
        (vec![("owner", "office")], "Type a name, or a pattern"),
        (
            vec![("match", "lab"), ("owner", "nowhere")],
            "There is no programme nowhere.",
        ),
    ] {
        let page = fill(&admin, &fields).await.expect(422);
        assert!(
            page.readable().contains(sentence),
            "{sentence}: {}",
            page.readable()
        );
        let typed = fields
            .iter()
            .find(|(name, _)| *name == "match")
            .map_or("", |(_, typed)| typed);
        assert_eq!(page.form(ASSIGN).value("match"), Some(typed));
    }
    give(&admin, "office", "lab").await;
    // What somebody else has, and what a deployment of Bursar made, is left as it is.
    let preview = fill(&admin, &[("match", "*"), ("owner", "cs-pilot")])
        .await
        .expect(200);
    assert_eq!(preview.attributes("assign-key", "data-hash").len(), 3);
    let refused = preview.texts("refused-key").join(" ");
    assert!(
        refused.contains("lab: office has owned it since")
            && refused.contains("a deployment of Bursar made it"),
        "{refused}"
    );
    let only = fill(&admin, &[("match", "lab"), ("owner", "cs-pilot")])
        .await
        .expect(200);
    assert!(
        only.readable().contains("None of these keys can be given")
            && !only.body.contains("name=\"apply\"")
    );
    let csrf = only.csrf();
    admin
        .post(
            ASSIGN,
            &[
                ("match", "lab"),
                ("owner", "cs-pilot"),
                ("csrf", &csrf),
                ("apply", "on"),
            ],
        )
        .await
        .expect(422);
}

#[tokio::test]
async fn an_owner_changes_during_a_sync_and_loses_nothing() {
    let (mut campus, [anna, bert, _, lab]) = scene(50).await;
    let [anna, bert, lab]: [KeyHash; 3] = [anna, bert, lab].map(|key| key.parse().unwrap());
    let [office, cs]: [ProgrammeId; 2] = ["office", "cs-pilot"].map(|name| name.parse().unwrap());
    let by = Author {
        actor: &Actor::Sync,
        now: campus.clock.now(),
        deadline: soon(),
    };
    let recorded = UsedNow::new();
    let assign = async |campus: &Campus, owner: &ProgrammeId, key: &KeyHash| {
        campus
            .table
            .assign_keys(owner, std::slice::from_ref(key), &recorded, by)
            .await
            .unwrap()
    };
    let (one, other) = tokio::join!(assign(&campus, &office, &anna), assign(&campus, &cs, &anna));
    let (done, changed) = (AssignOutcome::Done, AssignOutcome::Changed);
    assert!(
        (one == done && other == changed) || (one == changed && other == done),
        "{one:?} {other:?}"
    );
    // While a sync sums up for owners, a key is given, and another taken back.
    campus.clock.stop_at(instant(3, 600)).unwrap();
    campus.spend_on(anna.as_str(), "0.07");
    campus.spend_on(bert.as_str(), "0.03");
    let held = campus
        .gate
        .hold(Matcher::call("dynamodb:Query").of(UsageSync).nth(40));
    let during = async {
        held.arrived().await;
        campus
            .table
            .take_keys_back(std::slice::from_ref(&anna), &recorded, by)
            .await
            .unwrap();
        assert_eq!(assign(&campus, &office, &bert).await, AssignOutcome::Done);
        drop(held);
    };
    tokio::join!(complete(&campus), during);
    let seen = campus.judged_after_sync().await;
    // Both changed hands before the night's reading of them was written, by the last one.
    let assigned = [&office, &cs].map(|owner| seen.budgets[owner].assigned);
    assert_eq!(assigned, [Usd::from_micros(30_000), Usd::ZERO]);

    // A key that was made by hand is recorded as a grant's, so it is no foreign key any more. The
    // run that finds that is not complete.
    campus.minutes(1);
    give(&campus.admin().await, "office", "lab").await;
    campus.students(&["ada"]).await;
    campus.press_with("ada", "reveal", Fault::KillBefore).await;
    let Grant { epoch, lease, .. } = campus.grant("ada").await;
    let begun = OpenClaim {
        epoch,
        nonce: lease.unwrap().nonce,
    };
    let minted = MintedKey {
        hash: lab.clone(),
        label: None,
        limit: Usd::from_dollars(20),
        guardrail: None,
        expires_at: None,
    };
    campus
        .table
        .act(campus.on("ada"), |view, now| {
            view.record(&begun, &minted, now)
        })
        .await
        .unwrap();
    campus.gate.at(
        Matcher::call("provider:GET /credits").of(UsageSync).nth(2),
        Fault::Status(400),
    );
    campus.clock.stop_at(instant(4, 600)).unwrap();
    assert_eq!(campus.sync().await["complete"], false);
    for day in 5..7 {
        campus.clock.stop_at(instant(day, 600)).unwrap();
        complete(&campus).await;
        let days = format!("from={}&to={}", date(0), date(day));
        let page = campus
            .admin()
            .await
            .get(&format!("{ACCOUNT}/statement?{days}"))
            .await
            .expect(200);
        assert_eq!(
            amounts(&page, "statement-total"),
            amounts(&page, "account-change"),
            "{}",
            page.readable()
        );
    }
    let seen = campus.judged_after_sync().await;
    let is_owned = seen.key_owners.iter().any(|of| of.key == lab);
    assert!(
        !seen.foreign_keys.contains_key(&lab) && !is_owned,
        "nothing of it is left"
    );
    campus.finish_faulted().await;
}
