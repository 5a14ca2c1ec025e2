//! The grants of a programme: found, filtered and sorted in memory from what is read of each for
//! the list, as pages and as a file. An address, a grant's id or a key's name that is typed in full
//! is found without reading the others. Of several texts each is somebody's address, id or full
//! name.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::Query;
use bursar_core::clock::Moment;
use bursar_core::domain::grant::{Holds, Reading, ShownState};
use bursar_core::domain::programme::counts::{Counts, Stage};
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::usage::days::{Accuracy, Sum};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::usage::span::Span;
use bursar_core::domain::values::address::{EmailAddress, nfc};
use bursar_core::domain::values::format::column_time;
use bursar_core::domain::values::id::{GrantId, KeyName, ProgrammeId};
use bursar_core::domain::values::key::KeyLabel;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::{Reset, utc_date};
use bursar_core::store::{Enrolment, GrantLine, Unreachable, UnreachableReason};
use bursar_core::web::{Answer, AppError, Fields, FileRequest, Result, Site};
use serde::Deserialize;

use super::bulk::TypedBulk;
use crate::kit::access::{Assistants, PageFrame, Post, ProgrammeAccess};
use crate::kit::csv_file::CsvRequest;
use crate::kit::form::Form;
use crate::kit::listing::{Cell, Column, Listing, Part, column};
use crate::kit::{csv_file, listing, paths, show};
use crate::money::spending::spans;
use crate::money::spending::spans::{Figure, SpanContext, SpanLink, SpanQuery};

/// The values of `?mail=` and of the file's column: mail does not reach the person; or they want
/// none but links.
const MAILS: [(&str, &str); 2] = [
    ("unreachable", "mail comes back"),
    ("unwanted", "wants links only"),
];
/// The values of `?sort=`, the first of which is meant without one.
const SORTS: [(&str, &str); 3] = [
    ("spending", "most spent first"),
    ("used", "last used first"),
    ("name", "by name"),
];
/// The values of `?state=` besides the states, and their words: a part of the keys that work, and
/// of those that are paused.
const PARTS_OF_STATES: [(&str, &str); 2] = [
    ("used-up", ShownState::USED_UP),
    ("off-roster", ShownState::OFF_ROSTER),
];
/// What begins the name of the field by which a grant is ticked.
const TICK: &str = "tick.";
/// The fewest characters of a key's hash by which it is found.
const LEAST_OF_A_HASH: usize = 12;
/// What is between several texts that are looked for, and how many they may be.
const SEPARATORS: [char; 3] = [',', ';', '\n'];
const MOST_SOUGHT: usize = 5_000;

/// A search among grants. An unknown state finds nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct GrantSearch {
    q: String,
    state: String,
    group: String,
    /// The filter by whether mail reaches people; empty for all.
    mail: String,
    /// How far somebody of the roster has come; empty for all, and for those who are not on it.
    stage: String,
    sort: String,
    /// The number of grants before the first on this page.
    from: String,
    /// Those that are ticked in a form; none for all that are found.
    #[serde(skip)]
    pub(super) ticked: BTreeSet<GrantId>,
    #[serde(flatten)]
    span_query: SpanQuery,
}

type Choices<'a> = Vec<(&'a str, &'a str)>;

#[derive(Template)]
#[template(path = "grants.html")]
struct GrantListPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    counts: Counts,
    sought: &'a GrantSearch,
    /// The fields that filter and sort, each with its choices: the value, and in words.
    filters: [(&'static str, &'static str, &'a str, Choices<'a>); 5],
    grants: Listing<GrantRow<'a>>,
    /// Of several that are looked for, those that nobody here is known by.
    not_found: Vec<String>,
    /// The form of an act on all that are found; assistants have none.
    bulk: Option<Form<TypedBulk>>,
    spans: Vec<SpanLink>,
    notes: Vec<String>,
}

