//! What the fields of a programme's form look like, and what stands in them.

use std::collections::BTreeMap;

use bursar_core::domain::address::EmailAddress;
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::Settings;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Asked, is_admins};

/// A field as a template shows it.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    /// Whether whoever fills it in asks an admin by that.
    pub(crate) is_asked: bool,
    pub(crate) value: String,
    pub(crate) error: Option<String>,
    /// What it is now, where a stale form says something else.
    pub(crate) now: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Money,
    Date,
    Time,
    Number,
    Area,
    Choice(&'static [(&'static str, &'static str)]),
}

/// Whom the form is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    New,
    Admin,
    Faculty,
}

struct Spec(&'static str, &'static str, Kind, &'static str, &'static str);

/// Name, label, kind, what it is when nobody says, and a hint. The first six have no default.
const SPECS: [Spec; 25] = [
    Spec("name", "Name", Kind::Text, "", "As students read it."),
    Spec("starts_on", "First day", Kind::Date, "", ""),
    Spec("ends_on", "Last day", Kind::Date, "", "Inclusive."),
    Spec("timezone", "Time zone", Kind::Text, "", "Such as Europe/Berlin or America/New_York."),
    Spec(
        "cap_usd",
        "Cap per student, in dollars",
        Kind::Money,
        "",
        "What one student may spend in the whole term, or until the cap starts anew.",
    ),
    Spec("pot_usd", "Budget, in dollars", Kind::Money, "", "All the money the programme may ever cost."),
    Spec("roster", "Roster", Kind::Choice(ROSTER), "", ""),
    Spec("reset", "The cap starts anew", Kind::Choice(RESET), "none", "Days, weeks and months are those of UTC."),
    Spec("claim_opens_at", "Keys can be claimed from", Kind::Time, "", "Empty: from the first day."),
    Spec("claim_closes_at", "Keys can be claimed until", Kind::Time, "", "Empty: until the last day."),
    Spec(
        "faculty",
        "Faculty",
        Kind::Area,
        "",
        "Addresses. They hear when the budget runs low, and mails to students name the first three.",
    ),
    Spec("assistants", "Assistants", Kind::Area, "", "Addresses. They see the programme, and may pause a grant."),
    Spec("finance", "Finance", Kind::Area, "", "Addresses that get the statement."),
    Spec(
        "alert_assistants",
        "Assistants who hear of alerts too",
        Kind::Area,
        "",
        "Addresses of assistants. Faculty hear anyway.",
    ),
    Spec(
        "thresholds",
        "Alert at, in per cent of the budget",
        Kind::Text,
        "50,80,95,100",
        "Faculty get a mail when so much of the budget is spent. At most 20 numbers from 1 to 100.",
    ),
    Spec(
        "models",
        "Models",
        Kind::Area,
        "",
        "As the provider spells them, such as openai/gpt-4o-mini, or a tier's name. Empty: all.",
    ),
    Spec("cost_code", "Cost code", Kind::Text, "", "Under what finance books the spending."),
    Spec(
        "replacements",
        "Replacements a term",
        Kind::Number,
        "3",
        "How often a student may replace a key without asking.",
    ),
    Spec("byok", "Spending with a provider key of one's own", Kind::Choice(BYOK), "inside", ""),
    Spec("data_policy", "What providers may do with prompts", Kind::Choice(DATA_POLICY), "account", ""),
    Spec(
        "student_mails",
        "Mails to students about their cap and the end of the term",
        Kind::Choice(ON_OFF),
        "on",
        "At 80 % and 100 % of a cap, and a week before the end. What a rule below does to a key is mailed in any case.",
    ),
    Spec(
        "digest",
        "Weekly digest",
        Kind::Choice(DIGEST),
        "monday",
        "The figures of the week, by mail to faculty and assistants.",
    ),
    Spec(
        "unused_after_days",
        "Switch off a key that is not used for, in days",
        Kind::Number,
        "",
        "Empty: never. Its student hears a week before, and can switch it on again while the budget has room.",
    ),
    Spec(
        "rotate_after_days",
        "Have a key replaced after, in days",
        Kind::Number,
        "",
        "Empty: never. Its student hears 14 and 3 days before. Seven days after, a key that was not replaced ends.",
    ),
    Spec(
        "contact",
        "Whom students ask",
        Kind::Text,
        "",
        "On their pages and in their mails. Empty: mails name the faculty.",
    ),
];
const TERMS: Spec =
    Spec("terms", "Terms of use", Kind::Area, "", "Text or a link. Students agree before they see a key.");

const ROSTER: &[(&str, &str)] = &[("", "with a roster"), ("none", "none: a cost centre that only owns keys")];
const RESET: &[(&str, &str)] =
    &[("none", "never"), ("daily", "each day"), ("weekly", "each week"), ("monthly", "each month")];
const BYOK: &[(&str, &str)] = &[("inside", "counts against the cap"), ("outside", "does not count")];
const DATA_POLICY: &[(&str, &str)] = &[
    ("account", "as the account allows"),
    ("no-training", "no training on them"),
    ("zero-retention", "not keep them"),
];
const ON_OFF: &[(&str, &str)] = &[("on", "on"), ("off", "off")];
const DIGEST: &[(&str, &str)] = &[
    ("monday", "Monday"),
    ("tuesday", "Tuesday"),
    ("wednesday", "Wednesday"),
    ("thursday", "Thursday"),
    ("friday", "Friday"),
    ("saturday", "Saturday"),
    ("sunday", "Sunday"),
    ("never", "never"),
];

