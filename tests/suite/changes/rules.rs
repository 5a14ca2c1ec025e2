//! What keys may call: for a programme and its groups, edited while people hold keys, at the
//! provider at once.

use bursar_core::domain::programme::guardrail::{Guardrail, GuardrailOwner};
use bursar_tests::office::soon;

use super::*;

const GROUPS: &str = "/console/programmes/cs-pilot/groups";
const MINI: &str = "openai/gpt-4o-mini";
const SONNET: &str = "anthropic/claude-sonnet-4.5";
const GEMINI: &str = "google/gemini-2.5-flash";
const ASSIGN: &str = "provider:POST /guardrails/{id}/assignments/keys";

/// The models that each of these may call.
fn may(campus: &Campus, names: &[&str]) -> Vec<Vec<String>> {
    let of = |name: &&str| {
        let id = campus.key(name).guardrail_id.unwrap();
        campus.provider().allowed_models(&id).unwrap_or_default()
    };
    names.iter().map(of).collect()
}

#[tokio::test]
async fn a_group_is_held_to_its_own_models() {
    let mut campus = class(&[]).await;
    let admin = campus.admin().await;
    let (ada, bob) = (
        claims(&mut campus, "ada").await,
        claims(&mut campus, "bob").await,
    );
    campus.judged().await;
    applied(
        &admin,
        "add",
        "email,group\nada@example.edu,A\nbob@example.edu,B\n",
    )
    .await;
    campus.minutes(1);
    let page = admin.get(GROUPS).await;
    let refused = admin
        .submit(
            &page,
            GROUPS,
            &[("models.A", "gpt four"), ("cap_usd.A", "6")],
        )
        .await;
    assert_eq!(
        (refused.status, refused.form(GROUPS).value("cap_usd.A")),
        (422, Some("6")),
        "{:?}",
        refused.alerts()
    );
    assert!(
        refused.alerts()[1].contains("gpt names no provider"),
        "{:?}",
        refused.alerts()
    );
    assert_eq!(
        admin
            .submit(&page, GROUPS, &[("models.A", MINI)])
            .await
            .status,
        303
    );
    campus.finish_work().await;
    for (key, model, status) in [
        (&ada, MINI, 200),
        (&ada, SONNET, 403),
        (&bob, MINI, 200),
        (&bob, SONNET, 200),
    ] {
        assert_eq!(asks(&campus, key, model).await, status, "{model}");
    }
    assert_eq!(
        jobs(&admin.get(ID).await),
        [job("import", "done", 2, 2), job("limits", "done", 2, 2)]
    );

    // Whoever comes to the group, and whoever makes a key in it, is under its rules; whoever leaves
    // it is not any more.
    applied(
        &admin,
        "add",
        "email,group\nada@example.edu,B\nbob@example.edu,A\neve@example.edu,A\n",
    )
    .await;
    let eve = campus.student("eve").await;
    let eve = eve
        .fill("/my", "/my/cs-pilot/reveal", &[])
        .await
        .expect(200)
        .one("key")
        .text;
    campus.finish_work().await;
    for (key, status) in [(&ada, 200), (&bob, 403), (&eve, 403)] {
        assert_eq!(asks(&campus, key, SONNET).await, status);
    }
    let stale = admin.submit(&page, GROUPS, &[("models.A", SONNET)]).await;
    assert!(
        stale.status == 409 && stale.body.contains(&format!("It is now: {MINI}")),
        "{:?}",
        stale.alerts()
    );
    // Every key follows its guardrail, and none is moved: not when the group loses its rules, nor
    // when it has others again.
    let assigned = campus
        .gate
        .calls()
        .iter()
        .filter(|made| made.name.to_string() == ASSIGN)
        .count();
    for (models, sonnet) in [("", 200), (GEMINI, 403)] {
        assert_eq!(
            admin
                .fill(GROUPS, GROUPS, &[("models.A", models)])
                .await
                .status,
            303
        );
        campus.finish_work().await;
        for key in [&bob, &eve] {
            assert_eq!(
                asks(&campus, key, SONNET).await,
                sonnet,
                "blank means the programme's"
            );
        }
    }
    assert_eq!(
        campus
            .gate
            .calls()
            .iter()
            .filter(|made| made.name.to_string() == ASSIGN)
            .count(),
        assigned
    );
    campus.sync().await;
    campus.judged_after_sync().await;
    campus.finish().await;
}

#[tokio::test]
async fn providers_and_regions_hold() {
    let mut campus = class(&[]).await;
    let admin = campus.admin().await;
    let ada = claims(&mut campus, "ada").await;
    let bad = ["Open AI", "-x", "openai opnai"].map(|bad| ("providers", bad));
    for (field, bad) in bad
        .into_iter()
        .chain([("regions", "asia"), ("regions", "Europe")])
    {
        let refused = campus.edit(&admin, &[(field, bad)]).await;
        assert_eq!(
            (refused.status, refused.form(ID).value(field)),
            (422, Some(bad)),
            "{:?}",
            refused.alerts()
        );
    }
    let down = goes_down(&campus, "provider:GET /providers");
    let later = campus.edit(&admin, &[("providers", "openai")]).await;
    comes_up(&campus, down);
    assert_eq!(
        (later.status, later.form(ID).value("providers")),
        (503, Some("openai")),
        "{:?}",
        later.alerts()
    );
    for (fields, mini, gemini) in [
        ([("providers", "google-vertex"), ("regions", "")], 403, 200),
        (
            [("providers", "openai, anthropic"), ("regions", "us")],
            200,
            403,
        ),
        ([("providers", ""), ("regions", "europe")], 403, 200),
        ([("providers", ""), ("regions", "europe us")], 200, 200),
        ([("providers", ""), ("regions", "")], 200, 200),
    ] {
        assert_eq!(campus.edit(&admin, &fields).await.status, 303, "{fields:?}");
        campus.finish_work().await;
        let asked = (
            asks(&campus, &ada, MINI).await,
            asks(&campus, &ada, GEMINI).await,
        );
        assert_eq!(asked, (mini, gemini), "{fields:?}");
    }
    campus.finish_faulted().await;
}

