//! Edits of caps, of the budget and of the term while people hold keys: what is reserved and what
//! the provider holds afterwards.

use std::sync::Arc;

use bursar_core::domain::grant::{GrantState, Stopped};
use jiff::ToSpan;
use jiff::civil::Date;

use super::*;

#[tokio::test]
async fn a_cap_with_room_reaches_every_key_at_once() {
    let campus = class(&["ada", "bob", "cid"]).await;
    let admin = campus.admin().await;
    campus.judged().await;
    let refused = campus.edit(&admin, &[("cap_usd", "40")]).await;
    assert_eq!(
        (refused.status, refused.form(ID).value("cap_usd")),
        (422, Some("40"))
    );
    assert!(
        refused.alerts()[1].contains("$120") && refused.alerts()[1].contains("$100"),
        "{:?}",
        refused.alerts()
    );
    assert_eq!(campus.limits(), vec![dollars(20); 3]);
    campus.judged().await;

    assert_eq!(campus.edit(&admin, &[("cap_usd", "33")]).await.status, 303);
    assert_eq!(
        (campus.limits(), jobs(&admin.get(ID).await)),
        (vec![dollars(20); 3], vec![job("limits", "running", 0, 3)])
    );
    campus.work().await;
    assert_eq!(
        (campus.limits(), campus.reserved().await),
        (vec![dollars(33); 3], Usd::from_dollars(99))
    );
    campus.judged().await;

    let too_small = campus.edit(&admin, &[("budget_usd", "98")]).await;
    assert_eq!(
        (too_small.status, too_small.form(ID).value("budget_usd")),
        (422, Some("98"))
    );
    assert!(
        too_small.alerts()[1].contains("$98") && too_small.alerts()[1].contains("$99"),
        "{:?}",
        too_small.alerts()
    );
    // Both at once are judged together.
    assert_eq!(
        campus
            .edit(&admin, &[("budget_usd", "120"), ("cap_usd", "40")])
            .await
            .status,
        303
    );
    campus.work().await;
    assert_eq!(
        (campus.limits(), campus.reserved().await),
        (vec![dollars(40); 3], Usd::from_dollars(120))
    );
    assert_eq!(
        campus
            .edit(&admin, &[("budget_usd", "119.999999")])
            .await
            .status,
        422
    );
    campus.judged().await;

    assert_eq!(campus.edit(&admin, &[("cap_usd", "8")]).await.status, 303);
    campus.finish_work().await;
    let overview = admin.get(ID).await;
    assert_eq!(
        (campus.limits(), jobs(&overview)),
        (vec![dollars(8); 3], vec![job("limits", "done", 3, 3)])
    );
    // Nobody knows yet what was used under the old limit.
    for what in ["reserved", "implied"] {
        assert_eq!(
            overview.attributes(what, "data-usd"),
            ["120.000000"],
            "{what}"
        );
    }
    campus.minutes(20);
    assert_eq!(campus.sync().await["complete"], true);
    campus.judged_after_sync().await;
    assert_eq!(campus.reserved().await, Usd::from_dollars(24));
    assert_eq!(
        campus
            .edit(&campus.admin().await, &[("cap_usd", "8.00")])
            .await
            .status,
        303,
        "the same once more"
    );
    assert_eq!(campus.job("limits").await.unwrap().done, 3);
    campus.finish().await;
}

