//! What those who play in a history do, one act after the other. Each asks for something at once, and goes on by what it is told.

use bursar_core::domain::grant::{Debt, GaveUp, Grant, HoldKind, Press, PressKind, Stopped};
use bursar_core::domain::id::GrantId;
use bursar_core::domain::money::Usd;
use bursar_core::store::items::Lease;

use super::act::{Act, Ended, LEASE, programme};
use super::histories::Part;
use super::settings::{ada, bob, found, key_of, minted, reading, settings};

#[derive(Debug, Clone, Copy)]
pub(super) enum Script {
    /// The whole claim, and once more.
    Claims(PressKind),
    /// A claim for which the provider made no key, or did not say.
    Fails(PressKind, GaveUp),
    /// The claim of somebody else in the programme.
    ClaimsElsewhere,
    HoldsAndReleases(HoldKind),
    /// Holds for disuse until the place is given back, and uses it again.
    GoesOutOfUse,
    Leaks,
    Allows,
    Revokes,
    Sweeps,
    /// The sync finds the key otherwise than it should be.
    Drifts,
    Recovers,
    FollowsRules,
    ClosesAndEnds,
    ChangesTheCap,
    EditsTheCap,
    ChangesThePot,
    /// A runner that reads every key.
    Reads,
    /// A runner that marks every disable that is owed as answered.
    Works,
}

impl Script {
    pub(super) const ALL: [Script; 23] = [
        Script::Claims(PressKind::Reveal),
        Script::Claims(PressKind::Reveal),
        Script::Claims(PressKind::Replace),
        Script::Claims(PressKind::Replace),
        Script::Fails(PressKind::Reveal, GaveUp::Unknown),
        Script::Fails(PressKind::Replace, GaveUp::Refused),
        Script::ClaimsElsewhere,
        Script::HoldsAndReleases(HoldKind::Paused),
        Script::HoldsAndReleases(HoldKind::Dropped),
        Script::GoesOutOfUse,
        Script::Leaks,
        Script::Allows,
        Script::Revokes,
        Script::Sweeps,
        Script::Drifts,
        Script::Recovers,
        Script::FollowsRules,
        Script::ClosesAndEnds,
        Script::ChangesTheCap,
        Script::EditsTheCap,
        Script::ChangesThePot,
        Script::Reads,
        Script::Works,
    ];

    /// None when something ended it.
    pub(super) async fn play(self, mut part: Part<'_>) -> Option<()> {
        match self {
            Script::Claims(kind) => {
                part.claims(&ada(), kind).await?;
                part.claims(&ada(), kind).await
            }
            Script::ClaimsElsewhere => part.claims(&bob(), PressKind::Reveal).await,
            Script::Fails(kind, how) => {
                let epoch = part.grant().epoch;
                if let Ended::Said(_, Some(begun)) =
                    part.asks(Act::Begin(ada(), Press { kind, epoch, terms: None })).await?
                {
                    part.asks(Act::GiveUp(ada(), begun, how, None)).await?;
                }
                Some(())
            }
            Script::HoldsAndReleases(kind) => {
                for act in [Act::Hold(ada(), kind), Act::Release(ada(), kind)] {
                    let left = part.asks(act).await?;
                    part.pays(&ada(), debts(&left)).await?;
                }
                Some(())
            }
            Script::GoesOutOfUse => {
                let held = part.asks(Act::Hold(ada(), HoldKind::Unused)).await?;
                part.pays(&ada(), debts(&held)).await?;
                part.all([Act::GiveBackPlace(ada())]).await?;
                let resumed = part.asks(Act::Release(ada(), HoldKind::Unused)).await?;
                part.pays(&ada(), debts(&resumed)).await
            }
            Script::Leaks => {
                let stopped = part.asks(Act::Stop(ada(), Stopped::Leaked)).await?;
                part.pays(&ada(), debts(&stopped)).await
            }
            Script::Allows => part.all([Act::Allow(ada())]).await,
            Script::Revokes => {
                let revoked = part.asks(Act::Revoke(ada())).await?;
                part.pays(&ada(), debts(&revoked)).await
            }
            Script::Sweeps => {
                let epoch = part.grant().epoch;
                let swept = part.asks(Act::Sweep(ada(), epoch, key_of(&ada(), epoch))).await?;
                part.pays(&ada(), debts(&swept)).await
            }
            Script::Drifts | Script::Recovers | Script::FollowsRules => Box::pin(self.play_the_sync(&mut part)).await,
            Script::ClosesAndEnds => part.all([Act::Close(programme()), Act::End(ada()), Act::End(bob())]).await,
            Script::ChangesTheCap => {
                part.all([90, 6].map(|dollars| Act::SetCap(ada(), Some(Usd::from_dollars(dollars))))).await
            }
            Script::EditsTheCap => {
                let version = part.world().programmes[&programme()].version;
                let mut edited = settings("CS pilot");
                edited.cap = Usd::from_dollars(30);
                part.all([Act::Save(programme(), edited, version)]).await
            }
            Script::ChangesThePot => {
                part.all([30, 100].map(|dollars| Act::SetPot(programme(), Usd::from_dollars(dollars)))).await
            }
            Script::Reads => {
                let lease = part.runs().await?;
                let grant = part.grant();
                let keys = grant.attempts.iter().filter(|attempt| attempt.key.is_some());
                for (attempt, dollars) in keys.zip(6..) {
                    part.asks(Act::Note(reading(&ada(), attempt.epoch, dollars, part.began()))).await?;
                }
                part.all([Act::Renew(lease.clone()), Act::ReleaseLease(lease)]).await
            }
            Script::Works => {
                let lease = part.runs().await?;
                let owed = part.grant().debts().collect();
                part.pays(&ada(), owed).await?;
                part.all([Act::ReleaseLease(lease)]).await
            }
        }
    }

