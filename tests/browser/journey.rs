//! The first journey in a browser, from an empty account to a student's key, its spending and the mail to
//! faculty. It presses and reads what a person does; only the key is used without a browser.

use anyhow::{Context, Result, ensure};
use bursar_local::inbox::Contents;
use bursar_local::settle::LIMIT;
use bursar_tests::stack;
use bursar_tests::stack::Stack;
use jiff::ToSpan;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::driver::{Driver, ENTER, TAB};
use crate::person::Person;
use crate::pictures::line_of_link_mail;

const ADMIN: &str = "admin@example.edu";
const FACULTY: [&str; 2] = ["faye@example.edu", "frank@example.edu"];
const STUDENT: &str = "Stu.Dent@example.edu";
const PROGRAMME: &str = "/console/programmes/cs-pilot";
const ROSTER: &str =
    "Email; Name ;group;office\nStu.Dent@example.edu;Stu Dent;A;12\nmallory@;Mallory;B;13\nTom@example.edu;Tom;B;14\n";
const REFUSED: &str = "status of 403";

pub(crate) async fn goes_well(driver: &Driver) -> Result<()> {
    let stack = stack::in_process().await?;
    let done = goes_well_in(&stack, driver).await;
    stack.finish_after(done).await
}

async fn goes_well_in(stack: &Stack, driver: &Driver) -> Result<()> {
    let mut watch = stack::watch(stack);
    let mut admin = Person::at(driver, stack).await?;
    let student = Person::at(driver, stack).await?;
    admin_signs_in(driver, stack, &admin).await.context("the admin signs in")?;
    create(stack, &mut admin).await.context("a programme is created")?;
    upload(stack, &admin).await.context("a roster is uploaded")?;
    watch.check().await;
    sign_in(stack, &student, " stu.dent@EXAMPLE.edu ", STUDENT).await.context("the student signs in")?;
    student.reads("Your LLM credit").await?;
    let key = reveal(stack, &student).await.context("the key is shown")?;
    watch.check().await;
    spend(stack, &key).await.context("the key is spent on")?;
    spending_is_seen(&admin, &student).await.context("the spending is seen")?;
    alerts(driver, stack).await.context("faculty is told")?;
    student.opens("/my").await?;
    student.sends("/sign-out").await?;
    student.reads("Your LLM credit").await?;
    student.browser.one("form[action='/link']").await?;
    watch.check().await;
    stack.ses.unread();
    Ok(())
}

/// Submits the sign-in form, and presses the button behind the link of the mail.
async fn sign_in(stack: &Stack, person: &Person<'_>, typed: &str, address: &str) -> Result<()> {
    ask(person, typed).await?;
    person.browser.go(&line_of_link_mail(stack, address, "http").await?).await?;
    person.reads("Sign in").await?;
    person.sends_twice("main form").await
}

async fn ask(person: &Person<'_>, typed: &str) -> Result<()> {
    person.opens("/").await?;
    person.types("/link", "address", typed).await?;
    person.sends("/link").await?;
    person.reads("Look into your mail").await
}

async fn admin_signs_in(driver: &Driver, stack: &Stack, admin: &Person<'_>) -> Result<()> {
    ask(admin, ADMIN).await?;
    let link = line_of_link_mail(stack, ADMIN, "http").await?;
    scanner_burns_nothing(Person::at(driver, stack).await?, &link).await.context("a scanner follows the link first")?;
    admin.browser.go(&link).await?;
    admin.reads("Sign in").await?;
    admin.browser.one("main form button").await?.click().await?;
    admin.reads("Programmes").await
}

/// A mail scanner, which opens links, runs scripts and presses buttons, must not use up a link or a key.
async fn scanner_burns_nothing(mut scanner: Person<'_>, link: &str) -> Result<()> {
    scanner.forgives(REFUSED);
    for _ in 0..2 {
        scanner.browser.go(link).await?;
        scanner.reads("Sign in").await?;
        scanner.browser.one("main form button").await?.click().await?;
        scanner.reads("You are not signed in").await?;
    }
    scanner.browser.go(link).await?;
    scanner.browser.run("document.querySelector('main form').submit()").await?;
    scanner.reads("You are not signed in").await?;
    let said = scanner.browser.one("[role='alert']").await?.text().await?;
    ensure!(said.contains("used up, too old"), "{said}");
    scanner.opens("/console").await?;
    scanner.browser.one("form[action='/link']").await?;
    Ok(())
}

async fn create(stack: &Stack, admin: &mut Person<'_>) -> Result<()> {
    let form = "/console/programmes";
    // The form is first submitted with an invalid amount.
    admin.forgives("/console/programmes - Failed to load resource: the server responded with a status of 422");
    admin.browser.one("a[href='/console/programmes/new']").await?.click().await?;
    admin.reads("New programme").await?;
    let today = stack.clock.now().to_zoned(TimeZone::UTC).date();
    // The order in which this browser's date field takes the keys: month first.
    let typed = |date: jiff::civil::Date| date.strftime("%m%d%Y").to_string();
    let faculty = FACULTY.join(", ");
    admin.browser.one("details > summary").await?.click().await?;
    for (field, text) in [
        ("name", "CS pilot"),
        ("starts_on", &typed(today)),
        ("ends_on", &typed(today.saturating_add(300.days()))),
        ("cap_usd", "1"),
        ("pot_usd", "a lot"),
        ("faculty", &faculty),
    ] {
        admin.types(form, field, text).await?;
    }
    let zone = admin.browser.one("[name='timezone']").await?;
    zone.clear().await?;
    zone.write("UTC").await?;
    admin.sends(form).await?;
    let refused = admin.browser.one("[name='pot_usd'][aria-invalid='true']").await?;
    admin.looks().await?;
    ensure!(admin.value(form, "faculty").await? == faculty, "what was typed is lost");
    ensure!(admin.value(form, "starts_on").await? == today.to_string(), "the date that was typed is lost");
    refused.clear().await?;
    refused.write("$1.20").await?;
    admin.sends(form).await?;
    admin.reads("CS pilot").await?;
    let pot = admin.hook("pot").await?.attribute("data-usd").await?;
    ensure!(pot.as_deref() == Some("1.200000"), "the pot is {pot:?}");
    Ok(())
}

