//! The registrar's file. A program puts it with the programme's token; it is applied at once, or
//! waits for a person.

use askama::Template;
use axum::body::to_bytes;
use axum::extract::{Path, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::format::column_time;
use bursar_core::domain::values::token::RegistrarToken;
use bursar_core::store::{Author, Import, RosterPreview, RosterToken, WAITS_FOR};
use bursar_core::web::{Answer, AppError, FileNames, Flash, Reply, Result, Site};
use serde_json::{Value, json};

use super::compare::AbsentRows;
use super::parse::FileError;
use super::waits::reasons_to_wait;
use super::{ComparedFile, find_last_import, has_open_roster};
use crate::kit::access::{Faculty, MOST_OF_A_FILE, PageFrame, Post};
use crate::kit::{paths, show};

/// How a token begins, so that it is recognised where it should not be.
const PREFIX: &str = "bursar-roster-";
const FILES_AN_HOUR: usize = 12;

pub(crate) async fn put(
    site: Site,
    Path(id): Path<String>,
    deadline: Deadline,
    request: Request,
) -> Answer {
    let now = site.clock.now();
    let Sender { programme, token } =
        Sender::authorise(&site, &id, request.headers(), now, deadline).await?;
    site.table.note_token_use(&token, now, deadline).await?;

    if let Err(until) = site
        .table
        .use_hourly("registrar", &programme.id, FILES_AN_HOUR, now, deadline)
        .await?
    {
        let why = "Twelve files were put within an hour. Nothing was changed; put it again when Retry-After says.";
        return Err(AppError::too_fast(why, until.duration_since(now)));
    }
    has_open_roster(&programme)?;
    let mode = mode(request.uri().query().unwrap_or_default())?;
    let file = file(request).await?;
    let before = find_last_import(&site, &programme).await?;
    let compared = ComparedFile::from_file(&site, &programme, &file, None, mode)
        .await?
        .map_err(FileError::answer)?;
    let budget = site.table.budget(&programme.id).await?;
    let imports = site.table.list(Import::of_programme(&programme.id)).await?;
    let why = reasons_to_wait(&compared, &programme.settings, &budget, &imports, now);
    let mut preview = RosterPreview {
        why,
        ..compared.preview(&programme, now + WAITS_FOR, now)
    };
    let waiting = site
        .table
        .list(RosterPreview::of_programme(&programme.id))
        .await?;
    let duplicate = waiting.into_iter().find(|earlier| {
        earlier.waits()
            && now < earlier.until
            && earlier.rows == preview.rows
            && earlier.replaces == preview.replaces
            && earlier.why == preview.why
    });
    let changes = compared.changes();
    let mut said = serde_json::to_value(changes)?;
    let state = if compared.plan.steps.is_empty() {
        said = json!({});
        "unchanged"
    } else if let Some(duplicate) = duplicate {
        // Faculty have a mail about it.
        preview = duplicate;
        "waiting"
    } else {
        let mails = site
            .table
            .mails_about_import(&programme, Some(preview.import), changes, now, deadline)
            .await?;
        if preview.waits() {
            site.table
                .keep_preview(&preview, &file, &mails, deadline)
                .await?;
            "waiting"
        } else {
            let import = Import {
                is_unseen: true,
                ..compared.import(&preview, preview.import)
            };
            let author = Author {
                actor: &Actor::Registrar,
                now,
                deadline,
            };
            compared
                .start(&site, import, &file, before, &mails, author)
                .await?;
            "applying"
        }
    };
    // Last, so that a file waits until the next one does or is applied.
    site.table
        .remove_waiting_files(&preview, true, deadline)
        .await?;
    tracing::info!(programme = %programme.id, import = %preview.import, state, %said, "the registrar's file");
    said["state"] = json!(state);
    if state == "unchanged" {
        return Ok(answer(StatusCode::OK, &said));
    }
    (said["import"], said["why"]) = (json!(preview.import), json!(preview.why));
    Ok(answer(StatusCode::ACCEPTED, &said))
}

/// The programme whose file is put, and the token that the request brings.
struct Sender {
    programme: Programme,
    token: RosterToken,
}

impl Sender {
    /// Whatever is wrong is answered alike, before the rest of the request is read.
    async fn authorise(
        site: &Site,
        id: &str,
        headers: &HeaderMap,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Sender> {
        let given = headers
            .get(AUTHORIZATION)
            .and_then(|given| given.to_str().ok()?.split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let given =
            given.and_then(|(_, token)| RegistrarToken::parse(token.trim().strip_prefix(PREFIX)?));
        let given = given.ok_or_else(not_authorised)?;
        let id = id.parse().map_err(|_| not_authorised())?;
        let (Some(programme), Some(token)) = tokio::try_join!(
            site.table.get(Programme::key_of(&id)),
            site.table.get(RosterToken::key_of(&id))
        )?
        else {
            return Err(not_authorised());
        };
        if token.hash != given.hash() {
            return Err(not_authorised());
        }
        if !is_good(site, &programme, &token, now).await? {
            // For good, also if its maker has the role again one day.
            site.table
                .end_roster_token(
                    &token,
                    Author {
                        actor: &Actor::Rule,
                        now,
                        deadline,
                    },
                )
                .await?;
            return Err(not_authorised());
        }
        Ok(Sender { programme, token })
    }
}

fn not_authorised() -> AppError {
    let why = "There is no programme of this name, or the token is not its.";
    AppError::refused(StatusCode::UNAUTHORIZED, why).because("token")
}

/// Whether the programme goes on and the maker of its token may still make one.
async fn is_good(
    site: &Site,
    programme: &Programme,
    token: &RosterToken,
    now: Moment,
) -> Result<bool> {
    let admins = site.table.admins().await?;
    Ok(!programme.is_over(now)
        && site
            .table
            .is_makers(token, &programme.settings, &admins)
            .await?)
}

fn mode(query: &str) -> Result<AbsentRows> {
    let parameter = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "mode");
    let Some((_, value)) = parameter else {
        return Ok(AbsentRows::Replace);
    };
    AbsentRows::parse(Some(&value))
        .ok_or_else(|| AppError::unprocessable("The mode is either replace or add."))
}

async fn file(request: Request) -> Result<Vec<u8>> {
    let (Parts { headers, .. }, body) = request.into_parts();
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !["application/octet-stream", "text/csv"].contains(&kind)
        || headers.contains_key(CONTENT_ENCODING)
    {
        let why = "Put the file as application/octet-stream, or as text/csv in UTF-8, and without a Content-Encoding.";
        return Err(AppError::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    let is_text = kind == "text/csv";
    let Ok(file) = to_bytes(body, MOST_OF_A_FILE).await else {
        return Err(AppError::refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            "A roster file has at most 4 MB.",
        ));
    };
    // A gateway that takes the body for text puts U+FFFD in the place of what is no UTF-8.
    if is_text && std::str::from_utf8(&file).map_or(true, |text| text.contains('\u{FFFD}')) {
        let why = "As text/csv the file must be in UTF-8. Put it as application/octet-stream.";
        return Err(AppError::unprocessable(why));
    }
    Ok(file.into())
}

fn answer(status: StatusCode, said: &Value) -> Reply {
    Reply::file(
        FileNames::Nobody,
        [(CONTENT_TYPE, "application/json")],
        said.to_string(),
    )
    .with_status(status)
}

/// What the roster's page says of a token.
pub(super) async fn to_words(
    site: &Site,
    programme: &Programme,
    token: &RosterToken,
    now: Moment,
) -> Result<String> {
    let zone = programme.settings.term.zone();
    let maker = show::person(&site.table, &token.made_by).await?;
    let used = match token.last_used_at {
        Some(used_at) => format!("last used on {}", column_time(used_at, zone)),
        None => "never used".to_owned(),
    };
    let mut words = format!(
        "The token was made by {maker} on {}, and {used}.",
        column_time(token.made_at, zone)
    );
    if !is_good(site, programme, token, now).await? {
        words += " The token is no longer valid: the person who made it may not make one now, or the term is over.";
    }
    Ok(words)
}

#[derive(Template)]
#[template(path = "roster_token.html")]
struct TokenPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    token: String,
    /// The address to which the file is put.
    address: String,
}

pub(crate) async fn change_token(form: Post<Faculty>) -> Answer {
    let Post {
        site,
        access,
        fields,
        person,
        now,
        ..
    } = &form;
    let programme = &access.programme;
    has_open_roster(programme)?;
    match fields.get("act") {
        Some("end") => {
            if let Some(token) = site.table.get(RosterToken::key_of(&programme.id)).await? {
                site.table.end_roster_token(&token, form.author()).await?;
            }
            Ok(site.done(&paths::roster(&programme.id), &Flash::TokenEnded))
        }
        Some("make") => {
            let token = RegistrarToken::generate();
            let kept = RosterToken {
                programme: programme.id.clone(),
                hash: token.hash(),
                made_by: person.clone(),
                made_at: *now,
                last_used_at: None,
            };
            site.table.set_roster_token(&kept, form.author()).await?;
            Ok(site.page(&TokenPage {
                frame: PageFrame::new(site, &access.visitor),
                programme,
                token: format!("{PREFIX}{}", token.reveal()),
                address: format!("{}{}", site.origin.as_str(), paths::roster(&programme.id)),
            }))
        }
        _ => Err(AppError::unprocessable(
            "The form did not say whether to make a token or to end it.",
        )),
    }
}