pub(crate) struct GrantRow<'a> {
    pub(crate) programme: &'a Programme,
    pub(crate) line: GrantLine,
    pub(super) state: ShownState,
    pub(super) cap: Usd,
    /// What was spent of the cap.
    pub(super) in_window: Usd,
    /// The spending in the requested span; without one in the current window, and in a file in all.
    spent: Sum,
    lifetime: Usd,
    amount_left: Usd,
    not_mailed: Option<(&'static str, &'static str)>,
    /// Whether it can be ticked for the form of an act on many.
    has_tick: bool,
    /// What a page says of it besides.
    pub(crate) note: Option<String>,
    resets_at: Option<Moment>,
}

/// What a list shows besides what each does.
#[derive(Clone, Copy, Default)]
pub(crate) struct Shows {
    /// What was spent in all, which is what was spent of a cap for the whole term.
    pub(crate) lifetime: bool,
    /// What was spent in a span that was asked for.
    pub(crate) span: bool,
}

impl Shows {
    pub(crate) fn from_settings(settings: &Settings) -> Shows {
        Shows {
            lifetime: settings.basis.reset != Reset::None,
            ..Shows::default()
        }
    }
}

pub(crate) fn columns<'a>(shows: Shows) -> [Column<GrantRow<'a>>; 19] {
    [
        column("")
            .hook("programme")
            .cell(|row| Cell::exact(Some(&row.programme.id))),
        column("")
            .file("grant")
            .hook("grant")
            .cell(|row| Cell::exact(Some(&row.line.id))),
        column("")
            .file("email")
            .hook("email")
            .cell(|row| Cell::text(Some(row.line.address.as_written()))),
        column("Person").cell(GrantRow::person),
        column("")
            .file("name")
            .cell(|row| Cell::text(row.line.name.as_deref())),
        column("Group")
            .file("group")
            .cell(|row| Cell::text(row.line.group.as_deref())),
        column("State")
            .file("state")
            .hook("state")
            .cell(GrantRow::badge),
        column("")
            .file("cap_usd")
            .hook("cap-usd")
            .cell(|row| Cell::exact(Some(row.cap))),
        column("")
            .file("spent_usd")
            .hook("spent-usd")
            .cell(|row| Cell::exact(row.figure().usd)),
        column("Used of the cap").class("used").cell(GrantRow::used),
        column("Chosen days")
            .class("money")
            .show_if(shows.span)
            .cell(|row| Cell::shown(row.figure().usd, row.figure().text)),
        column("Spent in all")
            .class("money")
            .show_if(shows.lifetime)
            .cell(|row| Cell::money(row.lifetime)),
        column("Left")
            .class("money")
            .file("left_usd")
            .hook("left-usd")
            .cell(|row| {
                Cell::shown(
                    Some(row.amount_left),
                    row.cap.subtract_spent(row.in_window).to_cents(),
                )
            }),
        column("")
            .file("window_resets_at")
            .cell(|row| Cell::At(row.resets_at)),
        column("")
            .file("claimed_at")
            .cell(|row| Cell::At(row.line.claimed_at())),
        column("Last used")
            .class("date")
            .file("last_used_at")
            .cell(|row| Cell::At(row.line.last_used_at)),
        column("")
            .file("replacements")
            .cell(|row| Cell::exact(Some(row.line.replacements))),
        column("")
            .file("mail")
            .cell(|row| Cell::exact(row.not_mailed.map(|(name, _)| name))),
        column("")
            .file("key_hash")
            .cell(|row| Cell::exact(row.line.live_key.as_ref())),
    ]
}

pub(crate) async fn page(
    site: Site,
    access: ProgrammeAccess,
    Query(sought): Query<GrantSearch>,
) -> Answer {
    show(&site, &access, sought).await
}

/// The same page for a search that no URL could hold.
pub(crate) async fn list_for_post(form: Post<Assistants>) -> Answer {
    show(
        &form.site,
        &form.access,
        GrantSearch::from_fields(&form.fields),
    )
    .await
}

