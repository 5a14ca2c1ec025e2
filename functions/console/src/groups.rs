//! The page of a programme's groups: the settings in which a group differs from its programme. A blank field means the programme's.

use std::collections::BTreeSet;

use bursar_core::domain::audit::AuditDetail;
use bursar_core::store::{Edit, EditOutcome};

use crate::prelude::*;
use crate::settings::{KnownModels, cap, fingerprint, is_untouched, models_of, new_models, plain};
use crate::work::{guardrails, jobs};

const REFUSED: &str = "Nothing was saved: see what is said beside the fields below.";
const STALE: &str = "Nothing was saved: somebody edited the programme meanwhile. Below is what it is now, with what you changed. Save again to save what you changed, and nothing else.";
const FORBIDDEN: &str = "Nothing was saved: the budget has no room for it.";
const TOO_MANY: &str = "Nothing was saved: the groups of a programme have at most about 2,000 models in all.";
const NO_VERSION: &str = "The form did not say which state of the programme it was made from.";

/// How many bytes of models the groups may have.
const MOST_BYTES: usize = 80_000;

#[derive(Template)]
#[template(path = "groups.html")]
struct GroupsPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    may_edit: bool,
    version: u64,
    made_from: String,
    refusal: Option<&'static str>,
    groups: Vec<GroupForm>,
}

pub(crate) async fn page(State(site): State<Site>, access: ProgrammeAccess) -> Answer {
    let forms = current(&site, &access.programme).await?;
    let made_from = marks(&forms);
    Ok(show(&site, &access, forms, made_from, None))
}

pub(crate) async fn save(form: Form<Faculty>) -> Answer {
    let Form { site, access, fields, deadline, .. } = &form;
    let programme = &access.programme;
    let version = fields.filled("version").and_then(|version| version.parse::<u64>().ok());
    let version = version.ok_or_else(|| AppError::unprocessable(NO_VERSION))?;
    let mut forms = current(site, programme).await?;
    let made_from = marks(&forms);
    forms.iter_mut().for_each(|group| group.take(fields));
    let news: Vec<String> = forms.iter().flat_map(|group| group.new_models(&programme.settings)).collect();
    let news: Vec<&str> = news.iter().map(String::as_str).collect();
    let known = KnownModels::of(site, &news, *deadline).await?;
    // What is wrong for good goes before what may be right in a minute.
    if let Some(status) = forms.iter_mut().filter_map(|group| group.check(&programme.settings, &known)).min() {
        return Err(refused(site, access, forms, made_from, REFUSED, status));
    }
    let changes: Vec<GroupChange> = forms.iter().filter_map(|group| group.change(&programme.settings)).collect();
    if changes.is_empty() {
        return Ok(to_groups(programme));
    }
    let settings = with(&programme.settings, &changes);
    let has_other_models = changes.iter().any(|change| change.from.models != change.to.models);
    if let Some(why) = too_many(&settings).filter(|_| has_other_models) {
        return Err(refused(site, access, forms, made_from, why, StatusCode::UNPROCESSABLE_ENTITY));
    }
    if programme.closed_at.is_some() {
        return Err(AppError::conflict("The programme is closed."));
    }
    if version != programme.version {
        return Err(refused(site, access, forms, made_from, STALE, StatusCode::CONFLICT));
    }
    let edit = Edit::of_settings(settings, version, entry(Act::Edited, &changes));
    match site.table.edit(&programme.id, &edit, form.author()).await? {
        EditOutcome::Done => {
            guardrails::in_a_request(site, RulesSource::Programme(programme.id.clone()), *deadline).await;
            jobs::in_a_request(site, &programme.id, *deadline).await;
            Ok(to_groups(programme))
        }
        EditOutcome::NoSuchProgramme => Err(AppError::not_found()),
        EditOutcome::BudgetTooSmall { budget, reserved } => {
            let why = format!(
                "With this {} would be held for keys that people have, and the budget is {}.",
                reserved.to_dollars_up(),
                budget.to_dollars_down()
            );
            forms.iter_mut().for_each(|group| group.refuse_cap(&programme.settings, &why));
            Err(refused(site, access, forms, made_from, FORBIDDEN, StatusCode::UNPROCESSABLE_ENTITY))
        }
        EditOutcome::Stale(now) => {
            let (programme, _) = *now;
            let mut forms = current(site, &programme).await?;
            let made_from = marks(&forms);
            forms.iter_mut().for_each(|group| group.take(fields));
            let access = ProgrammeAccess { programme, ..access.clone() };
            Err(refused(site, &access, forms, made_from, STALE, StatusCode::CONFLICT))
        }
        // A group's cap changes neither.
        EditOutcome::FixedByKeys | EditOutcome::KeysEndBefore(_) => {
            Err(AppError::conflict("The programme's keys do not allow it."))
        }
    }
}

