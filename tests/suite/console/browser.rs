//! Somebody at a browser: pages, and forms sent back with what they hold.

use bursar_local::stack::Stack;
use bursar_tests::office::session_cookie;
use reqwest::redirect::Policy;
use scraper::{ElementRef, Html, Selector};

pub(super) struct Browser {
    web: String,
    client: reqwest::Client,
    pub(super) cookie: Option<String>,
}

/// An answer with its page.
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) html: String,
}

impl Browser {
    pub(super) fn nobody(stack: &Stack) -> Browser {
        let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        Browser { web: stack.ready.web.clone(), client, cookie: None }
    }

    pub(super) async fn of(stack: &Stack, address: &str) -> Browser {
        Browser { cookie: Some(session_cookie(stack, address).await), ..Browser::nobody(stack) }
    }

    pub(super) async fn get(&self, path: &str) -> Page {
        self.send(self.client.get(format!("{}{path}", self.web))).await
    }

    /// Takes the form of a page that posts there, fills some fields and sends it back.
    pub(super) async fn fill(&self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        let mut form = page.form(action);
        for (name, value) in fields {
            form.retain(|(known, _)| known != name);
            form.push(((*name).to_owned(), (*value).to_owned()));
        }
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(action, &form).await
    }

    pub(super) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        let body = body.collect::<Vec<_>>().join("&");
        let request = self.client.post(format!("{}{path}", self.web));
        self.send(request.header("content-type", "application/x-www-form-urlencoded").body(body)).await
    }

    /// Sends the roster's form of a page with this file.
    pub(super) async fn upload(&self, page: &Page, action: &str, mode: &str, file: &[u8]) -> Page {
        const BOUNDARY: &str = "----a-boundary";
        let mut form = page.form(action);
        form.retain(|(name, _)| name != "mode" && name != "file");
        form.push(("mode".to_owned(), mode.to_owned()));
        let mut body = Vec::new();
        for (name, value) in form {
            let part = format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        let named = "content-disposition: form-data; name=\"file\"; filename=\"roster.csv\"\r\ncontent-type: text/csv";
        body.extend_from_slice(format!("--{BOUNDARY}\r\n{named}\r\n\r\n").as_bytes());
        body.extend_from_slice(file);
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        let request = self.client.post(format!("{}{action}", self.web));
        self.send(request.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}")).body(body)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let request = match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let location = answer.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
        Page { status: answer.status().as_u16(), location, html: answer.text().await.unwrap() }
    }
}

impl Page {
    /// The texts of everything that bears this hook.
    pub(super) fn texts(&self, hook: &str) -> Vec<String> {
        self.all(&format!("[data-testid={hook}]"), |found| found.text().collect::<String>().trim().to_owned())
    }

    /// One number of a preview.
    pub(super) fn number(&self, hook: &str) -> u32 {
        self.texts(hook)[0].parse().unwrap()
    }

    /// An attribute of everything that bears this hook.
    pub(super) fn attributes(&self, hook: &str, attribute: &str) -> Vec<String> {
        let value = |found: ElementRef<'_>| found.attr(attribute).unwrap_or_default().to_owned();
        self.all(&format!("[data-testid={hook}]"), value)
    }

    pub(super) fn alerts(&self) -> Vec<String> {
        self.all("[role=alert]", |found| found.text().collect::<String>().trim().to_owned())
    }

    /// The action of every form there is.
    pub(super) fn actions(&self) -> Vec<String> {
        self.all("main form", |found| found.attr("action").unwrap_or_default().to_owned())
    }

    /// What a browser would send of the form that goes there, untouched.
    pub(super) fn form(&self, action: &str) -> Vec<(String, String)> {
        let document = Html::parse_document(&self.html);
        let form = Selector::parse(&format!("form[action='{action}']")).unwrap();
        let form = document.select(&form).next().unwrap_or_else(|| panic!("no form goes to {action}: {}", self.html));
        let controls = Selector::parse("input[name], select[name], textarea[name]").unwrap();
        form.select(&controls).map(|control| (control.attr("name").unwrap().to_owned(), value_of(control))).collect()
    }

    fn all<T>(&self, selector: &str, of: impl Fn(ElementRef<'_>) -> T) -> Vec<T> {
        let document = Html::parse_document(&self.html);
        document.select(&Selector::parse(selector).unwrap()).map(of).collect()
    }
}

fn value_of(control: ElementRef<'_>) -> String {
    let value = |option: ElementRef<'_>| match option.attr("value") {
        Some(value) => value.to_owned(),
        None => option.text().collect(),
    };
    match control.value().name() {
        "select" => {
            let chosen = control.select(&Selector::parse("option[selected]").unwrap()).next();
            let first = || control.select(&Selector::parse("option").unwrap()).next();
            chosen.or_else(first).map(value).unwrap_or_default()
        }
        "textarea" => control.text().collect(),
        _ => control.attr("value").unwrap_or_default().to_owned(),
    }
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}
