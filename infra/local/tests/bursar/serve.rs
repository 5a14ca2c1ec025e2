//! `bursar serve` as a process: a mail server takes its mails, and a simulated provider stands
//! where the real one will.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bursar_core::clock::Moment;
use bursar_local::state_file::StateFile;
use bursar_local::visitor::Visitor;
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio::net::UnixDatagram;

use crate::process::{Bursar, Ended, answer, http, run, secret};
use crate::smtp::MailServer;

const ADMIN: &str = "admin@example.edu";
const STUDENT: &str = "stu.dent@example.edu";
const NOBODY: &str = "nobody@example.edu";
const PROGRAMME: &str = "/console/programmes/cs-pilot";

#[derive(Deserialize)]
struct Ready {
    web: String,
    health: String,
}

/// All that a `serve` needs, in a folder with its settings.
struct Place {
    place: TempDir,
    smtp: MailServer,
    provider: Bursar,
    config: PathBuf,
    data: PathBuf,
}

impl Place {
    async fn new() -> Place {
        let place = tempdir().unwrap();
        let provider = Bursar::start(&place.path().join("provider")).await;
        let smtp = MailServer::start().await;
        let key = place.path().join("key");
        fs::write(
            &key,
            secret(&provider.ready).await.1["SecretString"]
                .as_str()
                .unwrap(),
        )
        .unwrap();
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        let config = place.path().join("bursar.toml");
        let data = place.path().join("data");
        let web = free_port();
        let settings = format!(
            "origin = 'http://127.0.0.1:{web}'\nlisten = '127.0.0.1:{web}'\nhealth = '127.0.0.1:0'\ndata = '{}'\nmail_from = 'credit@example.edu'\n\
             admins = ['{ADMIN}']\ninstitution = 'Example College'\nprovider = '{}'\nmanagement_key_file = '{}'\nsmtp = 'smtp://{}'\n",
            data.display(),
            provider.ready.provider,
            key.display(),
            smtp.address,
        );
        fs::write(&config, settings).unwrap();
        fs::set_permissions(&config, Permissions::from_mode(0o600)).unwrap();
        Place {
            place,
            smtp,
            provider,
            config,
            data,
        }
    }

    fn arguments(&self) -> [&str; 3] {
        ["serve", "--config", self.config.to_str().unwrap()]
    }

    async fn serve(&self) -> Bursar<Ready> {
        Bursar::begin_as(&self.arguments()).await.unwrap()
    }

    async fn refused(&self) -> Ended {
        Bursar::<Ready>::begin_as(&self.arguments())
            .await
            .err()
            .unwrap()
    }

    async fn signed_in(&self, web: &str, address: &str) -> Visitor {
        let visitor = Visitor::new(web, web).unwrap();
        let page = visitor.get("/").await.unwrap();
        visitor
            .submit(&page, "/link", &[("address", address)])
            .await
            .unwrap()
            .expect(202)
            .unwrap();
        let mail = self.smtp.mail(address, "link").await;
        let link = mail
            .lines()
            .find_map(|line| Some(line[line.find("/c/")?..].trim()))
            .unwrap();
        visitor
            .submit(&visitor.get(link).await.unwrap(), link, &[])
            .await
            .unwrap()
            .expect(303)
            .unwrap();
        visitor
    }
}

