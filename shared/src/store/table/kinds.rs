//! The kinds of items in the table, each named by its type, with the value of its attribute `kind`.

macro_rules! kinds {
    ($($item:ident = $name:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($item),*
        }

        impl Kind {
            pub const ALL: &'static [Kind] = &[$(Kind::$item),*];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Kind::$item => $name),*
                }
            }
        }
    };
}

kinds! {
    Account = "account", AccountCut = "cut", AccountDay = "account-day", AccountDigest = "account-digest",
    AddedAdmins = "admins", Alarm = "alarm", AssignedUse = "assigned-use", BalanceNotice = "balance-notice",
    Budget = "budget", BulkStop = "bulk-stop", CapScan = "cap-scan", Checkpoint = "checkpoint",
    CheckpointPart = "checkpoint-part", Crossing = "crossing", CutKeys = "cut-keys", Digest = "digest",
    DoneByHand = "done-by-hand", Enrolment = "enrolment", Entry = "audit", Erasure = "erasure",
    FiledMail = "filed-mail", ForeignAct = "foreign-act", ForeignKey = "foreign-key", Grant = "grant",
    GroupTotals = "group-totals", Guardrail = "guardrail", HeldMarks = "held-marks", HourlyUses = "hourly-uses",
    Import = "import", ImportPart = "import-part", Job = "job", KeyOwner = "key-owner", KnownAddress = "address", Lease = "lease",
    Link = "link", LoginRequest = "login-request", MailDay = "mail-day", MailRefusal = "mail-refusal",
    MailServer = "mail-server", MailedStatement = "mailed-statement", Meta = "meta", MissingKey = "missing-key",
    ModelDay = "model-day", ModelRows = "model-rows", OutboxRow = "outbox", Programme = "programme",
    RateCount = "rate-count", Reading = "reading", Roles = "roles", RosterMails = "roster-mails",
    RosterPreview = "roster-preview", RosterToken = "roster-token", RulesDue = "rules-due", Run = "run",
    SentAs = "sent-as", Session = "session", SignIn = "sign-in", StaffPerson = "person", SyncState = "sync",
    Tier = "tier", Totals = "totals", Undeliverable = "undeliverable",
}
