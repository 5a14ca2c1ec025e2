//! What is wrong with a machine, by what was seen of it: the alarms of `template.yaml`, as far as
//! they have a meaning on one machine.

use std::collections::{BTreeMap, VecDeque};

use bursar_core::clock::Moment;
use bursar_core::store::Waiting;
use jiff::SignedDuration;
use serde_json::Value;

#[derive(Debug)]
pub(super) struct Problem {
    pub(super) name: &'static str,
    pub(super) sentence: &'static str,
    /// Whether admins get a mail of it from here. Of the rest the product's own watch tells, or no
    /// mail can.
    pub(super) is_mailed: bool,
}

/// What was seen at a moment.
pub(super) struct Seen {
    pub(super) drain: Silence,
    pub(super) work: Silence,
    pub(super) watch: Silence,
    pub(super) complete_sync: Silence,
    pub(super) waiting: [Waiting; 6],
    /// When each recent event was given up, oldest first.
    pub(super) dead_letters: Vec<Moment>,
    pub(super) lines: Lines,
}

/// How long something has not been heard of.
pub(super) struct Silence {
    /// Since when the folder waits for it.
    pub(super) since: Moment,
    pub(super) last: Option<Moment>,
}

/// When lines of the functions' log had a mark: of each the newest, as many as count.
pub(super) type Lines = BTreeMap<&'static str, VecDeque<Moment>>;

const MOST_LINES: usize = 10;
const CLAIM_FAILED: &str = "claim";
const PAGE_FAILED: &str = "page";
/// What the functions themselves mark, and the hourly watch again while it lasts.
const MARKS: [&str; 4] = ["reaches_nobody", "links_used_up", "mail_waits", "site_down"];
const AN_HOUR_AND_MORE: i64 = 90;

impl Seen {
    pub(super) fn problems(&self, now: Moment) -> Vec<Problem> {
        let is_marked = |mark: &str, times: usize, minutes| {
            let last = self
                .lines
                .get(mark)
                .and_then(|moments| moments.iter().rev().nth(times - 1));
            last.is_some_and(|marked_at| !is_over(*marked_at, minutes, now))
        };
        let mail_waits = self.waiting.iter().any(|queue| queue.is_too_long(now));
        let letter = self.dead_letters.last();
        let is_new = letter.is_some_and(|given_up_at| !is_over(*given_up_at, 24 * 60, now));
        [
            (
                self.drain.lasts(15, now),
                true,
                "drain-silent",
                "For fifteen minutes no turn of the sending of mail has come to its end.",
            ),
            (
                self.work.lasts(15, now),
                true,
                "work-silent",
                "For fifteen minutes no turn of the work on jobs and keys has come to its end.",
            ),
            (
                self.watch.lasts(3 * 60, now),
                true,
                "watch-silent",
                "For three hours the hourly watch has not come to its end.",
            ),
            (
                self.complete_sync.lasts(26 * 60, now),
                false,
                "sync-behind",
                "For 26 hours no sync was complete, so that nobody knows what keys spent.",
            ),
            (
                mail_waits || is_marked("mail_waits", 1, AN_HOUR_AND_MORE),
                false,
                "mail-waits",
                "Mail waits for too long, or links do not arrive.",
            ),
            (
                letter.is_some(),
                is_new,
                "dead-letters",
                "Within the last four days an event was given up: the log says which.",
            ),
            (
                is_marked(CLAIM_FAILED, 3, 15),
                true,
                "claims-fail",
                "Within a quarter of an hour three students pressed for a key and got none.",
            ),
            (
                is_marked(PAGE_FAILED, MOST_LINES, 5),
                true,
                "pages-fail",
                "Within five minutes ten requests failed by a fault of Bursar's.",
            ),
            (
                is_marked("reaches_nobody", 1, AN_HOUR_AND_MORE),
                false,
                "admins-not-reached",
                "Mail to the admins was given up, or no mail can be sent at all.",
            ),
            (
                is_marked("links_used_up", 1, AN_HOUR_AND_MORE),
                false,
                "links-used-up",
                "As many links to sign in were sent as a day allows: who asks gets none.",
            ),
            (
                is_marked("site_down", 1, AN_HOUR_AND_MORE),
                false,
                "pages-down",
                "The pages do not answer at their public address.",
            ),
        ]
        .into_iter()
        .filter(|(is_there, ..)| *is_there)
        .map(|(_, is_mailed, name, sentence)| Problem {
            name,
            sentence,
            is_mailed,
        })
        .collect()
    }
}

impl Silence {
    pub(super) fn age(&self, now: Moment) -> Option<i64> {
        self.last.map(|last| now.duration_since(last).as_secs())
    }

    fn lasts(&self, minutes: i64, now: Moment) -> bool {
        is_over(
            self.last.unwrap_or(self.since).max(self.since),
            minutes,
            now,
        )
    }
}

fn is_over(begun_at: Moment, minutes: i64, now: Moment) -> bool {
    begun_at + SignedDuration::from_mins(minutes) <= now
}

/// Notes what a line of the functions' log says, if it is one that counts.
pub(super) fn note(lines: &mut Lines, text: &str, now: Moment) {
    let mark = serde_json::from_str(text)
        .ok()
        .and_then(|line| mark_of(&line));
    if let Some(mark) = mark {
        let moments = lines.entry(mark).or_default();
        moments.push_back(now);
        if moments.len() > MOST_LINES {
            moments.pop_front();
        }
    }
}

