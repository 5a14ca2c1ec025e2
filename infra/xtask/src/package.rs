//! `package`: a folder for each function, built by `cargo lambda`, and beside them the template
//! that `sam deploy` is given; or, for one machine, the programs `bursar` and `bursar-ops` for its
//! own kind of processor, in a release for each kind.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use xshell::{Shell, cmd};

use crate::release::Checkout;
use crate::tools;

const FUNCTIONS: [&str; 5] = ["claim", "console", "mail", "threshold-alerts", "usage-sync"];
/// The largest program as a zip. A function's start is quick while its code is small.
const MOST_BYTES: u64 = 7_000_000;

/// What follows `bursar-` in the name of a machine's program, and Rust's name for such a machine.
/// Those of musl need no library of the system.
const MACHINES: [(&str, &str); 4] = [
    ("x86_64", "x86_64-unknown-linux-gnu"),
    ("arm64", "aarch64-unknown-linux-gnu"),
    ("x86_64-musl", "x86_64-unknown-linux-musl"),
    ("arm64-musl", "aarch64-unknown-linux-musl"),
];

/// What operators read and fill in, by where it lies in this checkout and in a release.
const PAPERS: &[&str] = &[
    ":(glob)*.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "docs",
    "functions/mail/fonts/inter-OFL.txt",
    "infra/COSTS.md",
    "infra/RUNBOOK.md",
    "infra/runbook",
    "infra/samples",
    "infra/stack-policy.json",
];

/// `package [arm64|x86_64|--machine] [--release]`.
pub(crate) fn package(shell: &Shell, words: &[String]) -> anyhow::Result<()> {
    let mut architecture = "arm64";
    let mut is_release = false;
    for word in words {
        match word.as_str() {
            "arm64" | "x86_64" | "--machine" => architecture = word,
            "--release" => is_release = true,
            _ => bail!(
                "cargo xtask package takes arm64, x86_64, --machine and --release, not {word}"
            ),
        }
    }
    if is_release {
        let changed = cmd!(shell, "git status --porcelain").read()?;
        ensure!(
            changed.is_empty(),
            "a release is built from a commit: commit or remove first\n{changed}"
        );
        tools::deny(shell, &["all"])?;
    }
    if architecture == "--machine" {
        return machine(shell, is_release);
    }
    let folder = shell.current_dir().join("target/lambda");
    build(shell, architecture, &folder)?;
    for function in FUNCTIONS {
        let program = folder.join(function).join("bootstrap");
        let zipped = zipped(shell, &program)?;
        eprintln!(
            "package: {function:16} {architecture} {:5.2} MB as a zip",
            zipped as f64 / 1e6
        );
        ensure!(
            zipped <= MOST_BYTES,
            "{function} has {zipped} bytes, and {MOST_BYTES} are the most: what came into it?"
        );
    }
    if is_release {
        let crates = FUNCTIONS.map(|function| {
            (
                format!("functions/{function}"),
                folder.join(function).join("sbom.cdx.json"),
            )
        });
        bills_of_materials(shell, triple(architecture), &crates)?;
    }
    let version = Checkout::read(shell);
    eprintln!(
        "package: {version}: sam deploy takes target/lambda/template.yaml, with Architecture {architecture}"
    );
    Ok(())
}

/// The functions for this machine's own processor, in a folder that nobody deploys from.
pub(crate) fn tried(shell: &Shell) -> anyhow::Result<PathBuf> {
    let folder = shell.current_dir().join("target/tried");
    build(shell, here()?, &folder)?;
    Ok(folder)
}

/// What a release would be for this machine's own processor, unpacked into an empty folder.
pub(crate) fn tried_release(shell: &Shell, into: &Path) -> anyhow::Result<PathBuf> {
    machine(shell, false)?;
    let archive = archive(shell, "bursar-tried", &tried(shell)?, "Not released")?;
    cmd!(shell, "tar --extract --file {archive} --directory {into}").run()?;
    Ok(into.join("bursar-tried"))
}

