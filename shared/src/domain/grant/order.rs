//! Orders: what the provider is still to be told of a key: off, on, another limit, other rules, or a last look at what it used. Who
//! sends them is [`crate::orders`].
//!
//! An order lies on its attempt and is written with the act that causes it. It is repeated until it is confirmed, and reckoned
//! anew each time it is sent. The request that caused it sends it, and so do the work of each minute and the sync.
//!
//! Leaks and revocations go first, then disables, then limits and rules. What failed is due later, so that it is in nobody's way.
//!
//! An answer that comes when the opposite is wanted by then leads to an order anew: nobody knows which of the two the provider
//! did last. After an enable was taken back, no disable counts as confirmed until that enable can come no more.
//!
//! A larger limit is written down before it is sent. A live key whose enable is ordered is found disabled by no sync.
//!
//! That the provider does not know a key may be wrong: the order stays, and is due again after an hour. Only the sync writes that
//! a key is gone.

use super::*;
use crate::domain::held::LATE;

/// The time after which an order is repeated for a key that the provider does not know.
const NOT_FOUND_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// The least time between two answers that the key is not known before it is taken for gone.
pub const BETWEEN_LOOKS: SignedDuration = SignedDuration::from_mins(10);
/// The longest backoff. A failed order is due again after one minute, then two, four, and so on up to this.
const LONGEST_PUT_OFF: SignedDuration = SignedDuration::from_hours(1);

/// A call that the provider is still to get for one key. A later order of the same kind for the same key is
/// another order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub epoch: Epoch,
    pub key: KeyHash,
    pub kind: OrderKind,
    pub since: Moment,
    pub due: Moment,
}

/// The kinds of orders, in the order in which those of one key are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderKind {
    Off,
    Limit,
    /// Puts the key under the guardrail of its rules.
    Rules,
    On,
    /// Reads what a key used, so that the next count can free the rest of its reservation.
    Read,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Somebody else has the key, or its grant was revoked.
    Leak,
    Disable,
    /// Limits, rules, enables and readings.
    Limit,
}

