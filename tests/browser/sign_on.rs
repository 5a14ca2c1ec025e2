//! Signing on at an OpenID provider by other authors, npm's `oidc-provider`, which is at another
//! site than Bursar's.

use std::path::Path;
use std::process::Stdio;

use bursar_core::clock::Moment;
use bursar_core::config::SignOnRequired;
use bursar_core::domain::grant::{Grant, Person};
use bursar_core::domain::values::id::GrantId;
use bursar_local::sign_on::{CLIENT_ID, CLIENT_SECRET, PERSON_CLAIM};
use bursar_local::stack::SignOnBy;
use bursar_tests::campus::{ADMIN, Campus, address};
use bursar_tests::stack::Setup;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::driver::{Browser, DESK, Driver, PHONE};
use crate::journey::line_of_link_mail;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/browser/provider.mjs");
const PROGRAMME: &str = "/console/programmes/cs-pilot";

struct Provider {
    issuer: String,
    process: Child,
}

pub(crate) async fn journeys(driver: &Driver, library: &Path) {
    let mut provider = Provider::start(library).await;
    let by = SignOnBy::Elsewhere {
        issuer: provider.issuer.clone(),
    };
    let setup = Setup {
        sign_on: Some((by, SignOnRequired::Roles)),
        at: Moment::now(),
        ..Setup::default()
    };
    let mut campus = Campus::of(setup).await;
    // Between a request and its answer time passes.
    campus.clock.run_from(Moment::now()).unwrap();
    campus
        .programme("CS pilot", |settings| {
            settings.people.faculty = vec![address("faye")];
        })
        .await;
    enrol(&campus, "ada", "s-1").await;
    campus.settle().await;
    provider.lead_back_to(&campus.ready.web).await;

    // A student by the id on the roster, to the page that she asked for.
    let ada = driver.open(PHONE).await;
    ada.go(&format!("{}/my/help", campus.ready.web)).await;
    sign_on(&ada, "s-1").await;
    ada.reads("Help with your key", "").await;
    sign_on_again(driver, &ada, "s-1", "Your LLM credit").await;

    // Whoever has a role by a code, to the page that they asked for, and from then on without one.
    for (person, to) in [("faye", "faye@example.edu"), ("admin", ADMIN)] {
        let browser = driver.open(DESK).await;
        browser
            .go(&format!("{}{PROGRAMME}/grants", campus.ready.web))
            .await;
        sign_on(&browser, person).await;
        prove(&browser, &campus, to).await;
        browser.reads("CS pilot", "").await;
        browser.one("[aria-current='page'][href$='/grants']").await;
        sign_on_again(driver, &browser, person, "Programmes").await;
    }

    // Somebody new who was given Ada's address does not get what is hers, and the provider may let
    // somebody not in.
    let other = driver.open(PHONE).await;
    other.go(&campus.ready.web).await;
    sign_on(&other, "s-2").await;
    prove(&other, &campus, "ada@example.edu").await;
    other
        .reads("That did not sign you in", "status of 403")
        .await;
    let closed = driver.open(PHONE).await;
    closed.go(&campus.ready.web).await;
    closed.sends("/sign-on").await;
    closed.reads("Sign-in", &provider.issuer).await;
    closed.one("a[href$='/abort']").await.click().await;
    // 403, and 404 for an icon of the provider's page, which may come as late as this.
    closed
        .reads("That did not sign you in", "status of 40")
        .await;
    campus.settle().await;
    assert_eq!(
        campus.mails("sign-on").len(),
        3,
        "one for each who was connected"
    );
    campus.finish().await;
}

/// Puts somebody with this id on the roster.
pub(crate) async fn enrol(campus: &Campus, name: &str, id: &str) {
    let person = Person {
        address: address(name),
        name: None,
        roster_id: Some(id.to_owned()),
    };
    let grant = Grant::invited(campus.programme.clone(), GrantId::random(), person, None);
    campus
        .table
        .invite(&campus.programme, &[grant], campus.by())
        .await
        .unwrap();
}

/// Goes from Bursar's first page to the provider, is this person there, and comes back.
async fn sign_on(browser: &Browser, person: &str) {
    browser.sends("/sign-on").await;
    // What the provider's pages say in the console is about them.
    browser.reads("Sign-in", "localhost").await;
    browser.one("[name='login']").await.write(person).await;
    browser.one("[name='password']").await.write("any").await;
    browser.one("button").await.click().await;
    browser.reads("Authorize", "localhost").await;
    browser.one("button").await.click().await;
}

/// Types an address where a sign-on asks for it, and the code that is mailed there.
async fn prove(browser: &Browser, campus: &Campus, to: &str) {
    browser.reads("Which address is yours?", "").await;
    browser.types("/link", "address", to).await;
    browser.sends("/link").await;
    browser.reads("Check your email", "").await;
    let code = line_of_link_mail(&campus.stack, to, "Code: ").await;
    browser
        .types("/code", "code", code.trim_start_matches("Code: "))
        .await;
    browser.sends("/code").await;
}

/// Signs out and on again: in the same browser, which the provider knows, and in a new one. Nothing
/// is asked here.
async fn sign_on_again(driver: &Driver, browser: &Browser, person: &str, home: &str) {
    let new = driver.open(DESK).await;
    let start = browser.run("return location.origin").await;
    browser.sends("/sign-out").await;
    browser.reads("Your LLM credit", "").await;
    browser.sends("/sign-on").await;
    browser.one("nav form[action='/sign-out']").await;
    browser.reads(home, "").await;
    new.go(start.as_str().unwrap()).await;
    sign_on(&new, person).await;
    new.reads(home, "").await;
}

impl Provider {
    async fn start(library: &Path) -> Provider {
        let mut command = Command::new("node");
        command
            .args([SCRIPT.as_ref(), library])
            .args([CLIENT_ID, CLIENT_SECRET, PERSON_CLAIM]);
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let issuer = lines.next_line().await.unwrap().unwrap();
        // Read to the end, so that the provider never blocks on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Provider { issuer, process }
    }

    async fn lead_back_to(&mut self, origin: &str) {
        let line = format!("{origin}/sign-on/callback\n");
        self.process
            .stdin
            .as_mut()
            .unwrap()
            .write_all(line.as_bytes())
            .await
            .unwrap();
    }
}
