//! A roster file, first previewed and then applied as a job. What it would change is listed; if the
//! roster is another when somebody presses, nothing is done and there is another preview. Parsing
//! and comparing are left to the files below, the job to [`steps`](crate::work::steps).

mod add_person;
pub(crate) mod compare;
pub(crate) mod line;
mod page;
pub(crate) mod parse;
pub(crate) mod registrar;
mod waits;

use std::collections::BTreeSet;
use std::time::Duration;

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{Grant, Person};
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::values::address::{EmailAddress, MatchedAddress};
use bursar_core::domain::values::format::Joined;
use bursar_core::domain::values::id::{GrantId, new_ulid, ulid_for};
use bursar_core::domain::values::token::sha256_hex;
use bursar_core::store::{
    Author, Import, ImportPart, Job, JobCreation, Kept, OutboxRow, PREVIEW_LASTS, RosterChanges,
    RosterPreview, StoreError, Work,
};
use bursar_core::web::{Answer, AppError, FileRequest, Flash, Reply, Result, Site};
use compare::{AbsentRows, ImportPlan, PlannedRow, RosterChange, RosterStep};
use parse::{FileError, RosterFile, RosterRow};
use ulid::Ulid;
use waits::BudgetNeed;

use crate::kit::access::{Faculty, PageFrame, Post, ProgrammeAccess, Upload, is_open};
use crate::kit::csv_file::CsvRequest;
use crate::kit::listing::{Cell, Column, Listing, ON_A_PAGE, column};
use crate::kit::{csv_file, paths, show};
use crate::work::jobs;
use crate::work::steps::Plan;

pub(crate) use add_person::{TypedPerson, add_person, doubt};
pub(crate) use compare::domain;
pub(crate) use page::{opens_in_words, page, waiting};

/// The most groups of a programme. Each has sums of its own, and more would be unreadable.
const MOST_GROUPS: usize = 500;
const MOST_ROWS: usize = 50_000;
/// How long other programmes are looked through for the people of a file.
const LOOK_FOR: Duration = Duration::from_secs(4);
/// The most previews of a programme in an hour, since each is stored for a day.
const PREVIEWS_AN_HOUR: usize = 100;
const BUSY: &str =
    "Another roster of this programme is being applied. Wait until it is done, then try again.";
const NO_DROPS: &str = "Nothing can be undone here: the drops of the last seven days were undone already, or a later full list does not name these people either. Undo the drops of that list first.";
const GONE: &str = "A preview can be applied for a day, and a registrar's file until the next comes. Upload the file again.";

#[derive(Template)]
#[template(path = "roster_file.html")]
struct RosterFilePage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    /// Nothing where it was applied.
    preview: Option<ImportPreview<'a>>,
    /// The rows of each change, of many the first hundred.
    lists: Vec<(RosterChange, usize, Listing<PlannedRow>)>,
    /// All of them as files: what a link says, and its address.
    files: Vec<(String, String)>,
}

struct ImportPreview<'a> {
    compared: &'a ComparedFile,
    stored: &'a RosterPreview,
    need: BudgetNeed,
    /// The people whom it adds and another programme has under another id. `None` where there was
    /// no time to look.
    under_other_ids: Option<Vec<MatchedAddress>>,
    /// Why nothing was done, if this follows a press.
    refused: Option<&'a str>,
}

/// A file compared with the roster as it is now.
struct ComparedFile {
    file: RosterFile,
    plan: ImportPlan,
    /// The version of the roster.
    roster: String,
    /// Before the roster was read.
    compared_at: Moment,
    grants: Vec<Grant>,
    mode: AbsentRows,
}

