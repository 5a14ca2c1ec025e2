//! The kinds of items in the table, each named by its type, with the value of its attribute `kind`
//! and what an erasure of a person does with them.

/// What an erasure of a person does with the items of a kind.
#[derive(Debug, Clone, Copy)]
pub enum AtErasure {
    /// Nothing: they hold ids, sums and what was decided, and never an address.
    Stays,
    /// Nothing, since no erasure begins while one of them names the person.
    Refuses,
    /// Those of the person's grants stay, without who they were.
    LosesTheName,
    /// Those of the person's addresses go.
    Goes,
    /// All are looked through, in every programme: any may name the person.
    IsSearched,
}

macro_rules! kinds {
    ($($at_erasure:ident: $($item:ident = $name:literal),*;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub enum Kind {
            $($($item,)*)*
        }

        impl Kind {
            pub const ALL: &'static [Kind] = &[$($(Kind::$item,)*)*];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $($(Kind::$item => $name,)*)*
                }
            }

            pub fn at_erasure(self) -> AtErasure {
                match self {
                    $($(Kind::$item)|* => AtErasure::$at_erasure,)*
                }
            }
        }
    };
}

kinds! {
    LosesTheName: Grant = "grant", AuditEntry = "audit", Erasure = "erasure";
    Goes: Enrolment = "enrolment", KnownAddress = "address", StaffPerson = "person", Undeliverable = "undeliverable",
    SignIn = "sign-in", Session = "session", Link = "link", LoginRequest = "login-request", SignOnBinding = "binding";
    IsSearched: OutboxRow = "outbox", Import = "import", ImportPart = "import-part", RosterPreview = "roster-preview";
    Refuses: AddedAdmins = "admins", Roles = "roles", Programme = "programme",
    RetentionHold = "retention-hold";
    // Of grants and programmes.
    Stays: Reading = "reading", DoneByHand = "done-by-hand", Crossing = "crossing", Budget = "budget", RosterCounts = "roster-counts", Totals = "totals",
    GroupTotals = "group-totals", KeptPeople = "people", Digest = "digest", Job = "job", RosterToken = "roster-token", RateCount = "rate-count",
    Guardrail = "guardrail", MoreListing = "more-listing", Tier = "tier", HourlyUses = "hourly-uses", BegunSignOn = "sign-on",
    // Of people with a role, by id, for 90 days.
    AccessEntry = "access",
    // Of mail.
    FiledMail = "filed-mail", SentAs = "sent-as", RosterMails = "roster-mails",
    MailServer = "mail-server", MailRefusal = "mail-refusal", Alarm = "alarm",
    // Of the account, its keys and its syncs.
    Meta = "meta", RunLease = "lease", Run = "run", SyncState = "sync",
    OwnJudgement = "own-judgement", Account = "account",
    BalanceReading = "balance", AccountCut = "cut",
    MailedStatement = "mailed-statement", BalanceNotice = "balance-notice", ModelDay = "model-day",
    ModelRows = "model-rows", ListedModels = "listed-models", KeyOwner = "key-owner", AssignedUse = "assigned-use", ForeignAct = "foreign-act",
    ForeignKey = "foreign-key";
}
