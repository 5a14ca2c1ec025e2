//! Every kind of item in the table, in one place: its type, its key, its expiry and its queue. The snapshot
//! beside this file pins their attributes.

use jiff::Timestamp;

use crate::domain::audit::{AccountEntry, Entry};
use crate::domain::credit::balance::BalanceNotice;
use crate::domain::credit::free::FreeAllowance;
use crate::domain::credit::purchase::PurchaseTerms;
use crate::domain::grant::Grant;
use crate::domain::ledger::cut::AccountCut;
use crate::domain::ledger::foreign_act::ForeignAct;
use crate::domain::ledger::invoice::Invoice;
use crate::domain::ledger::mailed::MailedStatement;
use crate::domain::ledger::owner::KeyOwner;
use crate::domain::mail::alarm::Alarm;
use crate::domain::mail::day::MailDay;
use crate::domain::mail::digest::{AccountDigest, Digest};
use crate::domain::people::role::Roles;
use crate::domain::people::session::Session;
use crate::domain::people::sign_in::{ASK_LASTS, SignIn};
use crate::domain::programme::named_models::NamedModels;
use crate::domain::programme::request::Request;
use crate::domain::programme::rule_set::RuleSet;
use crate::domain::programme::tiers::Tier;
use crate::domain::programme::{Pot, Programme};
use crate::domain::usage::crossing::Crossing;
use crate::domain::usage::reading::Reading;
use crate::store::alerts::caps::CapScan;
use crate::store::grants::enrolment::Enrolment;
use crate::store::grants::readings::UsageRefresh;
use crate::store::ledger::cuts::CutKeys;
use crate::store::ledger::owners::AssignedUse;
use crate::store::mail::days::{BulkStop, MailServer};
use crate::store::mail::outbox::RosterMailResent;
use crate::store::mail::outbox_row::{GrantMail, OUTBOX_KEPT, OutboxRow, SentAs};
use crate::store::mail::refusals::MailRefusal;
use crate::store::mail::undeliverable::Undeliverable;
use crate::store::people::identity::{PersonOfAddress, StaffPerson};
use crate::store::people::mail_choice::MailChoice;
use crate::store::people::rate_counts::RateCount;
use crate::store::people::sign_in::{AddressSession, Ask, Link};
use crate::store::programmes::imports::{IMPORT_LASTS, Import, ImportChunk};
use crate::store::programmes::jobs::Job;
use crate::store::programmes::programme::{FORM_KEPT, ListedProgramme, UsedForm};
use crate::store::programmes::requests;
use crate::store::sync::account::{Account, AccountDay, ForeignKey};
use crate::store::sync::checkpoints::{Checkpoint, CheckpointPart};
use crate::store::sync::held_back::HeldMarks;
use crate::store::sync::missing::MissingKey;
use crate::store::sync::models::grants::GrantModels;
use crate::store::sync::models::{ModelDay, ModelRows, UnattributedDay};
use crate::store::sync::runs::{RUN_KEPT, Run};
use crate::store::sync::state::SyncState;
use crate::store::sync::totals::{GroupTotals, KeptTotals, Totals};
use crate::store::sync::{checkpoints, held_back, missing};
use crate::store::table::items::{Queue, Stored};
use crate::store::table::keys;
use crate::store::table::keys::ItemKey;
use crate::store::table::lease::Lease;
use crate::store::table::meta::Meta;

macro_rules! kinds {
    ($($kind:literal $item:ident($it:pat): $key:expr $(, expires $expires:expr)? $(, waits $waits:expr)?;)*) => {
        /// The values of the attribute `kind`.
        pub const KINDS: &[&str] = &[$($kind),*];

        $(impl Stored for $item {
            const KIND: &'static str = $kind;

            fn key(&self) -> ItemKey {
                let $it = self;
                $key
            }

            $(fn expires(&self) -> Option<Timestamp> {
                let $it = self;
                $expires.into()
            })?

            $(fn due(&self) -> Option<(Queue, Timestamp)> {
                let $it = self;
                $waits
            })?
        })*
    };
}

