//! What the admins have been asked for about a programme, as its overview says it for as long as it is not done.

use bursar_core::domain::money::Usd;
use bursar_core::domain::request::{Request, Wish};
use bursar_core::web::{Fault, Site};
use jiff::{SignedDuration, Timestamp};

use crate::access::Sight;
use crate::settings_form::Asked;
use crate::show;

/// So many are looked at, and for so long one is worth a line.
const NEWEST: i32 = 10;
const NEWS_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// One request as it is shown.
pub(crate) struct Asking {
    pub(crate) at: String,
    pub(crate) asker: Option<String>,
    pub(crate) wishes: Vec<String>,
}

/// The newest of which something is still to be done, newest first.
pub(crate) async fn open(site: &Site, sight: &Sight, pot: Usd, now: Timestamp) -> Result<Vec<Asking>, Fault> {
    let settings = &sight.programme.settings;
    let current = Asked::of(settings, pot);
    let mut requests = site.table.requests(&sight.programme.id, NEWEST).await?;
    requests.sort_by_key(|request| std::cmp::Reverse(request.asked_at));
    let mut open = Vec::new();
    for Request { by, asked_at, wishes, .. } in requests.into_iter().filter(|request| now < request.asked_at + NEWS_FOR)
    {
        let to_do = wishes.iter().filter(|wish| !current.is(&wish.setting, &wish.to));
        let wishes: Vec<String> = to_do.map(|wish: &Wish| format!("{}: {}", wish.label(), wish.in_words())).collect();
        if wishes.is_empty() {
            continue;
        }
        let asker = site.table.person(&by).await?.map(|person| person.address.as_written().to_owned());
        open.push(Asking { at: show::time(asked_at, settings.term.timezone()), asker, wishes });
    }
    Ok(open)
}
