//! What an act on many does, in numbers, before it is done.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use bursar_core::clock::Moment;
use bursar_core::domain::grant::{GrantAct, GrantAction};
use bursar_core::domain::programme::Budget;
use bursar_core::domain::values::format::{Joined, counted};
use bursar_core::domain::values::money::Usd;
use serde::Serialize;

use super::list::GrantRow;

/// All but the room belongs to what is confirmed.
#[derive(Serialize)]
pub(super) struct ActPreview {
    /// The act, as the heading and the button say it.
    pub(super) title: String,
    /// The keys that stop, and those that work again.
    pub(super) stopped: usize,
    pub(super) resumed: usize,
    pub(super) mails: usize,
    /// The caps of now, each with the students who have it, the most frequent first.
    pub(super) caps: Vec<(Usd, usize)>,
    pub(super) own_caps: usize,
    /// Those who were removed or have ended.
    pub(super) over: usize,
    /// What there must be room for when the students are changed, one after the other.
    pub(super) needed: Usd,
    /// How much more is promised, or less, once each key has its new limit and was read.
    pub(super) promised: Usd,
    /// How much more it would cost, or less, if all claimed to whom nothing is promised.
    pub(super) unclaimed: Usd,
    /// How much of the budget is neither spent nor promised.
    #[serde(skip)]
    pub(super) room: Usd,
}

impl ActPreview {
    pub(super) fn new(
        act: &GrantAct,
        rows: &[GrantRow<'_>],
        budget: &Budget,
        now: Moment,
    ) -> ActPreview {
        let standing: Vec<&GrantRow<'_>> = rows
            .iter()
            .filter(|row| !row.line.state.is_over())
            .collect();
        let mut caps = BTreeMap::<Usd, usize>::new();
        standing
            .iter()
            .for_each(|row| *caps.entry(row.cap).or_default() += 1);
        let mut caps: Vec<(Usd, usize)> = caps.into_iter().collect();
        caps.sort_by_key(|(_, students)| Reverse(*students));
        let students = counted(rows.len() as u64, "student", "students");
        let title = match (act.action, act.cap, act.group.as_deref()) {
            (GrantAction::Pause, ..) => format!("Pause {students}"),
            (GrantAction::Resume, ..) => format!("Resume {students}"),
            (GrantAction::Revoke, ..) => format!("Remove {students} for good"),
            (GrantAction::Cap, Some(cap), _) => {
                format!("Set the cap of {students} to {}", cap.to_dollars())
            }
            (GrantAction::Cap, None, _) => {
                format!("Give {students} the cap of their group or programme again")
            }
            (GrantAction::Group, _, Some(group)) => format!("Move {students} to the group {group}"),
            (GrantAction::Group, _, None) => format!("Take {students} out of their group"),
            (GrantAction::Allow, ..) => format!("Allow {students} one more replacement"),
            (GrantAction::Resend, ..) => format!("Send {students} the invitation again"),
            (GrantAction::Remind, ..) => format!("Remind {students}"),
        };
        let [mut needed, mut promised, mut unclaimed] = [Usd::ZERO; 3];
        for row in &standing {
            let increase = row.cost(cap_after(act, row), now) - row.cost(row.cap, now);
            if row.line.has_reservation {
                needed += increase.or_zero();
                promised += increase;
            } else if row.line.holds.is_empty() {
                unclaimed += increase;
            }
        }
        ActPreview {
            title,
            stopped: standing.iter().filter(|row| stops_key(act, row)).count(),
            resumed: standing
                .iter()
                .filter(|row| row.works_once_resumed())
                .count(),
            mails: standing.iter().filter(|row| row.may_be_mailed()).count(),
            own_caps: standing
                .iter()
                .filter(|row| row.line.own_cap.is_some())
                .count(),
            over: rows.len() - standing.len(),
            caps,
            needed,
            promised,
            unclaimed,
            room: (budget.limit - budget.reserved).or_zero(),
        }
    }

    /// The caps of now: `$20 for 18, $30 for 2`, or only `$20`.
    pub(super) fn caps_in_words(&self) -> String {
        match &self.caps[..] {
            [(cap, _)] => cap.to_dollars(),
            several => {
                let parts = several
                    .iter()
                    .map(|(cap, students)| format!("{} for {students}", cap.to_dollars()));
                parts.joined(", ")
            }
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.needed <= self.room
    }
}

/// Whether an act stops a key that works: by itself, or because the new cap is spent already.
pub(super) fn stops_key(act: &GrantAct, row: &GrantRow<'_>) -> bool {
    let is_stopped = match act.action {
        GrantAction::Pause | GrantAction::Revoke => true,
        GrantAction::Cap | GrantAction::Group => cap_after(act, row) - row.in_window < Usd::CENT,
        GrantAction::Resume | GrantAction::Allow | GrantAction::Resend | GrantAction::Remind => {
            false
        }
    };
    is_stopped && row.has_key()
}

/// The cap under which an act leaves somebody.
fn cap_after(act: &GrantAct, row: &GrantRow<'_>) -> Usd {
    let allowance = &row.programme.settings.allowance;
    match act.action {
        GrantAction::Cap => act
            .cap
            .unwrap_or_else(|| allowance.cap_of(row.line.group.as_deref())),
        GrantAction::Group => row
            .line
            .own_cap
            .unwrap_or_else(|| allowance.cap_of(act.group.as_deref())),
        GrantAction::Revoke => Usd::ZERO,
        GrantAction::Pause | GrantAction::Resume | GrantAction::Allow => row.cap,
        GrantAction::Resend | GrantAction::Remind => row.cap,
    }
}
