//! Each act with a fault at each of its calls: it is done once or not at all, whoever repeats it.

use bursar_core::domain::audit::Act;
use bursar_core::store::{Erasure, Job, RosterMails};
use bursar_local::invoke::FunctionName::{Claim, Console, Mail, ThresholdAlerts, UsageSync};
use bursar_local::ses::Fault as MailFault;
use bursar_tests::aws;
use bursar_tests::campus::{Campus, Got, address};
use bursar_tests::office::new_programme;
use bursar_tests::picture::picture;
use bursar_tests::sweep::{FAULTS, Sweep, sweep};
use bursar_tests::visitor::{Form, Page, Visitor};
use serde_json::json;

use crate::console::account::{RELEASE, held_back};
use crate::console::erase::ERASE;
use crate::console::roster::{applied, preview};
use crate::mail::outcomes::say;
use crate::sync::rotation::put_pending;
use crate::sync::{busy, owners};

const ID: &str = "/console/programmes/cs-pilot";
const CLOSE: &str = "/console/programmes/cs-pilot/close";
const NEW: &str = "/console/programmes/new?from=cs-pilot";
const CREATE: &str = "/console/programmes";
const SETTINGS: &str = "/console/programmes/cs-pilot/settings";
const TIERS: &str = "/console/tiers";
const MINI: &str = "openai/gpt-4o-mini";
const SONNET: &str = "anthropic/claude-sonnet-4.5";

/// A request of a student's button whose keys are restricted, so that every call is made.
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
            assert!(
                page.status == 200 || page.all("key").is_empty(),
                "a key on a page of {}",
                page.status
            );
            page.status == 200
        },
        // A request that was killed holds the grant until its lease runs out. The student returns,
        // and takes what the page offers.
        mend: async |campus: &Campus, (ada, _): &(Visitor, Form)| {
            campus.minutes(2);
            let my = ada.get("/my").await.expect(200);
            let what = if my.offers(&campus.my("reveal")) {
                "reveal"
            } else {
                "replace"
            };
            ada.submit(&my, &campus.my(what), &[]).await.expect(200);
            campus.minutes(61);
            assert_eq!(campus.sync().await["complete"], true);
        },
        left: async |campus: &Campus, _: &_| {
            campus.judged_after_sync().await;
            let key = campus.key("ada");
            (
                campus.enabled().join(" "),
                key.limit,
                key.disabled,
                key.guardrail_id.is_some(),
            )
        },
        of: Claim,
        verdicts: FAULTS,
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
async fn sync_survives_any_fault() {
    sweep(Sweep {
        name: "sync",
        scene: async || (busy().await, ()),
        act: async |campus: &Campus, (): &()| {
            campus
                .run(UsageSync, json!({}))
                .await
                .is_ok_and(|report| report["complete"] == true)
        },
        // What a run ends is free a night later, and its money is known when it was read once more.
        mend: async |campus: &Campus, (): &()| {
            for _ in 0..2 {
                campus.minutes(20);
                assert_eq!(campus.sync().await["complete"], true);
            }
        },
        left: async |campus: &Campus, (): &()| {
            for _ in 0..3 {
                campus.drain().await;
            }
            let mut mails: Vec<_> = campus
                .all_mails()
                .into_iter()
                .map(|mail| (mail.to, mail.contents.subject))
                .collect();
            mails.sort();
            let mut next = picture(&campus.stack, &*campus.judged_after_sync().await);
            next.retain(|line| !line.contains("kind: budget"));
            let next = (next, campus.enabled().join(" "), mails);
            campus.minutes(20);
            assert_eq!(campus.sync().await["complete"], true);
            let later = (
                picture(&campus.stack, &*campus.judged_after_sync().await),
                campus.enabled().join(" "),
            );
            (next, later)
        },
        of: UsageSync,
        verdicts: FAULTS,
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
            campus
                .run(UsageSync, json!({"task": "rotate"}))
                .await
                .unwrap();
            campus.minutes(20);
            assert_eq!(campus.sync().await["complete"], true);
        },
        left: async |campus: &Campus, (): &()| aws::management_key(&campus.ready).await,
        of: UsageSync,
        verdicts: FAULTS,
    })
    .await;
}

