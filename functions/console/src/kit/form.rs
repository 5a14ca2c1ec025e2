//! Forms. A table of fields says how a value is written into a form and read from it; one template
//! shows each field with what was typed, what is wrong with it, and what somebody else saved
//! meanwhile.

use std::collections::BTreeMap;

use bursar_core::domain::audit::{Act, AuditDetail};
use bursar_core::domain::values::format::{Joined, long_time};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::Wish;
use bursar_core::web::{Fields, form};
use data_encoding::HEXLOWER;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZoneName;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::kit::show::long_date;

/// One field of the form that makes a `T`.
pub(crate) struct Field<T: FormValue> {
    /// The name of the field, also used in audit entries.
    pub(crate) id: &'static str,
    /// What a long form has above the fields that belong together.
    pub(crate) heading: &'static str,
    pub(crate) label: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) kind: FieldKind,
    /// What it means that nothing is written in it.
    pub(crate) when_empty: &'static str,
    pub(crate) owner: Owner,
    /// Whether it has no default.
    pub(crate) is_required: bool,
    /// Whether it may name people: then an audit entry records the change without the value.
    pub(crate) is_private: bool,
    pub(crate) write: fn(&T) -> String,
    /// Puts the value of a text into what is made, or says in one sentence why it is none.
    pub(crate) read: fn(&FieldText<'_, T>, &mut T) -> Result<(), String>,
}

/// The kind of a field, which decides the format of its text.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum FieldKind {
    Text,
    /// A time zone, with those that there are to choose from.
    Zone,
    Address,
    Money,
    Date,
    Time,
    Number,
    Area,
    /// Several values, one on each line.
    Lines,
    /// One of these values, or of those that the page gives: as a form sends it, and as a person
    /// reads it.
    Choice(&'static [(&'static str, &'static str)]),
}

/// Who may change a field.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Owner {
    Faculty,
    /// Admins; faculty can ask them for a change.
    Admins,
    /// The admin who makes the thing; the value is fixed afterwards.
    Creator,
}

pub(crate) trait FormValue: Default + 'static {
    /// Its fields, in the order of the form.
    const FIELDS: &'static [Field<Self>];

    /// The value into which the fields are read, which keeps what no field says of it;
    /// `filled_from` is what the form was filled from.
    fn start(_filled_from: Option<&Self>) -> Self {
        Self::default()
    }
}

impl<T: FormValue> Field<T> {
    /// The row that most fields share.
    pub(crate) const OPTIONAL: Field<T> = Field {
        id: "",
        heading: "",
        label: "",
        hint: "",
        kind: FieldKind::Text,
        when_empty: "nothing",
        owner: Owner::Faculty,
        is_required: false,
        is_private: false,
        write: |_| String::new(),
        read: |_, _| Ok(()),
    };
    pub(crate) const REQUIRED: Field<T> = Field {
        is_required: true,
        ..Field::OPTIONAL
    };
}

/// A form as it is shown or was posted.
#[derive(Clone)]
pub(crate) struct Form<T: FormValue> {
    /// The value from which it was filled.
    filled_from: Option<T>,
    /// Whether it edits that, and does not make something new.
    is_edit: bool,
    entries: BTreeMap<&'static str, FieldEntry>,
    /// Tells the fields of several forms on one page apart: what is before their ids, and behind
    /// their names.
    apart: (String, String),
    /// Whether what is saved by now is shown beside what was typed.
    is_beside: bool,
    /// Why nothing of it was done.
    pub(crate) refusal: Option<&'static str>,
}

#[derive(Clone, Default)]
struct FieldEntry {
    text: String,
    /// The text of what is saved.
    saved: String,
    is_typed: bool,
    error: Option<String>,
    choices: Vec<(String, String)>,
}

impl<T: FormValue> Form<T> {
    /// A form that makes something new, with the defaults that there are.
    pub(crate) fn blank() -> Form<T> {
        let defaults = T::start(None);
        Form::filled(|field| {
            if field.is_required {
                String::new()
            } else {
                (field.write)(&defaults)
            }
        })
    }

    pub(crate) fn edit(saved: T) -> Form<T> {
        Form {
            is_edit: true,
            ..Form::fill_with(saved)
        }
    }

