//! What the provider answers, call by call and status by status. Each answer has its own outcome, the page says
//! what happened and what to do, and the log names the failed call.

use bursar_local::invoke::FunctionName;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::stack::Left;
use bursar_tests::visitor::{Page, Visitor};

use super::faults::{prepared, press_again, violations};
use super::{Scene, stack};

/// The outcome of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Nothing was done, and a retry would be refused again.
    Refused,
    /// Nothing was done so far, and a retry may succeed.
    Later,
    /// The call may have taken effect or not.
    Unknown,
    /// The provider says that the key is not there, which a single call does not prove.
    NotFound,
    /// The management key does not work.
    Barred,
    /// The call counts as done.
    Done,
}

/// A call of a press with its name in logs, the button that leads to it, and what the page says when it fails.
struct Asked {
    call: &'static str,
    operation: &'static str,
    press: &'static str,
    said: &'static str,
    /// The outcome of a 404 from the provider itself.
    gone: Outcome,
    /// Whether a 503 means that nothing was done.
    may_repeat: bool,
}

const MINT: Asked = Asked {
    call: "provider:POST /keys",
    operation: "create key",
    press: "reveal",
    said: "Nothing was spent.",
    gone: Outcome::Refused,
    may_repeat: false,
};

const ASSIGN: Asked = Asked {
    call: "provider:POST /guardrails/{id}/assignments/keys",
    operation: "assign keys",
    press: "reveal",
    said: "did not confirm that the rules of the programme apply to it",
    gone: Outcome::Refused,
    may_repeat: true,
};

const DISABLE: Asked = Asked {
    call: "provider:PATCH /keys/{hash}",
    operation: "patch key",
    press: "replace",
    said: "Your old key could not be ended",
    // The key can be read, so the answer was wrong.
    gone: Outcome::Unknown,
    may_repeat: true,
};

