//! Keys that were made elsewhere are given to programmes and taken back: looked at first, counted once and from their day on, and
//! never touched at the provider.

use bursar_core::domain::audit::{Act, Actor};
use bursar_core::domain::ledger::owner::KeyOwner;
use bursar_core::domain::programme::Pot;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::key::KeyHash;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{AssignOutcome, AssignedUse, Table};
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::visitor::Page;

use super::*;

const ACCOUNT: &str = "/console/account";
const ASSIGN: &str = "/console/account/keys/assign";
const OFFICE: &str = "/console/programmes/office";

/// A stack with a programme and a cost centre, and four keys that syncs of three nights have seen.
struct Scene {
    stack: Stack,
    anna: String,
    bert: String,
    late: String,
    lab: String,
}

async fn scene(pot: i32) -> Scene {
    let stack = in_the_morning().await;
    let table = rich(&stack).await.table;
    let by = Author { actor: &Actor::Sync, now: stack.clock.now(), deadline: soon() };
    let today = utc_date(stack.clock.now());
    let term = Term::new(today, today.saturating_add(90.days()), "UTC").unwrap();
    let settings = Settings { roster: false, ..Settings::new("Office", term, Usd::from_dollars(1)) };
    table.create_programme(settings, Usd::from_dollars(pot), by).await.unwrap();
    let [anna, bert, lab] = ["course-anna", "course-bert", "lab"].map(|name| foreign(&stack, name));
    spend(&stack, &anna, 1_000_000);
    spend(&stack, &bert, 2_000_000);
    spend(&stack, &lab, 500_000);
    sync(&stack).await;
    stack.clock.begin_at(instant(1, 600)).unwrap();
    spend(&stack, &anna, 500_000);
    spend(&stack, &bert, 250_000);
    sync(&stack).await;
    let late = foreign(&stack, "course-late");
    spend(&stack, &late, 3_000_000);
    stack.clock.begin_at(instant(2, 600)).unwrap();
    sync(&stack).await;
    Scene { stack, anna, bert, late, lab }
}

impl Scene {
    async fn admin(&self) -> Visitor {
        signed_in(&self.stack, ADMIN).await
    }

    /// Posts the account's form, as somebody fills it.
    async fn look(&self, admin: &Visitor, fields: &[(&str, &str)]) -> Page {
        let page = admin.get(ACCOUNT).await.expect(200);
        admin.submit(&page, ASSIGN, fields).await
    }

    async fn give(&self, admin: &Visitor, owner: &str, pattern: &str, from: i64) {
        let from = date(from).to_string();
        let preview = self.look(admin, &[("match", pattern), ("owner", owner), ("from", &from)]).await.expect(200);
        admin.submit(&preview, ASSIGN, &[]).await.expect(303);
    }

    async fn take_back(&self, admin: &Visitor, pattern: &str) {
        let preview = self.look(admin, &[("match", pattern), ("owner", "")]).await.expect(200);
        admin.submit(&preview, ASSIGN, &[]).await.expect(303);
    }

    /// All that counts for the office: its sum, its pot, and the owners of keys.
    async fn books(&self) -> (AssignedUse, Pot, Vec<KeyOwner>) {
        let mut watch = watch(&self.stack);
        let seen = watch.check().await;
        let office: ProgrammeId = "office".parse().unwrap();
        let mut owners = seen.key_owners.clone();
        owners.sort_by(|one, other| one.key.cmp(&other.key));
        (seen.assigned_uses[&office].clone(), seen.pots[&office].clone(), owners)
    }
}

fn amounts(page: &Page, hook: &str) -> Vec<String> {
    page.attributes(hook, "data-usd")
}

