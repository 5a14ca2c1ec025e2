//! `second-engine`: the tests of the table's assumed behaviour, run on an engine by other authors than the
//! embedded one.

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::tools::background::ask;
use crate::tools::emulator::Emulator;

pub(crate) fn second_engine(shell: &Shell) -> anyhow::Result<()> {
    let test = ["test", "--locked", "--package", "bursar-tests", "--test", "bursar", "second_engine"];
    // Built before the engine starts. A filter that fits no test would pass, so the list must not be empty.
    let listed = cmd!(shell, "cargo {test...} -- --list").read()?;
    ensure!(listed.lines().any(|line| line.ends_with(": test")), "there is no test named second_engine");

    let engine = Emulator::start(shell, Some("dynamodb,dynamodbstreams"))?;
    let endpoint = format!("http://127.0.0.1:{}", engine.port);
    cmd!(shell, "cargo {test...}").env("BURSAR_TEST_DYNAMODB", endpoint).run().with_context(|| engine.log(shell))?;

    // Tests that overlook the variable would run on the embedded engine, and pass.
    let tables = ask(engine.port, LIST_TABLES, "{}")?;
    ensure!(tables.contains("\"bursar-"), "the tests made no table on the second engine: {tables}");
    Ok(())
}

const LIST_TABLES: &str = "POST / HTTP/1.1\r\n\
    X-Amz-Target: DynamoDB_20120810.ListTables\r\n\
    Content-Type: application/x-amz-json-1.0\r\n\
    Authorization: AWS4-HMAC-SHA256 Credential=test/20261120/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0";
