//! An answer, read as a page: its forms with their fields, elements with a test hook, and alerts.
//! Tests identify pages by what they offer and not by their markup. The scanner reads what our
//! templates write: elements that are closed, values in double quotes, and each other `<` and `>`
//! escaped by askama.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use http::HeaderMap;

#[derive(Debug, Clone)]
pub struct Page {
    pub status: u16,
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

/// A form of a page, with the values of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    pub action: String,
    pub fields: Vec<(String, String)>,
}

/// An element of a page, with its text as the page has it.
#[derive(Debug, Clone)]
pub struct Found {
    pub text: String,
    pub attributes: BTreeMap<String, String>,
    name: String,
    /// The place after the last element inside.
    end: usize,
}

impl Page {
    pub fn expect(self, status: u16) -> Result<Page> {
        ensure!(
            self.status == status,
            "{} answered {}, not {status}: {}",
            self.path,
            self.status,
            self.readable()
        );
        Ok(self)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn location(&self) -> Option<&str> {
        self.header("location")
    }

    /// The forms; one without an action is submitted to the page's own path.
    pub fn forms(&self) -> Vec<Form> {
        let elements = self.elements();
        let forms = elements
            .iter()
            .enumerate()
            .filter(|(_, element)| element.name == "form");
        let form = |(number, form): (usize, &Found)| Form {
            action: Some(form.get("action"))
                .filter(|action| !action.is_empty())
                .unwrap_or(&self.path)
                .to_owned(),
            fields: (number + 1..form.end)
                .filter_map(|inner| field(&elements[inner..]))
                .collect(),
        };
        forms.map(form).collect()
    }

    pub fn form(&self, action: &str) -> Result<Form> {
        let form = self.forms().into_iter().find(|form| form.action == action);
        form.with_context(|| {
            format!(
                "{} has no form for {action}: {}",
                self.path,
                self.readable()
            )
        })
    }

    pub fn offers(&self, action: &str) -> bool {
        self.forms().iter().any(|form| form.action == action)
    }

    /// The elements with this `data-testid`, in the order of the page.
    pub fn all(&self, hook: &str) -> Vec<Found> {
        self.elements()
            .into_iter()
            .filter(|element| element.get("data-testid") == hook)
            .collect()
    }

    /// The only element with this hook.
    pub fn one(&self, hook: &str) -> Result<Found> {
        let mut elements = self.all(hook);
        ensure!(
            elements.len() == 1,
            "{} {hook} on {}: {}",
            elements.len(),
            self.path,
            self.readable()
        );
        Ok(elements.remove(0))
    }

    pub fn texts(&self, hook: &str) -> Vec<String> {
        self.all(hook)
            .iter()
            .map(|element| element.text.trim().to_owned())
            .collect()
    }

    pub fn text(&self, hook: &str) -> Option<String> {
        self.texts(hook).into_iter().next()
    }

    pub fn attributes(&self, hook: &str, name: &str) -> Vec<String> {
        self.all(hook)
            .iter()
            .map(|element| element.get(name).to_owned())
            .collect()
    }

    pub fn attribute(&self, hook: &str, name: &str) -> Option<String> {
        self.all(hook).into_iter().next()?.attributes.remove(name)
    }

    /// The examples to copy, unchanged.
    pub fn examples(&self) -> Vec<String> {
        self.elements()
            .into_iter()
            .filter(|element| element.name == "pre")
            .map(|element| element.text)
            .collect()
    }

    pub fn alerts(&self) -> Vec<String> {
        let alerts = self
            .elements()
            .into_iter()
            .filter(|element| element.get("role") == "alert");
        alerts.map(|alert| alert.text.trim().to_owned()).collect()
    }

    pub fn alert(&self) -> Option<String> {
        self.alerts().into_iter().next()
    }

    /// The text of the page as a person reads it.
    pub fn readable(&self) -> String {
        let texts = self
            .body
            .split('<')
            .map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text));
        decoded(
            &texts
                .flat_map(str::split_whitespace)
                .collect::<Vec<_>>()
                .join(" "),
        )
    }

    /// The elements, each before those inside it. One without an end tag ends with the one around
    /// it, which only gives it text that nobody reads.
    fn elements(&self) -> Vec<Found> {
        let mut elements = Vec::<Found>::new();
        let mut open = Vec::<usize>::new();
        for piece in self.body.split('<').skip(1) {
            let (tag, mut text) = piece.split_once('>').unwrap_or((piece, ""));
            if let Some(name) = tag.strip_prefix('/') {
                while let Some(ended) = open.pop() {
                    elements[ended].end = elements.len();
                    if elements[ended].name == name {
                        break;
                    }
                }
            } else {
                let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
                if matches!(name, "pre" | "textarea") {
                    text = text.strip_prefix('\n').unwrap_or(text);
                }
                open.push(elements.len());
                let name = name.to_owned();
                let attributes = attributes_in(attributes);
                elements.push(Found {
                    text: String::new(),
                    attributes,
                    name,
                    end: usize::MAX,
                });
            }
            let text = decoded(text);
            open.iter()
                .for_each(|around| elements[*around].text.push_str(&text));
        }
        elements
    }
}

impl Form {
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The form with these fields set, whether or not it had them.
    #[must_use]
    pub fn filled(mut self, fields: &[(&str, &str)]) -> Form {
        for (name, value) in fields {
            self.fields.retain(|(key, _)| key != name);
            self.fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        self
    }
}

impl Found {
    /// The value of an attribute, or empty text if it is absent.
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }
}

/// The name and value that a browser would send of the first element, untouched.
fn field(elements: &[Found]) -> Option<(String, String)> {
    let (input, inside) = elements.split_first()?;
    let value: &str = match (input.name.as_str(), input.get("type")) {
        _ if !input.has("name") || input.has("disabled") => return None,
        ("textarea", _) => &input.text,
        ("select", _) => {
            let options = || inside.iter().take_while(|element| element.name == "option");
            let option = options()
                .find(|option| option.has("selected"))
                .or_else(|| options().next())?;
            option.attributes.get("value").unwrap_or(&option.text)
        }
        ("input", "checkbox" | "radio") if !input.has("checked") => return None,
        ("input", "checkbox" | "radio") if !input.has("value") => "on",
        ("input", kind) if kind != "submit" && kind != "file" => input.get("value"),
        _ => return None,
    };
    Some((input.get("name").to_owned(), value.to_owned()))
}

fn attributes_in(tag: &str) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    let mut parts = tag.split('"');
    while let Some(names) = parts.next() {
        for name in names.split_whitespace() {
            let value = if name.ends_with('=') {
                parts.next().map(decoded)
            } else {
                None
            };
            attributes.insert(
                name.trim_end_matches('=').to_owned(),
                value.unwrap_or_default(),
            );
        }
    }
    attributes
}

fn decoded(text: &str) -> String {
    // The ampersand is the last, else it could begin another.
    let entities = [
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&amp;", "&"),
        ("&#38;", "&"),
    ];
    entities
        .iter()
        .fold(text.to_owned(), |text, (entity, letter)| {
            text.replace(entity, letter)
        })
}