#[tokio::test]
async fn a_choice_is_looked_at_first_then_counts_from_its_day_on_and_nothing_happens_to_the_keys() {
    let scene = scene(5).await;
    let stack = &scene.stack;
    let (admin, keys) = (scene.admin().await, provider(stack).keys());
    let page = admin.get(ACCOUNT).await.expect(200);
    assert_eq!(page.attributes("prefix", "data-match"), ["course-*"]);
    let writes = || stack.gate.calls().iter().filter(|call| call.to_string().contains("TransactWriteItems")).count();
    let before = writes();
    let from = date(1).to_string();
    let asked = [("match", "course-*"), ("owner", "office"), ("from", from.as_str())];
    let one = scene.look(&admin, &[("hash", &*scene.lab), ("owner", "office"), ("from", &from)]).await.expect(200);
    assert_eq!(one.attributes("assign-key", "data-hash"), [&*scene.lab]);
    let preview = scene.look(&admin, &asked).await.expect(200);
    assert_eq!(preview.attributes("assign-key", "data-hash"), [&*scene.anna, &*scene.bert, &*scene.late]);
    assert_eq!(amounts(&preview, "assign-key"), ["0.500000", "0.250000", "3.000000"]);
    assert_eq!(amounts(&preview, "lump"), ["3.000000"], "nobody knows on which days it was spent");
    assert_eq!(amounts(&preview, "pot-left"), ["1.250000"]);
    assert_eq!(writes(), before, "a look writes nothing");
    for _ in 0..2 {
        admin.submit(&preview, ASSIGN, &[]).await.expect(303);
    }
    let office = admin.get(OFFICE).await.expect(200);
    assert_eq!(
        (amounts(&office, "spent"), amounts(&office, "reserved")),
        (vec!["3.750000".into()], vec!["3.750000".into()])
    );
    let days = format!("from={}&to={}&by=model", date(0), date(2));
    let report = admin.get(&format!("{OFFICE}/report.csv?{days}")).await.expect(200);
    assert!(report.body.contains(",office,,,a/model,,3,3.750000"), "by the keys' names: {}", report.body);
    assert!(report.body.contains(",office,,,,,,-3.000000"), "what the late key used has no day: {}", report.body);
    let account = admin.get(ACCOUNT).await.expect(200);
    assert_eq!(account.attributes("owned-key", "data-hash").len(), 3);
    assert_eq!(account.attributes("unowned-key", "data-hash"), [&*scene.lab]);
    assert!(
        account.form(&format!("/console/account/keys/{}", scene.anna)).value("name").is_some(),
        "an admin may limit it"
    );
    assert_eq!(provider(stack).keys(), keys, "nothing is done to a key");
    let mut watch = watch(stack);
    let seen = watch.check().await;
    let of = |act| seen.account_entries.iter().filter(move |entry| entry.what.act == act).count();
    assert_eq!((of(Act::KeysAssigned), of(Act::KeysTakenBack)), (1, 0), "once, however often it is pressed");
    scene.stack.finish().await;
}

#[tokio::test]
async fn keys_that_fit_only_since_the_look_are_not_given_and_very_many_are_given_and_taken_back_in_parts() {
    let scene = scene(50).await;
    let (stack, admin) = (&scene.stack, scene.admin().await);
    let from = date(0).to_string();
    let asked = [("match", "course-*"), ("owner", "office"), ("from", from.as_str())];
    let preview = scene.look(&admin, &asked).await.expect(200);
    for number in 0..90 {
        foreign(stack, &format!("course-{number:02}"));
    }
    sync(stack).await;
    let again = admin.submit(&preview, ASSIGN, &[]).await.expect(409);
    assert_eq!(again.attributes("assign-key", "data-hash").len(), 93);
    assert!(admin.get(ACCOUNT).await.all("owned-key").is_empty(), "nothing was given");
    admin.submit(&again, ASSIGN, &[]).await.expect(303);
    assert_eq!(scene.books().await.0.keys, 93);
    // The programme's close-out and its statement have the same sum.
    let closeout = admin.get(&format!("{OFFICE}/closeout")).await.expect(200);
    assert_eq!(amounts(&closeout, "closeout-spent"), ["6.750000"]);
    assert_eq!(amounts(&closeout, "closeout-assigned"), ["6.750000"]);
    let file = admin.get(&format!("{OFFICE}/closeout.csv")).await.expect(200);
    assert!(file.body.contains("office,,,,,keys made elsewhere,,,,6.750000,0.000000"), "{}", file.body);
    scene.take_back(&admin, "course-*").await;
    assert_eq!((scene.books().await.0.keys, scene.books().await.1.reserved), (0, Usd::ZERO));
    scene.stack.finish().await;
}

#[tokio::test]
async fn given_taken_back_and_given_again_leaves_all_sums_as_if_done_once() {
    let scene = scene(50).await;
    let admin = scene.admin().await;
    scene.give(&admin, "office", "course-*", 1).await;
    let once = scene.books().await;
    assert_eq!(once.1.reserved, Usd::from_micros(3_750_000));
    scene.take_back(&admin, "course-bert").await;
    scene.take_back(&admin, "course-*").await;
    let none = scene.books().await;
    assert_eq!((none.0.used.clone(), none.0.keys, none.1.reserved, none.2), (Default::default(), 0, Usd::ZERO, vec![]));
    scene.give(&admin, "cs-pilot", "course-late", 0).await;
    scene.take_back(&admin, "course-late").await;
    for pattern in ["course-late", "course-a*", "*bert"] {
        scene.give(&admin, "office", pattern, 1).await;
    }
    let again = scene.books().await;
    assert_eq!((&again.0.used, again.0.keys), (&once.0.used, once.0.keys));
    assert_eq!((again.1.reserved, again.1.assigned), (once.1.reserved, once.1.assigned));
    let owners = |owners: &[KeyOwner]| owners.iter().map(|of| (of.key.clone(), of.from)).collect::<Vec<_>>();
    assert_eq!(owners(&again.2), owners(&once.2));
    // A sync finds nothing to change, and one after more spending counts that.
    sync(&scene.stack).await;
    assert_eq!(scene.books().await.0, again.0);
    scene.stack.clock.begin_at(instant(3, 600)).unwrap();
    spend(&scene.stack, &scene.anna, 10_000);
    provider(&scene.stack).delete(&scene.bert).unwrap();
    sync(&scene.stack).await;
    let mut watch = watch(&scene.stack);
    watch.check_after_sync().await;
    assert_eq!(scene.books().await.1.reserved, Usd::from_micros(3_760_000), "a deleted key keeps what it used");
    scene.stack.finish().await;
}

