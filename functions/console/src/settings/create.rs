//! Creating a programme, which only admins may: anew, or as the copy of another one.

use bursar_core::store::{CopiedProgramme, NewProgramme};

use super::{Draft, SettingFields, read, refuse_unlisted};
use crate::access::Admission;
use crate::prelude::*;
use crate::work::jobs;

#[derive(Template)]
#[template(path = "new.html")]
struct NewProgrammePage<'a> {
    frame: PageFrame<'a>,
    fields: SettingFields<'a>,
    more_open: bool,
    /// The id of this form, which makes one programme.
    form: String,
}

pub(crate) async fn new(State(site): State<Site>, AdminAccess { visitor }: AdminAccess) -> Answer {
    Ok(page(&site, &visitor, &Form::blank()))
}

pub(crate) async fn create(post: Post<Admins>) -> Answer {
    let Post { site, access: AdminAccess { visitor }, fields, .. } = &post;
    let mut form = Form::blank().typed(fields);
    let refused = |status, form: &Form<Draft>| AppError::page(status, Ok(page(site, visitor, form)));
    let Some(draft) = read(&mut form) else { return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, &form)) };
    if let Some(status) = refuse_unlisted(site, &mut form, &draft.settings, post.deadline).await? {
        return Err(refused(status, &form));
    }
    make(&post, draft, None).await
}

/// Makes the programme that an admin asked for, once for each form.
pub(crate) async fn make<A: Admission>(post: &Post<A>, draft: Draft, copied: Option<CopiedProgramme>) -> Answer {
    let Draft { settings, budget } = draft;
    let form = post.fields.filled("form").and_then(|id| id.parse().ok());
    let notice = match &copied {
        Some(copied) => Notice::CopyMade { with_roster: copied.roster.is_some() },
        None => Notice::ProgrammeMade { has_roster: settings.roster },
    };
    let is_copy = copied.is_some();
    let new = NewProgramme { settings, budget, form, copied };
    let id = post.site.table.create(new, post.author()).await?;
    if is_copy {
        jobs::in_a_request(&post.site, &id, post.deadline).await;
    }
    Ok(post.site.done(&paths::programme(&id), &notice))
}

fn page(site: &Site, visitor: &Visitor, form: &Form<Draft>) -> Reply {
    let fields = SettingFields::of_new(form);
    site.page(&NewProgrammePage {
        frame: PageFrame::of(site, visitor),
        more_open: fields.optional.iter().any(|field| field.error.is_some()),
        fields,
        form: new_ulid(site.clock.now()).to_string(),
    })
}
