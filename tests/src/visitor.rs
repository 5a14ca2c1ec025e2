//! A visitor for tests: an action that fails ends the test and shows the page. What a page must say
//! is left to the test.

use std::ops::Deref;

use bursar_local::visitor;
pub use bursar_local::visitor::{Form, Found};

use crate::invariants::Answers;

/// A browser at one origin.
pub struct Visitor(visitor::Visitor);

/// An answer, read as a page.
#[derive(Debug)]
pub struct Page(visitor::Page);

impl Visitor {
    /// A new browser, without any cookie, whose answers are noted for the check of what functions
    /// may say.
    pub fn new(origin: &str, answers: Answers) -> Visitor {
        let note = move |page: &visitor::Page| {
            answers.note(format!("{} {:?}\n{}", page.status, page.headers, page.body));
        };
        Visitor(
            visitor::Visitor::new(origin, origin)
                .unwrap()
                .noted_by(note),
        )
    }

    /// Opens a page, and sends its form with this action.
    pub async fn fill(&self, path: &str, action: &str, filled: &[(&str, &str)]) -> Page {
        self.submit(&self.get(path).await, action, filled).await
    }

    /// The same on another machine.
    #[must_use]
    pub fn calling_from(self, source: &str) -> Visitor {
        Visitor(self.0.calling_from(source.parse().unwrap()).unwrap())
    }
}

/// The inner visitor's methods, with a failure that ends the test.
macro_rules! visits {
    ($($name:ident($($given:ident: $kind:ty),*);)*) => {
        impl Visitor {
            $(pub async fn $name(&self, $($given: $kind),*) -> Page {
                Page(self.0.$name($($given),*).await.unwrap())
            })*
        }
    };
}

visits! {
    get(path: &str);
    head(path: &str);
    post(path: &str, fields: &[(&str, &str)]);
    post_from(origin: &str, path: &str, fields: &[(&str, &str)]);
    post_as(kind: &str, path: &str, body: impl Into<Vec<u8>>);
    put(path: &str, token: &str, kind: &str, file: impl Into<Vec<u8>>);
    submit(page: &Page, action: &str, filled: &[(&str, &str)]);
    send_form(form: &Form);
    upload(page: &Page, action: &str, filled: &[(&str, &str)], name: &str, text: &[u8]);
}

impl Page {
    #[track_caller]
    pub fn expect(self, status: u16) -> Page {
        Page(self.0.expect(status).unwrap())
    }

    #[track_caller]
    pub fn form(&self, action: &str) -> Form {
        self.0.form(action).unwrap()
    }

    /// The token of the session, which each of its forms has.
    #[track_caller]
    pub fn csrf(&self) -> String {
        self.form("/sign-out").value("csrf").unwrap().to_owned()
    }

    #[track_caller]
    pub fn one(&self, hook: &str) -> Found {
        self.0.one(hook).unwrap()
    }
}

impl Deref for Visitor {
    type Target = visitor::Visitor;

    fn deref(&self) -> &visitor::Visitor {
        &self.0
    }
}

impl Deref for Page {
    type Target = visitor::Page;

    fn deref(&self) -> &visitor::Page {
        &self.0
    }
}
