//! Rules of the documents: what they say of routes, calls, items and states agrees with the code, and what they
//! name exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bursar_core::domain::grant::{AttemptState, GrantState, Stopped, SwitchState};
use bursar_local::invoke::FunctionName;
use bursar_tests::documented::{root, text, who_asks};
use jiff::Timestamp;

/// The files of the repository by path, without build output and data.
fn files() -> Vec<String> {
    let (root, mut found) = (root(), Vec::new());
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_file() {
                found.push(path.strip_prefix(&root).unwrap().display().to_string());
            } else if !["target", ".git", ".bursar"].contains(&name.as_str()) {
                folders.push(path);
            }
        }
    }
    found
}

/// Every document by path, except the changelog, which describes earlier versions.
fn documents() -> BTreeMap<PathBuf, String> {
    let documents = files().into_iter().filter(|path| path.ends_with(".md") && path != "CHANGELOG.md");
    documents.map(|path| (PathBuf::from(&path), text(&path))).collect()
}

/// The text between back-ticks, outside code blocks.
fn quoted(text: &str) -> Vec<&str> {
    let text = text.split("```").step_by(2);
    text.flat_map(|text| text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))).collect()
}

/// The anchor that GitHub makes of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn each_link_of_a_document_leads_to_a_file_and_a_heading_that_are_there() {
    let (mut links, mut dead) = (0, Vec::new());
    for (path, text) in documents() {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") || target.contains(char::is_whitespace) {
                continue;
            }
            links += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let place = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let is_heading = |text: String| text.lines().any(|line| line.starts_with('#') && anchor(line) == heading);
            let leads = root().join(&place).exists() && (heading.is_empty() || is_heading(self::text(&place)));
            if !leads {
                dead.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(links > 20 && dead.is_empty(), "{dead:#?}");
}

