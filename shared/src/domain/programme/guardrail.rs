//! Guardrails: what keys may call, as the provider holds it. A programme with rules has one, and so
//! has each of its groups with rules of its own. Other rules are sent to the guardrail, and all
//! keys under it follow at once.
//!
//! A guardrail is never removed, and no key is taken from under one: a group that loses its own
//! rules gets the programme's, and lifted rules allow all. A key is put under another guardrail
//! only where its owner gets the first rules, where one had to be made again, and where its student
//! changes the group.
//!
//! It is right when the provider confirmed the rules that settings and tiers ask for by now, and
//! nothing else that was sent may still take effect. Whoever finds that it is not sends them.

use std::fmt;

use data_encoding::HEXLOWER;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::Moment;
use crate::domain::held::Held;
use crate::domain::programme::rules::{ListedModel, Rules, Tiers};
use crate::domain::programme::{KeyRules, Programme, rules};
use crate::domain::values::id::{DeploymentId, ProgrammeId};
use crate::domain::values::partition::{overview_key, overview_range};
use crate::schema::{Queue, stored};

/// The time for which the provider may refuse rules before the admins are alerted, so that a
/// mistyped model can be mended first.
const REFUSAL_TOLD_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// The bounds of the pause before refused rules are sent again. Within them, the pause is as long
/// as they have been refused.
const LEAST_PAUSE: SignedDuration = SignedDuration::from_mins(1);
const MOST_PAUSE: SignedDuration = SignedDuration::from_hours(1);
/// How long whoever sends rules has for it: longer than its calls may take.
const SENDING: SignedDuration = SignedDuration::from_secs(40);
/// The most characters of a guardrail's name at the provider.
const LONGEST_NAME: usize = 200;

/// Whose guardrail it is: a programme's, or that of one of its groups.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GuardrailOwner {
    pub programme: ProgrammeId,
    pub group: Option<String>,
}

/// A guardrail, with the rules that the provider may hold of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guardrail {
    #[serde(flatten)]
    pub owner: GuardrailOwner,
    /// As the provider has it, once it confirmed any rules.
    pub remote: Option<MadeGuardrail>,
    pub rules: Held<Rules>,
    pub refusal: Option<RulesRefusal>,
    /// When it is to be looked at. That of a programme stands for all of it.
    pub due_at: Option<Moment>,
    /// The version, which every write increases; 0 before the first.
    pub version: u64,
}

stored! {
    Guardrail (owner: &GuardrailOwner) =>
        overview_key(&owner.programme, &format!("RULES#{}", owner.group.as_deref().unwrap_or_default()));
    list of_programme(programme: &ProgrammeId) => overview_range(programme, "RULES#");
    waits |guardrail| guardrail.due_at.map(|due_at| (Queue::GUARDRAIL, due_at))
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeGuardrail {
    pub id: String,
    /// Its rules as the provider spelled them in its last answer, which differs from what was sent.
    pub answered: String,
    pub answered_at: Moment,
}

/// The rules that keys under a guardrail have, as far as the provider confirmed any.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfirmedRules {
    pub id: String,
    pub rules: Rules,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesRefusal {
    pub rules: Rules,
    pub since: Moment,
    pub at: Moment,
    pub why: String,
}

impl GuardrailOwner {
    /// The name of the guardrail at the provider, by which it is found.
    pub fn name_at_provider(&self, deployment: &DeploymentId) -> String {
        let name = format!("bursar/{deployment}/{self}");
        if name.chars().count() <= LONGEST_NAME {
            return name;
        }
        let digest = HEXLOWER.encode(&Sha256::digest(&name));
        let head: String = name.chars().take(LONGEST_NAME - digest.len() - 1).collect();
        format!("{head}-{digest}")
    }
}

/// The programme's id, followed by the group.
impl fmt::Display for GuardrailOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.programme)?;
        self.group
            .as_ref()
            .map_or(Ok(()), |group| write!(f, "/{group}"))
    }
}

