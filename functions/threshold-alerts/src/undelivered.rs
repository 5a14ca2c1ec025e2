//! Mails to the admins that were given up: that one of the admins is not reached, the admins are told once. It is told again while nobody
//! was reached by that either, once a day at most.

use anyhow::Result;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::failure::UNDELIVERABLE;
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::values::id::PersonId;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{MailState, OutboxRow, QueuedMail, Table};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use ulid::Ulid;

/// What was given up is told of for so long.
const TOLD_FOR: SignedDuration = SignedDuration::from_hours(48);
/// So much is looked back on to know whom mail reaches. Of more dead letters only the newest are read; whoever they are to, that so much
/// is given up is told by other alarms.
const LOOKED_BACK: SignedDuration = SignedDuration::from_hours(14 * 24);
const MOST_READ: usize = 1_000;

/// A mail to an admin that was given up.
struct UndeliveredAlarm {
    row: Ulid,
    day: Date,
    alarm: String,
    to: PersonId,
    code: String,
    at: Timestamp,
}

/// What the admins are to be told, if anything. An alarm whose dead letters are not looked back on would pass for one that arrived.
pub(crate) async fn undelivered_alarms(
    table: &Table,
    known: &[Alarm],
    admins: &[PersonId],
    now: Timestamp,
) -> Result<Option<Cause>> {
    let dead = table.dead_mails(now - LOOKED_BACK, MOST_READ).await?;
    let mut dead: Vec<UndeliveredAlarm> = dead.newest.into_iter().filter_map(UndeliveredAlarm::of).collect();
    for admin in admins {
        // Whom mail reaches again needs no mail of it.
        if dead.iter().any(|dead| dead.to == *admin && dead.code == UNDELIVERABLE)
            && !is_marked(table, admin, now).await?
        {
            dead.retain(|dead| dead.to != *admin || dead.code != UNDELIVERABLE);
        }
    }
    let known: Vec<Alarm> = known.iter().filter(|alarm| now <= alarm.found_at + LOOKED_BACK).cloned().collect();
    Ok(to_be_told(&dead, &known, admins, now))
}

/// The newest that nobody knows of.
fn to_be_told(dead: &[UndeliveredAlarm], known: &[Alarm], admins: &[PersonId], now: Timestamp) -> Option<Cause> {
    let is_telling = |alarm: &&Alarm| matches!(alarm.cause, Cause::Unsent { mail: Some(MailKind::Account), .. });
    if known.iter().filter(is_telling).any(|telling| telling.day == utc_date(now)) {
        return None;
    }
    let reached = |alarm: &Alarm, person: &PersonId| {
        let name = alarm.name();
        let is_dead = |dead: &UndeliveredAlarm| dead.to == *person && dead.day == alarm.day && dead.alarm == name;
        alarm.recipients.contains(person) && !dead.iter().any(is_dead)
    };
    let is_unknown = |one: &&UndeliveredAlarm| {
        let reached_at = known.iter().filter(|alarm| reached(alarm, &one.to)).map(|alarm| alarm.found_at).max();
        let since_then = |at: Timestamp| reached_at.is_none_or(|reached_at| reached_at < at);
        let dead_since =
            dead.iter().filter(|other| other.to == one.to).map(|other| other.at).filter(|at| since_then(*at)).min();
        let told = |telling: &Alarm| {
            dead_since.is_none_or(|since| since <= telling.found_at)
                && telling.recipients.iter().any(|person| reached(telling, person))
        };
        since_then(one.at) && !known.iter().filter(is_telling).any(told)
    };
    let recent = dead.iter().filter(|one| now < one.at + TOLD_FOR && admins.contains(&one.to));
    let newest = recent.filter(is_unknown).max_by_key(|one| one.at)?;
    Some(Cause::Unsent { mail: Some(MailKind::Account), code: newest.code.clone(), first: newest.row })
}

async fn is_marked(table: &Table, person: &PersonId, now: Timestamp) -> Result<bool> {
    let Some(person) = table.person(person).await? else { return Ok(false) };
    Ok(table.undeliverable(person.address.matched(), now).await?.is_some())
}

impl UndeliveredAlarm {
    fn of(row: OutboxRow) -> Option<UndeliveredAlarm> {
        match (row.mail, row.state) {
            (QueuedMail::Account { day, alarm, recipient }, MailState::Failed { why, at }) => {
                Some(UndeliveredAlarm { row: row.row, day, alarm, to: recipient, code: why, at })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        "2026-11-20T10:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hours)
    }

    fn dead(to: &PersonId, alarm: &Alarm) -> UndeliveredAlarm {
        let code = UNDELIVERABLE.to_owned();
        UndeliveredAlarm {
            row: Ulid::nil(),
            day: alarm.day,
            alarm: alarm.name(),
            to: to.clone(),
            code,
            at: alarm.found_at,
        }
    }

    fn alarm(to: &[PersonId], cause: Cause, hours: i64) -> Alarm {
        Alarm { recipients: to.to_vec(), ..Alarm::now(cause, at(hours)) }
    }

    #[test]
    fn of_one_dead_admin_of_three_the_others_hear_once_however_many_alarms_there_are() {
        let admins: Vec<PersonId> = (0..3).map(|_| PersonId::random()).collect();
        let (mut known, mut lost, mut told) = (Vec::new(), Vec::new(), 0);
        for day in 0..12 {
            let alarm_of_the_day = alarm(&admins, Cause::ManagementKey, day * 24);
            lost.push(dead(&admins[0], &alarm_of_the_day));
            known.push(alarm_of_the_day);
            for hour in 1..24 {
                if let Some(cause) = to_be_told(&lost, &known, &admins, at(day * 24 + hour)) {
                    let telling = alarm(&admins, cause, day * 24 + hour);
                    lost.push(dead(&admins[0], &telling));
                    known.push(telling);
                    told += 1;
                }
            }
        }
        assert_eq!(told, 1);
    }

    #[test]
    fn while_nobody_is_reached_it_is_told_each_day_and_no_more_once_a_newer_mail_arrived() {
        let admins = [PersonId::random()];
        let first = alarm(&admins, Cause::ManagementKey, 0);
        let (mut lost, mut known) = (vec![dead(&admins[0], &first)], vec![first]);
        let mut told = Vec::new();
        for hour in 1..72 {
            if let Some(cause) = to_be_told(&lost, &known, &admins, at(hour)) {
                let telling = alarm(&admins, cause, hour);
                // The mail server is mended in the second night.
                if hour < 36 {
                    lost.push(dead(&admins[0], &telling));
                }
                known.push(telling);
                told.push(hour);
            }
        }
        assert_eq!(told, [1, 14, 38]);
        assert!(to_be_told(&lost, &known, &[], at(15)).is_none(), "nobody is told of who is no admin");
    }
}