async fn show(site: &Site, access: &ProgrammeAccess, sought: GrantSearch) -> Answer {
    let sought = sought.composed();
    let is_for_several = sought.is_for_several();
    let programme = &access.programme;
    let requested_span = sought.span_query.span();
    let (sync, counts) = tokio::try_join!(
        site.table.sync_state(),
        site.table.roster_counts(&programme.id)
    )?;
    let FoundGrants {
        mut rows,
        groups,
        not_found,
    } = sought.find(site, programme, sync.listed_at, false).await?;
    let order = SORTS
        .into_iter()
        .find(|(name, _)| *name == sought.sort)
        .unwrap_or(SORTS[0]);
    match order.0 {
        "name" => rows.sort_by_cached_key(GrantRow::name),
        "used" => rows.sort_by_cached_key(|row| (Reverse(row.line.last_used_at), row.address())),
        _ => {
            rows.sort_by_cached_key(|row| {
                (Reverse((row.spent.spent, row.lifetime)), row.address())
            });
        }
    }
    let total = rows.len();
    let mut keys: Vec<String> = rows.iter().map(GrantRow::key).collect();
    keys.sort_unstable();
    let from = if is_for_several {
        0
    } else {
        sought.from.parse().unwrap_or(0)
    };
    let (mut rows, from) = listing::page_of(rows, from);
    let may_change = access.is_faculty() && programme.closed_at.is_none();
    rows.iter_mut().for_each(|row| row.has_tick = may_change);
    let notes = spans::notes(&rows.iter().map(GrantRow::figure).collect::<Vec<_>>());
    let zone = programme.settings.term.zone();
    let reset = programme.settings.basis.reset;
    let of_the_cap = if reset == Reset::None {
        Span::All
    } else {
        Span::Window
    };
    let span = requested_span.filter(|span| *span != of_the_cap && *span != Span::Window);
    let as_of = match sync.listed_at {
        Some(listed_at) => format!("as of {} or later", column_time(listed_at, zone)),
        None => "not checked at OpenRouter yet".to_owned(),
    };
    let path = paths::grants(&programme.id);
    let span_words = span
        .map(|span| format!("chosen days: {}, ", spans::phrase(span, reset)))
        .unwrap_or_default();
    let order_as_of = format!("{}; {span_words}{as_of}", order.1);
    let shows = Shows {
        span: span.is_some(),
        ..Shows::from_settings(&programme.settings)
    };
    let grants = Listing::new(("Students", "grant"), columns(shows), rows, zone);
    let mut grants = grants.part_of(total, from, &order_as_of, |from| {
        sought.address(&path, from)
    });
    let mut spans = spans::choices(
        &path,
        &sought.query(),
        spans::offered(reset),
        reset,
        |choice| choice == span.unwrap_or(of_the_cap),
    );
    if is_for_several {
        // No link could hold so many.
        (grants.next, spans) = (None, Vec::new());
    } else {
        grants.files = csv_file::offered(
            &sought.address(&format!("{path}.csv"), 0),
            &keys,
            String::clone,
        );
    }
    let page = GrantListPage {
        frame: PageFrame::new(site, &access.visitor),
        programme,
        counts,
        sought: &sought,
        filters: [
            (
                "state",
                "State",
                &sought.state,
                any_or(
                    &[
                        &ShownState::ALL
                            .map(|state| (state.as_str(), state.to_words(None, &Holds::default())))
                            [..],
                        &PARTS_OF_STATES,
                    ]
                    .concat(),
                ),
            ),
            (
                "group",
                "Group",
                &sought.group,
                any_or(
                    &groups
                        .iter()
                        .map(|group| (&**group, &**group))
                        .collect::<Vec<_>>(),
                ),
            ),
            (
                "stage",
                "Stage",
                &sought.stage,
                any_or(&Stage::ALL.map(|stage| (stage.as_str(), stage.to_words()))),
            ),
            (
                "mail",
                "Mail",
                &sought.mail,
                any_or(&[("unreachable", "comes back"), ("unwanted", "links only")]),
            ),
            ("sort", "Order", &sought.sort, SORTS.to_vec()),
        ],
        grants,
        not_found,
        bulk: may_change.then(|| Form::blank().apart("bulk-", "")),
        spans,
        notes,
    };
    Ok(site.page(&page))
}

fn any_or<'a>(values: &[(&'a str, &'a str)]) -> Choices<'a> {
    [&[("", "any")], values].concat()
}

