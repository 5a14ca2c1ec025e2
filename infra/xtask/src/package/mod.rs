//! `package`: the folders that template.yaml names and a zip of each, one a function. From one commit come the same
//! bytes, wherever it is built.

pub(crate) mod advisories;
mod archive;
mod build;
pub(crate) mod cold_start;
mod crates;
mod libc;
mod licences;
mod provenance;
mod sbom;
mod verify;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use xshell::Shell;

use self::advisories::Advisories;
use self::archive::File;
use self::build::Lto;
use self::crates::Crates;

/// The largest zip. A function's start is quick while its code is small.
const MOST_BYTES: u64 = 6_500_000;
/// The largest zip of one that is only tried: half as large again.
const MOST_QUICK_BYTES: u64 = 10_000_000;

/// The processors that Lambda runs functions on, in its own names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    Arm64,
    X86_64,
}

impl Architecture {
    pub(crate) const ALL: [Architecture; 2] = [Architecture::Arm64, Architecture::X86_64];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Architecture::Arm64 => "arm64",
            Architecture::X86_64 => "x86_64",
        }
    }

    fn triple(self) -> &'static str {
        match self {
            Architecture::Arm64 => "aarch64-unknown-linux-gnu",
            Architecture::X86_64 => "x86_64-unknown-linux-gnu",
        }
    }

    /// The architecture of this machine.
    fn own() -> anyhow::Result<Architecture> {
        match std::env::consts::ARCH {
            "aarch64" => Ok(Architecture::Arm64),
            "x86_64" => Ok(Architecture::X86_64),
            other => bail!("Lambda runs no {other}"),
        }
    }
}

/// One function's zip.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Zip {
    pub(crate) function: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// What one run makes.
#[derive(Debug, PartialEq, Eq)]
struct Package {
    zips: Vec<Zip>,
    /// The text of `provenance.json`.
    provenance: String,
}

/// `package [arm64|x86_64] [--quick|--release]`, or `package --verify`.
pub(crate) fn package(shell: &Shell, words: &[String]) -> anyhow::Result<()> {
    let (mut architecture, mut lto, mut is_release) = (Architecture::Arm64, Lto::Fat, false);
    for word in words {
        match word.as_str() {
            "--verify" if words.len() == 1 => return verify::both_twice(shell),
            "--quick" => lto = Lto::Off,
            "--release" => is_release = true,
            name => {
                let named = Architecture::ALL.into_iter().find(|known| known.as_str() == name);
                architecture = named.with_context(|| {
                    format!("cargo xtask package takes arm64, x86_64, --quick, --release or --verify, not {name}")
                })?;
            }
        }
    }
    let advisories = match is_release {
        true => fit_for_release(shell, lto)?,
        false => Advisories::NotChecked { why: "only cargo xtask package --release checks them".to_owned() },
    };
    let folder = shell.current_dir().join("target/lambda");
    tell(architecture, &make(shell, architecture, lto, &advisories, &folder)?.zips);
    let named = architecture.as_str();
    eprintln!("package: sam deploy --guided takes them from here, with Architecture {named}; sam build is not needed");
    Ok(())
}

/// Refuses what nobody could build again or vouch for.
fn fit_for_release(shell: &Shell, lto: Lto) -> anyhow::Result<Advisories> {
    ensure!(lto == Lto::Fat, "a release is not built with --quick, which is for trying: leave it out");
    let changed = provenance::changed_files(shell)?;
    ensure!(changed.is_empty(), "a release is built from a commit: commit or remove first {}", changed.join(", "));
    let advisories = advisories::check(shell)?;
    if let Advisories::NotChecked { why } = &advisories {
        bail!(
            "a release is checked against the advisory database, and {why}: run this where git reaches it, \
             or name a mirror by git config --global url.MIRROR.insteadOf ADDRESS"
        );
    }
    Ok(advisories)
}

/// The zips that are tried on this machine, quickly linked, in a folder that nobody deploys from.
pub(crate) fn own(shell: &Shell) -> anyhow::Result<(Architecture, PathBuf)> {
    let (architecture, folder) = (Architecture::own()?, shell.current_dir().join("target/package/lambda"));
    let advisories = Advisories::NotChecked { why: "these packages are only tried".to_owned() };
    tell(architecture, &make(shell, architecture, Lto::Off, &advisories, &folder)?.zips);
    Ok((architecture, folder))
}

/// Builds, checks and packs every function, with the texts that go along.
fn make(
    shell: &Shell,
    architecture: Architecture,
    lto: Lto,
    advisories: &Advisories,
    lambda: &Path,
) -> anyhow::Result<Package> {
    let functions = functions(shell)?;
    let built = build::release(shell, architecture, lto, &functions)?;
    let crates = Crates::of(shell, &functions, architecture.triple())?;
    shell.remove_path(lambda)?;
    let (mut zips, mut packed) = (Vec::new(), Vec::new());
    for function in functions {
        let binary = built.binaries.join(&function);
        let code = std::fs::read(&binary).with_context(|| format!("{} is missing", binary.display()))?;
        libc::check(&code, architecture).with_context(|| format!("{function} would not run in Lambda"))?;
        let parts = crates.parts(&function)?;
        let licences = File::text("LICENSES", licences::of(shell, &crates, &parts)?);
        let bill = File::text("sbom.cdx.json", sbom::of(&crates, &parts)?);
        let files = [File::program(code), licences, bill];
        let zip = archive::of(&files)?;
        let bytes = zip.len() as u64;
        is_small(bytes, lto).with_context(|| format!("the zip of {function} is too large"))?;
        archive::write_folder(&lambda.join(&function), &files)?;
        std::fs::write(lambda.join(format!("{function}.zip")), &zip)?;
        zips.push(Zip { bytes, sha256: archive::sha256(&zip), function });
        packed.push(files);
    }
    let provenance = provenance::of(shell, architecture, &built, &zips, &packed, advisories)?;
    std::fs::write(lambda.join("provenance.json"), &provenance)?;
    Ok(Package { zips, provenance })
}

fn is_small(bytes: u64, lto: Lto) -> anyhow::Result<()> {
    let most = match lto {
        Lto::Fat => MOST_BYTES,
        Lto::Off => MOST_QUICK_BYTES,
    };
    ensure!(bytes <= most, "it has {bytes} bytes, and {most} are the most: what has come into it?");
    Ok(())
}

/// The functions' packages, each named as its folder.
fn functions(shell: &Shell) -> anyhow::Result<Vec<String>> {
    let folders = shell.read_dir("functions")?;
    let names =
        folders.iter().filter(|folder| folder.join("Cargo.toml").exists()).filter_map(|folder| folder.file_name());
    let names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    ensure!(!names.is_empty(), "there are no functions here");
    Ok(names)
}

fn tell(architecture: Architecture, zips: &[Zip]) {
    for Zip { function, bytes, sha256 } in zips {
        eprintln!("package: {function:16} {} {:5.2} MB {sha256}", architecture.as_str(), *bytes as f64 / 1e6);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zip_that_is_too_large_is_refused_also_where_it_is_only_tried() {
        assert!(is_small(MOST_BYTES, Lto::Fat).is_ok() && is_small(MOST_BYTES + 1, Lto::Fat).is_err());
        assert!(is_small(MOST_BYTES + 1, Lto::Off).is_ok() && is_small(MOST_QUICK_BYTES + 1, Lto::Off).is_err());
    }
}
