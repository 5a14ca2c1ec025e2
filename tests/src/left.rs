//! What a test leaves in its stack when it ends: unread mails, complaints in logs, dead letters, planned faults
//! that no call met. Nothing may be left but what the test names, and what it names must be there.

use std::fmt;

use crate::stack::Stack;
use anyhow::Result;
use bursar_local::inbox::Contents;

/// Something that a test rightly leaves, and that fails the test when it is absent. The variants with
/// `Perhaps` may be absent: they are for cases that are counted or drawn, of which only some leave something.
#[derive(Debug, Clone, Copy)]
pub enum Left<'a> {
    /// At least one unread mail, where the number does not matter.
    AnyMails,
    /// Complaints of functions, as pairs of a function and words of a log line. Each pair fits a complaint, and
    /// each error fits a pair; a warning may go unnamed.
    Complaints(&'a [(&'a str, &'a str)]),
    /// This number of events that no function accepted.
    DeadLetters(usize),
    /// At least one planned fault that no call met.
    UnmetFaults,
    /// Any number of unread mails, since some wait for a schedule that may not have run.
    PerhapsMails,
    /// Any number of complaints, each of which fits one of these pairs.
    PerhapsComplaints(&'a [(&'a str, &'a str)]),
    /// Any number of drawn faults that no call met.
    PerhapsUnmetFaults,
}

/// Text that is in every warning, for cases with so many faults that a function may warn of anything.
pub const WARNING: &str = "\"WARN\"";

/// Everything that is left in a stack.
#[derive(Debug, Default)]
pub(crate) struct Leavings {
    /// The subjects of unread mails.
    mails: Vec<String>,
    /// Log lines, each with the function that wrote it.
    complaints: Vec<(&'static str, String)>,
    dead_letters: Vec<String>,
    unmet_faults: Vec<String>,
}

impl Leavings {
    pub(crate) fn of(stack: &Stack) -> Result<Leavings> {
        let mails = stack.ses.unread().iter().map(|mail| Contents::of(&mail.raw).subject).collect();
        let is_complaint = |text: &str| ["\"WARN\"", "\"ERROR\"", "panicked"].iter().any(|level| text.contains(level));
        let lines = stack.logs.all().into_iter().filter(|line| is_complaint(&line.text));
        let complaints = lines.map(|line| (line.function.as_str(), line.text)).collect();
        let dead_letters = stack.pump.dead_letters().all()?.iter().map(|letter| format!("{letter:?}")).collect();
        Ok(Leavings { mails, complaints, dead_letters, unmet_faults: stack.gate.unfired() })
    }

    /// What is left and not named, and what is named and not left.
    pub(crate) fn against(&self, named: &[Left<'_>]) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut expect = |fits: bool, what: &str, there: &dyn fmt::Debug| {
            if !fits {
                wrong.push(format!("{what}: {there:#?}"));
            }
        };
        let (mut mails, mut dead_letters) = (self.mails.is_empty(), self.dead_letters.is_empty());
        let mut faults = self.unmet_faults.is_empty();
        let (mut must, mut may) = (Vec::new(), Vec::new());
        for left in named {
            match left {
                Left::AnyMails => mails = !self.mails.is_empty(),
                Left::Complaints(named) => must.extend(*named),
                Left::DeadLetters(count) => dead_letters = self.dead_letters.len() == *count,
                Left::UnmetFaults => faults = !self.unmet_faults.is_empty(),
                Left::PerhapsMails => mails = true,
                Left::PerhapsComplaints(named) => may.extend(*named),
                Left::PerhapsUnmetFaults => faults = true,
            }
        }
        let fits = |(function, words): &(&str, &str), (said_by, text): &(&str, String)| {
            function == said_by && text.contains(words)
        };
        // A busy machine makes a call late, and its caller warns of it: only errors must be named.
        let is_named = |line: &(&str, String)| must.iter().chain(&may).any(|pair| fits(pair, line));
        let unnamed: Vec<_> =
            self.complaints.iter().filter(|line| !line.1.contains("\"WARN\"") && !is_named(line)).collect();
        let unsaid: Vec<_> = must.iter().filter(|pair| !self.complaints.iter().any(|line| fits(pair, line))).collect();
        expect(mails, "unread mails", &self.mails);
        expect(unnamed.is_empty(), "complaints that are not named", &unnamed);
        expect(unsaid.is_empty(), "complaints that are named and were not made", &unsaid);
        expect(dead_letters, "dead letters", &self.dead_letters);
        expect(faults, "planned faults that no call met", &self.unmet_faults);
        wrong
    }
}