/// The file of the grants that are found, in the order of their ids, which no correction of an
/// address changes between two parts.
pub(crate) async fn file(
    site: Site,
    access: ProgrammeAccess,
    Query(sought): Query<GrantSearch>,
    request: CsvRequest,
    given: FileRequest,
) -> Answer {
    let programme = &access.programme;
    let sought = sought.composed();
    let listed_at = site.table.sync_state().await?.listed_at;
    let mut rows = sought.find(&site, programme, listed_at, true).await?.rows;
    rows.sort_by_cached_key(GrantRow::key);
    let span = sought
        .span_query
        .span()
        .map(|span| format!("-{}", span.as_str()))
        .unwrap_or_default();
    let as_of = listed_at
        .map(|listed_at| format!("-as-of-{}", utc_date(listed_at)))
        .unwrap_or_default();
    let name = format!("grants-{}{span}{as_of}", programme.id);
    let file = request.file(&name, columns(Shows::default()), rows, GrantRow::key)?;
    file.record_reader(&site, &given, &access.visitor, Some(&programme.id))
        .await
}

pub(crate) fn used(readings: &[Reading]) -> DailyUse {
    readings
        .iter()
        .fold(DailyUse::default(), |mut used, reading| {
            used.add(&reading.used);
            used
        })
}

impl<'a> GrantRow<'a> {
    /// The grant with what it spent in the current window.
    pub(crate) fn new(
        programme: &'a Programme,
        line: GrantLine,
        unreachable: &Unreachable,
        now: Moment,
    ) -> GrantRow<'a> {
        let settings = &programme.settings;
        let in_window = line.used.in_window(settings.basis, now);
        let why = unreachable
            .get(line.address.matched())
            .filter(|_| !line.state.is_over());
        let cap = line.cap(settings);
        GrantRow {
            programme,
            state: line.display_state(now),
            cap,
            in_window,
            spent: Sum {
                spent: in_window,
                accuracy: Accuracy::Exactly,
            },
            lifetime: line.used.counted(settings.basis.byok),
            amount_left: (cap - in_window).or_zero(),
            not_mailed: why.map(|why| MAILS[usize::from(*why == UnreachableReason::Complained)]),
            has_tick: false,
            note: None,
            resets_at: settings.basis.reset.resets_at(now),
            line,
        }
    }

    /// Whether a text in lower case is a part of what the grant is known by, the beginning of a
    /// hash of one of its keys, or a label of one.
    fn is_named(&self, text: &str, is_hash: bool, label: Option<&KeyLabel>) -> bool {
        let line = &self.line;
        let names = [&line.name, &line.roster_id, &line.group]
            .into_iter()
            .flatten()
            .map(String::as_str);
        names
            .chain([line.address.as_written()])
            .any(|name| name.to_lowercase().contains(text))
            || line.id.as_str().contains(text)
            || label.is_some_and(|label| line.key_with(label).is_some())
            || (is_hash
                && line
                    .keys
                    .iter()
                    .any(|key| key.hash.as_str().starts_with(text)))
    }

    /// The texts by which somebody is known exactly, as [`match_key`] writes what is typed.
    fn known_by(&self) -> Vec<String> {
        let line = &self.line;
        let texts = [&line.roster_id, &line.name]
            .into_iter()
            .flatten()
            .map(|text| match_key(text));
        [self.address(), line.id.to_string()]
            .into_iter()
            .chain(texts)
            .collect()
    }

    /// Whether a text is an id or the full name, or the hash of a key; or one of the keys has the
    /// label.
    pub(crate) fn is_exactly(&self, text: &str, label: Option<&KeyLabel>) -> bool {
        self.known_by().contains(&match_key(text))
            || self.line.keys.iter().any(|key| key.hash.as_str() == text)
            || label.is_some_and(|label| self.line.key_with(label).is_some())
    }

    /// Whether the key of this label works.
    pub(crate) fn key_in_words(&self, label: &KeyLabel) -> &'static str {
        let key = self.line.key_with(label).map(|key| &key.hash);
        if key != self.line.live_key.as_ref() {
            "this key has ended"
        } else if self.state == ShownState::Live {
            "this key works"
        } else {
            "this key is paused"
        }
    }

    /// Whether this person has not claimed and is to, or has a key that was unused when all were
    /// looked at, and mail reaches them.
    pub(super) fn may_be_reminded(&self, looked_at: Option<Moment>) -> bool {
        let never_used = self.state == ShownState::Live
            && self.line.stage == Stage::Claimed
            && self.line.claimed_at() < looked_at;
        (self.state == ShownState::Invited || never_used) && self.may_be_mailed()
    }

    pub(super) fn may_be_mailed(&self) -> bool {
        let line = &self.line;
        !line.state.is_over()
            && line.holds.dropped.is_none()
            && self.not_mailed.is_none()
            && !line.address.is_none()
    }

    pub(super) fn has_key(&self) -> bool {
        matches!(self.state, ShownState::Live | ShownState::Minting)
    }

    /// Whether it has a key that nothing but a pause keeps off.
    pub(super) fn works_once_resumed(&self) -> bool {
        let holds = &self.line.holds;
        holds.paused.is_some()
            && holds.dropped.is_none()
            && !holds.unused
            && self.line.live_key.is_some()
    }

    /// What a reservation under this cap costs: what was spent, what this window can still cost,
    /// and each later one.
    pub(super) fn cost(&self, cap: Usd, now: Moment) -> Usd {
        self.lifetime
            + (self.programme.settings.cost_of_a_key(cap, now) - self.in_window.min(cap)).or_zero()
    }

    fn key(&self) -> String {
        self.line.id.to_string()
    }

    pub(crate) fn address(&self) -> String {
        self.line.address.matched().as_str().to_owned()
    }

    fn name(&self) -> (String, String) {
        let name = self.line.name.as_deref();
        (
            name.map_or_else(|| self.address(), str::to_lowercase),
            self.address(),
        )
    }

    fn figure(&self) -> Figure {
        Figure::from_sum(self.spent)
    }

    fn badge(&self) -> Cell {
        let badge = show::Badge::new(self.state, self.amount_left, &self.line.holds);
        Cell::Shown(
            Some(self.state.as_str().to_owned()),
            vec![Part::Badge(badge.class, badge.words.to_owned())],
        )
    }

    fn used(&self) -> Cell {
        let words = format!("{} of {}", self.in_window.to_cents(), self.cap.to_dollars());
        Cell::Shown(
            None,
            vec![Part::Bar(self.in_window.scale(self.cap, Part::BAR), words)],
        )
    }

    fn person(&self) -> Cell {
        let GrantLine {
            id, name, address, ..
        } = &self.line;
        let known_as = name.as_deref().unwrap_or(address.as_written());
        let tick = Part::Tick(format!("{TICK}{id}"), format!("Choose {known_as}"));
        let link = Part::Link(paths::grant(&self.programme.id, id), known_as.to_owned());
        let address = name
            .as_ref()
            .map(|_| Part::Small(address.as_written().to_owned()));
        let note = self.note.clone().map(Part::Small);
        let badge = self
            .not_mailed
            .map(|(_, words)| Part::Badge("warning", words.to_owned()));
        Cell::Shown(
            None,
            [
                Some(tick).filter(|_| self.has_tick),
                Some(link),
                address,
                note,
                badge,
            ]
            .into_iter()
            .flatten()
            .collect(),
        )
    }
}

