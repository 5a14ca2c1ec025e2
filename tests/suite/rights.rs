//! Access rights: each route of both functions, requested as each kind of person, on their own
//! programme and on another. Routes are read from the routers, so a new one fails here until its
//! rights are listed.

use std::collections::BTreeSet;

use bursar_core::config::SignOnRequired;
use bursar_core::domain::grant::GrantAction;
use bursar_core::domain::values::id::GrantId;
use bursar_core::store::Erasure;
use bursar_local::stack::SignOnBy;
use bursar_tests::campus::{Campus, address};
use bursar_tests::stack::Setup;
use bursar_tests::visitor::{Page, Visitor};

use super::rules::sources;

/// The least right that a route requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Anybodys,
    /// Not there, whoever asks.
    Nothing,
    /// Every program with its token, and so nobody here.
    Programs,
    /// Every person who is signed in.
    Visitors,
    /// A student on the programme's roster.
    Students,
    /// Everyone with a role on any programme, and admins.
    Staffs,
    /// This role on the programme, and those above it.
    Assistants,
    Facultys,
    Admins,
}
use Whose::{
    Admins, Anybodys, Assistants, Facultys, Nothing, Programs, Staffs, Students, Visitors,
};

const ERASURE: &str = "01KDVDNA00000000000000001A";
const PROGRAMME: &str = "/console/programmes/{id}";

