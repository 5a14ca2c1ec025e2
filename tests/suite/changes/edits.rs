//! Edits of caps, of the pot and of the term while people hold keys: what is reserved and what the provider holds afterwards.

use std::sync::Arc;

use bursar_core::domain::audit::Act;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::stack::Left;

use super::*;

#[tokio::test]
async fn a_lower_cap_reaches_every_key_at_once_and_frees_its_money_after_the_next_listing() {
    let class = Class::of(&["ada", "bob", "cid"]).await;
    let (admin, mut watch) = (class.admin().await, class.watch());
    class.judged(&mut watch).await;
    assert_eq!(edits(&admin, &[("cap_usd", "8")]).await.status, 303);
    let seen = class.judged(&mut watch).await;
    let edited = seen.entries.iter().filter(|entry| entry.what.act == Act::Edited).count();
    assert_eq!((class.limits(), edited), (vec![dollars(8); 3], 1));
    let overview = admin.get(ID).await;
    assert_eq!(jobs(&overview), [job("limits", "done", 3, 3)]);
    assert_eq!(
        overview.attributes("reserved", "data-usd"),
        ["60.000000"],
        "nobody knows yet what was used under the old limit"
    );
    assert_eq!(overview.attributes("implied", "data-usd"), ["60.000000"]);
    class.stack.clock.advance(SignedDuration::from_mins(20)).unwrap();
    assert_eq!(crate::sync::sync(&class.stack).await["complete"], true);
    watch.check_after_sync().await;
    assert_eq!(class.reserved().await, Usd::from_dollars(24));
    assert_eq!(edits(&class.admin().await, &[("cap_usd", "8.00")]).await.status, 303, "the same once more");
    assert_eq!(class.job("limits").await.unwrap().done, 3);
    class.stack.finish_leaving(&[Left::PerhapsMails]).await;
}

#[tokio::test]
async fn a_higher_cap_takes_its_room_first_and_is_refused_with_both_numbers_where_there_is_none() {
    let class = Class::of(&["ada", "bob", "cid"]).await;
    let (admin, mut watch) = (class.admin().await, class.watch());
    class.judged(&mut watch).await;
    let refused = edits(&admin, &[("cap_usd", "40")]).await;
    assert_eq!((refused.status, refused.form(ID).value("cap_usd")), (422, Some("40")));
    assert!(refused.alerts()[1].contains("$120") && refused.alerts()[1].contains("$100"), "{:?}", refused.alerts());
    assert_eq!(class.limits(), vec![dollars(20); 3]);
    class.judged(&mut watch).await;

    assert_eq!(edits(&admin, &[("cap_usd", "33")]).await.status, 303);
    assert_eq!((class.limits(), class.reserved().await), (vec![dollars(33); 3], Usd::from_dollars(99)));
    class.judged(&mut watch).await;

    let too_small = edits(&admin, &[("pot_usd", "98")]).await;
    assert_eq!((too_small.status, too_small.form(ID).value("pot_usd")), (422, Some("98")));
    assert!(too_small.alerts()[1].contains("$98") && too_small.alerts()[1].contains("$99"), "{:?}", too_small.alerts());
    // Both at once are judged together.
    assert_eq!(edits(&admin, &[("pot_usd", "120"), ("cap_usd", "40")]).await.status, 303);
    assert_eq!((class.limits(), class.reserved().await), (vec![dollars(40); 3], Usd::from_dollars(120)));
    assert_eq!(edits(&admin, &[("pot_usd", "119.999999")]).await.status, 422);
    class.judged(&mut watch).await;
    class.stack.finish_leaving(&[Left::PerhapsMails]).await;
}

