//! Somebody with a browser who knows nothing of the code: keeps cookies, takes forms as pages offer them, fills fields, sends them
//! back with their hidden inputs, and follows a redirect when told to. What a page must say is the test's business.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client, Method, Url, redirect};
use scraper::{ElementRef, Html, Selector};
use serde_json::json;

use crate::invariants::Answers;

/// A browser at one origin. Clones share its cookies, as windows of one browser do.
#[derive(Clone)]
pub struct Visitor {
    http: Client,
    origin: String,
    cookies: Arc<Mutex<BTreeMap<String, String>>>,
    answers: Option<Answers>,
}

/// An answer, read as a page.
#[derive(Debug, Clone)]
pub struct Page {
    pub status: u16,
    /// The path that was asked for.
    pub path: String,
    pub headers: HeaderMap,
    pub text: String,
}

/// A form as a page offers it, with what is in its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The path it is sent to.
    pub action: String,
    pub fields: Vec<(String, String)>,
}

/// An element that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub text: String,
    pub attributes: BTreeMap<String, String>,
}

impl Visitor {
    /// A browser that has never been here.
    pub fn new(origin: &str) -> Visitor {
        // Every test has its own server, so no connection is worth keeping over it.
        let http = Client::builder().redirect(redirect::Policy::none()).no_proxy().build().unwrap();
        Visitor { http, origin: origin.to_owned(), cookies: Arc::default(), answers: None }
    }

    /// Another browser of the same person or another: no cookie of this one.
    #[must_use]
    pub fn fresh(&self) -> Visitor {
        Visitor { cookies: Arc::default(), ..self.clone() }
    }

    /// Hands every answer to whoever judges what functions may say.
    #[must_use]
    pub fn noting(mut self, answers: &Answers) -> Visitor {
        self.answers = Some(answers.clone());
        self
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    pub async fn get(&self, path: &str) -> Page {
        self.send(Method::GET, path, None, None).await
    }

    pub async fn head(&self, path: &str) -> Page {
        self.send(Method::HEAD, path, None, None).await
    }

    /// Posts these fields and no others.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = urlencoded(fields.iter().copied());
        self.send(
            Method::POST,
            path,
            Some(("application/x-www-form-urlencoded", body.into_bytes())),
            Some(&self.origin),
        )
        .await
    }

    /// The same as another site would.
    pub async fn post_from(&self, origin: &str, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = urlencoded(fields.iter().copied());
        self.send(Method::POST, path, Some(("application/x-www-form-urlencoded", body.into_bytes())), Some(origin))
            .await
    }

    /// Takes the page's form with this action, fills fields and sends it back with all that it holds.
    pub async fn submit(&self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        self.send_form(&page.form(action).filled(fields)).await
    }

