//! Many students at once: a lecture hall behind one network address.

use std::collections::BTreeSet;

use bursar_local::inbox::Contents;
use bursar_tests::seeds::sized;
use futures_util::{StreamExt, stream};

use super::class;

/// How many requests overlap at any time: a lecture hall does not press in the same millisecond.
const AT_ONCE: usize = 10;
/// A slow machine may need more time for the crowd than a request has, and then the page asks for another.
const PRESSES: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn students_behind_one_network_address_get_a_key_each() {
    let mut campus = class().await;
    let names: Vec<String> = (0..sized(15, 200)).map(|number| format!("student-{number}")).collect();
    campus.students(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let students = names.iter().map(|name| (format!("{name}@example.edu"), campus.browser())).collect::<Vec<_>>();
    let asks = students.iter().map(async |(address, student)| {
        student.post("/link", &[("address", address)]).await.expect(202);
    });
    stream::iter(asks).buffered(AT_ONCE).collect::<()>().await;
    campus.pump.drained().await.unwrap();

    let at = &campus;
    let claims = students.iter().map(async |(address, student)| {
        let texts = at.ses.mails_to(address).into_iter().filter_map(|mail| Contents::of(&mail.raw).text);
        let links: Vec<String> = texts
            .filter_map(|text| text.lines().find_map(|line| Some(line.strip_prefix(&at.ready.web)?.to_owned())))
            .filter(|link| link.starts_with("/c/"))
            .collect();
        let [link] = &links[..] else { panic!("{} links for {address}", links.len()) };
        student.post(link, &[]).await.expect(303);
        for _ in 0..PRESSES {
            let page = at.press(student, "reveal").await;
            if page.status == 200 {
                return page.one("key").text;
            }
            assert!(page.all("key").is_empty() && page.alert().is_some(), "{}", page.readable());
        }
        panic!("{address} got no key");
    });
    let keys: BTreeSet<String> = stream::iter(claims).buffered(AT_ONCE).collect().await;
    assert_eq!((keys.len(), campus.enabled().len()), (names.len(), names.len()));
    campus.finish().await;
}