#[tokio::test]
async fn after_an_edit_the_page_says_for_how_many_the_pot_is_enough_and_to_admins_what_the_balance_lacks() {
    let class = Class::of(&["ada"]).await;
    for name in ["bob", "cid", "dan", "eve", "fay"] {
        class.office().invite(&format!("{name}@example.edu")).await;
    }
    let admin = class.admin().await;
    let about_the_balance = |page: &Page| {
        let warnings = page.texts("warning").into_iter().filter(|text| text.contains("the account's balance is"));
        warnings.collect::<Vec<_>>()
    };
    // What Ada may have used under the old limit is counted until it is read.
    for (cap, implied, enough) in
        [("20", "120.000000", "5 of 6"), ("16", "100.000000", "all of them"), ("25", "150.000000", "4 of 6")]
    {
        assert_eq!(edits(&admin, &[("cap_usd", cap), ("faculty", "faye@example.edu")]).await.status, 303);
        let page = admin.get(ID).await;
        assert_eq!(page.attributes("implied", "data-usd"), [implied]);
        assert!(page.readable().contains(&format!("the budget is enough for {enough}")), "{cap}: {}", page.readable());
        assert_eq!(about_the_balance(&page), Vec::<String>::new(), "no sync has read it");
    }
    let faculty = signed_in(&class.stack, "faye@example.edu").await;
    for (credits, lacks) in [(149, Some(["$150", "$149"])), (150, None)] {
        class.stack.provider.as_ref().unwrap().set_credits(dollars(credits).unwrap()).unwrap();
        assert_eq!(crate::sync::sync(&class.stack).await["complete"], true);
        let warnings = about_the_balance(&admin.get(ID).await);
        assert_eq!(warnings.len(), usize::from(lacks.is_some()), "{warnings:?}");
        assert!(lacks.is_none_or(|amounts| amounts.iter().all(|amount| warnings[0].contains(amount))), "{warnings:?}");
        assert_eq!(about_the_balance(&faculty.get(ID).await), Vec::<String>::new(), "only admins see the account");
    }
    class.watch().check().await;
    class.stack.finish_leaving(&[Left::PerhapsMails]).await;
}

#[tokio::test]
async fn the_end_moves_as_far_as_the_keys_reach_and_what_counts_in_them_does_not_move() {
    let class = Class::of(&["ada"]).await;
    let (admin, mut watch) = (class.admin().await, class.watch());
    class.judged(&mut watch).await;
    let ends_on = |page: &Page| page.form(ID).value("ends_on").unwrap().parse::<jiff::civil::Date>().unwrap();
    let end = ends_on(&admin.get(ID).await);
    let day = |days: i64| end.saturating_add(jiff::Span::new().days(days)).to_string();
    for (field, value, status) in
        [("ends_on", day(15), 422), ("reset", "weekly".to_owned(), 409), ("byok", "outside".to_owned(), 409)]
    {
        let refused = edits(&admin, &[(field, &value)]).await;
        assert_eq!((refused.status, refused.alerts().len()), (status, 2), "{field}: {:?}", refused.alerts());
        assert_eq!(refused.form(ID).value(field), Some(&*value), "what was typed stays");
    }
    for days in [14, -30] {
        let saved = edits(&admin, &[("ends_on", &day(days))]).await;
        assert_eq!(saved.status, 303, "{days}: {:?}", saved.alerts());
        class.judged(&mut watch).await;
    }
    assert_eq!(class.enabled(), 1, "the term goes on");
    class.stack.finish_leaving(&[Left::PerhapsMails]).await;
}

#[tokio::test]
async fn an_end_that_is_earlier_than_today_ends_every_key_at_once() {
    let class = Class::of(&["ada", "bob"]).await;
    class.stack.clock.advance(SignedDuration::from_hours(24 * 10)).unwrap();
    let (admin, mut watch) = (class.admin().await, class.watch());
    class.judged(&mut watch).await;
    let starts_on = admin.get(ID).await.form(ID).value("starts_on").unwrap().to_owned();
    assert_eq!(edits(&admin, &[("ends_on", &starts_on)]).await.status, 303);
    class.judged(&mut watch).await;
    assert_eq!((class.enabled(), jobs(&admin.get(ID).await)), (0, vec![job("close", "done", 2, 2)]));
    class.stack.finish_leaving(&[Left::PerhapsMails]).await;
}

