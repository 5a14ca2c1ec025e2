//! Each act with a fault at each of its calls: it is done once or not at all, whoever repeats it.

use bursar_core::domain::audit::Act;
use bursar_core::domain::mail::day::MailDay;
use bursar_core::store::Job;
use bursar_local::invoke::FunctionName::{Claim, Console, Mail, ThresholdAlerts, UsageSync};
use bursar_local::ses::Fault as MailFault;
use bursar_tests::aws;
use bursar_tests::campus::{Campus, Got, address};
use bursar_tests::picture::picture;
use bursar_tests::sweep::{FAULTS, KILLS, Sweep, sweep};
use bursar_tests::visitor::{Form, Page, Visitor};
use serde_json::json;

use crate::console::account::{RELEASE, held_back};
use crate::console::roster::preview;
use crate::mail::outcomes::say;
use crate::sync::rotation::put_pending;
use crate::sync::{busy, owners};

const MINI: &str = "openai/gpt-4o-mini";
const SONNET: &str = "anthropic/claude-sonnet-4.5";

/// A press of a student's button whose keys are restricted, so that every call is made.
async fn press(name: &'static str) {
    sweep(Sweep {
        name,
        scene: async || {
            let mut campus = Campus::open().await;
            campus.programme("CS pilot", |_| {}).await;
            campus.restrict().await;
            campus.students(&["ada"]).await;
            if name == "replace" {
                campus.keys().await;
            }
            let ada = campus.student("ada").await;
            let form = ada.get("/my").await.form(&campus.my(name));
            (campus, (ada, form))
        },
        act: async |_: &Campus, (ada, form): &(Visitor, Form)| {
            let page = ada.send_form(form).await;
            assert!(page.status == 200 || page.all("key").is_empty(), "a key on a page of {}", page.status);
            page.status == 200
        },
        // A press that was killed holds the grant until its lease runs out. The student returns, and takes what the page offers.
        mend: async |campus: &Campus, (ada, _): &(Visitor, Form)| {
            campus.minutes(2);
            let my = ada.get("/my").await.expect(200);
            let what = if my.offers(&campus.my("reveal")) { "reveal" } else { "replace" };
            ada.submit(&my, &campus.my(what), &[]).await.expect(200);
            campus.minutes(61);
            assert_eq!(campus.sync().await["complete"], true);
        },
        left: async |campus: &Campus, _: &_| {
            campus.judged_after_sync().await;
            let key = campus.key("ada");
            (campus.enabled().join(" "), key.limit, key.disabled, key.guardrail_id.is_some())
        },
        of: Claim,
        verdicts: FAULTS,
        one_in: 6,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reveal_survives_any_fault() {
    press("reveal").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replace_survives_any_fault() {
    press("replace").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sync_survives_any_kill() {
    sweep(Sweep {
        name: "sync",
        scene: async || (busy().await, ()),
        act: async |campus: &Campus, (): &()| {
            campus.run(UsageSync, json!({})).await.is_ok_and(|report| report["complete"] == true)
        },
        mend: async |campus: &Campus, (): &()| {
            for _ in 0..2 {
                campus.minutes(20);
                assert_eq!(campus.sync().await["complete"], true);
            }
        },
        left: async |campus: &Campus, (): &()| {
            let picture = picture(&campus.stack, &*campus.judged_after_sync().await);
            (picture, campus.enabled().join(" "))
        },
        of: UsageSync,
        verdicts: KILLS,
        one_in: 20,
    })
    .await;
}

/// A foreign key is given to a cost centre by a press on a preview, and the press is sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_given_to_an_owner_once() {
    sweep(Sweep {
        name: "assign",
        scene: async || {
            let (campus, _) = owners::scene(50).await;
            let admin = campus.admin().await;
            let preview = owners::fill(&admin, &[("match", "course-*"), ("owner", "office")]).await;
            (campus, (admin, preview))
        },
        act: async |_: &Campus, (admin, preview): &(Visitor, Page)| {
            admin.submit(preview, owners::ASSIGN, &[]).await.status == 303
        },
        mend: async |_: &Campus, (admin, preview): &(Visitor, Page)| {
            admin.submit(preview, owners::ASSIGN, &[]).await.expect(303);
        },
        left: async |campus: &Campus, _: &_| {
            let seen = campus.judged().await;
            (seen.key_owners.len(), seen.account_entries.len())
        },
        of: Console,
        verdicts: FAULTS,
        one_in: 6,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_survives_any_fault() {
    const NEW: &str = "sk-or-v1-management-next";
    sweep(Sweep {
        name: "rotation",
        scene: async || {
            let campus = Campus::with_keys(&["ada"]).await;
            campus.sync().await;
            campus.provider().add_management_key(NEW).unwrap();
            put_pending(&campus.stack, NEW).await;
            (campus, ())
        },
        act: async |campus: &Campus, (): &()| {
            let rotated = campus.run(UsageSync, json!({"task": "rotate"})).await;
            rotated.is_ok_and(|report| report == json!({"promoted": true}))
        },
        mend: async |campus: &Campus, (): &()| {
            campus.minutes(20);
            campus.run(UsageSync, json!({"task": "rotate"})).await.unwrap();
            campus.minutes(20);
            assert_eq!(campus.sync().await["complete"], true);
        },
        left: async |campus: &Campus, (): &()| aws::management_key(&campus.ready).await,
        of: UsageSync,
        verdicts: FAULTS,
        one_in: 3,
    })
    .await;
}

/// An admin's form on an open page of the programme, which is sent and left to the work of the next minutes.
async fn form<L: PartialEq + std::fmt::Debug>(
    name: &'static str,
    at: &'static str,
    fields: &'static [(&str, &str)],
    left: impl AsyncFn(&Campus) -> L,
) {
    sweep(Sweep {
        name,
        scene: async || {
            let campus = Campus::with_keys(&["ada", "bob"]).await;
            let admin = campus.admin().await;
            let page = admin.get(&campus.console("")).await;
            (campus, (admin, page))
        },
        act: async |campus: &Campus, (admin, page): &(Visitor, Page)| {
            admin.submit(page, &campus.console(at), fields).await.status == 303
        },
        mend: async |campus: &Campus, _: &_| {
            for _ in 0..3 {
                campus.work().await;
            }
        },
        left: async |campus: &Campus, _: &_| {
            let seen = campus.judged().await;
            assert!(seen.all().all(|job: Job| !job.is_running()));
            let mut picture = picture(&campus.stack, &seen);
            // Rules are told to the provider before the edit that names them is saved, and then nobody has them yet.
            picture.retain(|line| !line.contains("kind: rule-set") && !line.contains("act: guardrail-set"));
            (picture, campus.enabled().join(" "), left(campus).await)
        },
        of: Console,
        verdicts: FAULTS,
        one_in: 8,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cap_edit_reaches_every_key_or_none() {
    form("cap edit", "", &[("cap_usd", "8")], async |campus| campus.limits()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_edit_reaches_every_key_or_none() {
    form("rules edit", "", &[("models", MINI)], async |campus| {
        ["ada", "bob"].map(|name| campus.key(name).guardrail_id.map(|id| campus.provider().allowed_models(&id)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_ends_every_key_or_none() {
    form("close", "/close", &[], async |_| ()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tier_reaches_every_key_or_none() {
    sweep(Sweep {
        name: "tier",
        scene: async || {
            let campus = Campus::with_keys(&["ada"]).await;
            let admin = campus.admin().await;
            campus.edit(&admin, &[("models", "basic")]).await.expect(303);
            let page = admin.get("/console/tiers").await;
            (campus, (admin, page))
        },
        act: async |_: &Campus, (admin, page): &(Visitor, Page)| {
            let fields = [("tier", "basic"), ("models", SONNET), ("version", "0")];
            admin.submit(page, "/console/tiers", &fields).await.status == 303
        },
        mend: async |campus: &Campus, _: &_| {
            for _ in 0..2 {
                campus.work().await;
            }
        },
        left: async |campus: &Campus, _: &_| {
            let allowed = campus.provider().allowed_models(&campus.key("ada").guardrail_id.unwrap());
            (picture(&campus.stack, &*campus.judged().await), allowed)
        },
        of: Console,
        verdicts: FAULTS,
        one_in: 6,
    })
    .await;
}

/// New people, one who moves to another group and one whose name changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roster_is_applied_once() {
    sweep(Sweep {
        name: "roster apply",
        scene: async || {
            let campus = Campus::with_keys(&["ada", "bob"]).await;
            let admin = campus.admin().await;
            let file =
                "email,name,group\nada@example.edu,Ada,A\nbob@example.edu,,B\ncid@example.edu,,A\ndan@example.edu,,\n";
            let shown = preview(&admin, "add", file).await;
            (campus, (admin, shown))
        },
        act: async |campus: &Campus, (admin, shown): &(Visitor, Page)| {
            admin.submit(shown, &campus.console("/roster/apply"), &[]).await.status == 303
        },
        mend: async |campus: &Campus, _: &_| {
            for _ in 0..2 {
                campus.work().await;
            }
        },
        left: async |campus: &Campus, _: &_| picture(&campus.stack, &*campus.judged().await),
        of: Console,
        verdicts: FAULTS,
        one_in: 6,
    })
    .await;
}

/// The form is sent again by the admin who got no answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copy_is_made_once() {
    const FIELDS: [(&str, &str); 2] = [("roster", "on"), ("name", "Next")];
    sweep(Sweep {
        name: "copy",
        scene: async || {
            let campus = Campus::with_keys(&["ada", "bob"]).await;
            let admin = campus.admin().await;
            let page = admin.get(&campus.console("")).await;
            (campus, (admin, page))
        },
        act: async |campus: &Campus, (admin, page): &(Visitor, Page)| {
            admin.submit(page, &campus.console("/copy"), &FIELDS).await.status == 303
        },
        mend: async |campus: &Campus, (admin, page): &(Visitor, Page)| {
            admin.submit(page, &campus.console("/copy"), &FIELDS).await.expect(303);
            for _ in 0..2 {
                campus.work().await;
            }
        },
        left: async |campus: &Campus, _: &_| {
            let seen = campus.judged().await;
            let mut people: Vec<String> = seen.grants.values().map(|grant| grant.programme.to_string()).collect();
            people.sort();
            (seen.programmes.keys().map(ToString::to_string).collect::<Vec<_>>(), people)
        },
        of: Console,
        verdicts: FAULTS,
        one_in: 6,
    })
    .await;
}

/// Faculty change one setting and ask for another that only an admin may change, and send the form again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_is_made_once() {
    const FIELDS: [(&str, &str); 2] = [("pot_usd", "8000"), ("contact", "room 101")];
    sweep(Sweep {
        name: "request",
        scene: async || {
            let campus = Campus::with_keys(&["ada"]).await;
            campus.set(|settings| settings.faculty = vec![address("faye")]).await;
            let faye = campus.student("faye").await;
            let page = faye.get(&campus.console("")).await;
            (campus, (faye, page))
        },
        act: async |campus: &Campus, (faye, page): &(Visitor, Page)| {
            faye.submit(page, &campus.console(""), &FIELDS).await.status == 303
        },
        mend: async |campus: &Campus, (faye, _): &(Visitor, Page)| {
            campus.edit(faye, &FIELDS).await.expect(303);
        },
        left: async |campus: &Campus, _: &_| {
            let seen = campus.judged().await;
            let of = |act| seen.entries.iter().filter(|entry| entry.what.act == act).count();
            let contact = campus.settings().await.contact;
            (owed(campus).await, of(Act::Asked), of(Act::Edited), contact)
        },
        of: Console,
        verdicts: FAULTS,
        one_in: 6,
    })
    .await;
}

/// An admin releases what the guard held back, and sends the form again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_is_recorded_once() {
    sweep(Sweep {
        name: "release",
        scene: async || {
            let campus = Campus::open().await;
            held_back(&campus, Some(campus.clock.now())).await;
            let admin = campus.admin().await;
            let form = admin.get("/console/account").await.form(RELEASE);
            (campus, (admin, form))
        },
        act: async |_: &Campus, (admin, form): &(Visitor, Form)| admin.send_form(form).await.status == 303,
        mend: async |_: &Campus, (admin, form): &(Visitor, Form)| {
            admin.send_form(form).await.expect(303);
        },
        left: async |campus: &Campus, _: &_| {
            let held = campus.table.sync_state().await.unwrap().held_back.unwrap();
            (held.released_by.is_some(), campus.judged().await.account_entries.len())
        },
        of: Console,
        verdicts: FAULTS,
        one_in: 2,
    })
    .await;
}

/// A campus with two faculty and a finance address, a month before Christmas, whose student has used four fifths of the pot and of her
/// cap. No mail is written yet, since the stream is not delivered.
async fn spent() -> Campus {
    let mut campus = Campus::at("2026-11-20T06:00:00Z").await;
    campus
        .programme("CS pilot", |settings| {
            settings.faculty = ["ann", "ben"].map(address).to_vec();
            settings.finance = vec![address("fin")];
        })
        .await;
    campus.students(&["ada"]).await;
    campus.keys().await;
    campus.sync().await;
    campus.settle().await;
    campus.pump.stop().await;
    campus.pot(20).await;
    campus.spend("ada", "16.60");
    campus.minutes(60);
    campus.sync().await;
    campus
}

/// The mails that are owed, by kind.
async fn owed(campus: &Campus) -> Vec<String> {
    let seen = campus.judged().await;
    let kind = |mail: String| mail.split(|sign: char| !sign.is_alphanumeric()).next().unwrap_or_default().to_owned();
    let mut owed: Vec<String> = seen.outbox.iter().map(|row| kind(format!("{:?}", row.mail))).collect();
    owed.sort();
    owed
}

/// What `threshold-alerts` does for this task, `hours` after the student has spent; the next hour's check makes up for what failed.
async fn looks(name: &'static str, hours: i64, task: serde_json::Value, one_in: usize) {
    sweep(Sweep {
        name,
        scene: async || {
            let campus = spent().await;
            for _ in 0..hours / 24 {
                campus.minutes(24 * 60);
                campus.sync().await;
            }
            campus.minutes(hours % 24 * 60);
            (campus, ())
        },
        act: async |campus: &Campus, (): &()| campus.run(ThresholdAlerts, task.clone()).await.is_ok(),
        mend: async |campus: &Campus, (): &()| {
            campus.look().await;
        },
        left: async |campus: &Campus, (): &()| owed(campus).await,
        of: ThresholdAlerts,
        verdicts: FAULTS,
        one_in,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_are_owed_once() {
    let totals = json!({"eventSource": "aws:dynamodb", "eventName": "MODIFY", "dynamodb": {
        "SequenceNumber": "1",
        "NewImage": {"kind": {"S": "totals"}, "programme": {"S": "cs-pilot"}},
    }});
    looks("alert batch", 0, json!({"Records": [totals]}), 6).await;
}

/// No sync was complete for more than a day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_owes_each_alarm_once() {
    sweep(Sweep {
        name: "watch",
        scene: async || {
            let campus = spent().await;
            campus.minutes(27 * 60);
            (campus, ())
        },
        act: async |campus: &Campus, (): &()| campus.run(ThresholdAlerts, json!({"task": "watch"})).await.is_ok(),
        mend: async |campus: &Campus, (): &()| {
            campus.look().await;
        },
        left: async |campus: &Campus, (): &()| owed(campus).await,
        of: ThresholdAlerts,
        verdicts: FAULTS,
        one_in: 12,
    })
    .await;
}

/// The Monday after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digests_are_owed_once() {
    looks("digest", 3 * 24 + 2, json!({"task": "digest"}), 12).await;
}

/// The third of the next month.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_are_owed_once() {
    looks("statement", 13 * 24, json!({"task": "watch"}), 20).await;
}

/// Alerts leave once each, and twice only where an answer or its record was lost, which the invariants judge. One is refused for good,
/// of which an admin hears.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_sends_each_mail() {
    sweep(Sweep {
        name: "drain",
        scene: async || {
            let campus = spent().await;
            campus.look().await;
            campus.ses.fail_next(MailFault::Reject, 100, Some("ben@example.edu"));
            (campus, ())
        },
        act: async |campus: &Campus, (): &()| campus.run(Mail, json!({"task": "drain"})).await.is_ok(),
        mend: async |campus: &Campus, (): &()| {
            for _ in 0..3 {
                campus.minutes(3);
                campus.drain().await;
            }
        },
        left: async |campus: &Campus, (): &()| {
            campus.judged().await;
            // Which of two mails was refused first, and stands in the subject, varies.
            let mut sent = campus.mails("account").into_iter().map(|mail| (mail.to, String::new())).collect::<Vec<_>>();
            sent.extend(campus.mails("alert").into_iter().map(|mail| (mail.to, mail.contents.subject)));
            sent.sort();
            sent.dedup();
            sent
        },
        of: Mail,
        verdicts: FAULTS,
        one_in: 6,
    })
    .await;
}

/// SNS repeats an event that was not taken. The invariants judge the counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bounce_counts_once() {
    sweep(Sweep {
        name: "bounce",
        scene: async || {
            let mut campus = Campus::open().await;
            campus.programme("CS pilot", |_| {}).await;
            campus.students(&["ada"]).await;
            campus.settle().await;
            let mail = campus.mails("roster").remove(0);
            (campus, mail)
        },
        act: async |campus: &Campus, mail: &Got| say(campus, "gone", mail).await.is_ok(),
        mend: async |campus: &Campus, mail: &Got| {
            say(campus, "gone", mail).await.unwrap();
        },
        left: async |campus: &Campus, _: &_| {
            let seen = campus.judged().await;
            let bounced = seen.all::<MailDay>().map(|day| day.counts.bounced).sum::<u64>();
            let mark = campus.table.undeliverable(address("ada").matched(), campus.clock.now()).await.unwrap();
            (bounced, mark.map(|mark| mark.why))
        },
        of: Mail,
        verdicts: FAULTS,
        one_in: 1,
    })
    .await;
}
