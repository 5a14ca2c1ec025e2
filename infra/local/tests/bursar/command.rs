//! The command line of `bursar`: one line when it is ready, one sentence when it cannot start, and no data lost
//! when it is killed.

use std::fs;
use std::path::Path;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::process::{Bursar, Ended, answer, dynamodb, management_key, refused, run};

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

#[tokio::test]
async fn it_says_one_line_when_all_is_up_and_ends_cleanly_when_interrupted() {
    let data = data();
    let bursar = Bursar::start(data.path()).await.unwrap();
    let ready = bursar.ready.clone();
    for origin in [&ready.web, &ready.inbox, &ready.dynamodb, &ready.ses, &ready.secretsmanager] {
        assert!(origin.starts_with("http://127.0.0.1:") && !origin.ends_with('/'), "{ready:?}");
    }
    assert!(ready.provider.ends_with("/api/v1"), "{ready:?}");

    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let start = client.get(format!("{}/", ready.web)).send().await.unwrap();
    assert_eq!(start.status(), 200);
    let body = start.text().await.unwrap();
    assert!(body.contains("action=\"/link\"") && body.contains("name=\"address\""), "{body}");
    // Another spelling of the origin leads to the one that was printed.
    let port = ready.web.rsplit(':').next().unwrap();
    let led = client.get(format!("http://localhost:{port}/?a=b")).send().await.unwrap();
    assert!(led.status().is_redirection(), "{led:?}");
    assert_eq!(led.headers()["location"], format!("{}/?a=b", ready.web));
    // A second one in the same folder is refused, and the first is not disturbed.
    assert_refused(&refused(data.path(), &[]).await.unwrap(), &["in use", "--data"]);
    assert_eq!(client.get(&ready.web).send().await.unwrap().status(), 200);

    let ended = bursar.interrupt().await.unwrap();
    assert_eq!((ended.status.code(), ended.out.as_str()), (Some(0), ""), "{ended:?}");
}

