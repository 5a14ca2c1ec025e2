//! Every kind of mail, rendered as in a mail program on a phone and on a desk. Nothing is wider than the window
//! or too small to read. Each picture is there with an alternative text, and one link leads on.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use bursar_local::inbox::Contents;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::Nano;
use bursar_local::settle::LIMIT;
use bursar_tests::office::session_cookie;
use bursar_tests::stack::{Left, Stack};
use bursar_tests::visitor::Visitor;
use serde::Deserialize;
use serde_json::json;

use crate::demonstration::{Demonstration, FACULTY, SEMINAR};
use crate::driver::{Browser, DESK, Driver, PHONE};

/// The kinds of mail that must be among those rendered.
const KINDS: [&str; 9] =
    ["link", "roster", "key-shown", "key-leaked", "alert", "digest", "student", "request", "account"];
/// The script that measures the page once its pictures are decoded.
const MEASURE: &str = "
    const shown = [...document.querySelectorAll('td, th, p, a, h1, h2')].filter((element) => element.innerText?.trim());
    return Promise.all([...document.images].map((image) => image.decode().catch(() => {}))).then(() => ({
        width: document.scrollingElement.scrollWidth,
        window: window.innerWidth,
        smallest: Math.min(...shown.map((element) => parseFloat(getComputedStyle(element).fontSize))),
        pictures: [...document.images].map((image) => ({ width: image.naturalWidth, words: image.alt })),
        links: [...document.links].map((link) => link.href),
        styles: [...document.querySelectorAll('[style]')].map((element) => element.getAttribute('style')).join(' '),
    }))";
/// CSS that a mail program with the engine of a word processor does not support.
const UNKNOWN_TO_OUTLOOK: [&str; 5] = ["flex", "grid", "position:", "float:", "calc("];

#[derive(Debug, Deserialize)]
struct Rendered {
    width: u32,
    window: u32,
    smallest: f32,
    pictures: Vec<Picture>,
    links: Vec<String>,
    styles: String,
}

#[derive(Debug, Deserialize)]
struct Picture {
    width: u32,
    words: String,
}

pub(crate) async fn read_well(driver: &Driver) -> Result<()> {
    let demonstration = Demonstration::build().await?;
    let done = all_read_well(&demonstration.stack, driver).await;
    demonstration.stack.finish_after(done, &[Left::AnyMails]).await
}

async fn all_read_well(stack: &Stack, driver: &Driver) -> Result<()> {
    provoke(stack).await?;
    let browser = driver.open(PHONE).await?;
    let mails = one_of_each(stack);
    for kind in KINDS {
        ensure!(mails.keys().any(|(known, _)| known == kind), "the demonstration brought no mail of kind {kind}");
    }
    for ((kind, subject), page) in &mails {
        for looks in [PHONE, DESK] {
            browser.look(looks).await?;
            let look = look_at(&browser, page, &stack.ready.web).await;
            look.with_context(|| format!("{kind}, \"{subject}\", in a window of {}", looks.width))?;
        }
    }
    eprintln!("browser: {} mails read well on a phone and on a desk", mails.len());
    Ok(())
}

/// Causes the kinds of mail that the demonstration lacks: faculty ask for a larger pot, and the account's
/// balance is low.
pub(crate) async fn provoke(stack: &Stack) -> Result<()> {
    let faculty = Visitor::new(&stack.ready.web);
    let cookie = session_cookie(stack, FACULTY).await;
    let (name, value) = cookie.split_once('=').context("no cookie")?;
    faculty.set_cookie(name, value);
    let page = faculty.get(SEMINAR).await.expect(200);
    faculty.submit(&page, SEMINAR, &[("pot_usd", "200")]).await.expect(303);
    stack.provider.as_ref().context("no provider")?.set_credits(Nano::usd(1))?;
    stack.invoke.invoke(FunctionName::UsageSync, json!({})).await?;
    stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": "watch"})).await?;
    Ok(stack.settle.settle(LIMIT).await?)
}

/// The addresses of the newest mail of each kind and subject in the inbox; numbers in subjects do not count.
pub(crate) fn one_of_each(stack: &Stack) -> BTreeMap<(String, String), String> {
    let mails = stack.ses.mails().into_iter().filter_map(|mail| {
        let Contents { kind, subject, .. } = Contents::of(&mail.raw);
        let subject = subject.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        Some(((kind?, subject), format!("{}/read/{}/html", stack.ready.inbox, mail.id)))
    });
    mails.collect()
}

async fn look_at(browser: &Browser, page: &str, web: &str) -> Result<()> {
    browser.go(page).await?;
    let rendered: Rendered = serde_json::from_value(browser.run(MEASURE).await?)?;
    let Rendered { width, window, smallest, pictures, links, styles } = &rendered;
    ensure!(width <= window, "it is {width} wide");
    ensure!(*smallest >= 13.0, "some of it is {smallest} px small");
    for Picture { width, words } in pictures {
        ensure!(*width > 0, "a picture is not there");
        ensure!(words.chars().any(|letter| letter.is_ascii_digit()), "a picture says no number: {words}");
    }
    ensure!(links.iter().filter(|link| link.starts_with(web)).count() == 1, "its links: {links:?}");
    for word in UNKNOWN_TO_OUTLOOK {
        ensure!(!styles.contains(word), "a style says {word}");
    }
    Ok(())
}
