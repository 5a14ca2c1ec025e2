//! Everything that Bursar's client assumes of the provider and that one account can show, as data. How each is
//! judged is in `steps`; the order here is the order of the report.

/// Something that the client assumes of the provider.
#[derive(Debug)]
pub struct Assumption {
    pub id: &'static str,
    pub source: Source,
    pub bearing: Bearing,
    /// The assumption as a person reads it.
    pub sentence: &'static str,
    /// What Bursar does, or what follows, if it does not hold.
    pub otherwise: &'static str,
}

/// The reason to doubt an assumption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The provider's documents leave it open.
    Unsure,
    /// A reading of Bursar's code found that it depends on it.
    Suspected,
    /// The provider's documents say so.
    Documented,
}

/// What depends on an assumption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearing {
    /// Bursar keeps no promise without it: it must be seen to hold.
    Needed,
    /// Programmes that restrict models, providers or regions need it; an account without guardrails has none.
    ToRestrict,
    /// Bursar works with either answer.
    Tolerated,
}

use Bearing::{Needed, ToRestrict, Tolerated};

const fn unsure(id: &'static str, bearing: Bearing, sentence: &'static str, otherwise: &'static str) -> Assumption {
    Assumption { id, source: Source::Unsure, bearing, sentence, otherwise }
}

const fn suspected(id: &'static str, bearing: Bearing, sentence: &'static str, otherwise: &'static str) -> Assumption {
    Assumption { id, source: Source::Suspected, bearing, sentence, otherwise }
}

const fn documented(id: &'static str, bearing: Bearing, sentence: &'static str, otherwise: &'static str) -> Assumption {
    Assumption { id, source: Source::Documented, bearing, sentence, otherwise }
}

pub const DISABLE_BINDS: Assumption = unsure(
    "disable-binds",
    Needed,
    "A disabled key can spend nothing a minute later.",
    "A student whose key was replaced, paused or reported leaked goes on spending with it.",
);
pub const DISABLED_IS_401: Assumption = unsure(
    "disabled-is-401",
    Tolerated,
    "A disabled key is answered 401, as an unknown one is.",
    "Students read another message than the one that the help page explains.",
);
pub const LIMIT_BINDS: Assumption = unsure(
    "limit-binds",
    Needed,
    "A key whose limit was lowered below what it used can spend nothing a minute later.",
    "A programme can cost more than its pot.",
);
pub const REMAINING_NEGATIVE: Assumption = unsure(
    "remaining-negative",
    Tolerated,
    "What remains of a limit falls below zero when more was used.",
    "Bursar takes the larger of the counter and of what is gone from the limit.",
);
pub const PATCH_SEEN: Assumption = unsure(
    "patch-seen",
    Tolerated,
    "A key that was changed is read back changed at once.",
    "Bursar believes the answer of the change itself, and repeats an order until it is confirmed.",
);
pub const FOUND_AT_ONCE: Assumption = unsure(
    "found-at-once",
    Tolerated,
    "A new key is found by its hash at once.",
    "Bursar takes no key for gone on one answer.",
);
pub const LISTED_AT_ONCE: Assumption = unsure(
    "listed-at-once",
    Tolerated,
    "A new key is listed at once.",
    "The sync asks for a key that is not listed by its hash.",
);
pub const DISABLED_HIDDEN: Assumption = unsure(
    "disabled-hidden",
    Tolerated,
    "A listing hides disabled keys unless it asks for them.",
    "Bursar always asks for them.",
);
pub const RULES_BIND: Assumption = unsure(
    "rules-bind",
    ToRestrict,
    "A guardrail's list of models binds a key a minute after its assignment.",
    "Restrict no programme to models: its keys may call any.",
);
pub const RULES_LIFTED: Assumption = unsure(
    "rules-lifted",
    Tolerated,
    "A model that is added to a guardrail can be called a minute later.",
    "Students are told of a model before they can call it.",
);
pub const REGIONS_BIND: Assumption = unsure(
    "regions-bind",
    ToRestrict,
    "A guardrail's list of regions binds on the provider's main host.",
    "Restrict no programme to regions: its keys still reach the others through the main host.",
);
pub const UNKNOWN_SKIPPED: Assumption = unsure(
    "unknown-skipped",
    Tolerated,
    "An assignment that also names an unknown key assigns the others.",
    "Bursar repeats the assignment of the others, and confirms it by the list.",
);
pub const REASSIGNED_COUNTED: Assumption = unsure(
    "reassigned-counted",
    Tolerated,
    "A key that already has the guardrail is counted when it is assigned again.",
    "Bursar confirms the assignment by the list.",
);
pub const PACE: Assumption = unsure(
    "pace",
    Tolerated,
    "The management API takes forty calls a second.",
    "Bursar halves its pace for a minute after each 429; the sync of a large account takes longer.",
);
pub const RETRY_AFTER: Assumption = unsure(
    "retry-after",
    Tolerated,
    "An answer 429 says after how long to ask again.",
    "Bursar waits by its own measure.",
);
pub const LIMIT_NEAR: Assumption = suspected(
    "limit-near",
    Needed,
    "A limit is kept within a cent of the one that was sent.",
    "Bursar takes the key for wrongly capped and makes no other: nobody can claim.",
);
pub const LIMIT_DIGITS: Assumption = suspected(
    "limit-digits",
    Tolerated,
    "A limit keeps all six decimals.",
    "Bursar takes limits within a cent of each other for equal.",
);
pub const KEY_SETTLES: Assumption = suspected(
    "key-settles",
    Needed,
    "A key's own counter shows what was spent within 15 minutes.",
    "What a disabled key used last is missing from the pot.",
);
pub const LISTING_SETTLES: Assumption = suspected(
    "listing-settles",
    Needed,
    "The listing's counter shows what was spent within 15 minutes.",
    "The sync's totals and alerts come a night late.",
);
pub const CREDITS_SETTLE: Assumption = suspected(
    "credits-settle",
    Tolerated,
    "The account's credits show what was spent within 15 minutes.",
    "The residual of a night is too small, and of the next one too large.",
);
pub const COUNTERS_AGREE: Assumption = suspected(
    "counters-agree",
    Tolerated,
    "The listing and the key itself tell the same amounts, to the last digit.",
    "Bursar keeps the larger of two amounts.",
);
pub const GONE_IS_JSON: Assumption = suspected(
    "gone-is-json",
    Needed,
    "A key that is gone is answered 404 in the provider's own JSON.",
    "Bursar never believes that a key is gone, and each sync asks for it again.",
);
pub const MANAGEMENT_TOLD: Assumption = documented(
    "management-told",
    Tolerated,
    "A key says of itself whether it is a management key.",
    "Bursar tries whether it may list workspaces.",
);
pub const ORDINARY_CREDITS: Assumption = documented(
    "ordinary-credits",
    Tolerated,
    "An ordinary key is refused the account's credits.",
    "Bursar asks what kind of key it has before it believes the credits.",
);
pub const CREDITS_TOLD: Assumption =
    documented("credits-told", Needed, "The account tells what it bought and what it used.", "No sync is complete.");
