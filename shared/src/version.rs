//! Which version this is. `cargo xtask package` builds the commit in; in any other build it is not
//! known.

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub const COMMIT: Option<&str> = option_env!("BURSAR_COMMIT");

/// Whether anything differed from the commit.
pub fn is_dirty() -> bool {
    option_env!("BURSAR_DIRTY") == Some("true")
}

/// The version as people say it, such as `0.1.0 1a2b3c4d5e6f`; the output `Version` of the stack is
/// the same text.
pub fn to_words() -> String {
    let commit = COMMIT
        .map(|commit| format!(" {commit}"))
        .unwrap_or_default();
    format!(
        "{VERSION}{commit}{}",
        if is_dirty() { " dirty" } else { "" }
    )
}
