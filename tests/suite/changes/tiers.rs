//! Tiers: lists of models that admins keep, and that every key under them follows.

use super::*;

const TIERS: &str = "/console/tiers";
const MINI: &str = "openai/gpt-4o-mini";
const SONNET: &str = "anthropic/claude-sonnet-4.5";

/// Saves a tier as a form of this version does.
async fn saves(admin: &Visitor, tier: &str, models: &str, version: &str) -> Page {
    let page = admin.get(TIERS).await;
    admin
        .submit(
            &page,
            TIERS,
            &[("tier", tier), ("models", models), ("version", version)],
        )
        .await
}

#[tokio::test]
async fn admins_make_edit_and_remove_tiers() {
    let campus = class(&[]).await;
    let admin = campus.admin().await;
    let names = async || admin.get(TIERS).await.attributes("tier", "data-name");
    assert_eq!(names().await, ["basic", "free", "pro"]);
    for (tier, models, version, says) in [
        ("basic", "gpt four", "0", "gpt names no provider"),
        ("basic", "pro", "0", "no other list"),
        ("First Year", MINI, "", "small letters"),
        ("first-year", "", "", "at least one model"),
        ("basic", MINI, "x", "which version"),
    ] {
        let refused = saves(&admin, tier, models, version).await;
        assert_eq!(refused.status, 422, "{tier}: {:?}", refused.alerts());
        assert!(
            refused.alerts().iter().any(|alert| alert.contains(says)),
            "{tier}: {:?}",
            refused.alerts()
        );
        assert!(refused.body.contains(models), "what was typed is kept");
    }
    assert_eq!(saves(&admin, "first-year", MINI, "").await.status, 303);
    assert_eq!(
        saves(&admin, "first-year", MINI, "").await.status,
        303,
        "a second request changes nothing"
    );
    campus.judged().await;
    for (tier, version) in [("first-year", ""), ("basic", ""), ("basic", "7")] {
        let stale = saves(&admin, tier, SONNET, version).await;
        assert!(
            stale.status == 409 && stale.body.contains("It is now: "),
            "{tier}: {:?}",
            stale.alerts()
        );
    }
    // A programme and a group name it, so it stays.
    for models in ["first-year", "last-year"] {
        let saved = campus.edit(&admin, &[("models", models)]).await;
        assert_eq!(
            saved.status == 303,
            models == "first-year",
            "{models}: {:?}",
            saved.alerts()
        );
    }
    let named = saves(&admin, "first-year", "", "1").await;
    assert!(
        named.status == 409 && named.alerts().join(" ").contains("CS pilot names it"),
        "{:?}",
        named.alerts()
    );
    assert_eq!(campus.edit(&admin, &[("models", "")]).await.status, 303);
    assert_eq!(saves(&admin, "first-year", "", "1").await.status, 303);
    assert_eq!(saves(&admin, "free", "", "0").await.status, 303);
    assert_eq!(names().await, ["basic", "pro"]);
    assert_eq!(
        saves(&admin, "first-year", SONNET, "").await.status,
        303,
        "it may be made again"
    );
    campus.judged().await;
    campus.finish().await;
}

#[tokio::test]
async fn every_key_follows_its_tier() {
    let mut campus = class(&[]).await;
    let admin = campus.admin().await;
    let (ada, bob) = (
        claims(&mut campus, "ada").await,
        claims(&mut campus, "bob").await,
    );
    applied(&admin, "add", "email,group\nada@example.edu,A\n").await;
    let groups = "/console/programmes/cs-pilot/groups";
    let unknown = admin.fill(groups, groups, &[("models.A", "gold")]).await;
    assert!(
        unknown.status == 422 && unknown.alerts()[1].contains("basic, free, pro"),
        "{:?}",
        unknown.alerts()
    );
    assert_eq!(
        admin
            .fill(groups, groups, &[("models.A", "basic")])
            .await
            .status,
        303
    );
    campus.finish_work().await;
    let asked = async |model| {
        (
            asks(&campus, &ada, model).await,
            asks(&campus, &bob, model).await,
        )
    };
    assert_eq!(
        (asked(MINI).await, asked(SONNET).await),
        ((200, 200), (403, 200))
    );
    let student = campus.student("ada").await;
    assert!(
        student.get("/my").await.body.contains(MINI),
        "the models, not the tier's name"
    );
    assert_eq!(saves(&admin, "basic", SONNET, "0").await.status, 303);
    campus.finish_work().await;
    assert_eq!(
        (asked(MINI).await, asked(SONNET).await),
        ((403, 200), (200, 200))
    );
    assert!(student.get("/my").await.body.contains(SONNET));
    // A request that dies as soon as it is saved leaves the rest to the work of a minute.
    campus
        .table
        .edit_tier("basic", &[MINI.to_owned()], Some(1), campus.by())
        .await
        .unwrap();
    campus.finish_work().await;
    assert_eq!(
        (asked(MINI).await, asked(SONNET).await),
        ((200, 200), (403, 200))
    );
    campus.sync().await;
    campus.judged_after_sync().await;
    campus.finish().await;
}
