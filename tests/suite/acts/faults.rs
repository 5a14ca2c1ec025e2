//! One fault at a time: every fault at each call of each act, once, often enough to outlast the SDK's retries,
//! and for good. Where the caller got an error, the act is asked again.

use std::sync::Arc;

use bursar_core::domain::mail::class::MailClass;
use bursar_core::store::MailState;
use bursar_local::gate::{Call, History, Matcher, Recorded, Step, Verdict};
use bursar_tests::seeds::sample;
use jiff::SignedDuration;

use super::act::{Act, Ended};
use super::kinds::Kind;
use super::lane::{Actor, Case, Lane, each, little, plenty};
use super::settings::{ada, open, start};

const LANES: usize = 12;
/// A number of faults that outlasts the SDK's retries, and then ends.
const OUTLASTING: u64 = 4;
const FOR_GOOD: u64 = u64::MAX;

/// Verdicts after which the SDK or the store retries, and may meet the same again.
const AGAIN: [&str; 9] = [
    "fail-before",
    "lose-answer",
    "truncated",
    "status-429",
    "status-500-after",
    "html-502-after",
    "throttle",
    "throttle-item",
    "conflict",
];
const PUT_OFF: [&str; 5] = ["status-429", "throttle", "throttle-rate", "throttle-item", "conflict"];
const AGAIN_FOR_GOOD: [&str; 5] = ["fail-before", "lose-answer", "status-500-after", "throttle", "conflict"];

