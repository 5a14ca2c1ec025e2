//! What only a browser shows of a student's way to a key: scripts, the clipboard, what stays of the
//! key.

use bursar_local::inbox::Contents;
use bursar_local::settle::LIMIT;
use bursar_tests::campus::Campus;
use bursar_tests::stack::Stack;

use crate::driver::{Browser, Driver, PHONE};

pub(crate) async fn student_gets_a_key(driver: &Driver, campus: &Campus) {
    let (student, scanner) = (driver.open(PHONE).await, driver.open(PHONE).await);
    ask(&campus.stack, &student, "stu@example.edu").await;
    let link = line_of_link_mail(&campus.stack, "stu@example.edu", "http").await;
    // A mail scanner, which opens links, runs scripts and presses buttons, does not use up a link.
    for _ in 0..2 {
        scanner.go(&link).await;
        scanner.reads("Sign in", "status of 403").await;
        scanner.one("main form button").await.click().await;
        scanner
            .reads("This link did not sign you in", "status of 403")
            .await;
    }
    student.go(&link).await;
    student.reads("Sign in", "").await;
    press_twice(&student, "main form").await;
    student.reads("Your LLM credit", "").await;
    // The answer is held until the second press has come too.
    let held = campus.gate.hold("provider:POST /keys");
    tokio::join!(
        press_twice(&student, "form[action='/my/cs-pilot/reveal']"),
        async {
            held.arrived().await;
            drop(held);
        }
    );
    student.reads("Your key for CS pilot", "").await;
    let key = student.one("[data-testid='key']").await.text().await;
    assert!(key.len() > 20, "the key is {} characters long", key.len());
    assert_eq!(campus.keys_of("stu").len(), 1);
    student.one(".key + button").await.click().await;
    student.one("#copied:not(:empty)").await;
    // A listener registered after the page's own sees what is left of the key when the page is
    // closed.
    let notes = "const key = document.querySelector('[data-testid=key]'); \
        addEventListener('pagehide', () => sessionStorage.setItem('left', JSON.stringify(key.textContent)))";
    student.run(notes).await;
    student.one("main a[href='/my']").await.click().await;
    student
        .one("[data-testid='grant'][data-state='live']")
        .await;
    assert_eq!(
        student.run("return sessionStorage.getItem('left')").await,
        "\"\"",
        "the page was left with the key in it"
    );
    for _ in 0..2 {
        let source = student
            .run("return document.documentElement.outerHTML")
            .await;
        assert!(
            !source.as_str().unwrap().contains(&key),
            "{} shows the key again",
            student.address().await
        );
        student.back().await;
    }
    student.go(&format!("{}/my", campus.ready.web)).await;
    student.sends("/sign-out").await;
    student.one("form[action='/link']").await;
}

/// A link opened from a page of another site, as webmail is, shows the button alone in the browser
/// that asked, with scripts and without.
pub(crate) async fn links_open_from_webmail(driver: &Driver, campus: &Campus) {
    for has_scripts in [true, false] {
        let browser = driver.open(PHONE).await;
        if !has_scripts {
            browser.forbid_scripts().await;
        }
        browser.go(&campus.ready.web).await;
        browser.types("/link", "address", "stu@example.edu").await;
        browser.sends("/link").await;
        browser.one("form[action='/code']").await;
        let link = line_of_link_mail(&campus.stack, "stu@example.edu", "http").await;
        browser
            .go(&format!("data:text/html,<a href='{link}'>Sign in</a>"))
            .await;
        browser.one("a").await.click().await;
        browser.one("main form button").await;
        let page = browser.one("main").await.text().await;
        assert_eq!(
            page, "Sign in\nPress the button to sign in.\nSign in",
            "{has_scripts}"
        );
        browser.one("main form button").await.click().await;
        browser.one("nav form[action='/sign-out']").await;
        campus.minutes(2);
    }
}

/// Double-clicks the button of this form, which must be one request.
async fn press_twice(browser: &Browser, form: &str) {
    let button = format!("{form} button[type='submit']");
    browser.one(&button).await;
    // Two clicks in one turn of the event loop would be one request anyway.
    let twice = format!(
        "const button = document.querySelector(\"{button}\"); button.click(); setTimeout(() => button.click(), 100)"
    );
    browser.run(&twice).await;
}

async fn ask(stack: &Stack, browser: &Browser, address: &str) {
    browser.go(&stack.ready.web).await;
    browser.types("/link", "address", address).await;
    browser.sends("/link").await;
    browser.reads("Check your email", "").await;
}

pub(crate) async fn sign_in(stack: &Stack, browser: &Browser, address: &str) {
    ask(stack, browser, address).await;
    browser
        .go(&line_of_link_mail(stack, address, "http").await)
        .await;
    browser.one("main form button").await.click().await;
    browser.one("nav form[action='/sign-out']").await;
}

/// The line of the newest link mail that begins so.
pub(crate) async fn line_of_link_mail(stack: &Stack, address: &str, begins: &str) -> String {
    let (_, mail) = newest_mail(stack, address, "link").await;
    let text = mail.text.unwrap();
    text.lines()
        .map(str::trim)
        .find(|line| line.starts_with(begins))
        .unwrap()
        .to_owned()
}

/// The newest mail of this kind, with its id.
pub(crate) async fn newest_mail(stack: &Stack, address: &str, kind: &str) -> (String, Contents) {
    stack.settle.settle(LIMIT).await.unwrap();
    let mails = stack
        .ses
        .mails_to(address)
        .into_iter()
        .rev()
        .map(|mail| (mail.id, Contents::parse(&mail.raw)));
    mails
        .into_iter()
        .find(|(_, contents)| contents.kind.as_deref() == Some(kind))
        .unwrap()
}