/// The provider refuses the list of one group; everybody else's keys follow theirs all the same,
/// and saving it again sends it.
#[tokio::test]
async fn a_refused_list_keeps_nobody_else_from_theirs() {
    let campus = class(&["ada", "bob"]).await;
    let admin = campus.admin().await;
    applied(&admin, "add", "email,group\nada@example.edu,A\n").await;
    campus.restrict().await;
    campus.finish_work().await;
    let make = Matcher::call("provider:POST /guardrails");
    let refused = campus.gate.at(make.every(), Fault::Status(400));
    assert_eq!(
        admin
            .fill(GROUPS, GROUPS, &[("models.A", SONNET)])
            .await
            .status,
        303
    );
    assert_eq!(campus.edit(&admin, &[("models", GEMINI)]).await.status, 303);
    campus.finish_work().await;
    assert_eq!(
        may(&campus, &["ada", "bob"]),
        [[GEMINI], [GEMINI]],
        "ada waits under the programme's"
    );
    assert!(jobs(&admin.get(ID).await).contains(&job("limits", "running", 1, 2)));
    campus.gate.lift(refused);
    // Blank, and the same list again: nobody waits for the pause after the refusal.
    for models in ["", SONNET] {
        assert_eq!(
            admin
                .fill(GROUPS, GROUPS, &[("models.A", models)])
                .await
                .status,
            303
        );
    }
    campus.finish_work().await;
    assert_eq!(may(&campus, &["ada", "bob"]), [[SONNET], [GEMINI]]);
    campus.finish_faulted().await;
}

/// The audit tells of a guardrail that was made while other rules, which were sent before, may
/// still come.
#[tokio::test]
async fn a_guardrail_in_doubt_is_told() {
    let campus = class(&[]).await;
    let admin = campus.admin().await;
    campus.gate.at(
        Matcher::call("provider:POST /guardrails"),
        Fault::Status(503),
    );
    for models in [MINI, GEMINI] {
        campus.edit(&admin, &[("models", models)]).await.expect(303);
        campus.judged().await;
    }
    campus.finish_work().await;
    campus.finish_faulted().await;
}

/// The worker has looked at guardrails as they were, and rules are edited before it notes that all
/// are right.
#[tokio::test]
async fn rules_edited_meanwhile_stay_due() {
    let campus = class(&["ada"]).await;
    campus.restrict().await;
    let of = GuardrailOwner {
        programme: campus.programme.clone(),
        group: None,
    };
    let read = || campus.table.get(Guardrail::key_of(&of));
    let looked_at = read().await.unwrap().unwrap();
    campus
        .set(|settings| settings.rules.all.models = vec!["openai/gpt-4o".to_owned()])
        .await;
    campus
        .table
        .guardrail_due_at(looked_at, None, soon())
        .await
        .unwrap();
    assert!(read().await.unwrap().unwrap().due_at.is_some());
    campus.finish_work().await;
    campus.finish().await;
}

/// The rules of nine guardrails, of which three calls take all the time: the rest is told by the
/// next work, and the provider's are listed once a round.
#[tokio::test]
async fn rules_of_many_groups_go_on() {
    let campus = class(&[]).await;
    let admin = campus.admin().await;
    let groups = ["A", "B", "C", "D", "E", "F", "G", "H"];
    applied(
        &admin,
        "add",
        &groups.iter().fold("email,group\n".to_owned(), |file, of| {
            file + &format!("{of}@example.edu,{of}\n")
        }),
    )
    .await;
    let make = "provider:POST /guardrails";
    let slow = [2, 3, 4].map(|nth| campus.gate.hold_answers(Matcher::call(make).nth(nth)));
    let names = groups.map(|of| format!("models.{of}"));
    let fields: Vec<(&str, &str)> = names.iter().map(|name| (&**name, MINI)).collect();
    admin.fill(GROUPS, GROUPS, &fields).await.expect(303);
    let count = |call: &str| {
        campus
            .gate
            .calls()
            .iter()
            .filter(|made| made.name.to_string() == call)
            .count()
    };
    assert!(
        count(make) < 9 && count("provider:GET /guardrails") == 1,
        "{} were begun",
        count(make)
    );
    campus
        .run(FunctionName::Console, json!({"task": "work"}))
        .await
        .unwrap();
    assert_eq!(count(make), 9);
    drop(slow);
    campus.finish_work().await;
    campus.finish_faulted().await;
}
