//! Every kind of item in the table, in one place: what it is, its type, its key, its expiry and its queue. The
//! snapshot beside this file pins their attributes.
//!
//! Whoever reads an item that expires compares the time too, since the table takes its time to clean up. What
//! waits for nothing is in no queue, and so not in the index `due`. The stream brings pots, readings and totals to
//! `threshold-alerts` as well, and urgent rows of the outbox and each ask to `mail`.
//!
//! Names and addresses lie in grants, enrolments, settings, roles, persons, mail choices and undeliverable
//! addresses for as long as these are there; in what belongs to signing in and in the row of a link for minutes or
//! hours, in the steps of an import for two days, in a request for a month. All else refers to ids.

use jiff::Timestamp;

use crate::domain::audit::{AccountEntry, Entry};
use crate::domain::credit::balance::BalanceNotice;
use crate::domain::grant::Grant;
use crate::domain::ledger::cut::AccountCut;
use crate::domain::ledger::foreign_act::ForeignAct;
use crate::domain::ledger::mailed::MailedStatement;
use crate::domain::ledger::owner::KeyOwner;
use crate::domain::mail::alarm::Alarm;
use crate::domain::mail::day::MailDay;
use crate::domain::mail::digest::{AccountDigest, Digest};
use crate::domain::people::role::Roles;
use crate::domain::people::session::Session;
use crate::domain::people::sign_in::{ASK_LASTS, SignIn};
use crate::domain::programme::guardrail::Guardrail;
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
use crate::store::programmes::guardrails::RulesDue;
use crate::store::programmes::imports::{IMPORT_LASTS, Import, ImportChunk};
use crate::store::programmes::jobs::Job;
use crate::store::programmes::programme::{FORM_KEPT, ListedProgramme, UsedForm};
use crate::store::sync::account::{Account, AccountDay, ForeignKey};
use crate::store::sync::checkpoints::{Checkpoint, CheckpointPart};
use crate::store::sync::held_back::HeldMarks;
use crate::store::sync::missing::MissingKey;
use crate::store::sync::models::{ModelDay, ModelRows, UnattributedDay};
use crate::store::sync::runs::{RUN_KEPT, Run};
use crate::store::sync::state::SyncState;
use crate::store::sync::totals::{GroupTotals, KeptTotals, Totals};
use crate::store::sync::{checkpoints, held_back, missing};
use crate::store::table::items::{Item, Queue, Stored};
use crate::store::table::keys::ItemKey;
use crate::store::table::lease::Lease;
use crate::store::table::meta::Meta;
use crate::store::table::{StoreError, items, keys};

