//! Models that a form names for the first time are looked for in the provider's public list.

use super::*;

const NEW: &str = "/console/programmes/new";
const CREATE: &str = "/console/programmes";
const GROUPS: &str = "/console/programmes/cs-pilot/groups";
const TIERS: &str = "/console/tiers";
const LIST: &str = "provider:GET /models";
const MINI: &str = "openai/gpt-4o-mini";

/// A form that names models.
struct ModelsForm {
    page: &'static str,
    path: &'static str,
    field: &'static str,
    /// What else it needs, or may have.
    more: &'static [(&'static str, &'static str)],
}

const FORMS: [ModelsForm; 4] = [
    ModelsForm {
        page: NEW,
        path: CREATE,
        field: "models",
        more: &[
            ("name", "Another"),
            ("starts_on", "2026-01-01"),
            ("ends_on", "2035-12-31"),
            ("timezone", "UTC"),
            ("cap_usd", "20"),
            ("budget_usd", "40"),
        ],
    },
    ModelsForm {
        page: SETTINGS,
        path: ID,
        field: "models",
        more: &[("contact", "room 1")],
    },
    ModelsForm {
        page: GROUPS,
        path: GROUPS,
        field: "models.A",
        more: &[("cap_usd.A", "6")],
    },
    ModelsForm {
        page: TIERS,
        path: TIERS,
        field: "models",
        more: &[("tier", "first-year"), ("version", "")],
    },
];

#[tokio::test]
async fn unknown_models_are_refused() {
    let campus = class(&[]).await;
    let admin = campus.admin().await;
    applied(&admin, "add", "email,group\nada@example.edu,A\n").await;
    for ModelsForm {
        page,
        path,
        field,
        more,
    } in FORMS
    {
        let sends = async |models: &str| {
            let page = admin.get(page).await;
            admin
                .submit(&page, path, &[more, &[(field, models)]].concat())
                .await
        };
        let unknown = sends("openai/gpt-4o-mini openai/gpt-4o-mni").await;
        assert_eq!(unknown.status, 422, "{path}: {:?}", unknown.alerts());
        let says = unknown.alerts().join(" ");
        assert!(
            says.contains("no such model: openai/gpt-4o-mni.") && !says.contains(MINI),
            "{path}: {says}"
        );
        assert!(
            unknown.body.contains("gpt-4o-mni") && unknown.body.contains(more[0].1),
            "{path} keeps what was typed"
        );
        let down = goes_down(&campus, LIST);
        let later = sends(MINI).await;
        comes_up(&campus, down);
        assert_eq!(
            (later.status, later.header("retry-after")),
            (503, Some("10")),
            "{path}: {:?}",
            later.alerts()
        );
        assert!(
            later.alerts().join(" ").contains("cannot be read now"),
            "{path}: {:?}",
            later.alerts()
        );
        assert!(
            later.body.contains(MINI) && later.body.contains(more[0].1),
            "{path} keeps what was typed"
        );
        assert_eq!(sends(MINI).await.status, 303, "{path}");
        campus.judged().await;
    }
    // A form that is stale as well keeps nothing of what others saved meanwhile from its person.
    let (stale, down) = (admin.get(SETTINGS).await, goes_down(&campus, LIST));
    assert_eq!(campus.edit(&admin, &[("cap_usd", "8")]).await.status, 303);
    let later = admin
        .submit(&stale, ID, &[("models", "openai/gpt-4o")])
        .await;
    assert_eq!(
        (later.status, later.form(ID).value("cap_usd")),
        (503, Some("8")),
        "{:?}",
        later.alerts()
    );
    comes_up(&campus, down);
    assert_eq!(admin.submit(&later, ID, &[]).await.status, 303);
    assert_eq!(
        admin.get(SETTINGS).await.form(ID).value("cap_usd"),
        Some("8")
    );
    campus.judged().await;
    // What was named before is asked for by nobody, so that another field can be saved whatever the
    // provider lists.
    let down = goes_down(&campus, LIST);
    assert_eq!(
        campus.edit(&admin, &[("contact", "room 2")]).await.status,
        303
    );
    assert_eq!(
        admin
            .fill(GROUPS, GROUPS, &[("cap_usd.A", "7")])
            .await
            .status,
        303
    );
    comes_up(&campus, down);
    campus.judged().await;
    campus.finish_faulted().await;
}
