//! The recipes of this repository: `cargo xtask` lists them. Each is a few commands; the tools
//! beyond the toolchain are installed under `target/tools`.

mod figures;
mod long;
mod package;
mod release;
mod size;
mod tools;

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use Run::{Alone, With};
use anyhow::{Context, bail};
use xshell::{Shell, cmd};

type Step = fn(&Shell) -> anyhow::Result<()>;

enum Run {
    Alone(Step),
    /// With the words after its name.
    With(fn(&Shell, &[String]) -> anyhow::Result<()>),
}

/// Each recipe with what it is for, and what runs it.
const RECIPES: &[(&str, &str, Run)] = &[
    (
        "check",
        "the quick loop: format, size, lints, unit tests",
        Alone(check),
    ),
    (
        "ci",
        "what CI runs: format, size, lints, documentation, template.yaml expanded and linted, all tests, advisories",
        Alone(ci),
    ),
    (
        "long",
        "[PART…]: what takes too long for CI, all of it or these parts; a table at the end",
        With(long::long),
    ),
    (
        "size",
        "how much Rust there is, and how it reads; more than a bound fails",
        Alone(size::size),
    ),
    (
        "template",
        "expand template.yaml and lint the result",
        Alone(template),
    ),
    (
        "screenshots",
        "the pictures of the README, in docs/screenshots",
        Alone(screenshots),
    ),
    (
        "bench",
        "sync, paced, desk, roster, claims, edits or pause [NUMBER…], or cold-start [--memory MB] [--record WHAT ELSE RAN]: wall, processor, peak, calls; \
         with --memory behind TLS, under the share of a processor that it gives (512, 1024, 1769)",
        With(bench),
    ),
    (
        "figures",
        "BENCHMARKS.md, made of the runs in docs/figures",
        Alone(figures::write),
    ),
    (
        "package",
        "[arm64|x86_64|--machine] [--release]: what sam deploys, or the programs for one machine; a release is of a clean commit",
        With(package::package),
    ),
    (
        "release",
        "N: the version, the changelog's section and the record of stored items, committed, then `publish`; the tag is left to you",
        With(release::release),
    ),
    (
        "publish",
        "the archive to publish beside the tag of the version that is here",
        Alone(release::publish),
    ),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // What cargo says of this program, the build of ring takes as its own: it and all above it
    // would be built again after each change between `cargo xtask` and `cargo`.
    if let (Some(_), Ok(program)) = (std::env::var_os("CARGO_PKG_NAME"), std::env::current_exe()) {
        let mut command = Command::new(program);
        let names = std::env::vars().map(|(name, _)| name);
        for name in
            names.filter(|name| name.starts_with("CARGO_PKG") || name.starts_with("CARGO_MANIFEST"))
        {
            command.env_remove(name);
        }
        eprintln!("xtask: {}", command.args(words).exec());
        return ExitCode::FAILURE;
    }
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> anyhow::Result<()> {
    let [name, rest @ ..] = words else {
        return list();
    };
    let Some((_, _, recipe)) = RECIPES.iter().find(|(candidate, ..)| candidate == name) else {
        bail!("there is no recipe {name}; cargo xtask lists them");
    };
    let shell = Shell::new()?;
    shell.change_dir(root());
    match (recipe, rest) {
        (With(recipe), words) => recipe(&shell, words),
        (Alone(recipe), []) => recipe(&shell),
        (Alone(_), [word, ..]) => bail!("cargo xtask {name} takes no {word}"),
    }
}

fn list() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "cargo xtask RECIPE\n")?;
    for (name, what, _) in RECIPES {
        writeln!(out, "  {name:14} {what}")?;
    }
    Ok(())
}

fn check(shell: &Shell) -> anyhow::Result<()> {
    let unit_tests = "test --workspace --exclude bursar-tests --lib --bins --locked --quiet";
    steps(shell, &[FMT, SIZE, CLIPPY, ("unit tests", unit_tests)])
}

fn ci(shell: &Shell) -> anyhow::Result<()> {
    let tests = ("tests", "test --workspace");
    steps(
        shell,
        &[
            FMT,
            SIZE,
            CLIPPY,
            DOCS,
            ("template", "xtask template"),
            tests,
        ],
    )?;
    tools::advisories(shell)
}

const FMT: (&str, &str) = ("fmt", "fmt --all --check");
const SIZE: (&str, &str) = ("size", "xtask size");
const CLIPPY: (&str, &str) = (
    "clippy",
    "clippy --workspace --all-targets --all-features --locked -- -D warnings",
);
const DOCS: (&str, &str) = (
    "docs",
    "doc --workspace --no-deps --document-private-items --locked",
);

/// Runs steps, each what cargo is asked for, up to the first that fails, and tells how long each
/// took.
fn steps(shell: &Shell, steps: &[(&str, &str)]) -> anyhow::Result<()> {
    for (name, step) in steps {
        let started = Instant::now();
        let words = step.split(' ');
        let done = cmd!(shell, "cargo {words...}").run();
        eprintln!("{name}: {} s", started.elapsed().as_secs());
        done.with_context(|| format!("{name} failed"))?;
    }
    Ok(())
}

fn template(shell: &Shell) -> anyhow::Result<()> {
    let python = tools::python(shell)?;
    Ok(cmd!(shell, "{python} infra/xtask/template.py").run()?)
}

fn screenshots(shell: &Shell) -> anyhow::Result<()> {
    // A test's working directory is the folder of its package.
    let folder = root().join("docs/screenshots");
    long::in_browser(shell, &["screenshots".as_ref(), folder.as_os_str()])
}

/// Words before it say what is measured, and the one after it how much memory the function has.
const MEMORY: &str = "--memory";

fn bench(shell: &Shell, words: &[String]) -> anyhow::Result<()> {
    let run = figures::Run::begin(shell, words)?;
    let mut parts = run.words.splitn(2, |word| word == MEMORY);
    let bench_words = parts.next().unwrap_or_default();
    let under = match parts.next() {
        None => String::new(),
        Some([memory]) => {
            format!(
                "{}\n{}\n{memory}",
                tools::python(shell)?.display(),
                root().join("infra/xtask/share.py").display()
            )
        }
        Some(_) => bail!("{MEMORY} takes one number of MB"),
    };
    let bench = cmd!(
        shell,
        "cargo bench --locked --package bursar-tests --bench figures -- {bench_words...}"
    )
    .env("BURSAR_BENCH_UNDER", under);
    let printed = match bench_words {
        [word] if word == "cold-start" => long::cold_start(shell)?,
        _ if run.is_recorded() => bench.read()?,
        _ => return Ok(bench.run()?),
    };
    writeln!(std::io::stdout().lock(), "{printed}")?;
    let name = run.words.join(" ");
    run.record(shell, &name, &printed)
}

/// The root of the repository.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}
