//! Builds the functions' binaries for the tests that run them: once per process, in the profile and the folder of the running
//! program, so that what is already built is not built again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::sync::OnceCell;

static BUILT: OnceCell<PathBuf> = OnceCell::const_new();

/// The folder with the functions' binaries, built if they are not up to date.
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
    if let Some(triple) = place.triple {
        command.args(["--target", triple]);
    }
    let built = command.output().await.context("cannot run cargo")?;
    if !built.status.success() {
        bail!("the functions do not build:\n{}", String::from_utf8_lossy(&built.stderr));
    }
    Ok(place.folder.to_owned())
}

/// Where a program lies in cargo's target folder.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    folder: &'a Path,
    target: &'a Path,
    triple: Option<&'a str>,
    profile: &'a str,
}

impl Place<'_> {
    fn of(program: &Path) -> Option<Place<'_>> {
        let beside = program.parent()?;
        let folder = if beside.ends_with("deps") { beside.parent()? } else { beside };
        let profile = match folder.file_name()?.to_str()? {
            "debug" => "dev",
            named => named,
        };
        let above = folder.parent()?;
        // Cargo marks its target folder, not the one of a target within.
        let (target, triple) = if above.join("CACHEDIR.TAG").exists() {
            (above, None)
        } else {
            (above.parent()?, Some(above.file_name()?.to_str()?))
        };
        Some(Place { folder, target, triple, profile })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_and_target_are_read_from_where_the_program_lies() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        std::fs::create_dir(&target).unwrap();
        std::fs::write(target.join("CACHEDIR.TAG"), "").unwrap();
        let place = |program: &str, triple, profile: &str| {
            let program = target.join(program);
            let place = Place::of(&program).unwrap();
            assert_eq!((place.target, place.triple, place.profile), (target.as_path(), triple, profile));
        };
        place("debug/deps/tests-0a", None, "dev");
        place("release/bursar", None, "release");
        place("aarch64-unknown-linux-gnu/quick/deps/tests-0a", Some("aarch64-unknown-linux-gnu"), "quick");
    }
}
