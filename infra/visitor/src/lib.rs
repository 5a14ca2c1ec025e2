//! A person at a browser, as a program: keeps cookies and submits the forms of pages with all their
//! fields. Reading an answer is left to `page`.

mod page;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bursar_core::tls;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN, REFERER, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};

pub use page::{Form, Found, Page};

pub struct Visitor {
    http: Client,
    served_at: String,
    origin: String,
    cookies: Mutex<BTreeMap<String, String>>,
    noted_by: Option<Arc<Note>>,
}

const FORM: &str = "application/x-www-form-urlencoded";

type Note = dyn Fn(&Page) + Send + Sync;

impl Visitor {
    /// A browser without cookies. The pages may be served at another address than their origin.
    pub fn new(served_at: &str, origin: &str) -> Result<Visitor> {
        // Over HTTPS it is another machine's, and an answer of a function takes at most half a
        // minute.
        let mut client = tls::client_of(served_at);
        if served_at.starts_with("https:") {
            client = client.timeout(Duration::from_secs(40));
        }
        let http = client.redirect(Policy::none()).build()?;
        let served_at = served_at.to_owned();
        let origin = origin.to_owned();
        Ok(Visitor {
            http,
            served_at,
            origin,
            cookies: Mutex::default(),
            noted_by: None,
        })
    }

    /// The browser on another machine: its connections come from this address.
    pub fn calling_from(self, source: IpAddr) -> Result<Visitor> {
        let http = tls::loopback()
            .redirect(Policy::none())
            .local_address(source)
            .build()?;
        Ok(Visitor { http, ..self })
    }

    /// The browser with a callback that sees every answer.
    #[must_use]
    pub fn noted_by(self, note: impl Fn(&Page) + Send + Sync + 'static) -> Visitor {
        Visitor {
            noted_by: Some(Arc::new(note)),
            ..self
        }
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar().get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.jar().insert(name.to_owned(), value.to_owned());
    }

    pub async fn get(&self, path: &str) -> Result<Page> {
        self.send(path, self.request(Method::GET, path)).await
    }

    pub async fn head(&self, path: &str) -> Result<Page> {
        self.send(path, self.request(Method::HEAD, path)).await
    }

    /// Posts exactly these fields, whether or not a page has a form for them.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Result<Page> {
        self.post_from(&self.origin, path, fields).await
    }

    /// Posts these fields as a page of this origin would.
    pub async fn post_from(
        &self,
        origin: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Page> {
        let body = serde_urlencoded::to_string(fields)?;
        self.post_body(origin, path, FORM, body.into()).await
    }

    pub async fn post_as(&self, kind: &str, path: &str, body: impl Into<Vec<u8>>) -> Result<Page> {
        self.post_body(&self.origin, path, kind, body.into()).await
    }

    /// Puts a file with a token, as a program does.
    pub async fn put(
        &self,
        path: &str,
        token: &str,
        kind: &str,
        file: impl Into<Vec<u8>>,
    ) -> Result<Page> {
        let request = self
            .request(Method::PUT, path)
            .header(AUTHORIZATION, format!("Bearer {token}"));
        self.send(path, request.header(CONTENT_TYPE, kind).body(file.into()))
            .await
    }

    /// Submits the page's form with this action: all its fields, with some filled in. As a browser
    /// does, it says of which page.
    pub async fn submit(&self, page: &Page, action: &str, filled: &[(&str, &str)]) -> Result<Page> {
        let form = page.form(action)?.filled(filled);
        let body = serde_urlencoded::to_string(&form.fields)?;
        let request = self.posting(&self.origin, &form.action, FORM);
        let request = request.header(REFERER, format!("{}{}", self.origin, page.path));
        self.send(&form.action, request.body(body)).await
    }

    pub async fn send_form(&self, form: &Form) -> Result<Page> {
        let fields: Vec<_> = form
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.post(&form.action, &fields).await
    }

    /// Submits the page's form with this action, and a file in its field `file`.
    pub async fn upload(
        &self,
        page: &Page,
        action: &str,
        filled: &[(&str, &str)],
        name: &str,
        text: &[u8],
    ) -> Result<Page> {
        const BOUNDARY: &str = "----a-line-that-is-in-no-roster";
        let mut body = String::new();
        for (field, value) in page.form(action)?.filled(filled).fields {
            body += &format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n"
            );
        }
        body += &format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n"
        );
        body += "Content-Type: text/csv\r\n\r\n";
        let body = [
            body.as_bytes(),
            text,
            format!("\r\n--{BOUNDARY}--\r\n").as_bytes(),
        ]
        .concat();
        self.post_as(
            &format!("multipart/form-data; boundary={BOUNDARY}"),
            action,
            body,
        )
        .await
    }

    pub async fn follow(&self, page: &Page) -> Result<Page> {
        self.get(
            page.location()
                .with_context(|| format!("{} leads nowhere", page.path))?,
        )
        .await
    }

    async fn post_body(&self, origin: &str, path: &str, kind: &str, body: Vec<u8>) -> Result<Page> {
        self.send(path, self.posting(origin, path, kind).body(body))
            .await
    }

    fn posting(&self, origin: &str, path: &str, kind: &str) -> RequestBuilder {
        let site = if origin == self.origin {
            "same-origin"
        } else {
            "cross-site"
        };
        let request = self
            .request(Method::POST, path)
            .header(ORIGIN, origin)
            .header("sec-fetch-site", site);
        request.header(CONTENT_TYPE, kind)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let host = self
            .origin
            .split_once("://")
            .map_or(self.origin.as_str(), |(_, host)| host);
        let request = self
            .http
            .request(method, format!("{}{path}", self.served_at))
            .header(HOST, host);
        let cookies: Vec<_> = self
            .jar()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if cookies.is_empty() {
            request
        } else {
            request.header(COOKIE, cookies.join("; "))
        }
    }

    async fn send(&self, path: &str, request: RequestBuilder) -> Result<Page> {
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        for set in headers.get_all(SET_COOKIE) {
            let set = set.to_str()?;
            let (pair, attributes) = set.split_once(';').unwrap_or((set, ""));
            let (name, value) = pair.split_once('=').context("a cookie has no value")?;
            if attributes.contains("Max-Age=0") {
                self.jar().remove(name);
            } else {
                self.set_cookie(name, value);
            }
        }
        let page = Page {
            status,
            path: path.to_owned(),
            headers,
            body: answer.text().await?,
        };
        if let Some(note) = &self.noted_by {
            note(&page);
        }
        Ok(page)
    }

    fn jar(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