    /// What the sync does; apart, since one function with all scripts is too large for a test's stack.
    async fn play_the_sync(self, part: &mut Part<'_>) -> Option<()> {
        match self {
            Script::Drifts => {
                let Grant { epoch, version, .. } = part.grant();
                let (key, began) = (key_of(&ada(), epoch), part.began());
                let window = settings("CS pilot").reset.window_at(began);
                part.all([
                    Act::LimitSent(ada(), epoch, Usd::from_dollars(12), window),
                    Act::DisableAgain(ada(), epoch, key.clone()),
                    Act::FoundDisabled(ada(), version + 1, epoch, key.clone()),
                    Act::FoundGone(ada(), version + 2, epoch, key.clone()),
                    Act::Purged(ada(), epoch, key),
                ])
                .await
            }
            Script::Recovers => {
                let grant = part.grant();
                let listed = found(&ada(), grant.epoch, grant.attempts.last());
                let recovered = part.asks(Act::Recover(ada(), listed)).await?;
                part.pays(&ada(), debts(&recovered)).await
            }
            Script::FollowsRules => part.all([Act::FollowRules(ada()), Act::FollowRules(ada())]).await,
            _ => Some(()),
        }
    }
}

impl Part<'_> {
    /// The first person's grant as it was seen last.
    fn grant(&self) -> Grant {
        self.world().grants[&ada()].clone()
    }

    async fn all(&mut self, acts: impl IntoIterator<Item = Act>) -> Option<()> {
        for act in acts {
            self.asks(act).await?;
        }
        Some(())
    }

    async fn claims(&mut self, who: &GrantId, kind: PressKind) -> Option<()> {
        let epoch = self.world().grants[who].epoch;
        let begun = self.asks(Act::Begin(who.clone(), Press { kind, epoch, terms: None })).await?;
        let Ended::Said(_, Some(begun)) = begun else { return Some(()) };
        self.pays(who, begun.to_retire.clone()).await?;
        let made = minted(who, begun.epoch);
        let recorded = self.asks(Act::Record(who.clone(), begun.clone(), made.clone())).await?;
        // Whoever is not told may not show the key, and leaves it to the sweeper.
        if matches!(&recorded, Ended::Said(said, _) if said.starts_with("refused")) {
            self.asks(Act::GiveUp(who.clone(), begun, GaveUp::Lost, Some(made.key))).await?;
        }
        Some(())
    }

    /// Marks that the provider answered these.
    async fn pays(&mut self, who: &GrantId, debts: Vec<Debt>) -> Option<()> {
        self.all(debts.into_iter().map(|debt| Act::Settled(who.clone(), debt))).await
    }

    /// Takes the runners' lease, which all runners here share, and tells what is known of it.
    async fn runs(&mut self) -> Option<Lease> {
        self.asks(Act::Acquire("one")).await?;
        let nobodys =
            Lease { lease: "jobs".to_owned(), holder: "one".to_owned(), fence: 1, until: self.began() + LEASE };
        Some(self.world().leases.get("jobs").cloned().unwrap_or(nobodys))
    }
}

/// What is owed by a grant that an act left behind.
fn debts(ended: &Ended) -> Vec<Debt> {
    let Ended::Said(said, _) = ended else { return Vec::new() };
    let grant = said.strip_prefix("done: ").map(|left| serde_json::from_str::<Grant>(left).unwrap());
    grant.map_or_else(Vec::new, |grant| grant.debts().collect())
}
