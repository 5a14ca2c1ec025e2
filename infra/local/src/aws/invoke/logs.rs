//! The log lines of the functions. Capturing them is left to `in_process`.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use super::FunctionName;
use crate::base::lock;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub function: FunctionName,
    pub text: String,
}

/// The lines of all invocations. Clones share them.
#[derive(Clone)]
pub struct Logs {
    most: usize,
    lines: Arc<Mutex<VecDeque<LogLine>>>,
    echo: Arc<dyn Fn(&LogLine) + Send + Sync>,
}

#[derive(Clone)]
pub(super) struct Capture(Logs, FunctionName);

impl Logs {
    /// Logs of which the last `most` lines are kept, and each is passed to `echo`.
    pub fn new(most: usize, echo: impl Fn(&LogLine) + Send + Sync + 'static) -> Logs {
        Logs {
            most,
            lines: Arc::default(),
            echo: Arc::new(echo),
        }
    }

    pub fn all(&self) -> Vec<LogLine> {
        lock(&self.lines).iter().cloned().collect()
    }

    pub(super) fn capture(&self, function: FunctionName) -> Capture {
        Capture(self.clone(), function)
    }

    fn push(&self, line: LogLine) {
        (self.echo)(&line);
        let mut lines = lock(&self.lines);
        lines.push_back(line);
        if lines.len() > self.most {
            lines.pop_front();
        }
    }
}

/// The subscriber writes each event at once, including its line break.
impl io::Write for &Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in String::from_utf8_lossy(bytes).lines() {
            self.0.push(LogLine {
                function: self.1,
                text: line.to_owned(),
            });
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Capture {
    type Writer = &'w Capture;

    fn make_writer(&'w self) -> &'w Capture {
        self
    }
}