/// How the template names this machine's own processor.
pub(crate) fn here() -> anyhow::Result<&'static str> {
    match std::env::consts::ARCH {
        "aarch64" => Ok("arm64"),
        "x86_64" => Ok("x86_64"),
        processor => bail!("Lambda runs no {processor}"),
    }
}

fn build(shell: &Shell, architecture: &str, folder: &Path) -> anyhow::Result<()> {
    let triple = triple(architecture);
    add_library(shell, triple)?;
    let packages: Vec<&str> = FUNCTIONS
        .iter()
        .flat_map(|function| ["--package", function])
        .collect();
    let version = Checkout::read(shell);
    compile(shell, triple, &packages, &version, folder)?;
    write_template(shell, architecture, &version, folder)
}

/// The programs of one machine and of operators, for this kind of machine, or for every kind; and
/// what is read and filled in with them.
fn machine(shell: &Shell, is_release: bool) -> anyhow::Result<()> {
    let folder = shell.current_dir().join("target/machine");
    shell.remove_path(&folder)?;
    shell.create_dir(&folder)?;
    let version = Checkout::read(shell);
    let here = here()?;
    for (name, triple) in MACHINES
        .iter()
        .filter(|(name, _)| is_release || *name == here)
    {
        add_library(shell, triple)?;
        // cargo lambda moves it there, under the name that Lambda starts.
        let built = tools::target().join("tools/machine");
        let packages = [
            "--package",
            "bursar-local",
            "--package",
            "bursar-ops",
            "--bin",
            "bursar",
            "--bin",
            "bursar-ops",
        ];
        compile(shell, triple, &packages, &version, &built)?;
        let mut bills = Vec::new();
        for (program, source) in [("bursar", "infra/local"), ("bursar-ops", "infra/ops")] {
            let path = folder.join(format!("{program}-{name}"));
            shell.copy_file(built.join(program).join("bootstrap"), &path)?;
            if triple.starts_with(std::env::consts::ARCH) {
                let says = cmd!(shell, "{path} --version").quiet().read()?;
                ensure!(
                    says == format!("{program} {version}"),
                    "{program}-{name} says that it is {says}, and not {version}"
                );
            }
            bills.push((
                source.to_owned(),
                folder.join(format!("{program}-{name}.cdx.json")),
            ));
        }
        if is_release {
            bills_of_materials(shell, triple, &bills)?;
        }
    }
    let packed = folder.join("papers.tar");
    cmd!(shell, "git archive --output {packed} HEAD {PAPERS...}").run()?;
    cmd!(shell, "tar --extract --file {packed} --directory {folder}").run()?;
    shell.remove_path(packed)?;
    eprintln!(
        "package: {version}: target/machine has the programs for one machine, and what they need"
    );
    Ok(())
}

/// Everything that is published of a version, in one archive.
pub(crate) fn published(shell: &Shell, version: &str, notes: &str) -> anyhow::Result<PathBuf> {
    shell.remove_path("target/lambda")?;
    package(shell, &["arm64".to_owned(), "--release".to_owned()])?;
    package(shell, &["--machine".to_owned(), "--release".to_owned()])?;
    archive(
        shell,
        &format!("bursar-{version}"),
        Path::new("target/lambda"),
        notes,
    )
}

/// The functions and what is for one machine, with licences, notes and checksums.
fn archive(shell: &Shell, name: &str, functions: &Path, notes: &str) -> anyhow::Result<PathBuf> {
    let python = tools::python(shell)?;
    cmd!(
        shell,
        "{python} infra/xtask/archive.py {name} {functions} target/machine"
    )
    .stdin(notes)
    .run()?;
    Ok(shell.current_dir().join(format!("target/{name}.tar.gz")))
}

