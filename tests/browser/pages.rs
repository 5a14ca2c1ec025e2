//! Every page in a real browser, on a phone and at a desk, light and dark: axe finds nothing,
//! nothing is wider than the window, a hundred rows, each with a box to tick, are at most 80 kB,
//! and neither pages nor mails speak in words of the code. The pictures stay in
//! `target/browser/pages`, to be looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bursar_core::config::SignOnRequired;
use bursar_core::domain::grant::HoldKind;
use bursar_core::domain::values::id::GrantId;
use bursar_core::store::Enrolment;
use bursar_local::inbox::Contents;
use bursar_local::sign_on::Lie;
use bursar_local::stack::SignOnBy;
use bursar_tests::campus::{ADMIN, Campus, address};
use bursar_tests::stack::Setup;
use serde_json::{Value, json};

use crate::driver::{Browser, DESK, Driver, PHONE};
use crate::journey::sign_in;
use crate::pictures::{ASSISTANT, FACULTY, demonstration, keep, known_as};
use crate::sign_on::enrol;

const VISITS: &str = include_str!("pages.txt");
/// A desk's window at four times its size.
const NARROWEST: u32 = 320;
const PAUSED: &str = "paused@example.edu";
const MOST_BYTES: u64 = 80_000;
const PICTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/browser/pages");
/// What answers a link and is no page.
const NO_PAGES: [&str; 4] = [".csv", ".txt", "/my/data", KEPT_FILE];
/// A kept roster file is the page of its preview, which is walked as the answer to an upload.
const KEPT_FILE: &str = "/roster/*";

/// Words of the code and of earlier days for which people have better ones.
const UNWANTED: &[&str] = &[
    "anew",
    "claim window",
    "foreign",
    "forsaken",
    "grant",
    "guardrail",
    "held for keys",
    "implied",
    "mend",
    "mended",
    "minting",
    "opening",
    "orphan",
    "owed",
    "pot",
    "pseudonym",
    "reading",
    "reserved",
    "residual",
    "revoked",
    "roster mail",
    "see to",
    "somebody",
    "sync",
    "the provider",
    "this window",
    "tier",
    "whoever",
    "whom",
];

/// Whom the provider does not lead back, so that the page which leads there stays.
const KEPT: &str = "sign-on kept";

/// What a page must say, in its column.
const SEES: &str = "sees ";

