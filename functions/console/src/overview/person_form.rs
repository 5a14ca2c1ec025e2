//! The form that adds one person to the roster, as it was posted.

use bursar_core::domain::grant::Person;
use bursar_core::store::NewPerson;
use bursar_core::web::Fields;

use crate::roster::line;

#[derive(Default)]
pub(super) struct PersonForm {
    pub(super) email: String,
    pub(super) name: String,
    pub(super) group: String,
    pub(super) id: String,
    pub(super) errors: Vec<(&'static str, String)>,
}

impl PersonForm {
    pub(super) fn of(fields: &Fields) -> PersonForm {
        let text = |name| fields.get(name).unwrap_or_default().trim().to_owned();
        PersonForm {
            email: text("email"),
            name: text("name"),
            group: text("group"),
            id: text("id"),
            errors: Vec::new(),
        }
    }

    /// The error of a field.
    pub(super) fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|(name, _)| *name == field).map(|(_, why)| why.as_str())
    }

    pub(super) fn read(&self) -> Result<NewPerson, Vec<(&'static str, String)>> {
        let mut errors = Vec::new();
        let address = line::address(&self.email).map_err(|why| errors.push(("email", why))).ok();
        let mut text = |field, text: &str| {
            line::text(text).map_err(|why| errors.push((field, format!("This {why}.")))).unwrap_or_default()
        };
        let (name, group, roster_id) = (text("name", &self.name), text("group", &self.group), text("id", &self.id));
        match address {
            Some(address) if errors.is_empty() => Ok(NewPerson { person: Person { address, name, roster_id }, group }),
            _ => Err(errors),
        }
    }
}