const REQUIRED: [&str; 6] = ["name", "starts_on", "ends_on", "timezone", "cap_usd", "pot_usd"];

/// Every field, in the order of the form.
pub(super) const NAMES: [&str; 25] = names();

const fn names() -> [&'static str; 25] {
    let mut names = [TERMS.0; 25];
    let mut at = 0;
    while at < SPECS.len() {
        names[at] = SPECS[at].0;
        at += 1;
    }
    names
}

fn specs() -> impl Iterator<Item = &'static Spec> {
    SPECS.iter().chain(std::iter::once(&TERMS))
}

pub(super) fn default_of(name: &str) -> &'static str {
    specs().find(|spec| spec.0 == name).map_or("", |spec| spec.3)
}

/// The fields that have no default, and the rest. What is refused is said where `judged`.
pub(crate) fn fields(asked: &Asked, whose: For, judged: bool) -> (Vec<Field>, Vec<Field>) {
    let refused = if judged { asked.read(None).err().unwrap_or_default() } else { BTreeMap::new() };
    let is_offered = |spec: &&Spec| match whose {
        For::New => true,
        For::Admin | For::Faculty => spec.0 != "roster",
    };
    let field = |spec: &Spec| Field {
        name: spec.0,
        label: spec.1,
        hint: spec.4,
        kind: spec.2,
        required: REQUIRED.contains(&spec.0),
        is_asked: whose == For::Faculty && is_admins(spec.0),
        value: asked.text(spec.0).to_owned(),
        error: refused.get(spec.0).cloned(),
        now: None,
    };
    specs().filter(is_offered).map(field).partition(|field| field.required)
}

impl Field {
    pub(crate) fn input_type(&self) -> &'static str {
        match self.kind {
            Kind::Date => "date",
            Kind::Time => "datetime-local",
            _ => "text",
        }
    }

    pub(crate) fn input_mode(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Money => Some("decimal"),
            Kind::Number => Some("numeric"),
            _ => None,
        }
    }

    pub(crate) fn is_area(&self) -> bool {
        self.kind == Kind::Area
    }

    pub(crate) fn choices(&self) -> Option<&'static [(&'static str, &'static str)]> {
        match self.kind {
            Kind::Choice(choices) => Some(choices),
            _ => None,
        }
    }

    /// What a reader of the field hears with it.
    pub(crate) fn described_by(&self) -> Option<String> {
        let ids = [("hint", !self.hint.is_empty()), ("error", self.error.is_some()), ("now", self.now.is_some())];
        let ids: Vec<String> =
            ids.iter().filter(|(_, there)| *there).map(|(id, _)| format!("{}-{id}", self.name)).collect();
        (!ids.is_empty()).then(|| ids.join(" "))
    }
}

/// A programme as the texts of its form.
pub(super) fn texts_of(settings: &Settings, pot: Usd) -> BTreeMap<&'static str, String> {
    let zone = TimeZone::get(settings.term.timezone()).unwrap_or(TimeZone::UTC);
    let time = |at: Option<Timestamp>| {
        at.map(|at| at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M").to_string()).unwrap_or_default()
    };
    let people = |people: &[EmailAddress]| -> String {
        people.iter().map(EmailAddress::as_written).collect::<Vec<_>>().join("\n")
    };
    let number = |number: Option<u16>| number.map(|number| number.to_string()).unwrap_or_default();
    let thresholds: Vec<String> = settings.thresholds.iter().map(u8::to_string).collect();
    BTreeMap::from([
        ("name", settings.name.clone()),
        ("roster", if settings.roster { "" } else { "none" }.to_owned()),
        ("starts_on", settings.term.starts_on().to_string()),
        ("ends_on", settings.term.ends_on().to_string()),
        ("timezone", settings.term.timezone().to_owned()),
        ("cap_usd", plain(settings.cap)),
        ("pot_usd", plain(pot)),
        ("reset", word(&settings.reset)),
        ("claim_opens_at", time(settings.claim_opens_at)),
        ("claim_closes_at", time(settings.claim_closes_at)),
        ("faculty", people(&settings.faculty)),
        ("assistants", people(&settings.assistants)),
        ("alert_assistants", people(&settings.alert_assistants)),
        ("finance", people(&settings.finance)),
        ("thresholds", thresholds.join(",")),
        ("models", settings.models.join("\n")),
        ("cost_code", settings.cost_code.clone().unwrap_or_default()),
        ("replacements", settings.replacements.to_string()),
        ("byok", word(&settings.byok)),
        ("data_policy", word(&settings.data_policy)),
        ("student_mails", if settings.student_mails { "on" } else { "off" }.to_owned()),
        ("digest", settings.digest.as_ref().map_or("never".to_owned(), word)),
        ("unused_after_days", number(settings.unused_after_days)),
        ("rotate_after_days", number(settings.rotate_after_days)),
        ("terms", settings.terms.clone().unwrap_or_default()),
        ("contact", settings.contact.clone().unwrap_or_default()),
    ])
}

/// An amount as somebody would type it: `20`, `20.50`.
pub(crate) fn plain(amount: Usd) -> String {
    let text = amount.to_string();
    let (dollars, micros) = text.split_once('.').unwrap_or((&text, ""));
    match micros.trim_end_matches('0') {
        "" => dollars.to_owned(),
        tenths if tenths.len() == 1 => format!("{dollars}.{tenths}0"),
        micros => format!("{dollars}.{micros}"),
    }
}

/// The one word that a choice is spelled as, in the table and in forms.
fn word(choice: &impl serde::Serialize) -> String {
    serde_json::to_value(choice).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}
