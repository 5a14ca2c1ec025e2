//! The command line of `bursar`: one line when it is ready, one sentence when it cannot start, and no data lost
//! when it is killed.

use std::path::Path;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::ledger::owner::KeyOwner;
use bursar_tests::aws;
use bursar_tests::invariants::RawTable;
use bursar_tests::process::{Bursar, Ended, refused, run};
use reqwest::Method;
use serde_json::{Value, json};

fn data() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Asserts a failed start with one sentence on standard error that contains all of `names`.
fn assert_refused(ended: &Ended, names: &[&str]) {
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.out.is_empty(), "{ended:?}");
    let sentences: Vec<&str> = ended.err.lines().filter(|line| line.starts_with("bursar: ")).collect();
    assert_eq!(sentences.len(), 1, "{ended:?}");
    for name in names {
        assert!(sentences[0].contains(name), "{name:?} is not in {sentences:?}");
    }
}

async fn page(url: &str) -> reqwest::Response {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    client.get(url).send().await.unwrap()
}

#[tokio::test]
async fn it_says_one_line_when_all_is_up_and_ends_cleanly_when_interrupted() {
    let data = data();
    let bursar = Bursar::start(data.path()).await.unwrap();
    let ready = bursar.ready.clone();
    for origin in [&ready.web, &ready.inbox, &ready.dynamodb, &ready.ses, &ready.secretsmanager] {
        assert!(origin.starts_with("http://127.0.0.1:") && !origin.ends_with('/'), "{ready:?}");
    }
    assert!(ready.provider.ends_with("/api/v1"), "{ready:?}");

    let start = page(&format!("{}/", ready.web)).await;
    assert_eq!(start.status(), 200);
    let body = start.text().await.unwrap();
    assert!(body.contains("action=\"/link\"") && body.contains("name=\"address\""), "{body}");
    let ended = bursar.interrupt().await.unwrap();
    assert_eq!((ended.status.code(), ended.out.as_str()), (Some(0), ""), "{ended:?}");
}

#[tokio::test]
async fn another_spelling_of_its_origin_leads_to_the_one_it_printed() {
    let data = data();
    let bursar = Bursar::start(data.path()).await.unwrap();
    let port = bursar.ready.web.rsplit(':').next().unwrap().to_owned();
    let answer = page(&format!("http://localhost:{port}/?a=b")).await;
    assert!(answer.status().is_redirection(), "{answer:?}");
    assert_eq!(answer.headers()["location"], format!("{}/?a=b", bursar.ready.web));
}

#[tokio::test]
async fn no_server_of_this_machine_answers_a_page_of_another_site() {
    let data = data();
    let bursar = Bursar::start(data.path()).await.unwrap();
    let ready = &bursar.ready;
    let provider = ready.provider.trim_end_matches("/api/v1").to_owned();
    let client = reqwest::Client::new();
    for origin in [&ready.inbox, &provider, &ready.dynamodb, &ready.ses, &ready.secretsmanager] {
        for method in [Method::GET, Method::POST, Method::OPTIONS] {
            for (header, value) in [("origin", "https://evil.example"), ("origin", "null"), ("host", "evil.example")] {
                let request = client.request(method.clone(), format!("{origin}/")).header(header, value);
                let request = request.header("access-control-request-method", "POST").body("Action=SendRawEmail");
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status(), 403, "{method} {origin} {header}: {value}");
                assert!(!answer.headers().contains_key("access-control-allow-origin"), "{method} {origin}");
            }
        }
    }
    let rebound = client.get(&ready.web).header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), 403, "the pages as well");
    let form =
        client.post(format!("{}/link", ready.web)).header("origin", "https://evil.example").body("address=a@b.example");
    assert_eq!(form.send().await.unwrap().status(), 403);
    bursar.interrupt().await.unwrap();
}

