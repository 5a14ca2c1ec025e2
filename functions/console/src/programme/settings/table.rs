//! The table of all settings of a programme. A new setting is a row here and a field of
//! [`Settings`].

use bursar_core::clock::Moment;
use bursar_core::domain::programme::rules::DataPolicy;
use bursar_core::domain::programme::{Byok, Claims, Mails, People, Settings};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::format::{Joined, field_time};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;

use super::models::models_of;
use super::reader::{cap, date, money, people, zone};
use crate::kit::form::{Field, FieldKind, Owner};

/// The values that a form edits: the settings of a programme and its budget.
#[derive(Clone, PartialEq)]
pub(crate) struct SettingsDraft {
    pub(crate) settings: Settings,
    pub(crate) budget: Usd,
}

/// The budget's setting, which is an item of its own.
pub(crate) const BUDGET: &str = "budget_usd";

/// The row that all settings share: a setting belongs to admins, unless its own row or that of its
/// heading says whose it is.
const SETTING: Field<SettingsDraft> = Field {
    owner: Owner::Admins,
    ..Field::OPTIONAL
};

// The row that the settings under a heading share.
const BASICS: Field<SettingsDraft> = Field {
    heading: "Basics",
    ..SETTING
};
const MONEY: Field<SettingsDraft> = Field {
    heading: "Money",
    ..SETTING
};
const PEOPLE: Field<SettingsDraft> = Field {
    heading: "People",
    kind: FieldKind::Lines,
    is_private: true,
    ..SETTING
};
const MODELS: Field<SettingsDraft> = Field {
    heading: "Models and data",
    when_empty: "all",
    ..SETTING
};
const MAILS: Field<SettingsDraft> = Field {
    heading: "Mails",
    owner: Owner::Faculty,
    ..SETTING
};
const KEYS: Field<SettingsDraft> = Field {
    heading: "Rules for keys",
    owner: Owner::Faculty,
    ..SETTING
};

