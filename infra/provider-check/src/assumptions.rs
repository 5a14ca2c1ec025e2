//! What Bursar cannot do without, and what programmes that restrict keys cannot, in the order of the steps.
//! What the client itself checks in each answer is not here: where it refuses one, the check ends early with its words.

/// Something that Bursar assumes of the provider.
#[derive(Debug)]
pub struct Assumption {
    pub id: &'static str,
    /// Whether only programmes that restrict models, providers or regions need it.
    pub is_to_restrict: bool,
    /// The assumption as a person reads it.
    pub sentence: &'static str,
    /// What follows if it does not hold.
    pub otherwise: &'static str,
}

const fn needed(id: &'static str, sentence: &'static str, otherwise: &'static str) -> Assumption {
    Assumption { id, is_to_restrict: false, sentence, otherwise }
}

const fn to_restrict(id: &'static str, sentence: &'static str, otherwise: &'static str) -> Assumption {
    Assumption { id, is_to_restrict: true, sentence, otherwise }
}

pub static ASSUMPTIONS: [Assumption; 17] = [
    needed(
        "workspaces-read",
        "The management key may list the keys of every listed workspace.",
        "the sync is never complete; give Bursar a key that is not scoped to one workspace.",
    ),
    needed(
        "name-kept",
        "A key keeps the name it was given, letter by letter.",
        "the sync takes Bursar's own keys for somebody else's.",
    ),
    needed(
        "expiry-kept",
        "A key keeps the expiry it was made with.",
        "keys outlive their programme if Bursar falls silent.",
    ),
    needed(
        "key-in-workspace",
        "A key made without a workspace lies in a listed one.",
        "the sync misses the keys that Bursar makes.",
    ),
    needed(
        "patch-leaves",
        "A change of a key leaves the fields that it does not name.",
        "a change of a limit renames, enables or disables a student's key.",
    ),
    needed(
        "key-settles",
        "A key's own counter shows what was spent within 15 minutes.",
        "what a disabled key used last is missing from the pot.",
    ),
    needed(
        "listing-settles",
        "The listing's counter shows what was spent within 15 minutes.",
        "the sync's totals and alerts come a night late.",
    ),
    needed(
        "counters-told",
        "A key tells what it used in its lifetime, today, this week and this month.",
        "readings of programmes with such a window are missing.",
    ),
    needed(
        "limit-binds",
        "A key whose limit was lowered below what it used can spend nothing a minute later.",
        "a programme can cost more than its pot.",
    ),
    needed(
        "usage-kept",
        "A changed limit does not reset what a key used.",
        "a key that gets another limit may spend the whole of it again.",
    ),
    to_restrict(
        "assignment-listed",
        "The list of a guardrail's keys shows an assigned key.",
        "no student of a restricted programme gets a key: restrict none.",
    ),
    to_restrict(
        "rules-bind",
        "A guardrail's list of models binds a key a minute after its assignment.",
        "restrict no programme to models: its keys may call any.",
    ),
    to_restrict(
        "regions-bind",
        "A guardrail's list of regions binds on the provider's main host.",
        "restrict no programme to regions: its keys still reach the others through the main host.",
    ),
    needed(
        "disable-binds",
        "A disabled key can spend nothing a minute later.",
        "a student whose key was replaced, paused or reported leaked goes on spending with it.",
    ),
    needed(
        "disabled-listed",
        "A listing that asks for disabled keys shows them.",
        "what a disabled key used last is missing from the totals.",
    ),
    needed(
        "gone-is-json",
        "A key that is gone is answered 404 in the provider's own JSON.",
        "Bursar never believes that a key is gone, and each sync asks for it again.",
    ),
    needed("unlisted", "A deleted key is not listed any more.", "every sync reads every key that was ever deleted."),
];