/// As the metric filters of the template read it.
fn mark_of(line: &Value) -> Option<&'static str> {
    if let Some(mark) = MARKS.into_iter().find(|mark| line[*mark] == true) {
        return Some(mark);
    }
    if line["message"] != "answered" || line["status"].as_u64()? < 500 {
        return None;
    }
    let is_fault = line["fault"] == true;
    let route = line["span"]["route"].as_str()?;
    let is_claim = route.ends_with("/reveal") || route.ends_with("/replace");
    if is_claim && (is_fault || line["cause"] == "provider") {
        return Some(CLAIM_FAILED);
    }
    (is_fault || line["status"] != 503).then_some(PAGE_FAILED)
}

#[cfg(test)]
mod tests {
    use bursar_core::domain::mail::kind::MailClass;
    use serde_json::json;

    use super::*;

    fn minutes(minutes: i64) -> Moment {
        Moment::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    /// A folder of a hundred days in which all was well just now.
    fn well(now: Moment) -> Seen {
        let just_now = || Silence {
            since: minutes(0),
            last: Some(now),
        };
        let waiting = MailClass::ALL.map(|class| Waiting {
            class,
            mails: 0,
            since: None,
        });
        Seen {
            drain: just_now(),
            work: just_now(),
            watch: just_now(),
            complete_sync: just_now(),
            waiting,
            dead_letters: Vec::new(),
            lines: Lines::new(),
        }
    }

    const NOW: i64 = 100 * 24 * 60;

    /// The problems, where this is otherwise.
    fn problems(change: impl FnOnce(&mut Seen)) -> Vec<&'static str> {
        let now = minutes(NOW);
        let mut seen = well(now);
        change(&mut seen);
        seen.problems(now)
            .into_iter()
            .map(|problem| problem.name)
            .collect()
    }

    fn ago(minutes_ago: i64) -> Option<Moment> {
        Some(minutes(NOW - minutes_ago))
    }

    /// Each has its limit: a moment before it nothing is wrong.
    #[test]
    fn each_limit_is_a_problem() {
        type Change = fn(&mut Seen, i64);
        let day = 24 * 60;
        let cases: [(Change, i64, &str); 9] = [
            (|seen, past| seen.drain.last = ago(past), 15, "drain-silent"),
            (|seen, past| seen.work.last = ago(past), 15, "work-silent"),
            (
                |seen, past| seen.watch.last = ago(past),
                180,
                "watch-silent",
            ),
            (
                |seen, past| seen.complete_sync.last = ago(past),
                26 * 60,
                "sync-behind",
            ),
            // A new folder that waits for its first, and one that was restored with an old one.
            (
                |seen, past| {
                    seen.complete_sync = Silence {
                        since: minutes(NOW - past),
                        last: None,
                    }
                },
                26 * 60,
                "sync-behind",
            ),
            (
                |seen, past| {
                    seen.complete_sync = Silence {
                        since: minutes(NOW - past),
                        last: ago(90 * 24 * 60),
                    }
                },
                26 * 60,
                "sync-behind",
            ),
            (
                |seen, past| {
                    seen.drain = Silence {
                        since: minutes(NOW - past),
                        last: None,
                    }
                },
                15,
                "drain-silent",
            ),
            (
                |seen, past| seen.waiting[0].since = ago(past),
                30,
                "mail-waits",
            ),
            (
                |seen, past| seen.waiting[1].since = ago(past),
                6 * 60,
                "mail-waits",
            ),
        ];
        for (change, limit, problem) in cases {
            assert_eq!(problems(|seen| change(seen, limit - 1)), [""; 0]);
            assert_eq!(problems(|seen| change(seen, limit)), [problem]);
            assert_eq!(problems(|seen| change(seen, limit + day)), [problem]);
        }
        assert_eq!(
            problems(|seen| seen.dead_letters.extend(ago(day))),
            ["dead-letters"]
        );
    }

    /// What the log says counts for a while, some of it only where it is said several times.
    #[test]
    fn lines_of_the_log_are_counted() {
        let answered = |status: u16, route: &str, fault: bool, cause: Option<&str>| json!({"message": "answered", "status": status, "fault": fault, "cause": cause, "span": {"route": route}});
        let claim = "POST /my/{programme}/reveal";
        for (line, times, minutes_at_most, problem) in [
            (json!({"reaches_nobody": true}), 1, 90, "admins-not-reached"),
            (json!({"links_used_up": true}), 1, 90, "links-used-up"),
            (json!({"mail_waits": true}), 1, 90, "mail-waits"),
            (json!({"site_down": true}), 1, 90, "pages-down"),
            (
                answered(503, claim, false, Some("provider")),
                3,
                15,
                "claims-fail",
            ),
            (
                answered(500, "POST /my/{programme}/replace", true, None),
                3,
                15,
                "claims-fail",
            ),
            (answered(500, "GET /my", true, None), 10, 5, "pages-fail"),
        ] {
            let told = |times: usize, minutes_ago: i64| {
                problems(|seen| {
                    for _ in 0..times {
                        note(
                            &mut seen.lines,
                            &line.to_string(),
                            minutes(NOW - minutes_ago),
                        );
                    }
                })
            };
            assert_eq!(told(times, minutes_at_most - 1), [problem], "{line}");
            assert_eq!(told(100, minutes_at_most), [""; 0], "{line}");
            assert_eq!(told(times - 1, 0), [""; 0], "{line}");
        }
        for (status, fault, cause) in [
            (503, false, None),
            (409, false, Some("provider")),
            (200, false, None),
        ] {
            let line = answered(status, claim, fault, cause).to_string();
            let refused =
                problems(|seen| (0..100).for_each(|_| note(&mut seen.lines, &line, minutes(NOW))));
            assert_eq!(refused, [""; 0], "{line}");
        }
    }
}
