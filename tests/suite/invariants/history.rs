//! Changes that are forbidden, or have no audit entry: I10, I11 and I16.

use bursar_core::domain::audit::{self, AuditDetail, Entry};
use bursar_core::domain::grant::{AnnouncedEnd, Grant, GrantState, KeyAbsence, Notice, SwitchState};
use bursar_core::domain::values::id::{Epoch, GrantId};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{Meta, OutboxRow, QueuedMail, keys};
use jiff::ToSpan;

use super::Scene;
use crate::acts::act::{Act, faculty, programme};
use crate::acts::settings::{Setting, ada, reading};

impl Scene {
    async fn tell(&self, number: u64, grant: Option<GrantId>, what: AuditDetail) {
        let entry = ulid::Ulid::from_parts(number, 1);
        self.keep(&Entry { programme: programme(), grant, entry, at: self.now, by: faculty(), what }).await;
    }
}

#[tokio::test]
async fn a_reading_that_falls_or_goes_and_a_key_or_entry_that_is_forgotten_are_named() {
    let mut scene = Scene::at(Setting::Live).await;
    scene.keep(&reading(&ada(), Epoch::new(1), 4, scene.now)).await;
    scene.bites("I10", "fell from 5.000000 to 4.000000").await;
    scene.remove(keys::reading(&programme(), &ada(), Epoch::new(1))).await;
    scene.bites("I10", "attempt 1 is gone").await;
    scene.edit(|grant| grant.attempts[0].key = None).await;
    scene.bites("I10", "forgot the key of attempt 1").await;

    let entry = scene.seen().entries[0].clone();
    scene.keep(&Entry { by: audit::Actor::Sync, ..entry.clone() }).await;
    scene.bites("I10", "is not what it was").await;
    scene.remove(keys::entry(&entry)).await;
    scene.bites("I10", &format!("audit entry {} is gone", entry.entry)).await;
    scene.remove(keys::grant(&programme(), &ada())).await;
    scene.bites("I10", "(live) is gone").await;

    let meta = scene.seen().meta.clone().unwrap();
    scene.keep(&Meta { deployment: "de00000001".parse().unwrap(), ..meta }).await;
    scene.bites("I10", "the deployment de00000000 is gone or another").await;
}

#[tokio::test]
async fn a_revoked_grant_that_comes_back_is_named() {
    let (world, now) = Setting::Live.world();
    let world = world.does(&Act::Revoke(ada()), now - 1.minute());
    let mut scene = Scene::of(&world, now).await;
    scene.edit(|grant| grant.state = GrantState::Ended).await;
    scene.bites("I11", "was revoked").await;
}

#[tokio::test]
async fn a_change_of_a_grant_without_its_one_entry_is_named() {
    let mut scene = Scene::at(Setting::Live).await;
    scene.edit(|grant| grant.allowed = 1).await;
    scene.bites("I16", "changed from version 3 to 3").await;
    scene.edit(|grant| (grant.allowed, grant.version) = (2, 4)).await;
    scene.bites("I16", "changed without an audit entry").await;
    scene.edit(|grant| grant.version = 5).await;
    scene.bites("I16", "had 1 acts of which 0 marked a disable, and 0 audit entries").await;

    let allowed = |from: u32, to: u32| AuditDetail::new(audit::Act::ReplacementAllowed).changing(from, to);
    scene.edit(|grant| (grant.allowed, grant.version) = (3, 6)).await;
    scene.tell(1, Some(ada()), allowed(2, 3)).await;
    scene.bears("I16").await;
    scene.tell(2, Some(ada()), allowed(2, 3)).await;
    scene.bites("I16", "had 0 acts of which 0 marked a disable, and 1 audit entries").await;
    scene.edit(|grant| (grant.allowed, grant.version) = (4, 7)).await;
    scene.tell(3, Some(ada()), allowed(2, 4)).await;
    scene.bites("I16", "went from \"3\" to \"4\", and its entry (ReplacementAllowed) says from Some(\"2\")").await;
    scene.edit(|grant| grant.version = 6).await;
    scene.bites("I16", "changed from version 7 to 6").await;
}

#[tokio::test]
async fn a_mark_of_a_disable_is_the_only_act_without_an_entry() {
    let mut scene = Scene::at(Setting::Leaked).await;
    let (now, mark) = (scene.now, |version| version + 1);
    scene
        .edit(|grant| {
            grant.version = mark(grant.version);
            grant.attempts[0].switch = bursar_core::domain::grant::SwitchState::Off { at: now };
        })
        .await;
    scene.bears("I16").await;
    scene.edit(|grant| grant.version = mark(grant.version)).await;
    scene.bites("I16", "had 1 acts of which 0 marked a disable, and 0 audit entries").await;
}

#[tokio::test]
async fn a_change_of_a_programme_or_its_pot_without_its_one_entry_is_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let mut edited = scene.seen().programmes[&programme()].clone();
    edited.settings.cap = Usd::from_dollars(19);
    scene.keep(&edited).await;
    scene.bites("I16", "programme cs-pilot changed without a new version").await;
    edited.version += 1;
    scene.keep(&edited).await;
    scene.bites("I16", "went from version 1 to 2, and has 0 new entries of edits").await;
    edited.version += 1;
    edited.closed_at = Some(scene.now);
    scene.keep(&edited).await;
    scene.tell(1, None, AuditDetail::new(audit::Act::Edited)).await;
    scene.bites("I16", "was closed without an entry").await;
    edited.version += 1;
    edited.closed_at = None;
    scene.keep(&edited).await;
    scene.tell(2, None, AuditDetail::new(audit::Act::Edited)).await;
    scene.bites("I16", "was closed at another time").await;
    scene.tell(3, None, AuditDetail::new(audit::Act::Created)).await;
    scene.bites("I16", "has 1 new entries that it was created").await;

    let mut pot = scene.seen().pots[&programme()].clone();
    pot.limit = Usd::from_dollars(300);
    scene.keep(&pot).await;
    scene.bites("I16", "went from 100.000000 to 300.000000, and 0 entries tell of it").await;
    scene
        .tell(
            4,
            None,
            AuditDetail::new(audit::Act::PotChanged).changing(Usd::from_dollars(300), Usd::from_dollars(400)),
        )
        .await;
    scene.bites("I16", "went from 300.000000 to 300.000000, and 1 entries tell of it").await;
    pot.version = 0;
    scene.keep(&pot).await;
    scene.bites("I16", "back to 0").await;
}