/// The groups of the roster and of the settings, with their people and as they are.
async fn current(site: &Site, programme: &Programme) -> Result<Vec<GroupForm>, AppError> {
    let mut people: BTreeMap<String, usize> = BTreeMap::new();
    for grant in site.table.grants(&programme.id).await? {
        if let Some(group) = grant.group {
            *people.entry(group).or_default() += 1;
        }
    }
    let settings = &programme.settings;
    let named = settings.allowance.group_caps.keys().chain(settings.rules.group_models.keys());
    let names: BTreeSet<String> = people.keys().chain(named).cloned().collect();
    Ok(names.into_iter().map(|name| GroupForm::of(settings, people.get(&name).copied().unwrap_or(0), name)).collect())
}

/// The settings with these groups changed.
fn with(settings: &Settings, changes: &[GroupChange]) -> Settings {
    let mut settings = settings.clone();
    let (caps, models) = (&mut settings.allowance.group_caps, &mut settings.rules.group_models);
    for GroupChange { name, to, .. } in changes {
        match to.cap {
            Some(cap) => caps.insert(name.clone(), cap),
            None => caps.remove(name),
        };
        models.insert(name.clone(), to.models.clone());
    }
    models.retain(|_, models| !models.is_empty());
    settings
}

/// The reason that these groups name too many models, which all lie in the programme's item.
fn too_many(settings: &Settings) -> Option<&'static str> {
    let bytes: usize = settings.rules.group_models.values().flatten().map(String::len).sum();
    (bytes > MOST_BYTES).then_some(TOO_MANY)
}

fn marks(forms: &[GroupForm]) -> String {
    let marks: Vec<String> = forms.iter().map(GroupForm::fingerprint).collect();
    marks.join(" ")
}

fn refused(
    site: &Site,
    access: &ProgrammeAccess,
    groups: Vec<GroupForm>,
    made_from: String,
    why: &'static str,
    status: StatusCode,
) -> AppError {
    AppError::page(status, Ok(show(site, access, groups, made_from, Some(why))))
}

fn show(
    site: &Site,
    access: &ProgrammeAccess,
    groups: Vec<GroupForm>,
    made_from: String,
    refusal: Option<&'static str>,
) -> Response {
    let page = GroupsPage {
        frame: PageFrame::of(site, &access.visitor),
        programme: &access.programme,
        may_edit: access.is_faculty() && access.programme.closed_at.is_none(),
        version: access.programme.version,
        made_from,
        refusal,
        groups,
    };
    site.page(&page)
}

fn to_groups(programme: &Programme) -> Response {
    Redirect::to(&paths::groups(&programme.id)).into_response()
}

/// The fields of one group, as it is or as they were posted.
pub(crate) struct GroupForm {
    pub(crate) name: String,
    pub(crate) people: usize,
    pub(crate) cap: GroupField,
    pub(crate) models: GroupField,
}

/// One field of a group; blank means the programme's.
#[derive(Default)]
pub(crate) struct GroupField {
    pub(crate) text: String,
    pub(crate) error: Option<String>,
    /// The present value, where a stale form carries another.
    pub(crate) now: Option<String>,
}

/// In what a group differs from its programme.
#[derive(PartialEq, Eq)]
struct Group {
    cap: Option<Usd>,
    models: Vec<String>,
}

struct GroupChange {
    name: String,
    from: Group,
    to: Group,
}

