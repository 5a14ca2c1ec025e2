//! What a function is made of: the crates that cargo links into it in the build of a release, those that only help to build
//! it, and what is known of each. `sbom` and `licences` tell of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xshell::{Shell, cmd};

/// A crate as cargo names it. Its order is that of all lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CrateId {
    pub(super) name: String,
    pub(super) version: String,
}

/// What is known of a crate.
#[derive(Debug, Clone)]
pub(super) struct Crate {
    /// An SPDX expression.
    pub(super) licence: String,
    pub(super) authors: Vec<String>,
    pub(super) repository: Option<String>,
    pub(super) folder: PathBuf,
    /// The SHA-256 of the archive in the registry; `None` for our own.
    pub(super) checksum: Option<String>,
}

/// The crates of one function.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) function: CrateId,
    /// Those whose code is in the program, each with its features. The function itself is none of them.
    pub(super) linked: BTreeMap<&'a CrateId, &'a BTreeSet<String>>,
    /// Those that only run while it is built.
    pub(super) build_only: BTreeSet<&'a CrateId>,
    /// Which of the linked ones each crate calls for.
    pub(super) calls_for: BTreeMap<&'a CrateId, BTreeSet<&'a CrateId>>,
}

/// All crates of a build of functions.
#[derive(Debug)]
pub(super) struct Crates {
    known: BTreeMap<CrateId, Crate>,
    linked: Tree,
    all: Tree,
}

impl Crates {
    /// Asks cargo. The functions are asked for together, as they are built, since that decides on the features.
    pub(super) fn of(shell: &Shell, functions: &[String], triple: &str) -> Result<Crates> {
        let packages: Vec<&str> = functions.iter().flat_map(|function| ["--package", function]).collect();
        let tree = |edges: &str| -> Result<Tree> {
            let packages = packages.iter();
            let shown = ["--prefix", "depth", "--format", "|{p}|{f}", "--edges", edges];
            let told = cmd!(shell, "cargo tree --quiet --locked --target {triple} {packages...} {shown...}").quiet();
            Tree::read(&told.read()?)
        };
        let told = cmd!(shell, "cargo metadata --quiet --locked --format-version 1 --filter-platform {triple}").quiet();
        let known = described(&serde_json::from_str(&told.read()?)?, &checksums(&shell.read_file("Cargo.lock")?)?)?;
        Ok(Crates { known, linked: tree("normal,no-proc-macro")?, all: tree("normal,build")? })
    }

    /// What is known of a crate that cargo named.
    pub(super) fn about(&self, id: &CrateId) -> Result<&Crate> {
        self.known.get(id).with_context(|| format!("cargo describes no {} {}", id.name, id.version))
    }

    /// The crates of one function.
    pub(super) fn parts(&self, function: &str) -> Result<Parts<'_>> {
        let root = self.linked.edges.keys().find(|id| id.name == function);
        let root = root.with_context(|| format!("cargo knows no package {function}"))?;
        let reached = self.linked.reached(root);
        let build_only = self.all.reached(root).difference(&reached).copied().collect();
        let calls_for = reached.iter().map(|id| (*id, self.linked.edges[*id].iter().collect())).collect();
        let linked = reached.iter().filter(|id| **id != root).map(|id| (*id, &self.linked.features[*id])).collect();
        Ok(Parts { function: root.clone(), linked, build_only, calls_for })
    }
}

/// A tree as `cargo tree` prints it: who calls for whom, and with which features each is built.
#[derive(Debug, Default)]
struct Tree {
    edges: BTreeMap<CrateId, BTreeSet<CrateId>>,
    features: BTreeMap<CrateId, BTreeSet<String>>,
}

