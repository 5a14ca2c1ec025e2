//! Every page in a real browser, on a phone and at a desk, light and dark: axe finds nothing, nothing is wider than the window, a hundred
//! rows are at most 70 kB. The pictures stay in `target/browser/pages`, to be looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bursar_core::store::Enrolment;
use bursar_tests::campus::{ADMIN, Campus, address};
use serde_json::{Value, json};

use crate::driver::{Browser, DESK, Driver, PHONE};
use crate::journey::sign_in;
use crate::pictures::{ASSISTANT, FACULTY, demonstration, keep, known_as};

const VISITS: &str = include_str!("pages.txt");
const MOST_BYTES: u64 = 70_000;
const PICTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/browser/pages");
/// What answers a link and is no page.
const NO_PAGES: [&str; 2] = [".csv", "/my/data"];

/// Sends a form without the browser's own checks, so that the page has to refuse it.
const SEND: &str = "
    const form = [...document.forms].find((form) => (form.getAttribute('action') ?? location.pathname) === action);
    let button;
    for (const [name, value] of typed) {
        const field = form.elements[name];
        const files = new DataTransfer();
        files.items.add(new File([value.replaceAll('/', '\\n')], 'roster.csv'));
        if (field.type === 'file') field.files = files.files;
        else if (field.type === 'submit') button = field;
        else field.value = value;
    }
    document.documentElement.dataset.sent = '';
    form.noValidate = true;
    form.requestSubmit(button);";

/// What axe finds, with all that is folded unfolded.
const JUDGE: &str = "
    document.querySelectorAll('details').forEach((details) => details.open = true);
    const runOnly = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
    const why = (node) => [...node.any, ...node.all, ...node.none].map((check) => check.message).join(' ');
    const told = (rule) => rule.nodes.map((node) => `${rule.id} at ${node.target}: ${why(node)}`);
    return axe.run({runOnly, resultTypes: ['violations']}).then((found) => found.violations.flatMap(told))";

const READ: &str = "
    const refused = document.querySelector('main [role=alert]') !== null;
    const links = [...document.querySelectorAll('a[href^=\"/\"]')].map((link) => link.pathname);
    return [performance.getEntriesByType('navigation')[0].decodedBodySize, refused, location.pathname, links]";

/// What reaches beyond the window, but within what scrolls by itself.
const TOO_WIDE: &str = "
    if (document.scrollingElement.scrollWidth <= innerWidth) return [];
    const isOut = (element) => !element.closest('.scroll') && element.getBoundingClientRect().right > innerWidth;
    return [...document.querySelectorAll('body *')].filter(isOut).map((element) => element.outerHTML.slice(0, 100))";