#[tokio::test]
async fn somebody_who_was_invited_without_an_entry_or_a_mail_is_named_and_so_is_an_entry_about_nobody() {
    let (world, now) = Setting::Live.world();
    let mut scene = Scene::of(&world, now).await;
    let people = vec![crate::acts::settings::person("carol")];
    let invited = world.does(&Act::Invite(programme(), people), now);
    let carol = invited.grants.values().find(|grant| !world.grants.contains_key(&grant.id)).unwrap();
    scene.keep(carol).await;
    scene.keep(invited.enrolments.last().unwrap()).await;
    let told = scene.violations(false).await;
    assert!(super::is_told(&told, "I16", "is new, and 0 entries tell that it was invited"), "{told:#?}");
    assert!(
        super::is_told(&told, "I16", "has 1 causes of a mail Roster in this step, and 0 such mails owed"),
        "{told:#?}"
    );

    scene.tell(1, None, AuditDetail::new(audit::Act::Invited).noting("0000000000000001")).await;
    scene.bites("I16", "tells that \"0000000000000001\" was invited, which is no new grant").await;
}

#[tokio::test]
async fn a_mail_that_is_owed_without_a_cause_is_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let mail =
        QueuedMail::Notice { programme: programme(), grant: ada(), epoch: Epoch::new(1), notice: Notice::KeyShown };
    scene.keep(&OutboxRow::queued(ulid::Ulid::from_parts(1, 1), mail, scene.now)).await;
    scene.bites("I16", "has 0 causes of a mail KeyShown in this step, and 1 such mails owed").await;
}

#[tokio::test]
async fn marks_of_the_sync_need_no_entry_and_each_is_one_act() {
    let mut scene = Scene::at(Setting::OutOfUse).await;
    let now = scene.now;
    let owed = SwitchState::OffOrdered { since: now };
    scene.edit(|grant| (grant.version, grant.attempts[0].switch) = (grant.version + 1, owed)).await;
    scene.bears("I16").await;
    scene
        .edit(|grant| (grant.version, grant.attempts[0].switch) = (grant.version + 2, SwitchState::Off { at: now }))
        .await;
    scene.bites("I16", "had 2 acts of which 1 marked a disable, and 0 audit entries").await;

    let mut scene = Scene::at(Setting::Leaked).await;
    scene
        .edit(|grant| {
            grant.version += 1;
            (grant.attempts[0].switch, grant.attempts[0].gone) =
                (SwitchState::Off { at: now }, Some(KeyAbsence::Missing));
        })
        .await;
    scene.bears("I16").await;
}

#[tokio::test]
async fn an_end_that_is_announced_without_a_mail_and_a_hold_for_disuse_that_nobody_is_told_of_are_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let (now, end) = (scene.now, AnnouncedEnd { at: scene.now, until: scene.now + 168.hours() });
    let announce = move |notice: Notice| {
        move |grant: &mut Grant| {
            grant.version += 1;
            grant.attempts[0].announced.insert(notice, end);
        }
    };
    scene.edit(announce(Notice::UnusedSoon)).await;
    let told = scene.violations(false).await;
    assert!(super::is_told(&told, "I16", "an end was announced, and no mail UnusedSoon is owed"), "{told:#?}");
    assert!(super::is_told(&told, "I16", "had 1 acts of which 0 marked a disable"), "{told:#?}");

    let grant = scene.edit(announce(Notice::TooOldSoon)).await;
    let row = OutboxRow::notice(ulid::Ulid::from_parts(1, 1), Notice::TooOldSoon, &grant, now);
    scene.keep(&row).await;
    scene.bears("I16").await;
    scene.keep(&OutboxRow { row: ulid::Ulid::from_parts(2, 1), ..row }).await;
    scene.bites("I16", "had 0 acts of which 1 marked a disable").await;

    let mut held = Scene::at(Setting::Live).await;
    let before = held.grant();
    let grant = held
        .edit(|grant| {
            (grant.version, grant.holds.unused) = (grant.version + 1, true);
            grant.attempts[0].switch = SwitchState::OffOrdered { since: now };
        })
        .await;
    held.tell(1, Some(ada()), AuditDetail::new(audit::Act::Held).changing(&before, &grant)).await;
    held.bites("I16", "1 times held as unused, and is told []").await;
}

#[tokio::test]
async fn a_limit_that_was_sent_is_told_from_what_to_what() {
    let mut scene = Scene::at(Setting::Live).await;
    scene
        .edit(|grant| (grant.version, grant.attempts[0].limit) = (grant.version + 1, Some(Usd::from_dollars(12))))
        .await;
    scene.tell(1, Some(ada()), AuditDetail::new(audit::Act::LimitSent).changing("20.000000", "13.000000")).await;
    scene.bites("I16", "went from \"20.000000\" to \"12.000000\"").await;
}
