//! Every change while something else is under way: a claim, a replacement, a sync, a job, or the same change once more. The other one
//! is held at one of its calls, the change is made, and the other one goes on.

use std::sync::Arc;

use bursar_core::domain::values::id::GrantId;
use bursar_tests::seeds::{LONG, sized};
use tokio::task::JoinHandle;

use super::*;
use crate::console::roster::preview;
use crate::store::acts::listed;

const GROUPS: &str = "/console/programmes/cs-pilot/groups";
const TIERS: &str = "/console/tiers";
const CLOSE: &str = "/console/programmes/cs-pilot/close";
const NEW: &str = "/console/programmes/new?from=cs-pilot";
const GRANTS: &str = "/console/programmes/cs-pilot/grants";
const BULK: &str = "/console/programmes/cs-pilot/grants/bulk";
const ROSTER: &str = "/console/programmes/cs-pilot/roster";
const APPLY: &str = "/console/programmes/cs-pilot/roster/apply";
const UNDO: &str = "/console/programmes/cs-pilot/roster/undo";
const RETURN: &str = "/my/cs-pilot/return";
const SONNET: &str = "anthropic/claude-sonnet-4.5";

listed! {
    Change {
        LowerCap,
        HigherCap,
        CapOfOne,
        CapOfGroup,
        EarlierEnd,
        Models,
        ModelsOfGroup,
        Tier,
        DataPolicy,
        LaterEnd,
        AnotherGroup,
        Returned,
        Copied,
        Close,
        ManyPaused,
        ManyCapped,
        Dropped,
        NamedAgain,
        DropsUndone,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Other {
    Claim,
    Replacement,
    Sync,
    Job,
    Itself,
}

impl Other {
    fn function(self, change: Change) -> FunctionName {
        match self {
            Other::Itself if change == Change::Returned => FunctionName::Claim,
            Other::Claim | Other::Replacement => FunctionName::Claim,
            Other::Sync => FunctionName::UsageSync,
            Other::Job | Other::Itself => FunctionName::Console,
        }
    }
}

/// A class of the group A: Ada has a key, Bob has none yet. Both may call what the tier `basic` names. Cid alone is in group B, which
/// has a cap and a model of its own.
struct Race {
    campus: Campus,
    makers: Makers,
    bob: Arc<Visitor>,
}

/// Who makes a change, and the days that it may name.
#[derive(Clone)]
struct Makers {
    admin: Arc<Visitor>,
    ada: Arc<Visitor>,
    grant_of_ada: GrantId,
    yesterday: String,
    later: String,
}

impl Race {
    async fn start() -> Race {
        let mut campus = class(&["ada"]).await;
        // So that there is a yesterday in the term.
        campus.hours(10 * 24);
        campus.students(&["bob"]).await;
        let admin = Arc::new(campus.admin().await);
        let roster = "email,group\nada@example.edu,A\nbob@example.edu,A\ncid@example.edu,B\n";
        applied(&admin, "add", roster).await;
        campus.edit(&admin, &[("models", "basic")]).await.expect(303);
        let of_b = [("cap_usd.B", "9"), ("models.B", SONNET)];
        admin.submit(&admin.get(GROUPS).await, GROUPS, &of_b).await.expect(303);
        let student = async |address| Arc::new(campus.student(address).await);
        let (ada, bob) = (student("ada@example.edu").await, student("bob@example.edu").await);
        campus.pump.drained().await.unwrap();
        campus.finish_work().await;
        let today = campus.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let end = admin.get(SETTINGS).await.form(ID).value("ends_on").unwrap().parse::<jiff::civil::Date>().unwrap();
        let makers = Makers {
            admin,
            ada,
            grant_of_ada: campus.id("ada").clone(),
            yesterday: today.yesterday().unwrap().to_string(),
            later: end.saturating_add(jiff::Span::new().days(7)).to_string(),
        };
        Race { campus, makers, bob }
    }

    /// Starts the other one, from the page of the student whose form it is.
    fn spawn(&self, other: Other, change: Change, page: Page) -> JoinHandle<()> {
        let presses = |visitor: &Arc<Visitor>, what: &str| {
            let (visitor, path) = (Arc::clone(visitor), self.campus.my(what));
            tokio::spawn(async move { drop(visitor.submit(&page, &path, &[]).await) })
        };
        let runs = |function, event| {
            let invoke = self.campus.invoke.clone();
            tokio::spawn(async move { drop(invoke.invoke(function, event).await) })
        };
        match other {
            Other::Claim => presses(&self.bob, "reveal"),
            Other::Replacement => presses(&self.makers.ada, "replace"),
            Other::Sync => runs(FunctionName::UsageSync, json!({})),
            Other::Job => {
                self.campus.minutes(2);
                runs(FunctionName::Console, json!({"task": "work"}))
            }
            Other::Itself => {
                let makers = self.makers.clone();
                tokio::spawn(async move {
                    makers.make(change).await;
                })
            }
        }
    }
}

impl Makers {
    /// Makes the change as a person does: whoever is told that somebody else was faster looks again and presses again.
    async fn make(&self, change: Change) -> u16 {
        let grant = format!("{ID}/grants/{}", self.grant_of_ada);
        let cap = format!("{grant}/cap");
        let (page, path, fields): (&str, &str, &[(&str, &str)]) = match change {
            Change::LowerCap => (SETTINGS, ID, &[("cap_usd", "8")]),
            Change::HigherCap => (SETTINGS, ID, &[("cap_usd", "30")]),
            Change::CapOfOne => (&grant, &cap, &[("cap_usd", "7"), ("reason", "an essay more")]),
            Change::CapOfGroup => (GROUPS, GROUPS, &[("cap_usd.A", "6")]),
            Change::EarlierEnd => (SETTINGS, ID, &[("ends_on", &self.yesterday)]),
            Change::LaterEnd => (SETTINGS, ID, &[("ends_on", &self.later)]),
            Change::Models => (SETTINGS, ID, &[("models", SONNET)]),
            Change::ModelsOfGroup => (GROUPS, GROUPS, &[("models.A", SONNET)]),
            Change::Tier => (TIERS, TIERS, &[("tier", "basic"), ("models", SONNET)]),
            Change::DataPolicy => (SETTINGS, ID, &[("data_policy", "zero-retention")]),
            Change::AnotherGroup => (ID, APPLY, &[]),
            Change::ManyPaused | Change::ManyCapped => (GRANTS, BULK, &[]),
            Change::Returned => ("/my", RETURN, &[]),
            Change::Copied => (NEW, "/console/programmes", &[("name", "Next"), ("with_roster", "on")]),
            Change::Close => (SETTINGS, CLOSE, &[("confirm", "CS pilot")]),
            Change::Dropped => (ID, APPLY, &[("confirm_dropped", "2")]),
            Change::NamedAgain => (ID, APPLY, &[]),
            Change::DropsUndone => (ROSTER, UNDO, &[]),
        };
        let visitor = if change == Change::Returned { &self.ada } else { &self.admin };
        let mut status = 0;
        for _ in 0..3 {
            let page = match change {
                Change::AnotherGroup => preview(visitor, "add", "email,group\nada@example.edu,B\n").await,
                Change::Dropped => preview(visitor, "replace", "email\ncid@example.edu\n").await,
                Change::NamedAgain => preview(visitor, "add", "email\nada@example.edu\nbob@example.edu\n").await,
                Change::ManyPaused | Change::ManyCapped => {
                    let act = if change == Change::ManyPaused { "pause" } else { "cap" };
                    let fields = [("act", act), ("cap_usd", "7"), ("reason", "an exam")];
                    visitor.submit(&visitor.get(page).await, path, &fields).await
                }
                _ => visitor.get(page).await,
            };
            // The page of a programme that was closed meanwhile, or of a key that is handed back, has no such form any more.
            if !page.offers(path) {
                return 303;
            }
            let version = page.body.split("name=\"version\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
            let version = version.unwrap_or_default().to_owned();
            let fields = match change {
                Change::Tier => [fields, &[("version", &*version)]].concat(),
                _ => fields.to_vec(),
            };
            status = visitor.submit(&page, path, &fields).await.status;
            if status != 409 {
                break;
            }
        }
        status
    }
}

/// Returns whether the other one was held before it ended.
async fn race(change: Change, other: Other, nth: u64) -> bool {
    let case = format!("{change:?} during call {nth} of {other:?}");
    let race = Race::start().await;
    let campus = &race.campus;
    if other == Other::Job {
        let down = campus.gate.at(Matcher::call("provider:*").of(FunctionName::Console).every(), DOWN);
        campus.edit(&race.makers.admin, &[("cap_usd", "12"), ("data_policy", "no-training")]).await.expect(303);
        comes_up(campus, down);
    }
    campus.judged().await;
    let student = if other == Other::Claim { &race.bob } else { &race.makers.ada };
    let page = student.get("/my").await;
    if matches!(change, Change::NamedAgain | Change::DropsUndone) {
        assert_eq!(race.makers.make(Change::Dropped).await, 303);
    }
    let held = campus.gate.hold(Matcher::call("*").of(other.function(change)).nth(nth));
    let mut under_way = race.spawn(other, change, page);
    let is_held = tokio::select! {
        _ = held.arrived() => true,
        ended = &mut under_way => { ended.unwrap(); false }
    };
    let made = race.makers.make(change).await;
    campus.judged().await;
    drop(held);
    if is_held {
        under_way.await.unwrap();
    }
    // A key that is being replaced cannot be handed back; whoever replaced it has the next one.
    let is_refused = (change, other, made) == (Change::Returned, Other::Replacement, 409);
    assert!(made == 303 || is_refused, "{case}: {made}");
    campus.judged().await;
    for _ in 0..3 {
        campus.minutes(1);
        campus.work().await;
        campus.judged().await;
    }
    campus.minutes(20);
    campus.sync().await;
    campus.judged_after_sync().await;
    campus.work().await;
    let (seen, enabled) = (campus.judged().await, campus.provider().keys().iter().filter(|key| !key.disabled).count());
    // What the keys are to hold follows from what was edited.
    campus.holds_what_is_wanted().await;
    let ada = &seen.grants[&(campus.programme.clone(), race.makers.grant_of_ada.clone())];
    let programme = &seen.programmes[&campus.programme].settings;
    let holds = match change {
        Change::LowerCap | Change::HigherCap | Change::CapOfGroup => true,
        Change::Models | Change::ModelsOfGroup | Change::Tier | Change::DataPolicy => true,
        Change::CapOfOne | Change::ManyCapped => ada.own_cap == Some(Usd::from_dollars(7)),
        Change::AnotherGroup => ada.group.as_deref() == Some("B"),
        Change::LaterEnd => enabled > 0 && programme.term.ends_on().to_string() == race.makers.later,
        Change::Returned => other == Other::Replacement || ada.live().is_none(),
        Change::Copied => seen.grants.values().filter(|grant| grant.programme.as_str() == "next").count() == 3,
        Change::Close | Change::EarlierEnd | Change::ManyPaused | Change::Dropped => enabled == 0,
        Change::NamedAgain | Change::DropsUndone => enabled > 0 && ada.live().is_some() && ada.holds.is_empty(),
    };
    assert!(holds, "{case}: {enabled} are enabled");
    let running = campus.table.jobs(&campus.programme).await.unwrap();
    assert!(running.iter().all(|job| !job.is_running()), "{case}: {running:?}");
    race.campus.finish_faulted().await;
    is_held
}

/// The pairs that `cargo test` plays.
const FEW: [(Other, Change); 8] = [
    (Other::Claim, Change::LowerCap),
    (Other::Replacement, Change::Close),
    (Other::Sync, Change::Tier),
    (Other::Job, Change::AnotherGroup),
    (Other::Itself, Change::Models),
    (Other::Claim, Change::ManyPaused),
    (Other::Replacement, Change::Dropped),
    (Other::Sync, Change::DropsUndone),
];

/// Of the other one's calls two are held; which ones differs from change to change.
async fn races(other: Other) {
    let is_played = |change| LONG || FEW.contains(&(other, change));
    for (number, change) in (0..10).cycle().zip(Change::ALL.iter().copied()).filter(|(_, change)| is_played(*change)) {
        let mut is_held = false;
        for nth in [1 + number, 12 + 2 * number].into_iter().take(sized(1, 2)) {
            is_held |= race(change, other, nth).await;
        }
        assert!(is_held, "{change:?} met {other:?} nowhere");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_during_a_claim_holds_for_the_new_key() {
    races(Other::Claim).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_during_a_replacement_holds() {
    races(Other::Replacement).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_during_a_sync_holds_for_every_key() {
    races(Other::Sync).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_during_a_job_holds_for_every_key() {
    races(Other::Job).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_made_twice_at_once_holds() {
    races(Other::Itself).await;
}