const READ: Asked = Asked {
    call: "provider:GET /keys/{hash}",
    operation: "get key",
    press: "replace",
    said: "Your old key is ended, but the provider did not say what it had used",
    gone: Outcome::NotFound,
    may_repeat: true,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_of_the_provider_to_the_making_of_a_key_is_told_apart() {
    told_apart(&MINT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_of_the_provider_to_an_assignment_is_told_apart() {
    told_apart(&ASSIGN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_of_the_provider_to_the_end_of_an_old_key_is_told_apart() {
    told_apart(&DISABLE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_of_the_provider_to_the_last_reading_of_an_old_key_is_told_apart() {
    told_apart(&READ).await;
}

/// The number of failures after which another student presses.
const FAILS_OFTEN: usize = 9;

async fn told_apart(asked: &Asked) {
    let stack = stack().await;
    let mut scene = prepared(&stack).await;
    // A student without a key goes on with the next case, since nothing is lost; one with a key is followed by
    // another.
    let mut student = None;
    for (number, (verdict, status, outcome)) in answers(asked).into_iter().enumerate() {
        let tell = format!("{} comes to {verdict}", asked.call);
        let who = match student.take() {
            Some(who) => who,
            None => {
                let (_, who) = scene.student(&format!("student-{number}@example.edu")).await;
                if asked.press == "replace" {
                    scene.reveal(&who).await;
                }
                who
            }
        };
        let lines = stack.logs.all().len();
        let page = fail(&scene, &who, asked, verdict).await;
        reads(&page, asked, outcome, &tell);
        logs(&scene, asked, status, lines, &tell);
        // A student who fails often has to wait, so another takes over.
        if outcome != Outcome::Done && (number + 1) % FAILS_OFTEN != 0 {
            student = Some(who);
        }
        if number % 6 == 0 {
            violations(&mut scene, &tell).await;
        }
    }
    let again = press_again(&scene, &student.unwrap()).await;
    again.expect(200).one("key");
    violations(&mut scene, "at last").await;
    stack.finish_leaving(&[Left::AnyMails, Left::Complaints(&[("claim", "the provider did not do it")])]).await;
}

/// Every answer with its status and outcome. One that asks for a wait of a minute is not waited for.
fn answers(asked: &Asked) -> Vec<(Fault, Option<u16>, Outcome)> {
    use Outcome::{Barred, Later, Refused, Unknown};
    let unavailable = if asked.may_repeat { Later } else { Unknown };
    let mut answers = Vec::new();
    for (status, outcome) in [
        (400, Refused),
        (401, Barred),
        (402, Refused),
        (403, Barred),
        (404, asked.gone),
        (408, Unknown),
        (409, Later),
        (413, Refused),
        (422, Refused),
        (429, Later),
        (500, Unknown),
        (502, Unknown),
        (503, unavailable),
        (504, Unknown),
        (524, Unknown),
        (529, Unknown),
    ] {
        answers.push((Fault::RetryAfter(status, 60), Some(status), outcome));
    }
    if !asked.may_repeat {
        for (verdict, status, outcome) in [
            (Fault::Status(429), Some(429), Later),
            (Fault::StatusAfter(500), Some(500), Unknown),
            (Fault::LoseAnswer, None, Unknown),
            (Fault::Before, None, Unknown),
            (Fault::Late, None, Unknown),
        ] {
            answers.push((verdict, status, outcome));
        }
    }
    answers
}

async fn fail(scene: &Scene<'_>, student: &Visitor, asked: &Asked, verdict: Fault) -> Page {
    let gate = &scene.stack.gate;
    // After a 401 or 403 the management key is read again, and the call is made once more.
    let calls = Matcher::call(asked.call).of(FunctionName::Claim).after(0);
    let rule = gate.at(calls, verdict);
    let my = student.get("/my").await.expect(200);
    let page = student.submit(&my, &scene.path(asked.press), &[]).await;
    gate.lift(rule);
    gate.run_late().await;
    page
}

fn reads(page: &Page, asked: &Asked, outcome: Outcome, tell: &str) {
    let (status, what, then) = match outcome {
        Outcome::Done => {
            assert_eq!(page.status, 200, "{tell}: {}", page.readable());
            return;
        }
        Outcome::Refused => {
            (502, asked.said, "Try again later; if it stays so, tell the people who run this programme.")
        }
        Outcome::Barred => (502, asked.said, "tell the people who run this programme"),
        Outcome::Later => (503, asked.said, "Press again in a moment."),
        Outcome::NotFound => (503, "does not know your old key", "Press again in ten minutes."),
        Outcome::Unknown if asked.press == "reveal" && asked.may_repeat => (502, asked.said, "Press again"),
        Outcome::Unknown if !asked.may_repeat => (502, "did not say whether it made a key", "Press again in a moment."),
        Outcome::Unknown => (502, asked.said, "Press again in a moment."),
    };
    let said = page.alert().unwrap_or_default();
    assert_eq!(page.status, status, "{tell}: {said}");
    assert!(said.contains(what) && said.contains(then), "{tell}: {said}");
    assert!(said.contains("Nothing was spent") || said.contains("No money was lost"), "{tell}: {said}");
    assert!(page.all("key").is_empty(), "{tell}");
    assert_eq!(page.header("retry-after").is_some(), status == 503, "{tell}");
}

/// The log has the call's operation, its status, and the provider's request id.
fn logs(scene: &Scene<'_>, asked: &Asked, status: Option<u16>, before: usize, tell: &str) {
    let lines = scene.stack.logs.all().split_off(before);
    let operation = format!("\"operation\":\"{}\"", asked.operation);
    let mut of_it = lines.iter().filter(|line| line.function == FunctionName::Claim && line.text.contains(&operation));
    let named = match status {
        Some(status) => of_it.any(|line| {
            let has_id = status < 300 || line.text.contains("\"request_id\":\"GATE");
            has_id && line.text.contains(&format!("\"status\":{status}"))
        }),
        None => of_it.any(|line| !line.text.contains("\"status\":")),
    };
    assert!(named, "{tell}: {lines:#?}");
}
