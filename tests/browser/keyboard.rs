//! The journeys of an admin, a lecturer, an assistant and a student with the keyboard alone.

use bursar_tests::campus::{ADMIN, Campus, address};

use crate::driver::{Browser, DESK, Driver, ENTER, PHONE, SHIFT, TAB};
use crate::journey::{line_of_link_mail, links_open_from_webmail, student_gets_a_key};

const SPACE: char = ' ';
/// More than any page here has between its top and what is sought.
const MOST_STOPS: usize = 80;

pub(crate) async fn journeys(driver: &Driver) {
    let mut campus = Campus::open().await;
    let staff = |name: &str| vec![address(name)];
    campus
        .programme("CS pilot", |settings| {
            settings.people.faculty = staff("faye");
            settings.people.assistants = staff("aki");
        })
        .await;
    campus.students(&["stu", "kim"]).await;
    campus.settle().await;
    links_open_from_webmail(driver, &campus).await;
    student_gets_a_key(driver, &campus).await;
    student(&driver.open(PHONE).await, &campus).await;
    lecturer(&driver.open(DESK).await, &campus).await;
    assistant(&driver.open(DESK).await, &campus).await;
    admin(&driver.open(DESK).await, &campus).await;
    campus.finish().await;
}

/// A student claims a key by the mail's link, reveals it and asks for more.
async fn student(student: &Browser, campus: &Campus) {
    by_link(student, campus, "kim@example.edu").await;
    student.reads("Your LLM credit", "").await;
    chooses(student, "Reveal my key", ENTER).await;
    student.reads("Your key for CS pilot", "").await;
    chooses(student, "Done", ENTER).await;
    student
        .one("[data-testid='grant'][data-state='live']")
        .await;
    chooses(student, "I need more than this", SPACE).await;
    types(student, "reason-cs-pilot", "A thesis on long texts").await;
    chooses(student, "Ask for more", SPACE).await;
    student.reads("Your LLM credit", "").await;
    assert!(
        student
            .one("[data-testid='grant']")
            .await
            .text()
            .await
            .contains("You asked for more")
    );
}

/// A lecturer signs in by the code, finds a grant and pauses it, then ticks it among the paused and
/// resumes it.
async fn lecturer(lecturer: &Browser, campus: &Campus) {
    let to = "faye@example.edu";
    ask(lecturer, campus, to).await;
    let code = line_of_link_mail(campus, to, "Code: ").await;
    types(lecturer, "address", to).await;
    types(
        lecturer,
        "code",
        &format!("{}{ENTER}", code.trim_start_matches("Code: ")),
    )
    .await;
    lecturer.reads("Programmes", "").await;
    chooses(lecturer, "CS pilot", ENTER).await;
    lecturer.reads("CS pilot", "").await;
    chooses(lecturer, "Students", ENTER).await;
    types(lecturer, "q", &format!("kim{ENTER}")).await;
    chooses(lecturer, "kim@example.edu", ENTER).await;
    types(lecturer, "pause-reason", &format!("a question{ENTER}")).await;
    lecturer
        .one("[data-testid='grant'][data-state='paused']")
        .await;
    chooses(lecturer, "Students", ENTER).await;
    types(lecturer, "state", "pau").await;
    chooses(lecturer, "Find", SPACE).await;
    lecturer.one("#state [value='paused'][selected]").await;
    chooses(lecturer, "Choose kim@example.edu", SPACE).await;
    chooses(lecturer, "Change many at once", ENTER).await;
    types(lecturer, "bulk-act", "resu").await;
    chooses(lecturer, "Preview", ENTER).await;
    assert_eq!(
        lecturer
            .one("[data-testid='bulk-count']")
            .await
            .text()
            .await,
        "1"
    );
    chooses(lecturer, "Resume 1 student", ENTER).await;
    lecturer
        .one("[data-testid='job'][data-kind='bulk'][data-state='running']")
        .await;
    campus.finish_work().await;
    chooses(lecturer, "Overview", ENTER).await;
    lecturer
        .one("[data-testid='job'][data-kind='bulk'][data-state='done']")
        .await;
}

