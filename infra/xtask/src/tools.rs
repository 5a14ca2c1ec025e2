//! What the recipes need beside the toolchain, each in one pinned version under `target/tools`, and
//! the programs that run beside a recipe.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use xshell::{Shell, TempDir, cmd};

use crate::root;

/// No registry has a current build of these. Unoptimised they compile in a third of the time. A
/// version at crates.io is one file forever, which cargo holds against the checksum in the index,
/// and `--locked` does the same for what it is built of.
const CARGO_TOOLS: [(&str, &str); 3] = [
    ("cargo-cyclonedx", "0.5.9"),
    ("cargo-deny", "0.20.2"),
    ("cargo-machete", "0.9.2"),
];
const REQUIREMENTS: &str = "infra/xtask/requirements.txt";

/// Where the programs of Claude Code, Codex CLI and OpenCode are below `node_modules`.
const IN_CODING_AGENTS: [&str; 3] = [
    "@anthropic-ai/claude-code-linux-x64",
    "@openai/codex/vendor/x86_64-unknown-linux-musl/bin",
    "opencode-linux-x64-baseline/bin",
];

const ADVISORIES: &str = "https://github.com/rustsec/advisory-db";

/// Checks the dependencies as `deny.toml` says.
pub(crate) fn deny(shell: &Shell, checks: &[&str]) -> anyhow::Result<()> {
    let deny = cargo_tool(shell, "cargo-deny")?;
    Ok(cmd!(
        shell,
        "{deny} --locked --workspace check --hide-inclusion-graph {checks...}"
    )
    .run()?)
}

/// Checks the advisories, or says loudly that nobody did. The database is looked for first: without
/// it, cargo-deny would be built for nothing.
pub(crate) fn advisories(shell: &Shell) -> anyhow::Result<()> {
    let probe =
        cmd!(shell, "timeout 10 git ls-remote {ADVISORIES} HEAD").env("GIT_TERMINAL_PROMPT", "0");
    if probe.quiet().ignore_stdout().ignore_stderr().run().is_ok() {
        return deny(shell, &["advisories"]);
    }
    eprintln!("\nadvisories: NOT CHECKED: {ADVISORIES} cannot be reached\n");
    Ok(())
}

/// The path of a cargo tool.
pub(crate) fn cargo_tool(shell: &Shell, name: &str) -> anyhow::Result<PathBuf> {
    let (_, version) = CARGO_TOOLS
        .iter()
        .find(|(tool, _)| *tool == name)
        .context("an unknown tool")?;
    let tools = target().join("tools").join(format!("{name}-{version}"));
    let path = tools.join("bin").join(name);
    if !path.exists() {
        cmd!(
            shell,
            "cargo install --quiet --debug --locked --root {tools} --version {version} {name}"
        )
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .run()
        .with_context(|| {
            format!("{name} {version} cannot be installed: give cargo the network, or a mirror")
        })?;
    }
    Ok(path)
}

/// A Python with what `requirements.txt` lists, in an environment that is made again when the list
/// changes.
pub(crate) fn python(shell: &Shell) -> anyhow::Result<PathBuf> {
    let venv = target().join("tools/venv");
    // Written last, so that an interrupted installation does not count.
    let python = venv.join("bin/python");
    let stamp = venv.join("requirements.txt");
    let requirements = shell.read_file(REQUIREMENTS)?;
    if shell
        .read_file(&stamp)
        .is_ok_and(|installed| installed == requirements)
    {
        return Ok(python);
    }
    let outcome = cmd!(shell, "python3 -m venv --clear {venv}").quiet().run();
    outcome.context(
        "this recipe needs Python 3 with venv: install the packages python3 and python3-venv",
    )?;
    let pip = [
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "install",
        "--no-deps",
        "--require-hashes",
    ];
    cmd!(shell, "{python} {pip...} --requirement {REQUIREMENTS}").run().with_context(|| {
        format!("pip cannot install {REQUIREMENTS}: give it the network, or a mirror by PIP_INDEX_URL")
    })?;
    shell.write_file(&stamp, requirements)?;
    Ok(python)
}

/// Sees that there is a browser that can be driven.
pub(crate) fn chromium(shell: &Shell) -> anyhow::Result<()> {
    for program in ["chromium", "chromedriver"] {
        cmd!(shell, "{program} --version").quiet().ignore_stdout().run().context(
            "this recipe needs chromium and chromedriver on the path: on Debian, install chromium and chromium-driver",
        )?;
    }
    Ok(())
}

