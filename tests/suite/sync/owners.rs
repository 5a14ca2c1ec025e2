//! Keys that were made elsewhere are given to programmes and taken back: looked at first, counted once and from their day on, and
//! never touched at the provider.

use bursar_core::domain::audit::{Act, Actor};
use bursar_core::domain::grant::{Grant, MintedKey, OpenClaim};
use bursar_core::domain::values::id::KeyHash;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{AssignOutcome, Author};
use bursar_local::invoke::FunctionName::UsageSync;
use bursar_tests::campus::Campus;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::soon;
use bursar_tests::seeds::sized;
use bursar_tests::visitor::{Page, Visitor};

use super::{ACCOUNT, complete, date, instant, quiet};

pub(crate) const ASSIGN: &str = "/console/account/keys/assign";
const OFFICE: &str = "/console/programmes/office";

/// A campus with a cost centre, and four keys that syncs of three nights have seen: `course-anna`, `course-bert`, `lab` and, since
/// the third, `course-late`.
pub(crate) async fn scene(budget: i32) -> (Campus, [String; 4]) {
    let mut campus = quiet(&[]).await;
    let pilot = campus.programme.clone();
    campus
        .programme("Office", |settings| (settings.roster, settings.allowance.cap) = (false, Usd::from_dollars(1)))
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
    admin.submit(&admin.get(ACCOUNT).await.expect(200), ASSIGN, fields).await
}

async fn give(admin: &Visitor, owner: &str, pattern: &str, from: i64) {
    let from = date(from).to_string();
    let preview = fill(admin, &[("match", pattern), ("owner", owner), ("from", &from)]).await.expect(200);
    admin.submit(&preview, ASSIGN, &[]).await.expect(303);
}

fn amounts(page: &Page, hook: &str) -> Vec<String> {
    page.attributes(hook, "data-usd")
}

#[tokio::test]
async fn keys_count_for_their_owner_from_a_day_on() {
    let (mut campus, [anna, bert, late, lab]) = scene(5).await;
    let (admin, keys) = (campus.admin().await, campus.provider().keys());
    assert_eq!(admin.get(ACCOUNT).await.expect(200).attributes("prefix", "data-match"), ["course-*"]);
    let from = date(1).to_string();
    let one = fill(&admin, &[("hash", &lab), ("owner", "office"), ("from", &from)]).await.expect(200);
    assert_eq!(one.attributes("assign-key", "data-hash"), [&*lab]);
    let preview = fill(&admin, &[("match", "course-*"), ("owner", "office"), ("from", &from)]).await.expect(200);
    assert_eq!(preview.attributes("assign-key", "data-hash"), [&*anna, &*bert, &*late]);
    assert_eq!(amounts(&preview, "assign-key"), ["0.500000", "0.250000", "3.000000"]);
    assert_eq!(amounts(&preview, "budget-left"), ["1.250000"]);
    assert!(campus.judged().await.key_owners.is_empty(), "a look writes nothing");
    for _ in 0..2 {
        admin.submit(&preview, ASSIGN, &[]).await.expect(303);
    }
    let office = admin.get(OFFICE).await.expect(200);
    assert_eq!([amounts(&office, "spent"), amounts(&office, "reserved")], [["3.750000"]; 2]);
    let days = format!("from={}&to={}&by=model", date(0), date(2));
    let report = admin.get(&format!("{OFFICE}/report.csv?{days}")).await.expect(200);
    assert!(report.body.contains(",office,,,\"a/model\",,3,3.750000"), "by the keys' names: {}", report.body);
    let late = admin.get(&format!("{OFFICE}/report.csv?from={0}&to={0}&by=day", date(1))).await.expect(200);
    assert!(late.body.contains(",3.750000"), "what was used before its first listing is of its day: {}", late.body);
    let account = admin.get(ACCOUNT).await.expect(200);
    assert_eq!(account.attributes("owned-key", "data-hash").len(), 3);
    assert_eq!(account.attributes("unowned-key", "data-hash"), [&*lab]);
    assert!(account.form(&format!("/console/account/keys/{anna}")).value("name").is_some(), "an admin may limit it");
    assert_eq!(campus.provider().keys(), keys, "nothing is done to a key");
    let of = async |act| campus.judged().await.account_entries.iter().filter(|entry| entry.what.act == act).count();
    assert_eq!(
        (of(Act::KeysAssigned).await, of(Act::KeysTakenBack).await),
        (1, 0),
        "once, however often it is pressed"
    );
    // What foreign keys used crosses the thresholds of their owner, and what was told stays told.
    let crossed = async || {
        let seen = campus.judged().await;
        let of_office = seen.crossings.iter().filter(|crossing| crossing.programme.as_str() == "office");
        of_office.map(|crossing| crossing.threshold).collect::<Vec<_>>()
    };
    campus.look().await;
    assert_eq!(crossed().await, [50], "$3.75 of $5");
    give(&admin, "", "course-*", 0).await;
    assert_eq!(crossed().await, [50]);

    what_cannot_be_given_is_said_first(&mut campus).await;

    // Keys that fit only since the look are not given, and very many are given and taken back in parts.
    campus.programme = "office".parse().unwrap();
    campus.budget(50).await;
    let admin = campus.admin().await;
    let from = date(0).to_string();
    let preview = fill(&admin, &[("match", "course-*"), ("owner", "office"), ("from", &from)]).await.expect(200);
    let more = sized(2, 90);
    (0..more).for_each(|number| drop(campus.foreign(&format!("course-{number:02}"))));
    complete(&campus).await;
    let again = admin.submit(&preview, ASSIGN, &[]).await.expect(409);
    assert_eq!(campus.judged().await.key_owners.len(), 1, "nothing was given");
    admin.submit(&again, ASSIGN, &[]).await.expect(303);
    assert_eq!(campus.judged().await.key_owners.len(), 4 + more);
    let closeout = admin.get(&format!("{OFFICE}/closeout")).await.expect(200);
    assert_eq!([amounts(&closeout, "closeout-spent"), amounts(&closeout, "closeout-assigned")], [["7.250000"]; 2]);
    give(&admin, "", "course-*", 0).await;
    assert_eq!((campus.judged().await.key_owners.len(), campus.reserved().await), (1, Usd::from_micros(500_000)));
    // What was told of is the office's at the end.
    for key in ["course-late", "course-anna"] {
        give(&admin, "office", key, 0).await;
    }
    campus.finish().await;
}

