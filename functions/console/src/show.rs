//! How amounts, times and people look on the console's pages. What is spent rounds up to the cent, what is promised rounds down.

use std::borrow::Borrow;

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{Grant, State};
use bursar_core::domain::id::PersonId;
use bursar_core::domain::money::{Usd, grouped};
use bursar_core::domain::window::Reset;
use bursar_core::store::Table;
use bursar_core::web::Fault;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// An amount that was spent.
pub(crate) fn spent(amount: impl Borrow<Usd>) -> String {
    let amount = *amount.borrow();
    let cents = amount.micros().div_euclid(10_000) + i64::from(amount.micros().rem_euclid(10_000) > 0);
    dollars(cents)
}

/// An amount that is there to be spent.
pub(crate) fn promised(amount: impl Borrow<Usd>) -> String {
    dollars(amount.borrow().micros().div_euclid(10_000))
}

fn dollars(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}${}.{:02}", count(cents.unsigned_abs() / 100), cents.unsigned_abs() % 100)
}

/// For how long a cap is.
pub(crate) fn per_window(reset: impl Borrow<Reset>) -> &'static str {
    match reset.borrow() {
        Reset::None => "for the whole term",
        Reset::Daily => "a day",
        Reset::Weekly => "a week",
        Reset::Monthly => "a month",
    }
}

/// A number in groups of three digits, as templates have it.
pub(crate) fn count(number: impl Borrow<u64>) -> String {
    grouped(*number.borrow())
}

/// An instant where the programme is: `2026-11-20 14:05`.
pub(crate) fn time(at: Timestamp, timezone: &str) -> String {
    let zone = TimeZone::get(timezone).unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).strftime("%Y-%m-%d %H:%M").to_string()
}

/// An address that asks for these; what is empty is left out.
pub(crate) fn address(path: &str, query: &[(&str, &str)]) -> String {
    let mut address = path.to_owned();
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        address.push(if address.len() == path.len() { '?' } else { '&' });
        address.push_str(name);
        address.push('=');
        address.extend(value.bytes().map(encoded));
    }
    address
}

/// A byte as a query may hold it.
fn encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

/// The state as pages say it: any hold makes it paused.
pub(crate) fn state(grant: &Grant) -> &'static str {
    let is_over = matches!(grant.state, State::Revoked | State::Ended);
    if is_over || grant.holds.is_empty() { grant.state.as_str() } else { "paused" }
}

/// Who acted, by the address where it is a person with a role.
pub(crate) async fn actor(table: &Table, actor: &Actor) -> Result<String, Fault> {
    Ok(match actor {
        Actor::Student => "the student".to_owned(),
        Actor::Sync => "the sync".to_owned(),
        Actor::Rule => "a rule of the programme".to_owned(),
        Actor::Person(named) => person(table, named).await?,
    })
}

/// Somebody with a role, by the address.
pub(crate) async fn person(table: &Table, person: &PersonId) -> Result<String, Fault> {
    let known = table.person(person).await?;
    Ok(known.map_or("somebody who was erased".to_owned(), |known| known.address.as_written().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_grouped_and_round_against_the_university() {
        let of = Usd::from_micros;
        assert_eq!(
            (spent(of(1_234_567_000_001)), promised(of(1_234_567_009_999))),
            ("$1,234,567.01".into(), "$1,234,567.00".into())
        );
        assert_eq!((spent(of(1)), promised(of(9_999)), spent(of(0))), ("$0.01".into(), "$0.00".into(), "$0.00".into()));
        assert_eq!(promised(of(-1)), "-$0.01");
    }
}
