//! Programs that run beside a recipe: started, waited for, and ended however the recipe ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// A program that ends when this is dropped: first by a signal, and killed if that does not help.
pub(crate) struct Background {
    name: &'static str,
    child: Child,
}

impl Background {
    pub(crate) fn start(name: &'static str, command: &mut Command) -> anyhow::Result<Background> {
        let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("{name} does not start"))?;
        Ok(Background { name, child })
    }

    /// The rest of the first line of its standard output with this beginning. The output must be a pipe.
    pub(crate) fn line(&mut self, beginning: &'static str, patience: Duration) -> anyhow::Result<String> {
        let out = self.child.stdout.take().with_context(|| format!("the output of {} is not a pipe", self.name))?;
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || read_lines(out, beginning, &send));
        receive.recv_timeout(patience).with_context(|| format!("{} did not say {beginning:?}", self.name))
    }

    /// Waits until it is ready, asking again and again.
    pub(crate) fn until(&mut self, patience: Duration, ready: impl Fn() -> bool) -> anyhow::Result<()> {
        let started = Instant::now();
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended by itself: {status}", self.name);
            }
            if started.elapsed() > patience {
                bail!("{} was not ready after {} s", self.name, patience.as_secs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-INT", &id]).status().is_ok_and(|status| status.success());
        if !asked || !ends_within(&mut self.child, Duration::from_secs(5)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Reads the output to its end, so that the program never blocks on a full pipe, and sends the first line with
/// this beginning.
fn read_lines(out: ChildStdout, beginning: &str, send: &mpsc::Sender<String>) {
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        if let Some(rest) = line.strip_prefix(beginning) {
            let _ = send.send(rest.to_owned());
        }
    }
}

/// Whether a command succeeds within a time, after which it is killed.
pub(crate) fn ends_well_within(command: &mut Command, patience: Duration) -> bool {
    let Ok(mut child) = command.spawn() else { return false };
    if ends_within(&mut child, patience) {
        return child.wait().is_ok_and(|status| status.success());
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

fn ends_within(child: &mut Child, patience: Duration) -> bool {
    let started = Instant::now();
    while started.elapsed() < patience {
        if !matches!(child.try_wait(), Ok(None)) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

/// A loopback port on which nothing listened a moment ago.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// One HTTP request to a loopback server, and its whole answer: just enough to see whether the server is there.
pub(crate) fn ask(port: u16, head: &str, body: &str) -> std::io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let length = body.len();
    write!(stream, "{head}\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