async fn upload(stack: &Stack, admin: &Person<'_>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("roster.csv");
    std::fs::write(&file, ROSTER)?;
    let upload = format!("{PROGRAMME}/roster");
    admin.types(&upload, "file", file.to_str().context("a strange folder")?).await?;
    admin.sends(&upload).await?;
    for (hook, number) in [("added", "2"), ("changed", "0"), ("refused", "1")] {
        let text = admin.hook(hook).await?.text().await?;
        ensure!(text == number, "{hook} is {text}");
    }
    let line = admin.hook("refused-row").await?.attribute("data-line").await?;
    ensure!(line.as_deref() == Some("3"), "refused is line {line:?}");
    admin.looks().await?;
    admin.sends(&format!("{PROGRAMME}/roster/apply")).await?;
    admin.hook("job").await?;
    stack.settle.settle(LIMIT).await?;
    admin.opens(PROGRAMME).await?;
    admin.browser.one("[data-testid='job'][data-state='done']").await?;
    Ok(())
}

async fn reveal(stack: &Stack, student: &Person<'_>) -> Result<String> {
    student.browser.one("[data-testid='grant'][data-state='invited']").await?;
    // The answer is held until the second press has come too.
    let held = stack.gate.hold("provider:POST /keys");
    let (sent, _) = tokio::join!(student.sends_twice("form[action='/my/cs-pilot/reveal']"), async {
        held.arrived().await;
        drop(held);
    });
    sent?;
    student.reads("Your key for CS pilot").await?;
    let shown = student.hook("key").await?;
    let key = shown.text().await?;
    ensure!(key.len() > 20 && shown.is_shown().await?, "the key is {} characters long", key.len());
    student.browser.one("#copy").await?.click().await?;
    student.browser.by_xpath("//*[@id='copied'][normalize-space()!='']").await?;
    // A listener registered after the page's own sees what is left of the key when the page is closed.
    let notes = "const key = document.querySelector('[data-testid=key]'); \
        addEventListener('pagehide', () => sessionStorage.setItem('left', JSON.stringify(key.textContent)))";
    student.browser.run(notes).await?;
    student.browser.one("main a[href='/my']").await?.click().await?;
    student.browser.one("[data-testid='grant'][data-state='live']").await?;
    student.looks().await?;
    let left = student.browser.run("return sessionStorage.getItem('left')").await?;
    ensure!(left == "\"\"", "the page was left with the key in it");
    ensure!(!student.browser.source().await?.contains(&key), "the key is shown again");
    student.browser.back().await?;
    ensure!(!student.browser.source().await?.contains(&key), "going back shows the key");
    Ok(key)
}

async fn spend(stack: &Stack, key: &str) -> Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    // 39,000 tokens of this model are 97.5 cents.
    let request = json!({
        "model": "anthropic/claude-opus-4.5",
        "max_tokens": 39_000,
        "messages": [{"role": "user", "content": "hello"}],
    });
    let completions = format!("{}/chat/completions", stack.ready.provider);
    let answer = http.post(completions).bearer_auth(key).json(&request).send().await?;
    ensure!(answer.status() == 200, "the provider answers {}", answer.status());
    let synced = http.post(format!("{}/sync", stack.ready.inbox)).send().await?;
    ensure!(synced.status() == 200, "the sync answers {}", synced.status());
    stack.settle.settle(LIMIT).await
}

async fn spending_is_seen(admin: &Person<'_>, student: &Person<'_>) -> Result<()> {
    student.opens("/my").await?;
    let spent = student.hook("grant").await?.attribute("data-spent-usd").await?.context("no spending")?;
    ensure!(spent.starts_with("0.97"), "the student reads {spent}");
    admin.opens(PROGRAMME).await?;
    for (hook, value) in [("spent", spent.as_str()), ("pot", "1.200000"), ("reserved", "1.000000")] {
        let usd = admin.hook(hook).await?.attribute("data-usd").await?;
        ensure!(usd.as_deref() == Some(value), "{hook} is {usd:?}");
    }
    Ok(())
}

/// Faculty are told, and sign in with the keyboard alone, by the code of the mail.
async fn alerts(driver: &Driver, stack: &Stack) -> Result<()> {
    let address = FACULTY[0];
    // One key has all of the pot, so there is an alert of that as well.
    let subjects = stack.ses.mails_to(address).into_iter().map(|mail| Contents::of(&mail.raw).subject);
    let subjects: Vec<String> = subjects.collect();
    ensure!(subjects.iter().any(|subject| subject.contains("81")), "{subjects:?}");
    let faculty = Person::at(driver, stack).await?;
    faculty.opens("/").await?;
    faculty.tabs_to("address").await?;
    faculty.browser.press(&format!("{address}{TAB}{ENTER}")).await?;
    faculty.reads("Look into your mail").await?;
    let code = line_of_link_mail(stack, address, "Code: ").await?;
    faculty.tabs_to("address").await?;
    faculty.browser.press(&format!("{address}{TAB}{}{TAB}{ENTER}", code.trim_start_matches("Code: "))).await?;
    faculty.reads("Programmes").await?;
    faculty.tabs_to("CS pilot").await?;
    faculty.browser.press(&ENTER.to_string()).await?;
    faculty.reads("CS pilot").await
}
