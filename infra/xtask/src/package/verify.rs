//! `package --verify`: both architectures, each built in two fresh clones under different folders, and compared byte for
//! byte, with what they say of themselves. It is run before a release.

use std::path::Path;

use anyhow::ensure;
use xshell::{Shell, cmd};

use super::advisories::Advisories;
use super::{Architecture, Package, build::Lto, make, tell};

pub(super) fn both_twice(shell: &Shell) -> anyhow::Result<()> {
    ensure!(cmd!(shell, "git status --porcelain").quiet().read()?.is_empty(), "commit first: a clone is what is built");
    // The same commit each time, whatever is committed meanwhile.
    let commit = cmd!(shell, "git rev-parse HEAD").quiet().read()?;
    let folder = shell.create_temp_dir()?;
    for architecture in Architecture::ALL {
        let [one, other] =
            ["one", "another/folder"].map(|name| in_a_clone(shell, &commit, &folder.path().join(name), architecture));
        let (one, other) = (one?, other?);
        tell(architecture, &one.zips);
        ensure!(one == other, "{}: a second build differs: {other:?}", architecture.as_str());
    }
    eprintln!("package: both builds of both architectures are the same, byte for byte");
    Ok(())
}

fn in_a_clone(shell: &Shell, commit: &str, folder: &Path, architecture: Architecture) -> anyhow::Result<Package> {
    let root = shell.current_dir();
    shell.remove_path(folder)?;
    cmd!(shell, "git clone --quiet --no-checkout {root} {folder}").run()?;
    let inside = shell.clone();
    inside.change_dir(folder);
    cmd!(inside, "git checkout --quiet --detach {commit}").run()?;
    let advisories = Advisories::NotChecked { why: "only compared with another build".to_owned() };
    make(&inside, architecture, Lto::Fat, &advisories, &folder.join("target/lambda"))
}
