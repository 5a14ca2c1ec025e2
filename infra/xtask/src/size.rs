//! `size`: tokens of Rust by folder, without comments, imports and what is inside quotes, so that neither names nor the width of a
//! line matter. Unit tests are counted apart from the product. And, crate by crate, what makes prose of code hard to read. More than a
//! bound is a failure.

use std::io::Write;

use anyhow::ensure;
use regex_lite::Regex;
use xshell::{Shell, cmd};

/// What the files below these folders may come to, product and unit tests, each file in the first part that has it.
const BOUNDS: [(&str, &[&str], [usize; 2]); 3] = [
    ("functions and shared", &["functions/", "shared/"], [397_250, 135_350]),
    ("suite", &["tests/", "infra/local/tests/"], [0, 307_950]),
    ("infra", &["infra/"], [103_450, 12_850]),
];

/// Tenths of names, tuples and closures in 1,000 lines.
const PROSE: [(&str, [usize; 3]); 7] = [
    ("functions/claim", [26, 33, 26]),
    ("functions/console", [1, 30, 17]),
    ("functions/mail", [16, 13, 7]),
    ("functions/usage-sync", [1, 14, 14]),
    ("functions/threshold-alerts", [1, 17, 1]),
    ("shared", [29, 27, 8]),
    ("infra", [29, 91, 99]),
];

/// As the name of a value, these leave its reader to guess.
const SAYS_LITTLE: [&str; 34] = [
    "of", "it", "by", "at", "is", "one", "each", "all", "own", "other", "others", "such", "them", "their", "theirs",
    "to", "on", "left", "more", "known", "told", "then", "few", "again", "wanted", "asked", "found", "made", "item",
    "thing", "things", "entry", "data", "stuff",
];

pub(crate) fn size(shell: &Shell) -> anyhow::Result<()> {
    let counter = Counter::new()?;
    let files = cmd!(shell, "git ls-files --cached --others --exclude-standard -- *.rs").quiet().read()?;
    // What is deleted and not committed is still listed.
    let mut files: Vec<_> = files.lines().filter_map(|path| Some((path, shell.read_file(path).ok()?))).collect();
    let mut out = std::io::stdout().lock();
    let mut too_large = prose(&counter, &files, &mut out)?;
    writeln!(out, "{:24} {:>9} {:>9} {:>12} {:>9}", "tokens", "product", "bound", "unit tests", "bound")?;
    for (name, folders, [product_bound, tests_bound]) in BOUNDS {
        let [mut product, mut tests] = [0, 0];
        for (path, text) in files.extract_if(.., |(path, _)| folders.iter().any(|folder| path.starts_with(folder))) {
            let (of_product, of_tests) = text.split_at(end_of_product(path, &text));
            product += counter.tokens(&counter.plain(of_product));
            tests += counter.tokens(&counter.plain(of_tests));
        }
        writeln!(out, "{name:24} {product:>9} {product_bound:>9} {tests:>12} {tests_bound:>9}")?;
        if product > product_bound || tests > tests_bound {
            too_large.push(name);
        }
    }
    ensure!(too_large.is_empty(), "larger than its bound in infra/xtask/src/size.rs: {}", too_large.join(", "));
    Ok(())
}

/// Prints what of a crate's prose makes a reader stop, and answers the crates that have more of it than is written beside them.
fn prose(counter: &Counter, files: &[(&str, String)], out: &mut impl Write) -> anyhow::Result<Vec<&'static str>> {
    let mut too_many = Vec::new();
    writeln!(out, "{:24} {:>9} {:>9} {:>9}", "in 1,000 lines", "names", "tuples", "closures")?;
    for (folder, bounds) in PROSE {
        let mut code = String::new();
        for (path, text) in files.iter().filter(|(path, _)| path.starts_with(folder)) {
            code += &counter.plain(&text[..end_of_product(path, text)]);
        }
        let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
        let found =
            [counter.names(&code), counter.tuple.find_iter(&code).count(), counter.closure.find_iter(&code).count()];
        let tenths = found.map(|count| (count * 10_000).div_ceil(lines));
        let [names, tuples, closures] = tenths.map(|tenths| format!("{}.{}", tenths / 10, tenths % 10));
        writeln!(out, "{folder:24} {names:>9} {tuples:>9} {closures:>9}")?;
        if tenths.iter().zip(bounds).any(|(tenths, bound)| *tenths > bound) {
            too_many.push(folder);
        }
    }
    Ok(too_many)
}

struct Counter {
    comment_or_text: Regex,
    import: Regex,
    token: Regex,
    word: Regex,
    letter: Regex,
    tuple: Regex,
    closure: Regex,
}

impl Counter {
    fn new() -> anyhow::Result<Self> {
        let comment_or_text = r###"(?s)//[^\n]*|/\*.*?\*/|b?r##".*?"##|b?r#".*?"#|b?r"[^"]*"|b?"(?:\\.|[^"\\])*""###;
        Ok(Self {
            comment_or_text: Regex::new(comment_or_text)?,
            import: Regex::new(r"(?m)^[ \t]*(?:pub(?:\([^)]*\))? )?use [^;]*;")?,
            token: Regex::new(r"'(?:\\.|[^'\\])'|[A-Za-z_]\w*|\d[\w.]*|::|->|=>|\S")?,
            word: Regex::new(r"\b[a-z]+\b")?,
            letter: Regex::new(r"\blet (?:mut )?[a-z]\b|\bfor [a-z] in\b|\bfn of\b")?,
            tuple: Regex::new(r"let \((?:mut )?\w+, ")?,
            closure: Regex::new(r"let (?:mut )?\w+ =\s*(?:async )?(?:move )?\|")?,
        })
    }

    /// The code without its comments and imports, and with nothing in its texts.
    fn plain(&self, text: &str) -> String {
        let without_texts = self.comment_or_text.replace_all(text, |captures: &regex_lite::Captures<'_>| {
            let is_comment = captures[0].starts_with('/');
            if is_comment { "" } else { "\"\"" }
        });
        self.import.replace_all(&without_texts, "").into_owned()
    }

    fn tokens(&self, code: &str) -> usize {
        self.token.find_iter(code).count()
    }

    fn names(&self, code: &str) -> usize {
        let little = self.word.find_iter(code).filter(|word| {
            SAYS_LITTLE.contains(&word.as_str())
                && !code[..word.start()].ends_with(['.', ':'])
                && !code[word.end()..].starts_with(['(', '!', ':'])
        });
        little.count() + self.letter.find_iter(code).count()
    }
}

/// Where the product ends in a file and its tests begin.
fn end_of_product(path: &str, text: &str) -> usize {
    if path.ends_with("/tests.rs") || path.starts_with("tests/") || path.contains("/tests/") {
        return 0;
    }
    text.find("\n#[cfg(test)]").map_or(text.len(), |end| end + 1)
}