pub(crate) async fn are_good(driver: &Driver, axe: &Path) {
    let (_place, stack) = demonstration().await;
    let mut campus = Campus::over(stack);
    let mut browser = driver.open(DESK).await;
    let new = known_as(&campus, &browser, "has not pressed").await;
    let student = known_as(&campus, &browser, "with a key").await;
    let grants = campus.table.list(Enrolment::of_address(address(&student).matched())).await.unwrap();
    large_course(&mut campus).await;
    let hash = (0..105).map(|number| campus.foreign(&format!("course-{number}"))).last().unwrap();
    campus.sync().await;
    let visits = VISITS.replace("{grant}", grants[0].grant.as_str()).replace("{hash}", &hash);
    let visits = visits.replace("{address}", &student).replace("{new}", &new);
    let axe = std::fs::read_to_string(axe).unwrap();
    let _ = std::fs::remove_dir_all(PICTURES);
    std::fs::create_dir_all(PICTURES).unwrap();

    let mut reader = "nobody";
    let students = [("new", &*new), ("student", &*student)];
    let staff = [("assistant", ASSISTANT), ("faculty", FACULTY), ("admin", ADMIN)];
    let people: BTreeMap<&str, &str> = students.into_iter().chain(staff).collect();
    let (mut seen, mut linked, mut wrong) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for line in visits.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut columns = line.split("  ").filter(|column| !column.is_empty()).map(str::trim_start);
        let [who, name, path] = [(); 3].map(|()| columns.next().unwrap());
        if who != reader {
            browser = driver.open(DESK).await;
            sign_in(&campus, &browser, people[who]).await;
            reader = who;
        }
        if path != "-" {
            browser.go(&format!("{}{path}", campus.ready.web)).await;
        }
        if let Some(action) = columns.next() {
            let typed: Vec<(&str, &str)> = columns.map(|typed| typed.split_once('=').unwrap()).collect();
            fill_and_send(&browser, action, &typed).await;
        }
        let read = browser.run(READ).await;
        let bytes = read[0].as_u64().unwrap();
        eprintln!("{name}: {bytes} bytes");
        if bytes > MOST_BYTES {
            wrong.push(format!("{name} has {bytes} bytes"));
        }
        if read[1] != name.ends_with("refused") {
            wrong.push(format!("{name} is at {}, where something is refused: {}", read[2], read[1]));
        }
        seen.insert(shape(&read[2]));
        linked.extend(read[3].as_array().unwrap().iter().map(shape));
        wrong.extend(judged(&browser, name, &axe).await);
    }
    linked.retain(|path| !seen.contains(path) && !NO_PAGES.iter().any(|end| path.ends_with(end)));
    wrong.extend(linked.iter().map(|path| format!("{path} is linked and not in the list")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    campus.finish().await;
}

/// Fills the form with this action, sends it, by the button that is named if one is, and waits for the answer.
pub(crate) async fn fill_and_send(browser: &Browser, action: &str, typed: &[(&str, &str)]) {
    browser.run(&format!("const action = {}, typed = {};{SEND}", json!(action), json!(typed))).await;
    browser.one("html:not([data-sent])").await;
}

/// A programme with more people than one page shows, all with a key. Their addresses are as long as others' with their names.
async fn large_course(campus: &mut Campus) {
    campus.programme("Large course", |_| {}).await;
    for number in 0..105 {
        let name = format!("a.participant.with.a.name.{number}");
        campus.student_in(&name, Some(&format!("Section {}", number % 4))).await;
    }
    campus.keys().await;
    for key in campus.provider().keys().iter().filter(|key| key.name.contains("/large-course/")) {
        campus.spend_on(&key.hash, "1.25");
    }
}

/// What is wrong with the open page; its pictures are taken before anything is unfolded.
async fn judged(browser: &Browser, name: &str, axe: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for width in [PHONE, DESK] {
        browser.shows(width, "light").await;
        keep(Path::new(PICTURES), &format!("{name} {width}"), browser, None).await;
    }
    browser.run(axe).await;
    for (width, scheme) in [(PHONE, "light"), (PHONE, "dark"), (DESK, "light")] {
        browser.shows(width, scheme).await;
        let found = browser.run(JUDGE).await;
        let found = found.as_array().unwrap().iter().filter_map(Value::as_str);
        wrong.extend(found.map(|found| format!("{name} at {width}, {scheme}: {found}")));
        let wide = browser.run(TOO_WIDE).await;
        if wide != json!([]) {
            wrong.push(format!("{name} at {width} is wider than the window: {wide}"));
        }
    }
    wrong
}

/// A path without what differs from programme to programme and from grant to grant.
fn shape(path: &Value) -> String {
    let parts: Vec<&str> = path.as_str().unwrap().split('/').collect();
    let names_one = |before: &str, part: &str| {
        (before == "programmes" && part != "new") || (before == "grants" && part != "bulk") || before == "erased"
    };
    let shown = (0..parts.len()).map(|at| if at > 0 && names_one(parts[at - 1], parts[at]) { "*" } else { parts[at] });
    shown.collect::<Vec<_>>().join("/")
}