    /// A form that makes something new, filled with these values.
    pub(crate) fn fill_with(value: T) -> Form<T> {
        let form = Form::filled(|field| (field.write)(&value));
        Form {
            filled_from: Some(value),
            ..form
        }
    }

    fn filled(text: impl Fn(&Field<T>) -> String) -> Form<T> {
        let entries = T::FIELDS.iter().map(|field| {
            let text = text(field);
            (
                field.id,
                FieldEntry {
                    saved: text.clone(),
                    text,
                    ..FieldEntry::default()
                },
            )
        });
        Form {
            filled_from: None,
            is_edit: false,
            entries: entries.collect(),
            apart: Default::default(),
            is_beside: false,
            refusal: None,
        }
    }

    /// One of several forms on a page. `suffix` is behind the names of its fields, where one
    /// request posts several.
    pub(crate) fn apart(self, prefix: &str, suffix: &str) -> Form<T> {
        Form {
            apart: (prefix.to_owned(), suffix.to_owned()),
            ..self
        }
    }

    pub(crate) fn with_choices(
        mut self,
        id: &'static str,
        choices: Vec<(String, String)>,
    ) -> Form<T> {
        self.entry(id).choices = choices;
        self
    }

    /// Takes in what was typed: what a posted form carries, but what its person left as it was when
    /// the form was made.
    pub(crate) fn typed_only(
        mut self,
        is_taken: impl Fn(&str) -> bool,
        posted: &Fields,
    ) -> Form<T> {
        let made_from = posted.filled("made_from").unwrap_or_default();
        for (id, input) in self.entries.iter_mut().filter(|(id, _)| is_taken(id)) {
            let name = format!("{id}{}", self.apart.1);
            let Some(typed) = posted
                .get(&name)
                .map(|text| text.trim().replace("\r\n", "\n"))
            else {
                continue;
            };
            if made_from
                .split(' ')
                .all(|mark| mark != fingerprint(&name, &typed))
            {
                input.text = typed;
                input.is_typed = true;
            }
        }
        self
    }

    pub(crate) fn typed(self, posted: &Fields) -> Form<T> {
        self.typed_only(|_| true, posted)
    }

    /// Short marks of the texts as they are saved, by which a form tells later what was changed in
    /// it.
    pub(crate) fn made_from(&self) -> String {
        let entries = self.entries.iter();
        let marks =
            entries.map(|(id, input)| fingerprint(&format!("{id}{}", self.apart.1), &input.saved));
        marks.joined(" ")
    }

    /// The value of the texts; nothing where one is refused, which then says why.
    pub(crate) fn read(&mut self) -> Option<T> {
        let mut value = T::start(self.filled_from.as_ref());
        for field in T::FIELDS {
            if let Err(why) = (field.read)(
                &FieldText {
                    id: field.id,
                    form: self,
                },
                &mut value,
            ) {
                self.refuse(field.id, why);
            }
        }
        if self.is_refused() { None } else { Some(value) }
    }

    /// What it edits; nothing where it makes something new.
    pub(crate) fn before(&self) -> Option<&T> {
        self.filled_from.as_ref().filter(|_| self.is_edit)
    }

    pub(crate) fn refuse(&mut self, id: &str, why: String) {
        if let Some(input) = self.entries.get_mut(id) {
            input.error = Some(why);
        }
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.entries.values().any(|input| input.error.is_some())
    }

    /// Sets what nobody typed.
    pub(crate) fn set(&mut self, id: &'static str, text: String) {
        self.entry(id).text = text;
    }

    fn entry(&mut self, id: &'static str) -> &mut FieldEntry {
        self.entries.entry(id).or_default()
    }

    pub(crate) fn text(&self, id: &str) -> &str {
        self.entries.get(id).map_or("", |input| &input.text)
    }

    pub(crate) fn is_typed(&self, id: &str) -> bool {
        self.entries.get(id).is_some_and(|input| input.is_typed)
    }

    /// The form once more, because of this.
    pub(crate) fn refused(self, why: &'static str) -> Form<T> {
        Form {
            refusal: Some(why),
            ..self
        }
    }

