//! The log lines of functions with their invocations. Capturing the lines is left to `in_process`.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

use super::FunctionName;

/// The number of lines that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    All,
    Last(usize),
}

/// One line of one invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub function: FunctionName,
    pub instance: u32,
    /// The invocation.
    pub request_id: Arc<str>,
    pub text: String,
}

/// The lines of all invocations. Clones share them.
#[derive(Clone)]
pub struct Logs(Arc<Shared>);

struct Shared {
    keep: Keep,
    lines: Mutex<VecDeque<LogLine>>,
    echo: Option<Box<Echo>>,
}

type Echo = dyn Fn(&LogLine) + Send + Sync;

/// The log of one invocation.
#[derive(Clone)]
pub(super) struct Capture {
    logs: Logs,
    function: FunctionName,
    instance: u32,
    request_id: Arc<str>,
}

impl Logs {
    pub fn new(keep: Keep) -> Logs {
        Logs::made(keep, None)
    }

    /// Logs that also pass each line to `echo`.
    pub fn echoed(keep: Keep, echo: impl Fn(&LogLine) + Send + Sync + 'static) -> Logs {
        Logs::made(keep, Some(Box::new(echo)))
    }

    /// All lines that are kept, oldest first.
    pub fn all(&self) -> Vec<LogLine> {
        self.lines().iter().cloned().collect()
    }

    pub(super) fn capture(&self, function: FunctionName, instance: u32, request_id: &str) -> Capture {
        Capture { logs: self.clone(), function, instance, request_id: request_id.into() }
    }

    fn made(keep: Keep, echo: Option<Box<Echo>>) -> Logs {
        let lines = Mutex::default();
        Logs(Arc::new(Shared { keep, lines, echo }))
    }

    fn push(&self, line: LogLine) {
        if let Some(echo) = &self.0.echo {
            echo(&line);
        }
        let mut lines = self.lines();
        lines.push_back(line);
        if let Keep::Last(most) = self.0.keep {
            while lines.len() > most {
                lines.pop_front();
            }
        }
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, VecDeque<LogLine>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Capture {
    /// Keeps a line.
    pub(super) fn line(&self, text: &str) {
        self.logs.push(LogLine {
            function: self.function,
            instance: self.instance,
            request_id: self.request_id.clone(),
            text: text.to_owned(),
        });
    }
}

/// The subscriber writes each event at once, including its line break.
impl io::Write for &Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in String::from_utf8_lossy(bytes).lines() {
            self.line(line);
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