/// The end was a mistake, and is taken back before anybody's grant was ended.
#[tokio::test]
async fn a_term_that_goes_on_after_all_ends_nobody_any_more() {
    let class = Class::of(&["ada", "bob"]).await;
    class.stack.clock.advance(SignedDuration::from_hours(24 * 10)).unwrap();
    let (stack, admin, mut watch) = (&class.stack, class.admin().await, class.watch());
    class.judged(&mut watch).await;
    let page = admin.get(ID).await;
    let [starts_on, ends_on] = ["starts_on", "ends_on"].map(|field| page.form(ID).value(field).unwrap().to_owned());
    // The request dies before it ends anybody's grant.
    let all_but_the_edit = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Console).after(1);
    let killed = stack.gate.at(all_but_the_edit, Fault::KillBefore);
    admin.submit(&page, ID, &[("ends_on", &starts_on)]).await;
    stack.gate.lift(killed);
    assert_eq!(jobs(&admin.get(ID).await)[0].1, "running");
    assert_eq!(edits(&admin, &[("ends_on", &ends_on)]).await.status, 303);
    class.judged(&mut watch).await;
    for _ in 0..2 {
        class.works().await;
        class.judged(&mut watch).await;
    }
    let after = admin.get(ID).await;
    assert!(after.texts("job").iter().any(|text| text.contains("The term goes on.")), "{:?}", after.texts("job"));
    assert_eq!(class.enabled(), 2);
    class.stack.finish_leaving(&[Left::PerhapsMails, Left::PerhapsComplaints(&[("console", "")])]).await;
}

/// Two edits of one form's state, one of them held just before its write.
#[tokio::test]
async fn of_two_edits_at_once_one_is_saved_and_the_other_sees_both_values_and_keeps_what_it_changed() {
    let class = Class::of(&["ada"]).await;
    let admin = Arc::new(class.admin().await);
    let (one, other) = (Arc::clone(&admin), &admin);
    let (of_one, of_other, of_a_third) = (one.get(ID).await, other.get(ID).await, other.get(ID).await);
    let held = class.stack.gate.hold(Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Console));
    let slow = tokio::spawn(async move { one.submit(&of_one, ID, &[("cap_usd", "9"), ("contact", "room 1")]).await });
    held.arrived().await;
    assert_eq!(other.submit(&of_other, ID, &[("cap_usd", "12"), ("replacements", "7")]).await.status, 303);
    drop(held);
    let stale = slow.await.unwrap();
    assert_eq!(stale.status, 409);
    let form = stale.form(ID);
    let carried = ["cap_usd", "contact", "replacements"].map(|field| form.value(field).unwrap_or_default());
    assert_eq!(carried, ["9", "room 1", "7"], "what this person changed, and all else as it is now");
    assert!(stale.body.contains("It is now: 12"), "both of them changed the cap");
    assert_eq!(admin.submit(&stale, ID, &[]).await.status, 303);
    let now = admin.get(ID).await.form(ID);
    let saved = ["cap_usd", "contact", "replacements"].map(|field| now.value(field).unwrap_or_default());
    assert_eq!((saved, class.limits()), (["9", "room 1", "7"], vec![dollars(9)]));
    // A stale form with a field that cannot be read: that comes first, and what others saved stays all the same.
    let unreadable = admin.submit(&of_a_third, ID, &[("cap_usd", "1e3"), ("contact", "hall 2")]).await;
    let form = unreadable.form(ID);
    let carried = ["cap_usd", "contact", "replacements"].map(|field| form.value(field).unwrap_or_default());
    assert_eq!((unreadable.status, carried), (422, ["1e3", "hall 2", "7"]));
    assert!(unreadable.body.contains("It is now: room 1"), "both of them changed whom to ask");
    assert_eq!(admin.submit(&unreadable, ID, &[("cap_usd", "9")]).await.status, 303);
    let now = admin.get(ID).await.form(ID);
    assert_eq!((now.value("contact"), now.value("replacements")), (Some("hall 2"), Some("7")));
    class.watch().check().await;
    class.stack.finish_leaving(&[Left::PerhapsMails]).await;
}