/// The office has nothing, and a budget of five dollars.
async fn what_cannot_be_given_is_said_first(campus: &mut Campus) {
    campus.students(&["ada"]).await;
    campus.keys().await;
    campus.foreign("bursar/9999999999/cs/0123456789abcdef/1-0123456789abcdef");
    complete(campus).await;
    let (admin, ours) = (campus.admin().await, campus.key("ada").hash);
    let from = date(0).to_string();
    for (fields, sentence) in [
        (vec![("match", "nobody-*"), ("owner", "office")], "has a name that matches nobody-*"),
        (vec![("hash", &*ours), ("owner", "office")], "then it is a student's"),
        (vec![("hash", "12"), ("owner", "office")], "sixty-four"),
        (vec![("owner", "office")], "Type a name, or a pattern"),
        (vec![("match", "lab"), ("owner", "nowhere")], "There is no programme nowhere."),
        (vec![("match", "lab"), ("owner", "office"), ("from", "yesterday")], "as a date such as"),
    ] {
        let page = fill(&admin, &fields).await.expect(422);
        assert!(page.readable().contains(sentence), "{sentence}: {}", page.readable());
        let typed = fields.iter().find(|(name, _)| *name == "match").map_or("", |(_, typed)| typed);
        assert_eq!(page.form(ASSIGN).value("match"), Some(typed));
    }
    give(&admin, "office", "lab", 0).await;
    // What somebody else has, and what a deployment of Bursar made, is left as it is.
    let preview = fill(&admin, &[("match", "*"), ("owner", "cs-pilot"), ("from", &from)]).await.expect(200);
    assert_eq!(preview.attributes("assign-key", "data-hash").len(), 3);
    let refused = preview.texts("refused-key").join(" ");
    assert!(
        refused.contains("lab: office has it, from") && refused.contains("a deployment of Bursar made it"),
        "{refused}"
    );
    let only = fill(&admin, &[("match", "lab"), ("owner", "cs-pilot"), ("from", &from)]).await.expect(200);
    assert!(only.readable().contains("None of these keys can be given") && !only.body.contains("name=\"apply\""));
    // The budget of the office has $4.50 left, and course-* spent more.
    let asked = [("match", "course-*"), ("owner", "office"), ("from", from.as_str())];
    let preview = fill(&admin, &asked).await.expect(200);
    assert!(preview.readable().contains("more than the budget has left") && !preview.body.contains("name=\"apply\""));
    assert_eq!(amounts(&preview, "budget-left"), ["-2.250000"]);
    let csrf = preview.form("/sign-out").value("csrf").unwrap().to_owned();
    admin.post(ASSIGN, &[&asked[..], &[("csrf", &csrf), ("apply", "on")]].concat()).await.expect(422);
    assert_eq!(campus.judged().await.key_owners.len(), 1, "nothing was given");
}