/// Fetches Rust's library for such a machine, if it is not here.
fn add_library(shell: &Shell, triple: &str) -> anyhow::Result<()> {
    let library = cmd!(shell, "rustc --print target-libdir --target {triple}")
        .quiet()
        .read()?;
    if shell.path_exists(library) {
        return Ok(());
    }
    cmd!(shell, "rustup target add {triple}").run().with_context(|| {
        format!("Rust's library for {triple} is missing: install it by rustup (https://rustup.rs) or your system")
    })
}

/// Builds these packages by `cargo lambda`, whose linker suits older systems too.
fn compile(
    shell: &Shell,
    triple: &str,
    packages: &[&str],
    version: &Checkout,
    folder: &Path,
) -> anyhow::Result<()> {
    // cargo lambda finds zig, which links, by the Python of the path.
    let python = tools::python(shell)?;
    let lambda = python.with_file_name("cargo-lambda");
    let beside = python
        .parent()
        .context("a Python has a folder")?
        .display()
        .to_string();
    let path = format!("{beside}:{}", std::env::var("PATH").unwrap_or_default());
    let build = cmd!(
        shell,
        "{lambda} lambda build --release --disable-optimizations --target {triple} --locked --lambda-dir {folder} {packages...}"
    );
    let build = build
        .env("BURSAR_COMMIT", &version.commit)
        .env("BURSAR_DIRTY", version.is_dirty.to_string());
    // A panic says where its source was, but not in whose folder.
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))?;
    let mapped = format!(
        "--remap-path-prefix={home}=cargo --remap-path-prefix={}=bursar",
        crate::root().display()
    );
    Ok(build.env("PATH", path).env("RUSTFLAGS", mapped).run()?)
}

/// The template of these programs: it names them from where it lies, and says of which version and
/// for which processors they are.
fn write_template(
    shell: &Shell,
    architecture: &str,
    version: &Checkout,
    folder: &Path,
) -> anyhow::Result<()> {
    let mut template = shell.read_file("template.yaml")?;
    for (present, packaged) in [
        ("CodeUri: target/lambda/", "CodeUri: ".to_owned()),
        (
            "    Default: arm64\n    AllowedValues: [arm64, x86_64]\n",
            format!("    Default: {architecture}\n    AllowedValues: [{architecture}]\n"),
        ),
        (
            "    Value: not packaged\n",
            format!("    Value: {version}\n"),
        ),
    ] {
        ensure!(
            template.contains(present),
            "template.yaml does not say {present}"
        );
        template = template.replace(present, &packaged);
    }
    Ok(shell.write_file(folder.join("template.yaml"), template)?)
}

fn triple(architecture: &str) -> &'static str {
    if architecture == "arm64" {
        "aarch64-unknown-linux-gnu"
    } else {
        "x86_64-unknown-linux-gnu"
    }
}

fn zipped(shell: &Shell, program: &Path) -> anyhow::Result<u64> {
    let bytes = cmd!(
        shell,
        "sh -c 'gzip --best --stdout \"$0\" | wc --bytes' {program}"
    )
    .quiet()
    .read()?;
    Ok(bytes.trim().parse()?)
}

/// Writes what each of these crates, by its folder, is made of into a file beside its program.
fn bills_of_materials(
    shell: &Shell,
    triple: &str,
    crates: &[(String, PathBuf)],
) -> anyhow::Result<()> {
    let cyclonedx = tools::cargo_tool(shell, "cargo-cyclonedx")?;
    cmd!(shell, "{cyclonedx} cyclonedx --format json --target {triple} --no-build-deps --override-filename sbom.cdx")
        .env("SOURCE_DATE_EPOCH", "0")
        .run()?;
    for (folder, bill) in crates {
        // It names crates of ours by where they lie here.
        let text = shell.read_file(format!("{folder}/sbom.cdx.json"))?;
        shell.write_file(
            bill,
            text.replace(&format!("{}/", crate::root().display()), "bursar/"),
        )?;
    }
    // It writes one into the folder of every crate of the workspace.
    Ok(cmd!(shell, "git clean --force --quiet -- *sbom.cdx.json").run()?)
}
