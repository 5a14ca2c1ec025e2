//! Real browsers, driven through Debian's `chromedriver` over the WebDriver protocol. Only a dozen of its JSON
//! calls are needed, so they are written here. What is expected of a page is the caller's concern.

use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
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

/// The driver's process, with every browser that it opened.
pub(crate) struct Driver {
    process: Child,
    origin: String,
    http: Client,
    sessions: Mutex<Vec<Browser>>,
}

pub(crate) const PHONE: u32 = 390;
pub(crate) const DESK: u32 = 1280;

/// One browser with cookies of its own.
#[derive(Clone)]
pub(crate) struct Browser {
    http: Client,
    session: String,
}

/// An element of the open page.
#[derive(Clone)]
pub(crate) struct Element {
    browser: Browser,
    id: String,
}

impl Driver {
    pub(crate) async fn start() -> Result<Driver> {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("chromedriver does not start: is Debian's package chromium-driver there?")?;
        let out = process.stdout.take().context("its output is not a pipe")?;
        let mut lines = BufReader::new(out).lines();
        let port = loop {
            let line = lines.next_line().await?.context("chromedriver ended by itself")?;
            if let Some(port) = line.split_once("successfully on port ").map(|(_, rest)| rest.trim_end_matches('.')) {
                break port.parse::<u16>()?;
            }
        };
        // Read to the end, so that the driver never blocks on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        Ok(Driver { process, origin: format!("http://127.0.0.1:{port}"), http, sessions: Mutex::default() })
    }

    /// A new browser without cookies or history.
    pub(crate) async fn open(&self, width: u32) -> Result<Browser> {
        let options = json!({
            "args": ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"],
        });
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"implicit": PATIENCE_MS, "pageLoad": 3 * PATIENCE_MS, "script": PATIENCE_MS},
        }}});
        let made = call(&self.http, Method::POST, &format!("{}/session", self.origin), Some(&wanted)).await?;
        let id = made["sessionId"].as_str().context("no session came")?;
        let browser = Browser { http: self.http.clone(), session: format!("{}/session/{id}", self.origin) };
        self.known().push(browser.clone());
        browser.look(width).await?;
        Ok(browser)
    }

    /// Ends every browser and the driver. After a failure, the last page of each browser is saved in the folder
    /// `failed`.
    pub(crate) async fn stop(mut self, failed: Option<&Path>) -> Result<()> {
        let browsers = std::mem::take(&mut *self.known());
        for (number, browser) in browsers.iter().enumerate() {
            if let Some(folder) = failed {
                browser.leave_evidence(folder, number).await?;
            }
            browser.call(Method::DELETE, "", None).await?;
        }
        self.process.kill().await?;
        Ok(())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Vec<Browser>> {
        self.sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Browser {
    /// Sets the width.
    pub(crate) async fn look(&self, width: u32) -> Result<()> {
        // Not `mobile`: a page that is too wide would be zoomed out there, and seem to fit.
        let size = json!({"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size).await?;
        let media = json!({"features": [
            // Otherwise the driver clicks where an element was before smooth scrolling began.
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.devtools("Emulation.setEmulatedMedia", &media).await?;
        Ok(())
    }

    pub(crate) async fn go(&self, url: &str) -> Result<()> {
        self.post("/url", &json!({"url": url})).await?;
        Ok(())
    }

    pub(crate) async fn back(&self) -> Result<()> {
        self.post("/back", &json!({})).await?;
        Ok(())
    }

    /// The URL of the open page.
    pub(crate) async fn address(&self) -> Result<String> {
        text_of(&self.call(Method::GET, "/url", None).await?)
    }

    /// The HTML of the page as it is now, after scripts.
    pub(crate) async fn source(&self) -> Result<String> {
        text_of(&self.call(Method::GET, "/source", None).await?)
    }

    /// The first element that matches, waited for.
    pub(crate) async fn one(&self, css: &str) -> Result<Element> {
        self.find("css selector", css).await
    }

    pub(crate) async fn by_xpath(&self, xpath: &str) -> Result<Element> {
        self.find("xpath", xpath).await
    }

    async fn find(&self, using: &str, what: &str) -> Result<Element> {
        let found = self.post("/element", &json!({"using": using, "value": what})).await;
        match found {
            Ok(found) => self.element(&found),
            Err(error) => Err(error.context(format!("no {what} at {}", self.address().await?))),
        }
    }

    /// The element with the keyboard focus.
    pub(crate) async fn focused(&self) -> Result<Element> {
        let found = self.call(Method::GET, "/element/active", None).await?;
        self.element(&found)
    }

    /// Presses keys in turn at the element with the focus.
    pub(crate) async fn press(&self, keys: &str) -> Result<()> {
        let strokes = keys.chars().flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})));
        let strokes: Vec<Value> = strokes.collect();
        let keyboard = json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]});
        self.post("/actions", &keyboard).await?;
        Ok(())
    }

    pub(crate) async fn run(&self, script: &str) -> Result<Value> {
        self.post("/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// The browser's console messages since the last call: errors, warnings, violations of the content security
    /// policy.
    pub(crate) async fn said(&self) -> Result<Vec<String>> {
        let lines = self.post("/se/log", &json!({"type": "browser"})).await?;
        let lines = lines.as_array().context("not a list")?;
        Ok(lines.iter().map(|line| format!("{}: {}", line["level"], line["message"])).collect())
    }

    /// The whole page from top to bottom, as PNG.
    pub(crate) async fn picture(&self) -> Result<Vec<u8>> {
        let layout = self.devtools("Page.getLayoutMetrics", &json!({})).await?;
        let size = &layout["cssContentSize"];
        let clip = json!({"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1});
        self.picture_of(&clip).await
    }

    /// The upper part of the page, as PNG.
    pub(crate) async fn picture_above(&self, width: u32, height: f64) -> Result<Vec<u8>> {
        self.picture_of(&json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1})).await
    }

    async fn picture_of(&self, clip: &Value) -> Result<Vec<u8>> {
        let wanted = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let picture = self.devtools("Page.captureScreenshot", &wanted).await?;
        Ok(BASE64.decode(text_of(&picture["data"])?.as_bytes())?)
    }

    pub(crate) async fn devtools(&self, command: &str, parameters: &Value) -> Result<Value> {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters})).await
    }

    async fn leave_evidence(&self, folder: &Path, number: usize) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        eprintln!("browser {number} is at {}", self.address().await?);
        std::fs::write(folder.join(format!("{number}.html")), self.source().await?)?;
        std::fs::write(folder.join(format!("{number}.png")), self.picture().await?)?;
        Ok(())
    }

    fn element(&self, found: &Value) -> Result<Element> {
        let id = found[ELEMENT].as_str().context("not an element")?.to_owned();
        Ok(Element { browser: self.clone(), id })
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        call(&self.http, method, &format!("{}{path}", self.session), body).await
    }
}

