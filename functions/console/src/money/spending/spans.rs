//! Spending over a span of time, as pages show it: the amount, how well it is known, and links to
//! other spans. The sums are computed in the domain.

use std::collections::BTreeSet;

use bursar_core::clock::Moment;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::usage::days::{Accuracy, Days, Sum};
use bursar_core::domain::usage::span::Span;
use bursar_core::domain::values::money::{Usd, round_to_cents};
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::Reset;
use jiff::civil::Date;
use serde::Deserialize;

use crate::kit::show;
use crate::money::spending::by_model::words;

/// The requested span, as the query string has it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct SpanQuery {
    #[serde(default)]
    window: String,
}

/// The window, term and times by which spending is summed over spans. An account has neither term
/// nor window.
#[derive(Clone, Copy)]
pub(crate) struct SpanContext<'a> {
    pub(crate) reset: Reset,
    pub(crate) term: Option<&'a Term>,
    /// When the newest reading was asked for.
    pub(crate) read_at: Option<Moment>,
    pub(crate) now: Moment,
}

/// An amount on a page.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// The amount; `None` when nothing of it is known, which is not zero.
    pub(crate) usd: Option<Usd>,
    pub(crate) text: String,
    /// A reservation about the amount.
    pub(crate) note: Option<&'static str>,
}

/// A link to this page over another span.
pub(crate) struct SpanLink {
    pub(crate) name: &'static str,
    pub(crate) address: String,
    pub(crate) is_chosen: bool,
}

const MISSED: &str = "one night's check was missed: some of the money may belong to a day just before or after these";
const PARTLY: &str = "not known yet for all of these days";

impl SpanQuery {
    /// The requested span, if it is a known one.
    pub(crate) fn span(&self) -> Option<Span> {
        Span::from_form(&self.window)
    }
}

impl<'a> SpanContext<'a> {
    pub(crate) fn new(
        settings: &'a Settings,
        read_at: Option<Moment>,
        now: Moment,
    ) -> SpanContext<'a> {
        SpanContext {
            reset: settings.basis.reset,
            term: Some(&settings.term),
            read_at,
            now,
        }
    }

    pub(crate) fn sum(self, days: &Days, span: Span) -> Sum {
        span.sum(days, self.reset, self.term, self.read_at, self.now)
    }

    /// The spending of keys over a span; exactly zero if there never was a key.
    pub(crate) fn figure(self, days: &Days, span: Span, had_a_key: bool) -> Figure {
        if had_a_key {
            Figure::from_sum(self.sum(days, span))
        } else {
            Figure::exactly(Usd::ZERO)
        }
    }

    /// The spending over each span, with the span's name.
    pub(crate) fn each(self, days: &Days, had_a_key: bool) -> Vec<(&'static str, Figure)> {
        let spans = offered(self.reset).iter();
        spans
            .map(|span| (name(*span, self.reset), self.figure(days, *span, had_a_key)))
            .collect()
    }
}

impl Figure {
    pub(crate) fn from_sum(sum: Sum) -> Figure {
        let amount = sum.spent.to_cents();
        match sum.accuracy {
            Accuracy::Exactly => Figure {
                usd: Some(sum.spent),
                text: amount,
                note: None,
            },
            Accuracy::Estimated => Figure {
                usd: Some(sum.spent),
                text: format!("about {amount}"),
                note: Some(MISSED),
            },
            Accuracy::Until(_) | Accuracy::Partly if sum.spent == Usd::ZERO => Figure {
                usd: None,
                text: "not known".to_owned(),
                note: Some(PARTLY),
            },
            Accuracy::Until(_) | Accuracy::Partly => Figure {
                usd: Some(sum.spent),
                text: format!("at least {amount}"),
                note: Some(PARTLY),
            },
        }
    }

    /// Figures of one column, which add up.
    pub(crate) fn column(sums: &[Sum]) -> Vec<Figure> {
        let cents = round_to_cents(sums.iter().map(|sum| sum.spent));
        sums.iter()
            .zip(cents)
            .map(|(sum, cents)| Figure::in_cents(*sum, cents))
            .collect()
    }

