//! Dead letters to admins: the other admins get one alarm that an admin was not reached. It is
//! raised again, at most daily, while that alarm reached nobody either.

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::failure::UNDELIVERABLE;
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::values::id::PersonId;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{MailState, OutboxRow, QueuedMail, StaffPerson, Table};
use jiff::civil::Date;
use jiff::{SignedDuration, ToSpan};
use ulid::Ulid;

/// How long a dead letter is reported.
const TOLD_FOR: SignedDuration = SignedDuration::from_hours(48);
/// How far back dead letters show whom mail reaches. Only the newest of very many are read; another
/// alarm reports such a number, whoever they are to.
const LOOKED_BACK: SignedDuration = SignedDuration::from_hours(14 * 24);
const MOST_READ: usize = 1_000;
/// The days whose alarms are read. It is more than is looked back, since an alarm may be found long
/// after its day.
const DAYS_READ: i64 = 60;

/// A dead letter with an alarm to an admin.
struct UndeliveredAlarm {
    row: Ulid,
    day: Date,
    alarm: String,
    recipient: PersonId,
    code: String,
    failed_at: Moment,
}

/// The alarm for the admins, if one is due. Alarms from before the period are left out: without
/// their dead letters they would seem to have arrived.
pub(crate) async fn find_undelivered_alarms(
    table: &Table,
    admins: &[PersonId],
    now: Moment,
) -> Result<Option<Cause>> {
    let dead = table.dead_mails(now - LOOKED_BACK, MOST_READ).await?;
    let mut dead: Vec<UndeliveredAlarm> = dead
        .newest
        .into_iter()
        .filter_map(UndeliveredAlarm::from_row)
        .collect();
    for admin in admins {
        // An admin whom mail reaches again needs no alarm about it.
        if dead
            .iter()
            .any(|dead| dead.recipient == *admin && dead.code == UNDELIVERABLE)
            && !is_marked(table, admin, now).await?
        {
            dead.retain(|dead| dead.recipient != *admin || dead.code != UNDELIVERABLE);
        }
    }
    let today = utc_date(now);
    let mut alarms = table
        .list_known(Alarm::between(today.checked_sub(DAYS_READ.days())?, today))
        .await?;
    alarms.retain(|alarm| now <= alarm.found_at + LOOKED_BACK);
    Ok(due_alarm(&dead, &alarms, admins, now))
}

/// The alarm about the newest dead letter that no admin knows of; `None` also when today has had
/// such an alarm.
fn due_alarm(
    dead: &[UndeliveredAlarm],
    alarms: &[Alarm],
    admins: &[PersonId],
    now: Moment,
) -> Option<Cause> {
    let mut tellings = alarms.iter().filter(|alarm| tells_of_unreached(alarm));
    if tellings.any(|telling| telling.day == utc_date(now)) {
        return None;
    }
    let recent = dead
        .iter()
        .filter(|letter| now < letter.failed_at + TOLD_FOR && admins.contains(&letter.recipient));
    let newest = recent
        .filter(|letter| is_unknown(letter, dead, alarms))
        .max_by_key(|letter| letter.failed_at)?;
    Some(Cause::Unsent {
        mail: Some(MailKind::Account),
        programme: None,
        code: newest.code.clone(),
        first: newest.row,
    })
}

/// Whether nothing reached the recipient since, and no alarm about them reached anybody.
fn is_unknown(letter: &UndeliveredAlarm, dead: &[UndeliveredAlarm], alarms: &[Alarm]) -> bool {
    let arrived = alarms
        .iter()
        .filter(|alarm| has_reached(alarm, &letter.recipient, dead));
    let reached_at = arrived.map(|alarm| alarm.found_at).max();
    if reached_at >= Some(letter.failed_at) {
        return false;
    }
    let siblings = dead
        .iter()
        .filter(|sibling| sibling.recipient == letter.recipient);
    let failures = siblings
        .map(|sibling| sibling.failed_at)
        .filter(|failed_at| reached_at < Some(*failed_at));
    let dead_since = failures.min();
    !alarms
        .iter()
        .filter(|alarm| tells_of_unreached(alarm))
        .any(|telling| {
            dead_since <= Some(telling.found_at)
                && telling
                    .recipients
                    .iter()
                    .any(|person| has_reached(telling, person, dead))
        })
}