#[tokio::test]
async fn no_server_of_this_machine_answers_a_page_of_another_site() {
    let data = data();
    let bursar = Bursar::start(data.path()).await.unwrap();
    let ready = &bursar.ready;
    let provider = ready.provider.trim_end_matches("/api/v1").to_owned();
    let client = Client::new();
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
async fn what_was_acknowledged_survives_a_kill_at_any_moment_and_the_next_start_goes_on() {
    let data = data();
    let mut written: Vec<String> = Vec::new();
    let mut deployments = Vec::new();
    for round in 0..2 {
        let bursar = Bursar::start(data.path()).await.unwrap();
        deployments.push(bursar.ready.deployment.clone());
        let table = dynamodb(&bursar.ready);
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
    // The clock goes on where it was moved to.
    let bursar = Bursar::start(data.path()).await.unwrap();
    let clock = format!("{}/clock", bursar.ready.inbox);
    let advance = Client::new().post(&clock).header("content-type", "application/json");
    let (status, moved) = answer(advance.body(json!({"advance_s": 864_000}).to_string())).await.unwrap();
    assert_eq!(status, 200, "{moved}");
    let moved: Timestamp = moved["now"].as_str().unwrap().parse().unwrap();
    assert!(moved > Timestamp::now() + SignedDuration::from_hours(239));
    bursar.kill().await.unwrap();
    let bursar = Bursar::start(data.path()).await.unwrap();
    deployments.push(bursar.ready.deployment.clone());
    let (_, now) = answer(Client::new().get(format!("{}/clock", bursar.ready.inbox))).await.unwrap();
    assert!(now["now"].as_str().unwrap().parse::<Timestamp>().unwrap() >= moved);
    assert!(deployments.windows(2).all(|pair| pair[0] == pair[1]), "{deployments:?}");
}

#[tokio::test]
async fn what_cannot_be_begun_is_refused_in_a_sentence_and_nothing_is_made() {
    let place = data();
    let folder = place.path().join("never-made");
    let key_file = place.path().join("key");
    fs::write(&key_file, "sk-or-v1-nobodys\n").unwrap();
    let key_file = key_file.to_str().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let nowhere = "http://127.0.0.1:1/api/v1";
    for (arguments, names) in [
        (vec!["--colour"], vec!["--colour"]),
        (vec!["--admin", "somebody"], vec!["somebody"]),
        (vec!["--smtp", "mail.example.edu"], vec!["--smtp"]),
        (vec!["--sync-every", "often"], vec!["--sync-every"]),
        (
            vec!["--provider", "http://user:secret@127.0.0.1:1/api/v1", "--management-key-file", key_file],
            vec!["--provider"],
        ),
        (vec!["--provider", "http://provider.example/api/v1", "--management-key-file", key_file], vec!["--provider"]),
        (vec!["--provider", nowhere, "--management-key-file", key_file], vec!["127.0.0.1:1", "--provider"]),
    ] {
        let ended = refused(&folder, &arguments).await.unwrap();
        assert!(!ended.status.success() && ended.out.is_empty(), "{arguments:?}: {ended:?}");
        assert!(names.iter().all(|name| ended.err.contains(name)), "{arguments:?}: {ended:?}");
    }
    let folder_name = folder.to_str().unwrap();
    let no_admin = run(&["--empty", "--port", "0", "--data", folder_name]).await.unwrap();
    assert!(!no_admin.status.success() && no_admin.err.contains("--admin"), "{no_admin:?}");
    let in_use = ["--empty", "--admin", "a@example.edu", "--data", folder_name, "--port", &port];
    assert_refused(&run(&in_use).await.unwrap(), &[&port, "--port"]);
    assert!(!folder.exists(), "nothing was made");

    let file = place.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    assert_refused(&refused(&file.join("inside"), &[]).await.unwrap(), &["--data"]);
    assert_refused(&refused(place.path(), &[]).await.unwrap(), &["did not make", "--data"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "not a folder");
}

#[tokio::test]
async fn a_damaged_or_missing_database_is_named_and_nothing_is_made_in_its_place() {
    let data = data();
    let ended = Bursar::start(data.path()).await.unwrap().interrupt().await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "interrupted as soon as it is ready, it ends cleanly: {ended:?}");
    for name in ["table.db", "stand-ins/state.db"] {
        let path = data.path().join(name);
        let whole = fs::read(&path).unwrap();
        for leftover in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{leftover}", path.display()));
        }
        let damage = "damaged ".repeat(1000);
        fs::write(&path, &damage).unwrap();
        assert_refused(&refused(data.path(), &[]).await.unwrap(), &[name.rsplit('/').next().unwrap()]);
        assert_eq!(fs::read_to_string(&path).unwrap(), damage, "{name} was overwritten");
        fs::remove_file(&path).unwrap();
        assert_refused(&refused(data.path(), &[]).await.unwrap(), &[name, "--data"]);
        assert!(!path.exists(), "{name} was made again");
        fs::write(&path, whole).unwrap();
    }
}

#[tokio::test]
async fn a_real_accounts_key_is_not_kept_and_another_host_learns_none() {
    let (account, data) = (data(), data());
    let provider = Bursar::start(account.path()).await.unwrap();
    let key = management_key(&provider.ready).await.unwrap();
    let key_file = data.path().join("key");
    fs::write(&key_file, &key).unwrap();
    let folder = data.path().join("folder");
    let arguments = ["--provider", &provider.ready.provider, "--management-key-file", key_file.to_str().unwrap()];
    let bursar = Bursar::start_with(&folder, &arguments).await.unwrap();
    let asked = async |host: Option<&str>| {
        let mut asked = Client::new()
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
    let (_, report) = answer(Client::new().post(format!("{}/sync", bursar.ready.inbox))).await.unwrap();
    assert_eq!(report["complete"], json!(true), "{report}");
    // An ordinary key is no management key.
    let ordinary = make_key(&provider, "an ordinary key").await["key"].as_str().unwrap().to_owned();
    fs::write(&key_file, format!("{ordinary}\n")).unwrap();
    let ended = refused(&data.path().join("another"), &arguments).await.unwrap();
    assert_refused(&ended, &["--management-key-file"]);
    assert!(!ended.err.contains(&ordinary), "the key itself is in the message");
    assert_refused(&keys(&folder, &[]).await, &["--management-key-file"]);
    let ended = bursar.interrupt().await.unwrap();
    assert!(!ended.err.contains(&key), "{ended:?}");
    assert!(
        ended.err.contains("chmod 600") && ended.err.contains("have rights to"),
        "others can read the file: {ended:?}"
    );
    for file in ["stand-ins/state.db", "stand-ins/state.db-wal", "table.db", "table.db-wal"] {
        let bytes = fs::read(folder.join(file)).unwrap_or_default();
        assert!(!bytes.windows(key.len()).any(|window| window == key.as_bytes()), "{file}");
    }
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
    assert_eq!((&listing["totals"]["keys"], &listing["totals"]["unused_30_days"]), (&json!(3), &json!(0)));
    let shown = keys(data.path(), &[]).await;
    assert!(shown.out.contains("course/0") && shown.out.contains("other"), "{shown:?}");
    assert_eq!(keys_made(&bursar).await, before);

    // The clock of the demonstration decides, not the machine's.
    let advance =
        Client::new().post(format!("{}/clock", bursar.ready.inbox)).header("content-type", "application/json");
    let (status, _) = answer(advance.body(json!({"advance_s": 31 * 86_400}).to_string())).await.unwrap();
    assert_eq!(status, 200);
    let later: Value = serde_json::from_str(&keys(data.path(), &["--json"]).await.out).unwrap();
    assert_eq!(later["totals"]["unused_30_days"], 4, "{later}");

    bursar.interrupt().await.unwrap();
    assert_refused(&keys(data.path(), &[]).await, &["cargo run"]);
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
    let key = management_key(&bursar.ready).await.unwrap();
    let request = Client::new().post(format!("{}/keys", bursar.ready.provider)).bearer_auth(key);
    let request = request.header("content-type", "application/json");
    let (status, made) = answer(request.body(json!({"name": name, "limit": 1}).to_string())).await.unwrap();
    assert_eq!(status, 201, "{made}");
    made
}

async fn keys_made(bursar: &Bursar) -> Vec<Value> {
    let key = management_key(&bursar.ready).await.unwrap();
    let request = Client::new().get(format!("{}/keys", bursar.ready.provider)).bearer_auth(key);
    answer(request).await.unwrap().1["data"].as_array().unwrap().clone()
}