const COLUMNS: [Column<PlannedRow>; 7] = [
    column("Line")
        .class("number")
        .file("line")
        .hook("line")
        .cell(|row| Cell::exact(row.line)),
    column("").file("change").hook("change").cell(|row| {
        Cell::exact(Some(
            row.changes.iter().map(|change| change.as_str()).joined(" "),
        ))
    }),
    column("Address").file("email").cell(|row| {
        Cell::text(
            row.address
                .as_ref()
                .map(EmailAddress::as_written)
                .or((!row.cell.is_empty()).then_some(&*row.cell)),
        )
    }),
    column("Name")
        .file("name")
        .cell(|row| Cell::text(row.name.as_deref().or(row.typed_name.as_deref()))),
    column("Group")
        .file("group")
        .cell(|row| Cell::text(row.group.as_deref())),
    column("Id")
        .file("id")
        .cell(|row| Cell::text(row.id.as_deref())),
    column("Why, or what was before")
        .file("reason")
        .cell(|row| Cell::text(Some(&*row.reason))),
];

impl ComparedFile {
    /// Compares a file, unless there is something wrong with it.
    async fn from_file(
        site: &Site,
        programme: &Programme,
        file: &[u8],
        email_column: Option<&str>,
        mode: AbsentRows,
    ) -> Result<Result<ComparedFile, FileError>, StoreError> {
        let file = match parse::file(file, email_column) {
            Ok(file) if file.rows.len() + file.refused.len() > MOST_ROWS => {
                return Ok(Err(FileError::TooMany));
            }
            Ok(file) => file,
            Err(why) => return Ok(Err(why)),
        };
        let compared_at = site.clock.now();
        let compared = ComparedFile::with(
            file,
            site.table.grants(&programme.id).await?,
            mode,
            compared_at,
        );
        Ok(match too_many_groups(compared.plan.groups) {
            Some(why) => Err(FileError::TooManyGroups(why)),
            None => Ok(compared),
        })
    }

    /// A file that was kept, compared with the roster as it is now.
    async fn kept(
        site: &Site,
        programme: &Programme,
        preview: &RosterPreview,
        file: &[u8],
    ) -> Result<ComparedFile> {
        let mode = AbsentRows::from_replaces(preview.replaces);
        ComparedFile::from_file(site, programme, file, preview.email_column.as_deref(), mode)
            .await?
            .map_err(FileError::answer)
    }

    fn with(
        file: RosterFile,
        grants: Vec<Grant>,
        mode: AbsentRows,
        compared_at: Moment,
    ) -> ComparedFile {
        let plan = compare::plan(&file, &grants, mode);
        ComparedFile {
            file,
            plan,
            roster: compare::version(&grants),
            compared_at,
            grants,
            mode,
        }
    }

    fn changes(&self) -> RosterChanges {
        let [added, changed, moved, returned, dropped, refused] =
            RosterChange::ALL.map(|change| self.plan.count(change));
        RosterChanges {
            added,
            changed,
            moved,
            returned,
            dropped,
            refused,
        }
    }

    fn import(&self, preview: &RosterPreview, import: Ulid) -> Import {
        Import {
            changes: self.changes(),
            replaces: preview.replaces,
            email_column: preview.email_column.clone(),
            ..Import::new(
                &preview.programme,
                import,
                self.plan.find_confirmed(&self.grants).places.len(),
                self.compared_at,
            )
        }
    }

    /// Starts the job that does what is planned, with the mails that tell of it.
    async fn start(
        self,
        site: &Site,
        import: Import,
        file: &[u8],
        before: Option<Job>,
        mails: &[OutboxRow],
        author: Author<'_>,
    ) -> Result<()> {
        let rows = ImportPart::bytes_of(&self.plan.changed());
        let confirmed = self.plan.find_confirmed(&self.grants);
        for (kept, bytes) in [
            (Kept::Rows, &rows[..]),
            (Kept::Applied, file),
            (Kept::People, &ImportPart::bytes_of(&confirmed)),
        ] {
            site.table
                .keep_part(&import, kept, bytes, author.deadline)
                .await?;
        }
        site.table.keep_import(&import, author.deadline).await?;
        let job = import.job(author.actor, author.now);
        let plan = Plan::plan_roster(&job, self.plan.steps, confirmed, &self.grants);
        begin(site, job, before, mails, Some(plan), author.deadline).await
    }

