//! Lists: one description of the columns gives a page's table with the hooks of its rows, and the
//! file. What a new column says is one line of its list's table; how it looks is the macro `list`
//! of `parts.html`.

use bursar_core::clock::Moment;
use bursar_core::domain::values::format::column_time;
use bursar_core::domain::values::money::Usd;
use jiff::tz::TimeZone;

pub(crate) const ON_A_PAGE: usize = 100;

/// Where something is said of each row: under a heading on the page, under a name in the file, as a
/// hook; some or all of these.
pub(crate) struct ColumnPlace {
    pub(crate) heading: &'static str,
    pub(crate) class: &'static str,
    pub(crate) file: &'static str,
    hook: &'static str,
}

pub(crate) struct Column<R> {
    pub(crate) place: ColumnPlace,
    pub(crate) cell: fn(&R) -> Cell,
}

pub(crate) enum Cell {
    /// A text that somebody chose, which a file keeps spreadsheets from running.
    Text(Option<String>),
    /// A number, an id or a word of ours.
    Exact(Option<String>),
    At(Option<Moment>),
    /// What a page shows in another form than files and hooks.
    Shown(Option<String>, Vec<Part>),
}

/// A part of a cell on a page; the small ones are lines of their own.
pub(crate) enum Part {
    Text(String),
    Link(String, String),
    Badge(&'static str, String),
    Small(String),
    /// A bar filled so far of [`BAR`](Part::BAR), with what it means.
    Bar(i64, String),
    /// Some of these, folded under how many there are.
    Folded(&'static str, Vec<String>),
    Press(Press),
    /// A box of this name in the form of an act on many, with its label.
    Tick(String, String),
}

impl Part {
    pub(crate) const BAR: i64 = 100;
}

/// A form of one button.
#[derive(Clone)]
pub(crate) struct Press {
    pub(crate) action: String,
    pub(crate) csrf: String,
    /// The name and value that say what it is about.
    pub(crate) field: (&'static str, String),
    pub(crate) words: &'static str,
    /// The same words with what it is about.
    pub(crate) label: String,
}

/// A table on a page. The first column that is on the page heads the rows.
pub(crate) struct Listing<R> {
    pub(crate) label: &'static str,
    /// The hook by which tests find the rows.
    pub(crate) testid: &'static str,
    pub(crate) caption: String,
    pub(crate) rows: Vec<R>,
    /// The pages with the rows before these, and after them.
    pub(crate) previous: Option<String>,
    pub(crate) next: Option<String>,
    /// The file of all rows, or each part of it, in words with its address.
    pub(crate) files: Vec<(String, String)>,
    columns: Vec<Column<R>>,
    pub(crate) zone: TimeZone,
}

/// A column under this heading; without one it is not on the page.
pub(crate) const fn column(heading: &'static str) -> ColumnPlace {
    ColumnPlace {
        heading,
        class: "",
        file: "",
        hook: "",
    }
}

impl ColumnPlace {
    pub(crate) const fn class(self, class: &'static str) -> ColumnPlace {
        ColumnPlace { class, ..self }
    }

    pub(crate) const fn file(self, file: &'static str) -> ColumnPlace {
        ColumnPlace { file, ..self }
    }

    pub(crate) const fn hook(self, hook: &'static str) -> ColumnPlace {
        ColumnPlace { hook, ..self }
    }

    /// The same, on the page only if this is so.
    pub(crate) fn show_if(self, is_shown: bool) -> ColumnPlace {
        if is_shown {
            self
        } else {
            ColumnPlace {
                heading: "",
                hook: "",
                ..self
            }
        }
    }

    pub(crate) const fn cell<R>(self, cell: fn(&R) -> Cell) -> Column<R> {
        Column { place: self, cell }
    }
}

impl Cell {
    pub(crate) fn text(text: Option<impl Into<String>>) -> Cell {
        Cell::Text(text.map(Into::into))
    }

    pub(crate) fn exact(value: Option<impl ToString>) -> Cell {
        Cell::Exact(value.map(|value| value.to_string()))
    }

    pub(crate) fn shown(exact: Option<impl ToString>, text: impl Into<String>) -> Cell {
        Cell::Shown(
            exact.map(|exact| exact.to_string()),
            vec![Part::Text(text.into())],
        )
    }

    pub(crate) fn money(usd: Usd) -> Cell {
        Cell::shown(Some(usd), usd.to_cents())
    }

    pub(crate) fn link(path: String, text: &str) -> Cell {
        Cell::Shown(
            Some(text.to_owned()),
            vec![Part::Link(path, text.to_owned())],
        )
    }

    pub(crate) fn badge(class: &'static str, word: &str) -> Cell {
        Cell::Shown(
            Some(word.to_owned()),
            vec![Part::Badge(class, word.to_owned())],
        )
    }

    /// The value in full, as files and hooks have it.
    pub(crate) fn in_full(self) -> Option<String> {
        match self {
            Cell::Text(text) | Cell::Exact(text) | Cell::Shown(text, _) => text,
            Cell::At(moment) => moment.map(|moment| moment.to_string()),
        }
    }

    fn parts(self, zone: &TimeZone) -> Vec<Part> {
        let text = match self {
            Cell::Shown(_, parts) => return parts,
            Cell::At(moment) => moment.map(|moment| column_time(moment, zone)),
            Cell::Text(text) | Cell::Exact(text) => text,
        };
        text.map(Part::Text).into_iter().collect()
    }
}

impl<R> Listing<R> {
    /// A table of all of these rows, with times in this zone.
    pub(crate) fn new(
        (label, testid): (&'static str, &'static str),
        columns: impl IntoIterator<Item = Column<R>>,
        rows: impl IntoIterator<Item = R>,
        zone: &TimeZone,
    ) -> Listing<R> {
        Listing {
            label,
            testid,
            caption: String::new(),
            rows: rows.into_iter().collect(),
            previous: None,
            next: None,
            files: Vec::new(),
            columns: columns.into_iter().collect(),
            zone: zone.clone(),
        }
    }

    /// The table as a part of a list of so many rows, which begins after the first `from`.
    /// `address` is that of the page from another row on; `order` says how they are sorted.
    pub(crate) fn part_of(
        self,
        total: usize,
        from: usize,
        order: &str,
        address: impl Fn(usize) -> String,
    ) -> Listing<R> {
        let until = from + self.rows.len();
        Listing {
            caption: match (from, total) {
                (_, 1) => String::new(),
                (0, total) if total == until => format!("All {total}, {order}"),
                _ => format!("{} to {until} of {total}, {order}", from + 1),
            },
            previous: (from > 0).then(|| address(from.saturating_sub(ON_A_PAGE))),
            next: (until < total).then(|| address(until)),
            ..self
        }
    }

    pub(crate) fn columns(&self) -> impl Iterator<Item = &Column<R>> {
        self.columns
            .iter()
            .filter(|column| !column.place.heading.is_empty())
    }

    /// Whether a phone shows each row's cells one below the other; a row with a bar folds by
    /// itself.
    pub(crate) fn folds(&self) -> bool {
        self.columns().all(|column| column.place.class != "used")
    }

    pub(crate) fn parts(&self, column: &Column<R>, row: &R) -> Vec<Part> {
        (column.cell)(row).parts(&self.zone)
    }

    pub(crate) fn hooks(&self, row: &R) -> impl Iterator<Item = (&'static str, String)> {
        let hooks = self
            .columns
            .iter()
            .filter(|column| !column.place.hook.is_empty());
        hooks.filter_map(|column| Some((column.place.hook, (column.cell)(row).in_full()?)))
    }
}

/// The rows of the page that begins after the first `from`, and that number, at most that of all
/// rows.
pub(crate) fn page_of<R>(mut rows: Vec<R>, from: usize) -> (Vec<R>, usize) {
    let from = from.min(rows.len());
    rows.truncate(from + ON_A_PAGE);
    (rows.split_off(from), from)
}