/// The grants in these programmes that an address, an id or a key's name in full is of.
pub(crate) async fn named<'a>(
    site: &Site,
    programmes: &'a [Programme],
    text: &str,
) -> Result<Vec<(&'a Programme, GrantLine)>> {
    let grants: Vec<(ProgrammeId, GrantId)> = if let Ok(name) = text.parse::<KeyName>() {
        vec![(name.programme, name.grant)]
    } else if let Ok(address) = EmailAddress::parse(text) {
        let enrolled = site
            .table
            .list(Enrolment::of_address(address.matched()))
            .await?;
        enrolled
            .into_iter()
            .map(|enrolled| (enrolled.programme, enrolled.grant))
            .collect()
    } else if let Ok(grant) = text.parse::<GrantId>() {
        programmes
            .iter()
            .map(|programme| (programme.id.clone(), grant.clone()))
            .collect()
    } else {
        Vec::new()
    };
    let mut lines = Vec::new();
    for (id, grant) in grants {
        let Some(programme) = programmes.iter().find(|programme| programme.id == id) else {
            continue;
        };
        lines.extend(
            site.table
                .grant_line(&id, &grant)
                .await?
                .map(|line| (programme, line)),
        );
    }
    Ok(lines)
}

/// What somebody typed of a person, as it is compared: an address without the name before it, else
/// in lower case.
fn match_key(text: &str) -> String {
    match EmailAddress::parse_named(text) {
        Ok((_, address)) => address.matched().as_str().to_owned(),
        Err(_) => nfc(text).to_lowercase(),
    }
}