/// Sends a form without the browser's own checks, so that the page has to refuse it.
const SEND: &str = "
    const goes = (form) => form.getAttribute('action') ?? location.pathname;
    const isMeant = (form) => action.endsWith('*') ? goes(form).startsWith(action.slice(0, -1)) : goes(form) === action;
    const form = [...document.forms].find((form) => isMeant(form) && typed.every(([name]) => form.elements[name]));
    let button;
    for (const [name, value] of typed) {
        const named = form.elements[name];
        const field = named instanceof RadioNodeList ? [...named].find((one) => one.value === value) : named;
        const files = new DataTransfer();
        files.items.add(new File([value.replaceAll('/', '\\n')], 'roster.csv'));
        if (field.type === 'file') field.files = files.files;
        else if (field.type === 'submit') button = field;
        else if (field.type === 'checkbox') field.checked = true;
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
    const bytes = performance.getEntriesByType('navigation')[0].decodedBodySize;
    return [bytes, refused, location.pathname, links, document.body.innerText]";

/// What the page says itself: code, and what it quotes of OpenRouter's answers, is in the words of
/// others.
const SAID: &str = "
    document.querySelectorAll('code, pre, q').forEach((quoted) => quoted.hidden = true);
    return document.body.innerText";

/// What reaches beyond the window, but within what scrolls by itself.
const TOO_WIDE: &str = "
    if (document.scrollingElement.scrollWidth <= innerWidth) return [];
    const isOut = (element) => !element.closest('.scroll') && element.getBoundingClientRect().right > innerWidth;
    return [...document.querySelectorAll('body *')].filter(isOut).map((element) => element.outerHTML.slice(0, 100))";

pub(crate) async fn are_good(driver: &Driver, axe: &Path) {
    let (_place, stack) = demonstration().await;
    let mut campus = Campus::over(stack);
    let nobody = driver.open(DESK).await;
    let new = known_as(&campus, &nobody, "students who have not claimed").await;
    let student = known_as(&campus, &nobody, "students with a key").await;
    let grant_of = async |of: &str| {
        campus
            .table
            .list(Enrolment::of_address(address(of).matched()))
            .await
            .unwrap()
            .remove(0)
            .grant
    };
    let (new_grant, grant) = (grant_of(&new).await, grant_of(&student).await);
    let paused = course_with_a_pause(&mut campus).await;
    large_course(&mut campus).await;
    let hash = (0..105)
        .map(|number| campus.foreign(&format!("course-{number}")))
        .last()
        .unwrap();
    campus.sync().await;
    let with_sign_on = with_sign_on().await;
    let visits = VISITS
        .replace("{grant}", grant.as_str())
        .replace("{new_grant}", new_grant.as_str());
    let visits = visits
        .replace("{address}", &student)
        .replace("{new}", &new)
        .replace("{hash}", &hash)
        .replace("{paused}", paused.as_str());
    let axe = std::fs::read_to_string(axe).unwrap();
    let _ = std::fs::remove_dir_all(PICTURES);
    std::fs::create_dir_all(PICTURES).unwrap();

    let students = [("new", &*new), ("student", &*student), ("paused", PAUSED)];
    let staff = [
        ("assistant", ASSISTANT),
        ("faculty", FACULTY),
        ("admin", ADMIN),
        ("sign-on admin", ADMIN),
    ];
    let people: BTreeMap<&str, &str> = students.into_iter().chain(staff).collect();
    let mut browsers = BTreeMap::from([("nobody", nobody)]);
    let (mut seen, mut linked, mut wrong) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for line in visits
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let mut columns = line
            .split("  ")
            .filter(|column| !column.is_empty())
            .map(str::trim_start)
            .peekable();
        let [who, name, path] = [(); 3].map(|()| columns.next().unwrap());
        let site = if who.starts_with("sign-on") {
            &with_sign_on
        } else {
            &campus
        };
        if !browsers.contains_key(who) {
            let browser = driver.open(DESK).await;
            if let Some(address) = people.get(who) {
                sign_in(site, &browser, address).await;
            }
            browsers.insert(who, browser);
        }
        let browser = &browsers[who];
        if let Some(provider) = &site.sign_on {
            provider.becomes(who, who.split(' ').next_back());
            provider.lies((who == KEPT).then_some(Lie::NoAnswer));
        }
        if path != "-" {
            browser.go(&format!("{}{path}", site.ready.web)).await;
        }
        let sees = columns.next_if(|column| column.starts_with(SEES));
        if let Some(action) = columns.next() {
            let typed: Vec<(&str, &str)> = columns
                .map(|typed| typed.split_once('=').unwrap())
                .collect();
            fill_and_send(browser, action, &typed).await;
            if who != KEPT {
                browser.one("html:not(:has([http-equiv='refresh']))").await;
            }
            site.settle().await;
        }
        let (read, before) = (browser.run(READ).await, wrong.len());
        let bytes = read[0].as_u64().unwrap();
        eprintln!("{name}: {bytes} bytes");
        if bytes > MOST_BYTES {
            wrong.push(format!("{name} has {bytes} bytes"));
        }
        if read[1] != name.ends_with("refused") {
            wrong.push(format!(
                "{name} is at {}, where something is refused: {}",
                read[2], read[1]
            ));
        }
        if let Some(words) = sees.and_then(|sees| sees.strip_prefix(SEES))
            && !read[4].as_str().unwrap().contains(words)
        {
            wrong.push(format!(
                "{name} is at {}, where nobody reads {words:?}",
                read[2]
            ));
        }
        seen.insert(shape(&read[2]));
        linked.extend(read[3].as_array().unwrap().iter().map(shape));
        wrong.extend(judged(browser, name, &axe).await);
        wrong[before..]
            .iter()
            .for_each(|found| eprintln!("  {found}"));
    }
    linked.retain(|path| !seen.contains(path) && !NO_PAGES.iter().any(|end| path.ends_with(end)));
    wrong.extend(
        linked
            .iter()
            .map(|path| format!("{path} is linked and not in the list")),
    );
    campus.settle().await;
    let mails = [campus.ses.mails(), with_sign_on.ses.mails()].concat();
    for Contents {
        subject,
        kind,
        text,
        ..
    } in mails.iter().map(|mail| Contents::parse(&mail.raw))
    {
        wrong.extend(unwanted(
            &format!("the mail {}", kind.unwrap()),
            &format!("{subject}\n{}", text.unwrap()),
        ));
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    campus.finish().await;
    with_sign_on.finish().await;
}

/// A campus with a sign-on, which whoever has a role must use.
async fn with_sign_on() -> Campus {
    let sign_on = Some((SignOnBy::Provider, SignOnRequired::Roles));
    let mut campus = Campus::of(Setup {
        sign_on,
        ..Setup::default()
    })
    .await;
    campus.programme("CS pilot", |_| {}).await;
    enrol(&campus, "ada", "ada").await;
    campus.settle().await;
    campus
}

/// The lines that have words which people should not have to learn.
fn unwanted(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    // Addresses of pages have the words of code.
    for line in text.lines().filter(|line| !line.contains("://")) {
        let words: Vec<String> = line
            .split(|at: char| !at.is_alphanumeric())
            .map(str::to_lowercase)
            .collect();
        let said = format!(" {} ", words.join(" "));
        let is_said = |word: &&&str| {
            said.contains(&format!(" {word} ")) || said.contains(&format!(" {word}s "))
        };
        found.extend(
            UNWANTED
                .iter()
                .filter(is_said)
                .map(|word| format!("{name} says {word:?}: {line}")),
        );
    }
    found
}

/// Fills the form with this action, sends it, by the button that is named if one is, and waits for
/// the answer.
pub(crate) async fn fill_and_send(browser: &Browser, action: &str, typed: &[(&str, &str)]) {
    browser
        .run(&format!(
            "const action = {}, typed = {};{SEND}",
            json!(action),
            json!(typed)
        ))
        .await;
    browser.one("html:not([data-sent])").await;
}

/// A programme one of whose two students is paused; that one.
async fn course_with_a_pause(campus: &mut Campus) -> GrantId {
    campus.programme("Exam course", |_| {}).await;
    campus
        .students_with_keys(&[PAUSED, "another.student"])
        .await;
    campus.hold(PAUSED, HoldKind::Paused).await;
    campus.settle().await;
    campus.grant(PAUSED).await.id
}

/// A programme with more people than one page shows, all with a key. Their addresses are as long as
/// others' with their names.
async fn large_course(campus: &mut Campus) {
    campus.programme("Large course", |_| {}).await;
    for number in 0..105 {
        let name = format!("a.participant.with.a.name.{number}");
        campus
            .student_in(&name, Some(&format!("Section {}", number % 4)))
            .await;
    }
    campus.keys().await;
    for key in campus
        .provider()
        .keys()
        .iter()
        .filter(|key| key.name.contains("/large-course/"))
    {
        campus.spend_on(&key.hash, "1.25");
    }
}

/// What is wrong with the open page; its pictures are taken before anything is unfolded.
async fn judged(browser: &Browser, name: &str, axe: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for width in [PHONE, DESK] {
        browser.shows(width, "light").await;
        keep(
            Path::new(PICTURES),
            &format!("{name} {width}"),
            browser,
            None,
        )
        .await;
    }
    browser.run(axe).await;
    for (width, scheme) in [(NARROWEST, "light"), (PHONE, "dark"), (DESK, "light")] {
        browser.shows(width, scheme).await;
        let found = browser.run(JUDGE).await;
        let found = found.as_array().unwrap().iter().filter_map(Value::as_str);
        wrong.extend(found.map(|found| format!("{name} at {width}, {scheme}: {found}")));
        let wide = browser.run(TOO_WIDE).await;
        if wide != json!([]) {
            wrong.push(format!(
                "{name} at {width} is wider than the window: {wide}"
            ));
        }
    }
    wrong.extend(unwanted(name, browser.run(SAID).await.as_str().unwrap()));
    wrong
}

/// A path without what differs from programme to programme and from grant to grant.
fn shape(path: &Value) -> String {
    let parts: Vec<&str> = path.as_str().unwrap().split('/').collect();
    let names_one = |before: &str, part: &str| {
        let is_file = before == "roster" && part.len() == ulid::ULID_LEN;
        (before == "programmes" && part != "new")
            || (before == "grants" && part != "bulk")
            || before == "erased"
            || is_file
    };
    let shown = (0..parts.len()).map(|at| {
        if at > 0 && names_one(parts[at - 1], parts[at]) {
            "*"
        } else {
            parts[at]
        }
    });
    shown.collect::<Vec<_>>().join("/")
}
