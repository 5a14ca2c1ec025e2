//! A person at a browser, as a program: keeps cookies, takes a page's form, fills fields and sends it back with its hidden inputs. It
//! knows pages by what they offer, never by how they are made.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};
use scraper::{ElementRef, Html, Selector};

/// Clones are the same browser at this moment and go their own ways from there.
#[derive(Clone)]
pub struct Visitor {
    http: Client,
    served_at: String,
    host: String,
    cookies: BTreeMap<String, String>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Page {
    pub status: u16,
    /// Where a redirect leads, as a path.
    pub location: Option<String>,
    pub headers: http::HeaderMap,
    pub body: String,
    asked: String,
}

/// A form of a page: what it sends by itself.
struct Form {
    fields: Vec<(String, String)>,
}

impl Visitor {
    /// A browser without cookies. The pages are served at one address and may name another as theirs.
    pub fn of(served_at: &str, origin: &str) -> Result<Visitor> {
        let http = Client::builder().redirect(Policy::none()).no_proxy().build()?;
        let host = origin.split_once("://").map_or(origin, |(_, host)| host).to_owned();
        Ok(Visitor { http, served_at: served_at.to_owned(), host, cookies: BTreeMap::new() })
    }

    /// Goes on at another address, cookies and all.
    pub fn moved_to(&mut self, origin: &str) {
        origin.split_once("://").map_or(origin, |(_, host)| host).clone_into(&mut self.host);
        origin.clone_into(&mut self.served_at);
    }

    pub async fn get(&mut self, path: &str) -> Result<Page> {
        let request = self.request(Method::GET, path);
        self.send(path, request).await
    }

    /// Sends the form of a page that goes to `action`, with these fields filled in.
    pub async fn post(&mut self, page: &Page, action: &str, filled: &[(&str, &str)]) -> Result<Page> {
        let fields = page.form(action)?.filled(filled);
        self.post_raw(action, &fields).await
    }

    /// Sends fields as a form would, whether or not a page has one.
    pub async fn post_raw<N: AsRef<str>, V: AsRef<str>>(&mut self, action: &str, fields: &[(N, V)]) -> Result<Page> {
        let body = serde_urlencoded::to_string(
            fields.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect::<Vec<_>>(),
        )?;
        let request = self.request(Method::POST, action);
        self.send(action, request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)).await
    }

    /// Sends a form with a file in its field `file`.
    pub async fn upload(
        &mut self,
        page: &Page,
        action: &str,
        filled: &[(&str, &str)],
        name: &str,
        text: &[u8],
    ) -> Result<Page> {
        const BOUNDARY: &str = "----a-line-that-is-in-no-roster";
        let mut body = Vec::new();
        for (field, value) in page.form(action)?.filled(filled).iter().filter(|(field, _)| field != "file") {
            let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/csv\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(text);
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        let request = self.request(Method::POST, action);
        self.send(action, request.header(CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}")).body(body))
            .await
    }

    /// Follows a redirect.
    pub async fn follow(&mut self, page: &Page) -> Result<Page> {
        let path = page.location.clone().with_context(|| format!("{} leads nowhere", page.asked))?;
        self.get(&path).await
    }

    /// The cookie of this name, if there is one.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.served_at)).header(HOST, &self.host);
        if self.cookies.is_empty() {
            return request;
        }
        let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.header(COOKIE, pairs.join("; "))
    }

    async fn send(&mut self, asked: &str, request: RequestBuilder) -> Result<Page> {
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        for set in headers.get_all(SET_COOKIE) {
            let Some((name, value)) = set.to_str()?.split(';').next().unwrap_or_default().split_once('=') else {
                continue;
            };
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = headers.get(LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned);
        Ok(Page { status, location, headers, body: answer.text().await?, asked: asked.to_owned() })
    }
}

impl Page {
    /// This page, if it has the status that was hoped for.
    pub fn expect(self, status: u16) -> Result<Page> {
        ensure!(self.status == status, "{} answered {}: {}", self.asked, self.status, self.says());
        Ok(self)
    }

    /// The text of the first element with this `data-testid`.
    pub fn text(&self, id: &str) -> Option<String> {
        let html = Html::parse_document(&self.body);
        let found = html.select(&selector(&format!("[data-testid=\"{id}\"]")).ok()?).next()?;
        Some(found.text().collect::<String>().trim().to_owned())
    }

    /// The attributes of each element with this `data-testid`, in the order of the page.
    pub fn all(&self, id: &str) -> Vec<BTreeMap<String, String>> {
        let html = Html::parse_document(&self.body);
        let Ok(wanted) = selector(&format!("[data-testid=\"{id}\"]")) else { return Vec::new() };
        let attributes = |found: ElementRef<'_>| {
            found.value().attrs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        html.select(&wanted).map(attributes).collect()
    }

    /// An attribute of the first element with this `data-testid`.
    pub fn attribute(&self, id: &str, name: &str) -> Option<String> {
        self.all(id).into_iter().next()?.remove(name)
    }

    /// What the page tells somebody whose press it refused; else its heading.
    pub fn says(&self) -> String {
        let html = Html::parse_document(&self.body);
        let text = |wanted: &str| {
            let found: Vec<String> =
                html.select(&selector(wanted).ok()?).map(|found| found.text().collect::<String>()).collect();
            (!found.is_empty()).then(|| found.iter().map(|text| text.trim()).collect::<Vec<_>>().join(" "))
        };
        text("[role=alert]").or_else(|| text("h1")).unwrap_or_default()
    }

    /// Whether the page offers a form that goes there.
    pub fn offers(&self, action: &str) -> bool {
        self.form(action).is_ok()
    }

    fn form(&self, action: &str) -> Result<Form> {
        let html = Html::parse_document(&self.body);
        let forms = selector("form")?;
        // A form without an action goes to the page's own address.
        let goes_there = |form: &ElementRef<'_>| form.value().attr("action").unwrap_or(&self.asked) == action;
        let form = html
            .select(&forms)
            .find(goes_there)
            .with_context(|| format!("{} has no form to {action}: {}", self.asked, self.says()))?;
        let mut fields = Vec::new();
        for input in form.select(&selector("input[name], select[name], textarea[name]")?) {
            let (name, value) = (input.value().attr("name").unwrap_or_default(), input.value());
            let kept = match value.name() {
                "select" => chosen(&input)?,
                "textarea" => Some(input.text().collect()),
                _ => match value.attr("type") {
                    Some("checkbox" | "radio") if value.attr("checked").is_none() => None,
                    Some("submit" | "button") => None,
                    _ => Some(value.attr("value").unwrap_or_default().to_owned()),
                },
            };
            fields.extend(kept.map(|value| (name.to_owned(), value)));
        }
        Ok(Form { fields })
    }
}

impl Form {
    fn filled(mut self, filled: &[(&str, &str)]) -> Vec<(String, String)> {
        for (name, value) in filled {
            match self.fields.iter_mut().find(|(known, _)| known == name) {
                Some((_, kept)) => (*value).clone_into(kept),
                None => self.fields.push(((*name).to_owned(), (*value).to_owned())),
            }
        }
        self.fields
    }
}

fn chosen(select: &ElementRef<'_>) -> Result<Option<String>> {
    let (selected, any) = (selector("option[selected]")?, selector("option")?);
    let option = select.select(&selected).next().or_else(|| select.select(&any).next());
    Ok(option.map(|option| match option.value().attr("value") {
        Some(value) => value.to_owned(),
        None => option.text().collect(),
    }))
}

fn selector(text: &str) -> Result<Selector> {
    Selector::parse(text).map_err(|error| anyhow::anyhow!("{text}: {error}"))
}