    /// The form with what is saved by now beside what was typed.
    pub(crate) fn beside(self) -> Form<T> {
        Form {
            is_beside: true,
            ..self
        }
    }

    pub(crate) fn shown(&self, is_shown: impl Fn(&Field<T>) -> bool) -> Vec<ShownField<'_>> {
        T::FIELDS
            .iter()
            .filter(|field| is_shown(field))
            .filter_map(|field| self.show(field))
            .collect()
    }

    fn show(&self, field: &'static Field<T>) -> Option<ShownField<'_>> {
        let input = self.entries.get(field.id)?;
        let is_other = self.is_beside && input.is_typed && input.text != input.saved;
        let saved = if input.saved.is_empty() {
            field.when_empty
        } else {
            &input.saved
        };
        Some(ShownField {
            id: format!("{}{}", self.apart.0, field.id),
            name: format!("{}{}", field.id, self.apart.1),
            label: field.label,
            hint: field.hint,
            kind: field.kind,
            when_empty: field.when_empty,
            is_required: field.is_required,
            value: &input.text,
            choices: &input.choices,
            error: input.error.as_deref(),
            now: if is_other { Some(saved) } else { None },
        })
    }

    pub(crate) fn all(&self) -> Vec<ShownField<'_>> {
        self.shown(|_| true)
    }

    pub(crate) fn errors(&self) -> Vec<ShownField<'_>> {
        self.shown(|field| {
            self.entries
                .get(field.id)
                .is_some_and(|input| input.error.is_some())
        })
    }

    pub(crate) fn only(&self, ids: &[&str]) -> Vec<ShownField<'_>> {
        self.shown(|field| ids.contains(&field.id))
    }

    /// What is wrong with fields that the page does not show.
    pub(crate) fn list_other_errors(&self, shown: &[&str]) -> impl Iterator<Item = &str> {
        let hidden = self.entries.iter().filter(|(id, _)| !shown.contains(*id));
        hidden.filter_map(|(_, input)| input.error.as_deref())
    }

    /// What of the saved a value changes.
    pub(crate) fn changes(&self, after: &T) -> Difference {
        let changes = T::FIELDS.iter().filter_map(|field| {
            let old_value = self.entries.get(field.id)?.saved.clone();
            let new_value = (field.write)(after);
            let Field {
                id,
                label,
                kind,
                when_empty,
                owner,
                is_private,
                ..
            } = *field;
            let name = format!("{id}{}", self.apart.1);
            let change = FieldChange {
                id,
                name,
                label,
                kind,
                when_empty,
                owner,
                is_private,
                old_value,
                new_value,
            };
            Some(change).filter(|change| change.old_value != change.new_value)
        });
        Difference(changes.collect())
    }
}

/// A mark of a field with its text: the first digits of a hash.
fn fingerprint(field: &str, text: &str) -> String {
    let hash = Sha256::digest(format!("{field}={text}"));
    HEXLOWER.encode(hash.get(..6).unwrap_or_default())
}

pub(crate) struct ShownField<'a> {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) label: &'static str,
    pub(crate) hint: &'static str,
    kind: FieldKind,
    when_empty: &'static str,
    pub(crate) is_required: bool,
    pub(crate) value: &'a str,
    choices: &'a [(String, String)],
    pub(crate) error: Option<&'a str>,
    /// What is saved, where a stale form carries something else.
    pub(crate) now: Option<&'a str>,
}

