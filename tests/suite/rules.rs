//! Rules of the code base that the compiler does not check: what stays in its file, and what is not linked.

use std::path::{Path, PathBuf};

use bursar_core::domain::values::address::EmailAddress;
use bursar_local::invoke::FunctionName;
use bursar_tests::files;
use bursar_tests::permissions::TEMPLATE;
use proptest::strategy::{Strategy, ValueTree};
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;

/// The Rust files below a folder, without the test modules at their ends.
pub(crate) fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![files::root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned()));
            }
        }
    }
    found
}

fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests")
}

#[test]
fn each_sender_that_the_template_takes_is_mailed_from_letter_by_letter_as_its_role_is_allowed_to() {
    let parameter = &TEMPLATE["Parameters"]["MailFrom"];
    assert!(parameter["ConstraintDescription"].as_str().unwrap().contains("lower-case"));
    let pattern = parameter["AllowedPattern"].as_str().unwrap().trim_matches(['^', '$']);
    let mut runner = TestRunner::deterministic();
    let senders = string_regex(pattern).unwrap();
    let senders = (0..2_000).map(|_| senders.new_tree(&mut runner).unwrap().current());
    let read: Vec<_> = senders.filter_map(|sender| Some((EmailAddress::parse(&sender).ok()?, sender))).collect();
    assert!(read.len() > 20, "{}", read.len());
    for (address, sender) in read {
        assert_eq!(address.for_mail(), sender);
    }
}

#[test]
fn dead_letters_which_may_hold_addresses_are_forgotten_within_days() {
    let kept = TEMPLATE["Resources"]["DeadLetters"]["Properties"]["MessageRetentionPeriod"].as_u64().unwrap();
    assert!(kept <= 4 * 24 * 3600, "{kept}");
}

#[test]
fn no_key_of_the_table_is_spelled_outside_its_one_file() {
    let spelled = [
        "\"P#",
        "\"G#",
        "\"A#",
        "\"O#",
        "\"R#",
        "\"Z#",
        "\"L#",
        "\"C#",
        "\"S#",
        "\"Q#",
        "\"META\"",
        "\"LEASE\"",
        "\"PROGRAMMES\"",
        "\"POT\"",
    ];
    for folder in ["shared/src", "functions"] {
        for (path, text) in sources(folder).into_iter().filter(|(path, _)| !is_test(path)) {
            if ["store/table/keys.rs", "store/table/keys/account.rs"].iter().any(|home| path.ends_with(home)) {
                continue;
            }
            let found: Vec<_> = spelled.iter().filter(|key| text.contains(*key)).collect();
            assert!(found.is_empty(), "{} spells {found:?}", path.display());
        }
    }
}

#[test]
fn no_type_of_the_table_leaves_the_store_and_none_of_mail_or_secrets_their_files() {
    for folder in ["shared/src", "functions"] {
        for (path, text) in sources(folder).into_iter().filter(|(path, _)| !is_test(path)) {
            let shown = path.strip_prefix(files::root()).unwrap().display().to_string();
            for (service, homes) in [
                ("aws_sdk_dynamodb::", &["shared/src/store/", "shared/src/aws.rs", "shared/src/sdk_error.rs"][..]),
                ("aws_sdk_secretsmanager::", &["shared/src/secrets", "shared/src/aws.rs", "shared/src/sdk_error.rs"]),
                ("aws_sdk_ses::", &["functions/mail/src/sending/ses.rs", "shared/src/aws.rs"]),
            ] {
                let at_home = homes.iter().any(|home| shown.starts_with(home));
                assert!(at_home || !text.contains(service), "{shown} uses {service}");
            }
        }
    }
}

#[test]
fn no_function_links_another_or_what_only_one_machine_needs() {
    for folder in
        FunctionName::ALL.map(|function| format!("functions/{function}")).into_iter().chain(["shared".to_owned()])
    {
        let manifest = files::text(Path::new(&folder).join("Cargo.toml"));
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

#[test]
fn templates_say_no_word_of_the_code() {
    for (folder, words) in [
        ("functions/claim/templates", &["pot", "residual", "guard", "authority"][..]),
        ("functions/mail/templates", &["pot", "residual", "guard", "authority"]),
        ("functions/console/templates", &["pot", "pots"]),
        ("shared/templates", &["pot", "pots"]),
    ] {
        for entry in std::fs::read_dir(files::root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap().replace("{{", "<").replace("}}", ">");
            let text = text.replace("{%", "<").replace("%}", ">").to_lowercase();
            if path.extension().is_some_and(|ending| ending == "html") {
                let said = text.split('<').filter_map(|part| Some(part.split_once('>')?.1));
                let said: Vec<&str> = said.flat_map(|part| part.split(|c: char| !c.is_alphanumeric())).collect();
                assert!(!words.iter().any(|word| said.contains(word)), "{} says one of {words:?}", path.display());
            }
        }
    }
}