/// A port that nothing listens at now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Reads a page until it says this: what a mail server said of a mail is recorded a moment after
/// it.
async fn reads(visitor: &Visitor, path: &str, words: &str) {
    let begun = Instant::now();
    loop {
        let page = visitor.get(path).await.unwrap().expect(200).unwrap();
        if page.body.contains(words) {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(90),
            "{words} is not in {}",
            page.body
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The ports of a process at which something listens, each with whether it is on loopback.
fn ports_of(process: u32) -> Vec<(u16, bool)> {
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let open: Vec<String> = open
        .filter_map(|link| {
            Some(
                fs::read_link(link.ok()?.path())
                    .ok()?
                    .to_string_lossy()
                    .into_owned(),
            )
        })
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let sockets = ["tcp", "tcp6", "udp", "udp6"]
        .map(|kind| fs::read_to_string(format!("/proc/{process}/net/{kind}")));
    let sockets = sockets.into_iter().flatten().collect::<String>();
    let mut ports = Vec::new();
    for socket in sockets.lines() {
        let fields: Vec<&str> = socket.split_whitespace().collect();
        // The state of a socket that listens, and of one for packets without a peer.
        let listens = fields
            .get(3)
            .is_some_and(|state| *state == "0A" || *state == "07");
        if listens
            && fields
                .get(9)
                .is_some_and(|inode| open.iter().any(|open| open == inode))
        {
            let (host, port) = fields[1].split_once(':').unwrap();
            ports.push((u16::from_str_radix(port, 16).unwrap(), host == "0100007F"));
        }
    }
    ports.sort_unstable();
    ports
}

/// A student gets a key, the pages say to whom mail was handed and that nobody's came back, a kill
/// loses nothing, and nothing but pages and health has a port.
#[tokio::test]
async fn a_first_student_gets_a_key() {
    let place = Place::new().await;
    let serving = place.serve().await;
    let web = serving.ready.web.clone();
    let admin = place.signed_in(&web, ADMIN).await;
    let today = bursar_core::clock::Moment::now().to_string()[..10].to_owned();
    let ends = format!("{}-12-31", today[..4].parse::<i32>().unwrap() + 1);
    let fields = [
        ("name", "CS pilot"),
        ("starts_on", today.as_str()),
        ("ends_on", &ends),
        ("timezone", "UTC"),
        ("cap_usd", "1"),
        ("budget_usd", "100"),
        ("faculty", "faye@example.edu"),
    ];
    let form = admin.get("/console/programmes/new").await.unwrap();
    admin
        .submit(&form, "/console/programmes", &fields)
        .await
        .unwrap()
        .expect(303)
        .unwrap();
    let roster = format!("{PROGRAMME}/roster");
    let file = format!("email\n{STUDENT}\n{NOBODY}\n");
    let page = admin.get(&roster).await.unwrap();
    let preview = admin
        .upload(&page, &roster, &[], "roster.csv", file.as_bytes())
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    admin
        .submit(&preview, &format!("{roster}/apply"), &[])
        .await
        .unwrap()
        .expect(303)
        .unwrap();
    reads(&admin, &format!("{PROGRAMME}/grants"), NOBODY).await;

    let student = place.signed_in(&web, STUDENT).await;
    let my = student.get("/my").await.unwrap().expect(200).unwrap();
    let shown = student
        .submit(&my, "/my/cs-pilot/reveal", &[])
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    let key = shown.text("key").unwrap();
    place.smtp.mail(STUDENT, "key-shown").await;
    let grants = admin.get(&format!("{PROGRAMME}/grants")).await.unwrap();
    let grant = |email: &str| {
        let row = grants
            .all("grant")
            .into_iter()
            .find(|grant| grant.get("data-email") == email)
            .unwrap();
        format!("{PROGRAMME}/grants/{}", row.get("data-grant"))
    };
    let handed = format!("handed to {}", place.smtp.address);
    reads(&admin, &grant(STUDENT), &handed).await;
    reads(&student, "/my/data", &handed).await;
    let visitor = Visitor::new(&web, &web).unwrap();
    let page = visitor.get("/").await.unwrap();
    visitor
        .submit(&page, "/link", &[("address", NOBODY)])
        .await
        .unwrap()
        .expect(202)
        .unwrap();
    reads(&admin, &grant(NOBODY), "mail to it came back for good").await;

    // What is kept lies here, and nowhere else.
    let privacy = student
        .get("/privacy")
        .await
        .unwrap()
        .expect(200)
        .unwrap()
        .body;
    assert!(
        privacy.contains("a server that Example College runs") && !privacy.contains("Amazon"),
        "{privacy}"
    );

    // A monitor of this machine, and nobody's page.
    let health = format!("{}/health", serving.ready.health);
    let (status, told) = answer(http().get(&health)).await;
    assert_eq!((status, &told["dead_letters"]), (200, &json!(0)), "{told}");
    for (header, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        assert_eq!(
            http()
                .get(&health)
                .header(header, value)
                .send()
                .await
                .unwrap()
                .status(),
            403,
            "{header}"
        );
    }
    let (status, told) = answer(http().post(format!("{}/sync", serving.ready.health))).await;
    assert_eq!(status, 202, "{told}");
    let port = |origin: &str| origin.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    for host in [
        "evil.example".to_owned(),
        format!("localhost:{}", port(&web)),
    ] {
        assert_eq!(
            http()
                .get(&web)
                .header("host", &host)
                .send()
                .await
                .unwrap()
                .status(),
            403,
            "{host}"
        );
    }
    let mut ports = [(port(&web), true), (port(&serving.ready.health), true)];
    ports.sort_unstable();
    assert_eq!(ports_of(serving.id()), ports);

    // A second one is refused, and a check is not.
    let refused = place.refused().await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(
        refused.err.contains("is in use by another bursar"),
        "{refused:?}"
    );
    let checked = run(&[&place.arguments()[..], &["--check"]].concat()).await;
    assert_eq!(
        (checked.status.code(), checked.out.as_str()),
        (Some(0), "all is right\n"),
        "{checked:?}"
    );

    serving.end("KILL").await;
    let serving = place.serve().await;
    let my = student.get("/my").await.unwrap().expect(200).unwrap();
    assert_eq!(my.attribute("grant", "data-state").as_deref(), Some("live"));
    let messages = json!([{"role": "user", "content": "hello"}]);
    let request =
        json!({"model": "anthropic/claude-opus-4.5", "max_tokens": 100, "messages": messages});
    let spent = http()
        .post(format!(
            "{}/chat/completions",
            place.provider.ready.provider
        ))
        .bearer_auth(&key);
    assert_eq!(answer(spent.json(&request)).await.0, 200);
    let ended = serving.end("TERM").await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(
        ended.err.contains("claim {"),
        "the log goes to the journal: {ended:?}"
    );
    assert!(
        !ended.err.contains(STUDENT) && !place.data.join("log").exists(),
        "{ended:?}"
    );
    // No mail is kept.
    let kept = fs::read(place.data.join("stand-ins/state.db")).unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains("stu.dent"));
    place.provider.end("INT").await;
}

/// Asks as a monitor does until it is answered so, and returns the answer.
async fn monitored(ready: &Ready, is_expected: impl Fn(u16, &Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let (status, told) = answer(http().get(format!("{}/health", ready.health))).await;
        if is_expected(status, &told) {
            return told;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "{status} {told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// After hours in which nothing ran all is made up for at the start. systemd hears of each turn,
/// whatever else is wrong.
#[tokio::test]
async fn systemd_and_a_monitor_hear() {
    let place = Place::new().await;
    place.serve().await.end("TERM").await;
    let kept = StateFile::open(&place.data.join("stand-ins/state.db")).unwrap();
    let hours_ago = Moment::now() - SignedDuration::from_hours(5);
    let schedules = kept.list::<Value>("schedules").unwrap().into_iter();
    for (id, mut runs) in schedules.filter(|(id, _)| !id.starts_with("usage-sync")) {
        for moment in ["since", "last", "done"] {
            runs[moment] = json!(hours_ago);
        }
        kept.put("schedules", &id, &runs).unwrap();
    }
    let letter = json!({"at": Moment::now(), "function": "mail", "about": [1, 2], "tries": 3, "error": "any"});
    kept.put("dead-letters", "0000000000", &letter).unwrap();
    let socket = place.place.path().join("notify");
    let systemd = UnixDatagram::bind(&socket).unwrap();
    let variables = [("NOTIFY_SOCKET", socket.as_path())];
    let serving = Bursar::<Ready>::begin_under(&place.arguments(), &variables)
        .await
        .unwrap();
    let problem = json!(["Within the last four days an event was given up: the log says which."]);
    let told = monitored(&serving.ready, |status, told| {
        status == 503 && told["problems"] == problem
    })
    .await;
    assert!(
        ["drain_s", "watch_s"]
            .iter()
            .all(|age| told[age].as_i64().unwrap() < 600),
        "{told}"
    );
    assert_eq!(
        (&told["dead_letters"], &told["complete_sync_s"]),
        (&json!(1), &Value::Null),
        "{told}"
    );
    let mut heard = BTreeSet::new();
    while heard.len() < 2 {
        let mut state = [0; 64];
        let length = tokio::time::timeout(Duration::from_secs(90), systemd.recv(&mut state))
            .await
            .unwrap()
            .unwrap();
        heard.insert(String::from_utf8_lossy(&state[..length]).into_owned());
    }
    assert_eq!(heard, ["READY=1", "WATCHDOG=1"].map(str::to_owned).into());
    serving.end("TERM").await;

    // A copy begins the sync that recovers it by itself. What was given up is left behind.
    let at = |name: &str| place.place.path().join(name).to_str().unwrap().to_owned();
    let data = place.data.to_str().unwrap();
    assert!(
        run(&["backup", &at("copies"), "--data", data])
            .await
            .status
            .success()
    );
    assert!(
        run(&["restore", &at("copies"), "--data", &at("new")])
            .await
            .status
            .success()
    );
    let settings = fs::read_to_string(&place.config).unwrap();
    fs::write(&place.config, settings.replace(data, &at("new"))).unwrap();
    let restored = place.serve().await;
    let told = monitored(&restored.ready, |_, told| {
        told["complete_sync_s"].is_number()
    })
    .await;
    assert_eq!(
        (&told["dead_letters"], &told["problems"]),
        (&json!(0), &json!([])),
        "{told}"
    );
    restored.end("TERM").await;
    place.provider.end("INT").await;
}

/// Everything that is wrong is said at once, a line each, by what it is called and with an example;
/// nothing is made.
#[tokio::test]
async fn all_that_is_wrong_is_said() {
    let place = Place::new().await;
    let key = place.place.path().join("key");
    let settings = fs::read_to_string(&place.config).unwrap();
    let says = async |settings: &str, lines: &[&str]| {
        fs::write(&place.config, settings).unwrap();
        let ended = place.refused().await;
        assert_eq!(
            (ended.status.code(), ended.err.lines().count()),
            (Some(2), lines.len()),
            "{lines:?}: {ended:?}"
        );
        for (said, line) in ended.err.lines().zip(lines) {
            assert!(
                said.starts_with(&format!("bursar: {line}")),
                "{line}: {said}"
            );
            assert!(
                said.contains("; for example: ") || said.contains("; known are: origin, "),
                "{said}"
            );
        }
    };
    let missing = [
        "origin",
        "mail_from",
        "admins",
        "institution",
        "management_key_file",
        "smtp",
    ]
    .map(|name| format!("{name} is missing"));
    says("", &missing.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let with = |line: &str| {
        let name = line.split(' ').next().unwrap();
        let kept = settings
            .lines()
            .filter(|kept| !kept.starts_with(&format!("{name} ")));
        kept.chain([line]).collect::<Vec<_>>().join("\n")
    };
    for (line, why) in [
        ("colour = 'red'", "colour in "),
        (
            "origin = 'http://credit.example.edu'",
            "origin must begin with https://",
        ),
        ("admins = ['somebody']", "admins is not an address"),
        ("admins = [1]", "admins must be a text"),
        (
            "provider = 'http://openrouter.example'",
            "provider must begin with https://",
        ),
        (
            "management_key_file = '/nowhere'",
            "management_key_file names /nowhere, which cannot be read",
        ),
        ("smtp = 'mail.example.edu'", "smtp must be like"),
        (
            "smtp = 'smtp://credit@127.0.0.1:25'",
            "smtp names a user, so smtp_password_file is needed",
        ),
        (
            "smtp = 'smtps://credit:word@mail.example.edu:465'",
            "smtp must not hold a password",
        ),
        (
            "smtp_password_file = '/nowhere'",
            "smtp_password_file names /nowhere",
        ),
        ("mail_rate = 0", "mail_rate must be a number"),
        ("sync_hour = 24", "sync_hour must be a number"),
        ("listen = '0.0.0.0:0'", "listen is not on loopback"),
        ("health = '0.0.0.0:0'", "health is not on loopback"),
        ("listen = 'localhost'", "listen must be an IP address"),
        ("retention_days = 7", "retention_days must be"),
        ("front_secret = 'short'", "front_secret must be"),
        (
            "sign_on_issuer = 'https://login.example.edu/common'\nsign_on_client_id = 'bursar'\nsign_on_secret = 'word'",
            "sign_on_issuer must name one tenant",
        ),
        (
            "sign_on_issuer = 'https://login.example.edu'\nsign_on_secret = 'word'",
            "sign_on_client_id is missing",
        ),
        ("front_user = 'on'", "front_user needs"),
    ] {
        says(&with(line), &[why]).await;
    }
    let user = format!(
        "{}\nsmtp_password_file = '{}'\n",
        with("smtp = 'smtp://credit@127.0.0.1:25'"),
        key.display()
    );
    says(
        &user,
        &["smtp names a user, whose password is sent encrypted only"],
    )
    .await;
    fs::set_permissions(&place.config, Permissions::from_mode(0o644)).unwrap();
    says(
        &with("front_secret = 'aaaaaaaaaabbbbbbbbbb'"),
        &["front_secret is in "],
    )
    .await;
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    says(&settings, &["management_key_file names "]).await;
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    assert!(!place.data.exists(), "nothing was made");

    let checked = |ended: &Ended, lines: [&str; 2]| {
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        assert!(
            lines.iter().all(|line| ended.err.contains(line)),
            "{ended:?}"
        );
    };
    let shut = free_port();
    fs::write(
        &place.config,
        with(&format!("smtp = 'smtp://127.0.0.1:{shut}'")),
    )
    .unwrap();
    fs::write(&key, "sk-or-v1-nobodys").unwrap();
    let ended = run(&[&place.arguments()[..], &["--check"]].concat()).await;
    checked(
        &ended,
        [
            "bursar: management_key_file: the provider at ",
            "bursar: smtp: 127.0.0.1:",
        ],
    );
    fs::create_dir(&place.data).unwrap();
    fs::write(place.data.join("thesis"), "mine").unwrap();
    checked(
        &run(&[&place.arguments()[..], &["--check"]].concat()).await,
        ["smtp: ", "data: "],
    );
    fs::write(&place.config, &settings).unwrap();
    checked(
        &place.refused().await,
        ["files that Bursar did not make", ""],
    );
    assert_eq!(files(&place.data), ["thesis"]);
    place.provider.end("INT").await;
}

fn files(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}
