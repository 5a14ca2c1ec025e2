//! The account of a management key: what is asked before anything else, and what is asked at all.

use super::super::keys::KeyPresence;
use super::*;
use crate::domain::mail::alarm::Cause;
use crate::domain::values::id::DeploymentId;
use crate::scripted::{ScriptedAnswer, answer};
use crate::store::items::to_item;
use crate::store::{KnownAccount, Meta};

const DEPLOYMENT: &str = "0123456789";
const NEW: &str = "sk-or-v1-new";

/// The parts that a test can change while a deployment runs.
struct Scene {
    secret: String,
    account: Option<KnownAccount>,
    /// The provider's answer for a key, by its number.
    keys: Box<dyn FnMut(usize) -> ScriptedAnswer + Send>,
}

struct Deployed {
    scene: Arc<Mutex<Scene>>,
    server: Scripted,
    aws: Scripted,
    client: Provider,
}

fn fingerprint(key: &str) -> crate::domain::values::key::Fingerprint {
    let deployment: DeploymentId = DEPLOYMENT.parse().unwrap();
    ManagementKey::parse(key).unwrap().fingerprint(&deployment)
}

fn listed_by(key: &str, witnesses: &[usize]) -> Option<KnownAccount> {
    let witnesses = witnesses.iter().map(|number| hash(*number)).collect();
    Some(KnownAccount { management_key: fingerprint(key), witnesses })
}

fn found(number: usize) -> ScriptedAnswer {
    answer(200, &json!({"data": key_json(number)}).to_string())
}

fn not_there() -> ScriptedAnswer {
    answer(404, &error_json(404, "not found"))
}

async fn deployed(
    account: Option<KnownAccount>,
    keys: impl FnMut(usize) -> ScriptedAnswer + Send + 'static,
) -> Deployed {
    let scene = Arc::new(Mutex::new(Scene { secret: NEW.to_owned(), account, keys: Box::new(keys) }));
    let (of_provider, of_aws) = (Arc::clone(&scene), Arc::clone(&scene));
    let server = Scripted::start(move |request, _| match request.target.rsplit_once('/') {
        Some((_, hash)) if request.method == "GET" && hash.len() == 64 => {
            (of_provider.lock().unwrap().keys)(usize::from_str_radix(hash, 16).unwrap())
        }
        _ if request.method == "POST" => answer(201, &created_json()),
        _ => answer(
            200,
            &json!({"data": {"total_credits": 10, "total_usage": 1, "is_management_key": true}}).to_string(),
        ),
    })
    .await;
    let aws = Scripted::start(move |request, _| {
        let scene = of_aws.lock().unwrap();
        if request.target.starts_with("/secretsmanager") {
            return answer(200, &json!({"SecretString": scene.secret, "VersionId": "v", "Name": "s"}).to_string());
        }
        let meta = Meta {
            deployment: DEPLOYMENT.parse().unwrap(),
            table: "bursar".to_owned(),
            born: "2026-01-01T00:00:00Z".parse().unwrap(),
            account: scene.account.clone(),
        };
        answer(200, &json!({"Item": in_json(&to_item(&meta).unwrap())}).to_string())
    })
    .await;
    let config = config_of(&server, &aws);
    let mut client = Provider::new(&config, &Table::new(&config));
    Arc::get_mut(&mut client.http).unwrap().waits = Some(Waits::default());
    Deployed { scene, server, aws, client }
}

fn in_json(item: &crate::store::items::Item) -> Value {
    use aws_sdk_dynamodb::types::AttributeValue as A;
    fn of(value: &A) -> Value {
        match value {
            A::S(text) => json!({"S": text}),
            A::N(number) => json!({"N": number}),
            A::L(list) => json!({"L": list.iter().map(of).collect::<Vec<_>>()}),
            A::M(map) => json!({"M": in_json(map)}),
            other => panic!("{other:?}"),
        }
    }
    item.iter().map(|(name, value)| (name.clone(), of(value))).collect()
}