    fn preview(&self, programme: &Programme, until: Moment, now: Moment) -> RosterPreview {
        RosterPreview {
            import: new_ulid(now),
            programme: programme.id.clone(),
            until,
            replaces: self.mode == AbsentRows::Replace,
            email_column: None,
            roster: self.roster.clone(),
            rows: sha256_hex([String::from_utf8_lossy(&ImportPart::bytes_of(
                &self.plan.rows,
            ))]),
            why: Vec::new(),
        }
    }

    /// The domains that nobody on the roster has, with how many people of the file have each; the
    /// file's most frequent is its usual one.
    fn unusual_domains(&self) -> Vec<(&str, usize)> {
        let domains = self.plan.domains();
        let unknown = waits::unknown_domains(self);
        let most = domains
            .iter()
            .max_by_key(|(domain, people)| (**people, !unknown.contains(*domain)));
        let usual = most.map(|(domain, _)| *domain);
        let unusual = unknown.into_iter().filter(|domain| Some(*domain) != usual);
        unusual
            .filter_map(|domain| Some((domain, *domains.get(domain)?)))
            .collect()
    }

    /// The groups that the file brings, in which nobody is so far.
    fn new_groups(&self, settings: &Settings) -> Vec<&str> {
        let groups: BTreeSet<&str> = self
            .grants
            .iter()
            .filter_map(|grant| grant.group.as_deref())
            .collect();
        let rows = self
            .plan
            .rows_with(RosterChange::Added)
            .chain(self.plan.rows_with(RosterChange::Moved));
        let named: BTreeSet<&str> = rows.filter_map(|row| row.group.as_deref()).collect();
        named
            .difference(&groups)
            .copied()
            .filter(|group| !settings.allowance.group_caps.contains_key(*group))
            .collect()
    }

    /// How many of those who would be dropped have a working key.
    fn working_of_dropped(&self) -> usize {
        let dropped = self
            .plan
            .steps
            .iter()
            .filter(|step| matches!(step, RosterStep::Drop { .. }));
        let dropped: BTreeSet<&GrantId> = dropped.filter_map(RosterStep::grant).collect();
        self.grants
            .iter()
            .filter(|grant| grant.usable().is_some() && dropped.contains(&grant.id))
            .count()
    }

    async fn need(&self, site: &Site, programme: &Programme) -> Result<BudgetNeed> {
        let budget = site.table.budget(&programme.id).await?;
        Ok(BudgetNeed::calculate(
            self,
            &programme.settings,
            &budget,
            site.clock.now(),
        ))
    }

    async fn page(
        &self,
        site: &Site,
        access: &ProgrammeAccess,
        stored: &RosterPreview,
        refused: Option<&str>,
    ) -> Answer {
        let need = self.need(site, &access.programme).await?;
        let added = self.plan.rows_with(RosterChange::Added);
        let people =
            added.filter_map(|row| Some((row.address.as_ref()?.matched(), row.id.as_deref()?)));
        let look = tokio::time::timeout(
            LOOK_FOR,
            site.table
                .find_under_other_ids(&access.programme.id, people),
        );
        let under_other_ids = look.await.ok().transpose()?;
        let preview = ImportPreview {
            compared: self,
            stored,
            need,
            under_other_ids,
            refused,
        };
        Ok(file_page(
            site,
            access,
            stored.import,
            &self.plan.rows,
            Some(preview),
        ))
    }
}