impl Guardrail {
    pub fn new(owner: GuardrailOwner) -> Guardrail {
        Guardrail {
            owner,
            remote: None,
            rules: Held::default(),
            refusal: None,
            due_at: None,
            version: 0,
        }
    }

    /// That of everybody in a programme, before anything was told of it.
    pub fn of_all(programme: ProgrammeId) -> Guardrail {
        Guardrail::new(GuardrailOwner {
            programme,
            group: None,
        })
    }

    pub fn confirmed(&self) -> Option<ConfirmedRules> {
        let remote = self.remote.as_ref()?;
        Some(ConfirmedRules {
            id: remote.id.clone(),
            rules: self.rules.known()?.clone(),
        })
    }

    /// Whether these rules are to be sent now. Where they were just saved, no pause after a refusal
    /// holds them up.
    pub fn is_due(&self, rules: &Rules, is_saved: bool, now: Moment) -> bool {
        let is_paused = self
            .refusal_of(rules)
            .is_some_and(|refusal| now < refusal.at + refusal.pause());
        let is_being_sent = self
            .rules
            .sent(rules)
            .is_some_and(|sent| now < sent + SENDING);
        self.rules.due(rules).is_some_and(|due| due <= now)
            && !is_being_sent
            && (is_saved || !is_paused)
    }

    /// The guardrail that is not there, or has other rules at the provider than it confirmed.
    /// Whoever sends its rules looks for it, and makes another where it is gone.
    #[must_use]
    pub fn doubted(&self) -> Guardrail {
        let mut doubted = self.clone();
        doubted.rules.doubt();
        doubted
    }

    /// The refusal of rules, which may be refused already.
    pub fn refusal_after(&self, rules: &Rules, why: &str, now: Moment) -> RulesRefusal {
        let since = self.refusal_of(rules).map_or(now, |refusal| refusal.since);
        RulesRefusal {
            rules: rules.clone(),
            since,
            at: now,
            why: why.to_owned(),
        }
    }

    /// The refusal of these rules that has lasted so long that the admins are alerted.
    pub fn refusal_to_be_told(&self, rules: &Rules, now: Moment) -> Option<&RulesRefusal> {
        self.refusal_of(rules)
            .filter(|refusal| refusal.is_told(now))
    }

    fn refusal_of(&self, rules: &Rules) -> Option<&RulesRefusal> {
        self.refusal
            .as_ref()
            .filter(|refusal| refusal.rules == *rules)
    }
}

impl RulesRefusal {
    /// Whether it has lasted so long that the admins are alerted.
    pub fn is_told(&self, now: Moment) -> bool {
        self.since + REFUSAL_TOLD_AFTER <= now
    }

    fn pause(&self) -> SignedDuration {
        self.at
            .duration_since(self.since)
            .clamp(LEAST_PAUSE, MOST_PAUSE)
    }
}

impl KeyRules {
    /// The rules for the members of a group, or for people without one.
    pub fn rules_for(&self, group: Option<&str>) -> Rules {
        match group.and_then(|group| self.group_models.get(group)) {
            Some(models) => Rules {
                models: models.clone(),
                ..self.all.clone()
            },
            None => self.all.clone(),
        }
    }

    /// Whether anybody may call a model.
    pub fn allow(&self, model: &ListedModel, tiers: &Tiers) -> bool {
        self.group_models
            .values()
            .chain([&self.all.models])
            .any(|models| {
                let models = rules::tier_named_in(models)
                    .and_then(|tier| tiers.models(tier))
                    .unwrap_or(models);
                models.is_empty() || models.iter().any(|slug| model.is_named(slug))
            })
    }

    /// Whether everybody may call everything.
    pub fn restrict_nobody(&self) -> bool {
        self.all.allow_all() && self.group_models.is_empty()
    }

    /// The tiers that are named, for everybody or for a group.
    pub fn tiers(&self) -> impl Iterator<Item = &str> {
        self.group_models
            .values()
            .chain([&self.all.models])
            .filter_map(|models| rules::tier_named_in(models))
    }