#[tokio::test]
async fn an_owner_changes_during_a_sync_and_loses_nothing() {
    let (mut campus, [anna, bert, _, lab]) = scene(50).await;
    let [anna, bert, lab]: [KeyHash; 3] = [anna, bert, lab].map(|key| key.parse().unwrap());
    let [office, cs]: [ProgrammeId; 2] = ["office", "cs-pilot"].map(|name| name.parse().unwrap());
    let by = Author { actor: &Actor::Sync, now: campus.clock.now(), deadline: soon() };
    let assign = async |campus: &Campus, owner: &ProgrammeId, key: &KeyHash, from| {
        campus.table.assign_keys(owner, std::slice::from_ref(key), date(from), by).await.unwrap()
    };
    let (one, other) = tokio::join!(assign(&campus, &office, &anna, 0), assign(&campus, &cs, &anna, 0));
    let (done, changed) = (AssignOutcome::Done, AssignOutcome::Changed);
    assert!((one == done && other == changed) || (one == changed && other == done), "{one:?} {other:?}");
    // While a sync sums up for owners, a key is given, and another taken back.
    campus.clock.stop_at(instant(3, 600)).unwrap();
    campus.spend_on(anna.as_str(), "0.07");
    campus.spend_on(bert.as_str(), "0.03");
    let held = campus.gate.hold(Matcher::call("dynamodb:Query").of(UsageSync).nth(40));
    let during = async {
        held.arrived().await;
        campus.table.take_keys_back(std::slice::from_ref(&anna), by).await.unwrap();
        assert_eq!(assign(&campus, &office, &bert, 3).await, AssignOutcome::Done);
        drop(held);
    };
    tokio::join!(complete(&campus), during);
    let seen = campus.judged_after_sync().await;
    assert_eq!(seen.budgets[&office].assigned, Usd::from_micros(30_000));

    // A key that was made by hand is recorded as a grant's, so it is no foreign key any more. The run that finds that is not complete.
    campus.minutes(1);
    give(&campus.admin().await, "office", "lab", 0).await;
    campus.students(&["ada"]).await;
    campus.press_with("ada", "reveal", Fault::KillBefore).await;
    let Grant { epoch, lease, .. } = campus.grant("ada").await;
    let begun = OpenClaim { epoch, nonce: lease.unwrap().nonce };
    let minted = MintedKey { hash: lab.clone(), limit: Usd::from_dollars(20), guardrail: None, expires_at: None };
    campus.table.act(campus.on("ada"), |view, now| view.record(&begun, &minted, now)).await.unwrap();
    campus.gate.at(Matcher::call("provider:GET /credits").of(UsageSync).nth(2), Fault::Status(400));
    campus.clock.stop_at(instant(4, 600)).unwrap();
    assert_eq!(campus.sync().await["complete"], false);
    for day in 5..7 {
        campus.clock.stop_at(instant(day, 600)).unwrap();
        complete(&campus).await;
        let days = format!("from={}&to={}", date(0), date(day));
        let page = campus.admin().await.get(&format!("{ACCOUNT}/statement?{days}")).await.expect(200);
        assert_eq!(amounts(&page, "statement-total"), amounts(&page, "account-change"), "{}", page.readable());
    }
    let seen = campus.judged_after_sync().await;
    let is_owned = seen.key_owners.iter().any(|of| of.key == lab);
    assert!(!seen.foreign_keys.contains_key(&lab) && !is_owned, "nothing of it is left");
    campus.finish_faulted().await;
}