/// What a file would change, or did.
fn file_page(
    site: &Site,
    access: &ProgrammeAccess,
    import: Ulid,
    rows: &[PlannedRow],
    preview: Option<ImportPreview<'_>>,
) -> Reply {
    let programme = &access.programme;
    let lists = RosterChange::ALL.into_iter().map(|change| {
        let matching: Vec<&PlannedRow> = rows
            .iter()
            .filter(|row| row.changes.contains(&change))
            .collect();
        let shown = matching.iter().take(ON_A_PAGE).map(|row| (*row).clone());
        // Who is dropped is on no line.
        let [line, rest @ ..] = COLUMNS;
        let line = (change != RosterChange::Dropped).then_some(line);
        let mut columns: Vec<_> = line.into_iter().chain(rest).collect();
        if change == RosterChange::Refused {
            // The reason is what is read first, and is not to be beyond a narrow screen.
            columns[1..].rotate_right(1);
        }
        let testid = if change == RosterChange::Refused {
            "refused-row"
        } else {
            "row"
        };
        let list = Listing::new(
            (change.as_str(), testid),
            columns,
            shown,
            programme.settings.term.zone(),
        );
        (change, matching.len(), list)
    });
    let file = format!("{}.csv", paths::roster_file(&programme.id, import));
    site.page(&RosterFilePage {
        frame: PageFrame::new(site, &access.visitor),
        programme,
        preview,
        lists: lists.collect(),
        files: if rows.is_empty() {
            Vec::new()
        } else {
            csv_file::offered(&file, rows, PlannedRow::key)
        },
    })
}

pub(crate) async fn preview(Upload { form, file }: Upload) -> Answer {
    let Post {
        site,
        access,
        fields,
        now,
        deadline,
        ..
    } = &form;
    let programme = &access.programme;
    has_open_roster(programme)?;
    let mode = AbsentRows::parse(fields.filled("mode"));
    let mode = mode.ok_or_else(|| AppError::unprocessable("The mode is either add or replace."))?;
    let column = fields.filled("email_column").map(str::trim);
    let file = file.unwrap_or_default();
    let compared = match ComparedFile::from_file(site, programme, &file, column, mode).await? {
        Ok(compared) => compared,
        Err(why) => {
            let status = why.status();
            let refused = page::RefusedRosterForms {
                file: Some((why, mode)),
                ..Default::default()
            };
            return Err(AppError::page(
                status,
                page::show(site, access, refused).await,
            ));
        }
    };
    if let Err(until) = site
        .table
        .use_hourly("previews", &programme.id, PREVIEWS_AN_HOUR, *now, *deadline)
        .await?
    {
        let why = "A hundred files were uploaded for this programme within an hour. Nothing was changed; upload the file again later.";
        return Err(AppError::too_fast(why, until.duration_since(*now)));
    }
    let preview = compared.preview(programme, *now + PREVIEW_LASTS, *now);
    let preview = RosterPreview {
        email_column: column.map(str::to_owned),
        ..preview
    };
    if !compared.plan.rows.is_empty() {
        site.table
            .keep_preview(&preview, &file, &[], *deadline)
            .await?;
    }
    compared.page(site, access, &preview, None).await
}

pub(crate) async fn apply(form: Post<Faculty>) -> Answer {
    let Post {
        site,
        access,
        fields,
        now,
        deadline,
        ..
    } = &form;
    let programme = &access.programme;
    has_open_roster(programme)?;
    let previewed = fields
        .filled("import")
        .and_then(|import| import.parse().ok());
    let previewed: Ulid = previewed.ok_or_else(|| AppError::unprocessable(GONE))?;
    // For another version of the roster it does something else, so it is another import.
    let import = fields
        .filled("roster")
        .map_or(previewed, |roster| ulid_for(previewed, roster));
    if site
        .table
        .get(Import::key_of(&programme.id, import))
        .await?
        .is_some_and(|import| import.applied)
    {
        return applied(site, programme, previewed, &Flash::Already, *deadline).await;
    }
    let Some((preview, file)) = site.table.preview(&programme.id, previewed, *now).await? else {
        return Err(AppError::unprocessable(GONE));
    };
    if fields.get("act") == Some("put-away") {
        site.table
            .remove_waiting_files(&preview, false, *deadline)
            .await?;
        return Ok(site.done(&paths::roster(&programme.id), &Flash::FilePutAway));
    }
    let before = find_last_import(site, programme).await?;
    let compared = ComparedFile::kept(site, programme, &preview, &file).await?;
    // The page that was pressed may be newer than the preview.
    if compared.roster != fields.filled("roster").unwrap_or(&preview.roster) {
        let why = "The roster has changed since that preview, so nothing was done. This is what the file would change now.";
        return Err(AppError::page(
            StatusCode::CONFLICT,
            compared.page(site, access, &preview, Some(why)).await,
        ));
    }
    let dropped = compared.plan.count(RosterChange::Dropped);
    if compared.plan.drops_many()
        && fields.filled("confirm_dropped") != Some(dropped.to_string().as_str())
    {
        let why = format!(
            "Nothing was done. More than a fifth of the roster would be dropped: type the number, {dropped}, to confirm it."
        );
        let page = compared.page(site, access, &preview, Some(&why)).await;
        return Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, page));
    }
    let need = compared.need(site, programme).await?;
    let RosterChanges {
        added,
        changed,
        moved,
        returned,
        dropped,
        refused,
    } = compared.changes();
    let stored = compared.import(&preview, import);
    compared
        .start(site, stored, &file, before, &[], form.author())
        .await?;
    let job = site.table.get(Job::key_of(&programme.id, "import")).await?;
    let notice = Flash::RosterApplied {
        added: added as u64,
        dropped: dropped as u64,
        changed: (changed + moved + returned) as u64,
        refused: refused as u64,
        undone: job.map_or(0, |job: Job| job.refused),
        short: (need.implied - need.budget).or_zero(),
    };
    applied(site, programme, previewed, &notice, *deadline).await
}