/// A form of the console, which is sent, and once more if `is_repeated`. What is left is done by
/// the work of the next minutes.
async fn form<L: PartialEq + std::fmt::Debug>(
    name: &'static str,
    is_repeated: bool,
    scene: impl AsyncFn() -> (Campus, (Visitor, Form)),
    left: impl AsyncFn(&Campus) -> L,
) {
    sweep(Sweep {
        name,
        scene,
        act: async |_: &Campus, (admin, form): &(Visitor, Form)| {
            admin.send_form(form).await.status == 303
        },
        mend: async |campus: &Campus, (admin, form): &(Visitor, Form)| {
            if is_repeated {
                admin.send_form(form).await.expect(303);
            }
            for _ in 0..3 {
                campus.work().await;
            }
        },
        left: async |campus: &Campus, _: &_| left(campus).await,
        of: Console,
        verdicts: FAULTS,
    })
    .await;
}

/// An admin's form about a programme with two keys and a tier, filled in.
async fn filled(page: &str, path: &str, fields: &[(&str, &str)]) -> (Campus, (Visitor, Form)) {
    let campus = Campus::with_keys(&["ada", "bob"]).await;
    campus
        .set(|settings| settings.rules.all.models = vec!["basic".to_owned()])
        .await;
    campus.finish_work().await;
    let admin = campus.admin().await;
    let form = admin.get(page).await.form(path).filled(fields);
    (campus, (admin, form))
}

