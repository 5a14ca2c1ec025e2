//! Real browsers, driven through Debian's `chromedriver` over the WebDriver protocol. Only a dozen
//! of its JSON calls are needed, so they are written here.

use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use bursar_core::tls;
use data_encoding::BASE64;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The time that the driver waits for an element or a page.
const PATIENCE_MS: u64 = 10_000;
/// The field that identifies an element in the protocol's JSON, by the standard.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
pub(crate) const TAB: char = '\u{E004}';
pub(crate) const ENTER: char = '\u{E007}';
pub(crate) const SHIFT: char = '\u{E008}';
pub(crate) const PHONE: u32 = 390;
pub(crate) const DESK: u32 = 1280;
/// What a browser says of names in `Permissions-Policy` that only other browsers know.
const NAMES_MORE: &str = "Permissions-Policy header: Unrecognized feature";

/// The driver's process, with every browser that it opened.
pub(crate) struct Driver {
    process: Child,
    origin: String,
    http: Client,
    opened: Mutex<Vec<Browser>>,
}

/// One browser with cookies of its own.
#[derive(Clone)]
pub(crate) struct Browser {
    http: Client,
    session: String,
}

/// An element of the open page.
pub(crate) struct Element {
    browser: Browser,
    id: String,
}

impl Driver {
    pub(crate) async fn start() -> Driver {
        let mut command = Command::new("chromedriver");
        command
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // Read to the end, so that the driver never blocks on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let http = tls::loopback()
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Driver {
            process,
            origin: format!("http://127.0.0.1:{port}"),
            http,
            opened: Mutex::default(),
        }
    }

    /// A new browser without cookies or history, of this width.
    pub(crate) async fn open(&self, width: u32) -> Browser {
        let options = json!({
            "args": ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"],
        });
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"implicit": PATIENCE_MS, "pageLoad": 3 * PATIENCE_MS, "script": 3 * PATIENCE_MS},
        }}});
        let sessions = Browser {
            http: self.http.clone(),
            session: format!("{}/session", self.origin),
        };
        let made = sessions.post("", &wanted).await;
        let id = made["sessionId"].as_str().unwrap();
        let browser = Browser {
            session: format!("{}/{id}", sessions.session),
            ..sessions
        };
        self.opened.lock().unwrap().push(browser.clone());
        browser.shows(width, "light").await;
        browser
    }

    /// Ends every browser and the driver. Of a failure the last page of each is kept.
    pub(crate) async fn stop(mut self, has_failed: bool) {
        let opened = std::mem::take(&mut *self.opened.lock().unwrap());
        for (number, browser) in opened.iter().enumerate() {
            if has_failed {
                let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/browser"));
                std::fs::create_dir_all(folder).unwrap();
                let file = folder.join(format!("{number}.png"));
                std::fs::write(&file, browser.picture(None).await).unwrap();
                eprintln!(
                    "browser {number} is at {}: {}",
                    browser.address().await,
                    file.display()
                );
            }
            browser.call(Method::DELETE, "", None).await;
        }
        self.process.kill().await.unwrap();
    }
}

