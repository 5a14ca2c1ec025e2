//! Creating a programme, which only admins may, and the fields of a programme's form as templates show them.

use bursar_core::domain::values::id::new_ulid;
use bursar_core::store::NewProgramme;

use super::table::{Kind, SETTINGS, Setting, SettingOwner};
use super::{Draft, Refusals, SettingTexts, not_listed};
use crate::prelude::*;

#[derive(Template)]
#[template(path = "new.html")]
struct NewProgrammePage<'a> {
    frame: PageFrame<'a>,
    fields: FormFields,
    more_open: bool,
    /// The id of this form, which makes one programme.
    form: String,
}

pub(crate) async fn new(State(site): State<Site>, AdminAccess { visitor }: AdminAccess) -> Answer {
    Ok(page(&site, &visitor, &SettingTexts::of_new_programme(), &Refusals::new()))
}

pub(crate) async fn create(form: Form<Admins>) -> Answer {
    let Form { site, access: AdminAccess { visitor }, fields, .. } = &form;
    let typed = SettingTexts::of_new_programme().with(fields);
    let refused = |status, refusals| AppError::page(status, Ok(page(site, visitor, &typed, &refusals)));
    let draft = typed.read(None).map_err(|refusals| refused(StatusCode::UNPROCESSABLE_ENTITY, refusals))?;
    let Draft { settings, budget } = draft;
    if let Some((status, refusals)) = not_listed(site, None, &settings, form.deadline).await? {
        return Err(refused(status, refusals));
    }
    let sent = fields.filled("form").and_then(|id| id.parse().ok());
    let new = NewProgramme { settings, budget, form: sent, copied: None };
    let id = site.table.create(new, form.author()).await?;
    Ok(Redirect::to(&paths::programme(&id)).into_response())
}

fn page(site: &Site, visitor: &Visitor, texts: &SettingTexts, refusals: &Refusals) -> Response {
    let fields = FormFields::of(texts, Audience::Creator, refusals);
    let more_open = fields.optional.iter().any(|field| field.error.is_some());
    site.page(&NewProgrammePage {
        frame: PageFrame::of(site, visitor),
        fields,
        more_open,
        form: new_ulid(site.clock.now()).to_string(),
    })
}

pub(crate) struct Field {
    pub(crate) setting: &'static Setting,
    pub(crate) value: String,
    pub(crate) error: Option<String>,
    /// The current value, where a stale form carries another.
    pub(crate) now: Option<String>,
}

pub(crate) struct FormFields {
    pub(crate) required: Vec<Field>,
    pub(crate) optional: Vec<Field>,
    /// The fields that faculty see, and request of an admin.
    pub(crate) admins: Vec<Field>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    Creator,
    Admin,
    Faculty,
}

impl FormFields {
    pub(crate) fn of(texts: &SettingTexts, audience: Audience, refusals: &Refusals) -> FormFields {
        let mut form = FormFields { required: Vec::new(), optional: Vec::new(), admins: Vec::new() };
        for setting in SETTINGS {
            let fields = match setting.owner {
                SettingOwner::Creator if audience != Audience::Creator => continue,
                SettingOwner::Admins if audience == Audience::Faculty => &mut form.admins,
                _ if setting.is_required => &mut form.required,
                _ => &mut form.optional,
            };
            let (value, error) = (texts.text(setting.id).to_owned(), refusals.get(setting.id).cloned());
            fields.push(Field { setting, value, error, now: None });
        }
        form
    }

    /// Adds the current value to each carried field that differs from it.
    pub(crate) fn beside(mut self, texts: &SettingTexts, now: &SettingTexts) -> FormFields {
        for field in self.required.iter_mut().chain(&mut self.optional).chain(&mut self.admins) {
            field.now = texts.clash(now, field.setting.id);
        }
        self
    }
}

impl Field {
    pub(crate) fn input_type(&self) -> &'static str {
        match self.setting.kind {
            Kind::Date => "date",
            Kind::Time => "datetime-local",
            _ => "text",
        }
    }

    pub(crate) fn input_mode(&self) -> Option<&'static str> {
        match self.setting.kind {
            Kind::Money => Some("decimal"),
            Kind::Number => Some("numeric"),
            _ => None,
        }
    }

    pub(crate) fn is_area(&self) -> bool {
        matches!(self.setting.kind, Kind::Area | Kind::People)
    }

    pub(crate) fn choices(&self) -> Option<&'static [(&'static str, &'static str)]> {
        match self.setting.kind {
            Kind::Choice(choices) => Some(choices),
            _ => None,
        }
    }

    /// The `aria-describedby` ids of the field.
    pub(crate) fn described_by(&self) -> Option<String> {
        let parts =
            [("hint", !self.setting.hint.is_empty()), ("error", self.error.is_some()), ("now", self.now.is_some())];
        let ids: Vec<String> =
            parts.iter().filter(|(_, there)| *there).map(|(part, _)| format!("{}-{part}", self.setting.id)).collect();
        (!ids.is_empty()).then(|| ids.join(" "))
    }
}