#[tokio::test]
async fn a_groups_cap_is_its_members_and_whoever_changes_the_group_gets_the_other_one_at_once() {
    const GROUPS: &str = "/console/programmes/cs-pilot/groups";
    let class = Class::of(&["ada", "bob"]).await;
    let (admin, mut watch) = (class.admin().await, class.watch());
    class.judged(&mut watch).await;
    let file = "email,group\nada@example.edu,A\nbob@example.edu,B: late & loud\n";
    let moved = |file: &'static str| {
        let admin = &admin;
        async move {
            let shown = crate::console::roster::preview(admin, "add", file).await;
            assert_eq!(admin.submit(&shown, "/console/programmes/cs-pilot/roster/apply", &[]).await.status, 303);
        }
    };
    moved(file).await;
    let page = admin.get(GROUPS).await.expect(200);
    assert_eq!(page.attributes("group", "data-name"), ["A", "B: late & loud"]);
    let (a, b) = ("cap_usd.A", "cap_usd.B: late & loud");
    for bad in ["0", "x", "1e3", "-5"] {
        let refused = admin.submit(&page, GROUPS, &[(a, bad), (b, "5")]).await;
        assert_eq!((refused.status, refused.alerts().len()), (422, 2), "{bad}: {:?}", refused.alerts());
        assert_eq!((refused.form(GROUPS).value(a), refused.form(GROUPS).value(b)), (Some(bad), Some("5")));
    }
    let no_room = admin.submit(&page, GROUPS, &[(b, "81")]).await;
    assert!(no_room.status == 422 && no_room.alerts()[1].contains("$101"), "{:?}", no_room.alerts());
    assert_eq!(admin.submit(&page, GROUPS, &[(a, "5"), (b, "30")]).await.status, 303);
    assert_eq!((class.limits(), class.reserved().await), (vec![dollars(5), dollars(30)], Usd::from_dollars(50)));
    class.judged(&mut watch).await;
    let stale = admin.submit(&page, GROUPS, &[(a, "6")]).await;
    assert_eq!((stale.status, stale.form(GROUPS).value(a), stale.form(GROUPS).value(b)), (409, Some("6"), Some("30")));
    assert_eq!(admin.submit(&stale, GROUPS, &[]).await.status, 303);
    assert_eq!(class.limits(), [dollars(6), dollars(30)]);
    moved("email,group\nada@example.edu,B: late & loud\nbob@example.edu,\n").await;
    assert_eq!(class.limits(), [dollars(30), dollars(20)], "the other group's, and the programme's");
    class.judged(&mut watch).await;
    assert_eq!(admin.submit(&admin.get(GROUPS).await, GROUPS, &[(b, "")]).await.status, 303);
    assert_eq!(class.limits(), [dollars(20), dollars(20)], "blank means the programme's");
    class.judged(&mut watch).await;
    class.stack.finish_leaving(&[Left::PerhapsMails]).await;
}

/// The answer of the table or of the provider is lost somewhere in the request that edits.
#[tokio::test]
async fn an_edit_whose_answer_is_lost_is_saved_once_or_not_at_all() {
    let class = Class::of(&["ada"]).await;
    let mut watch = class.watch();
    class.judged(&mut watch).await;
    let admin = class.admin().await;
    for (round, verdict) in
        [Fault::LoseAnswer, Fault::LoseAnswer, Fault::StatusAfter(500), Fault::Status(503)].into_iter().enumerate()
    {
        let cap = 10 + round;
        let write = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Console);
        class.stack.gate.at(write, verdict);
        assert_eq!(edits(&admin, &[("cap_usd", &cap.to_string())]).await.status, 303, "{verdict}");
        let seen = class.judged(&mut watch).await;
        let edited = seen.entries.iter().filter(|entry| entry.what.act == Act::Edited).count();
        assert_eq!((edited, class.limits()), (round + 1, vec![dollars(i64::try_from(cap).unwrap())]), "{verdict}");
    }
    class.stack.finish_leaving(&[Left::PerhapsMails]).await;
}