impl ShownField<'_> {
    /// The type of its input, and what a phone's keyboard is for.
    pub(crate) fn input(&self) -> (&'static str, Option<&'static str>) {
        match self.kind {
            FieldKind::Date => ("date", None),
            FieldKind::Time => ("datetime-local", None),
            FieldKind::Address => ("email", None),
            FieldKind::Money => ("text", Some("decimal")),
            FieldKind::Number => ("text", Some("numeric")),
            FieldKind::Text
            | FieldKind::Zone
            | FieldKind::Area
            | FieldKind::Lines
            | FieldKind::Choice(_) => ("text", None),
        }
    }

    pub(crate) fn is_area(&self) -> bool {
        matches!(self.kind, FieldKind::Area | FieldKind::Lines)
    }

    pub(crate) fn rows(&self) -> usize {
        self.value.lines().count().clamp(3, 12)
    }

    pub(crate) fn choices(&self) -> Option<Vec<(&str, &str)>> {
        let FieldKind::Choice(choices) = self.kind else {
            return None;
        };
        let of_page = self
            .choices
            .iter()
            .map(|(value, words)| (value.as_str(), words.as_str()));
        Some(choices.iter().copied().chain(of_page).collect())
    }

    /// Every place whose time zone there is, where the field takes one.
    pub(crate) fn zones(&self) -> Option<Vec<TimeZoneName<'static>>> {
        (self.kind == FieldKind::Zone).then(|| {
            jiff::tz::db()
                .available()
                .filter(|name| name.as_str().contains('/'))
                .collect()
        })
    }

    /// The value on a page without a form.
    pub(crate) fn to_words(&self) -> String {
        let chosen = self
            .choices()
            .into_iter()
            .flatten()
            .find(|(value, _)| *value == self.value);
        chosen.map_or_else(
            || self.kind.to_words(self.value, self.when_empty),
            |(_, words)| words.to_owned(),
        )
    }

    /// The ids of what describes the field.
    pub(crate) fn described_by(&self) -> Option<String> {
        let parts = [
            ("hint", !self.hint.is_empty()),
            ("error", self.error.is_some()),
            ("now", self.now.is_some()),
        ];
        let there = parts.iter().filter(|(_, is_there)| *is_there);
        let ids: Vec<String> = there
            .map(|(part, _)| format!("{}-{part}", self.id))
            .collect();
        if ids.is_empty() {
            None
        } else {
            Some(ids.join(" "))
        }
    }
}

/// The text of one field, among the others of its form.
pub(crate) struct FieldText<'a, T: FormValue> {
    id: &'static str,
    pub(crate) form: &'a Form<T>,
}

const NOT_LISTED: &str = "Choose one of the list.";

impl<T: FormValue> FieldText<'_, T> {
    pub(crate) fn text(&self) -> &str {
        self.form.text(self.id)
    }

    pub(crate) fn is_typed(&self) -> bool {
        self.form.is_typed(self.id)
    }

    pub(crate) fn before(&self) -> Option<&T> {
        self.form.before()
    }

    /// One value of a list; an empty text leaves the default.
    pub(crate) fn choice<V: DeserializeOwned>(&self, default: V) -> Result<V, String> {
        match serde_json::from_value(self.text().into()) {
            Ok(choice) => Ok(choice),
            Err(_) if self.text().is_empty() => Ok(default),
            Err(_) => Err(NOT_LISTED.to_owned()),
        }
    }

    /// Whether it is the first of two texts.
    pub(crate) fn one_of(&self, first: &str, second: &str) -> Result<bool, String> {
        match self.text() {
            text if text == first => Ok(true),
            text if text == second => Ok(false),
            _ => Err(NOT_LISTED.to_owned()),
        }
    }

    /// A text of one line; `None` when empty.
    pub(crate) fn line(&self, most: usize) -> Result<Option<String>, String> {
        form::line(self.text(), most)
    }

    pub(crate) fn lines(&self, most: usize) -> Result<Option<String>, String> {
        form::lines(self.text(), most)
    }

    pub(crate) fn number(&self, least: u16, most: u16) -> Result<Option<u16>, String> {
        let text = self.text();
        if text.is_empty() {
            return Ok(None);
        }
        let number = if text.bytes().all(|byte| byte.is_ascii_digit()) {
            text.parse().ok()
        } else {
            None
        };
        match number.filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("Write a whole number from {least} to {most}.")),
        }
    }
}

/// What a form changes, field by field.
#[derive(Clone, Default)]
pub(crate) struct Difference(Vec<FieldChange>);

#[derive(Clone)]
struct FieldChange {
    id: &'static str,
    name: String,
    label: &'static str,
    kind: FieldKind,
    when_empty: &'static str,
    owner: Owner,
    is_private: bool,
    old_value: String,
    new_value: String,
}

