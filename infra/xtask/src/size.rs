//! `size`: tokens of Rust by folder, without comments, imports and what is inside quotes, so that neither names nor the width of a
//! line matter. Unit tests are counted apart from the product. More than a bound is a failure.

use std::io::Write;

use anyhow::ensure;
use regex_lite::Regex;
use xshell::{Shell, cmd};

/// What the files below these folders may come to, product and unit tests, each file in the first part that has it.
const BOUNDS: [(&str, &[&str], [usize; 2]); 3] = [
    ("functions and shared", &["functions/", "shared/"], [376_700, 124_700]),
    ("suite", &["tests/", "infra/local/tests/"], [0, 270_100]),
    ("infra", &["infra/"], [70_700, 7_900]),
];

pub(crate) fn size(shell: &Shell) -> anyhow::Result<()> {
    let counter = Counter::new()?;
    let files = cmd!(shell, "git ls-files --cached --others --exclude-standard -- *.rs").quiet().read()?;
    // What is deleted and not committed is still listed.
    let mut files: Vec<_> = files.lines().filter_map(|path| Some((path, shell.read_file(path).ok()?))).collect();
    let mut out = std::io::stdout().lock();
    let mut too_large = Vec::new();
    writeln!(out, "{:24} {:>9} {:>9} {:>12} {:>9}", "tokens", "product", "bound", "unit tests", "bound")?;
    for (name, folders, [product_bound, tests_bound]) in BOUNDS {
        let [mut product, mut tests] = [0, 0];
        for (path, text) in files.extract_if(.., |(path, _)| folders.iter().any(|folder| path.starts_with(folder))) {
            let (of_product, of_tests) = text.split_at(end_of_product(path, &text));
            product += counter.count(of_product);
            tests += counter.count(of_tests);
        }
        writeln!(out, "{name:24} {product:>9} {product_bound:>9} {tests:>12} {tests_bound:>9}")?;
        if product > product_bound || tests > tests_bound {
            too_large.push(name);
        }
    }
    ensure!(too_large.is_empty(), "larger than its bound in infra/xtask/src/size.rs: {}", too_large.join(", "));
    Ok(())
}

struct Counter {
    comment_or_text: Regex,
    import: Regex,
    token: Regex,
}

impl Counter {
    fn new() -> anyhow::Result<Self> {
        let comment_or_text = r###"(?s)//[^\n]*|/\*.*?\*/|b?r##".*?"##|b?r#".*?"#|b?r"[^"]*"|b?"(?:\\.|[^"\\])*""###;
        Ok(Self {
            comment_or_text: Regex::new(comment_or_text)?,
            import: Regex::new(r"(?m)^[ \t]*(?:pub(?:\([^)]*\))? )?use [^;]*;")?,
            token: Regex::new(r"'(?:\\.|[^'\\])'|[A-Za-z_]\w*|\d[\w.]*|::|->|=>|\S")?,
        })
    }

    fn count(&self, text: &str) -> usize {
        let without_texts = self.comment_or_text.replace_all(text, |captures: &regex_lite::Captures<'_>| {
            let is_comment = captures[0].starts_with('/');
            if is_comment { "" } else { "\"\"" }
        });
        self.token.find_iter(&self.import.replace_all(&without_texts, "")).count()
    }
}

/// Where the product ends in a file and its tests begin.
fn end_of_product(path: &str, text: &str) -> usize {
    if path.ends_with("/tests.rs") || path.starts_with("tests/") || path.contains("/tests/") {
        return 0;
    }
    text.find("\n#[cfg(test)]").map_or(text.len(), |end| end + 1)
}
