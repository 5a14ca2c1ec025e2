//! What the keys of a programme may call: the rules in its settings, and whether the provider has confirmed
//! them.

use jiff::Timestamp;

use crate::domain::programme::rules::{Rules, RulesOrder};
use crate::domain::programme::{Programme, Settings};
use crate::domain::values::id::ProgrammeId;

/// The condition for a key to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restriction<'a> {
    None,
    /// The key is put under this guardrail, which must be confirmed.
    Guardrail(&'a str),
    /// The provider has not confirmed the rules yet, so no key is made.
    NotConfirmed,
}

impl Settings {
    /// The rules that the settings ask for.
    pub fn rules(&self) -> Rules {
        Rules { models: self.models.clone(), data_policy: self.data_policy }
    }

    /// Whether the keys of this group are restricted, and so have to be under a guardrail before they are
    /// shown.
    pub fn restricts(&self, group: Option<&str>) -> bool {
        !self.rules().allow_all() || self.models_of_group(group).is_some()
    }

    /// The models of a group's own setting.
    pub(in crate::domain) fn models_of_group(&self, group: Option<&str>) -> Option<&[String]> {
        let group = group.and_then(|group| self.groups.get(group))?;
        (!group.models.is_empty()).then_some(&group.models)
    }
}

impl Programme {
    /// A programme that is created now, with an order if its rules restrict anything.
    pub fn created(id: ProgrammeId, settings: Settings, now: Timestamp) -> Programme {
        let rules_order = (!settings.rules().allow_all()).then(|| RulesOrder::changed(now));
        Programme { rules_order, ..Programme::new(id, settings) }
    }

    /// The rules that the provider has confirmed.
    pub fn confirmed_rules(&self) -> Rules {
        self.guardrail.as_ref().map(|guardrail| guardrail.rules.clone()).unwrap_or_default()
    }

    /// Whether the rules were changed and the provider has not confirmed that yet.
    pub fn rules_are_changing(&self) -> bool {
        self.rules_order.as_ref().is_some_and(|order| !order.again)
    }

    /// The condition for a key of this group to be shown. A programme that lifted its rules keeps its
    /// guardrail, so that later rules reach all keys at once.
    pub fn restriction(&self, group: Option<&str>) -> Restriction<'_> {
        let restricts = self.settings.restricts(group);
        // One guardrail holds for the whole programme.
        let is_other = self.settings.models_of_group(group).is_some_and(|models| models != self.settings.models);
        match &self.guardrail {
            _ if restricts && (is_other || self.rules_are_changing()) => Restriction::NotConfirmed,
            Some(guardrail) => Restriction::Guardrail(&guardrail.id),
            None if restricts => Restriction::NotConfirmed,
            None => Restriction::None,
        }
    }

    /// The programme with settings that people changed. Rules that the provider may not hold are ordered
    /// again, even if they were confirmed once, since other rules may have reached it since.
    #[must_use]
    pub fn edited(self, settings: Settings, now: Timestamp) -> Programme {
        let (rules, was) = (settings.rules(), self.settings.rules());
        let is_untold = if self.guardrail.is_some() { self.confirmed_rules() != rules } else { !rules.allow_all() };
        let changed = Some(RulesOrder::changed(now));
        let order = match self.rules_order {
            _ if rules != was && (self.guardrail.is_some() || is_untold) => changed,
            _ if rules != was => None,
            None if is_untold => changed,
            order => order,
        };
        Programme { settings, rules_order: order, version: self.version + 1, edits: self.edits + 1, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::programme::Group;
    use crate::domain::programme::rules::Guardrail;
    use crate::domain::programme::testing::a_programme;

    fn at(minute: u8) -> Timestamp {
        format!("2026-01-02T08:{minute:02}:00Z").parse().unwrap()
    }

    fn edited(programme: Programme, models: &[&str], minute: u8) -> Programme {
        let models = models.iter().map(|model| (*model).to_owned()).collect();
        let settings = Settings { models, ..programme.settings.clone() };
        programme.edited(settings, at(minute))
    }

    fn confirmed(programme: Programme, minute: u8) -> Programme {
        let (id, rules) = ("g".to_owned(), programme.settings.rules());
        Programme { guardrail: Some(Guardrail { id, rules, confirmed_at: at(minute) }), rules_order: None, ..programme }
    }

    #[test]
    fn nobody_gets_a_key_before_the_provider_confirmed_the_rules_and_lifted_ones_are_told_as_well() {
        let open = a_programme();
        assert_eq!(open.restriction(None), Restriction::None);
        assert_eq!(edited(open.clone(), &[], 1).rules_order, None, "nothing is to be told");

        let strict = edited(open, &["a/b"], 1);
        assert_eq!(strict.restriction(None), Restriction::NotConfirmed);
        assert_eq!(strict.confirmed_rules(), Rules::default());
        let told = confirmed(strict, 2);
        assert_eq!(told.restriction(None), Restriction::Guardrail("g"));

        let stricter = edited(told.clone(), &["c/d"], 3);
        assert_eq!(stricter.restriction(None), Restriction::NotConfirmed);
        let back = edited(stricter, &["a/b"], 4);
        assert_eq!(back.restriction(None), Restriction::NotConfirmed, "the others may have reached it");

        let lifted = edited(told, &[], 3);
        assert!(lifted.rules_are_changing() && !lifted.confirmed_rules().allow_all());
        assert_eq!(lifted.restriction(None), Restriction::Guardrail("g"), "with no more rules than before");
        let lifted = confirmed(lifted, 4);
        assert!(lifted.confirmed_rules().allow_all() && lifted.rules_order.is_none());
        assert_eq!(lifted.restriction(None), Restriction::Guardrail("g"), "for the rules to come");
    }

    #[test]
    fn a_group_with_models_of_its_own_gets_no_key_under_those_of_its_programme() {
        let mut programme = confirmed(edited(a_programme(), &["a/b", "c/d"], 1), 2);
        let group = |models: &[&str]| Group { cap: None, models: models.iter().map(|one| (*one).to_owned()).collect() };
        programme.settings.groups.insert("A".to_owned(), group(&["a/b"]));
        programme.settings.groups.insert("B".to_owned(), group(&[]));
        assert_eq!(programme.restriction(Some("A")), Restriction::NotConfirmed);
        assert_eq!(programme.restriction(Some("B")), Restriction::Guardrail("g"));
        assert_eq!(programme.restriction(Some("unheard of")), Restriction::Guardrail("g"));
    }

    #[test]
    fn what_is_refused_is_tried_again_ever_later_and_told_after_ten_minutes() {
        let mut order = edited(a_programme(), &["a/b"], 0).rules_order.unwrap();
        let mut tried = vec![order.due];
        while tried.len() < 9 {
            order = order.clone().refused("no such model", order.due);
            tried.push(order.due);
        }
        let minutes: Vec<i64> = tried.iter().map(|due| due.duration_since(at(0)).as_mins()).collect();
        assert_eq!(minutes, [0, 1, 2, 4, 8, 16, 32, 64, 124]);
        let refusal = order.refusal.unwrap();
        assert_eq!((refusal.since, refusal.why.as_str()), (at(0), "no such model"));
        assert!(!refusal.is_to_be_told(at(9)) && refusal.is_to_be_told(at(10)));
    }
}