#[tokio::test]
async fn the_end_moves_and_who_had_ended_by_it_may_claim_again() {
    let campus = class(&["ada", "bob"]).await;
    campus.hours(10 * 24);
    let admin = campus.admin().await;
    campus.judged().await;
    let page = admin.get(SETTINGS).await;
    let [starts_on, ends_on] =
        ["starts_on", "ends_on"].map(|field| page.form(ID).value(field).unwrap().to_owned());
    let day = |days: i64| {
        ends_on
            .parse::<Date>()
            .unwrap()
            .saturating_add(days.days())
            .to_string()
    };
    for (field, value, status) in [
        ("ends_on", day(15), 422),
        ("reset", "weekly".to_owned(), 409),
        ("byok", "outside".to_owned(), 409),
    ] {
        let refused = campus.edit(&admin, &[(field, &value)]).await;
        assert_eq!(
            (refused.status, refused.alerts().len()),
            (status, 2),
            "{field}: {:?}",
            refused.alerts()
        );
        assert_eq!(
            refused.form(ID).value(field),
            Some(&*value),
            "what was typed stays"
        );
    }
    for days in [14, -30] {
        let saved = campus.edit(&admin, &[("ends_on", &day(days))]).await;
        assert_eq!(saved.status, 303, "{days}: {:?}", saved.alerts());
        campus.judged().await;
    }
    assert_eq!(campus.enabled().len(), 2, "the term goes on");

    // An end in the past is a mistake, and is taken back. The request that wrote it died before it
    // ended anybody's grant.
    let page = admin.get(SETTINGS).await;
    let all_but_the_edit = Matcher::call("dynamodb:TransactWriteItems")
        .of(FunctionName::Console)
        .after(1);
    let killed = campus.gate.at(all_but_the_edit, Fault::KillBefore);
    admin.submit(&page, ID, &[("ends_on", &starts_on)]).await;
    campus.gate.lift(killed);
    assert!(campus.job("close").await.unwrap().is_running());
    assert_eq!(
        campus.edit(&admin, &[("ends_on", &ends_on)]).await.status,
        303
    );
    campus.judged().await;
    for _ in 0..2 {
        campus.work().await;
        campus.judged().await;
    }
    let after = admin.get(ID).await;
    assert!(
        after
            .texts("job")
            .iter()
            .any(|text| text.contains("The term goes on.")),
        "{:?}",
        after.texts("job")
    );
    assert_eq!(campus.enabled().len(), 2);

    assert_eq!(
        campus.edit(&admin, &[("ends_on", &starts_on)]).await.status,
        303
    );
    campus.finish_work().await;
    assert_eq!(campus.enabled().len(), 0);
    assert!(jobs(&admin.get(ID).await).contains(&job("close", "done", 2, 2)));

    assert_eq!(
        campus.edit(&admin, &[("ends_on", &ends_on)]).await.status,
        303
    );
    campus.work().await;
    for name in ["ada", "bob"] {
        assert_eq!(
            campus.grant(name).await.state,
            GrantState::Stopped {
                why: Stopped::TermEnded
            },
            "{name}"
        );
    }
    campus.replace("ada").await;
    campus.replace("bob").await;
    assert_eq!(
        (
            campus.enabled().len(),
            campus.grant("ada").await.replacements
        ),
        (2, 0),
        "nobody asked for that"
    );
    campus.judged().await;
    campus.finish_faulted().await;
}

/// Two edits of one form's state, one of them held just before its write.
#[tokio::test]
async fn of_two_edits_at_once_the_other_sees_both_values() {
    let campus = class(&["ada"]).await;
    let admin = Arc::new(campus.admin().await);
    let (first, second) = (Arc::clone(&admin), &admin);
    let (of_one, of_other, of_a_third) = (
        first.get(SETTINGS).await,
        second.get(SETTINGS).await,
        second.get(SETTINGS).await,
    );
    let held = campus
        .gate
        .hold(Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Console));
    let slow = tokio::spawn(async move {
        first
            .submit(&of_one, ID, &[("cap_usd", "9"), ("contact", "room 1")])
            .await
    });
    held.arrived().await;
    assert_eq!(
        second
            .submit(&of_other, ID, &[("cap_usd", "12"), ("replacements", "7")])
            .await
            .status,
        303
    );
    drop(held);
    let stale = slow.await.unwrap();
    assert_eq!(stale.status, 409);
    let form = stale.form(ID);
    let carried =
        ["cap_usd", "contact", "replacements"].map(|field| form.value(field).unwrap_or_default());
    assert_eq!(
        carried,
        ["9", "room 1", "7"],
        "what this person changed, and all else as it is now"
    );
    assert!(
        stale.body.contains("It is now: 12"),
        "both of them changed the cap"
    );
    assert_eq!(admin.submit(&stale, ID, &[]).await.status, 303);
    let now = admin.get(SETTINGS).await.form(ID);
    let saved =
        ["cap_usd", "contact", "replacements"].map(|field| now.value(field).unwrap_or_default());
    campus.work().await;
    assert_eq!(
        (saved, campus.limits()),
        (["9", "room 1", "7"], vec![dollars(9)])
    );
    // A stale form with a field that cannot be read: that comes first, and what others saved stays
    // all the same.
    let unreadable = admin
        .submit(
            &of_a_third,
            ID,
            &[("cap_usd", "1e3"), ("contact", "hall 2")],
        )
        .await;
    let form = unreadable.form(ID);
    let carried =
        ["cap_usd", "contact", "replacements"].map(|field| form.value(field).unwrap_or_default());
    assert_eq!((unreadable.status, carried), (422, ["1e3", "hall 2", "7"]));
    assert!(
        unreadable.body.contains("It is now: room 1"),
        "both of them changed whom to ask"
    );
    assert_eq!(
        admin
            .submit(&unreadable, ID, &[("cap_usd", "9")])
            .await
            .status,
        303
    );
    let now = admin.get(SETTINGS).await.form(ID);
    assert_eq!(
        (now.value("contact"), now.value("replacements")),
        (Some("hall 2"), Some("7"))
    );
    campus.judged().await;
    campus.finish().await;
}

