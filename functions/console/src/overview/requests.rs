//! The open requests to the admins about a programme, as its overview lists them.

use bursar_core::domain::programme::request::{CLOSE, Request, Wish};
use bursar_core::domain::values::format::column_time;
use bursar_core::domain::values::money::Usd;
use bursar_core::web::{Fault, Site};
use jiff::{SignedDuration, Timestamp};

use crate::access::ProgrammeAccess;
use crate::settings::{Draft, SettingTexts};

/// The number of newest requests that are read.
const NEWEST: i32 = 10;
/// The time for which a request is listed.
const NEWS_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// One request as the page shows it.
pub(crate) struct OpenRequest {
    pub(crate) at: String,
    pub(crate) asker: Option<String>,
    pub(crate) wishes: Vec<String>,
}

/// The newest requests that are not fulfilled, newest first.
pub(crate) async fn open(
    site: &Site,
    access: &ProgrammeAccess,
    pot: Usd,
    now: Timestamp,
) -> Result<Vec<OpenRequest>, Fault> {
    let settings = &access.programme.settings;
    let current = SettingTexts::of(&Draft { settings: settings.clone(), pot });
    let mut requests = site.table.requests(&access.programme.id, NEWEST).await?;
    requests.sort_by_key(|request| std::cmp::Reverse(request.asked_at));
    let mut open = Vec::new();
    for Request { by, asked_at, wishes, .. } in requests.into_iter().filter(|request| now < request.asked_at + NEWS_FOR)
    {
        let is_closed = |wish: &Wish| wish.setting == CLOSE && access.programme.closed_at.is_some();
        let to_do = wishes.iter().filter(|wish| current.text(&wish.setting) != wish.to && !is_closed(wish));
        let wishes: Vec<String> = to_do.map(|wish: &Wish| format!("{}: {}", wish.label, wish.words)).collect();
        if wishes.is_empty() {
            continue;
        }
        let asker = site.table.person(&by).await?.map(|person| person.address.as_written().to_owned());
        open.push(OpenRequest { at: column_time(asked_at, settings.term.zone()), asker, wishes });
    }
    Ok(open)
}