#[tokio::test]
async fn two_in_two_folders_do_not_clash_and_a_second_one_in_a_folder_is_refused() {
    let (one, two) = (data(), data());
    let (first, second) = tokio::join!(Bursar::start(one.path()), Bursar::start(two.path()));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_ne!(first.ready.deployment, second.ready.deployment);
    assert_refused(&refused(one.path(), &[]).await.unwrap(), &["in use", "--data"]);
    assert_eq!(page(&first.ready.web).await.status(), 200, "the first is not disturbed");
    assert_eq!(page(&second.ready.web).await.status(), 200);
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_at_any_moment_and_the_next_start_goes_on() {
    let data = data();
    let mut written: Vec<String> = Vec::new();
    let mut deployments = Vec::new();
    for round in 0..4 {
        let bursar = Bursar::start(data.path()).await.unwrap();
        deployments.push(bursar.ready.deployment.clone());
        let table = aws::dynamodb(&bursar.ready);
        for id in &written {
            let found = table.get_item().table_name(&bursar.ready.table).set_key(Some(key(id))).consistent_read(true);
            assert!(found.send().await.unwrap().item.is_some(), "{id} was acknowledged and is gone");
        }
        assert_eq!(keys_made(&bursar).await.len(), round, "one key was acknowledged in each round");
        make_key(&bursar, &format!("key {round}")).await;

        // The kill comes in the middle of a burst of writes.
        let mut writes = tokio::task::JoinSet::new();
        for number in 0..200 {
            let (table, name, id) = (table.clone(), bursar.ready.table.clone(), format!("{round}-{number}"));
            writes.spawn(async move {
                let put = table.put_item().table_name(name).set_item(Some(key(&id))).send().await;
                put.is_ok().then_some(id)
            });
        }
        let mut acknowledged = 0;
        let mut running = Some(bursar);
        while let Some(write) = writes.join_next().await {
            if let Some(id) = write.unwrap() {
                written.push(id);
                acknowledged += 1;
            }
            if let Some(bursar) = running.take_if(|_| acknowledged == 20 + 30 * round) {
                bursar.kill().await.unwrap();
            }
        }
    }
    assert!(deployments.windows(2).all(|pair| pair[0] == pair[1]), "{deployments:?}");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_way_out_and_nothing_is_made() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let data = data();
    let arguments = ["--empty", "--admin", "a@example.edu", "--data", data.path().to_str().unwrap(), "--port", &port];
    assert_refused(&run(&arguments).await.unwrap(), &[&port, "--port"]);
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_folder_that_bursar_did_not_make_is_refused_and_left_as_it_was() {
    let data = data();
    std::fs::write(data.path().join("thesis.tex"), "mine").unwrap();
    assert_refused(&refused(data.path(), &[]).await.unwrap(), &["--data"]);
    let left: Vec<_> = std::fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["thesis.tex"]);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_refused() {
    let data = data();
    let file = data.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    assert_refused(&refused(&file.join("inside"), &[]).await.unwrap(), &["--data"]);
}

#[tokio::test]
async fn a_damaged_database_is_named_and_not_overwritten() {
    for damaged in ["table.db", "stand-ins/state.db"] {
        let data = data();
        let ended = Bursar::start(data.path()).await.unwrap().interrupt().await.unwrap();
        assert_eq!(ended.status.code(), Some(0), "interrupted as soon as it is ready, it ends cleanly: {ended:?}");
        let path = data.path().join(damaged);
        for leftover in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{leftover}", path.display()));
        }
        let damage = "damaged ".repeat(1000);
        std::fs::write(&path, &damage).unwrap();
        assert_refused(&refused(data.path(), &[]).await.unwrap(), &[damaged.rsplit('/').next().unwrap()]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), damage, "{damaged} was overwritten");
    }
}

#[tokio::test]
async fn half_of_a_folder_is_refused_rather_than_built_upon() {
    for missing in ["table.db", "stand-ins/state.db"] {
        let data = data();
        Bursar::start(data.path()).await.unwrap().interrupt().await.unwrap();
        let path = data.path().join(missing);
        for part in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{part}", path.display()));
        }
        assert_refused(&refused(data.path(), &[]).await.unwrap(), &[missing, "--data"]);
        assert!(!path.exists(), "{missing} was made anew");
    }
}