/// After an import was started: a registrar's file waits no longer.
async fn applied(
    site: &Site,
    programme: &Programme,
    previewed: Ulid,
    notice: &Flash,
    deadline: Deadline,
) -> Answer {
    let preview = site
        .table
        .get(RosterPreview::key_of(&programme.id, previewed))
        .await?;
    if let Some(preview) = preview.filter(RosterPreview::waits) {
        site.table
            .remove_waiting_files(&preview, false, deadline)
            .await?;
    }
    Ok(site.done(&paths::roster(&programme.id), notice))
}

/// The last job that applied a roster here, which has ended. What is compared after it is compared
/// with what it left.
async fn find_last_import(site: &Site, programme: &Programme) -> Result<Option<Job>> {
    let last = site.table.get(Job::key_of(&programme.id, "import")).await?;
    if last.as_ref().is_some_and(Job::is_being_written) {
        Err(AppError::conflict(BUSY))
    } else {
        Ok(last)
    }
}

/// Takes back the drops of one import, unless a later whole list does not name those people either.
pub(crate) async fn undo(form: Post<Faculty>) -> Answer {
    let Post {
        site,
        access,
        fields,
        actor,
        now,
        deadline,
        ..
    } = &form;
    let id = &access.programme.id;
    has_open_roster(&access.programme)?;
    let import = fields
        .filled("import")
        .and_then(|import| import.parse().ok());
    let import: Ulid =
        import.ok_or_else(|| AppError::unprocessable("The form did not say what to undo."))?;
    let imports = site.table.list(Import::of_programme(id)).await?;
    let target = imports.iter().find(|candidate| candidate.import == import);
    if target.is_some_and(|import| import.undone) {
        return Ok(site.done(&paths::roster(id), &Flash::Already));
    }
    let before = find_last_import(site, &access.programme).await?;
    let standing = target.filter(|target| {
        let mut lists = imports
            .iter()
            .filter(|list| list.is_applied_roster() && list.replaces && !list.undone);
        target.undone_until(*now).is_some() && lists.all(|list| list.made_at <= target.made_at)
    });
    if standing.is_none() {
        let refused = page::RefusedRosterForms {
            undo: Some(NO_DROPS),
            ..Default::default()
        };
        let page = page::show(site, access, refused).await;
        return Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, page));
    }
    // Some may be back already, by a later file.
    let grants = site.table.readable_grants(id).await?;
    let people = grants
        .iter()
        .filter(|grant| grant.holds.dropped_by == Some(import) && !grant.is_over())
        .count();
    let job = Job::new(id, Work::Undo { import }, people as u32, actor, *now);
    begin(site, job, before, &[], None, *deadline).await?;
    Ok(site.done(
        &paths::roster(id),
        &Flash::DropsUndone {
            people: people as u64,
        },
    ))
}

