//! The command line of `bursar`: one line when it is ready, one sentence when it cannot start, and
//! no data lost when it is killed.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::aws::AwsAccess;
use bursar_core::clock::Moment;
use bursar_core::tls;
use bursar_local::visitor::Visitor;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::process::{Bursar, Ended, answer, http, inbox, run, secret};

/// Asserts a failed start with one sentence on standard error that contains all of `names`.
fn assert_refused(ended: &Ended, names: &[&str]) {
    assert_eq!(
        (ended.status.code(), ended.out.as_str()),
        (Some(1), ""),
        "{ended:?}"
    );
    let sentences: Vec<&str> = ended
        .err
        .lines()
        .filter(|line| line.starts_with("bursar: "))
        .collect();
    assert_eq!(sentences.len(), 1, "{ended:?}");
    assert!(
        names.iter().all(|name| sentences[0].contains(name)),
        "{names:?} are not in {sentences:?}"
    );
}

/// The end of a `bursar` that is expected to refuse to start.
async fn refused(data: &Path, arguments: &[&str]) -> Ended {
    Bursar::begin(data, arguments).await.err().unwrap()
}

/// The program prints one line when everything is up, and ends cleanly when interrupted.
#[tokio::test]
async fn it_starts_and_ends_cleanly() {
    let data = tempdir().unwrap();
    let bursar = Bursar::start(data.path()).await;
    let web = bursar.ready.web.clone();
    let client = tls::loopback()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let start = client.get(format!("{web}/")).send().await.unwrap();
    assert_eq!(start.status(), 200);
    // Another spelling of the origin leads to the one that was printed.
    let port = web.strip_prefix("http://127.0.0.1:").unwrap();
    let led = client
        .get(format!("http://localhost:{port}/?a=b"))
        .send()
        .await
        .unwrap();
    assert!(led.status().is_redirection(), "{led:?}");
    assert_eq!(led.headers()["location"], format!("{web}/?a=b"));
    // A copy of the folder is as much its owner's alone as the folder is.
    let files = ["", "stand-ins"].map(|folder| fs::read_dir(data.path().join(folder)).unwrap());
    for file in files
        .into_iter()
        .flatten()
        .map(Result::unwrap)
        .filter(|file| file.path().is_file())
    {
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{file:?}"
        );
    }
    // A second one in the same folder is refused, and the first is not disturbed.
    assert_refused(&refused(data.path(), &[]).await, &["in use", "--data"]);
    assert_eq!(client.get(&web).send().await.unwrap().status(), 200);

    let last = format!(
        "Pages: {web}\nInbox: {} (every mail, and who may sign in)\n",
        bursar.ready.inbox
    );
    let ended = bursar.end("INT").await;
    assert_eq!(
        (ended.status.code(), ended.out.as_str()),
        (Some(0), ""),
        "{ended:?}"
    );
    assert!(
        ended
            .err
            .strip_suffix("bursar: stopping\n")
            .is_some_and(|said| said.ends_with(&last)),
        "{ended:?}"
    );
    assert!(
        run(&["--version"])
            .await
            .out
            .starts_with(concat!("bursar ", env!("CARGO_PKG_VERSION")))
    );
}

#[tokio::test]
async fn no_server_of_this_machine_answers_a_page_of_another_site() {
    let data = tempdir().unwrap();
    let bursar = Bursar::start(data.path()).await;
    let ready = &bursar.ready;
    let provider = ready.provider.strip_suffix("/api/v1").unwrap();
    let client = http();
    for origin in [
        &ready.inbox,
        provider,
        &ready.dynamodb,
        &ready.ses,
        &ready.secretsmanager,
    ] {
        for method in [Method::GET, Method::POST, Method::OPTIONS] {
            for (header, value) in [
                ("origin", "https://evil.example"),
                ("origin", "null"),
                ("host", "evil.example"),
            ] {
                let request = client
                    .request(method.clone(), format!("{origin}/"))
                    .header(header, value);
                let request = request
                    .header("access-control-request-method", "POST")
                    .body("Action=SendRawEmail");
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status(), 403, "{method} {origin} {header}: {value}");
                assert!(
                    !answer.headers().contains_key("access-control-allow-origin"),
                    "{method} {origin}"
                );
            }
        }
    }
    let rebound = client
        .get(&ready.web)
        .header("host", "evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(rebound.status(), 403, "the pages as well");
    let form = client
        .post(format!("{}/link", ready.web))
        .header("origin", "https://evil.example");
    assert_eq!(
        form.body("address=a@b.example")
            .send()
            .await
            .unwrap()
            .status(),
        403
    );
    bursar.end("INT").await;
}

