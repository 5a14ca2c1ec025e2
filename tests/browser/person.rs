//! A person at a browser on a phone: opens pages, fills forms, presses buttons. Every
//! page that is opened must fit the width, and the browser's console must stay silent.

use anyhow::{Context, Result, bail, ensure};
use bursar_tests::stack::Stack;

use crate::driver::{Browser, Driver, Element, PHONE, TAB};

/// The console's message on names in `Permissions-Policy` that only other browsers know.
const NAMES_MORE: &str = "Permissions-Policy header: Unrecognized feature";

pub(crate) struct Person<'a> {
    pub(crate) browser: Browser,
    stack: &'a Stack,
    /// Console messages that are part of what is tested.
    forgiven: Vec<&'static str>,
}

impl<'a> Person<'a> {
    pub(crate) async fn at(driver: &Driver, stack: &'a Stack) -> Result<Person<'a>> {
        Ok(Person { browser: driver.open(PHONE).await?, stack, forgiven: vec![NAMES_MORE] })
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
        ensure!(window == u64::from(PHONE) && wide <= window, "{address} is {wide} wide in a window of {window}");
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

    /// Double-clicks the button of this form, which must be one request.
    pub(crate) async fn sends_twice(&self, form: &str) -> Result<()> {
        let button = format!("{form} button[type='submit']");
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
}