/// All settings, in the order of the form.
pub(super) const SETTINGS: &[Field<SettingsDraft>] = &[
    Field {
        id: "name",
        label: "Name",
        hint: "As students read it.",
        owner: Owner::Faculty,
        write: |draft| draft.settings.name.clone(),
        read: |form, draft| {
            draft.settings.name = form.name()?;
            Ok(())
        },
        is_required: true,
        ..BASICS
    },
    Field {
        id: "starts_on",
        label: "First day",
        kind: FieldKind::Date,
        owner: Owner::Faculty,
        write: |draft| draft.settings.term.starts_on().to_string(),
        read: |form, _| date(form.text()).map(drop),
        is_required: true,
        ..BASICS
    },
    Field {
        id: "ends_on",
        label: "Last day",
        hint: "Inclusive.",
        kind: FieldKind::Date,
        owner: Owner::Faculty,
        write: |draft| draft.settings.term.ends_on().to_string(),
        read: |form, draft| {
            if let Some(term) = form.term()? {
                draft.settings.term = term;
            }
            Ok(())
        },
        is_required: true,
        ..BASICS
    },
    Field {
        id: "timezone",
        label: "Time zone",
        hint: "Such as Europe/Berlin or America/New_York.",
        kind: FieldKind::Zone,
        write: |draft| draft.settings.term.timezone().to_owned(),
        read: |form, _| zone(form.text()).map(drop),
        is_required: true,
        ..BASICS
    },
    Field {
        id: "roster",
        label: "Roster",
        kind: FieldKind::Choice(&[
            ("file", "with a roster"),
            ("none", "none: a cost centre that only owns keys"),
        ]),
        owner: Owner::Creator,
        write: |draft| {
            if draft.settings.roster {
                "file"
            } else {
                "none"
            }
            .to_owned()
        },
        read: |form, draft| {
            draft.settings.roster = form.roster()?;
            Ok(())
        },
        ..BASICS
    },
    Field {
        id: "cap_usd",
        label: "Cap per student",
        hint: "In dollars: what one student may spend in the whole term, or until the cap resets.",
        kind: FieldKind::Money,
        owner: Owner::Faculty,
        write: |draft| plain(draft.settings.allowance.cap),
        read: |form, draft| {
            draft.settings.allowance.cap = cap(form.text())?;
            Ok(())
        },
        is_required: true,
        ..MONEY
    },
    Field {
        id: "reset",
        label: "The cap resets",
        hint: "Days, weeks and months are those of UTC.",
        kind: FieldKind::Choice(&[
            ("none", "never"),
            ("daily", "each day"),
            ("weekly", "each week"),
            ("monthly", "each month"),
        ]),
        write: |draft| word(&draft.settings.basis.reset),
        read: |form, draft| {
            draft.settings.basis.reset = form.choice(Reset::default())?;
            Ok(())
        },
        ..MONEY
    },
    Field {
        id: BUDGET,
        label: "Budget",
        hint: "In dollars: all the money the programme may ever cost.",
        kind: FieldKind::Money,
        write: |draft| plain(draft.budget),
        read: |form, draft| {
            draft.budget = money(form.text())?;
            Ok(())
        },
        is_required: true,
        ..MONEY
    },
    Field {
        id: "byok",
        label: "Spending with own provider keys",
        kind: FieldKind::Choice(&[
            ("inside", "counts against the cap"),
            ("outside", "does not count"),
        ]),
        write: |draft| word(&draft.settings.basis.byok),
        read: |form, draft| {
            draft.settings.basis.byok = form.choice(Byok::default())?;
            Ok(())
        },
        ..MONEY
    },
    Field {
        id: "cost_code",
        label: "Cost code",
        hint: "Used by finance to book the spending.",
        write: |draft| draft.settings.texts.cost_code.clone().unwrap_or_default(),
        read: |form, draft| {
            draft.settings.texts.cost_code = form.line(100)?;
            Ok(())
        },
        ..MONEY
    },
    Field {
        id: "faculty",
        label: "Faculty",
        hint: "Addresses, or Grace Hopper <grace@university.edu>. They get a mail when the budget runs low. Mails to students are sent in the name of the first.",
        write: |draft| lines(&draft.settings.people, &draft.settings.people.faculty),
        read: |form, draft| {
            draft
                .settings
                .people
                .put(|people| &mut people.faculty, people(form.text())?);
            Ok(())
        },
        ..PEOPLE
    },
    Field {
        id: "assistants",
        label: "Assistants",
        hint: "Addresses, with or without a name. They see the programme, and may pause a student's key.",
        write: |draft| lines(&draft.settings.people, &draft.settings.people.assistants),
        read: |form, draft| {
            draft
                .settings
                .people
                .put(|people| &mut people.assistants, people(form.text())?);
            Ok(())
        },
        ..PEOPLE
    },
    Field {
        id: "finance",
        label: "Finance",
        hint: "Addresses that get the statement of each month by mail on the third of the month after, from the next statement on. Admins find earlier ones under Statement. No account is needed.",
        write: |draft| lines(&draft.settings.people, &draft.settings.people.finance),
        read: |form, draft| {
            draft
                .settings
                .people
                .put(|people| &mut people.finance, people(form.text())?);
            Ok(())
        },
        ..PEOPLE
    },
    Field {
        id: "models",
        label: "Models",
        hint: "As OpenRouter spells them, such as openai/gpt-4o-mini, or the name of a model list. Empty: all.",
        kind: FieldKind::Lines,
        owner: Owner::Faculty,
        write: |draft| draft.settings.rules.all.models.join("\n"),
        read: |form, draft| {
            draft.settings.rules.all.models = models_of(form.text())?;
            Ok(())
        },
        ..MODELS
    },
    Field {
        id: "data_policy",
        label: "What providers may do with prompts",
        kind: FieldKind::Choice(&[
            ("account", "as the account allows"),
            ("no-training", "no training on them"),
            ("zero-retention", "not keep them"),
        ]),
        write: |draft| word(&draft.settings.rules.all.data_policy),
        read: |form, draft| {
            draft.settings.rules.all.data_policy = form.choice(DataPolicy::default())?;
            Ok(())
        },
        ..MODELS
    },
    Field {
        id: "providers",
        label: "Providers that may serve models",
        hint: "As OpenRouter spells them, such as openai or google-vertex. Empty: all.",
        kind: FieldKind::Lines,
        write: |draft| draft.settings.rules.all.providers.join("\n"),
        read: |form, draft| {
            draft.settings.rules.all.providers = form.providers()?;
            Ok(())
        },
        ..MODELS
    },
    Field {
        id: "regions",
        label: "Regions in which models may run",
        hint: "europe, us, or both. Empty: all. Bursar cannot check which of the models run there: try each with a key of your own.",
        write: |draft| {
            draft
                .settings
                .rules
                .all
                .regions
                .iter()
                .map(word)
                .joined(", ")
        },
        read: |form, draft| {
            draft.settings.rules.all.regions = form.regions()?;
            Ok(())
        },
        ..MODELS
    },
    Field {
        id: "thresholds",
        label: "Alerts at, in per cent of the budget",
        hint: "Faculty get a mail when this much of the budget is spent. At most 20 numbers from 1 to 100. There is always a mail when all of it is spent.",
        write: |draft| {
            draft
                .settings
                .mails
                .thresholds
                .iter()
                .map(u8::to_string)
                .joined(",")
        },
        read: |form, draft| {
            draft.settings.mails.thresholds = form.thresholds(Mails::default().thresholds)?;
            Ok(())
        },
        ..MAILS
    },
    Field {
        id: "alert_assistants",
        label: "Alerts to assistants",
        hint: "Faculty always get them.",
        kind: FieldKind::Choice(&[("off", "no"), ("on", "yes, they get them too")]),
        write: |draft| {
            if draft.settings.mails.alert_assistants {
                "on"
            } else {
                "off"
            }
            .to_owned()
        },
        read: |form, draft| {
            draft.settings.mails.alert_assistants = form.alert_assistants()?;
            Ok(())
        },
        ..MAILS
    },
    Field {
        id: "digest",
        label: "Weekly digest",
        hint: "The figures of the week, by mail to faculty and assistants.",
        kind: FieldKind::Choice(&[
            ("monday", "Monday"),
            ("tuesday", "Tuesday"),
            ("wednesday", "Wednesday"),
            ("thursday", "Thursday"),
            ("friday", "Friday"),
            ("saturday", "Saturday"),
            ("sunday", "Sunday"),
            ("never", "never"),
        ]),
        write: |draft| {
            draft
                .settings
                .mails
                .digest
                .as_ref()
                .map_or("never".to_owned(), word)
        },
        read: |form, draft| {
            draft.settings.mails.digest = form.digest(Mails::default().digest)?;
            Ok(())
        },
        ..MAILS
    },
    Field {
        id: "student_mails",
        label: "Mails to students about their cap and the end of the term",
        hint: "At 80% and 100% of a cap, and a week before the end. What a rule below does to a key is always mailed.",
        kind: FieldKind::Choice(&[("on", "on"), ("off", "off")]),
        write: |draft| {
            if draft.settings.mails.student_mails {
                "on"
            } else {
                "off"
            }
            .to_owned()
        },
        read: |form, draft| {
            draft.settings.mails.student_mails = form.one_of("on", "off")?;
            Ok(())
        },
        ..MAILS
    },
    Field {
        id: "contact",
        label: "Who students ask",
        hint: "On their pages and in their mails. Empty: mails name the faculty.",
        is_private: true,
        write: |draft| draft.settings.texts.contact.clone().unwrap_or_default(),
        read: |form, draft| {
            draft.settings.texts.contact = form.line(500)?;
            Ok(())
        },
        ..MAILS
    },
    Field {
        id: "claim_opens_at",
        label: "Keys can be claimed from",
        hint: "Empty: from the first day.",
        when_empty: "the first day",
        kind: FieldKind::Time,
        write: |draft| time(draft.settings.claims.claim_opens_at, &draft.settings),
        read: |form, draft| {
            draft.settings.claims.claim_opens_at =
                form.time(|stored| stored.claims.claim_opens_at)?;
            Ok(())
        },
        ..KEYS
    },
    Field {
        id: "claim_closes_at",
        label: "Keys can be claimed until",
        hint: "Empty: until the last day.",
        when_empty: "the last day",
        kind: FieldKind::Time,
        write: |draft| time(draft.settings.claims.claim_closes_at, &draft.settings),
        read: |form, draft| {
            draft.settings.claims.claim_closes_at =
                form.time(|stored| stored.claims.claim_closes_at)?;
            Ok(())
        },
        ..KEYS
    },
    Field {
        id: "replacements",
        label: "Replacements a term",
        hint: "How often a student may replace a key without asking. One that leaked does not count.",
        kind: FieldKind::Number,
        write: |draft| draft.settings.claims.replacements.to_string(),
        read: |form, draft| {
            draft.settings.claims.replacements = form
                .number(0, 1_000)?
                .map_or(Claims::default().replacements, u32::from);
            Ok(())
        },
        ..KEYS
    },
    Field {
        id: "unused_after_days",
        label: "Switch off a key that is not used for, in days",
        when_empty: "never",
        hint: "Empty: never. The student gets a mail a week before, and can switch the key on again while the budget has room.",
        kind: FieldKind::Number,
        write: |draft| number(draft.settings.claims.unused_after_days),
        read: |form, draft| {
            draft.settings.claims.unused_after_days = form.number(1, 3_650)?;
            Ok(())
        },
        ..KEYS
    },
    Field {
        id: "rotate_after_days",
        label: "Have a key replaced after, in days",
        when_empty: "never",
        hint: "Empty: never. The student gets a mail a week before. A key that is not replaced ends on that day, or a week after the mail if the mail was sent late.",
        kind: FieldKind::Number,
        write: |draft| number(draft.settings.claims.rotate_after_days),
        read: |form, draft| {
            draft.settings.claims.rotate_after_days = form.number(1, 3_650)?;
            Ok(())
        },
        ..KEYS
    },
    Field {
        id: "terms",
        label: "Terms of use",
        hint: "Text or a link. Students agree before they see a key.",
        kind: FieldKind::Area,
        is_private: true,
        write: |draft| draft.settings.texts.terms.clone().unwrap_or_default(),
        read: |form, draft| {
            draft.settings.texts.terms = form.lines(20_000)?;
            Ok(())
        },
        ..KEYS
    },
];

/// An amount as somebody would type it: `20`, `20.50`.
pub(crate) fn plain(amount: Usd) -> String {
    let text = amount.to_string();
    let short = text.trim_end_matches('0');
    match short.split_once('.') {
        Some((dollars, "")) => dollars.to_owned(),
        Some((_, tenths)) if tenths.len() == 1 => format!("{short}0"),
        _ => short.to_owned(),
    }
}

/// A choice as the table and forms spell it.
fn word(choice: &impl serde::Serialize) -> String {
    serde_json::to_value(choice)
        .ok()
        .and_then(|word| word.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn number(number: Option<u16>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

fn lines(people: &People, list: &[EmailAddress]) -> String {
    list.iter()
        .map(|person| people.to_words(person))
        .joined("\n")
}

/// A time in the programme's zone, to the minute.
fn time(moment: Option<Moment>, settings: &Settings) -> String {
    moment
        .map(|moment| field_time(moment, settings.term.zone()))
        .unwrap_or_default()
}