/// Starts a job that changes the roster, and does what there is time for.
async fn begin(
    site: &Site,
    job: Job,
    before: Option<Job>,
    mails: &[OutboxRow],
    plan: Option<Plan>,
    deadline: Deadline,
) -> Result<()> {
    let programme = job.programme.clone();
    match site
        .table
        .start_import(job, before.map(|job| job.job), mails, deadline)
        .await?
    {
        JobCreation::Already => {}
        JobCreation::Busy => return Err(AppError::conflict(BUSY)),
        JobCreation::Yes => jobs::as_planned(site, &programme, plan, deadline).await,
    }
    Ok(())
}

/// What a file would change, compared anew, or what it changed when it was applied; under its name
/// with `.csv` the file of all rows.
pub(crate) async fn kept(
    site: Site,
    access: ProgrammeAccess,
    Path((_, name)): Path<(String, String)>,
    request: CsvRequest,
    given: FileRequest,
) -> Answer {
    let as_file = name.strip_suffix(".csv");
    let import = as_file.unwrap_or(&name).parse().ok();
    let import: Ulid = import
        .filter(|_| access.is_faculty())
        .ok_or_else(AppError::not_found)?;
    let programme = &access.programme;
    let stored = site
        .table
        .get(Import::key_of(&programme.id, import))
        .await?;
    let is_applied = stored
        .is_some_and(|import| import.is_applied_roster() && site.clock.now() < import.until());
    let rows: Vec<PlannedRow> = if is_applied {
        let rows = site.table.read_kept(import, Kept::Rows).await?;
        let Ok(rows) = serde_json::from_slice::<Vec<PlannedRow>>(&rows) else {
            let sentence = "What this roster changed is not kept any more.";
            return Err(AppError::refused(StatusCode::NOT_FOUND, sentence));
        };
        if as_file.is_none() {
            return Ok(file_page(&site, &access, import, &rows, None));
        }
        rows
    } else {
        let Some((preview, bytes)) = site
            .table
            .preview(&programme.id, import, site.clock.now())
            .await?
        else {
            return Err(AppError::not_found());
        };
        let compared = ComparedFile::kept(&site, programme, &preview, &bytes).await?;
        if as_file.is_none() {
            return compared.page(&site, &access, &preview, None).await;
        }
        compared.plan.rows
    };
    let file = request.file(
        &format!("roster-{}", programme.id),
        COLUMNS,
        rows,
        PlannedRow::key,
    )?;
    file.record_reader(&site, &given, &access.visitor, Some(&programme.id))
        .await
}

/// The steps by which one person comes onto a roster, or why they do not. What is empty stays as it
/// is.
fn steps_of_one(
    person: Person,
    group: Option<String>,
    roster: &[Grant],
) -> Result<Vec<RosterStep>, String> {
    let has_group = group.is_some();
    let Person {
        address,
        name,
        roster_id: id,
    } = person;
    let row = RosterRow {
        line: 1,
        address,
        name,
        group,
        id,
    };
    let file = RosterFile {
        rows: vec![row],
        has_group,
        ..RosterFile::default()
    };
    let plan = compare::plan(&file, roster, AbsentRows::Add);
    let refused = plan
        .rows_with(RosterChange::Refused)
        .next()
        .map(|row| row.reason.clone());
    refused
        .or_else(|| too_many_groups(plan.groups))
        .map_or(Ok(plan.steps), Err)
}

/// Why a programme cannot have so many groups.
pub(crate) fn too_many_groups(groups: usize) -> Option<String> {
    (groups > MOST_GROUPS).then(|| {
        format!(
            "The programme would have {} groups, and it can have at most {MOST_GROUPS}. A group is a class or a section, with a line of its own on the overview: check whether the column holds something else, such as a student number.",
            show::count(groups as u64)
        )
    })
}

/// Refuses a programme whose roster cannot be changed.
fn has_open_roster(programme: &Programme) -> Result<()> {
    if !programme.settings.roster {
        return Err(AppError::conflict("A cost centre has no roster."));
    }
    is_open(programme)
}
