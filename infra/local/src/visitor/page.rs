//! An answer, parsed as a page: its forms with their fields, elements with a test hook, and alerts. Tests
//! identify pages by what they offer and not by their markup.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use http::HeaderMap;
use http::header::LOCATION;
use scraper::{ElementRef, Html};

const READ_OUT: [&str; 4] = ["alt", "aria-label", "title", "placeholder"];

#[derive(Debug, Clone)]
pub struct Page {
    pub status: u16,
    /// The requested path.
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

/// A form of a page, with the values of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The path that it is submitted to.
    pub action: String,
    pub fields: Vec<(String, String)>,
}

/// An element that was found, with its text as the page has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub text: String,
    pub attributes: BTreeMap<String, String>,
}

impl Page {
    /// The page itself, if it has this status.
    pub fn expect(self, status: u16) -> Result<Page> {
        ensure!(self.status == status, "{} answered {}, not {status}: {}", self.path, self.status, self.readable());
        Ok(self)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The path that a redirect leads to.
    pub fn location(&self) -> Option<&str> {
        self.header(LOCATION.as_str())
    }

    /// The forms; one without an action is submitted to the page's own path.
    pub fn forms(&self) -> Vec<Form> {
        self.read(|element| is(element, "form"), |form| Form::of(form, &self.path))
    }

    /// The form that is submitted to this path.
    pub fn form(&self, action: &str) -> Result<Form> {
        let form = self.forms().into_iter().find(|form| form.action == action);
        form.with_context(|| format!("{} has no form for {action}: {}", self.path, self.readable()))
    }

    pub fn offers(&self, action: &str) -> bool {
        self.forms().iter().any(|form| form.action == action)
    }

    /// The elements with this `data-testid`, in the order of the page.
    pub fn all(&self, hook: &str) -> Vec<Found> {
        self.read(|element| element.attr("data-testid") == Some(hook), Found::of)
    }

    /// The only element with this hook.
    pub fn one(&self, hook: &str) -> Result<Found> {
        let mut found = self.all(hook);
        ensure!(found.len() == 1, "{} {hook} on {}: {}", found.len(), self.path, self.readable());
        Ok(found.remove(0))
    }

    /// The text of each element with this hook.
    pub fn texts(&self, hook: &str) -> Vec<String> {
        self.all(hook).iter().map(|found| found.text.trim().to_owned()).collect()
    }

    /// The text of the first element with this hook.
    pub fn text(&self, hook: &str) -> Option<String> {
        self.texts(hook).into_iter().next()
    }

    /// An attribute of each element with this hook.
    pub fn attributes(&self, hook: &str, name: &str) -> Vec<String> {
        self.all(hook).iter().map(|found| found.get(name).to_owned()).collect()
    }

    /// An attribute of the first element with this hook.
    pub fn attribute(&self, hook: &str, name: &str) -> Option<String> {
        self.all(hook).into_iter().next()?.attributes.remove(name)
    }

    /// The examples to copy, unchanged.
    pub fn examples(&self) -> Vec<String> {
        self.read(|element| is(element, "pre"), text)
    }

    /// The alerts of the page.
    pub fn alerts(&self) -> Vec<String> {
        self.read(|element| element.attr("role") == Some("alert"), |alert| text(alert).trim().to_owned())
    }

    /// The first alert.
    pub fn alert(&self) -> Option<String> {
        self.alerts().into_iter().next()
    }

    /// The text of the page as a person reads it.
    pub fn readable(&self) -> String {
        let html = Html::parse_document(&self.body);
        html.root_element().text().flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
    }

    /// The text outside the visible page: labels for screen readers, placeholders and tooltips.
    pub fn read_out(&self) -> Vec<String> {
        let said = |element: ElementRef<'_>| {
            let said = READ_OUT.iter().filter_map(|name| element.attr(name));
            said.map(str::to_owned).collect::<Vec<_>>()
        };
        self.read(|_| true, said).into_iter().flatten().collect()
    }

    fn read<T>(&self, wanted: impl Fn(&ElementRef<'_>) -> bool, of: impl Fn(ElementRef<'_>) -> T) -> Vec<T> {
        let html = Html::parse_document(&self.body);
        html.root_element().descendent_elements().filter(wanted).map(of).collect()
    }
}

impl Form {
    /// The value of the first field of this name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The form with these fields set, whether or not it had them.
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
        Form { action, fields: form.descendent_elements().filter_map(field).collect() }
    }
}

impl Found {
    fn of(element: ElementRef<'_>) -> Found {
        let attributes = element.value().attrs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Found { text: text(element), attributes }
    }

    /// The value of an attribute, or empty text if it is absent.
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// The name and value that a browser would send of an untouched input.
fn field(input: ElementRef<'_>) -> Option<(String, String)> {
    let name = input.attr("name")?.to_owned();
    if input.attr("disabled").is_some() {
        return None;
    }
    let value = match (input.value().name(), input.attr("type").unwrap_or("text")) {
        ("textarea", _) => text(input),
        ("select", _) => {
            let options = || input.descendent_elements().filter(|element| is(element, "option"));
            let option = options().find(|option| option.attr("selected").is_some()).or_else(|| options().next())?;
            option.attr("value").map_or_else(|| text(option), str::to_owned)
        }
        ("input", "checkbox" | "radio") => {
            input.attr("checked")?;
            input.attr("value").unwrap_or("on").to_owned()
        }
        ("input", "submit" | "button" | "file" | "image" | "reset") => return None,
        ("input", _) => input.attr("value").unwrap_or_default().to_owned(),
        _ => return None,
    };
    Some((name, value))
}

fn is(element: &ElementRef<'_>, name: &str) -> bool {
    element.value().name() == name
}

fn text(element: ElementRef<'_>) -> String {
    element.text().collect()
}
