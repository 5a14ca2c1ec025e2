//! `size`: every line of the `.rs` files, by folder, beside what they may come to.

use std::io::Write;

use xshell::{Shell, cmd};

/// What the files below these folders may come to. What starts `bursar` lies where cargo hands it its path.
const BOUNDS: [(&str, &[&str], usize); 3] = [
    ("functions and shared", &["functions/", "shared/"], 53_500),
    ("lab and recipes", &["infra/local/src/", "infra/provider-check/", "infra/xtask/"], 9_000),
    ("suite", &["tests/", "infra/local/tests/"], 21_000),
];

pub(crate) fn size(shell: &Shell) -> anyhow::Result<()> {
    let files = cmd!(shell, "git ls-files --cached --others --exclude-standard -- *.rs").quiet().read()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:22} {:>8} {:>8}", "", "lines", "bound")?;
    for (name, folders, bound) in BOUNDS {
        let here = files.lines().filter(|path| folders.iter().any(|folder| path.starts_with(folder)));
        // What is deleted and not committed is still listed.
        let lines: usize = here.filter_map(|path| Some(shell.read_file(path).ok()?.lines().count())).sum();
        let over = lines.saturating_sub(bound);
        let over = if over > 0 { format!("{over:>8} too many") } else { String::new() };
        writeln!(out, "{name:22} {lines:>8} {bound:>8} {over}")?;
    }
    Ok(())
}
