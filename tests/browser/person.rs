//! A person at a browser on a phone: opens pages, fills forms, presses buttons, reads mails in the inbox. Every
//! page that is opened must fit the width, and the browser's console must stay silent.

use anyhow::{Context, Result, bail, ensure};
use bursar_local::settle::LIMIT;
use bursar_tests::stack::Stack;

use crate::driver::{Browser, Driver, Element, Looks, PHONE, TAB};

/// The console's message on names in `Permissions-Policy` that only other browsers know.
const NAMES_MORE: &str = "Permissions-Policy header: Unrecognized feature";

pub(crate) struct Person<'a> {
    pub(crate) browser: Browser,
    stack: &'a Stack,
    looks: Looks,
    /// Console messages that are part of what is tested.
    forgiven: Vec<&'static str>,
}

impl<'a> Person<'a> {
    pub(crate) async fn at(driver: &Driver, stack: &'a Stack, scripts: bool) -> Result<Person<'a>> {
        let looks = Looks { scripts, ..PHONE };
        let browser = driver.open(looks).await?;
        Ok(Person { browser, stack, looks, forgiven: vec![NAMES_MORE] })
    }

    /// Another person with a new browser of this kind.
    pub(crate) async fn another(&self, driver: &Driver) -> Result<Person<'a>> {
        Person::at(driver, self.stack, self.looks.scripts).await
    }

    pub(crate) async fn opens(&self, path: &str) -> Result<()> {
        self.browser.go(&format!("{}{path}", self.stack.ready.web)).await?;
        self.looks().await
    }

    /// Waits for a page by its heading, and checks it.
    pub(crate) async fn reads(&self, heading: &str) -> Result<()> {
        self.browser.by_xpath(&format!("//h1[normalize-space()='{heading}']")).await?;
        self.looks().await
    }

    /// Permits this line in the console. Chrome logs every refused request, also those that a test makes on
    /// purpose.
    pub(crate) fn forgives(&mut self, line: &'static str) {
        self.forgiven.push(line);
    }

    pub(crate) async fn looks(&self) -> Result<()> {
        let widths = self.browser.run("return [document.scrollingElement.scrollWidth, window.innerWidth]").await?;
        let address = self.browser.address().await?;
        let (wide, window) = (widths[0].as_u64().context("no width")?, widths[1].as_u64().context("no width")?);
        ensure!(window == u64::from(PHONE.width) && wide <= window, "{address} is {wide} wide in a window of {window}");
        let said = self.browser.said().await?;
        let faults: Vec<_> =
            said.iter().filter(|line| !self.forgiven.iter().any(|known| line.contains(known))).collect();
        ensure!(faults.is_empty(), "{address}: the console says {faults:?}");
        Ok(())
    }

    /// The value of a field in the form with this action.
    pub(crate) async fn value(&self, action: &str, field: &str) -> Result<String> {
        let input = self.browser.one(&format!("form[action='{action}'] [name='{field}']")).await?;
        Ok(input.property("value").await?.as_str().context("no value")?.to_owned())
    }

    /// Types into a field of the form with this action.
    pub(crate) async fn types(&self, action: &str, field: &str, text: &str) -> Result<()> {
        let input = self.browser.one(&format!("form[action='{action}'] [name='{field}']")).await?;
        input.write(text).await
    }

    /// Presses the button of the form with this action.
    pub(crate) async fn sends(&self, action: &str) -> Result<()> {
        self.browser.one(&format!("form[action='{action}'] button[type='submit']")).await?.click().await
    }

    /// Double-clicks the button of this form. With scripts that is one request. Without, the browser drops the
    /// answer to the first request, so the button is pressed once there.
    pub(crate) async fn sends_twice(&self, form: &str) -> Result<()> {
        let button = format!("{form} button[type='submit']");
        if !self.looks.scripts {
            return self.browser.one(&button).await?.click().await;
        }
        self.browser.one(&button).await?;
        // Two clicks in one turn of the event loop would be one request anyway.
        let twice = format!(
            "const button = document.querySelector(\"{button}\"); button.click(); setTimeout(() => button.click(), 100)"
        );
        self.browser.run(&twice).await.map(drop)
    }

    pub(crate) async fn hook(&self, id: &str) -> Result<Element> {
        self.browser.one(&format!("[data-testid='{id}']")).await
    }

    pub(crate) async fn hooks(&self, id: &str) -> Result<Vec<Element>> {
        self.browser.all(&format!("[data-testid='{id}']")).await
    }

    /// Presses Tab until the focus is on the field with this id, or on the link with this text.
    pub(crate) async fn tabs_to(&self, there: &str) -> Result<()> {
        for _ in 0..20 {
            self.browser.press(&TAB.to_string()).await?;
            let focused = self.browser.focused().await?;
            if focused.attribute("id").await?.as_deref() == Some(there) || focused.text().await? == there {
                return Ok(());
            }
        }
        bail!("Tab does not lead to {there} at {}", self.browser.address().await?)
    }

    /// Opens the newest mail of a kind to an address, from the inbox's list.
    pub(crate) async fn opens_mail(&self, to: &str, kind: &str) -> Result<()> {
        self.stack.settle.settle(LIMIT).await?;
        self.browser.go(&self.stack.ready.inbox).await?;
        self.looks().await?;
        let mail = format!("//nav[@id='mails']//a[span[@class='to']='{to}'][span[@class='kind']='{kind}']");
        self.browser.by_xpath(&mail).await?.click().await?;
        self.browser.one("article").await?;
        self.looks().await
    }

    /// Clicks the link in the open mail, which opens in a window of its own.
    pub(crate) async fn clicks_link(&self) -> Result<()> {
        self.browser.enter_frame().await?;
        self.browser.one("a[href*='/c/']").await?.click().await?;
        self.browser.keep_newest_window().await?;
        self.browser.look(self.looks).await
    }

    /// The address of the link in the open mail.
    pub(crate) async fn copies_link(&self) -> Result<String> {
        self.browser.enter_frame().await?;
        let link = self.browser.one("a[href*='/c/']").await?.property("href").await?;
        Ok(link.as_str().context("no link")?.to_owned())
    }

    /// The code in the open mail.
    pub(crate) async fn copies_code(&self) -> Result<String> {
        self.browser.one("a[href$='as=text']").await?.click().await?;
        let text = self.browser.one("article .text").await?.text().await?;
        let code = text.lines().find_map(|line| line.trim().strip_prefix("Code: ")).context("no code")?;
        Ok(code.to_owned())
    }
}