impl Deployed {
    fn asked(&self) -> Vec<String> {
        let asked = self.server.lines();
        asked.into_iter().map(|line| line.replace("/api/v1", "").replace(&"0".repeat(60), "…")).collect()
    }

    fn table_reads(&self) -> usize {
        self.aws.seen().iter().filter(|seen| seen.target.starts_with("/dynamodb")).count()
    }
}

#[tokio::test]
async fn a_key_that_the_table_names_is_asked_with_at_once_and_the_table_is_read_once() {
    let deployed = deployed(listed_by(NEW, &[1, 2]), found).await;
    deployed.client.prove_account(soon()).await.unwrap();
    let calls = (0..8).map(|number| {
        let client = deployed.client.clone();
        async move { client.get_key(&hash(number), soon()).await }
    });
    for found in futures_util::future::join_all(calls).await {
        assert!(matches!(found, Ok(KeyPresence::Key(_))));
    }
    assert_eq!((deployed.asked().len(), deployed.table_reads()), (8, 1));
}

#[tokio::test]
async fn a_key_that_the_table_does_not_name_asks_for_witnesses_before_any_other_call_and_one_found_is_enough() {
    let deployed =
        deployed(listed_by("sk-or-v1-old", &[1, 2, 3]), |number| if number == 1 { not_there() } else { found(number) })
            .await;
    let calls = (0..4).map(|_| {
        let client = deployed.client.clone();
        async move { client.credits(soon()).await }
    });
    assert!(futures_util::future::join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(deployed.asked()[..3], ["GET /keys/…0001", "GET /keys/…0002", "GET /credits"]);
    assert_eq!((deployed.asked().len(), deployed.table_reads()), (6, 1), "it is remembered");
    assert_eq!(deployed.client.take_refusal(), None);
}

#[tokio::test]
async fn a_key_of_another_account_is_asked_with_for_nothing_but_itself_and_the_witnesses() {
    let deployed = deployed(listed_by("sk-or-v1-old", &[1, 2]), |_| not_there()).await;
    let client = &deployed.client;
    client.check_management_key(soon()).await.unwrap();
    let refused = client.create_key(&new_key(), soon()).await;
    assert_eq!(ending(&refused), "another account");
    assert!(refused.unwrap_err().changed_nothing());
    let mut endings = vec![ending(&client.credits(soon()).await), ending(&client.get_key(&hash(9), soon()).await)];
    endings.push(ending(&client.disable_key(&hash(9), soon()).await));
    endings.push(ending(&client.workspaces(soon()).await));
    endings.push(ending(&client.prove_account(soon()).await));
    let pending = client.asked_with(ManagementKey::parse("sk-or-v1-pending").unwrap());
    endings.push(ending(&pending.credits(soon()).await));
    assert_eq!(endings, ["another account"; 6]);
    let witnesses = ["GET /keys/…0001", "GET /keys/…0002"];
    assert_eq!(deployed.asked(), [&["GET /key"][..], &witnesses, &witnesses].concat(), "once for each of the two keys");
    let cause = Some(Cause::AnotherAccount { management_key: fingerprint(NEW) });
    assert_eq!((client.take_refusal(), client.take_refusal()), (cause, None));
    // An admin confirms the account, so the next call accepts it.
    let confirmed = KnownAccount { witnesses: Vec::new(), management_key: fingerprint(NEW) };
    deployed.scene.lock().unwrap().account = Some(confirmed);
    client.credits(soon()).await.unwrap();
}

#[tokio::test]
async fn the_right_key_that_was_put_back_is_read_before_the_wrong_one_is_believed() {
    let deployed = deployed(listed_by("sk-or-v1-right", &[1]), |_| not_there()).await;
    let wrong = deployed.client.management_keys().current().await.unwrap();
    deployed.scene.lock().unwrap().secret = "sk-or-v1-right".to_owned();
    assert_eq!(wrong, ManagementKey::parse(NEW).unwrap());
    assert_eq!(ending(&deployed.client.create_key(&new_key(), soon()).await), "done");
    assert_eq!(deployed.asked(), ["GET /keys/…0001", "POST /keys"]);
}

#[tokio::test]
async fn what_is_neither_a_key_nor_the_providers_own_404_proves_nothing() {
    let answers: [fn() -> ScriptedAnswer; 4] = [
        || answer(404, "<html>no such page</html>"),
        || answer(500, &error_json(500, "oops")),
        || answer(200, "<html>busy</html>"),
        || answer(429, &error_json(429, "slow down")),
    ];
    for odd in answers {
        let deployed = deployed(listed_by("sk-or-v1-old", &[1]), move |_| odd()).await;
        assert_eq!(ending(&deployed.client.create_key(&new_key(), soon()).await), "later");
        assert_eq!(ending(&deployed.client.credits(soon()).await), "later");
        assert!(deployed.asked().iter().all(|line| line == "GET /keys/…0001"), "{:?}", deployed.asked());
        assert_eq!(deployed.client.take_refusal(), None);
        deployed.scene.lock().unwrap().keys = Box::new(found);
        assert_eq!(ending(&deployed.client.create_key(&new_key(), soon()).await), "done");
    }
    let refused = deployed(listed_by("sk-or-v1-old", &[1]), |_| answer(401, &error_json(401, "User not found."))).await;
    assert_eq!(ending(&refused.client.credits(soon()).await), "management key");
}

#[tokio::test]
async fn with_no_witness_yet_any_key_passes() {
    let unwitnessed = Some(KnownAccount { management_key: fingerprint("sk-or-v1-old"), witnesses: Vec::new() });
    for account in [None, unwitnessed] {
        let deployed = deployed(account, found).await;
        deployed.client.credits(soon()).await.unwrap();
        deployed.client.credits(soon()).await.unwrap();
        assert_eq!((deployed.asked(), deployed.table_reads()), (vec!["GET /credits".to_owned(); 2], 1));
    }
}

#[test]
fn a_fingerprint_is_of_one_key_and_one_deployment_and_tells_nothing_of_the_key() {
    let of = |key: &str, deployment: &str| ManagementKey::parse(key).unwrap().fingerprint(&deployment.parse().unwrap());
    assert_eq!(of("sk-or-v1-a", DEPLOYMENT), of(" sk-or-v1-a\n", DEPLOYMENT));
    assert_ne!(of("sk-or-v1-a", DEPLOYMENT), of("sk-or-v1-b", DEPLOYMENT));
    assert_ne!(of("sk-or-v1-a", DEPLOYMENT), of("sk-or-v1-a", "9876543210"));
    assert!(!of("sk-or-v1-a", DEPLOYMENT).as_str().contains("sk-or"));
}

#[tokio::test]
async fn a_witness_is_looked_for_afresh_and_none_is_found_where_none_is_known() {
    let deployed =
        deployed(listed_by(NEW, &[1, 2]), |number| if number == 1 { not_there() } else { found(number) }).await;
    for _ in 0..2 {
        assert!(deployed.client.finds_a_witness(soon()).await.unwrap());
    }
    assert_eq!(deployed.asked(), ["GET /keys/…0001", "GET /keys/…0002", "GET /keys/…0001", "GET /keys/…0002"]);
    deployed.scene.lock().unwrap().keys = Box::new(|_| not_there());
    assert!(!deployed.client.finds_a_witness(soon()).await.unwrap());
    deployed.scene.lock().unwrap().account = None;
    assert!(!deployed.client.finds_a_witness(soon()).await.unwrap());
    deployed.scene.lock().unwrap().account = listed_by("sk-or-v1-old", &[1]);
    let pending = deployed.client.asked_with(ManagementKey::parse("sk-or-v1-pending").unwrap());
    assert_eq!(ending(&pending.finds_a_witness(soon()).await), "another account");
}
