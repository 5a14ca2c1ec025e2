//! What the check must not take for evidence: refusals for other reasons, counters that are absent, somebody
//! else's spending, and answers that only put it off.

use http::Method;
use provider_check::Finding;
use provider_check::assumptions::*;

use super::world::{Told, World};

#[tokio::test]
async fn a_refusal_that_came_before_the_key_was_disabled_proves_nothing() {
    let world = World::open().await;
    world.answers(
        Some(|asked| {
            let lifted = asked.last(|call| call.is(&Method::PATCH, "guardrails/*"));
            (asked.is(&Method::POST, "chat/completions") && lifted.is_some())
                .then(|| Told::refused(403, "not this model"))
        }),
        None,
    );
    let findings = world.check().await;
    assert!(matches!(findings.of(&RULES_LIFTED), Finding::NotHeld(_)), "{findings}");
    for assumption in [&DISABLE_BINDS, &DISABLED_IS_401] {
        let finding = findings.of(assumption);
        assert!(matches!(&finding, Finding::NotSeen(why) if why.contains("not this model")), "{finding:?}");
    }
    assert!(findings.ended_early.is_none() && world.is_clean().await, "{findings}");
}