pub const WORKSPACES_LISTED: Assumption = documented(
    "workspaces-listed",
    Needed,
    "The account lists at least one workspace.",
    "The sync lists no key and is never complete.",
);
pub const KEY_IN_WORKSPACE: Assumption = documented(
    "key-in-workspace",
    Needed,
    "A key made without a workspace lies in a listed one.",
    "The sync misses the keys that Bursar makes.",
);
pub const PLAINTEXT_ON_TOP: Assumption = documented(
    "plaintext-on-top",
    Tolerated,
    "A new key's plaintext stands beside `data`, not in it.",
    "Bursar reads the plaintext within `data`; without one nobody can claim.",
);
pub const HASH_SHAPE: Assumption = documented(
    "hash-shape",
    Needed,
    "A key is known by a hash of 64 lower-case hex digits.",
    "Bursar cannot record the keys that it makes.",
);
pub const NAME_KEPT: Assumption = documented(
    "name-kept",
    Needed,
    "A key keeps the name it was given, letter by letter.",
    "The sync takes Bursar's own keys for somebody else's.",
);
pub const EXPIRY_KEPT: Assumption = documented(
    "expiry-kept",
    Needed,
    "A key keeps the expiry it was made with.",
    "Keys outlive their programme if Bursar falls silent.",
);
pub const EXPIRY_FIXED: Assumption = documented(
    "expiry-fixed",
    Tolerated,
    "The expiry of a key cannot be changed later.",
    "Nothing depends on it: Bursar makes a new key for a later end.",
);
pub const BYOK_KEPT: Assumption = documented(
    "byok-kept",
    Tolerated,
    "A key keeps whether its limit includes BYOK.",
    "The sync sends it again every night.",
);
pub const PATCH_LEAVES: Assumption = documented(
    "patch-leaves",
    Needed,
    "A change of a key leaves the fields that it does not name.",
    "A change of a limit renames, enables or disables a student's key.",
);
pub const NEWEST_FIRST: Assumption = documented(
    "newest-first",
    Tolerated,
    "Keys are listed from the newest to the oldest.",
    "Any order will do that stays the same from page to page.",
);
pub const PAGE_OF_100: Assumption = documented(
    "page-of-100",
    Tolerated,
    "A page of keys holds a hundred.",
    "Bursar goes on by the length of the page that it got.",
);
pub const COUNTERS_TOLD: Assumption = documented(
    "counters-told",
    Needed,
    "A key tells what it used in its lifetime, today, this week and this month.",
    "Readings of programmes with such a window are missing.",
);
pub const LAST_USE_TOLD: Assumption = documented(
    "last-use-told",
    Tolerated,
    "A used key tells when it was used last.",
    "Bursar goes by the growth of its counters.",
);
pub const REMAINING_AGREES: Assumption = documented(
    "remaining-agrees",
    Tolerated,
    "What is gone from a lifetime limit is what the key used.",
    "Bursar takes the larger of the two.",
);
pub const USAGE_KEPT: Assumption = documented(
    "usage-kept",
    Needed,
    "A changed limit does not reset what a key used.",
    "A key that gets another limit may spend the whole of it again.",
);
pub const DISABLED_LISTED: Assumption = documented(
    "disabled-listed",
    Needed,
    "A listing that asks for disabled keys shows them.",
    "What a disabled key used last is missing from the totals.",
);
pub const ENABLED_AGAIN: Assumption = documented(
    "enabled-again",
    Needed,
    "A disabled key can be enabled again.",
    "A paused student stays without a key.",
);
pub const MODELS_AS_SENT: Assumption = documented(
    "models-as-sent",
    Tolerated,
    "A guardrail spells models as they were sent.",
    "Bursar compares a guardrail with the provider's earlier answer only.",
);
pub const ASSIGNED_COUNTED: Assumption = documented(
    "assigned-counted",
    Tolerated,
    "An assignment says how many keys it assigned.",
    "Bursar confirms the assignment by the list.",
);
pub const ASSIGNMENT_LISTED: Assumption = documented(
    "assignment-listed",
    ToRestrict,
    "The list of a guardrail's keys shows an assigned key.",
    "No student of a restricted programme gets a key.",
);
pub const UNLISTED: Assumption = documented(
    "unlisted",
    Needed,
    "A deleted key is not listed any more.",
    "Every sync reads every key that was ever deleted.",
);
pub const ANALYTICS: Assumption = documented(
    "analytics",
    Tolerated,
    "Analytics answer the sync's query, and say whether rows are missing.",
    "Pages show no use by model, or Bursar takes a full answer for a cut one.",
);
pub const ACTIVITY: Assumption = documented(
    "activity",
    Tolerated,
    "The account's activity of yesterday can be asked for.",
    "Use by model is not compared with the whole account's.",
);

