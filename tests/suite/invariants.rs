//! Each check of the judge is broken by hand: a correct stack is changed in one place, and the watch must report exactly that.

mod table;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::clock::Clock;
use bursar_core::domain::grant::{Attempt, Grant};
use bursar_core::domain::values::id::{Epoch, GrantId, KeyName};
use bursar_core::store::Meta;
use bursar_core::store::items::Stored;
use bursar_core::store::keys::ItemKey;
use bursar_local::invoke::{Between, FunctionName};
use bursar_local::provider::{MadeKey, Nano, Provider};
use bursar_local::ses::Ses;
use bursar_local::state_file::StateFile;
use bursar_tests::aws;
use bursar_tests::faults::{Fault, Gate};
use bursar_tests::invariants::{Answers, RawTable, Snapshot, Watch};
use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::store::Bench;
use crate::store::acts::{Start, now};

/// A stack that was checked once, without a violation.
struct Scene {
    table: RawTable,
    provider: Provider,
    answers: Answers,
    logs: Arc<Mutex<Vec<String>>>,
    mail_origin: String,
    /// The moment of the first check.
    now: Timestamp,
    passed: Arc<AtomicI64>,
    watch: Watch,
    gate: Gate,
    /// Where `console` finds the provider.
    console: String,
    ada: GrantId,
    _bench: Bench,
}

impl Scene {
    async fn at(start: Start) -> Scene {
        let ((bench, seen), now) = (Bench::at(start).await, now());
        let table = bench.raw.clone();
        let (born, passed) = (now, Arc::new(AtomicI64::new(0)));
        let told = passed.clone();
        let clock = Clock::reading(move || now + SignedDuration::from_secs(told.load(Ordering::SeqCst)));
        table
            .keep(&Meta { deployment: DEPLOYMENT.parse().unwrap(), table: "bursar".to_owned(), born, account: None })
            .await
            .unwrap();

        let (answers, logs) = (Answers::default(), Arc::<Mutex<Vec<String>>>::default());
        let provider = Provider::new(StateFile::in_memory().unwrap(), clock.clone(), MANAGEMENT).unwrap();
        let ses = Ses::new(StateFile::in_memory().unwrap(), clock.clone()).unwrap();
        let mail_origin = aws::serve(ses.router()).await;
        let gate = bench.gate.clone();
        let provider_at = aws::serve(gate.before(provider.router())).await;
        let lines = logs.clone();
        let mut watch = Watch::over(table.clone(), clock)
            .with_provider(provider.clone())
            .with_gate(gate.clone())
            .with_mails(ses)
            .with_stream(bench.engine.clone())
            .with_answers(answers.clone())
            .with_logs(move || lines.lock().unwrap().clone());
        watch.check().await;
        let console = format!("{provider_at}/{}/1/api/v1", FunctionName::Console);
        let ada = seen.grant.id;
        Scene { table, provider, answers, logs, mail_origin, now, passed, watch, gate, console, ada, _bench: bench }
    }

    fn now(&self) -> Timestamp {
        self.now + SignedDuration::from_secs(self.passed.load(Ordering::SeqCst))
    }

    fn pass(&self, time: SignedDuration) {
        self.passed.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    fn seen(&self) -> &Snapshot {
        self.watch.seen().unwrap()
    }

    /// The first person's grant.
    fn grant(&self) -> Grant {
        self.seen().grants.values().find(|grant| grant.id == self.ada).unwrap().clone()
    }

    async fn keep<T: Stored>(&self, value: &T) {
        self.table.keep(value).await.unwrap();
    }

    /// Changes the first person's grant in the table.
    async fn edit(&self, change: impl FnOnce(&mut Grant)) -> Grant {
        let mut grant = self.grant();
        change(&mut grant);
        self.keep(&grant).await;
        grant
    }

    /// Changes one attribute of an item.
    async fn set(&self, ItemKey { pk, sk }: ItemKey, name: &str, value: AttributeValue) {
        let mut item = self.seen().items[&(pk, sk)].clone();
        item.insert(name.to_owned(), value);
        self.table.put(item).await.unwrap();
    }

    async fn remove(&self, ItemKey { pk, sk }: ItemKey) {
        let delete = self.table.client().delete_item().table_name("bursar");
        delete.key("pk", AttributeValue::S(pk)).key("sk", AttributeValue::S(sk)).send().await.unwrap();
    }

    /// Makes a key at the provider for an attempt.
    fn make_key(&self, attempt: &Attempt) -> MadeKey {
        let name = KeyName {
            deployment: DEPLOYMENT.parse().unwrap(),
            programme: self.grant().programme,
            grant: self.ada.clone(),
            epoch: attempt.epoch,
            nonce: attempt.nonce.clone(),
        };
        self.provider.add_foreign_key(&name.to_string(), Some(Nano::usd(20)), self.now()).unwrap()
    }

    /// Makes a key at the provider and records it in the attempt, and in the grant if that attempt is live.
    async fn make_recorded_key(&self, epoch: u32) -> MadeKey {
        let made = self.make_key(self.grant().attempt(Epoch::new(epoch)).unwrap());
        let hash: bursar_core::domain::values::key::KeyHash = made.hash.parse().unwrap();
        self.edit(|grant| {
            let attempt = grant.attempts.iter_mut().find(|attempt| attempt.epoch == Epoch::new(epoch)).unwrap();
            if let bursar_core::domain::grant::GrantState::Live { key } = &mut grant.state
                && Some(&*key) == attempt.key.as_ref()
            {
                key.clone_from(&hash);
            }
            attempt.key = Some(hash);
        })
        .await;
        made
    }

    /// Sends a change of a key as the product does, with this fault of the call.
    async fn patch(&self, key: &MadeKey, fault: Option<Fault>, body: serde_json::Value) {
        if let Some(fault) = fault {
            self.gate.at("provider:PATCH /keys/{hash}", fault);
        }
        let url = format!("{}/keys/{}", self.console, key.hash);
        // A lost answer is one of the faults.
        aws::http().patch(url).bearer_auth(MANAGEMENT).json(&body).send().await.ok();
    }

    fn answer(&self, body: &str) {
        self.answers
            .note(&json!({ "statusCode": 200, "body": BASE64.encode(body.as_bytes()), "isBase64Encoded": true }));
    }

    async fn mail_with(&self, headers: &[(&str, &str)], text: &str) {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let raw = format!("From: bursar@uni.edu\r\nTo: ada@uni.edu\r\n{headers}Subject: hello\r\n\r\n{text}\r\n");
        let form = [
            ("Action", "SendRawEmail"),
            ("Source", "bursar@uni.edu"),
            ("Destinations.member.1", "ada@uni.edu"),
            ("RawMessage.Data", &BASE64.encode(raw.as_bytes())),
        ];
        let body: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", value.replace('+', "%2B"))).collect();
        let post = aws::http().post(&self.mail_origin).body(body.join("&"));
        let sent = post.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        assert!(sent.status().is_success(), "{}", sent.text().await.unwrap());
    }

    /// Takes the present moment as correct.
    async fn accept(&mut self) {
        self.watch.violations(false).await.unwrap();
    }
}

const MANAGEMENT: &str = "sk-or-v1-management";
const DEPLOYMENT: &str = "de00000000";
