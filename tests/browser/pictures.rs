//! Pictures of the demonstration: the few of the README, and a walk through every page.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bursar_local::inbox::Contents;
use bursar_local::settle::LIMIT;
use bursar_tests::stack::Stack;

use crate::demonstration::{ADMIN, Demonstration, FACULTY};
use crate::driver::{Browser, DESK, Driver, PHONE};

const WITH_A_KEY: &str = "with a key";
const PILOT: &str = "/console/programmes/cs-pilot";
const CHOOSE_A_ROSTER: &str = "const chosen = new DataTransfer(); chosen.items.add(new File(['email\\nnew@example.edu'], 'r.csv')); \
    const field = document.getElementById('roster-file'); field.files = chosen.files; field.form.requestSubmit()";

pub(crate) async fn screenshots(driver: &Driver, into: &Path) -> Result<()> {
    let demonstration = Demonstration::build().await?;
    let done = screenshots_of(&demonstration.stack, driver, into).await;
    demonstration.stack.finish_after(done).await
}

async fn screenshots_of(stack: &Stack, driver: &Driver, into: &Path) -> Result<()> {
    let album = Album { into };
    std::fs::create_dir_all(into)?;

    let phone = driver.open(PHONE).await?;
    sign_in(stack, &phone, &who(stack, &phone, WITH_A_KEY).await?).await?;
    phone.one("[data-testid='grant'][data-state='live']").await?;
    album.keep("student", &phone.picture().await?)?;

    let desk = driver.open(DESK).await?;
    sign_in(stack, &desk, FACULTY).await?;
    desk.go(&format!("{}{PILOT}", stack.ready.web)).await?;
    let end =
        desk.run("return document.querySelector('.chart').closest('.card').getBoundingClientRect().bottom").await?;
    album.keep("overview", &desk.picture_above(DESK, end.as_f64().context("no chart")? + 16.0).await?)?;

    phone.look(720).await?;
    let (id, _) = newest_mail(stack, FACULTY, "alert").await?;
    phone.go(&format!("{}/read/{id}/html", stack.ready.inbox)).await?;
    album.keep("alert", &phone.picture().await?)?;
    Ok(())
}

/// Opens every page once, at two widths, and keeps a picture of each.
pub(crate) async fn walk(driver: &Driver, into: &Path) -> Result<()> {
    let demonstration = Demonstration::build().await?;
    let done = walk_of(&demonstration.stack, driver, into).await;
    demonstration.stack.finish_after(done).await
}

async fn walk_of(stack: &Stack, driver: &Driver, into: &Path) -> Result<()> {
    let album = Album { into };
    std::fs::create_dir_all(into)?;
    let (admin, student, visitor) = (driver.open(PHONE).await?, driver.open(PHONE).await?, driver.open(PHONE).await?);
    let web = |path: &str| format!("{}{path}", stack.ready.web);

    for (name, path) in [
        ("start", web("/")),
        ("link", web("/c/nothing")),
        ("404", web("/nowhere")),
        ("inbox", stack.ready.inbox.clone()),
    ] {
        visitor.go(&path).await?;
        album.keep_both(name, &visitor).await?;
    }
    let invited = who(stack, &visitor, "has not pressed").await?;
    ask(stack, &student, &invited).await?;
    album.keep_both("asked", &student).await?;
    follow(stack, &student, &invited).await?;
    album.keep_both("my-invited", &student).await?;
    student.one("form[action$='/reveal'] button").await?.click().await?;
    student.one("[data-testid='key']").await?;
    album.keep_both("key", &student).await?;
    student.go(&web("/my")).await?;
    student.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })").await?;
    album.keep_both("my", &student).await?;
    student.go(&web("/my/help")).await?;
    album.keep_both("help", &student).await?;

    sign_in(stack, &admin, ADMIN).await?;
    let pages = ["", "/grants", "/groups", "/alerts", "/report", "/closeout"].map(|page| format!("{PILOT}{page}"));
    let others = ["", "/programmes/new", "/tiers", "/report", "/account/statement", "/account"]
        .map(|page| format!("/console{page}"));
    for path in pages.iter().chain(&others) {
        admin.go(&web(path)).await?;
        admin.one("main h1").await?;
        album.keep_both(&path.trim_start_matches('/').replace('/', "-"), &admin).await?;
    }
    admin.run("document.querySelector(\"[name='hash'][form='assign']\").click()").await?;
    admin.one("[data-testid='assign-key']").await?;
    album.keep_both("assign", &admin).await?;
    admin.go(&web(PILOT)).await?;
    admin.run(CHOOSE_A_ROSTER).await?;
    admin.one("form[action$='/roster/apply'] button").await?;
    album.keep_both("roster", &admin).await?;
    admin.go(&web(&format!("{PILOT}/grants"))).await?;
    admin.one("[data-testid='grant'] a").await?.click().await?;
    admin.one(".timeline").await?;
    album.keep_both("grant", &admin).await?;
    let (id, _) = newest_mail(stack, FACULTY, "alert").await?;
    admin.go(&format!("{}/read/{id}/html", stack.ready.inbox)).await?;
    album.keep_both("mail", &admin).await
}

