//! One act with a fault at each of its calls.

use std::fmt::Debug;

use bursar_local::invoke::FunctionName;

use crate::campus::Campus;
use crate::faults::{Call, Fault, Matcher};
use crate::seeds::LONG;

/// The invocation dies before or after the call's effect.
pub const KILLS: &[Fault] = &[Fault::KillAfter, Fault::KillBefore];
/// It dies, or is not answered, or is refused.
pub const FAULTS: &[Fault] = &[Fault::KillAfter, Fault::LoseAnswer, Fault::KillBefore, Fault::Status(503)];

/// An act that is played without a fault first, and then with each fault on a stack of its own. Afterwards it is mended and judged,
/// and what is left must be what the act leaves without a fault, or, unless the act says that it was done, what is left without it.
pub struct Sweep<Scene, Act, Mend, Left> {
    pub name: &'static str,
    /// A campus, and what the act needs of it: a browser, an open page.
    pub scene: Scene,
    /// Returns whether it was answered that it is done.
    pub act: Act,
    /// What runs later anyway, or the person who tries again.
    pub mend: Mend,
    /// What is compared.
    pub left: Left,
    /// The function whose calls fail.
    pub of: FunctionName,
    pub verdicts: &'static [Fault],
    /// In `cargo test` one call of so many fails, with alternating verdicts; in `long` each call with each verdict.
    pub one_in: usize,
}

/// Plays a sweep.
pub async fn sweep<Scene, Act, Mend, Left, T, L>(sweep: Sweep<Scene, Act, Mend, Left>)
where
    Scene: AsyncFn() -> (Campus, T),
    Act: AsyncFn(&Campus, &T) -> bool,
    Mend: AsyncFn(&Campus, &T),
    Left: AsyncFn(&Campus, &T) -> L,
    L: PartialEq + Debug,
{
    let Sweep { name, of, verdicts, .. } = sweep;
    let undone = {
        let (campus, thing) = (sweep.scene)().await;
        (sweep.mend)(&campus, &thing).await;
        let left = (sweep.left)(&campus, &thing).await;
        campus.finish_faulted().await;
        left
    };
    let (calls, done) = {
        let (campus, thing) = (sweep.scene)().await;
        let before = campus.gate.calls().len();
        assert!((sweep.act)(&campus, &thing).await, "{name}: it is not done where nothing fails");
        let calls = campus.gate.calls().into_iter().skip(before).filter(|made| made.function == of);
        let calls: Vec<Call> = calls.collect();
        (sweep.mend)(&campus, &thing).await;
        let left = (sweep.left)(&campus, &thing).await;
        campus.finish_faulted().await;
        (calls, left)
    };
    assert!(calls.len() > 2, "{name}: {calls:?}");
    let (mut played, mut unmet) = (0, 0);
    for (number, verdict) in cases(&calls, verdicts, sweep.one_in) {
        let (campus, thing) = (sweep.scene)().await;
        let rule = campus.gate.at(Matcher::call("*").of(of).nth(number as u64 + 1), verdict);
        let says_done = (sweep.act)(&campus, &thing).await;
        campus.gate.lift(rule);
        let tell = format!("{name}: {verdict:?} at call {}, {}", number + 1, calls[number].name);
        played += 1;
        unmet += usize::from(!campus.gate.unfired().is_empty());
        campus.judged().await;
        (sweep.mend)(&campus, &thing).await;
        let left = (sweep.left)(&campus, &thing).await;
        let is_right = left == done || (!says_done && left == undone);
        assert!(is_right, "{tell}, done: {says_done}; what is left differs: {}", difference(&done, &left));
        campus.finish_faulted().await;
    }
    // The number of calls that run side by side varies by a few, so the last ones may not come.
    assert!(unmet * 4 <= played, "{name}: {unmet} of {played} faults met no call");
}

/// The lines that only one of two has.
fn difference(one: &impl Debug, other: &impl Debug) -> String {
    let (one, other) = (format!("{one:#?}"), format!("{other:#?}"));
    let only = |of: &str, not: &str| {
        of.lines().filter(|line| !not.lines().any(|other| other == *line)).collect::<Vec<_>>().join("\n")
    };
    format!("\n{}\nthere is\n{}", only(&one, &other), only(&other, &one))
}

/// The calls that fail, by their place, and how. What does not answer a read has one form: no answer.
fn cases(calls: &[Call], verdicts: &[Fault], one_in: usize) -> Vec<(usize, Fault)> {
    let has_effect = |number: &usize| calls[*number].name.has_effect();
    if LONG {
        let of = |number| if has_effect(&number) { verdicts } else { &verdicts[..1] };
        return (0..calls.len()).flat_map(|number| of(number).iter().map(move |verdict| (number, *verdict))).collect();
    }
    let numbers = (one_in / 2..calls.len()).step_by(one_in);
    let mut of_effects = verdicts.iter().cycle();
    let mut verdict = |number| if has_effect(&number) { of_effects.next() } else { verdicts.first() };
    numbers.filter_map(|number| Some((number, *verdict(number)?))).collect()
}
