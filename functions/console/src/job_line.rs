//! How pages tell of jobs: how far each is, in a sentence.

use crate::prelude::*;

/// How long a page still tells that a job was done.
const TOLD_FOR: SignedDuration = SignedDuration::from_hours(24);

pub(crate) struct JobLine {
    pub(crate) programme: String,
    pub(crate) path: String,
    pub(crate) job: Job,
    pub(crate) sentence: String,
}

impl JobLine {
    /// The lines of a programme: what runs and waits, what was done within a day, and what failed.
    pub(crate) fn of_programme(programme: &Programme, jobs: &[Job], now: Moment) -> Vec<JobLine> {
        let is_told = |job: &&Job| match &job.state {
            JobState::Done { at } => now < *at + TOLD_FOR,
            JobState::Failed { at, .. } => programme.closed_at.is_none() || now < *at + TOLD_FOR,
            JobState::Running { .. } | JobState::Waiting { .. } => true,
        };
        let mut lines = Vec::new();
        let mut is_first = true;
        for job in jobs.iter().filter(is_told) {
            lines.push(JobLine::of(programme, job, is_first));
            is_first &= !matches!(job.state, JobState::Running { .. });
        }
        lines
    }

    /// `is_first` says that no other job of the programme is before it.
    fn of(programme: &Programme, job: &Job, is_first: bool) -> JobLine {
        let mut sentence = told(job);
        match job.state {
            JobState::Running { .. } if !is_first => sentence += " It waits for the work above.",
            JobState::Running { .. } => sentence += " Reload this page to see how far it is.",
            JobState::Waiting { .. } => {
                sentence += " The rest waits, in most cases for the provider, and is tried again each minute. Where only a person can help, a warning here says so.";
            }
            JobState::Done { .. } | JobState::Failed { .. } => {}
        }
        if job.refused > 0 {
            sentence += &match job.work {
                Work::Import { .. } | Work::Bulk { .. } => format!(" {} could not be done.", job.refused),
                Work::Close | Work::Limits => {
                    format!(
                        " {} could not be done: the provider says that it has no such key, or a record cannot be read. The next sync \
                         looks into it.",
                        job.refused
                    )
                }
            };
        }
        JobLine {
            programme: programme.settings.name.clone(),
            path: paths::programme(&programme.id),
            job: job.clone(),
            sentence,
        }
    }

    pub(crate) fn class(&self) -> &'static str {
        match self.job.state {
            JobState::Done { .. } => "soft",
            JobState::Failed { .. } => "notice wrong",
            JobState::Running { .. } | JobState::Waiting { .. } => "notice",
        }
    }
}

fn told(job: &Job) -> String {
    let (done, all) = (job.done, job.all);
    let [running, ended, failed] = match job.work {
        Work::Import { .. } => [
            format!("The roster is being changed: {done} of {all} changes are done."),
            format!("The last change of the roster is done: {all} of {all}."),
            format!("The last change of the roster was not done to its end: {done} of {all} are."),
        ],
        Work::Bulk { .. } => [
            format!(
                "Many grants are being changed: {done} of {all} are done, what the provider must be told included."
            ),
            format!("The last change of many grants is done: {all}."),
            format!("The last change of many was not done to its end: {done} of {all} are."),
        ],
        Work::Close => [
            format!("Every grant is being ended: {done} of {all} are ended, and their keys switched off."),
            match job.refused {
                0 => "Every grant is ended, and every key switched off.".to_owned(),
                refused => {
                    format!("{} of {all} grants are ended, and their keys switched off.", all.saturating_sub(refused))
                }
            },
            format!("Not every grant was ended: {done} of {all} are."),
        ],
        Work::Limits => [
            format!(
                "Keys are being given their new limits and rules at the provider: {done} of {all} people are done."
            ),
            match job.refused {
                0 => "Every key has its new limit and rules.".to_owned(),
                _ => "Keys were given their new limits and rules.".to_owned(),
            },
            format!("The keys of {done} of {all} people only have their new limits and rules."),
        ],
    };
    match &job.state {
        JobState::Running { .. } | JobState::Waiting { .. } => running,
        JobState::Done { .. } => ended,
        JobState::Failed { why, .. } => format!("{failed} {why}"),
    }
}