/// Acknowledged writes survive a kill at any moment, and the next start goes on from there.
#[tokio::test]
async fn writes_survive_a_kill() {
    let data = tempdir().unwrap();
    let mut written: Vec<String> = Vec::new();
    let mut deployments = Vec::new();
    for round in 0..2 {
        let bursar = Bursar::start(data.path()).await;
        let ready = bursar.ready.clone();
        deployments.push(ready.deployment.clone());
        let http = aws_smithy_http_client::Builder::new().build_http();
        let table = AwsAccess::new_for_service(&ready.dynamodb, &ready.region, http).dynamodb();
        for id in &written {
            let found = table
                .get_item()
                .table_name(&ready.table)
                .set_key(Some(key(id)))
                .consistent_read(true);
            assert!(
                found.send().await.unwrap().item.is_some(),
                "{id} was acknowledged and is gone"
            );
        }
        assert_eq!(
            listed(data.path()).await["totals"]["keys"],
            round,
            "one was acknowledged in each round"
        );
        make_key(&bursar, &format!("key {round}")).await;

        // The kill comes in the middle of a burst of writes.
        let mut writes = tokio::task::JoinSet::new();
        for number in 0..200 {
            let table = table.clone();
            let name = ready.table.clone();
            let id = format!("{round}-{number}");
            writes.spawn(async move {
                let put = table
                    .put_item()
                    .table_name(name)
                    .set_item(Some(key(&id)))
                    .send()
                    .await;
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
                bursar.end("KILL").await;
            }
        }
    }
    // The clock goes on where it was moved to, and the inbox has its mails.
    let at = |told: &Value| told["now"].as_str().unwrap().parse::<Moment>().unwrap();
    let bursar = Bursar::start(data.path()).await;
    let visitor = Visitor::new(&bursar.ready.web, &bursar.ready.web).unwrap();
    let page = visitor.get("/").await.unwrap();
    visitor
        .submit(&page, "/link", &[("address", "admin@example.edu")])
        .await
        .unwrap()
        .expect(202)
        .unwrap();
    inbox(&bursar.ready, "/settle", Some(json!({}))).await;
    let moved = at(&inbox(&bursar.ready, "/clock", Some(json!({"advance_s": 864_000}))).await);
    assert!(moved > Moment::now() + SignedDuration::from_hours(239));
    bursar.end("KILL").await;
    let bursar = Bursar::start(data.path()).await;
    deployments.push(bursar.ready.deployment.clone());
    assert!(at(&inbox(&bursar.ready, "/clock", None).await) >= moved);
    let page = http()
        .get(format!("{}/?to=ADMIN", bursar.ready.inbox))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let (_, mails) = page.split_once("Mails to admin").unwrap();
    assert!(mails.contains("admin@example.edu"), "{mails}");
    assert!(
        deployments.windows(2).all(|pair| pair[0] == pair[1]),
        "{deployments:?}"
    );
}

/// A start that is not possible is refused in a sentence, and nothing is made.
#[tokio::test]
async fn a_bad_start_makes_nothing() {
    let place = tempdir().unwrap();
    let folder = place.path().join("never-made");
    let file = place.path().join("key");
    fs::write(&file, "sk-or-v1-nobodys\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let by_key = [
        "--management-key-file",
        file.to_str().unwrap(),
        "--provider",
    ];
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (first, last, names) in [
        (&[][..], "--colour", &["--colour"][..]),
        (&["--admin"], "somebody", &["somebody"]),
        (&["--smtp"], "mail.example.edu", &["--smtp"]),
        (&["--sync-every"], "often", &["--sync-every"]),
        (
            &by_key,
            "http://user:secret@127.0.0.1:1/api/v1",
            &["--provider"],
        ),
        (&by_key, "http://provider.example/api/v1", &["--provider"]),
        (
            &by_key,
            "http://127.0.0.1:1/api/v1",
            &["127.0.0.1:1", "--provider"],
        ),
    ] {
        let ended = refused(&folder, &[first, &[last]].concat()).await;
        assert!(
            !ended.status.success() && ended.out.is_empty(),
            "{last}: {ended:?}"
        );
        assert!(
            names.iter().all(|name| ended.err.contains(name)),
            "{last}: {ended:?}"
        );
    }
    let empty = [
        "--empty",
        "--data",
        folder.to_str().unwrap(),
        "--port",
        &port,
    ];
    let no_admin = run(&empty).await;
    assert!(
        !no_admin.status.success() && no_admin.err.contains("--admin"),
        "{no_admin:?}"
    );
    assert_refused(
        &run(&[&empty[..], &["--admin", "a@example.edu"]].concat()).await,
        &[&port, "--port"],
    );
    assert_refused(
        &refused(&folder, &["--inbox-port", &port]).await,
        &[&port, "--inbox-port"],
    );
    assert!(!folder.exists(), "nothing was made");

    assert_refused(&refused(&file.join("inside"), &[]).await, &["--data"]);
    assert_refused(
        &refused(place.path(), &[]).await,
        &["did not make", "--data"],
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "sk-or-v1-nobodys\n");
}

/// A damaged or missing database is named, and nothing is made in its place.
#[tokio::test]
async fn a_damaged_database_is_named() {
    let data = tempdir().unwrap();
    let ended = Bursar::start(data.path()).await.end("INT").await;
    assert_eq!(
        ended.status.code(),
        Some(0),
        "interrupted as soon as it is ready, it ends cleanly: {ended:?}"
    );
    for name in ["table.db", "stand-ins/state.db"] {
        let path = data.path().join(name);
        let whole = fs::read(&path).unwrap();
        for leftover in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{leftover}", path.display()));
        }
        let damage = "damaged ".repeat(1000);
        fs::write(&path, &damage).unwrap();
        assert_refused(&refused(data.path(), &[]).await, &[name]);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            damage,
            "{name} was overwritten"
        );
        fs::remove_file(&path).unwrap();
        assert_refused(&refused(data.path(), &[]).await, &[name, "data folder"]);
        assert!(!path.exists(), "{name} was made again");
        fs::write(&path, whole).unwrap();
    }
}

