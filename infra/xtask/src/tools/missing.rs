//! What a machine lacks for a recipe, and what to install: one sentence each. Who finds it out is left to the recipes.

use std::fmt;

use crate::tools::{LINKER, REQUIREMENTS};

/// Something that a recipe cannot do without, and could not install itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Python,
    /// The packages of `linker.txt` and `requirements.txt`.
    Wheels,
    /// The compiler of this version.
    Toolchain(&'static str),
    /// The standard library for this target.
    Target(&'static str),
    /// The linker, although its package is installed.
    Linker,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Python => f.write_str(
                "this recipe needs Python 3 with its venv module: install the packages python3 and python3-venv, and run it again",
            ),
            Missing::Wheels => write!(
                f,
                "pip could not install the tools of {LINKER} and {REQUIREMENTS}: \
                 give it the network, or a mirror by PIP_INDEX_URL, and run it again"
            ),
            Missing::Toolchain(version) => write!(
                f,
                "a package is built with Rust {version}, which is not here: install rustup from https://rustup.rs, \
                 which fetches it, or Rust {version} itself"
            ),
            Missing::Target(triple) => write!(
                f,
                "Rust's standard library for {triple} is not here: install rustup from https://rustup.rs, \
                 which fetches it, or that library by your system's packages"
            ),
            Missing::Linker => f.write_str(
                "the linker (cargo-zigbuild and ziglang) does not run: remove target/tools/venv and run this again, \
                 which installs it anew",
            ),
        }
    }
}

impl std::error::Error for Missing {}
