//! The pictures of the README, from the demonstration.

use std::path::Path;

use bursar_core::clock::Clock;
use bursar_core::domain::values::address::EmailAddress;
use bursar_local::demo;
use bursar_local::folder::{Folder, Kind};
use bursar_local::stack::{Options, listen, origin_of};
use bursar_tests::aws;
use bursar_tests::campus::ADMIN;
use bursar_tests::stack::Stack;
use tempfile::TempDir;

use crate::driver::{Browser, DESK, Driver, PHONE};
use crate::journey::{newest_mail, sign_in};
use crate::pages::fill_and_send;

pub(crate) const FACULTY: &str = "grace.hopper@example.edu";
pub(crate) const ASSISTANT: &str = "edsger.dijkstra@example.edu";

const ROSTER: &str = "/console/programmes/cs-pilot/roster";
/// A registrar's list, with "/" at the ends of its lines.
const FILE: &str = "email,name,group,id/new.student@example.edu,Niklaus Wirth,Lab A,s901/nobody,No Address,Lab B,s902";

pub(crate) async fn screenshots(driver: &Driver, into: &Path) {
    let (_place, stack) = demonstration().await;
    std::fs::create_dir_all(into).unwrap();

    let phone = driver.open(PHONE).await;
    sign_in(
        &stack,
        &phone,
        &known_as(&stack, &phone, "students with a key").await,
    )
    .await;
    phone.one("[data-testid='grant'][data-state='live']").await;
    keep(into, "student", &phone, None).await;

    let desk = driver.open(DESK).await;
    sign_in(&stack, &desk, FACULTY).await;
    desk.go(&format!("{}/console/programmes/cs-pilot", stack.ready.web))
        .await;
    let end = desk.run("return document.querySelector('.chart').closest('.card').getBoundingClientRect().bottom").await;
    keep(into, "overview", &desk, end.as_f64().map(|end| end + 16.0)).await;

    let roster = format!("{}{ROSTER}", stack.ready.web);
    desk.go(&roster).await;
    fill_and_send(&desk, ROSTER, &[("mode", "replace"), ("file", FILE)]).await;
    keep(into, "roster", &desk, None).await;
    desk.go(&roster).await;
    fill_and_send(&desk, &format!("{ROSTER}/token"), &[("act", "make")]).await;
    let token = desk.one("[data-testid='token']").await.text().await;
    let put = aws::http().put(&roster).bearer_auth(token);
    let put = put
        .header("content-type", "text/csv")
        .body(FILE.replace('/', "\n"))
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), 202);

    phone.shows(720, "light").await;
    for (kind, height) in [("alert", None), ("import", Some(560.0))] {
        let (id, _) = newest_mail(&stack, FACULTY, kind).await;
        phone
            .go(&format!("{}/read/{id}/html", stack.ready.inbox))
            .await;
        keep(into, kind, &phone, height).await;
    }

    let new = known_as(&stack, &phone, "students who have not claimed").await;
    let desk = driver.open(DESK).await;
    sign_in(&stack, &desk, ADMIN).await;
    desk.go(&format!(
        "{}/console/people/erase?email={new}",
        stack.ready.web
    ))
    .await;
    fill_and_send(&desk, "/console/people/erase", &[("email", &new)]).await;
    desk.one("[data-testid='job'][data-state='done']").await;
    keep(into, "receipt", &desk, None).await;
    stack.finish().await;
}

/// A stack with the story of the demonstration, in a folder of its own.
pub(crate) async fn demonstration() -> (TempDir, Stack) {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::open(place.path(), Kind::Demonstration).unwrap();
    let web = listen(0).await.unwrap();
    let (origin, admins) = (
        origin_of(&web).unwrap(),
        vec![EmailAddress::parse("admin@example.edu").unwrap()],
    );
    let say = |how_far| eprintln!("demonstration: {how_far}");
    demo::build(&folder, &origin, &admins, &Clock::system(), say)
        .await
        .unwrap();
    let options = Options {
        files: Some(folder.files()),
        origin: Some(origin),
        ..Options::new(web, admins)
    };
    let stack = Stack::start(options).await;
    (place, stack)
}

/// The address of the first of those in CS pilot whom the inbox lists under this role.
pub(crate) async fn known_as(stack: &Stack, browser: &Browser, role: &str) -> String {
    browser.go(&stack.ready.inbox).await;
    let listed = format!("//dt[.='CS pilot']/following-sibling::dd[starts-with(., '{role}')]/a");
    browser
        .run(&format!(
            "return document.evaluate(\"{listed}\", document, null, 2).stringValue"
        ))
        .await
        .as_str()
        .unwrap()
        .to_owned()
}

pub(crate) async fn keep(into: &Path, name: &str, browser: &Browser, height: Option<f64>) {
    let (file, picture) = (
        into.join(format!("{name}.png")),
        browser.picture(height).await,
    );
    std::fs::write(&file, &picture).unwrap();
    eprintln!("{} ({} kB)", file.display(), picture.len().div_ceil(1000));
}
