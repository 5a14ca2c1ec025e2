//! The page of a programme's roster: the forms that change it, the invitations, and what files
//! brought lately. Assistants read it.

use askama::Template;
use bursar_core::clock::Moment;
use bursar_core::domain::programme::counts::Counts;
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::values::format::column_time;
use bursar_core::store::{Import, Job, Overview, RosterMails, RosterPreview};
use bursar_core::web::{Answer, AppError, Site};
use jiff::tz::TimeZone;
use ulid::Ulid;

use super::add_person::TypedPerson;
use super::compare::AbsentRows;
use super::parse::FileError;
use super::registrar;
use crate::kit::access::{PageFrame, ProgrammeAccess};
use crate::kit::form::{Form, ShownField};
use crate::kit::job_line::JobLine;
use crate::kit::show::long_date;

#[derive(Template)]
#[template(path = "roster.html")]
struct RosterPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    /// Why drops were not undone.
    refusal: Option<&'static str>,
    may_edit: bool,
    jobs: Vec<JobLine>,
    /// The registrar's file that waits for a person, and until when.
    waiting: Option<(String, RosterPreview)>,
    applied: Vec<AppliedRoster>,
    /// What is wrong with a file, and what was to become of people who are not in it.
    file: Option<(FileError, AbsentRows)>,
    person: Vec<ShownField<'a>>,
    /// The domain of an address that is asked about: whoever presses again is sure of it.
    sure: Option<String>,
    /// For the course's page: how the invitation is known.
    announcement: String,
    counts: Counts,
    mails: RosterMails,
    /// The day on which invitations go out that wait until keys can be claimed.
    opens: Option<String>,
    /// What is said of the registrar's token.
    token: Option<String>,
}

/// A roster that was applied within some days.
struct AppliedRoster {
    import: Ulid,
    made_at: String,
    dropped: usize,
    /// How many of its changes could not be made, as far as its job is the last.
    undone: u32,
    /// Until when its drops may be undone, if it made any and they were not.
    undone_until: Option<String>,
}

/// What was refused of the page's forms.
#[derive(Default)]
pub(super) struct RefusedRosterForms {
    pub(super) person: Option<Form<TypedPerson>>,
    pub(super) sure: Option<String>,
    /// With what was to become of people who are not in the file.
    pub(super) file: Option<(FileError, AbsentRows)>,
    pub(super) undo: Option<&'static str>,
}

pub(crate) async fn page(site: Site, access: ProgrammeAccess) -> Answer {
    show(&site, &access, RefusedRosterForms::default()).await
}

pub(super) async fn show(
    site: &Site,
    access: &ProgrammeAccess,
    refused: RefusedRosterForms,
) -> Answer {
    let now = site.clock.now();
    let programme = &access.programme;
    if !programme.settings.roster {
        return Err(AppError::not_found());
    }
    let (overview, mails) = tokio::try_join!(
        site.table.overview(&programme.id),
        site.table.roster_mails(&programme.id)
    )?;
    let Overview {
        counts,
        jobs,
        token,
        previews,
        imports,
        ..
    } = overview.ok_or_else(AppError::not_found)?;
    let zone = programme.settings.term.zone();
    let token = match token {
        Some(token) => Some(registrar::to_words(site, programme, &token, now).await?),
        None => None,
    };
    let opens = invitations_wait(programme, now);
    let person = refused
        .person
        .unwrap_or_else(|| Form::blank().apart("person-", ""));
    let name = &programme.settings.name;
    let may_edit = access.is_faculty() && programme.closed_at.is_none();
    Ok(site.page(&RosterPage {
        frame: PageFrame::new(site, &access.visitor),
        programme,
        refusal: refused.undo,
        may_edit,
        jobs: JobLine::of_programme(site, programme, &jobs).await,
        waiting: waiting(previews, now).map(|file| (column_time(file.until, zone), file)),
        applied: applied(&imports, &jobs, now, zone),
        file: refused.file,
        person: person.all(),
        sure: refused.sure,
        announcement: format!(
            "You will get a mail with the subject “Your API key for {name}” from {}. It is genuine; its button leads to {}, where \
             you sign in with your university address. You are not asked for a password.",
            site.mail_from,
            site.origin.host()
        ),
        counts,
        mails,
        opens,
        token,
    }))
}

/// When the invitations of a programme go out, if they wait until keys can be claimed.
fn invitations_wait(programme: &Programme, now: Moment) -> Option<String> {
    let waits = now < programme.settings.claim_opens_at() && !programme.is_over(now);
    waits.then(|| opens_in_words(&programme.settings))
}

/// From when on keys can be claimed.
pub(crate) fn opens_in_words(settings: &Settings) -> String {
    match settings.claims.claim_opens_at {
        Some(opens_at) => column_time(opens_at, settings.term.zone()),
        None => long_date(settings.term.starts_on()),
    }
}

/// The rosters that files brought, the newest first.
fn applied(imports: &[Import], jobs: &[Job], now: Moment, zone: &TimeZone) -> Vec<AppliedRoster> {
    let of_files = imports
        .iter()
        .rev()
        .filter(|import| import.is_applied_file() && now < import.until());
    let rosters = of_files.map(|import| AppliedRoster {
        import: import.import,
        made_at: column_time(import.made_at, zone),
        dropped: import.changes.dropped,
        undone: jobs
            .iter()
            .find(|job| job.job == import.import)
            .map_or(0, |job| job.refused),
        undone_until: import
            .undone_until(now)
            .map(|until| column_time(until, zone)),
    });
    rosters.collect()
}

/// The newest of the registrar's files that wait.
pub(crate) fn waiting(previews: Vec<RosterPreview>, now: Moment) -> Option<RosterPreview> {
    previews
        .into_iter()
        .rev()
        .find(|preview| preview.waits() && now < preview.until)
}