#[test]
fn each_file_and_test_that_a_document_names_is_there() {
    let files = files();
    let sources: Vec<String> = files.iter().filter(|path| path.ends_with(".rs")).map(text).collect();
    let is_there = |name: &str| files.iter().any(|path| path == name || path.ends_with(&format!("/{name}")));
    let is_folder = |name: &str| files.iter().any(|path| format!("/{path}").contains(&format!("/{name}")));
    let (mut named, mut missing) = (BTreeSet::new(), Vec::new());
    for (path, text) in documents() {
        for name in quoted(&text) {
            let is_plain =
                name.chars().all(|c| c.is_alphanumeric() || "_-./".contains(c)) && !name.starts_with(['/', '.']);
            let ending = name.rsplit_once('.').map(|(_, ending)| ending);
            let kind_of_file = ["rs", "md", "yaml", "toml", "py", "html", "css", "js", "json"];
            let (kind, there) = match name.rsplit("::").next().unwrap().split_once('…').unwrap_or((name, "")).0 {
                _ if is_plain && ending.is_some_and(|ending| kind_of_file.contains(&ending)) => {
                    ("file", is_there(name))
                }
                _ if is_plain && name.ends_with('/') => ("folder", is_folder(name)),
                _ if is_a_test(name) => ("test", sources.iter().any(|source| source.contains(&function(name)))),
                _ => continue,
            };
            named.insert(kind);
            if !there {
                missing.push(format!("{}: the {kind} {name}", path.display()));
            }
        }
    }
    assert_eq!(named, BTreeSet::from(["file", "folder", "test"]));
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Whether a name is that of a test, which is a sentence.
fn is_a_test(name: &str) -> bool {
    let is_name = name.chars().all(|c| c.is_lowercase() || c.is_numeric() || "_:…".contains(c));
    is_name && name.matches('_').count() >= 4
}

/// The start of a test's definition, from its path or from the first words of its name.
fn function(name: &str) -> String {
    let name = name.rsplit("::").next().unwrap();
    match name.strip_suffix('…') {
        Some(begins) => format!("fn {begins}"),
        None => format!("fn {name}("),
    }
}

#[test]
fn the_map_is_read_in_one_sitting() {
    let map = text("ARCHITECTURE.md");
    assert!(map.lines().count() <= 200, "{} lines", map.lines().count());
    let wide: Vec<&str> = map.lines().filter(|line| line.chars().count() > 130).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn the_words_of_the_state_diagram_are_those_of_the_table() {
    let map = text("ARCHITECTURE.md");
    let drawn = map.split("## Grant, attempt, order").nth(1).unwrap();
    let diagram = drawn.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let part = |begins: &str| diagram.split("\n\n").find(|part| part.trim_start().starts_with(begins)).unwrap();
    let since = Timestamp::UNIX_EPOCH;
    let grant = [
        GrantState::Invited,
        GrantState::Minting { nonce: "0123456789abcdef".parse().unwrap(), lease_until: since },
        GrantState::Live { key: "ab".repeat(32).parse().unwrap() },
        GrantState::Stopped { why: Stopped::Leaked },
        GrantState::Revoked,
        GrantState::Ended,
    ];
    let attempt = [
        AttemptState::Open,
        AttemptState::Shown,
        AttemptState::Refused,
        AttemptState::Unknown,
        AttemptState::Lost,
        AttemptState::Swept,
        AttemptState::Superseded,
    ];
    let order = [
        SwitchState::On,
        SwitchState::OffOrdered { since },
        SwitchState::Off { at: since },
        SwitchState::OnOrdered { since, until_limited: false },
    ];
    // A new state does not compile here until it is in the diagram.
    let _ = |state: &GrantState| match state {
        GrantState::Invited | GrantState::Minting { .. } | GrantState::Live { .. } => {}
        GrantState::Stopped { .. } | GrantState::Revoked | GrantState::Ended => {}
    };
    let _ = |state: AttemptState| match state {
        AttemptState::Open | AttemptState::Shown | AttemptState::Refused | AttemptState::Unknown => {}
        AttemptState::Lost | AttemptState::Swept | AttemptState::Superseded => {}
    };
    let _ = |order: SwitchState| match order {
        SwitchState::On | SwitchState::OffOrdered { .. } | SwitchState::Off { .. } | SwitchState::OnOrdered { .. } => {}
    };
    let stored = |value: serde_json::Value, tag: &str| value.get(tag).unwrap_or(&value).as_str().unwrap().to_owned();
    let words = grant.iter().map(|state| ("grant", stored(serde_json::to_value(state).unwrap(), "state")));
    let words = words.chain(attempt.iter().map(|state| ("attempt", stored(serde_json::to_value(state).unwrap(), ""))));
    let words =
        words.chain(order.iter().map(|order| ("order", stored(serde_json::to_value(order).unwrap(), "switch"))));
    for (begins, word) in words {
        let drawn: BTreeSet<&str> = part(begins).split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        assert!(drawn.contains(word.as_str()), "`{word}` is not drawn of {begins}");
    }
}

#[test]
fn every_call_of_the_provider_is_documented_with_whether_it_is_repeated() {
    let document = text("docs/calls.md");
    let documented: Vec<&str> =
        document.lines().filter(|line| line.contains(" s | yes |") || line.contains(" s | never |")).collect();
    let calls = bursar_core::provider::wire::calls::ALL;
    assert_eq!(documented, calls.map(bursar_core::provider::wire::calls::Call::row));
    let asked: BTreeSet<String> = who_asks().into_keys().collect();
    assert_eq!(asked, calls.iter().map(|call| call.name.to_owned()).collect(), "who makes each call");
}

#[test]
fn no_function_links_another_or_what_only_one_machine_needs() {
    for folder in
        FunctionName::ALL.map(|function| format!("functions/{function}")).into_iter().chain(["shared".to_owned()])
    {
        let manifest = text(Path::new(&folder).join("Cargo.toml"));
        let linked = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
        let names = linked.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        let ours: Vec<&str> = names
            .filter(|name| {
                name.starts_with("bursar") || FunctionName::ALL.iter().any(|function| function.to_string() == *name)
            })
            .collect();
        assert!(ours.iter().all(|name| *name == "bursar-core"), "{folder} links {ours:?}");
    }
}