/// A folder of pictures.
struct Album<'a> {
    into: &'a Path,
}

impl Album<'_> {
    fn keep(&self, name: &str, picture: &[u8]) -> Result<()> {
        let file = self.into.join(format!("{name}.png"));
        std::fs::write(&file, picture)?;
        eprintln!("{} ({} kB)", file.display(), picture.len().div_ceil(1000));
        Ok(())
    }

    /// Saves a picture of the open page at each width, in which it must fit.
    async fn keep_both(&self, name: &str, browser: &Browser) -> Result<()> {
        for (how, width) in [("phone", PHONE), ("desk", DESK)] {
            browser.look(width).await?;
            let wide = browser.run("return document.scrollingElement.scrollWidth").await?;
            ensure!(
                wide.as_u64().is_some_and(|wide| wide <= width.into()),
                "{name} is {wide} wide in a window of {width}"
            );
            self.keep(&format!("{name}-{how}"), &browser.picture().await?)?;
        }
        Ok(())
    }
}

async fn sign_in(stack: &Stack, browser: &Browser, address: &str) -> Result<()> {
    ask(stack, browser, address).await?;
    follow(stack, browser, address).await
}

async fn ask(stack: &Stack, browser: &Browser, address: &str) -> Result<()> {
    browser.go(&stack.ready.web).await?;
    browser.one("[name='address']").await?.write(address).await?;
    browser.one("form[action='/link'] button").await?.click().await?;
    browser.one("[name='code']").await?;
    Ok(())
}

async fn follow(stack: &Stack, browser: &Browser, address: &str) -> Result<()> {
    browser.go(&line_of_link_mail(stack, address, "http").await?).await?;
    browser.one("main form button").await?.click().await?;
    browser.one("nav form[action='/sign-out']").await?;
    Ok(())
}

/// The line of the newest link mail that begins so.
pub(crate) async fn line_of_link_mail(stack: &Stack, address: &str, begins: &str) -> Result<String> {
    let text = newest_mail(stack, address, "link").await?.1.text.context("the mail has no text")?;
    let line = text.lines().map(str::trim).find(|line| line.starts_with(begins));
    Ok(line.with_context(|| format!("no line begins with {begins}"))?.to_owned())
}

async fn newest_mail(stack: &Stack, address: &str, kind: &str) -> Result<(String, Contents)> {
    stack.settle.settle(LIMIT).await?;
    let mails = stack.ses.mails();
    let mut to_them = mails.iter().rev().filter(|mail| mail.to.iter().any(|to| to == address));
    let found = to_them.find_map(|mail| {
        let contents = Contents::of(&mail.raw);
        (contents.kind.as_deref() == Some(kind)).then(|| (mail.id.clone(), contents))
    });
    found.with_context(|| format!("no mail {kind} came to {address}"))
}

/// The address of the person whom the inbox describes in these words.
async fn who(stack: &Stack, browser: &Browser, what: &str) -> Result<String> {
    browser.go(&stack.ready.inbox).await?;
    let address = format!("//dt[following-sibling::dd[1][contains(., '{what}')]]");
    browser.by_xpath(&address).await?.text().await
}
