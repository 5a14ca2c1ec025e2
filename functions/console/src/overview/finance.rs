//! The warnings about finance addresses that get no statement: mail to them comes back or is not wanted, or a statement to them
//! was given up.

use bursar_core::domain::mail::failure::FailureText;
use bursar_core::domain::people::role::is_among;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::format::named_month;
use bursar_core::store::{GIVEN_UP_SHOWN, QueuedMail, UnreachableReason};
use bursar_core::web::{AppError, Site};
use futures_util::future::try_join_all;
use jiff::Timestamp;

/// The most dead letters that are read. Admins are told of so many anyway.
const MOST_READ: usize = 500;

/// One sentence for each finance address that is not reached.
pub(super) async fn unreachable(site: &Site, settings: &Settings, now: Timestamp) -> Result<Vec<String>, AppError> {
    let (finance, table) = (&settings.finance, &site.table);
    if finance.is_empty() {
        return Ok(Vec::new());
    }
    let marks = try_join_all(finance.iter().map(|one| table.undeliverable(one.matched(), now))).await?;
    let (mut warnings, mut given_up_to) = (Vec::new(), finance.clone());
    for (address, mark) in finance.iter().zip(marks) {
        let Some(mark) = mark else { continue };
        given_up_to.retain(|one| one != address);
        let address = address.as_written();
        warnings.push(match mark.why {
            UnreachableReason::Complained => {
                format!("{address} marked a mail as unwanted, so no statement is sent there. Ask them, or name another address for finance.")
            }
            UnreachableReason::Bounced | UnreachableReason::Suppressed => {
                format!("Mail to {address} comes back, so no statement is sent there. Name another address for finance.")
            }
        });
    }
    for row in table.dead_mails(now - GIVEN_UP_SHOWN, MOST_READ).await?.newest {
        let QueuedMail::Statement { month, recipient } = &row.mail else { continue };
        let Some(person) = table.person(recipient).await? else { continue };
        if is_among(person.address.matched(), &given_up_to) {
            warnings.push(format!(
                "The statement of {} was not sent to {}: {}. An admin can send it again on the account page.",
                named_month(*month),
                person.address.as_written(),
                FailureText::of(row.given_up().0).what
            ));
        }
    }
    Ok(warnings)
}