const TABLE: [(&str, &str, Whose); 91] = [
    ("GET", "/", Anybodys),
    ("POST", "/link", Anybodys),
    ("POST", "/sign-on", Anybodys),
    ("GET", "/sign-on/callback", Anybodys),
    ("GET", "/privacy", Anybodys),
    ("GET", "/accessibility", Anybodys),
    // There is a contact in a deployment that names one.
    ("GET", "/.well-known/security.txt", Nothing),
    ("GET", "/c/{*anything}", Anybodys),
    ("POST", "/c/{*anything}", Anybodys),
    ("POST", "/code", Anybodys),
    ("GET", "/bursar.css", Anybodys),
    ("GET", "/forms.js", Anybodys),
    ("GET", "/key.js", Anybodys),
    ("GET", "/my", Visitors),
    ("GET", "/my/data", Visitors),
    ("GET", "/my/help", Visitors),
    ("POST", "/my/mails", Visitors),
    ("POST", "/my/{programme}/reveal", Students),
    ("POST", "/my/{programme}/replace", Students),
    ("POST", "/my/{programme}/leaked", Students),
    ("POST", "/my/{programme}/refresh", Students),
    ("POST", "/my/{programme}/resume", Students),
    ("POST", "/my/{programme}/return", Students),
    ("POST", "/my/{programme}/more", Students),
    ("GET", "/console", Staffs),
    ("POST", "/console/find", Staffs),
    ("GET", "/console/programmes/new", Admins),
    ("POST", "/console/programmes", Admins),
    ("GET", PROGRAMME, Assistants),
    ("POST", PROGRAMME, Facultys),
    ("GET", "/console/programmes/{id}/settings", Assistants),
    ("GET", "/console/programmes/{id}/roster", Assistants),
    ("POST", "/console/programmes/{id}/people", Facultys),
    ("POST", "/console/programmes/{id}/roster", Facultys),
    ("PUT", "/console/programmes/{id}/roster", Programs),
    ("POST", "/console/programmes/{id}/roster/token", Facultys),
    ("POST", "/console/programmes/{id}/roster/apply", Facultys),
    ("POST", "/console/programmes/{id}/roster/undo", Facultys),
    ("GET", "/console/programmes/{id}/roster/{file}", Facultys),
    ("GET", "/console/programmes/{id}/grants", Assistants),
    ("POST", "/console/programmes/{id}/grants", Assistants),
    ("GET", "/console/programmes/{id}/grants.csv", Assistants),
    ("POST", "/console/programmes/{id}/grants/bulk", Facultys),
    ("GET", "/console/programmes/{id}/grants/{grant}", Assistants),
    (
        "POST",
        "/console/programmes/{id}/grants/{grant}/resume",
        Assistants,
    ),
    (
        "POST",
        "/console/programmes/{id}/grants/{grant}/pause",
        Assistants,
    ),
    (
        "POST",
        "/console/programmes/{id}/grants/{grant}/resend",
        Assistants,
    ),
    (
        "POST",
        "/console/programmes/{id}/grants/{grant}/allow",
        Facultys,
    ),
    (
        "POST",
        "/console/programmes/{id}/grants/{grant}/cap",
        Facultys,
    ),
    (
        "POST",
        "/console/programmes/{id}/grants/{grant}/address",
        Facultys,
    ),
    (
        "POST",
        "/console/programmes/{id}/grants/{grant}/revoke",
        Facultys,
    ),
    (
        "POST",
        "/console/programmes/{id}/grants/{grant}/more",
        Facultys,
    ),
    (
        "POST",
        "/console/programmes/{id}/grants/{grant}/leaked",
        Facultys,
    ),
    (
        "POST",
        "/console/programmes/{id}/grants/{grant}/drop",
        Facultys,
    ),
    (
        "POST",
        "/console/programmes/{id}/grants/{grant}/person",
        Admins,
    ),
    ("GET", "/console/programmes/{id}/alerts", Assistants),
    ("POST", "/console/programmes/{id}/alerts", Assistants),
    ("POST", "/console/programmes/{id}/alerts/test", Assistants),
    ("GET", "/console/programmes/{id}/report", Assistants),
    ("GET", "/console/programmes/{id}/report.csv", Assistants),
    ("GET", "/console/programmes/{id}/closeout", Assistants),
    ("GET", "/console/programmes/{id}/audit", Assistants),
    ("GET", "/console/programmes/{id}/audit.csv", Assistants),
    ("GET", "/console/programmes/{id}/groups", Assistants),
    ("POST", "/console/programmes/{id}/groups", Facultys),
    ("POST", "/console/programmes/{id}/ask", Facultys),
    ("GET", "/console/programmes/{id}/close", Admins),
    ("POST", "/console/programmes/{id}/close", Admins),
    ("GET", "/console/tiers", Admins),
    ("POST", "/console/tiers", Admins),
    ("GET", "/console/report", Staffs),
    ("GET", "/console/report.csv", Staffs),
    ("GET", "/console/account", Admins),
    ("POST", "/console/account/release", Admins),
    ("POST", "/console/account/mail", Admins),
    ("POST", "/console/account/keys/assign", Admins),
    ("GET", "/console/account/audit", Admins),
    ("GET", "/console/account/audit.csv", Admins),
    ("GET", "/console/account/statement", Admins),
    ("GET", "/console/account/statement.csv", Admins),
    ("POST", "/console/account/keys/{hash}", Admins),
    ("POST", "/console/admins", Admins),
    ("GET", "/console/people/erase", Admins),
    ("POST", "/console/people/erase", Admins),
    ("POST", "/console/people/data", Admins),
    ("POST", "/console/people/retain", Admins),
    ("POST", "/console/people/unbind", Admins),
    ("GET", "/console/people/erased/{erasure}", Admins),
    // An unknown path is 404 only for a person who is signed in.
    ("GET", "/console/nothing", Visitors),
    ("GET", "/my/nothing", Visitors),
    // The last one, since it ends the session.
    ("POST", "/sign-out", Visitors),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Nobody,
    Student,
    Assistant,
    Faculty,
    Admin,
}