/// An assistant reads of somebody at the help desk, and is offered nothing that faculty alone may
/// do.
async fn assistant(assistant: &Browser, campus: &Campus) {
    by_link(assistant, campus, "aki@example.edu").await;
    assistant.reads("Programmes", "").await;
    types(assistant, "q", &format!("kim@example.edu{ENTER}")).await;
    assistant.reads("Find", "").await;
    chooses(assistant, "kim@example.edu", ENTER).await;
    assistant
        .one("[data-testid='grant'][data-state='live']")
        .await;
    chooses(assistant, "Groups", ENTER).await;
    assistant.reads("CS pilot", "").await;
    chooses(assistant, "Overview", ENTER).await;
    assistant.one("[data-testid='budget']").await;
    let forms = assistant
        .run("return document.querySelectorAll('main form').length")
        .await;
    assert_eq!(forms, 0, "an assistant is offered a form");
}

/// An admin makes a programme with a lecturer, whose refused amount loses nothing of what was
/// typed, then another admin.
async fn admin(admin: &Browser, campus: &Campus) {
    by_link(admin, campus, ADMIN).await;
    chooses(admin, "New programme", ENTER).await;
    admin.reads("New programme", "").await;
    types(admin, "name", "Maths").await;
    // The order in which this browser's date field takes the keys: month first.
    types(admin, "starts_on", "11102026").await;
    types(admin, "ends_on", "08012027").await;
    types(admin, "timezone", "UTC").await;
    types(admin, "cap_usd", "1").await;
    types(admin, "budget_usd", "a lot").await;
    chooses(admin, "More settings, all with a default", SPACE).await;
    types(admin, "faculty", "faye@example.edu").await;
    chooses(admin, "Create the programme", SPACE).await;
    admin.one("[name='budget_usd'][aria-invalid='true']").await;
    admin.reads("New programme", "status of 422").await;
    let typed = "return ['faculty', 'starts_on'].map((name) => document.querySelector(`[name=${name}]`).value)";
    assert_eq!(
        admin.run(typed).await,
        serde_json::json!(["faye@example.edu", "2026-11-10"]),
        "what was typed is lost"
    );
    types(admin, "budget_usd", &format!("$1.20{ENTER}")).await;
    admin.reads("Maths", "").await;
    admin
        .one("[data-testid='budget'][data-usd='1.200000']")
        .await;
    chooses(admin, "Account", ENTER).await;
    admin.reads("Account", "").await;
    chooses(admin, "Admins", ENTER).await;
    types(admin, "admin-email", "second@example.edu").await;
    chooses(admin, "Make this person an admin", ENTER).await;
    admin
        .one("[data-testid='admin'][data-email='second@example.edu']")
        .await;
}

/// Signs in by the link of the mail.
async fn by_link(browser: &Browser, campus: &Campus, to: &str) {
    ask(browser, campus, to).await;
    browser
        .go(&line_of_link_mail(campus, to, "http").await)
        .await;
    chooses(browser, "Sign in", ENTER).await;
    browser.one("nav form[action='/sign-out']").await;
}

async fn ask(browser: &Browser, campus: &Campus, to: &str) {
    browser.go(&campus.ready.web).await;
    types(browser, "address", to).await;
    // One too far, and back.
    browser
        .press(&format!("{TAB}{TAB}{SHIFT}{TAB}{ENTER}"))
        .await;
    browser.reads("Check your email", "").await;
}

async fn chooses(browser: &Browser, there: &str, key: char) {
    tab_to(browser, there).await;
    browser.press(&key.to_string()).await;
}

/// Types over what the field holds.
async fn types(browser: &Browser, there: &str, text: &str) {
    tab_to(browser, there).await;
    browser.press(text).await;
}

/// Presses Tab until the focus, which must be seen, is on the field with this id, or on what has
/// this text or label.
async fn tab_to(browser: &Browser, there: &str) {
    let focused = "const at = document.activeElement; \
        return [at.id, at.textContent.trim(), getComputedStyle(at).outlineStyle, at.ariaLabel]";
    for _ in 0..MOST_STOPS {
        browser.press(&TAB.to_string()).await;
        let at = browser.run(focused).await;
        if at[0] == there || at[1] == there || at[3] == there {
            assert_eq!(
                at[2],
                "solid",
                "the focus on {there} is not seen at {}",
                browser.address().await
            );
            return;
        }
    }
    panic!(
        "Tab does not lead to {there} at {}",
        browser.address().await
    );
}