fn tells_of_unreached(alarm: &Alarm) -> bool {
    matches!(
        alarm.cause,
        Cause::Unsent {
            mail: Some(MailKind::Account),
            ..
        }
    )
}

fn has_reached(alarm: &Alarm, person: &PersonId, dead: &[UndeliveredAlarm]) -> bool {
    let name = alarm.name();
    alarm.recipients.contains(person)
        && !dead
            .iter()
            .any(|dead| dead.recipient == *person && dead.day == alarm.day && dead.alarm == name)
}

async fn is_marked(table: &Table, person: &PersonId, now: Moment) -> Result<bool> {
    let Some(person) = table.get(StaffPerson::key_of(person)).await? else {
        return Ok(false);
    };
    Ok(table
        .undeliverable(person.address.matched(), now)
        .await?
        .is_some())
}

impl UndeliveredAlarm {
    fn from_row(row: OutboxRow) -> Option<UndeliveredAlarm> {
        let QueuedMail::Account {
            day,
            alarm,
            recipient,
        } = row.mail
        else {
            return None;
        };
        let MailState::Failed {
            why,
            ended_at: failed_at,
        } = row.state
        else {
            return None;
        };
        Some(UndeliveredAlarm {
            row: row.row,
            day,
            alarm,
            recipient,
            code: why,
            failed_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Moment {
        "2026-11-20T10:00:00Z".parse::<Moment>().unwrap() + SignedDuration::from_hours(hours)
    }

    fn dead(to: &PersonId, alarm: &Alarm) -> UndeliveredAlarm {
        let day = alarm.day;
        let at = alarm.found_at;
        let alarm = alarm.name();
        let code = UNDELIVERABLE.to_owned();
        UndeliveredAlarm {
            row: Ulid::nil(),
            day,
            alarm,
            recipient: to.clone(),
            code,
            failed_at: at,
        }
    }

    fn alarm(to: &[PersonId], cause: Cause, hours: i64) -> Alarm {
        Alarm {
            recipients: to.to_vec(),
            ..Alarm::now(cause, at(hours))
        }
    }

    /// The hours in which it is told that the first admin is not reached, where an alarm comes at
    /// first or each day.
    fn told(admins: &[PersonId], hours: i64, each_day: bool, reached_from: i64) -> Vec<i64> {
        let mut known = Vec::new();
        let mut lost = Vec::new();
        let mut told = Vec::new();
        for hour in 0..hours {
            let is_another = hour == 0 || each_day && hour % 24 == 0;
            let cause = if is_another {
                Some(Cause::ManagementKey)
            } else {
                due_alarm(&lost, &known, admins, at(hour))
            };
            let Some(cause) = cause else { continue };
            let alarm = alarm(admins, cause, hour);
            if hour < reached_from {
                lost.push(dead(&admins[0], &alarm));
            }
            known.push(alarm);
            told.extend((!is_another).then_some(hour));
        }
        told
    }

    /// Other admins hear once of an admin whom mail does not reach; a lone one is told daily until
    /// a mail arrives.
    #[test]
    fn unreached_admins_are_reported() {
        let admins = [(); 3].map(|()| PersonId::random());
        assert_eq!(told(&admins, 12 * 24, true, i64::MAX).len(), 1);
        assert_eq!(
            told(&admins[..1], 72, false, 36),
            [1, 14, 38],
            "the mail server works again in the second night"
        );
        let first = alarm(&admins[..1], Cause::ManagementKey, 0);
        let lost = [dead(&admins[0], &first)];
        assert!(
            due_alarm(&lost, &[first], &[], at(15)).is_none(),
            "nobody is told of who is no admin"
        );
    }
}
