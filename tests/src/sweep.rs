//! One act with a fault at each of its calls.

use std::fmt::Debug;

use bursar_local::invoke::FunctionName;
use tokio::sync::OnceCell;

use crate::campus::Campus;
use crate::faults::{Call, Fault, Matcher};
use crate::seeds::sample;

/// The invocation dies before or after the call's effect.
pub const KILLS: &[Fault] = &[Fault::KillAfter, Fault::KillBefore];
/// It dies, or is not answered, or is refused.
pub const FAULTS: &[Fault] = &[
    Fault::KillAfter,
    Fault::LoseAnswer,
    Fault::KillBefore,
    Fault::Status(503),
];

/// An act that is played without a fault first, and then with each fault on a stack of its own.
/// Afterwards it is mended and judged, and what is left must be what the act leaves without a
/// fault, or, unless the act says that it was done, what is left without it.
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
    let Sweep {
        name, of, verdicts, ..
    } = sweep;
    let undone = OnceCell::new();
    let left_undone = async || {
        let (campus, thing) = (sweep.scene)().await;
        (sweep.mend)(&campus, &thing).await;
        let left = (sweep.left)(&campus, &thing).await;
        campus.finish_faulted().await;
        left
    };
    let (calls, done) = {
        let (campus, thing) = (sweep.scene)().await;
        let before = campus.gate.calls().len();
        assert!(
            (sweep.act)(&campus, &thing).await,
            "{name}: it is not done where nothing fails"
        );
        let mut calls = campus.gate.calls().split_off(before);
        calls.retain(|made| made.function == of);
        (sweep.mend)(&campus, &thing).await;
        let left = (sweep.left)(&campus, &thing).await;
        campus.finish_faulted().await;
        (calls, left)
    };
    assert!(calls.len() > 2, "{name}: {calls:?}");
    let (mut played, mut unmet) = (0, 0);
    for (number, verdict) in cases(&calls, verdicts) {
        let (campus, thing) = (sweep.scene)().await;
        let rule = campus
            .gate
            .at(Matcher::call("*").of(of).nth(number as u64 + 1), verdict);
        let says_done = (sweep.act)(&campus, &thing).await;
        campus.gate.lift(rule);
        let tell = format!(
            "{name}: {verdict:?} at call {}, {}",
            number + 1,
            calls[number].name
        );
        played += 1;
        unmet += usize::from(!campus.gate.unfired().is_empty());
        campus.judged().await;
        (sweep.mend)(&campus, &thing).await;
        let left = (sweep.left)(&campus, &thing).await;
        let is_right =
            left == done || (!says_done && left == *undone.get_or_init(&left_undone).await);
        assert!(
            is_right,
            "{tell}, done: {says_done}; what is left differs: {}",
            difference(&done, &left)
        );
        campus.finish_faulted().await;
    }
    // The number of calls that run side by side varies by a few, so the last ones may not come.
    assert!(
        unmet * 4 <= played,
        "{name}: {unmet} of {played} faults met no call"
    );
}

/// The lines that only one of two has, or has more often.
fn difference(one: &impl Debug, other: &impl Debug) -> String {
    let (one, other) = (format!("{one:#?}"), format!("{other:#?}"));
    format!(
        "\n{}\nthere is\n{}",
        only_in(&one, &other),
        only_in(&other, &one)
    )
}

/// The lines of a text that another has not, or not as often.
fn only_in(text: &str, other: &str) -> String {
    let mut others: Vec<&str> = other.lines().collect();
    let mut only = Vec::new();
    for line in text.lines() {
        match others.iter().position(|other| *other == line) {
            Some(place) => _ = others.swap_remove(place),
            None => only.push(line),
        }
    }
    only.join("\n")
}

/// The calls that fail, by their place, and how: in `long` each, in `cargo test` a read in the
/// middle and a few writes with alternating verdicts. What does not answer a read has one form: no
/// answer.
fn cases(calls: &[Call], verdicts: &[Fault]) -> Vec<(usize, Fault)> {
    const FEW: usize = 4;
    let has_effect = |number: &usize| calls[*number].name.has_effect();
    let (writes, mut reads): (Vec<_>, Vec<_>) = (0..calls.len()).partition(has_effect);
    let middle = reads.len() / 2;
    reads.rotate_left(middle);
    let reads = reads.into_iter().map(|number| (number, verdicts[0]));
    let writes = writes
        .iter()
        .flat_map(|number| verdicts.iter().map(|verdict| (*number, *verdict)));
    [sample(reads, 1), sample(writes, FEW)].concat()
}
