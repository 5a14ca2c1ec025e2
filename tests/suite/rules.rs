//! Rules of the code base that the compiler does not check: what stays in its file, and what is not
//! linked.

use std::path::{Path, PathBuf};

use bursar_core::domain::values::address::EmailAddress;
use bursar_local::invoke::FunctionName;
use bursar_tests::permissions::TEMPLATE;
use proptest::strategy::{Strategy, ValueTree};
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The Rust files below a folder, without the test modules at their ends.
pub(crate) fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((
                    path,
                    text.split("#[cfg(test)]\nmod tests {")
                        .next()
                        .unwrap()
                        .to_owned(),
                ));
            }
        }
    }
    found
}

/// The files that are deployed, with their paths in the repository.
fn of_the_product() -> impl Iterator<Item = (String, String)> {
    let all = ["shared/src", "functions"].into_iter().flat_map(sources);
    let all = all.map(|(path, text)| {
        (
            path.strip_prefix(root()).unwrap().display().to_string(),
            text,
        )
    });
    all.filter(|(path, _)| !path.ends_with("/tests.rs") && !path.contains("/tests/"))
}

#[test]
fn each_sender_of_the_template_is_mailed_from_letter_by_letter() {
    let parameter = &TEMPLATE["Parameters"]["MailFrom"];
    assert!(
        parameter["ConstraintDescription"]
            .as_str()
            .unwrap()
            .contains("lower-case")
    );
    let pattern = parameter["AllowedPattern"]
        .as_str()
        .unwrap()
        .trim_matches(['^', '$']);
    let mut runner = TestRunner::deterministic();
    let senders = string_regex(pattern).unwrap();
    let senders = (0..2_000).map(|_| senders.new_tree(&mut runner).unwrap().current());
    let read: Vec<_> = senders
        .filter_map(|sender| Some((EmailAddress::parse(&sender).ok()?, sender)))
        .collect();
    assert!(read.len() > 20, "{}", read.len());
    for (address, sender) in read {
        assert_eq!(address.for_mail(), sender);
    }
}

#[test]
fn dead_letters_are_forgotten_within_days() {
    let kept = TEMPLATE["Resources"]["DeadLetters"]["Properties"]["MessageRetentionPeriod"]
        .as_u64()
        .unwrap();
    assert!(kept <= 4 * 24 * 3600, "{kept}");
}

#[test]
fn types_of_aws_stay_in_their_files() {
    for (path, text) in of_the_product() {
        for (service, homes) in [
            (
                "aws_sdk_dynamodb::",
                &["shared/src/store/", "shared/src/aws.rs"][..],
            ),
            (
                "aws_sdk_secretsmanager::",
                &["shared/src/secrets", "shared/src/aws.rs"],
            ),
            (
                "aws_sdk_ses::",
                &["functions/mail/src/sending/ses.rs", "shared/src/aws.rs"],
            ),
        ] {
            let at_home = homes.iter().any(|home| path.starts_with(home));
            assert!(at_home || !text.contains(service), "{path} uses {service}");
        }
    }
}

#[test]
fn no_function_links_another_or_the_lab() {
    for folder in FunctionName::ALL
        .map(|name| format!("functions/{name}"))
        .into_iter()
        .chain(["shared".to_owned()])
    {
        let manifest = std::fs::read_to_string(root().join(&folder).join("Cargo.toml")).unwrap();
        let linked = manifest
            .split("\n[dependencies]")
            .nth(1)
            .unwrap()
            .split("\n[")
            .next()
            .unwrap();
        for name in linked
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next())
        {
            let is_ours = name.starts_with("bursar") || name.parse::<FunctionName>().is_ok();
            assert!(!is_ours || name == "bursar-core", "{folder} links {name}");
        }
    }
}

#[test]
fn templates_say_no_word_of_the_code() {
    let (to_all, to_staff) = (
        &["pot", "pots", "residual", "guard", "authority"][..],
        &["pot", "pots"][..],
    );
    for (folder, words) in [
        ("claim", to_all),
        ("mail", to_all),
        ("console", to_staff),
        ("../shared", to_staff),
    ] {
        for entry in
            std::fs::read_dir(root().join("functions").join(folder).join("templates")).unwrap()
        {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "html") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
            let text = text
                .replace("{{", "<")
                .replace("}}", ">")
                .replace("{%", "<")
                .replace("%}", ">");
            let said = text
                .split('<')
                .filter_map(|part| Some(part.split_once('>')?.1));
            let mut said = said.flat_map(|part| part.split(|c: char| !c.is_alphanumeric()));
            assert!(
                !said.any(|word| words.contains(&word)),
                "{} says one of {words:?}",
                path.display()
            );
        }
    }
}
