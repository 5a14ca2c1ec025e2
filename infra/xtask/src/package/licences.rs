//! The licence texts of everything that is in a function's program, as one file: who makes a zip hands these on with it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use xshell::Shell;

use super::build::TOOLCHAIN;
use super::crates::{Crate, Crates, Parts};

/// How files begin in which a crate states its licence.
const BEGINNINGS: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"];
const RULE: &str = "────────────────────────────────────────────────────────────────────────";

/// The text of the file: first who is in the program, then each text once with all who go by it.
pub(super) fn of(shell: &Shell, crates: &Crates, parts: &Parts<'_>) -> Result<String> {
    let root = shell.current_dir();
    let (mut rows, mut texts) = (Vec::new(), BTreeMap::<String, Vec<String>>::new());
    for (text, _) in texts_in(&root)? {
        texts.entry(text).or_default().extend(["Bursar".to_owned(), format!("Rust's standard library {TOOLCHAIN}")]);
    }
    rows.push("Bursar: Apache-2.0 OR MIT".to_owned());
    rows.push(format!(
        "Rust's standard library {TOOLCHAIN}: Apache-2.0 OR MIT, by the contributors of the Rust project (https://rust-lang.org)"
    ));
    for id in parts.linked.keys().copied().chain([&parts.function]) {
        let about = crates.about(id)?;
        let name = format!("{} {}", id.name, id.version);
        // Fonts and the like lie in a folder of their own, beside their licence.
        let mut found = texts_in(&about.folder)?;
        if about.checksum.is_none() {
            found.extend(texts_of_assets(&about.folder)?);
        } else {
            rows.push(row(&name, about, found.is_empty()));
        }
        for (text, asset) in found {
            texts.entry(text).or_default().push(asset.unwrap_or_else(|| name.clone()));
        }
    }
    let mut sections: Vec<(Vec<String>, String)> = texts.into_iter().map(|(text, whose)| (whose, text)).collect();
    sections.sort();
    let mut out = format!("What is in this program, and the licences that it comes under.\n\n{}\n", rows.join("\n"));
    for (whose, text) in sections {
        out.push_str(&format!("\n{RULE}\n{}\n{RULE}\n\n{text}\n", whose.join(", ")));
    }
    Ok(out)
}

fn row(name: &str, about: &Crate, has_no_text: bool) -> String {
    let Crate { licence, authors, repository, .. } = about;
    let by = if authors.is_empty() { String::new() } else { format!(", by {}", authors.join(", ")) };
    let from = repository.as_ref().map(|repository| format!(" ({repository})")).unwrap_or_default();
    let without = if has_no_text { "; its package carries no text of it" } else { "" };
    format!("{name}: {licence}{by}{from}{without}")
}

/// The licence files of a folder, in the order of their names, without differences that only editors make.
fn texts_in(folder: &Path) -> Result<Vec<(String, Option<String>)>> {
    let is_licence = |name: &str| BEGINNINGS.iter().any(|beginning| name.to_uppercase().starts_with(beginning));
    Ok(texts(folder, is_licence)?.into_iter().map(|(_, text)| (text, None)).collect())
}

/// The licences of what is compiled in beside code, such as `fonts/inter-OFL.txt`, each with whose it is.
fn texts_of_assets(folder: &Path) -> Result<Vec<(String, Option<String>)>> {
    let fonts = folder.join("fonts");
    if !fonts.is_dir() {
        return Ok(Vec::new());
    }
    let found = texts(&fonts, |name| name.ends_with("-OFL.txt"))?;
    let named = |name: String| Some(format!("the font {}", name.trim_end_matches("-OFL.txt")));
    Ok(found.into_iter().map(|(name, text)| (text, named(name))).collect())
}

fn texts(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, String)>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if wanted(&name) && entry.path().is_file() {
            let text = String::from_utf8_lossy(&std::fs::read(entry.path())?).into_owned();
            let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
            found.push((name, lines.join("\n").trim_matches('\n').to_owned()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_files_are_found_under_each_of_their_names_and_nothing_else_is() {
        let shell = Shell::new().unwrap();
        let folder = shell.create_temp_dir().unwrap();
        for (name, text) in
            [("license-mit.md", "one  \r\n\r\n"), ("NOTICE", "two"), ("LICENCE", "three"), ("src.rs", "")]
        {
            shell.write_file(folder.path().join(name), text).unwrap();
        }
        shell.write_file(folder.path().join("fonts/inter-OFL.txt"), "four").unwrap();
        let found: Vec<String> = texts_in(folder.path()).unwrap().into_iter().map(|(text, _)| text).collect();
        assert_eq!(found, ["three", "two", "one"]);
        let of_font = texts_of_assets(folder.path()).unwrap();
        assert_eq!(of_font, [("four".to_owned(), Some("the font inter".to_owned()))]);
    }
}