/// What an edit leaves in the table and at the provider.
async fn edited(campus: &Campus) -> impl PartialEq + std::fmt::Debug + use<> {
    let seen = campus.judged().await;
    assert!(seen.all().all(|job: Job| !job.is_running()));
    let mut picture = picture(&campus.stack, &seen);
    // Whoever finds that a guardrail is not right tells it once more, and then it has other
    // versions and entries.
    picture
        .retain(|line| !line.contains("kind: guardrail") && !line.contains("act: guardrail-set"));
    let may = ["ada", "bob"].map(|name| {
        campus
            .provider()
            .allowed_models(&campus.key(name).guardrail_id.unwrap())
    });
    (picture, campus.enabled().join(" "), campus.limits(), may)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cap_edit_reaches_every_key_or_none() {
    form(
        "cap edit",
        false,
        async || filled(SETTINGS, ID, &[("cap_usd", "8")]).await,
        edited,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_edit_reaches_every_key_or_none() {
    form(
        "rules edit",
        false,
        async || filled(SETTINGS, ID, &[("models", MINI)]).await,
        edited,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_ends_every_key_or_none() {
    form(
        "close",
        false,
        async || filled(SETTINGS, CLOSE, &[("confirm", "CS pilot")]).await,
        edited,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tier_reaches_every_key_or_none() {
    const FIELDS: [(&str, &str); 3] = [("tier", "basic"), ("models", SONNET), ("version", "0")];
    form(
        "tier",
        false,
        async || filled(TIERS, TIERS, &FIELDS).await,
        edited,
    )
    .await;
}

/// New people, one who moves to another group, and two who lose their addresses: one to somebody
/// new, one to the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roster_is_applied_once() {
    const IDS: &str = "email,id\nada@example.edu,s1\nbob@example.edu,s2\n";
    const FILE: &str = "email,name,group,id\nada@example.edu,Ada,A,s2\nbob@example.edu,,B,s9\ncid@example.edu,,A,\ndan@example.edu,,,\n";
    let scene = async || {
        let campus = Campus::with_keys(&["ada", "bob"]).await;
        let (admin, apply) = (campus.admin().await, campus.console("/roster/apply"));
        applied(&admin, "add", IDS).await;
        let form = preview(&admin, "add", FILE).await.form(&apply);
        (campus, (admin, form))
    };
    form("roster apply", true, scene, async |campus| {
        picture(&campus.stack, &*campus.judged().await)
    })
    .await;
}

/// A preview of many is acted on: each is allowed one more replacement, whatever is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_allowed_one_more() {
    let scene = async || {
        let campus = Campus::with_keys(&["ada", "bob"]).await;
        let admin = campus.admin().await;
        let (page, bulk) = (
            admin.get(&campus.console("/grants")).await,
            campus.console("/grants/bulk"),
        );
        let preview = admin
            .submit(&page, &bulk, &[("act", "allow")])
            .await
            .expect(200);
        let form = preview.form(&bulk);
        (campus, (admin, form))
    };
    form("many allowed", true, scene, async |campus| {
        campus.judged().await;
        (
            campus.grant("ada").await.allowed,
            campus.grant("bob").await.allowed,
        )
    })
    .await;
}

/// A person is erased by a press, then by the work of two minutes, whatever of it is killed, and
/// although a roster was taken along and a file named them just before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasure_ends_erased() {
    sweep(Sweep {
        name: "erase",
        scene: async || {
            let (campus, (admin, form)) = filled(
                "/console/people/erase?email=ada%40example.edu",
                ERASE,
                &[("email", "ada@example.edu")],
            )
            .await;
            campus
                .table
                .create(new_programme(campus.settings().await, 100), campus.by())
                .await
                .unwrap();
            let roster = "/console/programmes/cs-pilot-2/roster";
            let page = admin.get(roster).await;
            let shown = admin
                .upload(
                    &page,
                    roster,
                    &[("mode", "add")],
                    "r.csv",
                    b"email\nada@example.edu\n",
                )
                .await;
            let file = shown.form(&format!("{roster}/apply"));
            let copy = admin
                .get(NEW)
                .await
                .form(CREATE)
                .filled(&[("with_roster", "on"), ("name", "Next")]);
            (campus, (admin, [form, file, copy]))
        },
        act: async |campus: &Campus, (admin, [press, file, copy]): &(Visitor, [Form; 3])| {
            let (press, file, copy) = tokio::join!(
                admin.send_form(press),
                admin.send_form(file),
                admin.send_form(copy)
            );
            campus.minutes(16);
            let mut is_done = [press, file, copy].iter().all(|page| page.status == 303);
            for _ in 0..4 {
                campus.minutes(1);
                is_done &= campus.run(Console, json!({"task": "work"})).await.is_ok();
            }
            is_done
        },
        mend: async |campus: &Campus, (admin, [press, ..]): &(Visitor, [Form; 3])| {
            admin.send_form(press).await.expect(303);
            campus.work().await;
            campus.minutes(20);
            for _ in 0..5 {
                campus.work().await;
            }
        },
        left: async |campus: &Campus, _: &_| {
            let seen = campus.judged().await;
            let receipts: Vec<_> = seen.all().map(|of: Erasure| of.again_at).collect();
            (
                receipts,
                seen.places_of(&["ada@"]),
                campus.enabled().join(" "),
            )
        },
        of: Console,
        verdicts: FAULTS,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn next_term_is_made_once() {
    const FIELDS: [(&str, &str); 2] = [("with_roster", "on"), ("name", "Next")];
    form(
        "next term",
        true,
        async || filled(NEW, CREATE, &FIELDS).await,
        async |campus| {
            let seen = campus.judged().await;
            let mut people: Vec<String> = seen
                .grants
                .values()
                .map(|grant| grant.programme.to_string())
                .collect();
            people.sort();
            (
                seen.programmes
                    .keys()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>(),
                people,
            )
        },
    )
    .await;
}

/// An admin releases what the safety limit held back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_is_recorded_once() {
    let scene = async || {
        let campus = Campus::open().await;
        held_back(&campus, Some(campus.clock.now())).await;
        let admin = campus.admin().await;
        let form = admin.get("/console/account").await.form(RELEASE);
        (campus, (admin, form))
    };
    form("release", true, scene, async |campus| {
        let held = campus.table.sync_state().await.unwrap().held_back.unwrap();
        (
            held.release.is_some(),
            campus.judged().await.account_entries.len(),
        )
    })
    .await;
}

/// A foreign key is given to a cost centre by a request on a preview.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_given_to_an_owner_once() {
    let scene = async || {
        let (campus, _) = owners::scene(50).await;
        let admin = campus.admin().await;
        let preview = owners::fill(&admin, &[("match", "course-*"), ("owner", "office")]).await;
        (campus, (admin, preview.form(owners::ASSIGN)))
    };
    form("assign", true, scene, async |campus| {
        let seen = campus.judged().await;
        (seen.key_owners.len(), seen.account_entries.len())
    })
    .await;
}

/// Faculty ask for a setting that only an admin may change, and send the form again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_is_made_once() {
    const FIELDS: [(&str, &str); 1] = [("budget_usd", "8000")];
    sweep(Sweep {
        name: "request",
        scene: async || {
            let campus = Campus::with_keys(&["ada"]).await;
            campus
                .set(|settings| settings.people.faculty = vec![address("faye")])
                .await;
            let faye = campus.student("faye").await;
            let page = faye.get(&campus.console("/settings")).await;
            (campus, (faye, page))
        },
        act: async |campus: &Campus, (faye, page): &(Visitor, Page)| {
            faye.submit(page, &campus.console("/ask"), &FIELDS)
                .await
                .status
                == 303
        },
        mend: async |campus: &Campus, (faye, page): &(Visitor, Page)| {
            let again = faye.submit(page, &campus.console("/ask"), &FIELDS).await;
            assert!([303, 429].contains(&again.status), "{}", again.status);
        },
        left: async |campus: &Campus, _: &_| owed(campus).await,
        of: Console,
        verdicts: FAULTS,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoke_ends_a_grant_once() {
    let scene = async || {
        let campus = Campus::with_keys(&["ada", "bob"]).await;
        let admin = campus.admin().await;
        let at = format!("{ID}/grants/{}", campus.id("ada"));
        let revoke = format!("{at}/revoke");
        let look = admin.fill(&at, &revoke, &[]).await.expect(200);
        let form = look.form(&revoke);
        (campus, (admin, form))
    };
    form("revoke", false, scene, async |campus| {
        let picture = picture(&campus.stack, &*campus.judged().await);
        (picture, campus.enabled().join(" "))
    })
    .await;
}

/// A student asks for more, and again where the page still offers it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_is_asked_for_once() {
    const REASON: [(&str, &str); 1] = [("reason", "The last exercise.")];
    sweep(Sweep {
        name: "more",
        scene: async || {
            let campus = Campus::with_keys(&["ada"]).await;
            campus
                .set(|settings| settings.people.faculty = ["ann", "ben"].map(address).to_vec())
                .await;
            campus.settle().await;
            campus.pump.stop().await;
            let ada = campus.student("ada").await;
            let page = ada.get("/my").await;
            (campus, (ada, page))
        },
        act: async |campus: &Campus, (ada, page): &(Visitor, Page)| {
            ada.submit(page, &campus.my("more"), &REASON).await.status == 303
        },
        mend: async |campus: &Campus, (ada, page): &(Visitor, Page)| {
            if ada.get("/my").await.offers(&campus.my("more")) {
                ada.submit(page, &campus.my("more"), &REASON)
                    .await
                    .expect(303);
            }
        },
        left: async |campus: &Campus, _: &_| {
            let seen = campus.judged().await;
            let asked = seen
                .entries
                .iter()
                .filter(|entry| entry.what.act == Act::MoreAsked)
                .count();
            (owed(campus).await, asked)
        },
        of: Claim,
        verdicts: FAULTS,
    })
    .await;
}

/// A campus with two faculty and a finance address, a month before Christmas, whose student has
/// used four fifths of the budget and of her cap. Of the budget no mail is written yet, since the
/// stream is not delivered.
async fn spent() -> Campus {
    let mut campus = Campus::at("2026-11-20T06:00:00Z").await;
    campus
        .programme("CS pilot", |settings| {
            settings.people.faculty = ["ann", "ben"].map(address).to_vec();
            settings.people.finance = vec![address("fin")];
        })
        .await;
    campus.students_with_keys(&["ada"]).await;
    campus.sync().await;
    campus.settle().await;
    campus.pump.stop().await;
    campus.budget(20).await;
    campus.spend("ada", "16.60");
    campus.minutes(60);
    campus.sync().await;
    campus
}

/// The mails that are owed, by kind.
async fn owed(campus: &Campus) -> Vec<String> {
    let seen = campus.judged().await;
    let kind = |mail: String| {
        mail.split(|sign: char| !sign.is_alphanumeric())
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let mut owed: Vec<String> = seen
        .outbox
        .iter()
        .map(|row| kind(format!("{:?}", row.mail)))
        .collect();
    owed.sort();
    owed
}

/// What `threshold-alerts` does for this task, some days after the student has spent, at whose end
/// a sync ran, and some hours; the next hour's check makes up for what failed.
async fn looks(name: &'static str, (days, hours): (i64, i64), task: serde_json::Value) {
    sweep(Sweep {
        name,
        scene: async || {
            let campus = spent().await;
            if days > 0 {
                campus.hours(24 * days);
                campus.sync().await;
            }
            campus.hours(hours);
            (campus, ())
        },
        act: async |campus: &Campus, (): &()| {
            campus.run(ThresholdAlerts, task.clone()).await.is_ok()
        },
        mend: async |campus: &Campus, (): &()| {
            campus.look().await;
        },
        left: async |campus: &Campus, (): &()| owed(campus).await,
        of: ThresholdAlerts,
        verdicts: FAULTS,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_are_owed_once() {
    let totals = json!({"eventSource": "aws:dynamodb", "eventName": "MODIFY", "dynamodb": {
        "SequenceNumber": "1",
        "NewImage": {"kind": {"S": "totals"}, "programme": {"S": "cs-pilot"}},
    }});
    looks("alert batch", (0, 0), json!({"Records": [totals]})).await;
}

/// No sync was complete for more than a day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_owes_each_alarm_once() {
    looks("watch", (0, 27), json!({"task": "watch"})).await;
}

/// The Monday after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digests_are_owed_once() {
    looks("digest", (3, 2), json!({"task": "digest"})).await;
}

/// The third of the next month.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_are_owed_once() {
    looks("statement", (13, 0), json!({"task": "watch"})).await;
}

/// Alerts leave once each, and twice only where an answer or its record was lost, which the
/// invariants judge. One is refused for good, of which an admin hears.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_sends_each_mail() {
    sweep(Sweep {
        name: "drain",
        scene: async || {
            let campus = spent().await;
            campus.look().await;
            campus
                .ses
                .fail_next(MailFault::Reject, 100, Some("ben@example.edu"));
            (campus, ())
        },
        act: async |campus: &Campus, (): &()| {
            campus.run(Mail, json!({"task": "drain"})).await.is_ok()
        },
        mend: async |campus: &Campus, (): &()| {
            for _ in 0..3 {
                campus.minutes(3);
                campus.drain().await;
            }
        },
        left: async |campus: &Campus, (): &()| {
            campus.judged().await;
            // Which of two mails was refused first, and stands in the subject, varies.
            let mut sent = campus
                .mails("account")
                .into_iter()
                .map(|mail| (mail.to, String::new()))
                .collect::<Vec<_>>();
            sent.extend(
                campus
                    .mails("alert")
                    .into_iter()
                    .map(|mail| (mail.to, mail.contents.subject)),
            );
            sent.sort();
            sent.dedup();
            sent
        },
        of: Mail,
        verdicts: FAULTS,
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
            let bounced = seen
                .all::<RosterMails>()
                .map(|of| of.counts.bounced)
                .sum::<u64>();
            let mark = campus
                .table
                .undeliverable(address("ada").matched(), campus.clock.now())
                .await
                .unwrap();
            (bounced, mark.map(|mark| mark.why))
        },
        of: Mail,
        verdicts: FAULTS,
    })
    .await;
}