/// Every assumption, in the order of the report.
pub const ALL: [&Assumption; 48] = [
    &DISABLE_BINDS,
    &DISABLED_IS_401,
    &LIMIT_BINDS,
    &REMAINING_NEGATIVE,
    &PATCH_SEEN,
    &FOUND_AT_ONCE,
    &LISTED_AT_ONCE,
    &DISABLED_HIDDEN,
    &RULES_BIND,
    &RULES_LIFTED,
    &REGIONS_BIND,
    &UNKNOWN_SKIPPED,
    &REASSIGNED_COUNTED,
    &PACE,
    &RETRY_AFTER,
    &LIMIT_NEAR,
    &LIMIT_DIGITS,
    &KEY_SETTLES,
    &LISTING_SETTLES,
    &CREDITS_SETTLE,
    &COUNTERS_AGREE,
    &GONE_IS_JSON,
    &MANAGEMENT_TOLD,
    &ORDINARY_CREDITS,
    &CREDITS_TOLD,
    &WORKSPACES_LISTED,
    &KEY_IN_WORKSPACE,
    &PLAINTEXT_ON_TOP,
    &HASH_SHAPE,
    &NAME_KEPT,
    &EXPIRY_KEPT,
    &EXPIRY_FIXED,
    &BYOK_KEPT,
    &PATCH_LEAVES,
    &NEWEST_FIRST,
    &PAGE_OF_100,
    &COUNTERS_TOLD,
    &LAST_USE_TOLD,
    &REMAINING_AGREES,
    &USAGE_KEPT,
    &DISABLED_LISTED,
    &ENABLED_AGAIN,
    &MODELS_AS_SENT,
    &ASSIGNED_COUNTED,
    &ASSIGNMENT_LISTED,
    &UNLISTED,
    &ANALYTICS,
    &ACTIVITY,
];

#[cfg(test)]
mod tests;