/// The script of axe, which finds what keeps people from using a page.
pub(crate) fn axe(shell: &Shell) -> anyhow::Result<PathBuf> {
    Ok(from_npm(shell, "axe")?.join("axe-core/axe.min.js"))
}

/// The folders of the coding agents' programs, as a search path.
pub(crate) fn coding_agents(shell: &Shell) -> anyhow::Result<String> {
    let modules = from_npm(shell, "coding-agents")?;
    Ok(IN_CODING_AGENTS
        .map(|folder| modules.join(folder).display().to_string())
        .join(":"))
}

/// The library of an OpenID provider by other authors.
pub(crate) fn openid_provider(shell: &Shell) -> anyhow::Result<PathBuf> {
    Ok(from_npm(shell, "openid-provider")?.join("oidc-provider/lib/index.js"))
}

/// The folder `node_modules` with what a lock in `infra/xtask/npm` lists, each package in one
/// version and with the hash of that, installed again when the lock changes.
fn from_npm(shell: &Shell, name: &str) -> anyhow::Result<PathBuf> {
    let [source, folder] =
        [root().join("infra/xtask/npm"), target().join("tools")].map(|place| place.join(name));
    let lock = shell.read_file(source.join("package-lock.json"))?;
    // Written last, so that an interrupted installation does not count.
    let stamp = folder.join("installed.json");
    if !shell
        .read_file(&stamp)
        .is_ok_and(|installed| installed == lock)
    {
        shell.create_dir(&folder)?;
        for file in ["package.json", "package-lock.json"] {
            shell.copy_file(source.join(file), &folder)?;
        }
        cmd!(shell, "npm ci --silent --ignore-scripts --prefix {folder}").run().with_context(|| {
            format!("npm cannot install {name}: on Debian, install npm; give it the network, or a mirror by NPM_CONFIG_REGISTRY")
        })?;
        shell.write_file(&stamp, lock)?;
    }
    Ok(folder.join("node_modules"))
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// A program that ends when this is dropped.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An emulator of AWS by other authors than the stand-ins'.
pub(crate) struct Emulator {
    port: u16,
    _running: Background,
    folder: TempDir,
}

impl Emulator {
    pub(crate) fn start(shell: &Shell) -> anyhow::Result<Emulator> {
        let ministack = python(shell)?.with_file_name("ministack");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let folder = shell.create_temp_dir()?;
        let log = File::create(folder.path().join("log"))?;
        let child = Command::new(ministack)
            // By default it binds all addresses and starts listeners for other protocols.
            .envs([
                ("BIND_HOST", "127.0.0.1"),
                ("IOT_MTLS_ENABLED", "0"),
                ("SFTP_ENABLED", "0"),
                ("LOG_LEVEL", "WARNING"),
            ])
            .env("GATEWAY_PORT", port.to_string())
            // Functions that it runs find its services by this.
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("ministack does not start: remove target/tools/venv, and run this again")?;
        let emulator = Emulator {
            port,
            _running: Background(child),
            folder,
        };
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if started.elapsed() > Duration::from_secs(60) {
                bail!("ministack does not answer: {}", emulator.log(shell));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(emulator)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it has logged.
    pub(crate) fn log(&self, shell: &Shell) -> String {
        shell
            .read_file(self.folder.path().join("log"))
            .unwrap_or_default()
    }
}

/// A running `bursar` without a demonstration, and the rest of its line `ready`.
pub(crate) struct Bursar {
    pub(crate) ready: String,
    _running: Background,
    _folder: TempDir,
}

impl Bursar {
    pub(crate) fn start(shell: &Shell) -> anyhow::Result<Bursar> {
        cmd!(shell, "cargo build --locked --package bursar-local").run()?;
        let folder = shell.create_temp_dir()?;
        let mut child = Command::new(target().join("debug/bursar"))
            .args([
                "--empty",
                "--admin",
                "a@example.edu",
                "--port",
                "0",
                "--data",
            ])
            .arg(folder.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("bursar does not start")?;
        let out = child.stdout.take();
        let running = Background(child);
        let mut lines = BufReader::new(out.context("bursar has no output")?)
            .lines()
            .map_while(Result::ok);
        let ready = lines.find_map(|line| line.strip_prefix("ready ").map(str::to_owned));
        let ready = ready.context("bursar ended before it was ready")?;
        // Read on, so that it never blocks on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Bursar {
            ready,
            _running: running,
            _folder: folder,
        })
    }
}