#[tokio::test]
async fn a_real_accounts_key_is_not_kept_and_another_host_learns_none() {
    let account = tempdir().unwrap();
    let data = tempdir().unwrap();
    let provider = Bursar::begin(account.path(), &["-v"]).await.unwrap();
    let key = management_key(&provider).await;
    let file = data.path().join("key");
    fs::write(&file, &key).unwrap();
    let folder = data.path().join("folder");
    let arguments = [
        "--provider",
        &provider.ready.provider,
        "--management-key-file",
        file.to_str().unwrap(),
    ];
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let ended = refused(&folder, &arguments).await;
    assert!(
        ended.err.contains("chmod 600"),
        "others can read the file: {ended:?}"
    );
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let bursar = Bursar::begin(&folder, &arguments).await.unwrap();
    let (status, told) = secret(&bursar.ready).await;
    assert!(status == 400 && !told.to_string().contains(&key), "{told}");
    // The functions can still read the key.
    let report = inbox(&bursar.ready, "/sync", Some(json!({}))).await;
    assert_eq!(report["complete"], json!(true), "{report}");
    assert_refused(&keys(&folder, &[]).await, &["--management-key-file"]);
    let ended = bursar.end("INT").await;
    let log = fs::read_to_string(folder.join("log")).unwrap();
    assert!(
        log.contains("usage-sync {") && !ended.err.contains('{'),
        "the log is a file: {ended:?}"
    );
    assert!(
        !ended.err.contains(&key) && !log.contains(&key),
        "{ended:?} {log}"
    );
    for file in [
        "stand-ins/state.db",
        "stand-ins/state.db-wal",
        "table.db",
        "table.db-wal",
    ] {
        let bytes = fs::read(folder.join(file)).unwrap_or_default();
        assert!(
            !bytes
                .windows(key.len())
                .any(|window| window == key.as_bytes()),
            "{file}"
        );
    }
    // An ordinary key is no management key.
    let ordinary = make_key(&provider, "an ordinary key").await["key"]
        .as_str()
        .unwrap()
        .to_owned();
    fs::write(&file, format!("{ordinary}\n")).unwrap();
    let ended = refused(&data.path().join("another"), &arguments).await;
    assert_refused(&ended, &["--management-key-file"]);
    assert!(
        !ended.err.contains(&ordinary),
        "the key itself is in the message"
    );
    inbox(&provider.ready, "/settle", Some(json!({}))).await;
    let ended = provider.end("INT").await;
    assert!(
        ended.err.contains("mail {") && !account.path().join("log").exists(),
        "-v shows the log: {ended:?}"
    );
}

async fn keys(data: &Path, arguments: &[&str]) -> Ended {
    run(&[&["keys", "--data", data.to_str().unwrap()], arguments].concat()).await
}

async fn listed(data: &Path) -> Value {
    let listed = keys(data, &["--json"]).await;
    assert_eq!(listed.status.code(), Some(0), "{listed:?}");
    serde_json::from_str(&listed.out).unwrap()
}

fn key(id: &str) -> HashMap<String, AttributeValue> {
    [("pk", "TEST"), ("sk", id)]
        .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())))
        .into()
}

async fn management_key(bursar: &Bursar) -> String {
    secret(&bursar.ready).await.1["SecretString"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn make_key(bursar: &Bursar, name: &str) -> Value {
    let request = http().post(format!("{}/keys", bursar.ready.provider));
    let request = request
        .bearer_auth(management_key(bursar).await)
        .json(&json!({"name": name, "limit": 1}));
    let (status, made) = answer(request).await;
    assert_eq!(status, 201, "{made}");
    made
}
