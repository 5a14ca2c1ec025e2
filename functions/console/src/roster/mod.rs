//! A roster file, first previewed and then applied as a job. Parsing and comparing are left to the files
//! below, the job to `work/import`.

mod compare;
pub(crate) mod line;
mod parse;

use bursar_core::store::{Import, JobCreation, RateCount};
use compare::{AbsentRows, ImportPlan};
use parse::{FileError, RefusedRow};

use crate::access::Upload;
use crate::prelude::*;
use crate::work::jobs;

/// The most groups of a programme. Each has sums of its own, and more would be unreadable.
const MOST_GROUPS: usize = 500;
/// The most previews of a programme in an hour, since each is stored for a day.
const PREVIEWS_AN_HOUR: u32 = 100;
/// The most refused lines that are listed; the rest are counted.
const LISTED: usize = 500;

#[derive(Template)]
#[template(path = "roster.html")]
struct Preview<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    plan: &'a ImportPlan,
    listed: &'a [RefusedRow],
    ignored: &'a [String],
    encoding: &'static str,
    names_beyond_ascii: &'a [String],
    import: Option<String>,
    to_confirm: bool,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Confirm<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    import: String,
    dropped: u32,
}

pub(crate) async fn preview(Upload { form, file }: Upload) -> Answer {
    let Post { site, access, fields, now, deadline, .. } = &form;
    let programme = &access.programme;
    has_open_roster(programme)?;
    let file = file.ok_or_else(|| AppError::unprocessable("Choose a CSV file first."))?;
    let mode = AbsentRows::of(fields.filled("mode"));
    let mode = mode.ok_or_else(|| AppError::unprocessable("The mode is either add or replace."))?;
    let file = parse::file(&file).map_err(|error| match error {
        FileError::TooMany => {
            let why = "A roster has at most 50,000 rows. Split the file and add one part after the other.";
            AppError::refused(StatusCode::PAYLOAD_TOO_LARGE, why)
        }
        why => AppError::unprocessable(why.to_string()),
    })?;
    let ignored = file.ignored.clone();
    let encoding = file.encoding;
    let names_beyond_ascii = file.names_beyond_ascii();
    let plan = compare::plan(file, &site.table.grants(&programme.id).await?, mode);
    if plan.groups > MOST_GROUPS {
        let why = format!(
            "The programme would have {} groups, and it can have at most {MOST_GROUPS}. A group is a class or a section, with a line of its own on the overview: look whether the column \"group\" holds something else, such as a student number.",
            show::count(u64::try_from(plan.groups)?)
        );
        return Err(AppError::unprocessable(why));
    }
    let to_confirm = plan.drops_many();
    let mut page = Preview {
        frame: PageFrame::of(site, &access.visitor),
        programme,
        plan: &plan,
        listed: &plan.refused[..plan.refused.len().min(LISTED)],
        ignored: &ignored,
        encoding,
        names_beyond_ascii: &names_beyond_ascii,
        import: None,
        to_confirm,
    };
    if !plan.steps.is_empty() {
        let this_hour = RateCount::of_previews(&programme.id, *now);
        if !site.table.count_one(&this_hour, PREVIEWS_AN_HOUR, *deadline).await? {
            let why = "So many files were uploaded for this programme within this hour that no more are taken. Nothing was changed; upload the file again when the hour is over.";
            return Err(AppError::too_fast(why, this_hour.ends_at.duration_since(*now)));
        }
        let import = Import::of(&programme.id, plan.steps.len(), *now);
        page.import = Some(import.import.to_string());
        let import = Import { dropped: plan.dropped.try_into()?, to_confirm, ..import };
        site.table.keep_import(import, plan.steps.clone(), *deadline).await?;
    }
    Ok(site.page(&page))
}

pub(crate) async fn apply(form: Post<Faculty>) -> Answer {
    let Post { site, access, fields, actor, now, deadline, .. } = &form;
    let programme = &access.programme;
    has_open_roster(programme)?;
    let import = match fields.filled("import").and_then(|import| import.parse().ok()) {
        Some(import) => site.table.import(import, *now).await?,
        None => None,
    };
    let import = import.filter(|import| import.programme == programme.id);
    let gone = || AppError::unprocessable("A preview can be applied for a day. Upload the file again.");
    let import = import.ok_or_else(gone)?;
    if import.to_confirm && fields.filled("confirm_dropped") != Some(import.dropped.to_string().as_str()) {
        return Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, Ok(confirm(site, access, &import))));
    }
    match site.table.start_import(&import, actor, *now, *deadline).await? {
        JobCreation::Already => {}
        JobCreation::Busy => {
            let why = "Another roster of this programme is being applied. Wait until it is done, then apply this one.";
            return Err(AppError::conflict(why));
        }
        JobCreation::Yes => jobs::in_a_request(site, &programme.id, *deadline).await,
    }
    Ok(Redirect::to(&paths::programme(&programme.id)).into_response())
}

/// Refuses a programme whose roster cannot be changed.
pub(crate) fn has_open_roster(programme: &Programme) -> Result<(), AppError> {
    if !programme.settings.roster {
        return Err(AppError::conflict("A cost centre has no roster."));
    }
    if programme.closed_at.is_some() {
        return Err(AppError::conflict("The programme is closed."));
    }
    Ok(())
}

/// The page that asks for the number of people who would be dropped.
fn confirm(site: &Site, access: &ProgrammeAccess, import: &Import) -> Response {
    let page = Confirm {
        frame: PageFrame::of(site, &access.visitor),
        programme: &access.programme,
        import: import.import.to_string(),
        dropped: import.dropped,
    };
    site.page(&page)
}