    /// A sum that is shown as so many cents, unless it is less than one.
    pub(crate) fn in_cents(sum: Sum, cents: Usd) -> Figure {
        let exact = Figure::from_sum(sum);
        let is_small = Usd::ZERO < sum.spent && sum.spent < Usd::CENT;
        if is_small {
            exact
        } else {
            Figure {
                usd: exact.usd,
                ..Figure::from_sum(Sum {
                    spent: cents,
                    ..sum
                })
            }
        }
    }

    pub(crate) fn exactly(spent: Usd) -> Figure {
        Figure::from_sum(Sum {
            spent,
            accuracy: Accuracy::Exactly,
        })
    }
}

/// The reservations about these figures, each sentence once.
pub(crate) fn notes<'a>(figures: impl IntoIterator<Item = &'a Figure>) -> Vec<String> {
    let notes: BTreeSet<&str> = figures
        .into_iter()
        .filter_map(|figure| figure.note)
        .collect();
    let sentences = notes.into_iter().map(|note| match note {
        MISSED => format!("Where a figure says “about”, {MISSED}."),
        _ => "Where a figure says “at least” or “not known”, some days have not been checked to their end yet."
            .to_owned(),
    });
    sentences.collect()
}

/// What has to be known of ranges of days of which only the sum is known, unless there are none.
pub(crate) fn estimated(ranges: &[(Date, Date)]) -> Option<String> {
    let days = words(ranges)?;
    Some(format!(
        "Estimated days: {days}. No check ran on some nights, so what was used on those days is shown on the day before the next check."
    ))
}

/// The spans that pages of a programme offer: where a cap is for the whole term, its window and the
/// term are all there is, and the window of a daily one is today.
pub(crate) fn offered(reset: Reset) -> &'static [Span] {
    match reset {
        Reset::None => &[Span::Day, Span::Week, Span::Month, Span::All],
        Reset::Daily => &[Span::Window, Span::Week, Span::Month, Span::All],
        Reset::Weekly | Reset::Monthly => {
            &[Span::Day, Span::Week, Span::Month, Span::Window, Span::All]
        }
    }
}

/// The links to these spans, each with the path and the other parameters of this page.
pub(crate) fn choices(
    path: &str,
    rest: &[(&str, &str)],
    offered: &[Span],
    reset: Reset,
    chosen: impl Fn(Span) -> bool,
) -> Vec<SpanLink> {
    let links = offered.iter().map(|span| SpanLink {
        name: name(*span, reset),
        address: show::address(path, &[rest, &[("window", span.as_str())]].concat()),
        is_chosen: chosen(*span),
    });
    links.collect()
}

/// The name of a span; that of a cap is called by its length.
pub(crate) fn name(span: Span, reset: Reset) -> &'static str {
    if span == Span::Window {
        reset.this_window()
    } else {
        span.name()
    }
}

/// The name of a span as it follows "spent".
pub(crate) fn phrase(span: Span, reset: Reset) -> &'static str {
    match span {
        Span::Day => "today",
        Span::Week => "in the last 7 days",
        Span::Month => "in the last 30 days",
        Span::Window => reset.this_window(),
        Span::Term => "in the term",
        Span::All => "in all",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_said_and_never_nothing() {
        let figure = |micros, known| {
            Figure::from_sum(Sum {
                spent: Usd::from_micros(micros),
                accuracy: known,
            })
        };
        assert_eq!(figure(1_500_000, Accuracy::Exactly).text, "$1.50");
        assert_eq!(figure(1_500_000, Accuracy::Estimated).text, "about $1.50");
        assert_eq!(figure(1_500_000, Accuracy::Partly).text, "at least $1.50");
        let unknown = figure(0, Accuracy::Partly);
        assert_eq!((unknown.usd, unknown.text.as_str()), (None, "not known"));
        assert_eq!(figure(0, Accuracy::Exactly).usd, Some(Usd::ZERO));
        let some = [
            figure(1, Accuracy::Partly),
            figure(0, Accuracy::Partly),
            figure(1, Accuracy::Exactly),
        ];
        assert_eq!(
            notes(&some),
            [
                "Where a figure says “at least” or “not known”, some days have not been checked to their end yet."
            ]
        );
    }
}