/// A verdict on one call of an act and on a number of calls after it.
#[derive(Debug, Clone)]
struct Fault {
    kind: Kind,
    call: Call,
    verdict: Verdict,
    times: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_an_acts_write_it_is_done_once_or_not_at_all_and_may_be_asked_again() {
    let mut faults = Vec::new();
    for (kind, calls) in calls_of(&Kind::ALL).await {
        for Recorded { call, .. } in calls.into_iter().filter(|recorded| recorded.call.name.has_effect()) {
            for verdict in faults_of(&call) {
                let text = verdict.to_string();
                let mut fault =
                    |times| faults.push(Fault { kind, call: call.clone(), verdict: verdict.clone(), times });
                let (again, for_good) = (AGAIN.contains(&text.as_str()), AGAIN_FOR_GOOD.contains(&text.as_str()));
                fault(1);
                if again && !kind.is_twin() {
                    fault(OUTLASTING);
                }
                if for_good && !kind.is_twin() {
                    fault(FOR_GOOD);
                }
            }
        }
    }
    assert!(faults.len() > 900, "{}", faults.len());
    each(LANES, sample(faults, 50), |lane, fault| async move { fault.at_write(&lane).await }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_whose_reads_fail_did_nothing_and_may_be_asked_again() {
    let mut cases = Vec::new();
    for (kind, calls) in calls_of(&sample(Kind::ALL, 4)).await {
        let reads = calls.into_iter().take_while(|recorded| !recorded.call.name.has_effect());
        let faults: Vec<Fault> = reads
            .flat_map(|Recorded { call, .. }| {
                // The reads are concurrent, so their order within one name is chance: the later ones need no
                // other faults.
                let is_first = call.nth_of_instance == 1;
                let verdicts =
                    faults_of(&call).into_iter().filter(move |verdict| is_first || *verdict == Verdict::KillBefore);
                verdicts.map(move |verdict| Fault { kind, call: call.clone(), verdict, times: FOR_GOOD })
            })
            .collect();
        cases.extend(faults.chunks(8).map(<[Fault]>::to_vec));
    }
    each(LANES, sample(cases, 8), |lane, faults| async move { at_reads(&lane, &faults).await }).await;
}

/// The calls of each act without faults. Asked again, the act must come to what the rules then say.
async fn calls_of(kinds: &[Kind]) -> Vec<(Kind, Vec<Recorded>)> {
    let lane = Lane::open().await;
    let mut calls = Vec::new();
    for kind in kinds.iter().copied() {
        let tell = |why: String| -> String { format!("{kind:?}: {why}") };
        let mut case = lane.case(&kind.settings()[0].world()).await;
        let act = kind.seeing(&case.world, case.now()).unwrap();
        let (mut actor, before) = (case.actor(), case.world.clone());
        let ended = case.step(&mut actor, &act, plenty(), false).await.map_err(tell).unwrap();
        assert!(!case.world.is_like(&before), "{kind:?} did nothing: {ended:?}");
        calls.push((kind, actor.calls(&lane)));
        again(&mut case, &act).await.map_err(tell).unwrap();
    }
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_a_mail_or_a_refresh_and_is_not_answered_has_it_all_the_same_and_nobody_else_has() {
    for verdict in ["lose-answer", "truncated", "status-500-after", "condition-read-back"] {
        let lane = Lane::open().await;
        let case = lane.case(&(open(), start())).await;
        let (now, until) = (start(), start() + SignedDuration::from_mins(1));
        let (mine, other) = (case.actor(), case.actor());
        let lost = || {
            lane.gate.at(Matcher::call("dynamodb:PutItem"), verdict.parse::<Verdict>().unwrap());
        };
        let row = mine.store().due_mails(MailClass::Roster, now, 1).await.unwrap()[0];
        lost();
        let taken = mine.store().take_mail(row, now, plenty()).await.unwrap();
        assert!(taken.is_some(), "{verdict}");
        assert!(other.store().take_mail(row, now, plenty()).await.unwrap().is_none(), "{verdict}");
        lost();
        let sent = MailState::Sent { message: "0100".to_owned(), at: now };
        assert!(mine.store().set_mail(&taken.unwrap(), sent, plenty()).await.unwrap().is_some(), "{verdict}");
        lost();
        assert!(mine.store().may_refresh(&ada(), now, until, plenty()).await.unwrap(), "{verdict}");
        assert!(!other.store().may_refresh(&ada(), now, until, plenty()).await.unwrap(), "{verdict}");
        assert!(lane.gate.unfired().is_empty(), "{verdict}");
    }
}

/// Every fault that the client can distinguish, which excludes those that differ in `Retry-After` only.
fn faults_of(call: &Call) -> Vec<Verdict> {
    let faults = Verdict::faults_of(&call.name, &call.shape).into_iter();
    faults.filter(|verdict| !verdict.to_string().contains("-retry-")).collect()
}

impl Fault {
    async fn at_write(&self, lane: &Lane) -> Result<(), String> {
        let (mut case, act) = self.begin(lane).await?;
        let mut actor = case.actor();
        let history = self.history(&actor);
        let tell = |why: String| format!("  {:?}, {history}:\n{why}", self.kind);
        lane.gate.play(&history);
        let deadline = if self.times == FOR_GOOD { little() } else { plenty() };
        let ended = case.step(&mut actor, &act, deadline, true).await.map_err(tell)?;
        if !lane.gate.unfired().is_empty() {
            return Err(tell("the fault never happened".to_owned()));
        }
        let is_kill = matches!(self.verdict, Verdict::KillBefore | Verdict::KillAfter);
        let gave_up = !matches!(ended, Ended::Said(..));
        // Every act retries what the table throttles or cancels as a conflict, single writes included.
        let is_put_off = PUT_OFF.contains(&self.verdict.to_string().as_str());
        if gave_up && (act.is_witnessed() || is_put_off) && self.times != FOR_GOOD && !is_kill {
            return Err(tell(format!("it gave up, and should have outlasted that: {ended:?}")));
        }
        if gave_up {
            again(&mut case, &act).await.map_err(tell)?;
        }
        Ok(())
    }

    async fn begin<'l>(&self, lane: &'l Lane) -> Result<(Case<'l>, Act), String> {
        let case = lane.case(&self.kind.settings()[0].world()).await;
        let act = self.kind.seeing(&case.world, case.now()).unwrap();
        Ok((case, act))
    }

    fn history(&self, actor: &Actor) -> History {
        let mut step = Step::new(&self.call, self.verdict.clone());
        (step.instance, step.times) = (actor.number(), self.times);
        History(vec![step])
    }
}

/// One fault after the other on the same grant, none of which may change anything.
async fn at_reads(lane: &Arc<Lane>, faults: &[Fault]) -> Result<(), String> {
    let (mut case, act) = faults[0].begin(lane).await?;
    for fault in faults {
        let mut actor = case.actor();
        let history = fault.history(&actor);
        lane.gate.play(&history);
        let ended = actor.run(&act, case.now(), plenty()).await;
        if matches!(ended, Ended::Said(..)) {
            return Err(format!("  {:?}, {history}: it went on without what it must read: {ended:?}", fault.kind));
        }
    }
    let tell = |why: String| format!("  {:?} after its reads had failed:\n{why}", faults[0].kind);
    again(&mut case, &act).await.map_err(tell)?;
    Ok(())
}

/// The act once more, a second later and without faults.
async fn again(case: &mut Case<'_>, act: &Act) -> Result<(), String> {
    case.set_now(case.now() + SignedDuration::from_secs(1));
    let mut actor = case.actor();
    let again = case.step(&mut actor, act, plenty(), false).await;
    again.map(drop).map_err(|why| format!("asked again: {why}"))
}