/// The people: each has the role of this name on the first programme and none on the second; the
/// admin has all.
const WHO: [(Who, &str); 4] = [
    (Who::Student, "stu"),
    (Who::Assistant, "anna"),
    (Who::Faculty, "faye"),
    (Who::Admin, "admin"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    In,
    /// The page or status that asks to sign in.
    SignedOut,
    /// 404, as for a path that does not exist.
    Hidden,
}

impl Answered {
    fn of(method: &str, page: &Page) -> Answered {
        match page.status {
            401 => Answered::SignedOut,
            303 if method == "GET" && page.location() == Some("/") => Answered::SignedOut,
            404 => Answered::Hidden,
            _ => Answered::In,
        }
    }

    fn expected(whose: Whose, who: Who, is_own: bool) -> Answered {
        let has_role = |least: Who| who == Who::Admin || (is_own && who >= least);
        let is_in = match whose {
            Anybodys => return Answered::In,
            Nothing => return Answered::Hidden,
            Programs => return Answered::SignedOut,
            _ if who == Who::Nobody => return Answered::SignedOut,
            Visitors => true,
            Students => is_own && who == Who::Student,
            Staffs => who >= Who::Assistant,
            Assistants => has_role(Who::Assistant),
            Facultys => has_role(Who::Faculty),
            Admins => who == Who::Admin,
        };
        if is_in {
            Answered::In
        } else {
            Answered::Hidden
        }
    }
}

/// A programme with one student; the first also has faculty and an assistant.
async fn programme(
    campus: &mut Campus,
    name: &str,
    student: &str,
    is_first: bool,
) -> (String, GrantId) {
    let staff = |name: &str| {
        if is_first {
            vec![address(name)]
        } else {
            Vec::new()
        }
    };
    let made = campus
        .programme(name, |settings| {
            settings.people.faculty = staff("faye");
            settings.people.assistants = staff("anna");
        })
        .await;
    campus.students(&[student]).await;
    (made.to_string(), campus.id(student).clone())
}

/// A browser of each person, with the token of its forms.
async fn browsers(campus: &Campus) -> Vec<(Who, Visitor, String)> {
    campus.minutes(2);
    let mut browsers = vec![(Who::Nobody, campus.browser(), String::new())];
    for (who, name) in WHO {
        let browser = campus.student(name).await;
        let csrf = browser.get("/my").await.csrf();
        browsers.push((who, browser, csrf));
    }
    browsers
}

/// The path of a route in a programme.
fn path(route: &str, (programme, grant): &(String, GrantId), key: &str) -> String {
    let path = route
        .replace("{id}", programme)
        .replace("{programme}", programme)
        .replace("{hash}", key);
    let path = path.replace("{erasure}", ERASURE).replace("{job}", ERASURE);
    path.replace("{grant}", grant.as_str())
        .replace("{*anything}", "anything")
}

async fn press(browser: &Visitor, method: &str, path: &str, csrf: &str) -> Page {
    match method {
        "GET" => browser.get(path).await,
        "PUT" => {
            browser
                .put(path, csrf, "text/csv", "email\nzoe@example.edu\n")
                .await
        }
        _ if path.ends_with("/roster") => {
            let body = format!(
                "--b\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{csrf}\r\n--b\r\nContent-Disposition: form-data; \
                 name=\"file\"; filename=\"r.csv\"\r\n\r\nemail\r\nzoe@example.edu\r\n--b--\r\n"
            );
            browser
                .post_as("multipart/form-data; boundary=b", path, body)
                .await
        }
        _ => browser.post(path, &[("csrf", csrf)]).await,
    }
}

#[tokio::test]
async fn each_route_lets_in_those_it_is_for() {
    let sign_on = Some((SignOnBy::Provider, SignOnRequired::Nobody));
    let mut campus = Campus::of(Setup {
        sign_on,
        ..Setup::default()
    })
    .await;
    let own = programme(&mut campus, "CS pilot", "stu", true).await;
    let other = programme(&mut campus, "Maths", "oth", false).await;
    // A key of another deployment is refused to admins, who alone get so far.
    let name = "bursar/fedcba9876/maths/0123456789abcdef/1-0123456789abcdef";
    let key = campus
        .provider()
        .add_foreign_key(name, None, campus.clock.now())
        .unwrap()
        .hash;
    campus.students(&["gone"]).await;
    let (gone, grants) = (address("gone"), [campus.grant("gone").await]);
    let erasure = Erasure::of_person(
        ERASURE.parse().unwrap(),
        Some(gone.matched()),
        &grants,
        campus.by(),
    );
    campus
        .table
        .begin_erasure(erasure, campus.by())
        .await
        .unwrap();
    let mut wrong = Vec::new();
    for at in [&other, &own] {
        let browsers = browsers(&campus).await;
        for (method, route, whose) in TABLE {
            let path = path(route, at, &key);
            for (who, browser, csrf) in &browsers {
                let page = press(browser, method, &path, csrf).await;
                let expected = match Answered::expected(whose, *who, at == &own) {
                    // There is no such preview.
                    Answered::In
                        if ["/nothing", "/{file}"]
                            .iter()
                            .any(|end| route.ends_with(end)) =>
                    {
                        Answered::Hidden
                    }
                    expected => expected,
                };
                let answered = Answered::of(method, &page);
                if answered != expected || page.status >= 500 {
                    wrong.push(format!(
                        "{method} {path} as {who:?}: {} is {answered:?}, not {expected:?}",
                        page.status
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    campus.finish().await;
}

#[tokio::test]
async fn no_form_is_taken_without_its_token_or_from_elsewhere() {
    let mut campus = Campus::open().await;
    let own = programme(&mut campus, "CS pilot", "stu", true).await;
    let mut taken = Vec::new();
    for (who, browser, csrf) in &browsers(&campus).await {
        for (method, route, whose) in TABLE.into_iter().filter(|(method, ..)| *method == "POST") {
            let path = path(route, &own, "{hash}");
            let elsewhere = browser
                .post_from("https://evil.example", &path, &[("csrf", csrf)])
                .await;
            if elsewhere.status != 403 {
                taken.push(format!(
                    "{path} as {who:?} from another site: {}",
                    elsewhere.status
                ));
            }
            if whose == Anybodys || *who == Who::Nobody {
                continue;
            }
            for forged in ["", "0", csrf.get(1..).unwrap()] {
                let page = press(browser, method, &path, forged).await;
                if page.status != 403 {
                    taken.push(format!(
                        "{path} as {who:?} with {forged:?}: {}",
                        page.status
                    ));
                }
            }
        }
    }
    assert!(taken.is_empty(), "{}", taken.join("\n"));
    campus.finish().await;
}

#[test]
fn the_table_names_each_route_of_the_routers() {
    let mut routed = BTreeSet::new();
    for (file, text) in sources("functions") {
        // A long route is laid over several lines.
        let text = text.replace(char::is_whitespace, "");
        assert_eq!(
            text.matches(".route(").count(),
            text.matches(".route(\"").count(),
            "{}: a path that is not written out",
            file.display()
        );
        assert!(
            !text.contains(".nest(") && !text.contains(".nest_service("),
            "{}: routes in routes",
            file.display()
        );
        for route in text.split(".route(\"").skip(1) {
            let (path, rest) = route.split_once('"').unwrap();
            let words = rest
                .split(".fallback(")
                .next()
                .unwrap()
                .split(|c: char| !c.is_alphanumeric() && c != '(' && c != '_');
            let words: Vec<&str> = words.collect();
            let before = routed.len();
            for method in ["get", "post", "put", "delete", "patch", "any"] {
                if words
                    .iter()
                    .any(|word| word.starts_with(&format!("{method}(")))
                {
                    routed.insert((method.to_uppercase(), path.to_owned()));
                }
            }
            assert!(
                routed.len() > before,
                "{}: the methods of {path} do not stand beside it",
                file.display()
            );
        }
    }
    // What is done to one grant is one route, and says itself who may.
    let actions = GrantAction::ALL
        .into_iter()
        .filter(|action| action.role_for_one().is_some());
    let actions = actions.map(|action| {
        (
            "POST".to_owned(),
            format!("{PROGRAMME}/grants/{{grant}}/{}", action.as_str()),
        )
    });
    assert!(routed.remove(&(
        "POST".to_owned(),
        format!("{PROGRAMME}/grants/{{grant}}/{{action}}")
    )));
    routed.extend(actions);
    let in_table = TABLE
        .iter()
        .filter(|(_, route, _)| !route.ends_with("/nothing"));
    let in_table: BTreeSet<_> = in_table
        .map(|(method, route, _)| ((*method).to_owned(), (*route).to_owned()))
        .collect();
    assert_eq!(in_table, routed);
}