impl Element {
    /// The visible text of the element.
    pub(crate) async fn text(&self) -> Result<String> {
        text_of(&self.get("text").await?)
    }

    pub(crate) async fn attribute(&self, name: &str) -> Result<Option<String>> {
        Ok(self.get(&format!("attribute/{name}")).await?.as_str().map(str::to_owned))
    }

    /// A DOM property, such as the absolute address of a link.
    pub(crate) async fn property(&self, name: &str) -> Result<Value> {
        self.get(&format!("property/{name}")).await
    }

    pub(crate) async fn is_shown(&self) -> Result<bool> {
        Ok(self.get("displayed").await? == true)
    }

    pub(crate) async fn click(&self) -> Result<()> {
        self.post("click", &json!({})).await
    }

    pub(crate) async fn write(&self, text: &str) -> Result<()> {
        self.post("value", &json!({"text": text})).await
    }

    pub(crate) async fn clear(&self) -> Result<()> {
        self.post("clear", &json!({})).await
    }

    async fn get(&self, what: &str) -> Result<Value> {
        self.browser.call(Method::GET, &format!("/element/{}/{what}", self.id), None).await
    }

    async fn post(&self, what: &str, body: &Value) -> Result<()> {
        self.browser.post(&format!("/element/{}/{what}", self.id), body).await?;
        Ok(())
    }
}

async fn call(http: &Client, method: Method, url: &str, body: Option<&Value>) -> Result<Value> {
    let mut request = http.request(method, url);
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await?;
    let status = answer.status();
    let mut answer: Value = answer.json().await?;
    let value = answer["value"].take();
    if !status.is_success() {
        let message = value["message"].as_str().unwrap_or_default();
        bail!("{}: {}", value["error"], message.lines().next().unwrap_or_default());
    }
    ensure!(value.get("error").is_none(), "{value}");
    Ok(value)
}

fn text_of(value: &Value) -> Result<String> {
    Ok(value.as_str().with_context(|| format!("not a text: {value}"))?.to_owned())
}
