//! `size`: how much Rust there is, and how it reads, as `size.py` counts it. More than a bound
//! fails. The bounds are a ratchet: a commit may lower them, and none raises one.

use std::io::Write;

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

const COLUMNS: [&str; 7] = [
    "tokens", "names", "fns %", "golf", "closures", "width", "words",
];

/// Each part with what `size.py` is asked for, and its bounds in the order of the columns.
const PARTS: [(&str, &str, [f64; 7]); 3] = [
    (
        "functions and shared",
        "product functions shared",
        [387_000.0, 1.3, 9.2, 10.1, 61.4, 25.5, 59.4],
    ),
    (
        "all tests",
        "tests functions shared tests infra/local/tests",
        [417_130.0, 48.0, 20.9, 1.4, 49.0, 25.4, 55.6],
    ),
    (
        "infra",
        "product infra",
        [103_560.0, 2.1, 12.3, 11.0, 57.9, 25.9, 52.5],
    ),
];

pub(crate) fn size(shell: &Shell) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:22}{}",
        "",
        COLUMNS.map(|name| format!("{name:>10}")).concat()
    )?;
    let mut too_large = Vec::new();
    for (name, question, bounds) in PARTS {
        let words = question.split(' ');
        let answer = cmd!(shell, "python3 infra/xtask/size.py {words...}")
            .quiet()
            .read()?;
        let figures: Vec<f64> = answer
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .context(answer)?;
        writeln!(out, "{name:22}{}", in_columns(&figures))?;
        writeln!(out, "{:22}{}", "  at most", in_columns(&bounds))?;
        if figures
            .iter()
            .zip(bounds)
            .any(|(figure, bound)| *figure > bound)
        {
            too_large.push(name);
        }
    }
    ensure!(
        too_large.is_empty(),
        "above the bounds in infra/xtask/src/size.rs: {}",
        too_large.join(", ")
    );
    Ok(())
}

fn in_columns(figures: &[f64]) -> String {
    figures
        .iter()
        .map(|figure| format!("{figure:>10}"))
        .collect()
}