kinds! {
    "meta" Meta(_): keys::meta();
    "lease" Lease(it): keys::lease(&it.lease);

    "programme" Programme(it): keys::programme(&it.id);
    "listed-programme" ListedProgramme(it): keys::listed_programme(&it.programme);
    "used-form" UsedForm(it): keys::used_form(it.form), expires it.at + FORM_KEPT;
    "rule-set" RuleSet(it): keys::rule_set(&it.id);
    "tier" Tier(it): keys::tier(&it.name);
    "pot" Pot(it): keys::pot(&it.programme);
    "job" Job(it): keys::job(&it.programme, it.work.kind()), waits it.waits();
    "import" Import(it): keys::import(it.import), expires it.made_at + IMPORT_LASTS;
    "import-chunk" ImportChunk(it): keys::import_chunk(it.import, it.number), expires it.made_at + IMPORT_LASTS + IMPORT_LASTS;
    "request" Request(it): keys::request(&it.programme, it.day, &it.request), expires it.asked_at + requests::KEPT;

    "grant" Grant(it): keys::grant(&it.programme, &it.id), waits it.urgency().map(|(urgency, due)| (Queue::Order(urgency), due));
    "reading" Reading(it): keys::reading(&it.programme, &it.grant, it.epoch);
    "usage-refresh" UsageRefresh(it): keys::refresh(&it.grant), expires it.until;
    "resent" RosterMailResent(it): keys::resent(&it.programme, &it.grant);
    "enrolment" Enrolment(it): keys::enrolment(&it.address, &it.programme);
    "audit" Entry(it): keys::entry(it);
    "account-audit" AccountEntry(it): keys::account_audit(it.entry);

    "person" StaffPerson(it): keys::person(&it.person);
    "person-of-address" PersonOfAddress(it): keys::person_of_address(&it.address);
    "roles" Roles(it): keys::roles(it.address.matched(), &it.programme);
    "mail-choice" MailChoice(it): keys::mail_choice(&it.address);
    "sign-in" SignIn(it): keys::sign_in(&it.address), expires it.ends_at();
    "ask" Ask(it): keys::ask(it.ask), expires it.at + ASK_LASTS;
    "link" Link(it): keys::link(&it.link), expires it.ends_at;
    "session" Session(it): keys::session(&it.session), expires it.ends_at;
    "address-session" AddressSession(it): keys::address_session(&it.address, &it.session), expires it.ends_at;
    "rate-count" RateCount(it): keys::rate_count(&it.what, it.begins_at), expires it.ends_at;

    "outbox" OutboxRow(it): keys::outbox(it.row), expires it.written_at + it.is_kept_for(), waits it.waits();
    "grant-mail" GrantMail(it): keys::grant_mail(&it.programme, &it.grant, it.row), expires it.written_at + OUTBOX_KEPT;
    "sent-as" SentAs(it): keys::sent_as(&it.message), expires it.at + OUTBOX_KEPT;
    "undeliverable" Undeliverable(it): keys::undeliverable(&it.address), expires it.until(), waits it.waits();
    "mail-day" MailDay(it): keys::mail_day(it.day, it.mail), expires it.kept_until();
    "mail-server" MailServer(_): keys::mail_server();
    "bulk-stop" BulkStop(it): keys::bulk_stop(it.of.mail);
    "mail-refusal" MailRefusal(it): keys::mail_refusal(&it.code);

    "crossing" Crossing(it): keys::crossing(&it.programme, &it.scope, it.window, it.limit, it.threshold);
    "cap-scan" CapScan(_): keys::cap_scan();
    "alarm" Alarm(it): keys::alarm(it.day, &it.name());
    "digest" Digest(it): keys::digest(&it.programme, it.week), expires it.found_at + OUTBOX_KEPT;
    "account-digest" AccountDigest(it): keys::account_digest(it.week), expires it.found_at + OUTBOX_KEPT;
    "mailed-statement" MailedStatement(it): keys::mailed_statement(it.month);
    "balance-notice" BalanceNotice(_): keys::balance_notice();
    "purchase-terms" PurchaseTerms(_): keys::purchase_terms();

    "sync" SyncState(_): keys::sync_state();
    "run" Run(it): keys::run(it.run), expires it.ended_at + RUN_KEPT;
    "checkpoint" Checkpoint(_): keys::checkpoint();
    "checkpoint-part" CheckpointPart(it): keys::run_part(it.run, &it.part), expires it.made_at + checkpoints::KEPT_FOR;
    "held-marks" HeldMarks(it): keys::held_marks(it.marks, it.part), expires it.as_of + held_back::KEPT_FOR;
    "missing-key" MissingKey(it): keys::missing_key(&it.key), expires it.as_of + missing::KEPT_FOR;
    "foreign-key" ForeignKey(it): keys::foreign_key(&it.key);
    "key-owner" KeyOwner(it): keys::key_owner(&it.key);
    "totals" Totals(it): keys::totals(&it.programme);
    "totals" KeptTotals(it): it.totals.key();
    "group-totals" GroupTotals(it): keys::group_totals(&it.programme, &it.group);
    "assigned-use" AssignedUse(it): keys::assigned_use(&it.programme);
    "account" Account(_): keys::account();
    "account-day" AccountDay(it): keys::account_day(it.day);
    "free-allowance" FreeAllowance(_): keys::free_allowance();
    "named-models" NamedModels(_): keys::named_models();
    "cut" AccountCut(it): keys::cut(it.as_of);
    "cut-keys" CutKeys(it): keys::cut_keys(it.as_of, it.shard, it.part);
    "invoice" Invoice(it): keys::invoice(it.from, it.to);
    "foreign-act" ForeignAct(it): keys::foreign_act(&it.key);
    "model-day" ModelDay(it): keys::model_day(&it.programme, it.day);
    "model-rows" ModelRows(it): keys::model_rows(it.day, it.part), expires it.until;
    "grant-models" GrantModels(it): keys::grant_models(&it.grants, it.day), expires it.until;
    "unattributed-day" UnattributedDay(it): keys::unattributed_day(it.day);
}