    pub async fn send_form(&self, form: &Form) -> Page {
        let body = urlencoded(form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let body = Some(("application/x-www-form-urlencoded", body.into_bytes()));
        self.send(Method::POST, &form.action, body, Some(&self.origin)).await
    }

    /// The same for a form with a file.
    pub async fn upload(&self, page: &Page, action: &str, fields: &[(&str, &str)], file: (&str, &str, &[u8])) -> Page {
        const BOUNDARY: &str = "----bursar-visitor-5f2c1a";
        let (field, name, bytes) = file;
        let mut body = Vec::new();
        for (name, value) in page.form(action).filled(fields).fields {
            let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
             Content-Type: text/csv\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        self.send(Method::POST, action, Some((&kind, body)), Some(&self.origin)).await
    }

    /// Goes where a page sends to, as often as it does; any other page is the end.
    pub async fn follow(&self, page: Page) -> Page {
        let mut page = page;
        for _ in 0..10 {
            let Some(to) = page.location().filter(|_| (300..400).contains(&page.status)) else { return page };
            page = self.get(&to).await;
        }
        panic!("{} sends on for ever", page.path);
    }

    async fn send(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>, origin: Option<&str>) -> Page {
        let mut request = self.http.request(method, format!("{}{path}", self.origin));
        let cookies = self.cookies();
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies);
        }
        if let Some(origin) = origin {
            let site = if origin == self.origin { "same-origin" } else { "cross-site" };
            request = request.header(ORIGIN, origin).header("sec-fetch-site", site);
        }
        if let Some((kind, body)) = body {
            request = request.header(CONTENT_TYPE, kind).body(body);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        self.keep_cookies(&headers);
        // An answer that broke off is none.
        let text = answer.text().await.unwrap_or_default();
        if let Some(answers) = &self.answers {
            let headers: BTreeMap<&str, &str> =
                headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())).collect();
            answers.note(&json!({"statusCode": status, "headers": headers, "body": text}));
        }
        Page { status, path: path.to_owned(), headers, text }
    }

    fn cookies(&self) -> String {
        let cookies = self.cookies.lock().unwrap();
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep_cookies(&self, headers: &HeaderMap) {
        let mut cookies = self.cookies.lock().unwrap();
        for set in headers.get_all(SET_COOKIE) {
            let text = set.to_str().unwrap();
            let (pair, attributes) = text.split_once(';').unwrap_or((text, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

impl Page {
    /// Whether it has this status; else the test ends and shows the page.
    #[track_caller]
    pub fn expect(self, status: u16) -> Page {
        assert_eq!(self.status, status, "{}: {}", self.path, self.readable());
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Where it sends to.
    pub fn location(&self) -> Option<String> {
        self.headers.get(LOCATION)?.to_str().ok().map(str::to_owned)
    }

    /// The page's form that is sent to this path.
    #[track_caller]
    pub fn form(&self, action: &str) -> Form {
        let form = self.forms().into_iter().find(|form| form.action == action);
        form.unwrap_or_else(|| panic!("{} has no form for {action}: {}", self.path, self.readable()))
    }

    pub fn offers(&self, action: &str) -> bool {
        self.forms().iter().any(|form| form.action == action)
    }

    /// Every form; one without an action is sent to the page's own path.
    pub fn forms(&self) -> Vec<Form> {
        let html = Html::parse_document(&self.text);
        let forms = selector("form");
        html.select(&forms).map(|form| Form::of(form, &self.path)).collect()
    }

    /// The elements with this `data-testid`.
    pub fn all(&self, hook: &str) -> Vec<Found> {
        self.elements(&format!("[data-testid=\"{hook}\"]"))
    }

    /// The only such element.
    #[track_caller]
    pub fn one(&self, hook: &str) -> Found {
        let mut found = self.all(hook);
        assert_eq!(found.len(), 1, "{} {hook} on {}: {}", found.len(), self.path, self.readable());
        found.remove(0)
    }

    /// What the page says is the matter.
    pub fn alert(&self) -> Option<String> {
        self.elements("[role=\"alert\"]").into_iter().next().map(|found| found.text)
    }

    pub fn elements(&self, css: &str) -> Vec<Found> {
        let html = Html::parse_document(&self.text);
        let wanted = selector(css);
        html.select(&wanted).map(Found::of).collect()
    }

    /// What a person reads of it.
    pub fn readable(&self) -> String {
        let html = Html::parse_document(&self.text);
        let words = html.root_element().text().flat_map(str::split_whitespace);
        words.collect::<Vec<_>>().join(" ")
    }
}

impl Form {
    /// With these fields set, whether they were there or not.
    #[must_use]
    pub fn filled(mut self, fields: &[(&str, &str)]) -> Form {
        for (name, value) in fields {
            self.fields.retain(|(known, _)| known != name);
            self.fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        self
    }

    fn of(form: ElementRef<'_>, path: &str) -> Form {
        let action = form.attr("action").filter(|action| !action.is_empty()).unwrap_or(path).to_owned();
        let inputs = selector("input[name], textarea[name], select[name]");
        Form { action, fields: form.select(&inputs).filter_map(field).collect() }
    }
}

/// What a browser would send of an input that nobody touched.
fn field(input: ElementRef<'_>) -> Option<(String, String)> {
    let name = input.attr("name")?.to_owned();
    if input.attr("disabled").is_some() {
        return None;
    }
    let value = match (input.value().name(), input.attr("type").unwrap_or("text")) {
        ("textarea", _) => input.text().collect(),
        ("select", _) => {
            let options = selector("option");
            let chosen = input.select(&options).find(|option| option.attr("selected").is_some());
            let option = chosen.or_else(|| input.select(&options).next())?;
            option.attr("value").map_or_else(|| option.text().collect(), str::to_owned)
        }
        (_, "checkbox" | "radio") => {
            input.attr("checked")?;
            input.attr("value").unwrap_or("on").to_owned()
        }
        (_, "submit" | "button" | "file" | "image" | "reset") => return None,
        _ => input.attr("value").unwrap_or_default().to_owned(),
    };
    Some((name, value))
}

impl Found {
    fn of(element: ElementRef<'_>) -> Found {
        Found {
            text: element.text().collect(),
            attributes: element.value().attrs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }

    /// An attribute, or nothing for one that is not there.
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// An amount in an attribute, in micro-dollars.
    pub fn micros(&self, name: &str) -> i64 {
        let text = self.get(name);
        let (whole, part) = text.split_once('.').unwrap_or_else(|| panic!("{name} is {text:?}"));
        assert_eq!(part.len(), 6, "{name} is {text:?}");
        format!("{whole}{part}").parse().unwrap()
    }
}

fn selector(css: &str) -> Selector {
    Selector::parse(css).unwrap_or_else(|error| panic!("{css}: {error}"))
}

fn urlencoded<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut url = Url::parse("http://localhost/").unwrap();
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}
