//! One start of a function's program before a Runtime API that has no event for it.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// What every function reads at its start, as the template sets it. Nobody is called at these addresses.
const ENVIRONMENT: [(&str, &str); 14] = [
    ("AWS_LAMBDA_FUNCTION_NAME", "measured"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "measured"),
    ("AWS_SECRET_ACCESS_KEY", "measured"),
    ("AWS_SESSION_TOKEN", "measured"),
    ("BURSAR_TABLE", "bursar"),
    ("BURSAR_ORIGIN", "https://credit.example.edu"),
    ("BURSAR_MAIL_FROM", "bursar@example.edu"),
    ("BURSAR_MAIL_EVENTS", "bursar"),
    ("BURSAR_ADMINS", "admin@example.edu"),
    ("BURSAR_MANAGEMENT_KEY_SECRET", "bursar/management-key"),
    ("BURSAR_INSTITUTION", "Example University"),
];
const NEXT: &[u8] = b"GET /2018-06-01/runtime/invocation/next ";
const PATIENCE: Duration = Duration::from_secs(10);

/// What one start took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) ms: f64,
    pub(super) mib: f64,
}

/// Starts a program so many times, one after the other.
pub(super) fn many(program: &Path, times: usize) -> Result<Vec<Start>> {
    (0..times).map(|_| one(program)).collect()
}

fn one(program: &Path) -> Result<Start> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let api = listener.local_addr()?.to_string();
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(first_request(&listener)));
    let mut command = Command::new(program);
    command.env_clear().envs(ENVIRONMENT).env("AWS_LAMBDA_RUNTIME_API", api).current_dir("/");
    let begun = Instant::now();
    let child = Running(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?);
    // It is refused at once where a variable is missing, and says so itself.
    let (arrived, request, _open) = receive.recv_timeout(PATIENCE).context("it asked for no event; see above")??;
    ensure!(request.starts_with(NEXT), "it asked for {:?}", String::from_utf8_lossy(&request));
    let start = Start { ms: (arrived - begun).as_secs_f64() * 1e3, mib: resident_kib(child.0.id())? / 1024.0 };
    // It ends before the connection, of whose end it would complain.
    drop(child);
    Ok(start)
}

/// When a request came, its beginning, and the connection, which stays open.
fn first_request(listener: &TcpListener) -> std::io::Result<(Instant, Vec<u8>, TcpStream)> {
    let (mut stream, _) = listener.accept()?;
    let (mut request, mut part) = (Vec::new(), [0; 1024]);
    while request.len() < NEXT.len() {
        match stream.read(&mut part)? {
            0 => break,
            read => request.extend_from_slice(&part[..read]),
        }
    }
    Ok((Instant::now(), request, stream))
}

fn resident_kib(process: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("it has no resident memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// A process that ends when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_asks_for_something_else_is_no_start() {
        let shell = xshell::Shell::new().unwrap();
        let folder = shell.create_temp_dir().unwrap();
        let path = folder.path().join("bootstrap");
        for (asked, is_start) in
            [("/2018-06-01/runtime/invocation/next", true), ("/2018-06-01/runtime/init/error", false)]
        {
            // bash makes requests of its own.
            let ask = format!("printf 'GET {asked} HTTP/1.1\\r\\nHost: here\\r\\n\\r\\n' >&3; read <&3");
            let script = format!("#!/bin/bash\nexec 3<>/dev/tcp/${{AWS_LAMBDA_RUNTIME_API/:/\\/}}\n{ask}\n");
            crate::tools::write_program(&shell, &path, &script);
            let start = one(&path);
            assert_eq!(start.is_ok(), is_start, "{start:?}");
            assert!(start.is_err() || start.is_ok_and(|start| start.ms > 0.0 && start.mib > 0.1));
        }
    }
}
