//! Many students at once: a lecture hall behind one network address, and three who race for the last money of
//! the pot.

use std::collections::BTreeSet;

use bursar_core::domain::values::money::Usd;
use bursar_core::store::Author;
use bursar_local::inbox::Contents;
use bursar_tests::invariants::{RawTable, Watch};
use bursar_tests::office::ProgrammeEdits;
use bursar_tests::seeds::LONG;
use bursar_tests::stack::Left;
use bursar_tests::visitor::{Page, Visitor};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;

use super::faults::is_enabled;
use super::{Scene, look, soon, stack};

const STUDENTS: usize = if LONG { 200 } else { 40 };
/// The number of presses that overlap at any time. A lecture hall does not press in the same millisecond.
const AT_ONCE: usize = 20;
/// The most presses of one student. A slow machine may need more time for the crowd than a press has, and then
/// the page asks for another.
const PRESSES: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn students_behind_one_network_address_each_get_exactly_one_key() {
    let stack = stack().await;
    // The roster's own mails are bulk, and no student waits for them here.
    stack.schedules.stop().await;
    let scene = Scene::over(&stack).await;
    let addresses: Vec<String> = (0..STUDENTS).map(|number| format!("student-{number}@example.edu")).collect();
    join_all(addresses.iter().map(|address| scene.office.invite(address))).await;
    let students: Vec<Visitor> = addresses.iter().map(|_| scene.browser()).collect();

    // No student is refused because others come from the same network address.
    each_of(&students, async |number, student| {
        let fields = [("address", addresses[number].as_str())];
        student.post("/link", &fields).await.expect(202);
    })
    .await;
    stack.pump.drained().await.unwrap();
    let links = links(&scene);
    let keys = each_of(&students, async |number, student| {
        let mut mine = links.iter().filter(|(to, _)| *to == addresses[number]).map(|(_, link)| link);
        let (Some(link), None) = (mine.next(), mine.next()) else { panic!("not one link for {}", addresses[number]) };
        student.post(link, &[]).await.expect(303);
        for _ in 0..PRESSES {
            let page = scene.press(student, "reveal").await;
            if page.status == 200 {
                return page.one("key").text;
            }
            assert!(page.all("key").is_empty() && page.alert().is_some(), "{}", page.readable());
        }
        panic!("{} got no key", addresses[number]);
    })
    .await;
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), STUDENTS);
    assert!(keys.iter().all(|key| is_enabled(&scene, key)));
    stack.pump.drained().await.unwrap();
    // Mails and answers are checked in tests with fewer people.
    let table = RawTable::at(&stack.ready.dynamodb, &stack.ready.table);
    let watch = Watch::over(table, stack.clock.as_clock()).with_provider(stack.provider.clone().unwrap());
    watch.with_answers(scene.answers.clone()).check().await;
    stack.finish_leaving(&[Left::PerhapsMails]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_who_press_for_the_last_twenty_dollars_one_gets_a_key_and_two_read_why_not() {
    let stack = stack().await;
    let mut scene = Scene::over(&stack).await;
    let by = Author { actor: &scene.office.faculty, now: stack.clock.now(), deadline: soon() };
    scene.office.table.set_pot(&scene.office.programme, Usd::from_dollars(39), by).await;
    let (_, before) = scene.student("before@example.edu").await;
    let mut students = Vec::new();
    for name in ["ada", "bob", "eve"] {
        students.push(scene.student(&format!("{name}@example.edu")).await.1);
    }
    let forms =
        join_all(students.iter().map(async |student| student.get("/my").await.form(&scene.path("reveal")))).await;
    let raise = Author { actor: &scene.office.faculty, now: stack.clock.now(), deadline: soon() };
    scene.reveal(&before).await;
    scene.office.table.set_pot(&scene.office.programme, Usd::from_dollars(40), raise).await;

    let pages: Vec<Page> = join_all(students.iter().zip(&forms).map(|(student, form)| student.send_form(form))).await;
    let mut statuses: Vec<u16> = pages.iter().map(|page| page.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409]);
    for (number, page) in pages.iter().enumerate().filter(|(_, page)| page.status == 409) {
        assert!(page.alert().unwrap().contains("held for other keys"), "{}", page.readable());
        assert!(page.all("key").is_empty());
        // Their state has not changed: when there is money again, the form that they pressed is still valid.
        assert_eq!(students[number].get("/my").await.one("grant").get("data-state"), "invited");
    }
    look(&stack, &mut scene.watch).await;
    assert_eq!(stack.provider.as_ref().unwrap().keys().len(), 2, "nothing was asked for those who got none");

    let by = Author { actor: &scene.office.faculty, now: stack.clock.now(), deadline: soon() };
    scene.office.table.set_pot(&scene.office.programme, Usd::from_dollars(80), by).await;
    for (number, _) in pages.iter().enumerate().filter(|(_, page)| page.status == 409) {
        students[number].send_form(&forms[number]).await.expect(200).one("key");
    }
    look(&stack, &mut scene.watch).await;
    stack.finish_leaving(&[Left::PerhapsMails]).await;
}

/// Runs an action for everybody, many at a time, and returns the results in order.
async fn each_of<T>(students: &[Visitor], act: impl AsyncFn(usize, &Visitor) -> T) -> Vec<T> {
    let act = &act;
    let acts = students.iter().enumerate().map(|(number, student)| act(number, student));
    stream::iter(acts).buffered(AT_ONCE).collect().await
}

/// The links that were mailed, as paths, each with its recipient.
fn links(scene: &Scene<'_>) -> Vec<(String, String)> {
    let mails = scene.stack.ses.mails().into_iter();
    mails
        .filter_map(|mail| {
            let text = Contents::of(&mail.raw).text?;
            let link = text.lines().find_map(|line| line.strip_prefix(&scene.stack.ready.web))?;
            Some((mail.to.join(", "), link.starts_with("/c/").then(|| link.to_owned())?))
        })
        .collect()
}
