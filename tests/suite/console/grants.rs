//! Grants: found, shown and acted on, and what becomes of the key.

use bursar_local::provider::Nano;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::visitor::{Page, Visitor};

use super::*;

#[tokio::test]
async fn grants_are_listed_by_spending_and_found() {
    let mut campus = Campus::with_keys(&["ada", "bob"]).await;
    campus.students(&["cid"]).await;
    campus.spend("ada", "1");
    campus.spend("bob", "3.50");
    campus.sync().await;
    let admin = campus.admin().await;
    let emails = |page: &Page| page.attributes("grant", "data-email").join(" ");
    let all = admin.get(GRANTS).await.expect(200);
    assert_eq!(emails(&all), "bob@example.edu ada@example.edu cid@example.edu");
    for (name, cells) in [
        ("data-spent-usd", ["3.500000", "1.000000", "0.000000"]),
        ("data-cap-usd", ["20.000000"; 3]),
        ("data-state", ["live", "live", "invited"]),
    ] {
        assert_eq!(all.attributes("grant", name), cells);
    }
    for (query, found) in [
        ("q=ADA", "ada@example.edu"),
        ("state=invited", "cid@example.edu"),
        ("q=nobody", ""),
        ("from=2", "cid@example.edu"),
        ("from=99", ""),
        ("q=%3Cscript%3E", ""),
    ] {
        assert_eq!(emails(&admin.get(&format!("{GRANTS}?{query}")).await), found, "{query}");
    }
    admin.get(&format!("{GRANTS}/0000000000000000")).await.expect(404);
    campus.finish().await;
}

#[tokio::test]
async fn a_grants_key_follows_what_is_done_with_it() {
    let campus = Campus::with_keys(&["ada"]).await;
    campus.budget(100).await;
    let admin = campus.admin().await;
    let at = format!("{GRANTS}/{}", campus.id("ada"));
    let acts = async |act: &str, fields: &[(&str, &str)]| {
        let page = admin.get(&at).await.expect(200);
        admin.submit(&page, &format!("{at}/{act}"), fields).await
    };
    let shown = async |name: &str| admin.get(&at).await.one("grant").get(name).to_owned();
    acts("pause", &[("reason", "exam")]).await.expect(303);
    assert_eq!((shown("data-state").await.as_str(), campus.enabled()), ("paused", vec![]));
    assert!(admin.get(&at).await.body.contains("by admin@example.edu"), "the timeline names people");

    let resume = admin.get(&at).await;
    let silent = campus.gate.at(Matcher::call("provider:PATCH /keys/{hash}").every(), Fault::Before);
    admin.submit(&resume, &format!("{at}/resume"), &[]).await.expect(502);
    campus.gate.lift(silent);
    admin.submit(&resume, &format!("{at}/resume"), &[]).await.expect(303);
    assert_eq!(campus.enabled(), ["ada"]);

    for (cap, limit, shows) in [("12.50", 12_500_000, "12.500000"), (" ", 20_000_000, "20.000000")] {
        acts("cap", &[("cap_usd", cap), ("reason", "heavy use")]).await.expect(303);
        assert_eq!(campus.limits(), [Some(Nano::micros(limit))], "blank means the programme's");
        assert_eq!(shown("data-cap-usd").await, shows);
    }
    for (cap, status, why) in [("much", 422, ""), ("0.001", 422, ""), ("101", 409, "Of the budget of $100.00, $")] {
        let refused = acts("cap", &[("cap_usd", cap), ("reason", "a thesis")]).await.expect(status);
        assert!(refused.alert().unwrap().contains(why), "{:?}", refused.alerts());
        let form = refused.form(&format!("{at}/cap"));
        assert_eq!(
            (form.value("cap_usd"), form.value("reason")),
            (Some(cap), Some("a thesis")),
            "what was typed stays"
        );
    }
    let page = admin.get(&at).await;
    for resent in [303, 429] {
        admin.submit(&page, &format!("{at}/allow"), &[]).await.expect(303);
        admin.submit(&page, &format!("{at}/resend"), &[]).await.expect(resent);
    }
    assert!(admin.get(&at).await.body.contains("0 of 4"), "one replacement more, not two");

    acts("revoke", &[("reason", "left")]).await.expect(303);
    assert_eq!((shown("data-state").await.as_str(), campus.enabled()), ("revoked", vec![]));
    assert!(!admin.get(&at).await.offers(&format!("{at}/pause")));
    for (act, status) in [("pause", 409), ("cap", 409), ("allow", 409), ("revoke", 303), ("dance", 404)] {
        let token = page.form(&format!("{at}/revoke"));
        let sent = [("csrf", token.value("csrf").unwrap()), ("cap_usd", "1")];
        admin.post(&format!("{at}/{act}"), &sent).await.expect(status);
    }
    campus.finish().await;
}

#[tokio::test]
async fn no_assistant_resumes_what_faculty_paused() {
    let mut campus = staffed().await;
    campus.students(&["ada"]).await;
    campus.keys().await;
    let at = format!("{GRANTS}/{}", campus.id("ada"));
    let (admin, faye, asta) = (campus.admin().await, campus.student("faye").await, campus.student("asta").await);
    let acts = async |who: &Visitor, act: &str| {
        let form = who.get(&at).await.form("/sign-out");
        who.post(&format!("{at}/{act}"), &[("csrf", form.value("csrf").unwrap())]).await.status
    };
    campus.judged().await;
    for (who, act, status) in [
        (&asta, "pause", 303),
        (&asta, "resume", 303),
        // Faculty take a pause over.
        (&asta, "pause", 303),
        (&faye, "pause", 303),
        (&asta, "resume", 409),
        (&faye, "resume", 303),
        (&admin, "pause", 303),
        (&asta, "resume", 409),
        (&faye, "resume", 303),
        (&faye, "pause", 303),
    ] {
        assert_eq!(acts(who, act).await, status, "{act}");
        // Each by itself, so that no other entry stands for a missing one.
        campus.judged().await;
    }
    // A pause by a person who has no role any more counts as faculty's.
    campus.edit(&admin, &[("faculty", "fern@example.edu")]).await.expect(303);
    assert_eq!((acts(&asta, "resume").await, campus.enabled()), (409, vec![]));
    assert_eq!((acts(&campus.student("fern").await, "resume").await, campus.enabled()), (303, vec!["ada"]));
    campus.finish().await;
}