#[tokio::test]
async fn a_groups_cap_follows_its_members() {
    const GROUPS: &str = "/console/programmes/cs-pilot/groups";
    let campus = class(&["ada", "bob"]).await;
    let admin = campus.admin().await;
    campus.judged().await;
    let file = "email,group\nada@example.edu,A\nbob@example.edu,B: late & loud\n";
    applied(&admin, "add", file).await;
    let page = admin.get(GROUPS).await.expect(200);
    assert_eq!(
        page.attributes("group", "data-name"),
        ["A", "B: late & loud"]
    );
    let (a, b) = ("cap_usd.A", "cap_usd.B: late & loud");
    for bad in ["0", "x", "1e3", "-5"] {
        let refused = admin.submit(&page, GROUPS, &[(a, bad), (b, "5")]).await;
        assert_eq!(
            (refused.status, refused.alerts().len()),
            (422, 2),
            "{bad}: {:?}",
            refused.alerts()
        );
        assert_eq!(
            (refused.form(GROUPS).value(a), refused.form(GROUPS).value(b)),
            (Some(bad), Some("5"))
        );
    }
    let no_room = admin.submit(&page, GROUPS, &[(b, "81")]).await;
    assert!(
        no_room.status == 422 && no_room.alerts()[1].contains("$101"),
        "{:?}",
        no_room.alerts()
    );
    assert_eq!(
        admin
            .submit(&page, GROUPS, &[(a, "5"), (b, "30")])
            .await
            .status,
        303
    );
    campus.work().await;
    assert_eq!(
        (campus.limits(), campus.reserved().await),
        (vec![dollars(5), dollars(30)], Usd::from_dollars(50))
    );
    campus.judged().await;
    let stale = admin.submit(&page, GROUPS, &[(a, "6")]).await;
    assert_eq!(
        (
            stale.status,
            stale.form(GROUPS).value(a),
            stale.form(GROUPS).value(b)
        ),
        (409, Some("6"), Some("30"))
    );
    assert_eq!(admin.submit(&stale, GROUPS, &[]).await.status, 303);
    campus.work().await;
    assert_eq!(campus.limits(), [dollars(6), dollars(30)]);
    applied(
        &admin,
        "add",
        "email,group\nada@example.edu,B: late & loud\nbob@example.edu,\n",
    )
    .await;
    campus.work().await;
    assert_eq!(
        campus.limits(),
        [dollars(30), dollars(20)],
        "the other group's, and the programme's"
    );
    campus.judged().await;
    assert_eq!(admin.fill(GROUPS, GROUPS, &[(b, "")]).await.status, 303);
    campus.work().await;
    assert_eq!(
        campus.limits(),
        [dollars(20), dollars(20)],
        "blank means the programme's"
    );
    campus.judged().await;
    campus.finish().await;
}