#[tokio::test]
async fn a_real_accounts_key_is_not_kept_and_another_host_learns_none() {
    let (account, data) = (data(), data());
    let provider = Bursar::start(account.path()).await.unwrap();
    let key = aws::management_key(&provider.ready).await;
    let key_file = data.path().join("key");
    std::fs::write(&key_file, &key).unwrap();
    let folder = data.path().join("folder");
    let arguments = ["--provider", &provider.ready.provider, "--management-key-file", key_file.to_str().unwrap()];
    let bursar = Bursar::start_with(&folder, &arguments).await.unwrap();
    let asked = async |host: Option<&str>| {
        let mut asked = reqwest::Client::new()
            .post(&bursar.ready.secretsmanager)
            .header("x-amz-target", "secretsmanager.GetSecretValue")
            .body(json!({"SecretId": bursar.ready.secret}).to_string());
        if let Some(host) = host {
            asked = asked.header("host", host);
        }
        let answer = asked.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for (host, status) in [(None, 400), (Some("evil.example"), 403)] {
        let (given, body) = asked(host).await;
        assert!(given == status && !body.contains(&key), "{given} {body}");
    }
    // The functions can still read the key.
    let report: Value =
        reqwest::Client::new().post(format!("{}/sync", bursar.ready.inbox)).send().await.unwrap().json().await.unwrap();
    assert_eq!(report["complete"], json!(true), "{report}");
    assert_refused(&keys(&folder, &[]).await, &["--management-key-file"]);
    let ended = bursar.interrupt().await.unwrap();
    assert!(!ended.err.contains(&key), "{ended:?}");
    assert!(
        ended.err.contains("chmod 600") && ended.err.contains("have rights to"),
        "others can read the file: {ended:?}"
    );
    for file in ["stand-ins/state.db", "stand-ins/state.db-wal", "table.db", "table.db-wal"] {
        let bytes = std::fs::read(folder.join(file)).unwrap_or_default();
        assert!(!bytes.windows(key.len()).any(|window| window == key.as_bytes()), "{file}");
    }
}

#[tokio::test]
async fn an_unknown_option_and_a_missing_admin_are_refused() {
    let data = data();
    let folder = data.path().join("never-made");
    let unknown = refused(&folder, &["--colour"]).await.unwrap();
    assert!(!unknown.status.success() && unknown.err.contains("--colour"), "{unknown:?}");
    let no_admin = run(&["--empty", "--port", "0", "--data", folder.to_str().unwrap()]).await.unwrap();
    assert!(!no_admin.status.success() && no_admin.err.contains("--admin"), "{no_admin:?}");
    let bad_admin = refused(&folder, &["--admin", "somebody"]).await.unwrap();
    assert!(!bad_admin.status.success() && bad_admin.err.contains("somebody"), "{bad_admin:?}");
    for (option, value) in [
        ("--smtp", "mail.example.edu"),
        ("--sync-every", "often"),
        ("--provider", "http://user:secret@127.0.0.1:1/api/v1"),
        ("--provider", "http://provider.example/api/v1"),
    ] {
        let ended = refused(&folder, &[option, value, "--management-key-file", "nowhere"]).await.unwrap();
        assert!(!ended.status.success() && ended.err.contains(option), "{ended:?}");
    }
    assert!(!folder.exists(), "nothing was made");
}

#[tokio::test]
async fn an_unreachable_provider_and_an_ordinary_key_are_refused_before_anything_is_made() {
    let (running, fresh) = (data(), data());
    let bursar = Bursar::start(running.path()).await.unwrap();
    let folder = fresh.path().join("never-made");
    let key_file = fresh.path().join("key");
    let against = async |provider: &str, key: &str| {
        std::fs::write(&key_file, format!("{key}\n")).unwrap();
        let arguments = ["--provider", provider, "--management-key-file", key_file.to_str().unwrap()];
        refused(&folder, &arguments).await.unwrap()
    };
    let management_key = aws::management_key(&bursar.ready).await;
    assert_refused(&against("http://127.0.0.1:1/api/v1", &management_key).await, &["127.0.0.1:1", "--provider"]);

    let made = make_key(&bursar, "an ordinary key").await;
    let ordinary = made["key"].as_str().unwrap();
    let ended = against(&bursar.ready.provider, ordinary).await;
    assert_refused(&ended, &["--management-key-file"]);
    assert!(!ended.err.contains(ordinary), "the key itself is in the message");
    assert_refused(&against(&bursar.ready.provider, "sk-or-v1-nobodys").await, &["--management-key-file"]);
    assert!(!folder.exists(), "nothing was made");
}

#[tokio::test]
async fn the_keys_of_the_running_demonstration_are_listed_and_nothing_is_changed() {
    let data = data();
    let bursar = Bursar::start(data.path()).await.unwrap();
    for number in 0..3 {
        make_key(&bursar, &format!("course/{number}")).await;
    }
    make_key(&bursar, "other").await;
    let before = keys_made(&bursar).await;
    let listed = keys(data.path(), &["--json", "--match", "course/*"]).await;
    assert_eq!(listed.status.code(), Some(0), "{listed:?}");
    let listing: Value = serde_json::from_str(&listed.out).unwrap();
    let names: Vec<&str> =
        listing["keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 3, "{listing}");
    for field in [
        "hash",
        "name",
        "state",
        "workspace",
        "usage_usd",
        "usage_daily_usd",
        "usage_weekly_usd",
        "usage_monthly_usd",
        "limit_usd",
        "last_used_at",
        "created_at",
    ] {
        assert!(listing["keys"][0].get(field).is_some(), "{field} is missing in {listing}");
    }
    assert!(listing["keys"].as_array().unwrap().iter().all(|key| key.get("owner") == Some(&Value::Null)), "{listing}");
    // An admin gave one of them to a programme.
    let owner = KeyOwner {
        key: listing["keys"][0]["hash"].as_str().unwrap().parse().unwrap(),
        owner: "office".parse().unwrap(),
        from: jiff::civil::date(2026, 1, 1),
        at: jiff::Timestamp::UNIX_EPOCH,
        by: Actor::Sync,
    };
    RawTable::at(&bursar.ready.dynamodb, &bursar.ready.table).keep(&owner).await.unwrap();
    let owned = keys(data.path(), &["--json", "--match", listing["keys"][0]["name"].as_str().unwrap()]).await;
    let owned: Value = serde_json::from_str(&owned.out).unwrap();
    assert_eq!(owned["keys"][0]["owner"], "office", "{owned}");
    for field in ["keys", "usage_usd", "balance_usd", "without_limit", "unused_30_days"] {
        assert!(listing["totals"].get(field).is_some(), "{field} is missing in {listing}");
    }
    let shown = keys(data.path(), &[]).await;
    assert!(shown.out.contains("course/0") && shown.out.contains("other"), "{shown:?}");
    assert_eq!(keys_made(&bursar).await, before);
    assert_eq!(listing["totals"]["unused_30_days"], 0);

    // The clock of the demonstration decides, not the machine's.
    let moved = reqwest::Client::new().post(format!("{}/clock", bursar.ready.inbox));
    assert_eq!(moved.json(&json!({"advance_s": 31 * 86_400})).send().await.unwrap().status(), 200);
    let later: Value = serde_json::from_str(&keys(data.path(), &["--json"]).await.out).unwrap();
    assert_eq!(later["totals"]["unused_30_days"], 4, "{later}");

    bursar.interrupt().await.unwrap();
    assert_refused(&keys(data.path(), &[]).await, &["cargo run"]);
}

#[tokio::test]
async fn a_restart_goes_on_with_the_clock_where_it_was_moved_to() {
    let data = data();
    let bursar = Bursar::start(data.path()).await.unwrap();
    let client = reqwest::Client::new();
    let moved = client.post(format!("{}/clock", bursar.ready.inbox)).json(&json!({"advance_s": 864_000})).send().await;
    let moved: Value = moved.unwrap().json().await.unwrap();
    let moved: jiff::Timestamp = moved["now"].as_str().unwrap().parse().unwrap();
    assert!(moved > jiff::Timestamp::now() + jiff::SignedDuration::from_hours(239));
    let settled = client.post(format!("{}/settle", bursar.ready.inbox)).send().await.unwrap();
    assert_eq!(settled.status(), 200);
    bursar.kill().await.unwrap();
    let bursar = Bursar::start(data.path()).await.unwrap();
    let now: Value = client.get(format!("{}/clock", bursar.ready.inbox)).send().await.unwrap().json().await.unwrap();
    assert!(now["now"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap() >= moved);
}

async fn keys(data: &Path, arguments: &[&str]) -> Ended {
    let mut all = vec!["keys", "--data", data.to_str().unwrap()];
    all.extend(arguments);
    run(&all).await.unwrap()
}

fn key(id: &str) -> std::collections::HashMap<String, AttributeValue> {
    [("pk", "TEST"), ("sk", id)].map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned()))).into()
}

async fn make_key(bursar: &Bursar, name: &str) -> Value {
    let management_key = aws::management_key(&bursar.ready).await;
    let request = reqwest::Client::new().post(format!("{}/keys", bursar.ready.provider)).bearer_auth(management_key);
    let answer = request.json(&json!({"name": name, "limit": 1})).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    answer.json().await.unwrap()
}

async fn keys_made(bursar: &Bursar) -> Vec<Value> {
    let management_key = aws::management_key(&bursar.ready).await;
    let request = reqwest::Client::new().get(format!("{}/keys", bursar.ready.provider)).bearer_auth(management_key);
    let listed: Value = request.send().await.unwrap().json().await.unwrap();
    listed["data"].as_array().unwrap().clone()
}
