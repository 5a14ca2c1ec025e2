//! The coding agents of a student's page: each set up as the page says, letter by letter, and asked
//! for one thing. What they call notes each request and refuses it. `cargo xtask long
//! coding-agents` installs the agents and names their folders.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::{Json, Router};
use bursar_tests::campus::Campus;
use bursar_tests::stack::Setup;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

const REFUSAL: &str = "This request requires more credits, or fewer max_tokens.";

/// The requests so far, each once: its path, credential and title, its model and its longest
/// answer.
type Requests = Arc<Mutex<BTreeSet<String>>>;

async fn refuse(
    State(requests): State<Requests>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Json<Value>) {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(model) = body["model"].as_str() {
        assert!(
            !headers.contains_key("referer") && !headers.contains_key("http-referer"),
            "{headers:?}"
        );
        let [key, title] =
            ["authorization", "x-openrouter-title"].map(|name| headers[name].to_str().unwrap());
        let noted = format!(
            "{}, {key}, {title}: {model}, {}",
            uri.path(),
            body["max_tokens"]
        );
        requests.lock().unwrap().insert(noted);
    }
    (
        StatusCode::PAYMENT_REQUIRED,
        Json(json!({ "error": { "code": 402, "message": REFUSAL } })),
    )
}

/// Both models of an agent, that of its work and that of its small jobs, are ones that the key may
/// call.
#[tokio::test]
async fn coding_agents_call_allowed_models() {
    let agents = std::env::var("BURSAR_TEST_AGENTS").expect("use cargo xtask long");
    let path = format!("{agents}:{}", std::env::var("PATH").unwrap());
    let requests = Requests::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let spend_at = Some(format!("http://{}/api/v1", listener.local_addr().unwrap()));
    let router = Router::new().fallback(refuse).with_state(requests.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let mut campus = Campus::of(Setup {
        spend_at,
        ..Setup::default()
    })
    .await;
    let models = [
        "anthropic/claude-opus-4.5",
        "openai/gpt-4o",
        "openai/gpt-4o-mini",
    ]
    .map(str::to_owned);
    campus
        .programme("O'Neil's \"CS\" {pilot}", |settings| {
            settings.rules.all.models = models.to_vec();
        })
        .await;
    campus.work().await;
    campus.students(&["ada"]).await;
    let ada = campus.student("ada").await;
    let key = campus.reveal(&ada).await;
    campus.sync().await;
    let examples = ada.get("/my").await.expect(200).examples();
    let block = |words: &str| {
        examples
            .iter()
            .find(|example| example.contains(words))
            .unwrap()
    };

    // A shell with a home of its own, where an agent finds a project.
    let ask = async |lines: String| {
        let home = tempfile::tempdir().unwrap();
        let mut shell = Command::new("timeout");
        shell.args([
            "120",
            "bash",
            "-c",
            &format!("git init -q p; cd p; echo Hello. > a; git add a\n{lines}"),
        ]);
        shell
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", &path)
            .env("OPENROUTER_API_KEY", &key);
        let output = shell
            .current_dir(home.path())
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        assert!(format!("{output:?}").contains(REFUSAL), "{output:?}");
        let seen = Vec::from_iter(std::mem::take(&mut *requests.lock().unwrap()));
        seen.join("\n").replace(&key, "KEY")
    };
    let claude = block("ANTHROPIC_BASE_URL");
    let seen = ask(format!(
        "{claude}\nclaude --print Hello.\nclaude --print --model haiku Hello."
    ))
    .await;
    insta::assert_snapshot!(seen, @r#"
    /api/v1/messages, Bearer KEY, O'Neil's "CS" pilot: anthropic/claude-opus-4.5, 16000
    /api/v1/messages, Bearer KEY, O'Neil's "CS" pilot: openai/gpt-4o-mini, 16000
    "#);
    let codex = block("[model_providers.");
    let file = "mkdir ~/.codex; cat > ~/.codex/config.toml";
    let seen = ask(format!(
        "{file} <<'END'\n{codex}\nEND\ncodex exec Hello.\ncodex review --uncommitted"
    ))
    .await;
    insta::assert_snapshot!(seen, @r#"/api/v1/responses, Bearer KEY, O'Neil's "CS" pilot: openai/gpt-4o, null"#);
    let opencode = block("small_model");
    let file = "mkdir -p ~/.config/opencode; cat > ~/.config/opencode/opencode.json";
    let seen = ask(format!(
        "{file} <<'END'\n{opencode}\nEND\nopencode run Hello."
    ))
    .await;
    insta::assert_snapshot!(seen, @r#"
    /api/v1/chat/completions, Bearer KEY, O'Neil's "CS" pilot: anthropic/claude-opus-4.5, 16000
    /api/v1/chat/completions, Bearer KEY, O'Neil's "CS" pilot: openai/gpt-4o-mini, 16000
    "#);
    campus.finish().await;
}