macro_rules! kinds {
    ($($kind:literal $item:ident($it:pat): $key:expr $(, expires $expires:expr)? $(, waits $waits:expr)?;)*) => {
        /// The item that would be written for the value of this one.
        pub fn rewritten(item: &Item) -> Result<Item, StoreError> {
            $(if items::is_kind::<$item>(item) {
                return items::from_item::<$item>(item.clone()).and_then(|value| items::to_item(&value));
            })*
            Err(StoreError::corrupt(&items::key_of(item), "item", &"it is of no known kind"))
        }

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
    // The deployment: its id, its table, and what identifies the account.
    "meta" Meta(_): keys::meta();
    // Who may run the sync, until when, and the fence.
    "lease" Lease(it): keys::lease(&it.lease);

    // Settings, end.
    "programme" Programme(it): keys::programme(&it.id);
    // That there is such a programme.
    "listed-programme" ListedProgramme(it): keys::listed_programme(&it.programme);
    // That a form was sent, and the programme that it made or was about.
    "used-form" UsedForm(it): keys::used_form(it.form), expires it.at + FORM_KEPT;
    // What the provider holds of what the keys of a programme or a group may call.
    "guardrail" Guardrail(it): keys::guardrail(&it.of);
    // That rules of a programme, or the models of a tier, may have to be told to guardrails.
    "rules-due" RulesDue(it): keys::rules_due(&it.of), waits Some((Queue::Rules, it.at));
    // A list of models with a name, once it was edited.
    "tier" Tier(it): keys::tier(&it.name);
    // The limit of a programme, and what is reserved of it.
    "pot" Pot(it): keys::pot(&it.programme);
    // The work of one kind on a programme that goes on, or the last.
    "job" Job(it): keys::job(&it.programme, it.work.kind()), waits it.waits();
    // A roster file that was read.
    "import" Import(it): keys::import(it.import), expires it.made_at + IMPORT_LASTS;
    // Some steps of an import.
    "import-chunk" ImportChunk(it): keys::import_chunk(it.import, it.number), expires it.made_at + IMPORT_LASTS + IMPORT_LASTS;

    // A person's right to a key, with its attempts and orders.
    "grant" Grant(it): keys::grant(&it.programme, &it.id), waits it.urgency().map(|(urgency, due)| (Queue::Order(urgency), due));
    // What the key of an attempt has used.
    "reading" Reading(it): keys::reading(&it.programme, &it.grant, it.epoch);
    // When the provider may be asked for a grant's key again.
    "usage-refresh" UsageRefresh(it): keys::refresh(&it.grant), expires it.next_at;
    // When a grant's roster mail was last sent by hand.
    "resent" RosterMailResent(it): keys::resent(&it.programme, &it.grant);
    // Which grant an address has in a programme.
    "enrolment" Enrolment(it): keys::enrolment(&it.address, &it.programme);
    // Who did what to a grant, or to a programme.
    "audit" Entry(it): keys::entry(it);
    // Who did what to the account.
    "account-audit" AccountEntry(it): keys::account_audit(it.entry);

    // The address of somebody with a role.
    "person" StaffPerson(it): keys::person(&it.person);
    // Which person an address is.
    "person-of-address" PersonOfAddress(it): keys::person_of_address(&it.address);
    // As what a programme names an address.
    "roles" Roles(it): keys::roles(it.address.matched(), &it.programme);
    // Which bulk mails an address wants.
    "mail-choice" MailChoice(it): keys::mail_choice(&it.address);
    // What is good for an address: links, codes, counts.
    "sign-in" SignIn(it): keys::sign_in(&it.address), expires it.ends_at();
    // That somebody asked for a link.
    "ask" Ask(it): keys::ask(it.ask), expires it.at + ASK_LASTS;
    // Whose link it is.
    "link" Link(it): keys::link(&it.link), expires it.ends_at;
    // Who is signed in.
    "session" Session(it): keys::session(&it.session), expires it.ends_at;
    // That an address has a session.
    "address-session" AddressSession(it): keys::address_session(&it.address, &it.session), expires it.ends_at;
    // How often something was done in a while.
    "rate-count" RateCount(it): keys::rate_count(&it.what, it.begins_at), expires it.ends_at;

    // A mail that is owed, and what became of it.
    "outbox" OutboxRow(it): keys::outbox(it.row), expires it.written_at + it.is_kept_for(), waits it.waits();
    // That a mail is about a grant.
    "grant-mail" GrantMail(it): keys::grant_mail(&it.programme, &it.grant, it.row), expires it.written_at + OUTBOX_KEPT;
    // Which row a message of SES is.
    "sent-as" SentAs(it): keys::sent_as(&it.message), expires it.at + OUTBOX_KEPT;
    // That mail ends to an address.
    "undeliverable" Undeliverable(it): keys::undeliverable(&it.address), expires it.until(), waits it.waits();
    // How the mail of a kind fared on a day.
    "mail-day" MailDay(it): keys::mail_day(it.day, it.mail), expires it.kept_until();
    // What SES says of itself.
    "mail-server" MailServer(_): keys::mail_server();
    // That bulk mail of a kind is stopped.
    "bulk-stop" BulkStop(it): keys::bulk_stop(it.of.mail);
    // That SES takes no mail, for this reason.
    "mail-refusal" MailRefusal(it): keys::mail_refusal(&it.code);

    // That a threshold was passed, and who was mailed.
    "crossing" Crossing(it): keys::crossing(&it.programme, &it.scope, it.window, it.limit, it.threshold);
    // How far the scan of every cap came.
    "cap-scan" CapScan(_): keys::cap_scan();
    // What the admins are told.
    "alarm" Alarm(it): keys::alarm(it.day, &it.name());
    // What a programme's week came to.
    "digest" Digest(it): keys::digest(&it.programme, it.week), expires it.found_at + OUTBOX_KEPT;
    // What the account's week came to.
    "account-digest" AccountDigest(it): keys::account_digest(it.week), expires it.found_at + OUTBOX_KEPT;
    // The statement of a month, as it was mailed to finance.
    "mailed-statement" MailedStatement(it): keys::mailed_statement(it.month);
    // What was last told of the balance.
    "balance-notice" BalanceNotice(_): keys::balance_notice();

    // What the syncs know of themselves.
    "sync" SyncState(_): keys::sync_state();
    // The report of a run.
    "run" Run(it): keys::run(it.run), expires it.ended_at + RUN_KEPT;
    // How far the run that goes on came.
    "checkpoint" Checkpoint(_): keys::checkpoint();
    // Some of what that run has seen.
    "checkpoint-part" CheckpointPart(it): keys::run_part(it.run, &it.part), expires it.made_at + checkpoints::KEPT_FOR;
    // Some marks of what a run held back.
    "held-marks" HeldMarks(it): keys::held_marks(it.marks, it.part), expires it.as_of + held_back::KEPT_FOR;
    // That the provider does not find a recorded key.
    "missing-key" MissingKey(it): keys::missing_key(&it.key), expires it.as_of + missing::KEPT_FOR;
    // A key of the account that nobody here made.
    "foreign-key" ForeignKey(it): keys::foreign_key(&it.key);
    // The programme that owns a foreign key, and from which day on.
    "key-owner" KeyOwner(it): keys::key_owner(&it.key);
    // What a programme used, day by day, with the groups' totals apart where there are many groups.
    "totals" KeptTotals(it): it.totals.key();
    // The same with its groups.
    "totals" Totals(it): keys::totals(&it.programme);
    // What one of many groups used.
    "group-totals" GroupTotals(it): keys::group_totals(&it.programme, &it.group);
    // What the foreign keys of a programme used, day by day.
    "assigned-use" AssignedUse(it): keys::assigned_use(&it.programme);
    // The account's money as it was read last.
    "account" Account(_): keys::account();
    // What the account spent on a day.
    "account-day" AccountDay(it): keys::account_day(it.day);
    // How the books stood when a run listed the keys.
    "cut" AccountCut(it): keys::cut(it.as_of);
    // Foreign keys that were used since the cut before.
    "cut-keys" CutKeys(it): keys::cut_keys(it.as_of, it.shard, it.part);
    // What an admin did to a key that nobody here made.
    "foreign-act" ForeignAct(it): keys::foreign_act(&it.key);
    // What a programme used by model on a day.
    "model-day" ModelDay(it): keys::model_day(&it.programme, it.day);
    // What each grant used by model on a day.
    "model-rows" ModelRows(it): keys::model_rows(it.day, it.part), expires it.until;
    // Model use of a day that is no programme's.
    "unattributed-day" UnattributedDay(it): keys::unattributed_day(it.day);
}