impl Group {
    fn of(settings: &Settings, name: &str) -> Group {
        let cap = settings.allowance.group_caps.get(name).copied();
        Group { cap, models: settings.rules.group_models.get(name).cloned().unwrap_or_default() }
    }
}

impl GroupForm {
    fn of(settings: &Settings, people: usize, name: String) -> GroupForm {
        let group = Group::of(settings, &name);
        let field = |text: String| GroupField { text, ..GroupField::default() };
        GroupForm { people, cap: field(in_form(group.cap)), models: field(group.models.join("\n")), name }
    }

    /// Takes in what a form carries of this group and its person changed.
    fn take(&mut self, fields: &Fields) {
        self.cap.take(fields, &format!("cap_usd.{}", self.name));
        self.models.take(fields, &format!("models.{}", self.name));
        self.cap.error = cap_of(&self.cap.text).err();
        self.models.error = models_of(&self.models.text).err();
    }

    /// The models that the group did not name before.
    fn new_models(&self, settings: &Settings) -> Vec<String> {
        let models = models_of(&self.models.text).unwrap_or_default();
        new_models(self.models_before(settings), &models).into_iter().map(str::to_owned).collect()
    }

    /// Refuses a tier or models that there are not. Returns the status if anything of this group is refused by then.
    fn check(&mut self, settings: &Settings, known: &KnownModels) -> Option<StatusCode> {
        if let Ok(models) = models_of(&self.models.text)
            && let Some(refused) = known.refusal(self.models_before(settings), &models)
        {
            self.models.error = Some(refused.why);
            return Some(if self.cap.error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { refused.status });
        }
        (self.cap.error.is_some() || self.models.error.is_some()).then_some(StatusCode::UNPROCESSABLE_ENTITY)
    }

    fn models_before<'a>(&self, settings: &'a Settings) -> &'a [String] {
        settings.rules.group_models.get(&self.name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The marks of its fields as they are, by which a stale form knows what its person changed.
    fn fingerprint(&self) -> String {
        let cap = fingerprint(&format!("cap_usd.{}", self.name), &self.cap.text);
        format!("{cap} {}", fingerprint(&format!("models.{}", self.name), &self.models.text))
    }

    fn change(&self, settings: &Settings) -> Option<GroupChange> {
        let from = Group::of(settings, &self.name);
        let to = Group { cap: cap_of(&self.cap.text).ok()?, models: models_of(&self.models.text).ok()? };
        (from != to).then(|| GroupChange { name: self.name.clone(), from, to })
    }

    /// Refuses the cap if it changes.
    fn refuse_cap(&mut self, settings: &Settings, why: &str) {
        if self.change(settings).is_some_and(|change| change.from.cap != change.to.cap) {
            self.cap.error = Some(why.to_owned());
        }
    }
}

impl GroupField {
    fn take(&mut self, fields: &Fields, name: &str) {
        let Some(typed) = fields.get(name).map(|typed| typed.trim().replace("\r\n", "\n")) else { return };
        if is_untouched(fields.filled("made_from"), name, &typed) {
            return;
        }
        let before = std::mem::replace(&mut self.text, typed);
        if before != self.text {
            self.now = Some(if before.is_empty() { "the programme's".to_owned() } else { before });
        }
    }
}

fn in_form(cap: Option<Usd>) -> String {
    cap.map(plain).unwrap_or_default()
}

fn cap_of(text: &str) -> Result<Option<Usd>, String> {
    if text.is_empty() { Ok(None) } else { cap(text).map(Some) }
}

fn entry(act: Act, changes: &[GroupChange]) -> AuditDetail {
    let said = |which: fn(&GroupChange) -> &Group| -> String {
        let each = changes.iter().flat_map(|change| {
            let (of, name) = (which(change), &change.name);
            let cap = (change.from.cap != change.to.cap).then(|| format!("cap_usd.{name}={}", in_form(of.cap)));
            let models =
                (change.from.models != change.to.models).then(|| format!("models.{name}={}", of.models.join(" ")));
            cap.into_iter().chain(models)
        });
        each.collect::<Vec<_>>().join("; ")
    };
    AuditDetail::new(act).changing(said(|change| &change.from), said(|change| &change.to))
}