#[tokio::test]
async fn what_foreign_keys_used_crosses_the_thresholds_of_their_owner() {
    let scene = scene(4).await;
    let admin = scene.admin().await;
    scene.give(&admin, "office", "course-*", 1).await;
    let looked = scene.stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": "watch"})).await.unwrap();
    let mut watch = watch(&scene.stack);
    let of_office = |seen: &Snapshot| -> Vec<u8> {
        let crossed = seen.crossings.iter().filter(|crossing| crossing.programme.as_str() == "office");
        crossed.map(|crossing| crossing.threshold).collect()
    };
    assert_eq!(of_office(watch.check().await), [50, 80], "$3.75 of $4: {looked}");
    scene.take_back(&admin, "course-*").await;
    assert_eq!(of_office(watch.check().await), [50, 80], "what was told stays told");
    scene.stack.finish_unjudged().await;
}

#[tokio::test]
async fn what_cannot_be_given_is_said_before_anything_is_done() {
    let scene = scene(3).await;
    let stack = &scene.stack;
    let ours = {
        let office = Office::of(stack, "cs-pilot");
        let ada = invite(stack, &office, "ada", None).await;
        mint(stack, &office, &ada).await
    };
    let elsewhere = "bursar/9999999999/cs/0123456789abcdef/1-0123456789abcdef";
    foreign(stack, elsewhere);
    sync(stack).await;
    let admin = scene.admin().await;
    let from = date(0).to_string();
    for (fields, sentence) in [
        (
            vec![("match", "nobody-*"), ("owner", "office")],
            "No key that was made elsewhere has a name that matches nobody-*",
        ),
        (vec![("hash", &*ours), ("owner", "office")], "then it belongs to its grant"),
        (vec![("hash", "12"), ("owner", "office")], "sixty-four"),
        (vec![("owner", "office")], "Type a name, or a pattern"),
        (vec![("match", "lab"), ("owner", "nowhere")], "There is no programme nowhere."),
        (vec![("match", "lab"), ("owner", "office"), ("from", "yesterday")], "as a date such as"),
    ] {
        let page = scene.look(&admin, &fields).await.expect(422);
        assert!(page.readable().contains(sentence), "{sentence}: {}", page.readable());
        assert!(
            page.form(ASSIGN).value("match")
                == fields.iter().find(|(name, _)| *name == "match").map(|of| of.1).or(Some(""))
        );
    }
    scene.give(&admin, "office", "lab", 0).await;
    // What somebody else has, and what a deployment of Bursar made, is left as it is.
    let preview = scene.look(&admin, &[("match", "*"), ("owner", "cs-pilot"), ("from", &from)]).await.expect(200);
    assert_eq!(preview.attributes("assign-key", "data-hash").len(), 3);
    let refused = preview.texts("refused-key");
    assert!(refused.iter().any(|why| why.contains("lab: office has it, from")), "{refused:?}");
    assert!(refused.iter().any(|why| why.contains("a deployment of Bursar made it")), "{refused:?}");
    let only = scene.look(&admin, &[("match", "lab"), ("owner", "cs-pilot"), ("from", &from)]).await.expect(200);
    assert!(only.readable().contains("None of these keys can be given") && !only.body.contains("name=\"apply\""));
    // The pot of the office has $2.50 left, and course-* spent more.
    let preview = scene.look(&admin, &[("match", "course-*"), ("owner", "office"), ("from", &from)]).await.expect(200);
    assert!(preview.readable().contains("more than the budget has left") && !preview.body.contains("name=\"apply\""));
    assert_eq!(amounts(&preview, "pot-left"), ["-4.250000"]);
    let csrf = preview.form("/sign-out").value("csrf").unwrap().to_owned();
    let pressed =
        [("csrf", csrf.as_str()), ("match", "course-*"), ("owner", "office"), ("from", &from), ("apply", "on")];
    admin.post(ASSIGN, &pressed).await.expect(422);
    assert_eq!(scene.books().await.0.keys, 1, "nothing was given");
    scene.stack.finish().await;
}