impl Difference {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.0.iter().any(|change| change.id == id)
    }

    /// The first of these fields that are changed, or the first change of all.
    pub(crate) fn find_first<'a>(
        &'a self,
        ids: &'a [&str],
    ) -> impl Iterator<Item = &'static str> + 'a {
        let any = if ids.iter().any(|id| self.has(id)) {
            None
        } else {
            self.0.first()
        };
        self.0
            .iter()
            .filter(|change| ids.contains(&change.id))
            .chain(any)
            .map(|change| change.id)
    }

    /// The changed fields that only an admin may change.
    pub(crate) fn of_admins(&self) -> impl Iterator<Item = &'static str> {
        self.0
            .iter()
            .filter(|change| change.owner == Owner::Admins)
            .map(|change| change.id)
    }

    /// The difference without one field.
    pub(crate) fn without(mut self, id: &str) -> Difference {
        self.0.retain(|change| change.id != id);
        self
    }

    /// The changes of both.
    pub(crate) fn and(mut self, difference: Difference) -> Difference {
        self.0.extend(difference.0);
        self
    }

    /// The changes that only an admin may make.
    pub(crate) fn wishes(&self) -> Vec<Wish> {
        self.0
            .iter()
            .filter(|change| change.owner == Owner::Admins)
            .map(FieldChange::wish)
            .collect()
    }

    /// The content of the audit entry. Fields that may name people are listed without values.
    pub(crate) fn entry(&self, act: Act) -> AuditDetail {
        let open = self.0.iter().filter(|change| !change.is_private);
        let open = open.map(|change| (&*change.name, &*change.old_value, &*change.new_value));
        let what = AuditDetail::new(act).with_settings_change(open);
        let private = self.0.iter().filter(|change| change.is_private);
        let private: Vec<&str> = private.map(|change| change.name.as_str()).collect();
        if private.is_empty() {
            what
        } else {
            what.with_note(private.join(", "))
        }
    }
}

impl FieldChange {
    fn wish(&self) -> Wish {
        Wish {
            setting: self.id.to_owned(),
            label: self.label.to_owned(),
            words: format!(
                "{} instead of {}",
                self.kind.to_words(&self.new_value, self.when_empty),
                self.kind.to_words(&self.old_value, self.when_empty)
            ),
            value: self.new_value.clone(),
        }
    }
}

impl FieldKind {
    /// The value of a text, as a person reads it.
    pub(crate) fn to_words(self, text: &str, when_empty: &str) -> String {
        match self {
            _ if text.is_empty() => when_empty.to_owned(),
            FieldKind::Choice(choices) => {
                let words = choices
                    .iter()
                    .find(|(choice, _)| *choice == text)
                    .map_or(text, |(_, words)| words);
                format!("\"{words}\"")
            }
            FieldKind::Money => {
                Usd::from_form(text).map_or_else(|_| text.to_owned(), Usd::to_dollars)
            }
            FieldKind::Date => text
                .parse::<Date>()
                .map_or_else(|_| text.to_owned(), long_date),
            FieldKind::Time => text
                .parse::<DateTime>()
                .map_or_else(|_| text.to_owned(), long_time),
            FieldKind::Lines => text.lines().joined(", "),
            FieldKind::Text
            | FieldKind::Zone
            | FieldKind::Address
            | FieldKind::Number
            | FieldKind::Area => text.split_whitespace().joined(" "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_as_a_person_says_it() {
        let choice = FieldKind::Choice(&[("none", "never"), ("weekly", "each week")]);
        for (kind, text, words) in [
            (FieldKind::Money, "4500.50", "$4,500.50"),
            (FieldKind::Date, "2026-11-02", "2 Nov 2026"),
            (FieldKind::Time, "2026-11-02T08:30", "2 Nov 2026, 08:30"),
            (
                FieldKind::Lines,
                "ann@x.edu\nben@x.edu",
                "ann@x.edu, ben@x.edu",
            ),
            (choice, "weekly", "\"each week\""),
            (choice, "none", "\"never\""),
            (FieldKind::Text, "4711 B", "4711 B"),
            (FieldKind::Text, "", "all"),
        ] {
            assert_eq!(kind.to_words(text, "all"), words);
        }
    }
}