impl Browser {
    /// Gives the open page this width and these colours.
    pub(crate) async fn shows(&self, width: u32, scheme: &str) {
        // Not `mobile`: a page that is too wide would be zoomed out there, and seem to fit.
        let size = json!({"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size)
            .await;
        // Otherwise the driver clicks where an element was before smooth scrolling began.
        let still = json!({"name": "prefers-reduced-motion", "value": "reduce"});
        let media = json!({"features": [still, {"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &media).await;
    }

    pub(crate) async fn go(&self, url: &str) {
        self.post("/url", &json!({ "url": url })).await;
    }

    pub(crate) async fn forbid_scripts(&self) {
        self.devtools(
            "Emulation.setScriptExecutionDisabled",
            &json!({"value": true}),
        )
        .await;
    }

    pub(crate) async fn back(&self) {
        self.post("/back", &json!({})).await;
    }

    pub(crate) async fn address(&self) -> String {
        text(&self.call(Method::GET, "/url", None).await)
    }

    /// Waits for a page by its heading. It must fit the width, and the console must be silent but
    /// for `forgiven`.
    pub(crate) async fn reads(&self, heading: &str, forgiven: &str) {
        self.find("xpath", &format!("//h1[normalize-space()='{heading}']"))
            .await;
        let fits = self
            .run("return document.scrollingElement.scrollWidth <= window.innerWidth")
            .await;
        assert_eq!(fits, true, "{} is too wide", self.address().await);
        let said = self.post("/se/log", &json!({"type": "browser"})).await;
        let said = said
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line["message"].as_str().unwrap());
        let said: Vec<&str> = said.filter(|line| !line.contains(NAMES_MORE)).collect();
        let is_forgiven = said
            .iter()
            .all(|line| !forgiven.is_empty() && line.contains(forgiven));
        assert!(
            is_forgiven,
            "{}: the console says {said:?}",
            self.address().await
        );
    }

    /// The first element that matches, waited for.
    pub(crate) async fn one(&self, css: &str) -> Element {
        self.find("css selector", css).await
    }

    async fn find(&self, using: &str, what: &str) -> Element {
        let found = self
            .post("/element", &json!({"using": using, "value": what}))
            .await;
        Element {
            browser: self.clone(),
            id: text(&found[ELEMENT]),
        }
    }

    /// Types into a field of the form with this action.
    pub(crate) async fn types(&self, action: &str, field: &str, text: &str) {
        self.one(&format!("form[action='{action}'] [name='{field}']"))
            .await
            .write(text)
            .await;
    }

    /// Presses the button of the form with this action.
    pub(crate) async fn sends(&self, action: &str) {
        self.one(&format!("form[action='{action}'] button[type='submit']"))
            .await
            .click()
            .await;
    }

    /// Presses keys in turn at the element with the focus. Shift is held until the next key is
    /// released.
    pub(crate) async fn press(&self, keys: &str) {
        let stroke = |key| match key {
            SHIFT => vec![("keyDown", SHIFT)],
            _ => vec![("keyDown", key), ("keyUp", key), ("keyUp", SHIFT)],
        };
        let strokes = keys
            .chars()
            .flat_map(stroke)
            .map(|(kind, key)| json!({"type": kind, "value": key}));
        let keyboard =
            json!({"type": "key", "id": "keyboard", "actions": strokes.collect::<Vec<_>>()});
        self.post("/actions", &json!({"actions": [keyboard]})).await;
    }

    pub(crate) async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
            .await
    }

    /// The page as PNG, from its top to its bottom or to this height.
    pub(crate) async fn picture(&self, height: Option<f64>) -> Vec<u8> {
        let layout = self.devtools("Page.getLayoutMetrics", &json!({})).await;
        let (width, whole) = (
            &layout["cssContentSize"]["width"],
            layout["cssContentSize"]["height"].as_f64().unwrap(),
        );
        let clip =
            json!({"x": 0, "y": 0, "width": width, "height": height.unwrap_or(whole), "scale": 1});
        let wanted = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let picture = self.devtools("Page.captureScreenshot", &wanted).await;
        BASE64.decode(text(&picture["data"]).as_bytes()).unwrap()
    }

    async fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post(
            "/goog/cdp/execute",
            &json!({"cmd": command, "params": parameters}),
        )
        .await
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let request = self.http.request(method, format!("{}{path}", self.session));
        let request = if let Some(body) = body {
            request.json(body)
        } else {
            request
        };
        let answer = request.send().await.unwrap();
        let is_done = answer.status().is_success();
        let value = answer.json::<Value>().await.unwrap()["value"].take();
        assert!(
            is_done,
            "{path} {body:?}: {} {}",
            value["error"], value["message"]
        );
        value
    }
}

impl Element {
    /// The visible text of the element.
    pub(crate) async fn text(&self) -> String {
        text(
            &self
                .browser
                .call(Method::GET, &format!("/element/{}/text", self.id), None)
                .await,
        )
    }

    pub(crate) async fn click(&self) {
        self.browser
            .post(&format!("/element/{}/click", self.id), &json!({}))
            .await;
    }

    pub(crate) async fn write(&self, text: &str) {
        self.browser
            .post(
                &format!("/element/{}/value", self.id),
                &json!({ "text": text }),
            )
            .await;
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
