//! Builds the functions' binaries for tests, once per process. The profile and target folder are those of
//! the running program, so that built crates are reused.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::sync::OnceCell;

static BUILT: OnceCell<PathBuf> = OnceCell::const_new();

/// The folder with the functions' binaries, built if they are out of date.
pub async fn build_binaries() -> Result<PathBuf> {
    BUILT.get_or_try_init(build).await.cloned()
}

async fn build() -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let place = Place::of(&program).with_context(|| format!("{} is not in a target folder", program.display()))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--workspace", "--bins", "--locked", "--quiet"])
        .args(["--profile", place.profile])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml"))
        .arg("--target-dir")
        .arg(place.target);
    let built = command.output().await.context("cannot run cargo")?;
    if !built.status.success() {
        bail!("the functions do not build:\n{}", String::from_utf8_lossy(&built.stderr));
    }
    Ok(place.folder.to_owned())
}

/// The location of a program in cargo's target folder.
struct Place<'a> {
    folder: &'a Path,
    target: &'a Path,
    profile: &'a str,
}

impl Place<'_> {
    fn of(program: &Path) -> Option<Place<'_>> {
        let beside = program.parent()?;
        let folder = if beside.ends_with("deps") { beside.parent()? } else { beside };
        let profile = match folder.file_name()?.to_str()? {
            // Tests are built by the profile of that name, into the folder of debug builds.
            "debug" => "test",
            named => named,
        };
        Some(Place { folder, target: folder.parent()?, profile })
    }
}
