//! Pictures of the demonstration: the few of the README, and one of every page for work on the pages' design.

use std::path::Path;

use anyhow::{Context, Result};
use bursar_local::inbox::Contents;
use bursar_local::settle::LIMIT;
use bursar_tests::stack::{Left, Stack};

use crate::demonstration::{ADMIN, Demonstration, FACULTY, SEMINAR};
use crate::driver::{Browser, DESK, Driver, Looks, PHONE};
use crate::mails;

const WITH_A_KEY: &str = "with a key";
const PILOT: &str = "/console/programmes/cs-pilot";
pub(crate) async fn screenshots(driver: &Driver, into: &Path) -> Result<()> {
    let demonstration = Demonstration::build().await?;
    let done = screenshots_of(&demonstration.stack, driver, into).await;
    demonstration.stack.finish_after(done, &[Left::AnyMails]).await
}

async fn screenshots_of(stack: &Stack, driver: &Driver, into: &Path) -> Result<()> {
    let album = Album { into };
    std::fs::create_dir_all(into)?;

    let phone = driver.open(PHONE).await?;
    phone.go(&stack.ready.web).await?;
    album.keep("start", &phone.picture().await?)?;
    sign_in(stack, &phone, &who(stack, &phone, WITH_A_KEY).await?).await?;
    phone.one("[data-testid='grant'][data-state='live']").await?;
    album.keep("student", &phone.picture().await?)?;

    let desk = driver.open(DESK).await?;
    sign_in(stack, &desk, FACULTY).await?;
    desk.go(&format!("{}{PILOT}", stack.ready.web)).await?;
    let end =
        desk.run("return document.querySelector('.chart').closest('.card').getBoundingClientRect().bottom").await?;
    album.keep("overview", &desk.picture_above(DESK.width, end.as_f64().context("no chart")? + 16.0).await?)?;

    // Wide enough for the whole mail, and too narrow for the list beside it.
    phone.look(Looks { width: 720, ..PHONE }).await?;
    open_alert(stack, &phone).await?;
    album.keep("alert", &phone.picture().await?)?;
    Ok(())
}

pub(crate) async fn gallery(driver: &Driver, into: &Path) -> Result<()> {
    let demonstration = Demonstration::build().await?;
    let done = gallery_of(&demonstration.stack, driver, into).await;
    demonstration.stack.finish_after(done, &[Left::AnyMails]).await
}

async fn gallery_of(stack: &Stack, driver: &Driver, into: &Path) -> Result<()> {
    let album = Album { into };
    std::fs::create_dir_all(into)?;
    let (admin, student, visitor) = (driver.open(PHONE).await?, driver.open(PHONE).await?, driver.open(PHONE).await?);
    let web = |path: &str| format!("{}{path}", stack.ready.web);

    visitor.go(&web("/")).await?;
    album.keep_all("start", &visitor).await?;
    visitor.go(&web("/c/nothing")).await?;
    album.keep_all("link", &visitor).await?;
    visitor.one("main form button").await?.click().await?;
    album.keep_all("not-signed-in", &visitor).await?;
    visitor.go(&web("/nowhere")).await?;
    album.keep_all("404", &visitor).await?;
    visitor.go(&stack.ready.inbox).await?;
    album.keep_all("inbox", &visitor).await?;

    let invited = who(stack, &visitor, "has not pressed").await?;
    ask(stack, &student, &invited).await?;
    album.keep_all("asked", &student).await?;
    follow(stack, &student, &invited).await?;
    student.one("[data-testid='grant'][data-state='invited']").await?;
    album.keep_all("my-invited", &student).await?;
    student.one("form[action$='/reveal'] button").await?.click().await?;
    student.one("[data-testid='key']").await?;
    album.keep_all("key", &student).await?;
    sign_in(stack, &visitor, &who(stack, &visitor, WITH_A_KEY).await?).await?;
    album.keep_all("my", &visitor).await?;
    visitor.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })").await?;
    album.keep_all("my-open", &visitor).await?;

    sign_in(stack, &admin, ADMIN).await?;
    album.keep_all("console", &admin).await?;
    admin.go(&web(PILOT)).await?;
    album.keep_all("overview", &admin).await?;
    let roster = std::env::temp_dir().join(format!("bursar-roster-{}.csv", std::process::id()));
    std::fs::write(&roster, "email,name,office\nnew.person@example.edu,New Person,12\nnobody@,Nobody,13\n")?;
    let file = admin.one("#roster-file").await?;
    file.write(roster.to_str().context("a strange folder")?).await?;
    admin.one("form[action$='/roster'] button").await?.click().await?;
    admin.one("[data-testid='added']").await?;
    album.keep_all("preview", &admin).await?;
    std::fs::remove_file(&roster)?;
    admin.go(&web(&format!("{PILOT}/grants"))).await?;
    album.keep_all("grants", &admin).await?;
    admin.one("[data-testid='grant'] a").await?.click().await?;
    admin.one(".timeline").await?;
    album.keep_all("grant", &admin).await?;
    admin.go(&web(&format!("{SEMINAR}/alerts"))).await?;
    album.keep_all("alerts", &admin).await?;
    admin.go(&web(SEMINAR)).await?;
    album.keep_all("seminar", &admin).await?;
    admin.go(&web("/console/account")).await?;
    admin.one("[data-testid='balance']").await?;
    album.keep_all("account", &admin).await?;
    admin.go(&web(SEMINAR)).await?;
    admin.one("#edit > summary").await?.click().await?;
    album.keep_all("edit", &admin).await?;
    admin.go(&web(&format!("{SEMINAR}/groups"))).await?;
    album.keep_all("groups", &admin).await?;
    admin.go(&web("/console/tiers")).await?;
    album.keep_all("tiers", &admin).await?;
    admin.go(&web("/console/programmes/new")).await?;
    album.keep_all("new", &admin).await?;
    admin.one("[name='name']").await?.write("Reading course").await?;
    admin.one("[name='cap_usd']").await?.write("a lot").await?;
    // Otherwise the browser would not submit a form with empty fields.
    admin.run("document.querySelector('main form').noValidate = true").await?;
    admin.one("main form button").await?.click().await?;
    admin.one("[aria-invalid]").await?;
    album.keep_all("new-refused", &admin).await?;
    mails::provoke(stack).await?;
    for (number, ((kind, _), page)) in mails::one_of_each(stack).iter().enumerate() {
        admin.go(page).await?;
        album.keep_all(&format!("mail-{kind}-{number}"), &admin).await?;
    }
    Ok(())
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

    /// Saves a picture of the open page in each look.
    async fn keep_all(&self, name: &str, browser: &Browser) -> Result<()> {
        for (how, looks) in [
            ("phone", PHONE),
            ("phone-dark", Looks { dark: true, ..PHONE }),
            ("desk", DESK),
            ("desk-dark", Looks { dark: true, ..DESK }),
        ] {
            browser.look(looks).await?;
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
    let text = newest_mail(stack, address, "link").await?.1.text.context("the mail has no text")?;
    let link = text.lines().map(str::trim).find(|line| line.starts_with("http")).context("no line is a link")?;
    browser.go(link).await?;
    browser.one("main form button").await?.click().await?;
    browser.one("nav form[action='/sign-out']").await?;
    Ok(())
}

async fn open_alert(stack: &Stack, browser: &Browser) -> Result<()> {
    let (id, _) = newest_mail(stack, FACULTY, "alert").await?;
    browser.go(&format!("{}/read/{id}", stack.ready.inbox)).await?;
    browser.one("article").await?;
    Ok(())
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
