//! `second-engine`: the tests of the table's assumed behaviour, run on an engine by other authors than the
//! embedded one.

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::background::{Background, ask, free_port};
use crate::tools;

pub(crate) fn second_engine(shell: &Shell) -> anyhow::Result<()> {
    let test = ["test", "--locked", "--package", "bursar-tests", "--test", "bursar", "second_engine"];
    // Built before the engine starts. A filter that fits no test would pass, so the list must not be empty.
    let listed = cmd!(shell, "cargo {test...} -- --list").read()?;
    ensure!(listed.lines().any(|line| line.ends_with(": test")), "there is no test named second_engine");

    let python = tools::python(shell)?;
    let folder = shell.create_temp_dir()?;
    let port = free_port()?;
    let log = folder.path().join("ministack.log");
    let mut engine = Background::start(
        "ministack",
        Command::new(python.with_file_name("ministack"))
            // By default it binds all addresses and starts listeners for other protocols.
            .envs([("BIND_HOST", "127.0.0.1"), ("IOT_MTLS_ENABLED", "0"), ("SFTP_ENABLED", "0")])
            .envs([("SERVICES", "dynamodb,dynamodbstreams"), ("LOG_LEVEL", "WARNING")])
            .env("GATEWAY_PORT", port.to_string())
            .env("TMPDIR", folder.path())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?),
    )?;
    let ready =
        || ask(port, "GET /_ministack/ready HTTP/1.1", "").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"));
    let said = || shell.read_file(&log).unwrap_or_default();
    engine.until(Duration::from_secs(60), ready).with_context(said)?;

    let endpoint = format!("http://127.0.0.1:{port}");
    cmd!(shell, "cargo {test...}").env("BURSAR_TEST_DYNAMODB", endpoint).run().with_context(said)?;

    // Tests that overlook the variable would run on the embedded engine, and pass.
    let tables = ask(port, LIST_TABLES, "{}")?;
    ensure!(tables.contains("\"bursar-"), "the tests made no table on the second engine: {tables}");
    Ok(())
}

const LIST_TABLES: &str = "POST / HTTP/1.1\r\n\
    X-Amz-Target: DynamoDB_20120810.ListTables\r\n\
    Content-Type: application/x-amz-json-1.0\r\n\
    Authorization: AWS4-HMAC-SHA256 Credential=test/20261120/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0";