/// A larger limit than the confirmed one: the provider may hold it, or use under it may be unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargerLimit {
    pub limit: Usd,
    /// The time at which the smaller limit was confirmed.
    pub until: Option<Moment>,
    /// The time at which a limit whose answer was lost was last sent; it may take effect late.
    pub unanswered_since: Option<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderBackoff {
    pub tries: u32,
    pub until: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentLimit {
    pub limit: Usd,
    pub at: Moment,
    pub unanswered_before: Option<Moment>,
}

impl Grant {
    pub fn orders(&self) -> Vec<Order> {
        let mut orders: Vec<Order> = self.attempts.iter().flat_map(Attempt::orders).collect();
        orders.sort_by_key(|order| (order.kind, order.epoch));
        orders
    }

    pub fn orders_off(&self) -> impl Iterator<Item = Order> {
        self.orders().into_iter().filter(|order| order.kind == OrderKind::Off)
    }

    /// The urgency of the most urgent order, and the time at which the first order is due.
    pub fn urgency(&self) -> Option<(Urgency, Moment)> {
        let orders = self.orders();
        let due = orders.iter().map(|order| order.due).min()?;
        let is_leak = matches!(self.state, GrantState::Revoked | GrantState::Stopped { why: Stopped::Leaked });
        let urgency = if orders.iter().all(|order| order.kind != OrderKind::Off) {
            Urgency::Limit
        } else if is_leak {
            Urgency::Leak
        } else {
            Urgency::Disable
        };
        Some((urgency, due))
    }
}

impl Attempt {
    /// The orders of the attempt's key: limit and rules before the enable, and the reading after everything else is
    /// confirmed.
    fn orders(&self) -> Vec<Order> {
        let Some(key) = self.key.as_ref().filter(|_| self.gone.is_none()) else { return Vec::new() };
        let order = |kind, since: Moment| {
            let due = self.put_off.map_or(since, |put_off| put_off.until.max(since));
            Order { epoch: self.epoch, key: key.clone(), kind, since, due }
        };
        let switch = match self.switch {
            SwitchState::OffOrdered { since } => Some(order(OrderKind::Off, since)),
            SwitchState::OnOrdered { since, .. } => Some(order(OrderKind::On, since)),
            SwitchState::On | SwitchState::Off { .. } => None,
        };
        let limit = self.limit_ordered.map(|since| order(OrderKind::Limit, since));
        let rules = self.rules_ordered.map(|since| order(OrderKind::Rules, since));
        let mut orders: Vec<Order> = switch.into_iter().chain(limit).chain(rules).collect();
        if orders.is_empty() {
            orders.extend(self.read_at.map(|read_at| order(OrderKind::Read, read_at)));
        }
        orders
    }

    /// Orders a disable, unless there is no key or it is disabled already.
    pub(super) fn order_off(&mut self, now: Moment) {
        if self.key.is_some() && self.gone.is_none() && !self.switch.is_wanted() {
            self.set_off(now);
        }
    }

    /// Orders a disable for a key that is enabled now, whatever was confirmed or found before.
    pub(super) fn order_off_again(&mut self, now: Moment) {
        (self.gone, self.rest_promised_since) = (None, None);
        if !matches!(self.switch, SwitchState::OffOrdered { .. }) {
            self.set_off(now);
        }
    }

    fn set_off(&mut self, now: Moment) {
        if matches!(self.switch, SwitchState::OnOrdered { .. }) {
            self.late_enable_until = Some(now + LATE);
        }
        self.switch = SwitchState::OffOrdered { since: now };
        self.put_off = None;
    }

    /// Orders an enable. A limit that is ordered by then is confirmed before the enable is sent.
    pub(super) fn order_on(&mut self, now: Moment) {
        let until_limited = matches!(self.switch, SwitchState::Off { .. }) && self.limit_ordered.is_some();
        self.switch = SwitchState::OnOrdered { since: now, until_limited };
        (self.resumed_at, self.put_off) = (Some(now), None);
    }

    pub(super) fn order_limit(&mut self, now: Moment) {
        if self.limit_ordered.is_none() {
            (self.limit_ordered, self.put_off) = (Some(now), None);
        }
    }

    pub(super) fn order_rules(&mut self, now: Moment) {
        if self.rules_ordered.is_none() {
            (self.rules_ordered, self.put_off) = (Some(now), None);
        }
    }

    /// Notes that the limit is the wanted one; from now on an enable may be under way.
    pub(super) fn note_limited(&mut self) {
        self.limit_ordered = None;
        if let SwitchState::OnOrdered { until_limited, .. } = &mut self.switch {
            *until_limited = false;
        }
    }

    pub(super) fn is_off_until_limited(&self) -> bool {
        matches!(self.switch, SwitchState::OnOrdered { until_limited: true, .. })
    }

    /// Orders a reading of the key, for a person who waits for the rest of its reservation.
    pub(super) fn order_reading(&mut self, now: Moment) {
        let can_have_used = self.state == AttemptState::Shown && self.key.is_some() && self.gone.is_none();
        if can_have_used {
            self.read_at = Some(now + SETTLING);
        }
    }

    /// Notes that the provider does not have the key, which drops all its orders.
    pub(super) fn note_gone(&mut self, gone: KeyAbsence, now: Moment) {
        self.gone = Some(gone);
        (self.limit_ordered, self.rules_ordered, self.put_off) = (None, None, None);
        (self.read_at, self.missing_since, self.unlisted_since) = (None, None, None);
        if !matches!(self.switch, SwitchState::Off { .. }) {
            self.switch = SwitchState::Off { at: now };
        }
    }

    /// Whether an answer that the key is not known may be believed by now. For a key that is not new, only a
    /// second answer is.
    pub fn may_be_gone(&self, now: Moment) -> bool {
        let is_old = now >= self.begun_at + GRACE;
        is_old && self.missing_since.is_some_and(|since| now >= since + BETWEEN_LOOKS)
    }

    pub fn is_missing(&self) -> bool {
        self.missing_since.is_some() && self.gone.is_none()
    }
}

impl View {
    /// Marks that the provider confirmed a switch. An order of a later time stays. Where the opposite is
    /// wanted by now, that is ordered again, since the provider may have handled the two calls in either
    /// order. No disable counts as confirmed while an enable that was taken back may still take effect.
    /// Returns `Unchanged` if there is nothing to mark.
    pub fn confirmed(&self, order: &Order, now: Moment) -> Result<Change, Unchanged> {
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let attempt = change.attempt_not_gone(order.epoch, &order.key).ok_or(Unchanged)?;
        let (since, is_in_use) = (order.since, self.usable().is_some_and(|live| live.epoch == order.epoch));
        let disable = match (order.kind, attempt.switch) {
            (OrderKind::Off, is) if is == (SwitchState::OffOrdered { since }) => {
                if attempt.late_enable_until.is_some_and(|until| now < until) {
                    return Err(Unchanged);
                }
                SwitchState::Off { at: now }
            }
            (OrderKind::On, SwitchState::OnOrdered { since: ordered, .. }) if ordered == since => SwitchState::On,
            (OrderKind::Off, is) if is_in_use && !is.is_wanted() => {
                SwitchState::OnOrdered { since: now, until_limited: false }
            }
            (OrderKind::On, is) if is.is_wanted() => SwitchState::OffOrdered { since: now },
            _ => return Err(Unchanged),
        };
        // After a lost answer the act is decided again and finds itself done.
        if attempt.switch == disable {
            return Err(Unchanged);
        }
        attempt.switch = disable;
        (attempt.put_off, attempt.late_enable_until, attempt.missing_since) = (None, None, None);
        if matches!(disable, SwitchState::Off { .. }) && attempt.read_at.is_some() {
            attempt.order_reading(now);
        }
        Ok(change.marked(Mark::Confirmed))
    }

    /// Puts off an order that failed, longer each time. Returns `Unchanged` if it is not ordered any more.
    pub fn put_off(&self, order: &Order, now: Moment) -> Result<Change, Unchanged> {
        let is_same =
            |known: &Order| known.epoch == order.epoch && known.kind == order.kind && known.since == order.since;
        if !self.grant.orders().iter().any(is_same) {
            return Err(Unchanged);
        }
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let attempt = change.attempt_with(order.epoch, &order.key).ok_or(Unchanged)?;
        let tries = attempt.put_off.map_or(0, |put_off| put_off.tries).saturating_add(1);
        let minutes = SignedDuration::from_mins(1 << (tries - 1).min(6));
        attempt.put_off = Some(OrderBackoff { tries, until: now + minutes.min(LONGEST_PUT_OFF) });
        Ok(change.marked(Mark::PutOff))
    }

    /// Marks that the provider answered that it does not know a key. That may be wrong, so the key's orders
    /// stay and are due later.
    pub fn not_found(&self, epoch: Epoch, key: &KeyHash, now: Moment) -> Result<Change, Unchanged> {
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let attempt = change.attempt_not_gone(epoch, key).ok_or(Unchanged)?;
        attempt.missing_since.get_or_insert(now);
        if !attempt.orders().is_empty() {
            let tries = attempt.put_off.map_or(1, |put_off| put_off.tries);
            attempt.put_off = Some(OrderBackoff { tries, until: now + NOT_FOUND_AGAIN });
        }
        (change.grant.attempts != self.grant.attempts).then(|| change.marked(Mark::Missing)).ok_or(Unchanged)
    }

    /// Takes back the enable of a live key that is under way, since its student wants another key. The grant
    /// is stopped; once the enable can no longer take effect, the next request makes the new key. Returns
    /// `Unchanged` if no enable is under way.
    pub fn take_enable_back(&self, now: Moment) -> Result<Change, Unchanged> {
        let live = self
            .grant
            .live()
            .filter(|live| matches!(live.switch, SwitchState::OnOrdered { .. }))
            .ok_or(Unchanged)?
            .epoch;
        let mut change = self.change(&Actor::Student, DependsOn::GrantAlone).ordering_all_off(now);
        change.grant.state = GrantState::Stopped { why: Stopped::ReplacementFailed };
        let note = format!("attempt {}: its enable was under way", live.number());
        Ok(change.audited(Act::Stopped, &self.grant, Some(note)))
    }

    /// The time until which an enable that was taken back may still take effect.
    pub(super) fn late_enable_until(&self, now: Moment) -> Option<Moment> {
        let until = self.grant.attempts.iter().filter_map(|attempt| attempt.late_enable_until).max();
        until.filter(|until| now < *until)
    }
}
