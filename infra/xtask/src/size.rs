//! `size`: every line and byte of the `.rs` files by folder, unit tests apart from the product, beside what the lines may come to.

use std::io::Write;

use xshell::{Shell, cmd};

/// What the files below these folders may come to, each file in the first part that has it.
const BOUNDS: [(&str, &[&str], usize); 3] = [
    ("functions and shared", &["functions/", "shared/"], 55_200),
    ("suite", &["tests/", "infra/local/tests/"], 22_800),
    ("infra without its tests", &["infra/"], 9_400),
];

pub(crate) fn size(shell: &Shell) -> anyhow::Result<()> {
    let files = cmd!(shell, "git ls-files --cached --others --exclude-standard -- *.rs").quiet().read()?;
    // What is deleted and not committed is still listed.
    let mut files: Vec<_> = files.lines().filter_map(|path| Some((path, shell.read_file(path).ok()?))).collect();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:24} {:>16} {:>16} {:>16} {:>8}", "lines and bytes of", "product", "unit tests", "all", "bound")?;
    for (name, folders, bound) in BOUNDS {
        let here = files.extract_if(.., |(path, _)| folders.iter().any(|folder| path.starts_with(folder)));
        let (mut product, mut tests) = ((0, 0), (0, 0));
        for (path, text) in here {
            let (of_product, of_tests) = text.split_at(end_of_product(path, &text));
            product = (product.0 + of_product.lines().count(), product.1 + of_product.len());
            tests = (tests.0 + of_tests.lines().count(), tests.1 + of_tests.len());
        }
        let all = (product.0 + tests.0, product.1 + tests.1);
        write!(out, "{name:24}")?;
        for (lines, bytes) in [product, tests, all] {
            write!(out, " {lines:>7} {bytes:>8}")?;
        }
        let over = all.0.saturating_sub(bound);
        let over = if over > 0 { format!(" {over:>8} too many") } else { String::new() };
        writeln!(out, " {bound:>8}{over}")?;
    }
    Ok(())
}

/// Where the product ends in a file and its tests begin.
fn end_of_product(path: &str, text: &str) -> usize {
    if path.ends_with("/tests.rs") || path.starts_with("tests/") || path.contains("/tests/") {
        return 0;
    }
    text.find("\n#[cfg(test)]").map_or(text.len(), |end| end + 1)
}