/// What a search finds.
pub(super) struct FoundGrants<'a> {
    pub(super) rows: Vec<GrantRow<'a>>,
    /// Of several that are looked for, those that nobody here is known by.
    pub(super) not_found: Vec<String>,
    /// Every group that the programme has.
    groups: Vec<String>,
}

/// Whether a filter, which empty is none, lets a value by.
fn is_chosen(filter: &str, value: Option<&str>) -> bool {
    filter.is_empty() || value == Some(filter)
}

impl GrantSearch {
    /// The filter that a form carries.
    pub(super) fn from_fields(fields: &Fields) -> GrantSearch {
        let text = |name: &str| fields.get(name).unwrap_or_default().to_owned();
        GrantSearch {
            q: text("q"),
            state: text("state"),
            group: text("group"),
            mail: text("mail"),
            stage: text("stage"),
            sort: text("sort"),
            ticked: fields
                .iter()
                .filter_map(|(name, _)| name.strip_prefix(TICK)?.parse().ok())
                .collect(),
            ..GrantSearch::default()
        }
    }

    /// The search with its letters as texts are kept, and with the label of a key that was typed in
    /// place of the key.
    fn composed(self) -> GrantSearch {
        let label = KeyLabel::parse(self.text()).map(|label| label.as_str().to_owned());
        let q = label.unwrap_or_else(|| nfc(&self.q).into_owned());
        GrantSearch {
            q,
            group: nfc(&self.group).into_owned(),
            ..self
        }
    }