    /// Whose guardrails these settings need: the groups' with rules of their own, and the
    /// programme's if anything is restricted. Whoever leaves such a group is put under it, even if
    /// it allows all.
    fn guardrail_owners(&self, programme: &ProgrammeId) -> Vec<GuardrailOwner> {
        let mut groups: Vec<Option<String>> = self.group_models.keys().cloned().map(Some).collect();
        if !groups.is_empty() || !self.all.allow_all() {
            groups.push(None);
        }
        groups
            .into_iter()
            .map(|group| GuardrailOwner {
                programme: programme.clone(),
                group,
            })
            .collect()
    }

    /// Whether rules come to somebody who had none of their own before, so that keys have to be put
    /// under a guardrail.
    pub fn has_first_rules_since(&self, before: &KeyRules) -> bool {
        let restricts_first = !self.all.allow_all() && before.all.allow_all();
        restricts_first
            || self
                .group_models
                .keys()
                .any(|group| !before.group_models.contains_key(group))
    }
}

impl Programme {
    /// The guardrails of a programme that goes on, each with the rules that it is to have by now:
    /// those that were made, and those that its settings need.
    pub fn guardrails(
        &self,
        mut stored: Vec<Guardrail>,
        tiers: &Tiers,
        now: Moment,
    ) -> Vec<(Guardrail, Rules)> {
        if self.is_over(now) {
            return Vec::new();
        }
        let mut needed = self.settings.rules.guardrail_owners(&self.id);
        // What nobody needs any more may never have been made.
        stored.retain(|guardrail| {
            guardrail.remote.is_some()
                || guardrail.rules.is_in_doubt()
                || needed.contains(&guardrail.owner)
        });
        needed.retain(|owner| stored.iter().all(|guardrail| guardrail.owner != *owner));
        let guardrails = stored
            .into_iter()
            .chain(needed.into_iter().map(Guardrail::new));
        let with_rules = guardrails.map(|guardrail| {
            let rules = self
                .settings
                .rules
                .rules_for(guardrail.owner.group.as_deref())
                .resolve(tiers);
            (guardrail, rules)
        });
        with_rules.collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;
    use crate::tests::values::a_programme;

    fn rules(models: &[&str]) -> Rules {
        Rules {
            models: models.iter().map(|model| (*model).to_owned()).collect(),
            ..Rules::default()
        }
    }

    fn owner(group: Option<&str>) -> GuardrailOwner {
        GuardrailOwner {
            programme: a_programme().id,
            group: group.map(str::to_owned),
        }
    }

    fn confirmed(rules: &Rules, now: Moment) -> Guardrail {
        let mut guardrail = Guardrail::new(owner(None));
        guardrail.remote = Some(MadeGuardrail {
            id: "9a1c".to_owned(),
            answered: String::new(),
            answered_at: now,
        });
        guardrail.rules.take_in(rules, now, None, now);
        guardrail
    }

    /// Rules are sent until they are confirmed, and afterwards only if they change or are in doubt.
    #[test]
    fn rules_are_sent_until_confirmed() {
        let now: Moment = "2026-02-01T00:00:00Z".parse().unwrap();
        let one = rules(&["a/one"]);
        let two = rules(&["b/two"]);
        assert!(Guardrail::new(owner(None)).is_due(&one, false, now));
        let known = confirmed(&one, now);
        assert!(!known.is_due(&one, true, now) && known.is_due(&two, false, now));
        // Another sender of the same has its time, and others are sent at once.
        let mut sent = known.clone();
        sent.rules.note(&two, now);
        let due = |wanted: &Rules, seconds: i64| sent.is_due(wanted, true, now + seconds.seconds());
        assert_eq!(
            (due(&two, 39), due(&two, 40), due(&one, 1)),
            (false, true, true)
        );
        let gone = known.doubted();
        assert!(gone.is_due(&one, false, now + 1.minute()) && gone.confirmed().is_some());
    }

    #[test]
    fn refused_rules_wait_longer_each_time_and_others_do_not() {
        let now: Moment = "2026-02-01T00:00:00Z".parse().unwrap();
        let one = rules(&["a/one"]);
        let two = rules(&["b/two"]);
        let refused = |known: &Guardrail, at: Moment| {
            let refusal = known.refusal_after(&one, "no such model", at);
            Guardrail {
                refusal: Some(refusal),
                ..known.clone()
            }
        };
        let known = refused(&confirmed(&two, now), now);
        let at = |minutes: i64| now + minutes.minutes();
        assert!(!known.is_due(&one, false, at(0)) && known.is_due(&one, true, at(0)));
        assert!(known.is_due(&one, false, at(1)) && known.is_due(&rules(&[]), false, at(0)));
        assert_eq!(known.refusal_to_be_told(&one, at(9)), None);
        assert_eq!(
            known.refusal_to_be_told(&two, at(10)),
            None,
            "nobody wants them any more"
        );
        let again = refused(&known, at(20));
        assert_eq!(again.refusal_to_be_told(&one, at(20)).unwrap().since, now);
        assert!(!again.is_due(&one, false, at(39)) && again.is_due(&one, false, at(40)));
    }

    /// A programme has a guardrail for everybody who has rules, and keeps those that were made.
    #[test]
    fn guardrails_follow_the_rules() {
        let mut programme = a_programme();
        let now = programme.settings.term.starts_at();
        let tiers = Tiers::new(Vec::new());
        let all = |programme: &Programme, known: Vec<Guardrail>| {
            let all = programme.guardrails(known, &tiers, now).into_iter();
            all.map(|(guardrail, rules)| (guardrail.owner.group, rules.models.len()))
                .collect::<Vec<_>>()
        };
        assert_eq!(all(&programme, Vec::new()), []);
        let before = programme.settings.clone();
        programme
            .settings
            .rules
            .group_models
            .insert("A".to_owned(), vec!["a/one".to_owned()]);
        let was = &before.rules;
        let is = &programme.settings.rules;
        assert!(is.has_first_rules_since(was) && !was.has_first_rules_since(is));
        let of_group = || Some("A".to_owned());
        assert_eq!(
            all(&programme, Vec::new()),
            [(of_group(), 1), (None, 0)],
            "who leaves the group may call all"
        );
        let kept = vec![Guardrail {
            owner: owner(Some("A")),
            ..confirmed(&rules(&["a/one"]), now)
        }];
        assert_eq!(
            all(&programme, vec![Guardrail::of_all(programme.id.clone())]),
            [(None, 0), (of_group(), 1)]
        );
        programme.settings = before.clone();
        assert_eq!(all(&programme, kept.clone()), [(of_group(), 0)]);
        assert_eq!(
            all(&programme, vec![Guardrail::of_all(programme.id.clone())]),
            [],
            "it was never made"
        );
        programme.settings.rules.all.models = vec!["basic".to_owned()];
        assert!(
            programme
                .settings
                .rules
                .has_first_rules_since(&before.rules)
        );
        assert_eq!(
            all(&programme, kept),
            [(of_group(), 3), (None, 3)],
            "the models of the tier"
        );
        programme.closed_at = Some(now);
        assert_eq!(all(&programme, Vec::new()), []);
    }

    /// A guardrail's name at the provider shows whose it is and is never too long.
    #[test]
    fn a_name_shows_its_owner() {
        let deployment = "0123456789".parse().unwrap();
        let name = |group: Option<&str>| owner(group).name_at_provider(&deployment);
        assert_eq!(
            (&*name(None), &*name(Some("A"))),
            ("bursar/0123456789/cs-pilot", "bursar/0123456789/cs-pilot/A")
        );
        let long = ["1", "2"].map(|end| name(Some(&format!("{}{end}", "é".repeat(199)))));
        assert!(
            long[0] != long[1] && long.iter().all(|name| name.chars().count() == LONGEST_NAME),
            "{long:?}"
        );
    }
}
