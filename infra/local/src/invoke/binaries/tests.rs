//! One real binary, and small programs in its place that do what no function of ours does.

use std::os::unix::fs::PermissionsExt;

use super::super::invocation::test_settings;
use super::*;
use crate::gate::{Keep, Matcher, Upstreams, Verdict};
use bursar_core::clock::Clock;
use serde_json::json;

async fn nothing_behind() -> Gate {
    let nowhere = || "http://127.0.0.1:1".to_owned();
    let to = Upstreams { dynamodb: nowhere(), ses: nowhere(), secretsmanager: nowhere(), provider: nowhere() };
    Gate::open(to, Keep::All, Clock::system()).await.unwrap()
}

/// A folder in which each function is this script.
fn scripts(script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for function in FunctionName::ALL {
        let path = folder.path().join(function.as_str());
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

#[tokio::test]
async fn a_real_binary_answers_through_the_runtime_api_and_its_process_is_used_again() {
    let folder = build_binaries().await.unwrap();
    let binaries = Binaries::new(nothing_behind().await, test_settings(), &folder);
    for said in ["first", "second"] {
        let failed = binaries.invoke(FunctionName::Claim, json!({ "no": "event of anybody" })).await;
        assert!(matches!(failed, Err(InvokeError::Failed(_))), "{said}: {failed:?}");
    }
    let logs = binaries.logs().all();
    let ids: std::collections::BTreeSet<_> = logs.iter().map(|line| line.request_id.clone()).collect();
    assert_eq!(ids.len(), 2, "each invocation has its own lines: {logs:#?}");
    assert!(logs.iter().all(|line| line.instance == 1), "{logs:#?}");
    assert!(logs.iter().all(|line| !line.request_id.is_empty()), "{logs:#?}");
}

#[tokio::test]
async fn a_binary_names_every_variable_that_is_missing_or_wrong() {
    let folder = build_binaries().await.unwrap();
    let settings = test_settings();
    let mut variables = variables_of(&settings.config);
    variables.remove("BURSAR_TABLE");
    variables.remove("BURSAR_INSTITUTION");
    variables.insert("BURSAR_ORIGIN".to_owned(), "gopher://bursar".to_owned());
    let binaries = Binaries::with_variables(nothing_behind().await, settings, &folder, variables);
    let failed = binaries.invoke(FunctionName::Claim, json!({})).await.unwrap_err().to_string();
    for name in ["BURSAR_TABLE", "BURSAR_INSTITUTION", "BURSAR_ORIGIN"] {
        assert!(failed.contains(name), "{failed}");
    }
    assert!(failed.contains("exited at its start"), "{failed}");
    assert!(!failed.contains("BURSAR_ADMINS"), "{failed}");
}

#[tokio::test]
async fn the_variables_of_a_configuration_are_read_back_as_the_same() {
    let mut config = test_settings().config;
    config.privacy_url = Some("https://example.edu/privacy".to_owned());
    let variables = variables_of(&config);
    let again = Config::read(|name| variables.get(name).cloned(), config.aws.clone()).unwrap();
    assert_eq!(variables_of(&again), variables);
    assert_eq!((again.admins.len(), again.support), (2, config.support));
}

#[tokio::test]
async fn a_process_has_no_variable_of_ours_but_the_ones_it_was_given() {
    let folder = scripts("/usr/bin/env; exit 3");
    let binaries = Binaries::new(nothing_behind().await, test_settings(), folder.path());
    let failed = binaries.invoke(FunctionName::Claim, json!({})).await.unwrap_err().to_string();
    assert!(failed.contains("exit status: 3"), "{failed}");
    let has = |line: &str| failed.lines().any(|said| said.contains(line));
    assert!(has("AWS_EC2_METADATA_DISABLED=true") && has("BURSAR_TABLE=bursar"), "{failed}");
    assert!(has("/claim/1/secretsmanager") && has("/claim/1/provider"), "{failed}");
    assert!(!has("CARGO") && !has("HOME="), "{failed}");
}

#[tokio::test]
async fn a_binary_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let binaries = Binaries::new(nothing_behind().await, test_settings(), folder.path());
    let failed = binaries.invoke(FunctionName::UsageSync, json!({})).await.unwrap_err().to_string();
    assert!(failed.contains("cannot start") && failed.contains("usage-sync"), "{failed}");
}

/// A folder in which each function is this very test program, which then runs `as_a_function`.
fn this_program() -> tempfile::TempDir {
    let program = std::env::current_exe().unwrap();
    let test = "invoke::binaries::tests::as_a_function_this_program_does_what_it_is_told";
    scripts(&format!("exec '{}' --exact {test} --nocapture --quiet", program.display()))
}

#[test]
fn as_a_function_this_program_does_what_it_is_told() {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let serve = lambda_runtime::run(lambda_runtime::service_fn(as_told));
    runtime.block_on(serve).unwrap();
}

async fn as_told(event: lambda_runtime::LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
    let event = event.payload;
    let said = event["say"].as_str().unwrap_or("nothing").to_owned();
    eprintln!("said {said} by {}", std::process::id());
    match event["do"].as_str().unwrap_or_default() {
        "call" => {
            let url = format!("{}/keys", std::env::var("OPENROUTER_BASE_URL")?);
            reqwest::Client::new().post(url).send().await?;
        }
        "exit" => std::process::exit(7),
        "hang" => std::future::pending().await,
        "answer" => return Ok(json!("x".repeat(event["bytes"].as_u64().unwrap_or_default() as usize))),
        "ask" => {
            let aws = bursar_core::aws::AwsAccess::from_environment().await;
            let _ = aws.secretsmanager().get_secret_value().secret_id("s").send().await;
            let _ = aws.ses().get_send_quota().send().await;
            let _ = aws.dynamodb().list_tables().send().await;
        }
        "mutter" => {
            tokio::spawn(async move {
                tokio::task::yield_now().await;
                eprintln!("muttered {said}");
            });
        }
        "fail" => return Err("it could not".into()),
        _ => {}
    }
    Ok(json!(std::process::id()))
}

async fn obedient() -> (Binaries, tempfile::TempDir) {
    let folder = this_program();
    let binaries = Binaries::new(nothing_behind().await, test_settings(), folder.path());
    (binaries, folder)
}

/// Sends a signal, and tells whether there was anybody to take it. 0 only asks that.
async fn signal(number: u8, pid: &str) -> bool {
    let mut shell = tokio::process::Command::new("/bin/sh");
    let kill = format!("kill -{number} {pid}");
    shell.args(["-c", &kill]).output().await.unwrap().status.success()
}

async fn runs(pid: &Value) -> bool {
    signal(0, &pid.to_string()).await
}

/// Reaping takes some turns of the runtime.
async fn is_gone(pid: &str) {
    for _ in 0..1000 {
        if !signal(0, pid).await {
            return;
        }
    }
    panic!("{pid} still runs");
}

#[tokio::test]
async fn an_idle_process_serves_the_next_invocation_and_a_busy_one_gets_company() {
    let (binaries, _folder) = obedient().await;
    let say = |say: &str| binaries.invoke(FunctionName::Claim, json!({ "say": say }));
    let first = say("alpha").await.unwrap();
    assert_eq!(say("beta").await.unwrap(), first);
    let (one, other) = futures_util::future::join(say("gamma"), say("delta")).await;
    assert_ne!(one.unwrap(), other.unwrap());
    let mut said: Vec<(u32, String)> = Vec::new();
    let mut ids = std::collections::BTreeSet::new();
    for line in binaries.logs().all() {
        if let Some((text, _)) = line.text.split_once(" by ") {
            said.push((line.instance, text.to_owned()));
            ids.insert(line.request_id);
        }
    }
    said[2..].sort();
    let expected = [(1, "said alpha"), (1, "said beta"), (1, "said gamma"), (2, "said delta")];
    assert_eq!(said, expected.map(|(instance, text)| (instance, text.to_owned())));
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn a_kill_is_a_kill_and_the_next_invocation_has_a_new_process() {
    let (binaries, _folder) = obedient().await;
    let pid = binaries.invoke(FunctionName::Claim, json!({})).await.unwrap();
    assert!(runs(&pid).await);
    binaries.0.gate.at("provider:POST /keys", Verdict::KillBefore);
    let killed = binaries.invoke(FunctionName::Claim, json!({ "do": "call" })).await;
    assert_eq!(killed, Err(InvokeError::Killed));
    assert!(!runs(&pid).await);
    let next = binaries.invoke(FunctionName::Claim, json!({})).await.unwrap();
    assert_ne!(next, pid);
    assert_eq!(binaries.0.gate.calls()[0].call.instance, 1);
}

#[tokio::test]
async fn a_process_is_ended_at_its_time_out() {
    let (binaries, _folder) = obedient().await;
    let failed = binaries.invoke(FunctionName::Mail, json!({ "do": "hang" })).await;
    assert_eq!(failed, Err(InvokeError::TimedOut));
    let logs = binaries.logs().all();
    let said = logs.iter().find_map(|line| line.text.strip_prefix("said nothing by "));
    assert!(!signal(0, said.unwrap()).await);
}

#[test]
fn a_process_ends_with_the_runtime_that_started_it() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = scripts("echo $$; exec sleep 600");
    let first = runtime();
    let pid = first.block_on(async {
        let (tell, told) = tokio::sync::oneshot::channel();
        let tell = Mutex::new(Some(tell));
        let mut settings = test_settings();
        settings.logs = Logs::echoed(Keep::All, move |line| {
            if let Some(tell) = tell.lock().unwrap().take() {
                tell.send(line.text.clone()).unwrap();
            }
        });
        let binaries = Binaries::new(nothing_behind().await, settings, folder.path());
        tokio::spawn(async move { binaries.invoke(FunctionName::Claim, json!({})).await });
        told.await.unwrap()
    });
    drop(first);
    runtime().block_on(is_gone(&pid));
}

#[tokio::test]
async fn an_idle_process_that_died_is_not_used_again() {
    let (binaries, _folder) = obedient().await;
    let pid = binaries.invoke(FunctionName::Claim, json!({})).await.unwrap();
    assert!(signal(9, &pid.to_string()).await);
    let still_runs = || {
        let mut idle = binaries.0.idle();
        let worker = idle.get_mut(&FunctionName::Claim).and_then(|idle| idle.last_mut()).unwrap();
        worker.process.as_mut().unwrap().runs()
    };
    while still_runs() {
        tokio::task::yield_now().await;
    }
    assert_ne!(binaries.invoke(FunctionName::Claim, json!({})).await.unwrap(), pid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_are_there_with_the_answer_and_late_ones_belong_to_the_invocation_before() {
    let (binaries, _folder) = obedient().await;
    for turn in 0..30 {
        let event = json!({ "do": "mutter", "say": turn.to_string() });
        binaries.invoke(FunctionName::Claim, event).await.unwrap();
        let begins = format!("said {turn} by");
        let logs = binaries.logs().all();
        assert!(logs.iter().any(|line| line.text.starts_with(&begins)), "{turn}: {logs:#?}");
    }
    let mut ids = BTreeMap::new();
    for line in binaries.logs().all() {
        let mut words = line.text.split(' ');
        if let (Some("said" | "muttered"), Some(turn)) = (words.next(), words.next()) {
            let known = ids.entry(turn.to_owned()).or_insert_with(|| line.request_id.clone());
            assert_eq!(*known, line.request_id, "{}", line.text);
        }
    }
    assert_eq!(ids.len(), 30);
}

#[tokio::test]
async fn the_clients_of_a_process_find_the_services_through_the_fault_layer() {
    let (binaries, _folder) = obedient().await;
    let gate = &binaries.0.gate;
    gate.at(Matcher::call("*").every(), Verdict::status(400));
    binaries.invoke(FunctionName::Console, json!({ "do": "ask" })).await.unwrap();
    binaries.invoke(FunctionName::Console, json!({ "do": "call" })).await.unwrap();
    let calls: std::collections::BTreeSet<String> = gate.uses().into_iter().map(|used| used.action).collect();
    let expected = ["dynamodb:ListTables", "provider:POST /keys", "secretsmanager:GetSecretValue", "ses:GetSendQuota"];
    assert_eq!(calls, expected.map(str::to_owned).into());
    assert!(gate.calls().iter().all(|recorded| recorded.call.instance == 1));
}

#[tokio::test]
async fn a_process_that_ends_in_an_invocation_says_how() {
    let (binaries, _folder) = obedient().await;
    let event = json!({ "do": "exit", "say": "farewell" });
    let failed = binaries.invoke(FunctionName::Claim, event).await.unwrap_err().to_string();
    assert!(failed.contains("exited during the invocation (exit status: 7)"), "{failed}");
    assert!(failed.contains("said farewell"), "{failed}");
    binaries.invoke(FunctionName::Claim, json!({})).await.unwrap();
}

#[tokio::test]
async fn errors_and_what_is_too_large_keep_the_process() {
    let (binaries, _folder) = obedient().await;
    let claim = |event: Value| binaries.invoke(FunctionName::Claim, event);
    let pid = claim(json!({})).await.unwrap();
    assert_eq!(claim(json!({ "do": "fail" })).await, Err(InvokeError::Failed("it could not".to_owned())));
    assert_eq!(claim(json!({ "pad": "x".repeat(6 << 20) })).await, Err(InvokeError::TooLarge));
    assert_eq!(claim(json!({ "do": "answer", "bytes": 6 << 20 })).await, Err(InvokeError::TooLarge));
    assert!(claim(json!({ "do": "answer", "bytes": 5 << 20 })).await.is_ok());
    assert_eq!(claim(json!({})).await.unwrap(), pid);
}