    pub(super) async fn find<'a>(
        &self,
        site: &Site,
        programme: &'a Programme,
        listed_at: Option<Moment>,
        in_full: bool,
    ) -> Result<FoundGrants<'a>> {
        let now = site.clock.now();
        let settings = &programme.settings;
        let requested_span = self.span_query.span();
        let several = self.several();
        if several.len() > MOST_SOUGHT {
            return Err(AppError::unprocessable(
                "At most 5,000 addresses, ids or names can be looked for at once.",
            ));
        }
        let mut missing = several.clone();
        let text = self.text().to_lowercase();
        let is_hash =
            text.len() >= LEAST_OF_A_HASH && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let label = KeyLabel::parse(self.text());
        let keys = if is_hash || in_full || label.is_some() {
            Some(GrantLine::KEYS)
        } else {
            None
        };
        let named = named(site, std::slice::from_ref(programme), self.text()).await?;
        let is_named = !named.is_empty();
        let lines = async {
            if is_named {
                return Ok(named.into_iter().map(|(_, line)| line).collect());
            }
            site.table.grant_lines(&programme.id, keys).await
        };
        let (lines, unreachable) = tokio::try_join!(lines, site.table.unreachable(now))?;
        let groups = lines
            .iter()
            .filter_map(|line| line.group.as_ref())
            .chain([&self.group]);
        let groups: BTreeSet<&String> = groups.filter(|group| !group.is_empty()).collect();
        let groups = groups.into_iter().cloned().collect();
        let context = SpanContext::new(settings, listed_at, now);
        let mut rows = Vec::new();
        for line in lines {
            let row = GrantRow::new(programme, line, &unreachable, now);
            let is_sought = if several.is_empty() {
                is_named || row.is_named(&text, is_hash, label.as_ref())
            } else {
                let known_by = row.known_by();
                for key in &known_by {
                    missing.remove(key);
                }
                known_by.iter().any(|key| several.contains_key(key))
            };
            if !is_sought || !self.lets_by(&row) {
                continue;
            }
            let spent = match requested_span {
                Some(span) if row.line.stage.has_claimed() => {
                    context.sum(&row.line.used.days(settings.basis.byok), span)
                }
                Some(_) => Sum {
                    spent: Usd::ZERO,
                    accuracy: Accuracy::Exactly,
                },
                None if in_full => Sum {
                    spent: row.lifetime,
                    accuracy: Accuracy::Exactly,
                },
                None => row.spent,
            };
            rows.push(GrantRow { spent, ..row });
        }
        Ok(FoundGrants {
            rows,
            not_found: missing.into_values().map(str::to_owned).collect(),
            groups,
        })
    }

    /// What is looked for, without separators around it.
    fn text(&self) -> &str {
        self.q
            .trim_matches(|letter: char| SEPARATORS.contains(&letter) || letter.is_whitespace())
    }

    pub(super) fn is_for_several(&self) -> bool {
        self.text().contains(SEPARATORS)
    }

    /// The texts that are looked for where there are several, by what each is compared with.
    fn several(&self) -> BTreeMap<String, &str> {
        if !self.is_for_several() {
            return BTreeMap::new();
        }
        let texts = self
            .q
            .split(SEPARATORS)
            .map(str::trim)
            .filter(|text| !text.is_empty());
        texts.map(|text| (match_key(text), text)).collect()
    }

    fn lets_by(&self, row: &GrantRow<'_>) -> bool {
        let words = row.state.to_words(Some(row.amount_left), &row.line.holds);
        let is_counted = row.state != ShownState::Revoked && row.line.holds.dropped.is_none();
        (is_chosen(&self.state, Some(row.state.as_str()))
            || PARTS_OF_STATES.contains(&(&*self.state, words)))
            && is_chosen(&self.group, row.line.group.as_deref())
            && is_chosen(&self.mail, row.not_mailed.map(|(name, _)| name))
            && is_chosen(
                &self.stage,
                Some(row.line.stage.as_str()).filter(|_| is_counted),
            )
            && (self.ticked.is_empty() || self.ticked.contains(&row.line.id))
    }

    fn finds_all(&self) -> bool {
        [&self.q, &self.state, &self.group, &self.mail, &self.stage]
            .into_iter()
            .all(String::is_empty)
    }

    /// The URL of this search from another row on.
    fn address(&self, path: &str, from: usize) -> String {
        let from = if from == 0 {
            String::new()
        } else {
            from.to_string()
        };
        let window = self.span_query.span().map_or("", Span::as_str);
        show::address(
            path,
            &[&self.query()[..], &[("window", window), ("from", &from)]].concat(),
        )
    }

    pub(super) fn query(&self) -> [(&str, &str); 6] {
        [
            ("q", &*self.q),
            ("state", &*self.state),
            ("group", &*self.group),
            ("mail", &*self.mail),
            ("stage", &*self.stage),
            ("sort", &*self.sort),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_are_told_from_one() {
        for (q, expected) in [
            ("", &[][..]),
            ("da@exam", &[]),
            ("Ada Lovelace", &[]),
            // One, with separators around it.
            (" \r\nada@uni.edu;\r\n", &[]),
            (
                "ada@uni.edu,bob",
                &[("ada@uni.edu", "ada@uni.edu"), ("bob", "bob")],
            ),
            (
                "ADA@Uni.edu\r\n\r\n Ada Lovelace",
                &[
                    ("ada lovelace", "Ada Lovelace"),
                    ("ada@uni.edu", "ADA@Uni.edu"),
                ],
            ),
            (
                "Ada <ada@uni.edu>; S7",
                &[("ada@uni.edu", "Ada <ada@uni.edu>"), ("s7", "S7")],
            ),
            // The same twice is looked for exactly, too.
            ("ada\nADA", &[("ada", "ADA")]),
        ] {
            let sought = GrantSearch {
                q: q.to_owned(),
                ..GrantSearch::default()
            };
            let several = sought.several();
            let several: Vec<(&str, &str)> =
                several.iter().map(|(key, text)| (&**key, *text)).collect();
            assert_eq!(several, expected, "{q:?}");
        }
        let many: Vec<String> = (0..5_000)
            .map(|number| format!("student-{number}@students.example.edu"))
            .collect();
        let sought = GrantSearch {
            q: many.join("\r\n"),
            ..GrantSearch::default()
        };
        assert_eq!(sought.several().len(), 5_000);
    }
}