impl Tree {
    /// Reads lines such as `2|serde v1.0.229|default,std (*)`, where the number is the depth.
    fn read(text: &str) -> Result<Tree> {
        let (mut tree, mut path) = (Tree::default(), Vec::<CrateId>::new());
        for line in text.lines().filter(|line| !line.is_empty()) {
            let mut fields = line.split('|');
            let (Some(depth), Some(package), Some(features)) = (fields.next(), fields.next(), fields.next()) else {
                anyhow::bail!("cargo tree said {line:?}");
            };
            let mut words = package.split(' ');
            let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let version = version.strip_prefix('v').with_context(|| format!("cargo tree said {line:?}"))?;
            let id = CrateId { name: name.to_owned(), version: version.to_owned() };
            path.truncate(depth.parse()?);
            if let Some(parent) = path.last() {
                tree.edges.entry(parent.clone()).or_default().insert(id.clone());
            }
            tree.edges.entry(id.clone()).or_default();
            // A mark says that what is below was printed before.
            let features = features.trim_end_matches("(*)").trim();
            let own = features.split(',').filter(|feature| !feature.is_empty()).map(str::to_owned);
            tree.features.entry(id.clone()).or_default().extend(own);
            path.push(id);
        }
        Ok(tree)
    }

    fn reached<'a>(&'a self, root: &CrateId) -> BTreeSet<&'a CrateId> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&CrateId> = self.edges.keys().filter(|id| *id == root).collect();
        while let Some(id) = open.pop() {
            if reached.insert(id) {
                open.extend(&self.edges[id]);
            }
        }
        reached
    }
}

fn described(metadata: &Value, checksums: &BTreeMap<CrateId, String>) -> Result<BTreeMap<CrateId, Crate>> {
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let mut known = BTreeMap::new();
    for package in packages {
        let text = |name: &str| package[name].as_str().map(str::to_owned);
        let id = CrateId { name: text("name").unwrap_or_default(), version: text("version").unwrap_or_default() };
        // An old form of `OR`, which SPDX does not know.
        let licence = text("license").map(|licence| licence.replace(" / ", " OR ").replace('/', " OR "));
        let manifest = PathBuf::from(text("manifest_path").unwrap_or_default());
        let authors = package["authors"].as_array().into_iter().flatten();
        let about = Crate {
            licence: licence.with_context(|| format!("{} names no licence", id.name))?,
            authors: authors.filter_map(|author| Some(author.as_str()?.to_owned())).collect(),
            repository: text("repository"),
            folder: manifest.parent().context("a manifest without a folder")?.to_owned(),
            checksum: checksums.get(&id).cloned(),
        };
        ensure!(about.checksum.is_some() == package["source"].is_string(), "{} has no checksum", id.name);
        known.insert(id, about);
    }
    Ok(known)
}

fn checksums(lock: &str) -> Result<BTreeMap<CrateId, String>> {
    let lock: Value = basic_toml::from_str(lock).context("Cargo.lock cannot be read")?;
    let mut found = BTreeMap::new();
    for package in lock["package"].as_array().context("Cargo.lock lists no packages")? {
        if let [Some(name), Some(version), Some(sum)] = ["name", "version", "checksum"].map(|key| package[key].as_str())
        {
            found.insert(CrateId { name: name.to_owned(), version: version.to_owned() }, sum.to_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "0|claim v0.1.0 (/here)|\n1|serde v1.0.0|std\n2|serde_core v1.0.0|\n1|http v1.0.0|\n\n\
                        0|mail v0.1.0 (/here)|\n1|serde v1.0.0|alloc,std (*)\n1|lettre v0.11.0|\n";

    #[test]
    fn a_crate_that_was_printed_before_keeps_what_it_calls_for() {
        let tree = Tree::read(TREE).unwrap();
        let mail = tree.edges.keys().find(|id| id.name == "mail").unwrap();
        let names: Vec<&str> = tree.reached(mail).into_iter().map(|id| id.name.as_str()).collect();
        assert_eq!(names, ["lettre", "mail", "serde", "serde_core"]);
        let serde = tree.features.iter().find(|(id, _)| id.name == "serde").unwrap();
        assert_eq!(serde.1.iter().collect::<Vec<_>>(), ["alloc", "std"]);
        assert!(Tree::read("[build-dependencies]").is_err(), "what is not understood is not left out in silence");
    }

    #[test]
    fn the_lock_file_has_a_checksum_of_each_crate_of_the_registry() {
        let lock = "version = 4\n[[package]]\nname = \"claim\"\nversion = \"0.1.0\"\n\n\
                    [[package]]\nname = \"http\"\nversion = \"1.0.0\"\nchecksum = \"ab\"\n";
        let found: Vec<_> = checksums(lock).unwrap().into_iter().map(|(id, sum)| (id.name, sum)).collect();
        assert_eq!(found, [("http".to_owned(), "ab".to_owned())]);
    }
}
