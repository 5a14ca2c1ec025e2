//! The open requests to the admins about a programme, as its overview lists them.

use bursar_core::domain::programme::request::{CLOSE, COPY, Request, Wish};
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
    requests.retain(|request| now < request.asked_at + NEWS_FOR);
    let copies = match requests.iter().flat_map(|request| &request.wishes).any(|wish| wish.setting == COPY) {
        true => site.table.programmes().await?,
        false => Vec::new(),
    };
    let is_done = |wish: &Wish| match wish.setting.as_str() {
        CLOSE => access.programme.closed_at.is_some(),
        COPY => copies.iter().any(|copy| Wish::of_copy(&copy.settings) == wish.to),
        setting => current.text(setting) == wish.to,
    };
    let mut open = Vec::new();
    for Request { by, asked_at, wishes, .. } in requests {
        let to_do = wishes.iter().filter(|wish| !is_done(wish));
        let wishes: Vec<String> = to_do.map(|wish: &Wish| format!("{}: {}", wish.label, wish.words)).collect();
        if wishes.is_empty() {
            continue;
        }
        let asker = site.table.person(&by).await?.map(|person| person.address.as_written().to_owned());
        open.push(OpenRequest { at: column_time(asked_at, settings.term.zone()), asker, wishes });
    }
    Ok(open)
}
