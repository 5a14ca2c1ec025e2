//! How pages tell of jobs: how far each is, in a sentence, and whose steps could not be done.

use bursar_core::domain::grant::Grant;
use bursar_core::domain::programme::Programme;
use bursar_core::store::{Job, JobState, Subject, UndoneStep, WhyUndone, Work};
use bursar_core::web::Site;
use futures_util::future::join_all;
use jiff::SignedDuration;

use crate::kit::paths;

/// How long a page still tells that a job was done, and that some of it could not be.
const TOLD_FOR: SignedDuration = SignedDuration::from_hours(1);
const UNDONE_TOLD_FOR: SignedDuration = SignedDuration::from_hours(24);

pub(crate) struct JobLine {
    pub(crate) programme: String,
    pub(crate) path: String,
    pub(crate) job: Job,
    pub(crate) sentence: String,
    pub(crate) undone: Vec<Undone>,
}

/// A student for whom something could not be done, or who could not be added.
pub(crate) struct Undone {
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) why: &'static str,
}

impl JobLine {
    /// The lines of a programme: what runs and waits, what was done lately, and what failed.
    pub(crate) async fn of_programme(
        site: &Site,
        programme: &Programme,
        jobs: &[Job],
    ) -> Vec<JobLine> {
        let now = site.clock.now();
        let shown = jobs.iter().filter(|job| match &job.state {
            JobState::Done { ended_at } | JobState::Failed { ended_at, .. } => {
                now < *ended_at
                    + if is_undone(job) {
                        UNDONE_TOLD_FOR
                    } else {
                        TOLD_FOR
                    }
            }
            JobState::Running { .. } => true,
        });
        let mut lines = Vec::new();
        let mut is_first = true;
        for job in shown {
            lines.push(JobLine {
                programme: programme.settings.name.clone(),
                path: paths::programme(&programme.id),
                job: job.clone(),
                sentence: to_words(job, is_first),
                undone: join_all(job.undone.iter().map(|step| Undone::new(site, job, step))).await,
            });
            is_first &= !job.is_being_written();
        }
        lines
    }

    /// How many could not be done besides those that are named.
    pub(crate) fn unnamed(&self) -> usize {
        (self.job.refused as usize).saturating_sub(self.undone.len())
    }

    pub(crate) fn class(&self) -> &'static str {
        match self.job.state {
            JobState::Done { .. } if !is_undone(&self.job) => "soft",
            JobState::Done { .. } => "notice warning",
            JobState::Failed { .. } => "notice wrong",
            JobState::Running { .. } => "notice",
        }
    }
}

impl Undone {
    async fn new(site: &Site, Job { programme, job, .. }: &Job, step: &UndoneStep) -> Undone {
        let why = explain_undone(step.why);
        match &step.of {
            Subject::Line(line) => Undone {
                path: paths::roster_file(programme, *job),
                name: format!("line {line}"),
                why,
            },
            Subject::Grant(grant) => {
                // One that cannot be read is named by its id.
                let stored = site
                    .table
                    .get(Grant::key_of(programme, grant))
                    .await
                    .ok()
                    .flatten();
                let name = stored.map_or_else(
                    || grant.to_string(),
                    |stored| stored.person.known_as().to_owned(),
                );
                Undone {
                    path: paths::grant(programme, grant),
                    name,
                    why,
                }
            }
        }
    }
}

fn is_undone(job: &Job) -> bool {
    job.refused > 0 || matches!(job.state, JobState::Failed { .. })
}

/// `is_first` says that no other job of the programme is before it.
fn to_words(job: &Job, is_first: bool) -> String {
    let mut sentence = told(job);
    match (&job.state, job.total.saturating_sub(job.done)) {
        (JobState::Running { .. }, count) if job.is_written => {
            let wait = if count == 1 { "waits" } else { "wait" };
            sentence += &format!(
                " {count} {wait} for OpenRouter to confirm, mostly for a quarter of an hour at most."
            );
        }
        (JobState::Running { .. }, _) if !is_first => {
            sentence += " It begins when the one above is done.";
        }
        (JobState::Running { .. }, _) => sentence += " Reload this page to see how far it is.",
        (JobState::Failed { why, .. }, _) => sentence = format!("{sentence} {why}"),
        (JobState::Done { .. }, _) => {}
    }
    if job.refused > 0 {
        sentence += &format!(" {} could not be done:", job.refused);
    }
    sentence
}

fn told(job: &Job) -> String {
    // What could not be done is told by itself.
    let done = job.done.saturating_sub(job.refused);
    let total = job.total;
    let [running, ended, failed] = match job.work {
        Work::Import | Work::Undo { .. } => [
            format!("The roster is being changed: {done} of {total} changes are done."),
            format!("The last change of the roster is done: {done} of {total}."),
            format!("The last change of the roster was stopped early: {done} of {total} are done."),
        ],
        Work::Bulk => [
            format!("Many students are being changed: {done} of {total} are done."),
            format!("The last change of many students is done: {done} of {total}."),
            format!(
                "The last change of many students was stopped early: {done} of {total} are done."
            ),
        ],
        Work::Close => [
            format!(
                "The programme is being closed: {done} of {total} students are done, and their keys switched off."
            ),
            format!(
                "The programme is closed, and the keys of {done} of {total} students are switched off."
            ),
            format!("Closing was stopped early: {done} of {total} students are done."),
        ],
        Work::Limits => [
            format!("Keys are being set to what was saved: {done} of {total} students are done."),
            format!("Keys are as they were saved: {done} of {total} students."),
            format!("Only {done} of {total} students have keys as they were saved."),
        ],
    };
    match job.state {
        JobState::Running { .. } => running,
        JobState::Done { .. } => ended,
        JobState::Failed { .. } => failed,
    }
}

fn explain_undone(why: WhyUndone) -> &'static str {
    match why {
        WhyUndone::NotConfirmed => {
            "OpenRouter has not confirmed it for two hours; Bursar goes on trying"
        }
        WhyUndone::Unreadable => "the record cannot be read",
        WhyUndone::Failed => "it could not be saved in three tries",
        WhyUndone::Refused(why) => why.to_words(),
    }
}

#[cfg(test)]
mod tests {
    use bursar_core::clock::Moment;
    use bursar_core::domain::audit::Actor;
    use bursar_core::domain::values::id::ProgrammeId;

    use super::*;

    /// Changes that wait and changes that could not be made are counted apart and add up.
    #[test]
    fn waiting_and_refused_add_up() {
        let now: Moment = "2026-11-10T09:30:00Z".parse().unwrap();
        let mut job = Job::new(
            &ProgrammeId::from_name("CS pilot"),
            Work::Bulk,
            20,
            &Actor::Rule,
            now,
        );
        (job.done, job.refused, job.is_written) = (17, 2, true);
        assert_eq!(
            to_words(&job, true),
            "Many students are being changed: 15 of 20 are done. 3 wait for OpenRouter to confirm, mostly for a quarter of an hour at most. 2 could not be done:"
        );
        (job.done, job.state) = (20, JobState::Done { ended_at: now });
        assert_eq!(
            to_words(&job, true),
            "The last change of many students is done: 18 of 20. 2 could not be done:"
        );
    }
}