#[tokio::test]
async fn of_two_owners_at_once_one_has_the_key_and_a_press_during_a_sync_loses_nothing() {
    let scene = scene(50).await;
    let (stack, table) = (&scene.stack, Table::new(&scene.stack.config));
    let key: [KeyHash; 1] = [scene.anna.parse().unwrap()];
    let by = Author { actor: &Actor::Sync, now: stack.clock.now(), deadline: soon() };
    let (office, cs) = ("office".parse().unwrap(), "cs-pilot".parse().unwrap());
    let (one, other) =
        tokio::join!(table.assign_keys(&office, &key, date(0), by), table.assign_keys(&cs, &key, date(0), by));
    let outcomes = [one.unwrap(), other.unwrap()];
    assert!(outcomes.contains(&AssignOutcome::Done) && outcomes.contains(&AssignOutcome::Changed), "{outcomes:?}");
    watch(stack).check().await;
    // While a sync sums up for owners, a key is given, and another taken back.
    stack.clock.begin_at(instant(3, 600)).unwrap();
    spend(stack, &scene.anna, 70_000);
    spend(stack, &scene.bert, 30_000);
    let held = stack.gate.hold(Matcher::call("dynamodb:Query").of(FunctionName::UsageSync).nth(40));
    let during = async {
        held.arrived().await;
        table.take_keys_back(&key, by).await.unwrap();
        let bert = [scene.bert.parse().unwrap()];
        assert_eq!(table.assign_keys(&office, &bert, date(3), by).await.unwrap(), AssignOutcome::Done);
        drop(held);
    };
    let (report, ()) = tokio::join!(sync(stack), during);
    assert_eq!(report["complete"], true, "{report}");
    let mut watch = watch(stack);
    watch.check_after_sync().await;
    assert_eq!(scene.books().await.1.assigned, Usd::from_micros(30_000));
    scene.stack.finish().await;
}

#[tokio::test]
async fn a_press_whose_answer_is_lost_is_done_once_and_a_refused_one_not_at_all() {
    for (verdict, keys) in [(Fault::LoseAnswer, 1), (Fault::Status(400), 0)] {
        let scene = scene(50).await;
        let admin = scene.admin().await;
        let preview =
            scene.look(&admin, &[("match", "lab"), ("owner", "office"), ("from", &date(0).to_string())]).await;
        let matcher = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Console);
        let rule = scene.stack.gate.at(matcher.nth(1), verdict);
        let page = admin.submit(&preview, ASSIGN, &[]).await;
        assert_eq!(page.status, if keys == 0 { 503 } else { 303 }, "{verdict}");
        scene.stack.gate.lift(rule);
        let mut watch = watch(&scene.stack);
        let seen = watch.check().await;
        assert_eq!(seen.key_owners.len(), keys, "{verdict}");
        admin.submit(&preview, ASSIGN, &[]).await.expect(303);
        assert_eq!(scene.books().await.0.keys, 1);
        scene.stack.finish_faulted().await;
    }
}

/// A key that was made by hand is recorded as a grant's, so it is no foreign key any more. The run that finds that is not complete.
#[tokio::test]
async fn a_foreign_key_that_turns_out_to_be_a_grants_leaves_its_owner_and_the_statement_adds_up() {
    let scene = scene(50).await;
    let (stack, admin) = (&scene.stack, scene.admin().await);
    scene.give(&admin, "office", "lab", 0).await;
    let office = Office::of(stack, "cs-pilot");
    let ada = invite(stack, &office, "ada", None).await;
    let begun = begin(stack, &office, &ada).await;
    record(&office, &ada, &begun, &scene.lab).await;
    let credits = Matcher::call("provider:GET /credits").of(FunctionName::UsageSync).nth(2);
    stack.gate.at(credits, Fault::Status(400));
    stack.clock.begin_at(instant(3, 600)).unwrap();
    let report = sync(stack).await;
    assert_eq!(report["complete"], false, "{report}");
    for day in 4..6 {
        stack.clock.begin_at(instant(day, 600)).unwrap();
        let report = sync(stack).await;
        assert_eq!(report["complete"], true, "{report}");
        let (admin, days) = (signed_in(stack, ADMIN).await, format!("from={}&to={}", date(0), date(day)));
        let page = admin.get(&format!("/console/account/statement?{days}")).await.expect(200);
        assert_eq!(amounts(&page, "statement-total"), amounts(&page, "account-change"), "{}", page.readable());
    }
    let mut watch = watch(stack);
    let seen = watch.check_after_sync().await;
    let lab: KeyHash = scene.lab.parse().unwrap();
    assert!(!seen.foreign_keys.contains_key(&lab) && seen.key_owners.is_empty(), "nothing of it is left");
    scene.stack.finish_faulted().await;
}
